"""Transporters on 127.0.0.1 that know each other's addresses, and raw peers that speak bytes to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tautomer.protocol.frames import KINDS, frame_head
from tautomer.transporters.tcp import TcpOptions, TcpTransporter
from tests.transporters.suite import RecordingLink


class Watcher:
    """Remembers sightings and losses; greets with a HELLO, unless it is told not to.

    Attributes:
        sightings: (node id, host, port, lasting).
        lost: (node id, abrupt).
    """

    def __init__(self) -> None:
        self.transporter: TcpTransporter | None = None
        self.greets = True
        self.sightings: list[tuple[str, str, int, bool]] = []
        self.lost: list[tuple[str, bool]] = []

    def sighted(self, node_id: str, host: str, port: int, lasting: bool) -> None:
        self.sightings.append((node_id, host, port, lasting))

    def greet(self, node_id: str) -> None:
        assert self.transporter is not None
        if self.greets:
            self.transporter.send(f"MOL.GOSSIP_HELLO.{node_id}", b"hello")

    def line_lost(self, node_id: str, abrupt: bool) -> None:
        self.lost.append((node_id, abrupt))


def options(**more: Any) -> TcpOptions:
    return TcpOptions(**{"host": "127.0.0.1", "udp_discovery": False, "connect_timeout": 1.0, **more})


class End:
    """A transporter with all that it tells."""

    def __init__(self, id: str, namespace: str = "", url: str = "TCP", **more: Any) -> None:
        self.id = id
        self.link = RecordingLink()
        self.watcher = Watcher()
        self.transporter = TcpTransporter(url, options=options(**more))
        self.watcher.transporter = self.transporter
        self.transporter.introduce(namespace, id, self.watcher)

    async def start(self) -> End:
        await self.transporter.connect(self.link)
        return self

    def knows(self, other: End) -> None:
        self.transporter.locate(other.id, ("127.0.0.1",), other.transporter.port)

    def send(self, command: str, node_id: str, data: bytes, token: str | None = None) -> None:
        self.transporter.send(f"MOL.{command}.{node_id}", data, token)

    @property
    def heard(self) -> list[bytes]:
        """What came, without greetings."""
        return [data for topic, data in self.link.messages if "HELLO" not in topic]


@asynccontextmanager
async def ends(*ids: str, **more: Any) -> AsyncIterator[list[End]]:
    """Started transporters that know each other's addresses."""
    made = [await End(id, **more).start() for id in ids]
    for one in made:
        for other in made:
            if one is not other:
                one.knows(other)
    try:
        yield made
    finally:
        await asyncio.gather(*(one.transporter.close() for one in made))


class RawServer:
    """Listens, keeps what comes, and does with each connection what a test wants."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.writers: list[asyncio.StreamWriter] = []
        self.reading = True
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while self.reading and (data := await reader.read(65_536)):
                self.received += data
        except OSError:
            pass

    def reset(self) -> None:
        """End all connections at once, as a process does that dies with unread bytes."""
        for writer in self.writers:
            writer.transport.abort()

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()


async def speak(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as anybody could, and say something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


def frame(command: str, payload: bytes) -> bytes:
    return frame_head(KINDS[command], len(payload)) + payload


async def cut(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closed the connection."""
    try:
        return b"" == await reader.read(1)
    except ConnectionError:
        return True


def tokens(count: int) -> Sequence[str]:
    return [f"t-{number}" for number in range(count)]
