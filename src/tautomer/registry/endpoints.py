"""Endpoints: an action or a subscription at one node, and the lists from which one is chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from tautomer.definitions import ActionDef
from tautomer.ports import Handler, Strategy
from tautomer.protocol.packets import timeout_seconds

if TYPE_CHECKING:
    from tautomer.context import Context
    from tautomer.registry.nodes import Node
    from tautomer.registry.registry import ServiceEntry


class Endpoint:
    """One action at one node.

    Attributes:
        name: Full action name, such as ``"v2.users.get"``.
        node_id: Where it is.
        node: What is known of that node; None until the registry has it.
        local: Whether that is this node.
        service: The service it belongs to.
        entry: The action as announced in INFO: `params`, `rest`, `visibility` and the rest.
        handler: The composed chain.
        definition: What the mark said; only for this node's own.
        timeout: Seconds that the action's own mark asks for, or None.
        closed: Whether other nodes may not call it: its visibility is ``protected`` or ``private``.
        available: False while it is not to be chosen.
        own_tasks: How many more requests for it get a task each, as one of them waited for something (see `Shift`).
        strategy: What makes the strategy of its list, where its own definition says so.
        repeated: Whether it asks for calls that failed, or take long, to be made again.
    """

    __slots__ = (
        "available",
        "closed",
        "definition",
        "entry",
        "handler",
        "local",
        "name",
        "node",
        "node_id",
        "own_tasks",
        "repeated",
        "service",
        "strategy",
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
        self.own_tasks = 0
        self.repeated = any(entry.get(own) not in (None, False) for own in ("retryPolicy", "hedge"))
        self.node: Node | None = None
        self.strategy: Callable[[], Strategy] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.node_id}>"

    @property
    def visibility(self) -> str:
        """Who may call. What another node wrote and is no text counts as ``private``."""
        written = self.entry.get("visibility") or "published"
        return written if isinstance(written, str) else "private"


class EventEndpoint(Endpoint):
    """One subscription at one node. `name` is the pattern, `handler` tells all its methods.

    Attributes:
        group: Of each group one member hears an emitted event.
        plain: The listener itself, if it is a plain function with nothing around it: it is called at once, without a task.
        params: Schema of the payload; like the rest, only for this node's own.
        throttle: Seconds after an event in which it hears no other one; 0: it hears all.
        debounce: Seconds of silence after which it hears the last event; 0: it hears all.
        run: Runs a handler of it in a task, for who has held an event back; gives that, or None after the node's end.
    """

    __slots__ = ("debounce", "group", "params", "plain", "run", "throttle")

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
        self.plain = plain
        self.throttle = 0.0
        self.debounce = 0.0
        self.run: Callable[[Context[Any], Handler], Awaitable[Any] | None] = _never


def _never(_ctx: object, _handler: object) -> None:
    raise AssertionError("a listener of another node does not run here")


class BalancedEndpoint(Endpoint):
    """Stands for all endpoints of one action where the message broker chooses (`disable_balancer`).

    Its node id is empty. `among` are those that may be chosen.
    """

    __slots__ = ("among",)

    def __init__(self, among: EndpointList, like: Endpoint, handler: Callable[[Endpoint], Handler]) -> None:
        super().__init__(like.name, "", False, like.service, like.entry, like.handler)
        self.among = among
        self.handler = handler(self)


class EndpointList:
    """All endpoints of one action, and the choice among them.

    Args:
        name: Full action name.
        strategy: Chooses.
        prefer_local: Whether this node's own is taken if it is ready.
        balanced: Makes the handler of calls for which the message broker chooses; None where we do.

    Attributes:
        local: This node's own endpoint, or None.
        only: The endpoint to take without asking the strategy. It is what makes the usual call one attribute
            read: a single one, the single local one where local is preferred. None says nothing: ask `next`.
        revision: Rises with each change.
    """

    __slots__ = (
        "_all",
        "_balanced",
        "_listed",
        "_prefer_local",
        "_ready",
        "_repeating",
        "_settled",
        "_strategy",
        "_through_broker",
        "local",
        "name",
        "only",
        "revision",
    )

    def __init__(
        self,
        name: str,
        strategy: Strategy,
        prefer_local: bool,
        balanced: Callable[[Endpoint], Handler] | None = None,
    ) -> None:
        self.name = name
        self._strategy = strategy
        # Internal actions are this node's own, whatever is preferred (protocol section 5.1).
        self._prefer_local = prefer_local or name.startswith("$")
        self._balanced = None if name.startswith("$") else balanced
        self._through_broker: BalancedEndpoint | None = None
        self._all: dict[str, Endpoint] = {}
        # Made when it is asked for: nodes that come one after the other must not each cost a look at all of them.
        self._ready: tuple[Endpoint, ...] | None = ()
        self._listed: tuple[Endpoint, ...] | None = ()
        self.local: Endpoint | None = None
        self.only: Endpoint | None = None
        # The one to take whoever asks, or None; and how many of all ask to be repeated.
        self._settled: Endpoint | None = None
        self._repeating = 0
        self.revision = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def repeated(self) -> bool:
        """Whether the action asks for calls that failed, or take long, to be made again. Then `only` is None: they go the whole way."""
        return self._repeating > 0

    @property
    def all(self) -> tuple[Endpoint, ...]:
        """The very same tuple until something changes: whoever remembers what follows from it compares identities."""
        listed = self._listed
        if listed is None:
            listed = self._listed = tuple(self._all.values())
        return listed

    def on_node(self, node_id: str) -> Endpoint | None:
        """The one at that node, or None."""
        return self._all.get(node_id)

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or put it in the place of its node's older one."""
        before = self._all.get(endpoint.node_id)
        self._repeating += endpoint.repeated - (before is not None and before.repeated)
        self._all[endpoint.node_id] = endpoint
        if endpoint.local:
            self.local = endpoint
        self.refresh()

    def remove(self, node_id: str) -> None:
        """Forget the node's endpoint."""
        gone = self._all.pop(node_id, None)
        if gone is not None:
            self._repeating -= gone.repeated
            if gone is self.local:
                self.local = None
            self.refresh()

    def refresh(self) -> None:
        """Something changed; to be called after any change of `Endpoint.available`."""
        self.revision += 1
        self._ready = self._listed = None
        local = self.local
        if self._balanced is not None:
            self._settled = self._of_broker()
        elif local is not None and self._prefer_local and local.available:
            self._settled = local
        elif len(self._all) == 1:
            (single,) = self._all.values()
            self._settled = single if single.available else None
        else:
            self._settled = None
        self.only = None if self._repeating else self._settled

    def next(self, ctx: Context[Any] | None) -> Endpoint | None:
        """The endpoint for this call, or None if none is ready."""
        if self._settled is not None:
            return self._settled
        ready = self._ready
        if ready is None:
            ready = self._ready = tuple([endpoint for endpoint in self._all.values() if endpoint.available])
            if len(ready) == 1:
                self._settled = ready[0]
                self.only = None if self._repeating else ready[0]
        if len(ready) > 1:
            return self._strategy.select(ready, ctx)
        return ready[0] if ready else None

    def next_except(self, ctx: Context[Any] | None, node_ids: Container[str]) -> Endpoint | None:
        """The endpoint for another try: ready, and not on one of these nodes; None if there is none.

        Where the message broker chooses, that is left to it.
        """
        return self._settled if isinstance(self._settled, BalancedEndpoint) else self.at_one_node(ctx, node_ids)

    def at_one_node(self, ctx: Context[Any] | None, node_ids: Container[str] = ()) -> Endpoint | None:
        """An endpoint at a node of which we know, chosen here also where the message broker would choose."""
        local = self.local
        if local is not None and self._prefer_local and local.available and local.node_id not in node_ids:
            return local
        left = tuple([one for one in self._all.values() if one.available and one.node_id not in node_ids])
        if len(left) > 1:
            return self._strategy.select(left, ctx)
        return left[0] if left else None

    def _of_broker(self) -> Endpoint | None:
        """What stands for all. A protected action is this node's own and does not travel."""
        if not self._all or self._balanced is None:
            return None
        if self.local is not None and self.local.closed:
            return self.local
        if self._through_broker is None:
            self._through_broker = BalancedEndpoint(self, next(iter(self._all.values())), self._balanced)
        return self._through_broker
