"""The innermost of a route: the action, or the function that stands in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any

from tautomer.context import CallOptions
from tautomer.errors import RequestTimeoutError
from tautomer.retrying import fall_back
from tautomer.web.answers.finishing import Finish
from tautomer.web.answers.reply import Unfinished, build_reply
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import RouteSettings

__all__ = ["answer", "call_handler", "call_options", "function_handler", "made_of"]

_NOTHING_DECLARED: Mapping[str, Any] = {}


def call_handler(route: RouteSettings, finish: Finish, node_id: str | None = None) -> Handler:
    """Call the action with the options of the route, run `onAfterCall`, make the reply.

    Args:
        node_id: The only node that is asked, whatever the route says.
    """
    given = call_options(route)
    if node_id is not None:
        given["node_id"] = node_id
    # A hook looks at the result, so it must not come as bytes.
    may_be_raw = route.on_after_call is None

    async def handle(exchange: Exchange) -> Reply:
        ctx, alias, offer = exchange.ctx, exchange.alias, exchange.offer
        raw = may_be_raw and not offer.local
        try:
            result = await ctx.broker.call_nested(ctx, alias.action, ctx.params, given.copy(), raw)
        except asyncio.CancelledError:
            # An action of this node whose time is over is not ended by the call, but by the server.
            request = exchange.request
            if "fallback_response" not in given or not request.late or not request.take_cancel_back():
                raise
            error = RequestTimeoutError(alias.action)
            result = await fall_back(given["fallback_response"], ctx, error, alias.action)
        if not may_be_raw:
            return await answer(route, exchange, result, offer.reply, finish)
        try:  # As `made_of`, which costs one more coroutine.
            return build_reply(result, ctx._meta, offer.reply, alias.action)
        except Unfinished as unfinished:
            return await finish(unfinished, exchange)

    return handle


def function_handler(route: RouteSettings, function: Callable[..., Any], finish: Finish) -> Handler:
    """Call the function that an alias leads to, with the request. What it gives is taken as an action's result."""

    async def handle(exchange: Exchange) -> Reply:
        result = function(exchange.request)
        if isawaitable(result):
            result = await result
        return await answer(route, exchange, result, _NOTHING_DECLARED, finish)

    return handle


async def answer(
    route: RouteSettings, exchange: Exchange, result: Any, declared: Mapping[str, Any], finish: Finish
) -> Reply:
    """Run `onAfterCall`, and make the reply."""
    after = route.on_after_call
    if after is not None:
        changed = after(exchange.ctx, route, exchange.request, result, exchange.alias)
        if isawaitable(changed):
            changed = await changed
        if changed is not None:
            result = changed
    return await made_of(result, exchange, finish, declared)


async def made_of(
    result: Any, exchange: Exchange, finish: Finish, declared: Mapping[str, Any] = _NOTHING_DECLARED
) -> Reply:
    """The reply that a result becomes."""
    try:
        return build_reply(result, exchange.ctx._meta, declared, exchange.alias.action)
    except Unfinished as unfinished:
        return await finish(unfinished, exchange)


def call_options(route: RouteSettings) -> CallOptions:
    """What of the route's `callOptions` goes into the call itself."""
    options, given = route.call_options, CallOptions()
    if "timeout" in options:
        # Said once more for the call: it stands above the broker's own limit for local actions.
        given["timeout"] = options["timeout"]
    if "headers" in options:
        given["headers"] = options["headers"]
    if "node_id" in options:
        given["node_id"] = options["node_id"]
    if "retries" in options:
        given["retries"] = options["retries"]
    if "fallback_response" in options:
        given["fallback_response"] = options["fallback_response"]
    return given
