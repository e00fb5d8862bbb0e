"""Calling: from a name and options to a context, an endpoint and its chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from tautomer.context import CallDef, CallOptions, Context
from tautomer.errors import (
    MaxCallLevelError,
    MoleculerServerError,
    RequestSkippedError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
)
from tautomer.hedging import Attempt, Hedging
from tautomer.middleware import Middleware, compose, compose_verb, overridden
from tautomer.middlewares.bulkhead import Bulkheads
from tautomer.middlewares.circuit_breaker import CircuitBreakers
from tautomer.middlewares.timeout import within
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import Registry
from tautomer.retrying import Retrying
from tautomer.settings import Settings
from tautomer.stream import OwnStream, closing

if TYPE_CHECKING:
    from tautomer.transit.transit import Transit


class Calling:
    """Calls of one node, wherever they lead.

    Attributes:
        verb: `whole` with the middlewares' `call` hooks around it.
        wrapped: Whether there are any, or calls may be made more than once.
        hedging: Calls that ask several nodes.
    """

    def __init__(
        self,
        broker: Any,
        registry: Registry,
        middlewares: Sequence[Middleware],
        ring: Sequence[Middleware],
        settings: Settings,
    ) -> None:
        self._broker = broker
        self._node_id = registry.local_node.id
        self._actions = registry.actions
        self._level_max = settings.max_call_level or inf
        host, actions = broker.host, registry.actions
        circuits = next(one for one in ring if isinstance(one, CircuitBreakers))
        self._bulkheads = next(one for one in ring if isinstance(one, Bulkheads))
        self.hedging = Hedging(settings.hedge, host, actions, self._begin, circuits.are_closed)
        self._retrying = Retrying(
            settings.retry_policy, host, actions, self._once, self.hedging, settings.hedge.enabled
        )
        self.verb = compose_verb(middlewares, "call", self.whole)
        self.wrapped = self.verb != self.whole or self._retrying.always

    async def nested(
        self, parent: Context[Any], action: str, params: Any, options: CallOptions, raw: bool = False
    ) -> Any:
        """`ctx.call`: a call as a part of another. `raw` is the option of that name, for the gateway's quick way."""
        if options or self.wrapped:
            options["parent"] = parent
            if raw:
                options["raw"] = raw
            return await self.verb(action, params, options)
        endpoints = self._actions.get(action)
        if endpoints is None or (endpoint := endpoints.only) is None:
            return await self.whole(action, params, {"parent": parent, "raw": raw})
        level, deadline = parent.level, parent.deadline
        if level >= self._level_max or deadline is not None:
            self._check_parent(parent, action)
        ctx: Context[Any] = Context(
            self._broker,
            {} if params is None else params,
            endpoint,
            None,
            None,
            parent,
            level + 1,
            parent._meta.copy() if parent._meta else None,
            deadline,
            parent.tracing,
            raw,
        )
        handler = endpoint.handler
        try:
            return await handler(ctx)
        finally:
            # Meta comes back on success and on error (protocol section 7.4).
            if ctx._meta:
                parent.meta.update(ctx._meta)

    async def whole(self, action: str, params: Any, options: CallOptions) -> Any:
        """A call with any option and any number of endpoints."""
        if self._retrying.concerns(action, options):
            return await self._retrying.call(action, params, options)
        return await self._once(action, params, options)

    async def _once(self, action: str, params: Any, options: CallOptions) -> Any:
        """One attempt."""
        parent = options.get("parent")
        ctx = self._child(parent, action, params, options)
        node_id = options.get("node_id")
        endpoint = ctx.endpoint = self._pick(action, ctx, node_id)
        if node_id is not None:
            ctx._tried = ()  # Asked for by name: no other will do.
        if (timeout := options.get("timeout")) is not None:
            ctx.timeout = timeout
        try:
            return await _ask(endpoint, ctx)
        finally:
            if parent is not None and ctx._meta:
                parent.meta.update(ctx._meta)

    def _begin(self, action: str, params: Any, options: CallOptions, nodes: list[str]) -> Attempt:
        """One attempt of several at the same time: at none of these nodes, to which its own is added."""
        ctx = self._child(options.get("parent"), action, params, options)
        endpoint: Endpoint | None
        if nodes:
            endpoint = self._actions[action].at_one_node(ctx, nodes)
            if endpoint is None:
                raise ServiceNotAvailableError(action)
            ctx._tried = ()  # The others are asked already, or will be.
        else:
            endpoint = self._pick(action, ctx, None)
        ctx.endpoint, ctx.timeout = endpoint, options.get("timeout")
        nodes.append(endpoint.node_id)
        return Attempt(ctx, _ask(endpoint, ctx))

    def statistics(self) -> dict[str, dict[str, Any]]:
        """How the bulkheads stand, and attempts beside the first of each call, so far."""
        retrying, hedging = self._retrying, self.hedging
        return {
            "bulkheads": self._bulkheads.statistics(),
            "retries": {"attempts": retrying.attempts, "budget_exhausted": retrying.exhausted},
            "hedges": {"attempts": hedging.extra, "won": hedging.won},
        }

    async def many(self, calls: Sequence[CallDef] | Mapping[str, CallDef], settled: bool, options: CallOptions) -> Any:
        """`mcall`: several at once, results in the shape of `calls`."""
        if isinstance(calls, Mapping):
            keys: list[str] | None = list(calls)
            listed = list(calls.values())
        elif isinstance(calls, list | tuple):
            keys, listed = None, list(calls)
        else:
            raise MoleculerServerError("mcall takes a list or a dict of calls", 500, "INVALID_PARAMETERS")
        coroutines = [self._one_of_many(one, options) for one in listed]
        results = await asyncio.gather(*coroutines, return_exceptions=settled)
        if keys is not None:
            return {k: r for k, r in zip(keys, results, strict=True) if not isinstance(r, BaseException)}
        if not settled:
            return results
        return [
            {"status": "rejected", "reason": r} if isinstance(r, BaseException) else {"status": "fulfilled", "value": r}
            for r in results
        ]

    async def _one_of_many(self, one: CallDef, options: CallOptions) -> Any:
        merged: CallOptions = {**options, **one.get("options", {})}
        return await self.verb(one["action"], one.get("params"), merged)

    def _child(self, parent: Context[Any] | None, action: str, params: Any, options: CallOptions) -> Context[Any]:
        ctx: Context[Any] = Context(self._broker, {} if params is None else params)
        if parent is not None:
            self._check_parent(parent, action)
            ctx.parent, ctx.level, ctx.deadline = parent, parent.level + 1, parent.deadline
            ctx.tracing = parent.tracing
            ctx._meta = parent.copy_meta()
        if meta := options.get("meta"):
            ctx.meta.update(meta)
        if headers := options.get("headers"):
            ctx._headers = dict(headers)
        if request_id := options.get("request_id"):
            ctx._request_id = request_id
        if (stream := options.get("stream")) is not None:
            ctx.stream = OwnStream(stream)
        ctx.raw = options.get("raw", False)
        return ctx

    def _check_parent(self, parent: Context[Any], action: str) -> None:
        if parent.level >= self._level_max:
            raise MaxCallLevelError(self._node_id, parent.level)
        if parent.deadline is not None and parent.deadline <= self._broker.clock():
            raise RequestSkippedError(action, self._node_id)

    def _pick(self, action: str, ctx: Context[Any], node_id: str | None) -> Endpoint:
        endpoints = self._actions.get(action)
        if endpoints is None:
            raise ServiceNotFoundError(action, node_id)
        if node_id is None:
            # All parts of a stream must reach the same node.
            endpoint = endpoints.next(ctx) if ctx.stream is None else endpoints.at_one_node(ctx)
            if endpoint is None:
                raise ServiceNotAvailableError(action)
            return endpoint
        endpoint = endpoints.on_node(node_id)
        if endpoint is None:
            raise ServiceNotFoundError(action, node_id)
        if not endpoint.available:
            raise ServiceNotAvailableError(action, node_id)
        return endpoint


