"""Door: a gateway on a free port, and a client that speaks to it over a plain socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tautomer import ApiGatewayService, Broker, Service


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `headers` are as they came, names in lower case."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str | None:
        """`type` of an error body."""
        found = self.json.get("type")
        return None if found is None else str(found)


async def ask(
    port: int, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request on a connection of its own."""
    lines = {"Host": "test", "Connection": "close", **(headers or {})}
    if body:
        lines.setdefault("Content-Length", str(len(body)))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + b"\r\n" + body)
        async with asyncio.timeout(10):
            raw = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    return parse(raw)


def parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, reason = first.split(" ", 2)
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(int(status), reason, headers, body)


def chunks(answer: Answer) -> bytes:
    """The body of a chunked answer that came to its end."""
    assert "chunked" == answer.header("transfer-encoding")
    body, rest = b"", answer.body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert b"\r\n" == rest
            return body
        body, rest = body + rest[:length], rest[length + 2 :]


class Door:
    """A node with a gateway."""

    def __init__(self, broker: Broker, service: ApiGatewayService) -> None:
        self.broker = broker
        self.service = service

    @property
    def port(self) -> int:
        return self.service.port

    async def ask(self, method: str, target: str, **options: Any) -> Answer:
        return await ask(self.port, method, target, **options)

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, headers=headers)

    async def send(self, method: str, target: str, value: Any, **headers: str) -> Answer:
        """With a JSON body."""
        lines = {"Content-Type": "application/json", **headers}
        return await self.ask(method, target, headers=lines, body=json.dumps(value).encode())


def gateway(*routes: Mapping[str, Any], **settings: Any) -> ApiGatewayService:
    return ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": list(routes), **settings})


async def open_door(
    *services: Service | type[Service], routes: list[Any], broker: Broker | None = None, **settings: Any
) -> Door:
    """A started node that offers these services through a gateway with these routes. Who opens it stops its broker."""
    broker = broker or Broker("gateway-node")
    for service in services:
        await broker.register(service)
    made = gateway(*routes, **settings)
    await broker.register(made)
    if not broker.started:
        await broker.start()
    return Door(broker, made)
