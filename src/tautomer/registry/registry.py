"""Registry: nodes, services, endpoints. INFO in, next endpoint out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import field

from tautomer.balancing import Strategies
from tautomer.ports import Handler
from tautomer.protocol.packets import Info, ServiceInfo, entries, subscriptions
from tautomer.protocol.topics import NAME_CHARS_MAX
from tautomer.registry.endpoints import Endpoint, EndpointList, EventEndpoint
from tautomer.registry.events import EventTable
from tautomer.registry.nodes import Node

VACANT_KEPT: Final = 10_000


class InfoRefused(Exception):
    """An INFO that is refused whole; the last good one of the node stays."""


class MeshIsFull(InfoRefused):
    """All nodes together offer too much already: nobody's fault in particular."""


class ServiceEntry(msgspec.Struct, eq=False):
    """One service at one node.

    Attributes:
        full_name: ``v2.users`` for version 2 of ``users``.
        actions: Full action name to the entry announced.
        events: Pattern to the entry announced; a second group of one pattern stands under a key of its own.
    """

    node_id: str
    local: bool
    name: str
    version: str | int | float | None
    full_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    actions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def says_what(self, other: ServiceEntry) -> bool:
        """Whether it says the same as another, of the same node and name."""
        return (
            self.actions == other.actions
            and self.events == other.events
            and self.settings == other.settings
            and self.metadata == other.metadata
            and self.name == other.name
            and self.version == other.version
        )

    def say_what(self, other: ServiceEntry) -> None:
        """Say from now on what the other says. Its endpoints know it by this very object."""
        self.name, self.version = other.name, other.version
        self.settings, self.metadata = other.settings, other.metadata
        self.actions, self.events = other.actions, other.events


def full_service_name(name: str, version: str | int | float | None) -> str:
    """``v2.users`` for a number, ``beta.users`` for a text (protocol section 6.1)."""
    if version is None:
        return name
    if isinstance(version, float) and version.is_integer():
        version = int(version)
    return f"{version}.{name}" if isinstance(version, str) else f"v{version}.{name}"


class Bounds(msgspec.Struct, frozen=True):
    """How much one node may announce, and all of them in `mesh`. More is refused whole."""

    services: int = 500
    actions: int = 5_000
    mesh: int = 200_000


class _Offer(msgspec.Struct, eq=False):
    """What one node offers: its services by full name, its endpoints by what they are found by.

    `size` counts what another node announced; this node's own has no bound.
    """

    services: dict[str, ServiceEntry] = field(default_factory=dict)
    size: int = 0
    actions: dict[str, Endpoint] = field(default_factory=dict)
    events: dict[tuple[str, str, str], EventEndpoint] = field(default_factory=dict)


