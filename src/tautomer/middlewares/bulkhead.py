"""Bulkheads: how many calls of one action run at once on this node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.middleware import Middleware
from tautomer.places import Places, Waiting
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint, EventEndpoint
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
        bulkhead: Bulkhead[Waiting] = Bulkhead(settings.concurrency, settings.max_queue_size)
        self.bulkheads[endpoint.name] = bulkhead
        places = Places(bulkhead, self._broker.node_id, self._broker.clock)

        async def guarded(ctx: Context[Any]) -> Any:
            if bulkhead.has_room:
                bulkhead.running += 1  # The usual way, without anybody to wait.
            else:
                await places.enter(endpoint.name, ctx.deadline, ctx.node_id and ctx.id)
            try:
                return await next_handler(ctx)
            finally:
                places.leave()

        return guarded
