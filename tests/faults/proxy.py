"""A TCP proxy that does what networks do: delays, freezes, loses bytes, hangs up."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Proxy:
    """Stands between a node and a server on a port of its own.

    Attributes:
        delay: Seconds by which each piece is held back, each way; the order stays.
        frozen: While set, nothing passes, and nobody is told: no FIN, no reset.
        connections: How many were made so far.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pipes: dict[asyncio.Task[None], None] = {}
        self._writers: list[asyncio.StreamWriter] = []
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._to_lose = {"in": 0, "out": 0}
        self.delay = 0.0
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._pipes):
            task.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def freeze(self) -> None:
        """From now on nothing passes, and new connections are taken and led nowhere."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def lose(self, count: int, way: str = "in") -> None:
        """Swallow the next bytes on their way ``"in"`` (to the node) or ``"out"``."""
        self._to_lose[way] += count

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        await self._thawed.wait()
        try:
            there, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(there_writer)
        for way, source, sink in (("out", reader, there_writer), ("in", there, writer)):
            task = asyncio.create_task(self._pipe(way, source, sink))
            self._pipes[task] = None
            task.add_done_callback(self._pipes.pop)

    async def _pipe(self, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        clock = asyncio.get_running_loop().time

        async def write() -> None:
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self._thawed.wait()
                lost = min(self._to_lose[way], len(piece))
                self._to_lose[way] -= lost
                sink.write(piece[lost:])
                if not piece:
                    sink.transport.abort()

        writer = asyncio.create_task(write())
        try:
            while piece := await source.read(CHUNK):
                queue.put_nowait((clock() + self.delay, piece))
        except OSError:
            pass
        finally:
            queue.put_nowait((clock() + self.delay, b""))
            try:
                await asyncio.wait([writer], timeout=self.delay + 1.0)
            finally:
                writer.cancel()
