"""The transporter: topics that name a node become frames on the line to it (protocol reference, section 2.12)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from tautomer._tasks import TaskScope, Turns
from tautomer.errors import BrokerDisconnectedError, TransporterError
from tautomer.host import Host
from tautomer.ports import LineWatcher, Link
from tautomer.protocol.frames import KINDS
from tautomer.transporters.tcp.beacon import Beacon
from tautomer.transporters.tcp.line import Line
from tautomer.transporters.tcp.listener import Listener
from tautomer.transporters.tcp.options import READ_CHUNK_BYTES, StaticPeer, TcpOptions, parse_peers, parse_url

__all__ = ["TcpTransporter"]

log = logging.getLogger("tautomer.transporter.tcp")

ROUTES_KEPT = 10_000
LAST_WORDS_WAIT = 0.1
"""Seconds that others have, once we said goodbye, to close their lines to us themselves."""

_COMMANDS = {kind: command for command, kind in KINDS.items()}


class TcpTransporter:
    """Implements `ports.LineTransporter`.

    Args:
        url: ``TCP``, or ``tcp://`` with peers and options as in `options.parse_url`.
        host: Clock and chance.
        options: Instead of those in the URL.
        peers: Nodes named in the configuration, beside those in the URL; see `options.parse_peers`.

    Raises:
        BrokerOptionsError: A peer or an option cannot be read.

    Attributes:
        port: Where it listens, once connected.
        came_from: During `Link.received`: the address that the message came from.
    """

    name = "tcp"
    balances = False

    def __init__(
        self,
        url: str = "TCP",
        host: Host | None = None,
        options: TcpOptions | None = None,
        peers: str | Sequence[str] | Mapping[str, str] = (),
    ) -> None:
        told, in_url = parse_url(url)
        self.url = told or "tcp://"
        self.port = 0
        self.came_from = ""
        self._options = options or in_url
        self._peers: list[StaticPeer] = [*parse_peers(told), *parse_peers(peers)]
        self._clock_and_chance = host or Host()
        self._namespace = ""
        self._node_id = ""
        self._prefix = "MOL."
        self._watcher: LineWatcher | None = None
        self._link: Link | None = None
        self._receivers: dict[int, Callable[[bytes], None]] = {}
        self._routes: dict[str, tuple[Line | None, int]] = {}
        self._lines: dict[str, Line] = {}
        self._next_use = count(1).__next__
        self._turns = Turns()
        self._listener = Listener(self._take, self._options)
        self._beacon: Beacon | None = None
        self._scope = TaskScope("tcp lines")
        self._up = False

    @property
    def host(self) -> str | None:
        return self._options.host

    @property
    def gossip_period(self) -> float:
        return self._options.gossip_period

    @property
    def use_hostname(self) -> bool:
        return self._options.use_hostname

    @property
    def message_bytes_max(self) -> int | None:
        return self._options.max_packet_size - READ_CHUNK_BYTES

    @property
    def connected(self) -> bool:
        return self._up

    # --- who we are, and where others are ---

    def introduce(self, namespace: str, node_id: str, watcher: LineWatcher) -> None:
        self._namespace, self._node_id, self._watcher = namespace, node_id, watcher
        self._prefix = f"MOL-{namespace}." if namespace else "MOL."

    def locate(self, node_id: str, hosts: Sequence[str], port: int) -> None:
        line = self._line(node_id)
        line.hosts, line.port = tuple(hosts), port

    def hang_up(self, node_id: str) -> None:
        line = self._lines.get(node_id)
        if line is not None:
            line.hang_up()

    def forget(self, node_id: str) -> None:
        self.hang_up(node_id)
        if self._lines.pop(node_id, None) is not None:
            self._routes.clear()

    # --- Transporter ---

    async def connect(self, link: Link) -> None:
        assert self._watcher is not None, "introduce first"
        self._link = link
        self._receivers = {
            kind: link.receiver(f"{self._prefix}{command}.{self._node_id}") for command, kind in KINDS.items()
        }
        mine = next((peer.port for peer in self._peers if peer.node_id == self._node_id), 0)
        await self._listener.start(mine if self._options.port is None else self._options.port)
        self.port = self._listener.port
        self._up = True
        for peer in self._peers:
            self._watcher.sighted(peer.node_id, peer.host, peer.port, True)
        self._beacon = Beacon(self._namespace, self._node_id, self._sight, self._options, self._clock_and_chance)
        await self._beacon.start(self.port)
        log.info("listening for other nodes", extra={"port": self.port, "host": self.host or "(all)"})

    async def subscribe(self, topics: Sequence[str]) -> None:
        """All that is meant for this node comes in any case."""

    async def unsubscribe_balanced(self, topic: str, group: str) -> None:
        """Nothing is subscribed so."""

    async def subscribe_balanced(self, topic: str, group: str) -> None:
        raise TransporterError(
            f"TCP has no balanced topics such as '{topic}': a line leads to one node. "
            "Leave the balancing to the broker, or use a message broker such as NATS."
        )

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        if not self._up:
            raise BrokerDisconnectedError("The TCP transporter is closed; the message was not sent.")
        route = self._routes.get(topic)
        if route is None:
            route = self._route(topic)
        line, kind = route
        if line is not None:
            line.put(kind, data, token)
        elif kind:
            asyncio.get_running_loop().call_soon(self._take, "127.0.0.1", kind, data)
        elif token is not None and self._link is not None:
            asyncio.get_running_loop().call_soon(self._link.undelivered, token)  # It does not travel: nobody hears it.

    async def drain(self) -> None:
        while self._up and any(line.waiting_bytes > self._options.drain_bytes for line in self._lines.values()):
            await self._turns.next()

    async def close(self) -> None:
        if not self._up:
            return
        self._up = False
        if self._beacon is not None:
            await self._beacon.close()
        try:
            async with asyncio.timeout(self._options.close_timeout):
                while any(line.waiting_bytes for line in self._lines.values()):
                    await self._turns.next()
                closing = [line.hang_up() for line in self._lines.values()]
                for closed in closing:
                    if closed is not None:
                        await asyncio.shield(closed)
                had_lines = bool(closing)
        except TimeoutError:
            had_lines = False
        await self._scope.close(0)
        for line in self._lines.values():
            line.abort()
        await self._listener.close(LAST_WORDS_WAIT if had_lines else 0)
        self._lines.clear()
        self._routes.clear()
        self._turns.wake()

    # --- Owner of lines ---

    def on_wanted(self, line: Line) -> None:
        if self._watcher is not None:
            self._watcher.greet(line.node_id)
        self._scope.spawn(line.open(asyncio.get_running_loop()), f"line to {line.node_id}")

    def on_opened(self, line: Line) -> None:
        standing = [one for one in self._lines.values() if one.standing]
        idle = [one for one in standing if one is not line and not one.waiting_bytes]
        if idle and len(standing) > self._options.max_connections:
            self.hang_up(min(idle, key=lambda one: one.used).node_id)

    def on_lost(self, line: Line, tokens: Sequence[str], abrupt: bool) -> None:
        if not self._up:
            return
        if not line.hosts and self._lines.get(line.node_id) is line:
            self.forget(line.node_id)
        if self._link is not None:
            for token in tokens:
                self._link.undelivered(token)
        if self._watcher is not None:
            self._watcher.line_lost(line.node_id, abrupt)

    def on_room(self) -> None:
        if self._turns.waiting:
            self._turns.wake()

    # --- inside ---

    def _take(self, came_from: str, kind: int, payload: bytes) -> None:
        if not self._up:
            return
        self.came_from = came_from
        try:
            self._receivers[kind](payload)
        except Exception:
            # A link does not raise. One that does must not end the line.
            log.exception("taking in a message failed", extra={"command": _COMMANDS[kind]})

    def _sight(self, node_id: str, host: str, port: int) -> None:
        if self._watcher is not None and self._up:
            self._watcher.sighted(node_id, host, port, False)

    def _route(self, topic: str) -> tuple[Line | None, int]:
        """The line for a topic, and the type of its frames; no line for ourselves, no type for what does not travel."""
        command, _, node_id = topic.removeprefix(self._prefix).partition(".")
        kind = KINDS.get(command, 0) if node_id and topic.startswith(self._prefix) else 0
        route = (self._line(node_id) if kind and node_id != self._node_id else None), kind
        if len(self._routes) >= ROUTES_KEPT:
            self._routes.clear()
        self._routes[topic] = route
        return route

    def _line(self, node_id: str) -> Line:
        line = self._lines.get(node_id)
        if line is None:
            line = self._lines[node_id] = Line(node_id, self, self._options, asyncio.get_running_loop(), self._next_use)
        return line
