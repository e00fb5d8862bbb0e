"""A program of its own that uploads to, or downloads from, a gateway in the same process, and tells how much memory it took.

``python -m tests.web.upload_program KIND PLACE MEGABYTES``: KIND is stream, multipart or down; PLACE is here or there.
Prints JSON: ``{"bytes", "growth_bytes"}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tautomer import ApiGatewayService, Broker, Context, Service, Settings, action

PIECE = bytes(range(256)) * 256
HEAD = b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
END = b"\r\n--B--\r\n"
ROUTE = {
    "aliases": {
        "PUT /stream": "stream:files.take",
        "POST /multipart": "multipart:files.take",
        "GET /down": "files.give",
    },
    "busboyConfig": {"limits": {"fileSize": 0, "files": 1}},
    "callOptions": {"timeout": 0},
}


class Files(Service):
    name = "files"

    @action
    async def take(self, ctx: Context) -> int:
        return sum([len(chunk) async for chunk in ctx.stream])

    @action
    async def give(self, ctx: Context) -> AsyncIterator[bytes]:
        for _ in range(int(ctx.params["megabytes"]) * 16):
            yield PIECE


def peak() -> int:
    """Most bytes of memory that this process held so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def request(port: int, kind: str, megabytes: int) -> int:
    """Bytes that the action got, or gave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if kind == "down":
        writer.write(f"GET /down?megabytes={megabytes} HTTP/1.0\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        size = 0
        while piece := await reader.read(65536):
            size += len(piece)
        return size
    around = (HEAD, END) if kind == "multipart" else (b"", b"")
    length = megabytes * 1024 * 1024 + sum(map(len, around))
    line = "PUT /stream" if kind == "stream" else "POST /multipart"
    head = f"{line} HTTP/1.0\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode() + around[0])
    for _ in range(megabytes * 16):
        writer.write(PIECE)
        await writer.drain()
    writer.write(around[1])
    raw = await reader.read()
    return int(raw.partition(b"\r\n\r\n")[2])


async def main(kind: str, place: str, megabytes: int) -> dict[str, Any]:
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [ROUTE]})
    brokers = [Broker(f"node-{number}", Settings(transporter="memory://")) for number in (1, 2)]
    await brokers[0].register(gateway)
    await brokers[0 if place == "here" else 1].register(Files())
    async with brokers[1], brokers[0]:
        await brokers[0].wait_for_services("files")
        await request(gateway.port, kind, 1)  # What is loaded once is no growth.
        before = peak()
        size = await request(gateway.port, kind, megabytes)
        return {"bytes": size, "growth_bytes": peak() - before}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
