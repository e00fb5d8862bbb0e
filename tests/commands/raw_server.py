"""RawServer: an upstream server that does exactly what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Behaviour = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> str:
        """Request line and headers of the next request, without the blank line. An `EOFError` where there is none."""
        async with asyncio.timeout(20):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        return raw[:-4].decode("latin-1")

    async def body(self, head: str) -> bytes:
        """The body that belongs to a head."""
        async with asyncio.timeout(60):
            lower = head.lower()
            if "transfer-encoding: chunked" in lower:
                return b"".join([chunk async for chunk in self.chunks()])
            if "content-length: " not in lower:
                return b""
            return await self.reader.readexactly(int(lower.split("content-length: ")[1].split("\r\n")[0]))

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert b"\r\n" == await self.reader.readexactly(2)

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()

    async def gone(self) -> bool:
        """Wait until the other side has closed."""
        async with asyncio.timeout(20):
            try:
                return b"" == await self.reader.read()
            except ConnectionError:
                return True


class RawServer:
    """Attributes:
    port: Where it listens.
    heads: Of all requests that were read by `serve`, in order.
    bodies: Likewise.
    connections: How many there were.
    """

    def __init__(self, behaviour: Behaviour | bytes, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._behaviour = behaviour
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.errors: list[BaseException] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._run, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        try:
            if isinstance(self._behaviour, bytes):
                await self._answer_always(peer, self._behaviour)
            else:
                await self._behaviour(peer)
        except (asyncio.CancelledError, ConnectionError, EOFError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()
            try:
                await writer.wait_closed()
            except (ConnectionError, asyncio.CancelledError):
                pass

    async def _answer_always(self, peer: Peer, answer: bytes) -> None:
        while True:
            head = await peer.head()
            self.heads.append(head)
            self.bodies.append(await peer.body(head))
            await peer.write(answer)


@asynccontextmanager
async def raw_server(behaviour: Behaviour | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A server that behaves so on each connection; bytes: reads each request whole and gives this answer."""
    server = RawServer(behaviour, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert [] == server.errors
