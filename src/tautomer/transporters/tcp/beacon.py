"""UDP discovery: says where this node listens, and hears where others do (protocol reference, section 2.12)."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any

from tautomer._tasks import TaskScope
from tautomer.host import Host
from tautomer.protocol.gossip import port_of
from tautomer.protocol.topics import is_topic_part
from tautomer.transporters.tcp.options import TcpOptions

__all__ = ["Beacon", "parse_datagram"]

log = logging.getLogger("tautomer.transporter.tcp")

DATAGRAM_BYTES_MAX = 1024
"""Longer ones are no namespace, node id and port."""

Sight = Callable[[str, str, int], None]
"""Takes a node id, the address that it spoke from, and its TCP port. It does not raise."""


def parse_datagram(data: bytes, namespace: str) -> tuple[str, int] | None:
    """Node id and TCP port of ``<namespace>|<node id>|<port>``; None for what is nothing of the kind, or not for us."""
    if len(data) > DATAGRAM_BYTES_MAX:
        return None
    try:
        parts = data.decode().split("|")
    except UnicodeDecodeError:
        return None
    if len(parts) != 3 or parts[0] != namespace or not is_topic_part(parts[1]):
        return None
    digits = parts[2]
    port = port_of(int(digits)) if len(digits) <= 5 and digits.isascii() and digits.isdigit() else None
    return None if port is None else (parts[1], port)


class Beacon(asyncio.DatagramProtocol):
    """Sends a datagram at once, another after half a second to a second as Node does, then one each period."""

    def __init__(self, namespace: str, node_id: str, sight: Sight, options: TcpOptions, host: Host) -> None:
        self._namespace = namespace
        self._node_id = node_id
        self._sight = sight
        self._options = options
        self._host = host
        self._transport: asyncio.DatagramTransport | None = None
        self._socket: socket.socket | None = None
        self._interfaces: list[int | str] = []
        self._scope = TaskScope("udp discovery")

    async def start(self, port: int) -> None:
        """Speak and listen; where that cannot be, say so: nodes named in the configuration are found all the same."""
        options = self._options
        if not options.udp_discovery or not (options.udp_multicast or options.broadcast_addresses):
            return
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._set_up(sock)
            made = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)
        except OSError as error:
            sock.close()
            log.warning(
                "no UDP discovery: the port cannot be had; set another udp_port, or name the other nodes",
                extra={"port": options.udp_port, "error": str(error)},
            )
            return
        self._transport, self._socket = made[0], sock
        self._scope.spawn(self._speak(f"{self._namespace}|{self._node_id}|{port}".encode()), "udp discovery")

    def _set_up(self, sock: socket.socket) -> None:
        options = self._options
        sock.setblocking(False)
        if options.udp_reuse_addr:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        multicast = options.udp_multicast
        sock.bind(("" if multicast else options.udp_bind_address or "", options.udp_port))
        only = options.udp_interface
        if options.broadcast_addresses:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if not multicast:
            return
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, options.udp_multicast_ttl)
        wanted: list[int | str] = [only] if only else [index for index, _name in socket.if_nameindex()]
        for interface in wanted:
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _membership(multicast, interface))
                self._interfaces.append(interface)
            except OSError:
                pass  # One without IPv4, or one that is down.

    async def _speak(self, message: bytes) -> None:
        options = self._options
        spoken = 0
        pause = 0.5 + 0.5 * self._host.random.random()
        while True:
            self._say(message)
            spoken += 1
            if options.udp_max_discovery and spoken > options.udp_max_discovery:
                return  # The first was one too many: Node has none of its kind.
            await asyncio.sleep(pause if spoken == 1 else options.udp_period)

    def _say(self, message: bytes) -> None:
        sock, transport, options = self._socket, self._transport, self._options
        if sock is None or transport is None:
            return
        for interface in self._interfaces:
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _interface(interface))
                sock.sendto(message, (str(options.udp_multicast), options.udp_port))
            except OSError:
                pass  # The network is down there; the next datagram may go.
        for address in options.broadcast_addresses:
            try:
                sock.sendto(message, (address, options.udp_port))
            except OSError:
                pass

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        found = parse_datagram(data, self._namespace)
        if found is not None and found[0] != self._node_id:
            self._sight(found[0], str(addr[0]), found[1])

    def error_received(self, exc: Exception) -> None:
        """A datagram that nobody took. Others may."""

    async def close(self) -> None:
        await self._scope.close(0)
        transport, self._transport, self._socket = self._transport, None, None
        if transport is not None:
            transport.close()


def _membership(group: str, interface: int | str) -> bytes:
    if isinstance(interface, str):
        return socket.inet_aton(group) + socket.inet_aton(interface)
    return struct.pack("=4s4si", socket.inet_aton(group), bytes(4), interface)


def _interface(interface: int | str) -> bytes:
    if isinstance(interface, str):
        return socket.inet_aton(interface)
    return struct.pack("=4s4si", bytes(4), bytes(4), interface)
