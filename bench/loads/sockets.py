"""A load generator for WebSockets: ``python sockets.py OPTIONS``, with OPTIONS as JSON.

    {"port": NUMBER, "sockets": NUMBER, "kind": "rpc" or "broadcast"}

``rpc``: each socket calls a method, and calls again when the result has come. ``broadcast``: all sockets are in one
room, and the first one has an event sent to it, again when all have got it and it has its own result. Answers must be
to the byte what they are the first time, and that must be right.

Says ``{"bench": {"ready": true}}`` when the sockets are open, then answers each line ``{"seconds": …}`` as contenders do
(see ``bench/README.md``): an operation is a call, or an event that has reached a socket.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

try:
    import uvloop as _loop
except ImportError:
    _loop = asyncio  # type: ignore[assignment]  # Both have `run`.

HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ECHO = {"n": 1}
NEWS = {"text": "x" * 100}
WAIT = 15.0
PING = b"\x89\0"
PONG = b"\x8a\x80\0\0\0\0"
OPENED_AT_ONCE = 100


class Wrong(Exception):
    """The other side says something else than it should."""


def masked(message: dict[str, Any], mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """The frame of a client."""
    text = json.dumps(message, separators=(",", ":")).encode()
    length = bytes((0x80 | len(text),)) if len(text) < 126 else bytes((0xFE, *len(text).to_bytes(2, "big")))
    return b"\x81" + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


def unpacked(data: bytes) -> tuple[Any, int] | None:
    """The first message of a server's frames (None for a ping), and where the next one begins; None where it is not all there."""
    if data[:2] == PING:
        return None, 2
    if len(data) < 4:
        return None
    size, begin = data[1], 2
    if size == 126:
        size, begin = int.from_bytes(data[2:4], "big"), 4
    if data[0] != 0x81 or (size > 126 and begin == 2):
        raise Wrong(f"no text in one short frame: {data[:80]!r}")
    if len(data) < begin + size:
        return None
    return json.loads(data[begin : begin + size]), begin + size


class Socket(asyncio.Protocol):
    """One client.

    Attributes:
        on_message: Told of each message, once the socket is open.
        expected: Bytes of the frame that comes most: it is not looked at any more, but counted by `on_expected`.
    """

    def __init__(self, port: int, opened: asyncio.Future[None]) -> None:
        self._port = port
        self._opened = opened
        self._part = b""
        self._answered = False
        self.transport: Any = None
        self.expected = b"\0"
        self.on_expected: Callable[[], None] = lambda: None
        self.on_message: Callable[[Any, bytes], None] = lambda _message, _frame: None
        self.on_end: Callable[[], None] = lambda: None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(HANDSHAKE.format(port=self._port).encode())

    def data_received(self, data: bytes) -> None:
        if data == self.expected and not self._part:
            self.on_expected()
            return
        self._part += data
        if not self._answered:
            head, end, rest = self._part.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._opened.set_exception(Wrong(head.decode("latin-1")))
                self.transport.abort()
                return
            self._answered, self._part = True, rest
        while found := unpacked(self._part):
            message, end_at = found
            frame, self._part = self._part[:end_at], self._part[end_at:]
            if message is None:
                self.transport.write(PONG)
            elif not self._opened.done():
                self._opened.set_result(None)  # The welcome.
            elif frame == self.expected:
                self.on_expected()
            else:
                self.on_message(message, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(Wrong("the connection ended within the handshake"))
        self.on_end()


class Load:
    """All clients of one run, and what they count.

    Attributes:
        ops: Operations so far.
    """

    def __init__(self, sockets: list[Socket]) -> None:
        self.sockets = sockets
        self.ops = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end = 0.0
        for socket in sockets:
            socket.on_end = self._on_end

    async def run(self, seconds: float) -> dict[str, float]:
        """Work for so long, and until nothing is under way any more."""
        self.ops = 0
        self.over = asyncio.get_running_loop().create_future()
        began = perf_counter()
        self._end = began + seconds
        self.begin()
        async with asyncio.timeout(seconds + WAIT):
            await self.over
        return {"ops": self.ops, "seconds": perf_counter() - began}

    def begin(self) -> None:
        raise NotImplementedError

    @property
    def is_time_over(self) -> bool:
        return perf_counter() >= self._end

    def fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)

    def _on_end(self) -> None:
        self.fail(Wrong("a connection ended"))


