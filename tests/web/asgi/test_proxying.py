"""Proxies of a gateway that real ASGI servers host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tautomer import ApiGatewayService, Broker
from tests.commands.raw_server import Behaviour, Peer, RawServer, raw_server
from tests.web.asgi.hosts import SERVERS, serve
from tests.web.door import ask, parse
from tests.web.proxying import proxy_to

pytestmark = pytest.mark.slow

BIG = 3_000_000


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def hosted(server: str, behaviour: Behaviour | bytes) -> AsyncIterator[tuple[int, RawServer]]:
    async with raw_server(behaviour) as upstream:
        broker = Broker("n")
        route = {"path": "/api", "proxy": proxy_to(upstream.url)}
        gateway = ApiGatewayService(settings={"server": False, "routes": [route]})
        await broker.register(gateway)
        async with serve(gateway.app, server) as (_, port):
            yield port, upstream


async def test_a_long_body_goes_up_and_comes_down_whole(server: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: %d\r\n\r\n" % BIG + BIG * b"x"
    async with hosted(server, raw) as (port, upstream):
        answer = await ask(port, "POST", "/api/x?q=1", body=BIG * b"y")

        assert (200, BIG * b"x") == (answer.status, answer.body)
        assert ["a=1", "b=2"] == [value for name, value in answer.headers if name == "set-cookie"]
        assert "POST /x?q=1 HTTP/1.1" == upstream.heads[0].split("\r\n")[0]
        assert [BIG * b"y"] == upstream.bodies


async def test_an_upstream_that_breaks_off_leaves_no_answer_that_looks_whole(server: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + 1000 * b"x" + b"\r\n")
        peer.close()

    async with hosted(server, behave) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(20):
            try:
                raw = await reader.read()
            except ConnectionResetError:
                raw = b""
        writer.close()

        # One that holds the head back until there is more to send can still say that it failed.
        assert not raw.endswith(b"0\r\n\r\n") or 500 == parse(raw).status


async def test_a_client_that_leaves_ends_the_request_to_the_upstream(server: str) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        asked.set()
        assert await peer.gone()
        gone.set()

    async with hosted(server, behave) as (port, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await asked.wait()
            writer.close()
            await gone.wait()
