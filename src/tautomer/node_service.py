"""The `$node` service: what a node tells of itself and of the mesh (protocol section 5.4)."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tautomer.context import Context
from tautomer.decorators import action
from tautomer.errors import MoleculerClientError
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import ServiceEntry
from tautomer.service import Service

_FLAG = {"type": "boolean", "optional": True, "convert": True, "default": False}
_ON = {**_FLAG, "default": True}
_NAMES = {"type": "multi", "optional": True, "rules": [{"type": "string"}, {"type": "array", "items": "string"}]}
_LISTED = {"onlyLocal": _FLAG, "skipInternal": _FLAG, "withEndpoints": _FLAG, "onlyAvailable": _FLAG}


_ARCHITECTURES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "i686": "ia32", "armv7l": "arm"}
"""Node's names of them."""


class NodeService(Service):
    """Actions that every node offers, in the shapes that Node's tools read."""

    name = "$node"

    @action("list", params={"withServices": _FLAG, "onlyAvailable": _FLAG}, cache=False, tracing=False)
    def list_nodes(self, ctx: Context) -> Any:
        """Every node known."""
        registry = self.broker.registry
        listed = []
        for node in registry.nodes.values():
            if ctx.params["onlyAvailable"] and not node.available:
                continue
            described = node.describe(self._wall)
            if node.local:
                described["lastHeartbeatTime"] = self.broker.host.wall_ms()
            if ctx.params["withServices"]:
                described["services"] = [_service(s, True, True) for s in registry.services_of(node.id)]
            listed.append(described)
        return listed

    @action(
        params={
            "onlyLocal": _FLAG,
            "skipInternal": _FLAG,
            "withActions": _FLAG,
            "withEvents": _FLAG,
            "onlyAvailable": _FLAG,
            "grouping": _ON,
        },
        cache=False,
        tracing=False,
    )
    def services(self, ctx: Context) -> Any:
        """Every service known, those of one name together unless `grouping` is off."""
        params = ctx.params
        listed: list[dict[str, Any]] = []
        grouped: dict[str, dict[str, Any]] = {}
        for service in self.broker.registry.services:
            if (params["onlyLocal"] and not service.local) or (params["skipInternal"] and _internal(service.name)):
                continue
            item = _service(service, params["withActions"], params["withEvents"])
            if not params["grouping"]:
                listed.append({**item, "nodeID": service.node_id})
                continue
            known = grouped.get(service.full_name)
            if known is None:
                grouped[service.full_name] = {**item, "nodes": [service.node_id]}
                continue
            known["nodes"].append(service.node_id)
            known["local"] = known["local"] or item["local"]
            for kind in ("actions", "events"):
                if kind in item:
                    known[kind] = {**item[kind], **known[kind]}
        return [*listed, *grouped.values()]

    @action("actions", params=_LISTED, cache=False, tracing=False)
    def actions_known(self, ctx: Context) -> Any:
        """Every action known."""
        listed = []
        for name, endpoints in self.broker.registry.actions.items():
            item = _counted(name, endpoints.all, ctx.params)
            if item is not None:
                listed.append({**item, **({"action": dict(endpoints.all[0].entry)} if endpoints else {})})
        return listed

    @action(params=_LISTED, cache=False, tracing=False)
    def events(self, ctx: Context) -> Any:
        """Every subscription known."""
        listed = []
        for listeners in self.broker.registry.events.lists:
            item = _counted(listeners.pattern, listeners.all, ctx.params)
            if item is not None:
                entry = dict(listeners.all[0].entry) if listeners.all else None
                listed.append({**item, "group": listeners.group, "event": entry})
        return listed

    @action(cache=False, tracing=False)
    def health(self, ctx: Context) -> Any:
        """The machine and this process."""
        host = self.broker.host
        wall_ms = host.wall_ms()
        load = os.getloadavg() if hasattr(os, "getloadavg") else (None, None, None)
        return {
            "cpu": {
                "load1": load[0],
                "load5": load[1],
                "load15": load[2],
                "cores": os.cpu_count(),
                "utilization": host.cpu_percent(),
            },
            "mem": _memory(),
            "os": {
                "uptime": _uptime(),
                "type": platform.system(),
                "release": platform.release(),
                "hostname": host.hostname,
                "arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "platform": sys.platform,
                "user": {},
            },
            "process": {
                "pid": host.pid,
                "memory": _process_memory(),
                "uptime": round(self.broker.clock() - self._started_at, 3),
                "argv": [],  # A command line may hold secrets (promise S5).
            },
            "client": dict(self.broker.registry.local_node.client),
            "net": {"ip": [*host.ip_list]},
            "time": {"now": wall_ms, "iso": _iso(wall_ms), "utc": _utc(wall_ms)},
        }

    @action(cache=False, tracing=False, params={})
    def options(self, ctx: Context) -> Any:
        """How the node is set up, without anything that could be a secret. Durations in Node's units."""
        settings = self.broker.settings
        return {
            "nodeID": self.broker.id,
            "namespace": settings.namespace,
            "transporter": None if self.broker.transit is None else self.broker.transit.transporter_name,
            "requestTimeout": None if settings.request_timeout is None else settings.request_timeout * 1000,
            "maxCallLevel": settings.max_call_level,
            "heartbeatInterval": settings.heartbeat_interval,
            "heartbeatTimeout": settings.heartbeat_timeout,
            "dependencyTimeout": settings.dependency_timeout * 1000,
            "disableBalancer": settings.disable_balancer,
            "internalServices": settings.internal_services,
            "logLevel": settings.log_level,
            "serializer": None if settings.serializer is None else str(settings.serializer),
            "registry": {
                "preferLocal": settings.registry.prefer_local,
                "strategy": str(settings.registry.strategy),
                "stopDelay": settings.transit.stop_delay * 1000,
            },
            "transit": {"maxQueueSize": settings.transit.pending_max},
            "metadata": dict(settings.metadata),
        }

    @action(cache=False, tracing=False, params={"types": _NAMES, "includes": _NAMES, "excludes": _NAMES})
    def metrics(self, ctx: Context) -> Any:
        """Metrics, where they are on."""
        raise MoleculerClientError("Metrics feature is disabled", 400, "METRICS_DISABLED")

    def created(self) -> None:
        self._started_at = self.broker.clock()

    def _wall(self, at: float) -> int:
        """A stamp of this node's clock as wall time in ms."""
        return round(self.broker.host.wall_ms() - 1000 * (self.broker.clock() - at))


