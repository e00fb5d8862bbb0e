"""Nodes: what each says of itself in INFO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import field


class Node(msgspec.Struct, eq=False):
    """One node of the mesh, present or lately gone.

    Attributes:
        id: Its name in the mesh.
        local: Whether it is this node.
        available: False once it left or fell silent.
        instance_id: Fresh at each start of its process.
        seq: Rises with each change of its services.
        cpu: Load in percent, or None.
        cpu_seq: Rises with each change of `cpu`.
        last_heartbeat: Seconds on this node's clock.
        offline_since: Seconds on this node's clock, or None.
        udp_address: Where it was discovered, for the TCP transporter.
    """

    id: str
    local: bool = False
    available: bool = True
    instance_id: str | None = None
    seq: float = 0
    ip_list: tuple[str, ...] = ()
    hostname: str | None = None
    client: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    port: int | None = None
    cpu: float | None = None
    cpu_seq: int = 0
    last_heartbeat: float = 0.0
    offline_since: float | None = None
    udp_address: str | None = None

    def describe(self, age_to_wall_ms: Any = None) -> dict[str, Any]:
        """The shape of `$node.list` (protocol section 5.4), stamps as wall time where they can be told."""
        stamp = age_to_wall_ms if age_to_wall_ms is not None else (lambda at: at)
        return {
            "id": self.id,
            "instanceID": self.instance_id,
            "available": self.available,
            "local": self.local,
            "lastHeartbeatTime": stamp(self.last_heartbeat),
            "config": dict(self.config),
            "client": dict(self.client),
            "metadata": dict(self.metadata),
            "ipList": list(self.ip_list),
            "port": self.port,
            "hostname": self.hostname,
            "udpAddress": self.udp_address,
            "cpu": self.cpu,
            "cpuSeq": self.cpu_seq or None,
            "seq": int(self.seq) if self.seq == self.seq // 1 else self.seq,
            "offlineSince": None if self.offline_since is None else stamp(self.offline_since),
        }
