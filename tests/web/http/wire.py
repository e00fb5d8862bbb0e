"""A client that says exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

WAIT = 20.0


@dataclass(slots=True)
class Answer:
    """One reply, taken apart. Header names are in lower case; lines of one name are joined by ", "."""

    status: int
    reason: str
    version: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.json["type"])

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Wire:
    """One connection. Every wait is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one reply, as long as its own framing says."""
        async with asyncio.timeout(WAIT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii")
            first, *lines = head[:-4].split("\r\n")
            version, status, reason = first.split(" ", 2)
            answer = Answer(int(status), reason, version)
            for line in lines:
                name, _, value = line.partition(": ")
                name = name.lower()
                answer.headers[name] = f"{answer.headers[name]}, {value}" if name in answer.headers else value
            if method != "HEAD" and answer.status not in (100, 204, 304):
                answer.body = await self._body(answer)
            return answer

    async def _body(self, answer: Answer) -> bytes:
        if answer.headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                body += (await self.reader.readexactly(size + 2))[:-2]
                if size == 0:
                    return body
        if "content-length" in answer.headers:
            return await self.reader.readexactly(int(answer.headers["content-length"]))
        return await self.reader.read(-1)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; a reset ends it too."""
        data = b""
        async with asyncio.timeout(WAIT):
            try:
                while chunk := await self.reader.read(65536):
                    data += chunk
            except ConnectionError:
                pass
        return data

    def reset(self) -> None:
        """End the connection as a machine does that knows nothing of it."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, OSError):
            pass


def get(path: str = "/", *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    """A request head with a Host."""
    lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, *headers: str, path: str = "/") -> bytes:
    """A request with a body of known length."""
    return get(path, f"Content-Length: {len(body)}", *headers, method="POST") + body
