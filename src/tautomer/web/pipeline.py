"""The stages of a route, in THE ORDER, folded into one handler when the route is made.

A stage is a handler in, a handler out (`Stage`). One that is off is not in the chain, so no line here
asks whether a feature is on. A stage with nothing to wait for is a plain function that returns what the
next one returns: it then costs a call, not a coroutine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import reduce
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from tautomer.context import CallOptions, Context
from tautomer.errors import ServiceNotFoundError, ServiceUnavailableError
from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.web.message import Reply, Request
from tautomer.web.params import merged_params, separate_params
from tautomer.web.reply import build_reply
from tautomer.web.reply_stream import StreamBody
from tautomer.web.settings import Hook, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Exchange", "Handler", "Offer", "Stage", "compose", "is_plain", "pipeline"]

_PLAIN: Mapping[str, Any] = {}


class Offer:
    """What the mesh offers under one action name, as far as a gateway must know; valid for one set of endpoints.

    Attributes:
        endpoints: The set; another tuple means that this is stale.
        published: Whether every endpoint lets gateways in. One that does not shuts the door for all, as
            nobody knows which of them would be asked.
        local: Whether this node has one.
        reply: `responseType` and `responseHeaders` of the action; empty if it has neither.
    """

    __slots__ = ("endpoints", "local", "published", "reply")

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.endpoints = endpoints
        self.published = all(endpoint.visibility == "published" for endpoint in endpoints)
        self.local = any(endpoint.local for endpoint in endpoints)
        entry = endpoints[0].entry
        wanted = {key: entry[key] for key in ("responseType", "responseHeaders") if entry.get(key)}
        self.reply: Mapping[str, Any] = wanted or _PLAIN


class Exchange(msgspec.Struct, eq=False):
    """One request on its way through a route.

    Attributes:
        request: What was asked.
        alias: What it matched.
        id: Of the gateway's own context, the root of all calls made for the request.
        values: Values of the path; None for a path without any.
        ctx: The root of all calls made for it; from the params stage on. ``ctx.params`` is what the action gets.
            On the quick way it is the action's own, and the root has an id only.
        offer: What the mesh offers; from the resolve stage on.
    """

    request: Request
    alias: Any  # An `Alias`; the record is checked by its maker, not by msgspec.
    id: str
    values: dict[str, str] | None = None
    ctx: Any = None
    offer: Any = None


Handler: TypeAlias = "Callable[[Exchange], Awaitable[Reply]]"
Stage: TypeAlias = "Callable[[Handler], Handler]"

Failed: TypeAlias = "Callable[[Exchange, BaseException], Awaitable[Reply]]"
"""Makes the reply to an error; raises it where the request was cancelled."""

# What ends a request and not the node: who wants to end the process from inside a handler fails in that call.
_FAILURES: Final = (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt)


def compose(stages: list[Stage], handler: Handler) -> Handler:
    """Fold the stages around the handler; the first in the list is the outermost."""
    return reduce(lambda inner, stage: stage(inner), reversed(stages), handler)


def pipeline(
    route: RouteSettings, broker: Broker, caller: Endpoint, timeout: float, failed: Failed, *, permitted: bool
) -> Handler:
    """The handler of one route: moleculer-web's real order (gateway reference, section 3).

    Args:
        caller: Stands for the gateway itself in contexts: the callee sees its service as the caller.
        timeout: Seconds a request may take; 0 for no end.
        failed: Told of every error.
        permitted: Whether it is for what the route's lists let through, or for what they do not.
    """
    given = _call_options(route)
    stages: list[Stage | None] = [
        # Body, query and path; first, as every later stage may look at `ctx.params`. (CORS will stand
        # around it, so that its refusals have the headers too.)
        params_stage(route, broker, caller),
        # Before anything that costs or tells: what the lists forbid looks as if it did not exist.
        None if permitted else refuse_stage,
        # (Rate limit: here, so that it counts failed logins.)
        # Before the hooks, as moleculer-web: 503 and 404 are known before authentication runs.
        resolve_stage(broker.registry.actions),
        # Before authentication, which may need what the hook put into `ctx.meta`.
        before_stage(route, route.on_before_call) if route.on_before_call else None,
        # (Authentication, authorization, middlewares of the alias: here.)
    ]
    chain = [stage for stage in stages if stage is not None]
    guard = guard_stage(broker.clock, timeout, failed)
    handler = compose([guard, *chain], call_handler(route, given))
    if permitted and is_plain(route) and not broker.calls_wrapped and broker.settings.max_call_level != 1:
        return quick_handler(route, broker, caller, timeout, failed, handler)
    return handler


def is_plain(route: RouteSettings) -> bool:
    """Whether a route asks for params and a call only: then there are shorter ways than through its stages."""
    return route.on_before_call is None and route.on_after_call is None and not route.call_options


def guard_stage(clock: Callable[[], float], timeout: float, failed: Failed) -> Stage:
    """Around all others: the end of the request's time, and an answer to every error."""

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            request = exchange.request
            if timeout:
                request.ends = clock() + timeout
            try:
                reply = await call_next(exchange)
            except _FAILURES as error:
                return await failed(exchange, error)
            request.ends = None
            if request.late:
                request.take_cancel_back()
            return reply

        return handle

    return stage


