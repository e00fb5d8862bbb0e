"""Throttles: a listener hears one event, and then none for a while (Moleculer protocol section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import EventEndpoint
from tautomer.resilience.pace import Throttle

if TYPE_CHECKING:
    from tautomer.broker import Broker


class Throttles(Middleware):
    """Lets a listener marked with ``throttle=`` hear at most one event in so many seconds: the first. The others are lost."""

    sees_results = False

    def __init__(self) -> None:
        self._broker: Broker | None = None

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Handler:
        if not endpoint.throttle:
            return next_handler
        assert self._broker is not None
        clock, throttle = self._broker.clock, Throttle(endpoint.throttle)

        async def throttled(ctx: Context[Any]) -> None:
            if throttle.admits(clock()):
                await next_handler(ctx)

        return throttled
