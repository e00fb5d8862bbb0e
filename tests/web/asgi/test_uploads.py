"""Uploads to a gateway under real ASGI servers: bodies that arrive while their action reads them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tests.web.asgi.hosts import SERVERS, serve
from tests.web.door import ask, parse


class Files(Service):
    name = "files"

    def __init__(self) -> None:
        super().__init__()
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    @action
    async def store(self, ctx: Context) -> Any:
        size = 0
        try:
            async for piece in ctx.stream:
                size += len(piece)
                self.pieces.put_nowait(piece)
        except BaseException as error:
            self.ended.put_nowait(type(error).__name__)
            raise
        return {"size": size, "params": ctx.params}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def hosted(**settings: Any) -> tuple[Files, ApiGatewayService]:
    broker, files = Broker("n"), Files()
    gateway = ApiGatewayService(
        settings={"server": False, "routes": [{"aliases": {"PUT /files/:id": "stream:files.store"}}], **settings}
    )
    await broker.register(files)
    await broker.register(gateway)
    return files, gateway


async def test_a_body_reaches_its_action_whole(server: str):
    _, gateway = await hosted()

    async with serve(gateway.app, server) as (_, port):
        answer = await ask(port, "PUT", "/files/5", body=bytes(3_000_000))

    assert {"size": 3_000_000, "params": {"id": "5"}} == answer.json


async def test_it_is_read_while_it_arrives(server: str):
    files, gateway = await hosted()

    async with serve(gateway.app, server) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /files/5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nfirst")
        assert b"first" == await asyncio.wait_for(files.pieces.get(), 10)
        writer.write(b"later")
        answer = parse(await asyncio.wait_for(reader.read(), 10))
        writer.close()

    assert 10 == answer.json["size"]


async def test_a_client_that_leaves_breaks_the_stream_of_its_body(server: str):
    files, gateway = await hosted()

    async with serve(gateway.app, server) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT /files/5 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst")
        await asyncio.wait_for(files.pieces.get(), 10)
        writer.transport.abort()

        assert await asyncio.wait_for(files.ended.get(), 10) in ("StreamError", "CancelledError")


async def test_a_body_over_the_limit_of_its_alias_is_refused(server: str):
    _, gateway = await hosted(
        routes=[{"aliases": {"PUT /files/:id": "stream:files.store"}, "busboyConfig": {"limits": {"fileSize": 1000}}}]
    )

    async with serve(gateway.app, server) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"PUT /files/5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"3e8\r\n%s\r\n" % (b"x" * 1000) * 3
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()

    assert b" 413 " in head.split(b"\r\n")[0] + b" "
