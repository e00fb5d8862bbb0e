"""Short ways to the parts of a registry."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tautomer.balancing import Strategies
from tautomer.protocol.packets import Info, ServiceInfo
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.registry.nodes import Node
from tautomer.registry.registry import Bounds, Registry, ServiceEntry

ME = "me"


async def answer(_ctx: Any) -> None:
    """A handler that nobody calls."""


def service(node_id: str = ME, name: str = "math") -> ServiceEntry:
    return ServiceEntry(node_id, node_id == ME, name, None, name)


def action(node_id: str, name: str = "math.add", entry: Mapping[str, Any] | None = None) -> Endpoint:
    return Endpoint(name, node_id, node_id == ME, service(node_id), entry or {"name": name}, answer)


def listener(
    pattern: str, node_id: str = ME, group: str = "math", of: ServiceEntry | None = None, **more: Any
) -> EventEndpoint:
    return EventEndpoint(
        pattern, node_id, node_id == ME, of or service(node_id), {"name": pattern}, answer, group, **more
    )


def registry(prefer_local: bool = True, bounds: Bounds | None = None) -> Registry:
    """The registry of the node `me`. Each remote endpoint gets a handler of its own."""

    def remote(endpoint: Endpoint) -> Any:
        async def ask(_ctx: Any) -> Any:
            return endpoint

        return ask

    return Registry(Node(ME, local=True, seq=1), strategies(), prefer_local, remote, bounds)


def strategies(*chosen: Any) -> Strategies:
    return Strategies(random.Random(1), *chosen)


def info(node_id: str, *services: ServiceInfo, seq: float | None = 2, instance: str = "i-1") -> Info:
    return Info(list(services), ["192.0.2.2"], "vm", {"type": "nodejs"}, {}, instance, {}, seq, ver="5", sender=node_id)


def offer(
    name: str, *actions: str, events: tuple[str, ...] = (), version: str | float | None = None, **more: Any
) -> ServiceInfo:
    """A service as INFO tells of it, its actions by their full names."""
    return ServiceInfo(
        name=name,
        version=version,
        actions={full_name: {"name": full_name} for full_name in actions},
        events={pattern: {"name": pattern} for pattern in events},
        **more,
    )
