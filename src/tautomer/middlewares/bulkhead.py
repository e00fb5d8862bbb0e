"""Bulkheads: how many calls of one action run at once on this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
    """Lets so many calls of an action in, has so many wait, and refuses the rest; and so for all of a service.

    Attributes:
        bulkheads: By action, and by pattern of listeners; by service, where these have a limit.
    """

    sees_results = False

    def __init__(self, settings: BulkheadSettings, max_workers: int = 0) -> None:
        self._settings = settings
        self._max_workers = max_workers
        self._broker: Broker | None = None
        self._of_services: dict[str, Places] = {}
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
        if endpoint.name.startswith("$") or endpoint.service.name.startswith("$"):
            return next_handler
        # Further in than the action's own: who waits for its turn there has no place of the service.
        inner = next_handler if not self._max_workers else self._in_service(next_handler, endpoint)
        if not settings.enabled:
            return inner
        assert self._broker is not None
        clock = self._broker.clock
        concurrency, limit = settings.concurrency, None
        if not isinstance(concurrency, int):
            limit = AdaptiveLimit()
            concurrency = limit.limit
        bulkhead: Bulkhead[Waiting] = Bulkhead(concurrency, settings.max_queue_size)
        self.bulkheads[endpoint.name] = bulkhead
        if limit is not None:
            inner = _measured(inner, bulkhead, limit, clock)
        return _guarded(inner, endpoint.name, Places(bulkhead, self._broker.node_id, clock))

    def _in_service(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        """Let in as many as the service has workers. What a call of the service asks of its own service has a place
        already: to wait for another would be to wait for ever, once all have one."""
        service = endpoint.service
        places = self._of_services.get(service.full_name)
        if places is None:
            assert self._broker is not None
            bulkhead: Bulkhead[Waiting] = Bulkhead(self._max_workers, self._settings.max_queue_size)
            places = Places(bulkhead, self._broker.node_id, self._broker.clock)
            self._of_services[service.full_name], self.bulkheads[service.full_name] = places, bulkhead
        guarded = _guarded(next_handler, endpoint.name, places)

        def in_service(ctx: Context[Any]) -> Coroutine[Any, Any, Any]:
            parent = ctx.parent
            while parent is not None:
                if parent.endpoint is not None and parent.endpoint.service is service:
                    return next_handler(ctx)
                parent = parent.parent
            return guarded(ctx)

        return in_service

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


def _guarded(handler: Handler, name: str, places: Places) -> Handler:
    """Run it when there is a place."""
    bulkhead = places.bulkhead
    queue = bulkhead.queue

    async def guarded(ctx: Context[Any]) -> Any:
        if bulkhead.running < bulkhead.concurrency:
            bulkhead.running += 1  # The usual way, without anybody to wait.
        else:
            await places.enter(name, ctx.deadline, Asked.by(ctx))
        try:
            return await handler(ctx)
        finally:
            if queue:
                places.leave()
            else:
                bulkhead.running -= 1

    return guarded


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