class Calls(Load):
    """Each socket calls, and calls again."""

    SAID = masked({"method": "bench.echo", "data": ECHO, "correlation_id": "c1"})
    RIGHT = {"type": "result", "success": True, "data": ECHO, "correlation_id": "c1"}

    def __init__(self, sockets: list[Socket]) -> None:
        super().__init__(sockets)
        self._running = 0
        for socket in sockets:
            self._attach(socket)

    def _attach(self, socket: Socket) -> None:
        write = socket.transport.write

        def on_expected() -> None:
            self.ops += 1
            if self.is_time_over:
                self._running -= 1
                if not self._running and not self.over.done():
                    self.over.set_result(None)
            else:
                write(self.SAID)

        def on_message(message: Any, frame: bytes) -> None:
            if message != self.RIGHT:
                self.fail(Wrong(f"a call gives {message!r:.300}"))
                return
            socket.expected = frame
            on_expected()

        socket.on_expected, socket.on_message = on_expected, on_message

    def begin(self) -> None:
        self._running = len(self.sockets)
        for socket in self.sockets:
            socket.transport.write(self.SAID)


class Broadcasts(Load):
    """The first socket has an event sent to all, and again when it has reached all."""

    JOIN = masked({"method": "bench.join", "data": {}, "correlation_id": None})
    SAID = masked({"method": "bench.shout", "data": NEWS, "correlation_id": None})
    RIGHT = {"type": "event", "event": "news", "data": NEWS}

    def __init__(self, sockets: list[Socket]) -> None:
        super().__init__(sockets)
        self._left = 0
        self._joined = 0
        for socket in sockets:
            self._attach(socket)

    def _attach(self, socket: Socket) -> None:
        def on_expected() -> None:
            self.ops += 1
            self._count()

        def on_message(message: Any, frame: bytes) -> None:
            if message == self.RIGHT:
                socket.expected = frame
                on_expected()
            elif message.get("type") == "result" and message["success"]:
                self._count()
            else:
                self.fail(Wrong(f"a broadcast gives {message!r:.300}"))

        socket.on_expected, socket.on_message = on_expected, on_message

    async def run(self, seconds: float) -> dict[str, float]:
        if not self._joined:
            self._joined = self._left = len(self.sockets)
            self.over = asyncio.get_running_loop().create_future()
            for socket in self.sockets:
                socket.transport.write(self.JOIN)
            async with asyncio.timeout(WAIT):
                await self.over
        return await super().run(seconds)

    def begin(self) -> None:
        self._left = len(self.sockets) + 1
        self.sockets[0].transport.write(self.SAID)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            return
        if self.is_time_over:
            self.over.set_result(None)
        else:
            self.begin()


KINDS: dict[str, Callable[[list[Socket]], Load]] = {"rpc": Calls, "broadcast": Broadcasts}


async def opened(port: int, count: int) -> list[Socket]:
    """So many sockets, each with its welcome."""
    loop = asyncio.get_running_loop()
    sockets: list[Socket] = []

    async def one() -> None:
        done: asyncio.Future[None] = loop.create_future()
        _, socket = await loop.create_connection(lambda: Socket(port, done), "127.0.0.1", port)
        sockets.append(socket)
        await done

    async with asyncio.timeout(WAIT):
        for at in range(0, count, OPENED_AT_ONCE):
            await asyncio.gather(*(one() for _ in range(min(OPENED_AT_ONCE, count - at))))
    return sockets


def answer(record: dict[str, Any]) -> None:
    print(json.dumps({"bench": record}), flush=True)


async def main() -> None:
    options = json.loads(sys.argv[1])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        load = KINDS[options["kind"]](await opened(options["port"], options["sockets"]))
    except Exception:
        answer({"error": traceback.format_exc()})
        return
    answer({"ready": True})
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer(await load.run(json.loads(line)["seconds"]))
        except Exception:
            answer({"error": traceback.format_exc()})
    for socket in load.sockets:
        socket.on_end = lambda: None
        socket.transport.abort()


if __name__ == "__main__":
    _loop.run(main())
