"""A service that takes uploads, on the gateway's node or on another, and a client that sends them in pieces."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tautomer import ApiGatewayService, Context, Service, action, errors
from tests.cluster import Cluster
from tests.web.door import Answer, parse

TYPE = "multipart/form-data; boundary=B"
END = b"--B--\r\n"


def field(name: str, value: str) -> bytes:
    return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_head(name: str = "f", filename: str = "x.txt") -> bytes:
    head = (
        f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: text/css\r\n\r\n'
    )
    return head.encode()


def file(value: bytes, name: str = "f", filename: str = "x.txt") -> bytes:
    return file_head(name, filename) + value + b"\r\n"


class Files(Service):
    """What it does with a stream is in its name. `ended` tells how each stream ended."""

    name = "files"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.got = 0
        self.ended: list[str] = []

    async def _read(self, ctx: Context) -> AsyncIterator[bytes]:
        self.calls += 1
        try:
            async for chunk in ctx.stream:
                self.got += len(chunk)
                yield chunk
            self.ended.append("whole")
        except errors.MoleculerError as error:
            self.ended.append(error.type)
            raise
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    @action
    async def take(self, ctx: Context) -> Any:
        hashed, size = hashlib.md5(), 0
        async for chunk in self._read(ctx):
            hashed.update(chunk)
            size += len(chunk)
        return {"size": size, "md5": hashed.hexdigest(), "params": ctx.params, "user": ctx.user}

    @action
    async def swallow(self, ctx: Context) -> str:
        """Takes the part that it got for the whole."""
        try:
            async for _ in self._read(ctx):
                pass
        except errors.MoleculerError:
            pass
        return "fine"

    @action
    async def ignore(self, ctx: Context) -> str:
        self.calls += 1
        return "ignored"

    @action
    async def fail(self, ctx: Context) -> None:
        self.calls += 1
        await anext(ctx.stream)
        raise errors.MoleculerClientError("no room", 409, "NO_ROOM")

    @action
    async def shout(self, ctx: Context) -> AsyncIterator[bytes]:
        async for chunk in self._read(ctx):
            yield chunk.upper()

    @action
    async def count(self, ctx: Context) -> Any:
        return {"params": ctx.params, "stream": ctx.stream is not None}


@asynccontextmanager
async def opened(
    place: str, *routes: dict[str, Any], **settings: Any
) -> AsyncIterator[tuple[ApiGatewayService, Files, Any]]:
    """A gateway, the service (`place` is "here" or "there"), and the gateway's node."""
    cluster, service = Cluster(), Files()
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": list(routes), **settings})
    if place == "there":
        await cluster.node("b", service)
        broker = await cluster.node("a", gateway)
    else:
        broker = await cluster.node("a", gateway, service)
    try:
        yield gateway, service, broker
    finally:
        await cluster.stop()


class Client:
    """One request on a connection of its own, its body piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def begin(cls, port: int, line: str, *headers: str) -> Client:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        lines = [f"{line} HTTP/1.1", "Host: test", *headers, "", ""]
        client.writer.write("\r\n".join(lines).encode())
        return client

    async def send(self, *pieces: bytes) -> None:
        async with asyncio.timeout(30):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()

    async def answer(self) -> Answer:
        """One answer of known length."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = parse(head).header("content-length")
            return parse(head + await self.reader.readexactly(int(length or 0)))

    async def rest(self) -> bytes:
        async with asyncio.timeout(30):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
