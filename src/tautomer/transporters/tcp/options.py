"""Where to listen, whom to look for and how: Node's options by their names in Python, and a few of our own."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from tautomer.errors import BrokerOptionsError
from tautomer.protocol.frames import FRAME_BYTES_MAX
from tautomer.protocol.gossip import is_host, port_of
from tautomer.protocol.topics import is_topic_part
from tautomer.settings import record

__all__ = ["StaticPeer", "TcpOptions", "parse_peers", "parse_url"]

READ_CHUNK_BYTES = 64 * 1024
"""What Node reads at once. It counts what it has read towards its limit, not only the frame."""


@record
class TcpOptions:
    """Settings of the TCP transporter. Times are seconds. Defaults are Node's where Node has the option.

    Attributes:
        port: Where to listen; None takes the port of our own entry in the peers, else any free one.
        host: Address to listen on, and to be found at; None listens on all.
        reuse_port: Listen also where another socket of this user holds the port without listening.
        udp_discovery: Whether to look for nodes by UDP.
        udp_port: Port of the datagrams.
        udp_bind_address: The one interface to use, by its IPv4 address; None uses that of `host`, else all.
        udp_period: Between two datagrams.
        udp_reuse_addr: Whether other nodes of this machine may use the same UDP port.
        udp_max_discovery: Datagrams sent at most; 0 for no end.
        udp_multicast: Group that they go to, or None.
        udp_multicast_ttl: Routers that they may pass.
        udp_broadcast: Addresses that they are broadcast to; True means 255.255.255.255.
        use_hostname: Whether to look for a node under its host name before its addresses.
        gossip_period: Between two rounds of gossip.
        max_connections: Lines held open; above it the one that was used least lately is closed.
        max_packet_size: Bytes of the largest frame read. A little less is sent, as Node counts more than the frame.
        accept_max: Lines taken in from others.
        connect_timeout: For one address of a node.
        silence: Until a node that takes nothing, or whose machine is gone, counts as lost.
        out_bytes_max: Bytes that may wait for one node.
        drain_bytes: High-water mark of `drain()`.
        close_timeout: For handing over what is left at the end.
    """

    port: int | None = None
    host: str | None = None
    reuse_port: bool = False
    udp_discovery: bool = True
    udp_port: int = 4445
    udp_bind_address: str | None = None
    udp_period: float = 30.0
    udp_reuse_addr: bool = True
    udp_max_discovery: int = 0
    udp_multicast: str | None = "239.0.0.0"
    udp_multicast_ttl: int = 1
    udp_broadcast: bool | str | Sequence[str] = False
    use_hostname: bool = True
    gossip_period: float = 2.0
    max_connections: int = 32
    max_packet_size: int = FRAME_BYTES_MAX
    accept_max: int = 512
    connect_timeout: float = 5.0
    silence: float = 15.0
    out_bytes_max: int = 64 * 1024 * 1024
    drain_bytes: int = 1024 * 1024
    close_timeout: float = 5.0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise BrokerOptionsError(f"tcp.{name} is a number of at least {least:g}, not {value!r}")
        if self.port not in (None, 0) and port_of(self.port) is None:
            raise BrokerOptionsError(f"tcp.port is a port, not {self.port!r}")
        if port_of(self.udp_port) is None:
            raise BrokerOptionsError(f"tcp.udp_port is a port, not {self.udp_port!r}")
        for name in ("udp_bind_address", "udp_multicast"):
            if (value := getattr(self, name)) is not None:
                _check_ipv4(f"tcp.{name}", value)
        for address in self.broadcast_addresses:
            _check_ipv4("tcp.udp_broadcast", address)

    @property
    def udp_interface(self) -> str | None:
        """The address of the one interface for UDP, or None for all: it is of no use to be found where nobody listens."""
        if self.udp_bind_address is not None or self.host in (None, "0.0.0.0"):
            return self.udp_bind_address
        try:
            return str(IPv4Address(self.host))
        except ValueError:
            return None

    @property
    def broadcast_addresses(self) -> tuple[str, ...]:
        """Where datagrams are broadcast to."""
        told = self.udp_broadcast
        if isinstance(told, bool):
            return ("255.255.255.255",) if told else ()
        return tuple(part.strip() for part in told.split(",")) if isinstance(told, str) else tuple(told)


_LEAST = {
    "udp_period": 0.05,
    "udp_max_discovery": 0,
    "udp_multicast_ttl": 0,
    "gossip_period": 0.05,
    "max_connections": 1,
    "max_packet_size": 2 * READ_CHUNK_BYTES,
    "accept_max": 1,
    "connect_timeout": 0.01,
    "silence": 1,
    "out_bytes_max": 1,
    "drain_bytes": 1,
    "close_timeout": 0.01,
}


class StaticPeer(NamedTuple):
    """A node named in the configuration."""

    node_id: str
    host: str
    port: int


def parse_url(url: str) -> tuple[str, TcpOptions]:
    """The peers and the options of ``tcp://host:port/node-id,host2:port2/node-id2?udp_discovery=false``.

    ``TCP`` and ``tcp://`` name no peers. Options stand behind the first ``?``, under our names or Node's
    (``udpDiscovery``).

    Raises:
        BrokerOptionsError: An option is not known, or has no such value.
    """
    peers, _, query = url.partition("?")
    peers = "" if peers.upper() == "TCP" else peers
    fields = {field.name: str(field.type) for field in dataclasses.fields(TcpOptions)}
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        options[name] = _option(name, text, fields.get(name, "str"))
    return peers, TcpOptions(**options)


def parse_peers(told: str | Sequence[str] | Mapping[str, str]) -> list[StaticPeer]:
    """Nodes named in the configuration, in each form that Node takes.

    A text of ``[tcp://]host:port/node-id`` with commas, a list of such, a dict of node id to ``host:port``, or
    ``file://`` and the path of a file with one of them: JSON, or a line each.

    Raises:
        BrokerOptionsError: One cannot be read.
    """
    if isinstance(told, str) and told.startswith("file://"):
        told = _from_file(Path(told.removeprefix("file://")))
    if isinstance(told, str):
        told = told.split(",")
    listed = [f"{where}/{node_id}" for node_id, where in told.items()] if isinstance(told, Mapping) else list(told)
    return [_peer(entry.strip()) for entry in listed if entry.strip() not in ("", "tcp://")]


def _peer(entry: str) -> StaticPeer:
    where, slash, node_id = entry.removeprefix("tcp://").partition("/")
    host, _, digits = where.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    port = port_of(int(digits)) if digits.isdecimal() and len(digits) <= 5 else None
    node_id = unquote(node_id)
    if not slash or port is None or not is_host(host) or not is_topic_part(node_id):
        raise BrokerOptionsError(f"TCP peer {entry[:200]!r} cannot be read; write it as host:port/node-id")
    return StaticPeer(node_id, host, port)


def _from_file(path: Path) -> Any:
    try:
        text = path.read_text("utf-8").strip()
        return json.loads(text) if text.startswith(("{", "[")) else text.splitlines()
    except (OSError, ValueError) as error:
        raise BrokerOptionsError(f"the file of TCP peers '{path}' cannot be read: {error}") from error


def _option(name: str, text: str, kind: str) -> Any:
    lower = text.strip().lower()
    if "bool" in kind and lower in ("true", "false", "on", "off", "1", "0"):
        return lower in ("true", "on", "1")
    if "None" in kind and lower in ("", "none", "null"):
        return None
    if "int" in kind or "float" in kind:
        try:
            return int(text) if "int" in kind else float(text)
        except ValueError:
            raise BrokerOptionsError(f"tcp.{name} is a number, not {text!r}") from None
    if kind == "bool":
        raise BrokerOptionsError(f"tcp.{name} is true or false, not {text!r}")
    return text


def _check_ipv4(what: str, value: object) -> None:
    try:
        IPv4Address(value)
    except ValueError as error:
        raise BrokerOptionsError(f"{what} is an IPv4 address, not {value!r}") from error
