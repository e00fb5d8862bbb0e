"""SocketMethods: what clients may call by WebSocket on this node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tautomer.web.sockets.marks import EXPECTED, SOCKET_STYLE

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.registry.endpoints import Endpoint

__all__ = ["SocketMethods"]


class SocketMethods:
    """Finds methods by ``service.method``, or by the bare name where only one service of the node has it."""

    __slots__ = ("_broker", "_found")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._found: dict[str, Endpoint | None] | None = None

    def find(self, name: str) -> Endpoint | None:
        """The action behind a name; None where there is none, or several have the bare name."""
        if self._found is None:
            self._found = self._all()
        return self._found.get(name)

    def forget(self) -> None:
        """The services of the node have changed."""
        self._found = None

    def expected(self, action: Endpoint) -> tuple[str, ...]:
        """Names of the exceptions that clients of a method are told of."""
        names = action.entry.get(EXPECTED) or ()
        return tuple(names) if isinstance(names, list | tuple) else ()

    @property
    def are_announced(self) -> bool:
        """Whether any service of the node has such methods, also one that is about to start."""
        return any(
            definition.binder is SOCKET_STYLE
            for service in self._broker.services
            for definition in service.action_defs()
        )

    def _all(self) -> dict[str, Endpoint | None]:
        found: dict[str, Endpoint | None] = {}
        bare: dict[str, Endpoint | None] = {}
        for endpoints in self._broker.registry.actions.values():
            for endpoint in endpoints.all:
                definition = endpoint.definition
                if endpoint.local and definition is not None and definition.binder is SOCKET_STYLE:
                    found[endpoint.name] = endpoint
                    bare[definition.name] = None if definition.name in bare else endpoint
        return {**bare, **found}
