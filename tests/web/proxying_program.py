"""Programs of their own: an upstream of our own kind, and a gateway that passes bodies through, and tells its memory.

``python -m tests.web.proxying_program up|down|both MEGABYTES`` prints JSON: ``{"bytes", "digest", "growth_bytes"}``.
``… upstream`` prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from tautomer import ApiGatewayService, Broker, Context, HTTPProxyCommand, Service, action
from tests.web.upload_program import PIECE, peak

UPSTREAM_ROUTE = {
    "aliases": {"PUT /up": "stream:files.take", "GET /down": "files.give", "POST /both": "stream:files.echo"},
    "busboyConfig": {"limits": {"fileSize": 0}},
    "callOptions": {"timeout": 0},
}


class Files(Service):
    name = "files"

    @action
    async def take(self, ctx: Context) -> dict[str, Any]:
        hashed, size = hashlib.md5(), 0
        async for chunk in ctx.stream:
            hashed.update(chunk)
            size += len(chunk)
        return {"bytes": size, "digest": hashed.hexdigest()}

    @action
    async def give(self, ctx: Context) -> AsyncIterator[bytes]:
        for _ in range(int(ctx.params["megabytes"]) * 16):
            yield PIECE

    @action
    async def echo(self, ctx: Context) -> AsyncIterator[bytes]:
        async for chunk in ctx.stream:
            yield chunk


async def serve() -> None:
    broker = Broker("upstream")
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [UPSTREAM_ROUTE]})
    await broker.register(gateway)
    await broker.register(Files())
    async with broker:
        print(gateway.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def request(port: int, kind: str, megabytes: int) -> dict[str, Any]:
    """What went through: as the upstream has counted it, or as it came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if kind == "down":
        writer.write(f"GET /down?megabytes={megabytes} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return await received(reader)
    line = "PUT /up" if kind == "up" else "POST /both"
    writer.write(f"{line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    async def send() -> None:
        for _ in range(megabytes * 16):
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    if kind == "both":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            got = tasks.create_task(received(reader))
        return got.result()
    await send()
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    found: dict[str, Any] = json.loads(await reader.readexactly(length))
    return found


async def received(reader: asyncio.StreamReader) -> dict[str, Any]:
    """A chunked answer that came to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    assert b"chunked" in head
    hashed, total = hashlib.md5(), 0
    while size := int(await reader.readuntil(b"\r\n"), 16):
        hashed.update((await reader.readexactly(size + 2))[:-2])
        total += size
    return {"bytes": total, "digest": hashed.hexdigest()}


async def main(kind: str, megabytes: int) -> dict[str, Any]:
    upstream = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.web.proxying_program", "upstream", stdin=-1, stdout=-1
    )
    assert upstream.stdout is not None
    assert upstream.stdin is not None
    origin = f"http://127.0.0.1:{int(await upstream.stdout.readline())}"

    class Through(HTTPProxyCommand):
        max_body = 0

        def before_request(self) -> None:
            self.request["url"] = origin + self.request["path"]

    broker = Broker("edge")
    gateway = ApiGatewayService(
        settings={"port": 0, "ip": "127.0.0.1", "routes": [{"path": "", "proxy": Through}], "openapi": False}
    )
    await broker.register(gateway)
    try:
        async with broker:
            await request(gateway.port, kind, 1)  # What is loaded once is no growth.
            before = peak()
            found = await request(gateway.port, kind, megabytes)
            return {**found, "growth_bytes": peak() - before}
    finally:
        upstream.stdin.close()
        await upstream.wait()


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        asyncio.run(serve())
    else:
        print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