def _internal(name: str) -> bool:
    return name.startswith("$")


def _service(service: ServiceEntry, with_actions: bool, with_events: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "name": service.name,
        "fullName": service.full_name,
        "settings": dict(service.settings),
        "metadata": dict(service.metadata),
        "local": service.local,
        "available": True,
    }
    if service.version is not None:
        item["version"] = service.version
    if with_actions:
        shown = {n: e for n, e in service.actions.items() if service.local or e.get("visibility") != "protected"}
        item["actions"] = _entries(shown)
    if with_events:
        # Node leaves those out that listen to a node's own events.
        item["events"] = _entries({key: e for key, e in service.events.items() if not _internal(e["name"])})
    return item


def _entries(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(entry) for name, entry in entries.items()}


def _counted(name: str, endpoints: Iterable[Endpoint], params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The common part of `$node.actions` and `$node.events`, or None where the params leave it out."""
    known = list(endpoints)
    local = any(endpoint.local for endpoint in known)
    available = any(endpoint.available for endpoint in known)
    if (
        (params["onlyLocal"] and not local)
        or (params["skipInternal"] and _internal(name))
        or (params["onlyAvailable"] and not available)
    ):
        return None
    item: dict[str, Any] = {
        "name": name,
        "count": len(known),
        "hasLocal": local,
        "available": available,
    }
    if params["withEndpoints"] and known:
        # Node tells the circuit breaker's state and the node's availability; whoever has left is not listed.
        item["endpoints"] = [{"nodeID": one.node_id, "state": one.available, "available": True} for one in known]
    return item


def _memory() -> dict[str, Any]:
    """Bytes of the machine; `percent` is the free share, as Node has it."""
    try:
        page, total, free = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return {"free": None, "total": None, "percent": None}
    return {"free": free * page, "total": total * page, "percent": round(100 * free / total, 2)}


def _uptime() -> float | None:
    """Seconds since the machine was started, where it tells."""
    try:
        with open("/proc/uptime", encoding="ascii") as told:
            return float(told.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _process_memory() -> dict[str, Any]:
    try:
        import resource
    except ImportError:
        return {"rss": None}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def _utc(wall_ms: int) -> str:
    from email.utils import formatdate

    return formatdate(wall_ms / 1000, usegmt=True)


def _iso(wall_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
