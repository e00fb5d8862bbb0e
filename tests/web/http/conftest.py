from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tautomer.web.http.server import HttpServer
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Reply, Request
from tests.loops import (
    pytest_asyncio_loop_factories as pytest_asyncio_loop_factories,  # The hook is found by its name here.
)

from .wire import WAIT, Wire

Serve = Callable[..., Awaitable[HttpServer]]
Dial = Callable[[HttpServer], Awaitable[Wire]]


async def echo(request: Request) -> Reply:
    """Says what arrived."""
    text = f"{request.method} {request.path}?{request.query_string} "
    return Reply(200, [("Content-Type", "text/plain")], text.encode() + request.body)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server; it is stopped at the end. Keywords are limits, or arguments of `HttpServer`."""
    servers: list[HttpServer] = []

    async def start(handle: Callable[[Request], Awaitable[Reply]] = echo, **given: Any) -> HttpServer:
        limits = {name: given.pop(name) for name in list(given) if name in HttpLimits.__dataclass_fields__}
        server = HttpServer(handle, limits=HttpLimits(**limits), **given)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop(0)


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Connect to a server; closed at the end."""
    wires: list[Wire] = []

    async def connect(server: HttpServer) -> Wire:
        async with asyncio.timeout(WAIT):
            wire = Wire(*await asyncio.open_connection("127.0.0.1", server.port))
        wires.append(wire)
        return wire

    yield connect
    for wire in wires:
        await wire.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that will be so."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.005)
