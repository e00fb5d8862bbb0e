"""Bulkheads: how many calls of one action run at once on this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.middleware import Middleware
from tautomer.places import Asked, Places, Waiting
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.resilience.adaptive import AdaptiveLimit
from tautomer.resilience.bulkhead import Bulkhead
from tautomer.settings import BulkheadSettings, chosen

if TYPE_CHECKING:
    from tautomer.broker import Broker


class Bulkheads(Middleware):
    """Lets so many calls of an action in, has so many wait, and refuses the rest.

    Attributes:
        bulkheads: By action, and by pattern of listeners.
    """

    sees_results = False

    def __init__(self, settings: BulkheadSettings) -> None:
        self._settings = settings
        self._broker: Broker | None = None
        self.bulkheads: dict[str, Bulkhead[Waiting]] = {}

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        own = None if endpoint.definition is None else endpoint.definition.extra.get("bulkhead")
        return self._around(next_handler, endpoint, own)

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Handler:
        return self._around(next_handler, endpoint, endpoint.entry.get("bulkhead"))

    def _around(self, next_handler: Handler, endpoint: Endpoint, own: object) -> Handler:
        settings = chosen(self._settings, own, f"bulkhead of '{endpoint.name}'")
        if not settings.enabled or endpoint.name.startswith("$"):
            return next_handler
        assert self._broker is not None
        clock = self._broker.clock
        concurrency, limit = settings.concurrency, None
        if not isinstance(concurrency, int):
            limit = AdaptiveLimit()
            concurrency = limit.limit
        bulkhead: Bulkhead[Waiting] = Bulkhead(concurrency, settings.max_queue_size)
        self.bulkheads[endpoint.name] = bulkhead
        inner = next_handler if limit is None else _measured(next_handler, bulkhead, limit, clock)
        queue, places = bulkhead.queue, Places(bulkhead, self._broker.node_id, clock)

        async def guarded(ctx: Context[Any]) -> Any:
            if bulkhead.running < bulkhead.concurrency:
                bulkhead.running += 1  # The usual way, without anybody to wait.
            else:
                await places.enter(endpoint.name, ctx.deadline, Asked.by(ctx))
            try:
                return await inner(ctx)
            finally:
                if queue:
                    places.leave()
                else:
                    bulkhead.running -= 1

        return guarded

    def statistics(self) -> dict[str, dict[str, int]]:
        """How each stands: who runs, who waits, and how many were turned away so far."""
        return {
            name: {
                "concurrency": one.concurrency,
                "running": one.running,
                "waiting": one.waiting,
                "refused": one.refused,
                "expired": one.expired,
            }
            for name, one in self.bulkheads.items()
        }


def _measured(
    handler: Handler, bulkhead: Bulkhead[Waiting], limit: AdaptiveLimit, clock: Callable[[], float]
) -> Handler:
    """Tell the limit how long each took, and the bulkhead what follows from it."""

    def ended(began: float) -> None:
        now = clock()
        limit.ended(now - began, now, bulkhead.running)
        bulkhead.concurrency = limit.limit

    async def measured(ctx: Context[Any]) -> Any:
        began = clock()
        try:
            result = await handler(ctx)
        except asyncio.CancelledError:
            if ctx.deadline is not None and ctx.deadline <= clock():
                ended(began)  # What is not done in time is the slowest of all.
            raise
        ended(began)
        return result

    return measured
