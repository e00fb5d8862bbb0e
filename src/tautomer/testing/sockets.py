"""Connections from the test to a server inside the simulation: bytes in, bytes out, no socket."""

from __future__ import annotations

import asyncio
import errno
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from tautomer.testing.clock import Machine

__all__ = ["Answer", "SimServer", "SimSocket", "request_bytes"]

LATENCY: Final = 0.001
"""Seconds from a client to the server and back, each way."""

WRITE_HIGH: Final = 64 * 1024


class SimServer(asyncio.AbstractServer):
    """What `SimLoop.create_server` gives: a server that is listening at one machine."""

    #: None that could be polled.
    sockets = ()

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: Machine,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
    ) -> None:
        self.host = host
        self.port: int = port
        if port and any(server.port == port and server.is_serving() for server in machine.servers):
            raise OSError(errno.EADDRINUSE, f"port {port} is in use at {machine.name}")
        self._loop = loop
        self._machine = machine
        self._factory = factory
        self._serving = True
        self._open: dict[_Transport, None] = {}

    def connect(self, client: str) -> SimSocket:
        """A connection of a client with this address.

        Raises:
            ConnectionRefusedError: It listens no more.
        """
        if not self._serving or self._machine.dead:
            raise ConnectionRefusedError(
                errno.ECONNREFUSED, f"nobody listens on port {self.port} of {self._machine.name}"
            )
        socket = SimSocket(self._loop)
        transport = _Transport(self._loop, self._machine, socket, client, self._open)
        socket._transport = transport
        transport.in_order(self._accept, transport)
        return socket

    def _accept(self, transport: _Transport) -> None:
        if self._serving:
            transport.begin(cast(asyncio.Protocol, self._factory()))
        else:
            transport.abort()

    def reset(self) -> None:
        """The machine is gone: clients see their connections cut."""
        self._serving = False
        for transport in list(self._open):
            transport.vanish()

    def close(self) -> None:
        self._serving = False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self._serving = True

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    async def wait_closed(self) -> None:
        pass


class _Transport(asyncio.Transport):
    """The server's end. What goes from here to there keeps its order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        machine: Machine,
        socket: SimSocket,
        client: str,
        opened: dict[_Transport, None],
    ) -> None:
        super().__init__({"peername": (client, 50_000), "sockname": (machine.name, 0)})
        self._loop = loop
        self._context = machine.context
        self._socket = socket
        self._protocol: asyncio.Protocol | None = None
        self._opened = opened
        self._steps: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._unread: deque[bytes] = deque()
        self._unwritten = bytearray()
        self._high = WRITE_HIGH
        self._closing = self._lost = self._paused = self._full = self._ended = False
        opened[self] = None

    # --- from the client ---

    def in_order(self, step: Callable[..., None], *args: Any) -> None:
        """Do this at the server in a moment, after what was put here before."""
        self._steps.append((step, args))
        self._loop.call_later(LATENCY, self._step, context=self._context)

    def _step(self) -> None:
        # Whichever timer comes first takes what was put first: timers of one time have no order of their own.
        step, args = self._steps.popleft()
        step(*args)

    def begin(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def take(self, data: bytes) -> None:
        if self._protocol is None or self._lost or self._closing:
            return
        if self._paused:
            self._unread.append(data)
        else:
            self._protocol.data_received(data)

    def take_eof(self) -> None:
        if self._protocol is not None and not self._lost and not self._protocol.eof_received():
            self.close()

    def take_reset(self) -> None:
        self._lose(ConnectionResetError(errno.ECONNRESET, "the client has gone"))

    # --- what a protocol asks of a transport ---

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        while self._unread and not self._paused:
            self.take(self._unread.popleft())

    def is_reading(self) -> bool:
        return not self._paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = WRITE_HIGH if high is None else high

    def get_write_buffer_size(self) -> int:
        return len(self._unwritten)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._lost or self._ended:
            return
        self._unwritten += data
        self.flush()
        if len(self._unwritten) > self._high and not self._full and self._protocol is not None:
            self._full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def flush(self) -> None:
        """Give the client what it takes."""
        if not self._socket.reading:
            return
        if self._unwritten:
            self._socket._put(bytes(self._unwritten))
            self._unwritten.clear()
        if self._full and self._protocol is not None:
            self._full = False
            self._protocol.resume_writing()
        if self._closing and not self._unwritten:
            self._lose(None)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self._socket._put(b"")

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unwritten:
                self._lose(None)

    def abort(self) -> None:
        self._closing = True
        self._unwritten.clear()
        self._lose(None)

    def vanish(self) -> None:
        """The server's machine died."""
        self._lost = self._closing = True
        self._opened.pop(self, None)
        self._socket.was_reset = True
        self._socket._put(b"")

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._opened.pop(self, None)
        self.write_eof()
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)


