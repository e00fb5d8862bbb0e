"""Debounces: a listener hears the last of several events, once they have stopped (Moleculer protocol section 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import EventEndpoint
from tautomer.resilience.pace import Debounce

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.service import Service


class Debounces(Middleware):
    """Lets a listener marked with ``debounce=`` hear an event when none has followed for so many seconds.

    Whoever emitted it does not wait for that. An event that is still held back when its service stops is heard then:
    none can follow any more.
    """

    sees_results = False

    def __init__(self) -> None:
        self._broker: Broker | None = None
        self._scope = TaskScope("debounce")
        self._holding: dict[_Listener, asyncio.Task[Any]] = {}
        self._stopping: set[str] = set()

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Handler:
        if not endpoint.debounce:
            return next_handler
        assert self._broker is not None
        clock, service = self._broker.clock, endpoint.service.full_name
        listener = _Listener(next_handler, endpoint)

        async def debounced(ctx: Context[Any]) -> None:
            if service in self._stopping:
                await next_handler(ctx)
            elif listener.debounce.push(ctx, clock()):
                self._holding[listener] = self._scope.spawn(self._later(listener), endpoint.name)

        return debounced

    async def _later(self, listener: _Listener) -> None:
        assert self._broker is not None
        clock, debounce = self._broker.clock, listener.debounce
        left = debounce.left(clock())
        while left > 0:  # What came meanwhile has put it off: one timer, however many come.
            await asyncio.sleep(left)
            left = debounce.left(clock())
        del self._holding[listener]
        listener.hear()

    async def service_stopping(self, service: Service) -> None:
        self._stopping.add(service.full_name)
        due = [one for one in self._holding if one.endpoint.service.full_name == service.full_name]
        for listener in due:
            self._holding.pop(listener).cancel()
        heard = [task for listener in due if (task := listener.hear()) is not None]
        await asyncio.gather(*heard, return_exceptions=True)

    async def service_stopped(self, service: Service) -> None:
        self._stopping.discard(service.full_name)

    async def broker_stopped(self, _broker: Broker) -> None:
        await self._scope.close(0)


class _Listener:
    """One listener, and the event that is held back from it."""

    __slots__ = ("_handler", "debounce", "endpoint")

    def __init__(self, handler: Handler, endpoint: EventEndpoint) -> None:
        self._handler = handler
        self.endpoint = endpoint
        self.debounce: Debounce[Context[Any]] = Debounce(endpoint.debounce)

    def hear(self) -> Awaitable[Any] | None:
        """What was held back is heard now, in a task of its own."""
        ctx = self.debounce.take()
        return None if ctx is None else self.endpoint.run(ctx, self._handler)
