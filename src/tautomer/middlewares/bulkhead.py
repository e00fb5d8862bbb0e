"""Bulkheads: how many calls of one action run at once on this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.errors import QueueIsFullError, RequestSkippedError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.resilience.adaptive import AdaptiveLimit
from tautomer.resilience.bulkhead import Bulkhead, Place
from tautomer.resilience.retry import is_repeated
from tautomer.settings import BulkheadSettings, chosen

if TYPE_CHECKING:
    from tautomer.broker import Broker

Waiting = asyncio.Future[bool]
"""Of one that waits: True when it is to run, False when its time is over."""


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
        broker, clock = self._broker, self._broker.clock
        concurrency, limit = settings.concurrency, None
        if not isinstance(concurrency, int):
            limit = AdaptiveLimit()
            concurrency = limit.limit
        bulkhead: Bulkhead[Waiting] = Bulkhead(concurrency, settings.max_queue_size)
        self.bulkheads[endpoint.name] = bulkhead
        inner = next_handler if limit is None else _measured(next_handler, bulkhead, limit, clock)
        queue = bulkhead.queue

        async def guarded(ctx: Context[Any]) -> Any:
            if bulkhead.running < bulkhead.concurrency:
                bulkhead.running += 1  # The usual way, without anybody to wait.
            else:
                await self._wait(bulkhead, ctx, broker, endpoint)
            try:
                return await inner(ctx)
            finally:
                if queue:
                    _pass_on(bulkhead, clock())
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

    async def _wait(self, bulkhead: Bulkhead[Waiting], ctx: Context[Any], broker: Broker, endpoint: Endpoint) -> None:
        """Wait for a place.

        Raises:
            QueueIsFullError: There is none.
            RequestSkippedError: None came free in time.
        """
        ticket: Waiting = asyncio.get_running_loop().create_future()
        deadline = inf if ctx.deadline is None else ctx.deadline
        place, late = bulkhead.enter(ticket, broker.clock(), deadline)
        _too_late(late)
        if place is Place.REFUSED:
            error = QueueIsFullError(endpoint.name, broker.node_id, size=bulkhead.waiting)
            error.retryable = not is_repeated(ctx._headers)
            raise error
        if place is Place.RUN:
            return
        try:
            if await ticket:
                return
        except asyncio.CancelledError:
            if (
                not bulkhead.withdraw(ticket, broker.clock())
                and ticket.done()
                and not ticket.cancelled()
                and ticket.result()
            ):
                _pass_on(bulkhead, broker.clock())  # It was called at the very moment: whoever is next has the place.
            raise
        raise RequestSkippedError(endpoint.name, broker.node_id)


def _pass_on(bulkhead: Bulkhead[Waiting], now: float) -> None:
    """One has ended: call whoever is next, and still there; more than one where the limit has grown."""
    called, late = bulkhead.leave(now)
    while True:
        _too_late(late)
        if called is None:
            return
        if called.done():  # It was cancelled, and has not got round to saying so.
            called, late = bulkhead.leave(now)
        else:
            called.set_result(True)
            called, late = bulkhead.call_next(now)


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


def _too_late(late: list[Waiting]) -> None:
    for ticket in late:
        if not ticket.done():
            ticket.set_result(False)