class SimSocket:
    """The client's end of a connection to a server in the simulation.

    Attributes:
        reading: Set it to False for a client that takes nothing, then back to True.
        ended: The server's side has closed, and all that it sent was read.
        was_reset: The server's machine died.
    """

    _transport: _Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._on_way: deque[bytes] = deque()
        self._came: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._reading = True
        self._left = bytearray()
        self.ended = False
        self.was_reset = False

    @property
    def reading(self) -> bool:
        return self._reading

    @reading.setter
    def reading(self, value: bool) -> None:
        self._reading = value
        if value:
            self._transport.in_order(self._transport.flush)

    def send(self, data: bytes) -> None:
        """Send bytes; they arrive in order, in a moment."""
        self._transport.in_order(self._transport.take, bytes(data))

    def send_eof(self) -> None:
        """Say that nothing more will come; the other way stays open."""
        self._transport.in_order(self._transport.take_eof)

    def close(self) -> None:
        """Hang up."""
        self._transport.in_order(self._transport.take_reset)

    async def read(self) -> bytes:
        """The bytes that came, at least one; ``b""`` at the end."""
        if self._left:
            data = bytes(self._left)
            self._left.clear()
            return data
        while not self._came and not self.ended:
            self._waiter = self._loop.create_future()
            await self._waiter
        if self.ended:
            return b""
        data = self._came.popleft()
        self.ended = data == b""
        return data

    async def read_until(self, mark: bytes) -> bytes:
        """All up to and with `mark`; what came after it is read next. Shorter if the server closes before."""
        seen = bytearray()
        while (end := seen.find(mark)) < 0:
            piece = await self.read()
            if not piece:
                return bytes(seen)
            seen += piece
        self._left = seen[end + len(mark) :]
        return bytes(seen[: end + len(mark)])

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes. Shorter if the server closes before."""
        seen = bytearray()
        while len(seen) < size:
            piece = await self.read()
            if not piece:
                return bytes(seen)
            seen += piece
        self._left = seen[size:]
        return bytes(seen[:size])

    async def read_all(self) -> bytes:
        """Everything until the server closes."""
        seen = bytearray()
        while piece := await self.read():
            seen += piece
        return bytes(seen)

    def _put(self, data: bytes) -> None:
        self._on_way.append(data)
        self._loop.call_later(LATENCY, self._arrive, context=Context())

    def _arrive(self) -> None:
        self._came.append(self._on_way.popleft())
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer.

    Attributes:
        headers: By name in lower case; of several lines of one name, the last.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @classmethod
    def parse(cls, raw: bytes) -> Answer:
        """From the bytes of a connection that was closed after the answer.

        Raises:
            ConnectionResetError: There is no whole answer.
        """
        head, end, body = raw.partition(b"\r\n\r\n")
        if not end:
            raise ConnectionResetError(errno.ECONNRESET, f"the connection was cut before an answer came: {raw[:80]!r}")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _unchunked(body)
        return cls(int(first.split(" ", 2)[1]), headers, body)


def _unchunked(raw: bytes) -> bytes:
    body = bytearray()
    while True:
        line, _, raw = raw.partition(b"\r\n")
        size = int(line.partition(b";")[0] or b"0", 16)
        if size == 0:
            return bytes(body)
        body += raw[:size]
        raw = raw[size + 2 :]


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """An HTTP/1.1 request, after which the server is to close."""
    lines = {"Host": "simulation", "Connection": "close", **headers}
    if body:
        lines.setdefault("Content-Length", str(len(body)))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode("latin-1") + b"\r\n" + body
