"""Endpoints: an action or a subscription at one node, and the lists from which one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from tautomer.definitions import ActionDef
from tautomer.ports import Handler, Strategy
from tautomer.protocol.packets import timeout_seconds

if TYPE_CHECKING:
    from tautomer.context import Context
    from tautomer.registry.registry import ServiceEntry


class Endpoint:
    """One action at one node.

    Attributes:
        name: Full action name, such as ``"v2.users.get"``.
        node_id: Where it is.
        local: Whether that is this node.
        service: The service it belongs to.
        entry: The action as announced in INFO: `params`, `rest`, `visibility` and the rest.
        handler: The composed chain.
        definition: What the mark said; only for this node's own.
        timeout: Seconds that the action's own mark asks for, or None.
        closed: Whether other nodes may not call it: its visibility is ``protected`` or ``private``.
        available: False while it is not to be chosen.
    """

    __slots__ = (
        "available",
        "closed",
        "definition",
        "entry",
        "handler",
        "local",
        "name",
        "node_id",
        "service",
        "timeout",
    )

    def __init__(
        self,
        name: str,
        node_id: str,
        local: bool,
        service: ServiceEntry,
        entry: Mapping[str, Any],
        handler: Handler,
        definition: ActionDef | None = None,
    ) -> None:
        self.name = name
        self.node_id = node_id
        self.local = local
        self.service = service
        self.entry = entry
        self.handler = handler
        self.definition = definition
        self.timeout = timeout_seconds(entry.get("timeout")) or None
        self.closed = self.visibility in ("protected", "private")
        self.available = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.node_id}>"

    @property
    def visibility(self) -> str:
        """Who may call. What another node wrote and is no text counts as ``private``."""
        written = self.entry.get("visibility") or "published"
        return written if isinstance(written, str) else "private"


class EventEndpoint(Endpoint):
    """One subscription at one node. `name` is the pattern, `handler` tells all its methods."""

    __slots__ = ("group", "params", "plain")

    def __init__(
        self,
        name: str,
        node_id: str,
        local: bool,
        service: ServiceEntry,
        entry: Mapping[str, Any],
        handler: Handler,
        group: str,
        plain: Callable[[Any], Any] | None = None,
        params: Any = None,
    ) -> None:
        super().__init__(name, node_id, local, service, entry, handler)
        self.group = group
        self.params = params
        # A listener that is a plain function with nothing around it is called at once, without a task.
        self.plain = plain


class EndpointList:
    """All endpoints of one action, and the choice among them.

    Attributes:
        local: This node's own endpoint, or None.
        only: The endpoint to take without asking the strategy, or None. It is what makes the usual
            call one attribute read: a single one, or the single local one where local is preferred.
    """

    __slots__ = ("_all", "_prefer_local", "_ready", "_strategy", "local", "name", "only")

    def __init__(self, name: str, strategy: Strategy, prefer_local: bool) -> None:
        self.name = name
        self._strategy = strategy
        # Internal actions are this node's own, whatever is preferred (protocol section 5.1).
        self._prefer_local = prefer_local or name.startswith("$")
        self._all: tuple[Endpoint, ...] = ()
        self._ready: tuple[Endpoint, ...] = ()
        self.local: Endpoint | None = None
        self.only: Endpoint | None = None

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> tuple[Endpoint, ...]:
        return self._all

    def on_node(self, node_id: str) -> Endpoint | None:
        """The one at that node, or None."""
        return next((endpoint for endpoint in self._all if endpoint.node_id == node_id), None)

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or put it in the place of its node's older one."""
        places = {known.node_id: known for known in self._all}
        places[endpoint.node_id] = endpoint
        self._all = tuple(places.values())
        self.refresh()

    def remove(self, node_id: str) -> None:
        """Forget the node's endpoint."""
        self._all = tuple(endpoint for endpoint in self._all if endpoint.node_id != node_id)
        self.refresh()

    def refresh(self) -> None:
        """Work out anew who is ready; to be called after any change of `Endpoint.available`."""
        ready = tuple(endpoint for endpoint in self._all if endpoint.available)
        self.local = next((endpoint for endpoint in self._all if endpoint.local), None)
        if self._prefer_local:
            ready = tuple(endpoint for endpoint in ready if endpoint.local) or ready
        self._ready = ready
        self.only = ready[0] if len(ready) == 1 else None

    def next_except(self, ctx: Context[Any] | None, node_ids: Collection[str]) -> Endpoint | None:
        """The endpoint for a call that these nodes would not have, or None if no other is ready."""
        others = tuple(one for one in self._all if one.available and one.node_id not in node_ids)
        return self._strategy.select(others, ctx) if others else None

    def next(self, ctx: Context[Any] | None) -> Endpoint | None:
        """The endpoint for this call, or None if none is ready."""
        if self.only is not None:
            return self.only
        return self._strategy.select(self._ready, ctx) if self._ready else None
