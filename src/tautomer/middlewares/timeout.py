"""Timeout of local actions, where somebody set one (architecture §8)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.errors import RequestTimeoutError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint

if TYPE_CHECKING:
    from tautomer.broker import Broker


async def within(seconds: float, handler: Handler, ctx: Context[Any], endpoint: Endpoint) -> Any:
    """Run the handler for so long at most, and cancel it then.

    Raises:
        RequestTimeoutError: It was not done in time.
    """
    broker = ctx.broker
    ends = broker.clock() + seconds
    if ctx.deadline is None or ends < ctx.deadline:
        ctx.deadline = ends
    if seconds < SHORT:
        return await _within_short(seconds, handler, ctx, endpoint)
    deadlines = broker.deadlines
    watch = deadlines.watch(ends)
    try:
        result = await handler(ctx)
    except asyncio.CancelledError as error:
        if deadlines.over(watch):
            raise RequestTimeoutError(endpoint.name, endpoint.node_id) from error
        raise
    except BaseException:
        deadlines.over(watch)
        raise
    deadlines.over(watch)
    return result


async def _within_short(seconds: float, handler: Handler, ctx: Context[Any], endpoint: Endpoint) -> Any:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await handler(ctx)
    except TimeoutError as error:
        if not limit.expired():
            raise  # The handler's own.
        raise RequestTimeoutError(endpoint.name, endpoint.node_id) from error


SHORT: Final = 1.0
"""Seconds under which a timeout has a timer of its own: it would be a good part of them too late."""


class Timeout(Middleware):
    """Limits local actions to the time in their mark, or else to the broker's, if one was set."""

    def __init__(self, request_timeout: float | None) -> None:
        self._request_timeout = request_timeout

    async def broker_stopped(self, broker: Broker) -> None:
        broker.deadlines.close()

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        definition = endpoint.definition
        own = None if definition is None else definition.timeout
        seconds = self._request_timeout if own is None else own
        if not seconds or endpoint.name.startswith("$"):
            return next_handler
        limit = seconds

        def timed(ctx: Context[Any]) -> Coroutine[Any, Any, Any]:
            # A call that was given a time of its own is held to that by whoever gave it: the
            # caller's option, or the REQ of another node (protocol section 3.4).
            if ctx.node_id is not None or (ctx._extras is not None and ctx.timeout is not None):
                return next_handler(ctx)
            return within(limit, next_handler, ctx, endpoint)

        return timed