class Registry:
    """What every node offers. Pure: remote handlers come from `remote_handler`, which the broker gives.

    What an INFO does not change keeps its objects: whoever remembers something of an endpoint may keep it there.

    Args:
        node: This node.
        strategies: Make the strategy of each list.
        prefer_local: Whether this node's own endpoints are taken if they are ready.
        remote_handler: Makes the handler of an endpoint at another node.
        bounds: How much one node may announce.
        balanced: Whether the message broker chooses, and not we (`disable_balancer`).

    Attributes:
        actions: Full action name to its endpoints. The hot path reads this dict and nothing else.
        events: Who listens to what.
        nodes: Every node known, this one included.
        strategies: As given.
        balanced: As given.
    """

    def __init__(
        self,
        node: Node,
        strategies: Strategies,
        prefer_local: bool,
        remote_handler: Callable[[Endpoint], Handler],
        bounds: Bounds | None = None,
        balanced: bool = False,
    ) -> None:
        self.local_node = node
        self.nodes: dict[str, Node] = {node.id: node}
        self.actions: dict[str, EndpointList] = {}
        self.events = EventTable(strategies, prefer_local, balanced)
        self.strategies = strategies
        self._prefer_local = prefer_local
        self._remote_handler = remote_handler
        self.balanced = balanced
        self._bounds = bounds or Bounds()
        # This node's own stands first.
        self._offers: dict[str, _Offer] = {node.id: _Offer()}
        self._size = 0
        # How many nodes have a service of that full name.
        self._names: dict[str, int] = {}
        # Actions that nobody offers now, oldest first. They stay known ("not available" instead of "not found"),
        # but nodes that come and go with ever new names must not grow the table for ever.
        self._vacant: dict[str, None] = {}

    @property
    def services(self) -> list[ServiceEntry]:
        """Every service known, this node's first."""
        return [service for offer in self._offers.values() for service in offer.services.values()]

    def services_of(self, node_id: str) -> list[ServiceEntry]:
        """The services of one node."""
        offer = self._offers.get(node_id)
        return [] if offer is None else list(offer.services.values())

    def has_service(self, full_name: str) -> bool:
        return full_name in self._names

    def nodes_sharing(self, service: str, action: str, timer: object) -> list[str]:
        """The nodes that have an action of a service by the same rule of time, this one among them if it does."""
        entries = (
            (node_id, entry.actions.get(action))
            for node_id, offer in self._offers.items()
            if (entry := offer.services.get(service)) is not None
        )
        return [node_id for node_id, entry in entries if entry is not None and entry.get("timer") == timer]

    def others_online(self) -> bool:
        """Whether any other node is there."""
        return any(node.available and not node.local for node in self.nodes.values())

    # --- this node's own services ---

    def register_local(
        self, service: ServiceEntry, actions: Sequence[Endpoint], events: Sequence[EventEndpoint]
    ) -> None:
        """Offer a service of this node. The endpoints have their composed handlers."""
        offer = self._offers[self.local_node.id]
        self._add_service(offer, service)
        for endpoint in actions:
            self._put(offer, endpoint)
        for listener in events:
            self._listen(offer, listener)
        self.local_node.seq += 1

    def unregister_local(self, service: ServiceEntry) -> None:
        """Withdraw a service of this node."""
        offer = self._offers[self.local_node.id]
        for full_name in service.actions:
            endpoint = offer.actions.get(full_name)
            if endpoint is not None and endpoint.service is service:
                self._withdraw(offer, endpoint)
        for listener in [one for one in offer.events.values() if one.service is service]:
            self._silence(offer, listener)
        if offer.services.get(service.full_name) is service:
            self._drop_service(offer, service)
        self.local_node.seq += 1

    # --- other nodes ---

    def apply(self, info: Info, now: float, offered: list[ServiceEntry] | None = None) -> bool:
        """Take over what another node's INFO says. Returns whether its services changed.

        `offered` is what `check` made of it, if it was asked already.

        Raises:
            InfoRefused: The INFO is wrong in itself; nothing was changed.
        """
        if offered is None:
            offered = self.check(info)
        node = self.nodes.get(info.sender)
        if node is None:
            node = self.nodes[info.sender] = Node(info.sender)
        node.available, node.offline_since, node.last_heartbeat = True, None, now
        node.instance_id, node.seq = info.instance_id, info.seq or 0
        node.ip_list, node.hostname = tuple(info.ip_list or ()), info.hostname
        node.client, node.metadata = info.client or {}, info.metadata or {}
        node.config = info.config if isinstance(info.config, dict) else {}
        node.port = info.port if isinstance(info.port, int) else None
        offer = self._offers.get(node.id)
        if offer is None:
            offer = self._offers[node.id] = _Offer()
        return self._take_over(offer, {service.full_name: service for service in offered})

    def forget(self, node_id: str, now: float) -> bool:
        """The node is gone: its endpoints are no longer chosen. Returns whether it had services."""
        node = self.nodes.get(node_id)
        if node is None or node.local:
            return False
        node.available, node.offline_since = False, now
        offer = self._offers.pop(node_id, None)
        return offer is not None and self._take_over(offer, {})

    def remove_node(self, node_id: str) -> None:
        """Drop what is left of a node that has been away for long."""
        if node_id != self.local_node.id:
            self.forget(node_id, 0.0)
            self.nodes.pop(node_id, None)

    def check(self, info: Info) -> list[ServiceEntry]:
        """The services that an INFO offers.

        Raises:
            InfoRefused: The INFO is wrong in itself.
        """
        if len(info.services) > self._bounds.services:
            raise InfoRefused(f"{len(info.services)} services, at most {self._bounds.services} are taken")
        if info.sender == self.local_node.id:
            raise InfoRefused("it is told in the name of this very node")
        offered = [self._entry(info.sender, service) for service in info.services]
        for kind in ("actions", "events"):
            count = sum(len(getattr(service, kind)) for service in offered)
            if count > self._bounds.actions:
                raise InfoRefused(f"{count} {kind}, at most {self._bounds.actions} are taken")
        size = sum(len(service.actions) + len(service.events) for service in offered)
        known = self._offers.get(info.sender)
        if self._size - (0 if known is None else known.size) + size > self._bounds.mesh:
            raise MeshIsFull(
                f"all nodes together offer {self._size} actions and listeners, at most {self._bounds.mesh}"
            )
        for service in offered:
            patterns = [entry["name"] for entry in service.events.values()]
            for name in (service.name, service.full_name, *service.actions, *patterns):
                if not is_name(name):
                    raise InfoRefused(f"{name[:80]!r} is not a name")
            for entry in service.events.values():
                group = entry.get("group")
                if isinstance(group, str) and not (len(group) <= NAME_CHARS_MAX and group.isprintable()):
                    raise InfoRefused(f"{group[:80]!r} is not a group")
        return offered

    # --- inside ---

    def _entry(self, node_id: str, info: ServiceInfo) -> ServiceEntry:
        return ServiceEntry(
            node_id,
            False,
            info.name,
            info.version,
            info.full_name or full_service_name(info.name, info.version),
            info.settings or {},
            info.metadata or {},
            dict(entries(info.actions)),
            dict(subscriptions(info.events)),
        )

    def _take_over(self, offer: _Offer, services: dict[str, ServiceEntry]) -> bool:
        """Make a node's offer this one, and leave alone what is the same. Returns whether anything was not."""
        changed = False
        for gone in [known for name, known in offer.services.items() if name not in services]:
            self._drop_service(offer, gone)
            changed = True
        for name, service in services.items():
            known = offer.services.get(name)
            if known is None:
                self._add_service(offer, service)
            elif known.says_what(service):
                continue
            else:
                known.say_what(service)
            changed = True
        reordered = list(offer.services) != list(services)
        if reordered:
            # Of two services with one action the later has it, so what was said before must not matter.
            offer.services = {name: offer.services[name] for name in services}
        if changed or reordered:
            size = sum(len(service.actions) + len(service.events) for service in services.values())
            self._size += size - offer.size
            offer.size = size
            self._renew_actions(offer)
            self._renew_events(offer)
        return changed

    def _renew_actions(self, offer: _Offer) -> None:
        wanted = {
            name: (service, entry) for service in offer.services.values() for name, entry in service.actions.items()
        }
        for gone in [endpoint for name, endpoint in offer.actions.items() if name not in wanted]:
            self._withdraw(offer, gone)
        for name, (service, entry) in wanted.items():
            known = offer.actions.get(name)
            if known is not None and known.service is service and known.entry == entry:
                continue
            endpoint = Endpoint(name, service.node_id, False, service, entry, _unset)
            # A protected action is announced, but may be called on its own node only (section 5.2).
            if not endpoint.closed:
                endpoint.handler = self._remote_handler(endpoint)
                self._put(offer, endpoint)
            elif known is not None:
                self._withdraw(offer, known)

    def _renew_events(self, offer: _Offer) -> None:
        wanted = {
            (entry["name"], _group(entry, service), service.full_name): (service, entry)
            for service in offer.services.values()
            for entry in service.events.values()
        }
        for gone in [listener for key, listener in offer.events.items() if key not in wanted]:
            self._silence(offer, gone)
        for key, (service, entry) in wanted.items():
            known = offer.events.get(key)
            if known is None or known.service is not service or known.entry != entry:
                name, group, _ = key
                self._listen(offer, EventEndpoint(name, service.node_id, False, service, entry, _unset, group))

    def _add_service(self, offer: _Offer, service: ServiceEntry) -> None:
        offer.services[service.full_name] = service
        self._names[service.full_name] = self._names.get(service.full_name, 0) + 1

    def _drop_service(self, offer: _Offer, service: ServiceEntry) -> None:
        del offer.services[service.full_name]
        left = self._names[service.full_name] - 1
        if left:
            self._names[service.full_name] = left
        else:
            del self._names[service.full_name]

    def _put(self, offer: _Offer, endpoint: Endpoint) -> None:
        endpoint.node = self.nodes[endpoint.node_id]
        offer.actions[endpoint.name] = endpoint
        found = self.actions.get(endpoint.name)
        if not found:
            # Nobody's turn is lost with a list that is empty, and whoever comes now may want another strategy.
            strategy = self.strategies.for_list(endpoint.strategy, endpoint.entry)
            found = self.actions[endpoint.name] = EndpointList(
                endpoint.name, strategy, self._prefer_local, self._remote_handler if self.balanced else None
            )
            self._vacant.pop(endpoint.name, None)
        found.put(endpoint)

    def _withdraw(self, offer: _Offer, endpoint: Endpoint) -> None:
        del offer.actions[endpoint.name]
        endpoints = self.actions[endpoint.name]
        endpoints.remove(endpoint.node_id)
        if not endpoints:
            self._vacate(endpoint.name)

    def _listen(self, offer: _Offer, listener: EventEndpoint) -> None:
        listener.node = self.nodes[listener.node_id]
        offer.events[listener.name, listener.group, listener.service.full_name] = listener
        self.events.add(listener)

    def _silence(self, offer: _Offer, listener: EventEndpoint) -> None:
        del offer.events[listener.name, listener.group, listener.service.full_name]
        self.events.remove(listener)

    def _vacate(self, full_name: str) -> None:
        self._vacant[full_name] = None
        if len(self._vacant) > VACANT_KEPT:
            oldest = next(iter(self._vacant))
            del self._vacant[oldest], self.actions[oldest]


def is_name(name: str) -> bool:
    """Whether a service, action or event may be called so: 1 to 255 characters, no blank or control."""
    return 0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and " " not in name


def _group(entry: Mapping[str, Any], service: ServiceEntry) -> str:
    group = entry.get("group")
    return group if isinstance(group, str) and group else service.name


def _unset(_ctx: Any) -> Any:
    raise AssertionError("an endpoint was used before its handler was set")
