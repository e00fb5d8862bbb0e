"""Registry: nodes, services, endpoints. INFO in, next endpoint out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tautomer.balancing import StrategyFactory
from tautomer.ports import Handler
from tautomer.protocol.packets import Info, ServiceInfo, entries, subscriptions
from tautomer.protocol.topics import NAME_CHARS_MAX
from tautomer.registry.endpoints import Endpoint, EndpointList, EventEndpoint
from tautomer.registry.events import EventTable
from tautomer.registry.nodes import Node

VACANT_KEPT: Final = 10_000


class InfoRefused(Exception):
    """An INFO that is refused whole; the last good one of the node stays."""


@dataclass(slots=True, eq=False)
class ServiceEntry:
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


def full_service_name(name: str, version: str | int | float | None) -> str:
    """``v2.users`` for a number, ``beta.users`` for a text (protocol section 6.1)."""
    if version is None:
        return name
    if isinstance(version, float) and version.is_integer():
        version = int(version)
    return f"{version}.{name}" if isinstance(version, str) else f"v{version}.{name}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one node may announce. More is refused whole."""

    services: int = 500
    actions: int = 5_000


class Registry:
    """What every node offers. Pure: remote handlers come from `remote_handler`, which the broker gives.

    Attributes:
        actions: Full action name to its endpoints. The hot path reads this dict and nothing else.
        events: Who listens to what.
        nodes: Every node known, this one included.
        services: Every service known, this node's first.
    """

    def __init__(
        self,
        node: Node,
        strategy: StrategyFactory,
        prefer_local: bool,
        remote_handler: Callable[[Endpoint], Handler],
        bounds: Bounds | None = None,
    ) -> None:
        self.local_node = node
        self.nodes: dict[str, Node] = {node.id: node}
        self.services: list[ServiceEntry] = []
        self.actions: dict[str, EndpointList] = {}
        self.events = EventTable(strategy, prefer_local)
        self._strategy = strategy
        self._prefer_local = prefer_local
        self._remote_handler = remote_handler
        self._bounds = bounds or Bounds()
        # Actions that nobody offers now, oldest first. They stay known ("not available" instead of "not found"),
        # but nodes that come and go with ever new names must not grow the table for ever.
        self._vacant: dict[str, None] = {}

    # --- this node's own services ---

    def register_local(
        self, service: ServiceEntry, actions: Sequence[Endpoint], events: Sequence[EventEndpoint]
    ) -> None:
        """Offer a service of this node. The endpoints have their composed handlers."""
        self.services.insert(sum(known.local for known in self.services), service)
        for endpoint in actions:
            self._put(endpoint)
        for listener in events:
            self.events.add(listener)
        self.local_node.seq += 1

    def unregister_local(self, service: ServiceEntry) -> None:
        """Withdraw a service of this node."""
        self._drop([service])
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
        before = [service for service in self.services if service.node_id == node.id]
        self._drop(before)
        for service in offered:
            self.services.append(service)
            self._offer_remote(service)
        return bool(before or offered)

    def forget(self, node_id: str, now: float) -> bool:
        """The node is gone: its endpoints are no longer chosen. Returns whether it had services."""
        node = self.nodes.get(node_id)
        if node is None or node.local:
            return False
        node.available, node.offline_since = False, now
        gone = [service for service in self.services if service.node_id == node_id]
        self._drop(gone)
        return bool(gone)

    def remove_node(self, node_id: str) -> None:
        """Drop what is left of a node that has been away for long."""
        if node_id != self.local_node.id:
            self.forget(node_id, 0.0)
            self.nodes.pop(node_id, None)

    def has_service(self, full_name: str) -> bool:
        return any(service.full_name == full_name for service in self.services)

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

    def others_online(self) -> bool:
        """Whether any other node is there."""
        return any(node.available and not node.local for node in self.nodes.values())

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

    def _offer_remote(self, service: ServiceEntry) -> None:
        for full_name, entry in service.actions.items():
            endpoint = Endpoint(full_name, service.node_id, False, service, entry, _unset)
            # A protected action is announced, but may be called on its own node only (section 5.2).
            if endpoint.closed:
                continue
            endpoint.handler = self._remote_handler(endpoint)
            self._put(endpoint)
        for entry in service.events.values():
            group = entry.get("group")
            self.events.add(
                EventEndpoint(
                    entry["name"],
                    service.node_id,
                    False,
                    service,
                    entry,
                    _unset,
                    group if isinstance(group, str) and group else service.name,
                )
            )

    def _put(self, endpoint: Endpoint) -> None:
        found = self.actions.get(endpoint.name)
        if found is None:
            found = self.actions[endpoint.name] = EndpointList(endpoint.name, self._strategy(), self._prefer_local)
        elif not found:
            self._vacant.pop(endpoint.name, None)
        found.put(endpoint)

    def _drop(self, services: list[ServiceEntry]) -> None:
        if not services:
            return
        going = set(map(id, services))
        self.services = [service for service in self.services if id(service) not in going]
        for service in services:
            for full_name in service.actions:
                endpoints = self.actions.get(full_name)
                if endpoints is None:
                    continue
                endpoint = endpoints.on_node(service.node_id)
                if endpoint is not None and endpoint.service is service:
                    endpoints.remove(service.node_id)
                    if not endpoints:
                        self._vacate(full_name)
        self.events.remove(lambda endpoint: id(endpoint.service) in going)

    def _vacate(self, full_name: str) -> None:
        self._vacant[full_name] = None
        if len(self._vacant) > VACANT_KEPT:
            oldest = next(iter(self._vacant))
            del self._vacant[oldest], self.actions[oldest]


def is_name(name: str) -> bool:
    """Whether a service, action or event may be called so: 1 to 255 characters, no blank or control."""
    return 0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and " " not in name


def _unset(_ctx: Any) -> Any:
    raise AssertionError("an endpoint was used before its handler was set")