def _ask(endpoint: Endpoint, ctx: Context[Any]) -> Awaitable[Any]:
    """Run the chain of an endpoint, within the time that the context was given."""
    handler = closing(endpoint.handler) if endpoint.local and ctx.stream is not None else endpoint.handler
    return within(ctx.timeout, handler, ctx, endpoint) if ctx.timeout and endpoint.local else handler(ctx)


def remote_chain(ring: Sequence[Middleware], transit: Transit, endpoint: Endpoint) -> Handler:
    """The handler of an endpoint at another node; what wraps it is composed at the first call (architecture §6)."""

    request: Handler = partial(transit.request, endpoint)
    wrapping = [
        middleware
        for middleware in ring
        if overridden(middleware, "remote_action")
        and (not isinstance(middleware, CircuitBreakers) or middleware.concerns(endpoint))
    ]
    if not wrapping:
        return request
    decode = any(middleware.sees_results for middleware in wrapping)
    composing = asyncio.Lock()

    async def compose_then_call(ctx: Context[Any]) -> Any:
        # Calls that come while an async hook is awaited must not compose a second chain.
        async with composing:
            if endpoint.handler is compose_then_call:
                composed = await compose(ring, "remote_action", request, endpoint)
                # Who wraps the call to see its result cannot be given it raw.
                endpoint.handler = _decoded(composed) if decode and composed is not request else composed
        return await endpoint.handler(ctx)

    return compose_then_call


def _decoded(handler: Handler) -> Handler:
    async def call(ctx: Context[Any]) -> Any:
        ctx.raw = False
        return await handler(ctx)

    return call
