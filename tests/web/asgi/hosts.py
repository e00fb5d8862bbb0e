"""Hosts: real ASGI servers, in the loop of the test."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

SERVERS = ("uvicorn", "hypercorn", "granian")
SECONDS = 10.0


@asynccontextmanager
async def serve(app: Any, server: str = "uvicorn", **options: Any) -> AsyncIterator[tuple[str, int]]:
    """The application under one of `SERVERS`; gives host and port. Skips the test where the server is not installed."""
    host = Host(app, server, **options)
    try:
        yield await host.start()
    finally:
        await host.stop()


class Host:
    """One server with one application. `start` gives host and port.

    Args:
        options: Settings of the server's own.
    """

    def __init__(self, app: Any, server: str = "uvicorn", **options: Any) -> None:
        if importlib.util.find_spec(server) is None:
            pytest.skip(f"{server} is not installed")
        self._app = app
        self._server = server
        self._options = options
        self._task: asyncio.Task[Any] | None = None
        self._end: Any = None

    async def start(self) -> tuple[str, int]:
        return await getattr(self, f"_{self._server}")()

    async def stop(self) -> None:
        """End the server, and let the application end its life."""
        if self._task is None:
            return
        self._end()
        async with asyncio.timeout(SECONDS):
            await self._task
        self._task = None

    async def _uvicorn(self) -> tuple[str, int]:
        import uvicorn

        class Server(uvicorn.Server):
            def capture_signals(self) -> Any:
                from contextlib import nullcontext

                return nullcontext()  # The signals are pytest's.

        settings = {"port": 0, "log_config": None, "lifespan": "on", "timeout_graceful_shutdown": 2, **self._options}
        server = Server(uvicorn.Config(self._app, **settings))

        def end() -> None:
            server.should_exit = True

        self._end = end
        self._task = asyncio.create_task(server.serve())
        await self._until(lambda: server.started)
        return server.servers[0].sockets[0].getsockname()[:2]

    async def _hypercorn(self) -> tuple[str, int]:
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        # Hypercorn says its port in the log only, so the socket is bound here.
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.graceful_timeout = 1.0
        for name, value in self._options.items():
            setattr(config, name, value)
        ended = asyncio.Event()
        self._end = ended.set
        self._task = asyncio.create_task(serve(self._app, config, shutdown_trigger=ended.wait))  # type: ignore[arg-type]
        self._task.add_done_callback(lambda _: listener.detach())
        address: tuple[str, int] = listener.getsockname()
        await self._until(lambda: reachable(address))
        return address

    async def _granian(self) -> tuple[str, int]:
        from granian.constants import Interfaces
        from granian.server.embed import Server

        address = ("127.0.0.1", free_port())
        settings = {"log_enabled": False, "interface": Interfaces.ASGI, **self._options}
        server = Server(self._app, address=address[0], port=address[1], **settings)
        self._end = server.stop
        self._task = asyncio.create_task(server.serve())
        await self._until(lambda: reachable(address))
        return address

    async def _until(self, ready: Any) -> None:
        async with asyncio.timeout(SECONDS):
            while not ready():
                assert self._task is not None
                if self._task.done():
                    await self._task
                    raise RuntimeError(f"{self._server} has ended")
                await asyncio.sleep(0.01)


def reachable(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.setblocking(True)
        return probe.connect_ex(address) == 0


def free_port() -> int:
    """A port that was free a moment ago: granian cannot say which one it got for 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