def quick_handler(
    route: RouteSettings, broker: Broker, caller: Endpoint, timeout: float, failed: Failed, otherwise: Handler
) -> Handler:
    """Guard, params, resolve and call in one, for routes that ask for nothing more: a sixth cheaper for a request.

    The action's context is made at once, as a child of the gateway's, which is not made at all: nobody looks at it.

    Args:
        otherwise: The stages, for whatever is not as usual: what the mesh offers has changed since the last look,
            or there are several to choose from.
    """
    read = merged_params if route.merge_params else separate_params
    parsers = route.body_parsers
    actions = broker.registry.actions
    clock = broker.clock
    own_service = caller.service.full_name

    async def handle(exchange: Exchange) -> Reply:
        alias = exchange.alias
        offer = alias.offer
        found = actions.get(alias.action)
        if (
            found is None
            or offer is None
            or offer.endpoints is not found.all
            or not offer.published
            or (endpoint := found.only) is None
        ):
            return await otherwise(exchange)
        request = exchange.request
        if timeout:
            request.ends = clock() + timeout
        try:
            ctx: Context[Any] = Context(
                broker,
                read(request, exchange.values, parsers),
                endpoint,
                None,
                None,
                None,
                None,
                2,
                None,
                request.ends,
                None,
                None,
                None,
                request.id,
                exchange.id,
                own_service,
            )
            ctx.raw = not endpoint.local
            exchange.ctx = ctx
            reply = build_reply(await endpoint.handler(ctx), ctx._meta, offer.reply, alias.action)
        except _FAILURES as error:
            return await failed(exchange, error)
        request.ends = None
        if request.late:
            request.take_cancel_back()
        return reply

    return handle


def params_stage(route: RouteSettings, broker: Broker, caller: Endpoint) -> Stage:
    """Make the context, with the params of the request."""
    read = merged_params if route.merge_params else separate_params
    parsers = route.body_parsers
    meta = route.call_options.get("meta")

    def stage(call_next: Handler) -> Handler:
        def handle(exchange: Exchange) -> Awaitable[Reply]:
            request = exchange.request
            exchange.ctx = Context(
                broker,
                read(request, exchange.values, parsers),
                caller,
                _meta=dict(meta) if meta else None,
                deadline=request.ends,
                _id=exchange.id,
                _request_id=request.id,
            )
            return call_next(exchange)

        return handle

    return stage


def refuse_stage(_call_next: Handler) -> Handler:
    """Refuse what whitelist, blacklist and the doors that are always shut do not let through."""

    def handle(exchange: Exchange) -> Awaitable[Reply]:
        raise ServiceNotFoundError(exchange.alias.action)

    return handle


def resolve_stage(actions: Mapping[str, EndpointList]) -> Stage:
    """Find who serves the action. Nobody: 503 for an alias, 404 for a path that names the action itself."""

    def stage(call_next: Handler) -> Handler:
        def handle(exchange: Exchange) -> Awaitable[Reply]:
            alias = exchange.alias
            found = actions.get(alias.action)
            # `only` is set in the usual case, and then it is available.
            if found is None or (found.only is None and not any(endpoint.available for endpoint in found.all)):
                if alias.direct:
                    raise ServiceNotFoundError(alias.action)
                raise ServiceUnavailableError()
            endpoints = found.all
            offer = alias.offer
            if offer is None or offer.endpoints is not endpoints:
                offer = alias.offer = Offer(endpoints)
            if not offer.published:
                raise ServiceNotFoundError(alias.action)
            exchange.offer = offer
            return call_next(exchange)

        return handle

    return stage


def before_stage(route: RouteSettings, hook: Hook) -> Stage:
    """Run `onBeforeCall`."""

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            told = hook(exchange.ctx, route, exchange.request)
            if isawaitable(told):
                await told
            return await call_next(exchange)

        return handle

    return stage


def call_handler(route: RouteSettings, given: CallOptions) -> Handler:
    """The innermost: call the action with the options of the route, run `onAfterCall`, make the reply."""
    after = route.on_after_call
    # A hook looks at the result, so it must not come as bytes.
    may_be_raw = after is None

    async def handle(exchange: Exchange) -> Reply:
        ctx, alias, offer = exchange.ctx, exchange.alias, exchange.offer
        raw = may_be_raw and not offer.local
        result = await ctx.broker.call_nested(ctx, alias.action, ctx.params, given.copy(), raw)
        if after is not None:
            changed = after(ctx, route, exchange.request, result)
            if isawaitable(changed):
                changed = await changed
            if changed is not None:
                result = changed
        reply = build_reply(result, ctx._meta, offer.reply, alias.action)
        if type(reply.body) is StreamBody:
            await reply.body.begin()
        return reply

    return handle


def _call_options(route: RouteSettings) -> CallOptions:
    """What of the route's `callOptions` goes into the call itself."""
    options, given = route.call_options, CallOptions()
    if "timeout" in options:
        # Said once more for the call: it stands above the broker's own limit for local actions.
        given["timeout"] = options["timeout"]
    if "headers" in options:
        given["headers"] = options["headers"]
    if "node_id" in options:
        given["node_id"] = options["node_id"]
    return given
