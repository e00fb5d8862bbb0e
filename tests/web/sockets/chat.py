"""A service with methods for WebSockets, and clients that call them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tautomer import Broker, Context, Service, WebSocketHubProvider, websocket_rpc
from tautomer.errors import MoleculerClientError

WAIT = 20.0


class Expected(Exception):
    """What clients are told of."""


class Room(Service):
    name = "room"
    hub = WebSocketHubProvider()

    def __init__(self) -> None:
        super().__init__()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.go_on = asyncio.Event()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.seen: list[Any] = []

    @websocket_rpc
    async def echo(self, socket_id: str, **data: Any) -> Any:
        return data

    @websocket_rpc
    def in_a_thread(self, socket_id: str, channel: str) -> list[str]:
        self.hub.subscribe(socket_id, channel)
        self.hub.broadcast(channel, "joined", {"socket_id": socket_id})
        self.hub.unicast(socket_id, "only_you", 1)
        return self.hub.get_subscriptions(socket_id)

    @websocket_rpc
    async def join(self, socket_id: str, channel: str) -> str:
        self.hub.subscribe(socket_id, channel)
        self.hub.broadcast(channel, "joined", {"socket_id": socket_id})
        return "ok"

    @websocket_rpc
    async def leave(self, socket_id: str, channel: str) -> None:
        self.hub.unsubscribe(socket_id, channel)

    @websocket_rpc
    async def say(self, socket_id: str, channel: str, text: str) -> None:
        self.hub.broadcast(channel, "said", {"text": text}, exclude=socket_id)

    @websocket_rpc
    async def whisper(self, socket_id: str, to: str, text: str) -> Any:
        return await self.hub.unicast(to, "whispered", {"text": text, "from": socket_id})

    @websocket_rpc
    async def wait(self, socket_id: str, name: str = "") -> str:
        self.begun.put_nowait(name)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait(name)
        return name

    @websocket_rpc(params={"count": "number|convert"})
    async def ruled(self, socket_id: str, count: int) -> Any:
        return {"count": count}

    @websocket_rpc(expected_exceptions=Expected)
    async def fail(self, socket_id: str, kind: str) -> Any:
        if kind == "expected":
            raise Expected("e", {"k": 1}, 5)
        if kind == "on purpose":
            raise MoleculerClientError("no tea", 418, "TEAPOT", {"pot": 1})
        if kind == "result":
            return object()
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "exit":
            raise SystemExit(1)
        raise ValueError("a secret")

    @websocket_rpc
    async def who(self, socket_id: str, ctx: Context[Any]) -> Any:
        return {"user": ctx.user, "socket": ctx.meta["$socketId"] == socket_id}

    @websocket_rpc
    async def flood(self, socket_id: str, count: int, size: int) -> None:
        for _ in range(count):
            self.hub.unicast(socket_id, "drop", "x" * size)


class Client:
    """One end of a socket. Every wait is bounded."""

    def __init__(self, line: ClientConnection, socket_id: str) -> None:
        self.line = line
        self.socket_id = socket_id

    async def next(self) -> Any:
        async with asyncio.timeout(WAIT):
            return json.loads(await self.line.recv())

    async def send(self, method: str, correlation_id: Any = None, **data: Any) -> None:
        await self.line.send(json.dumps({"method": method, "data": data, "correlation_id": correlation_id}))

    async def call(self, method: str, **data: Any) -> Any:
        """The result's message; events before it are dropped."""
        await self.send(method, "c", **data)
        while (message := await self.next())["type"] != "result":
            pass
        return message

    async def event(self, name: str) -> Any:
        """Data of the next event of that name."""
        while (message := await self.next()).get("event") != name:
            pass
        return message["data"]

    async def closed(self) -> int | None:
        """The code by which the socket is closed."""
        async with asyncio.timeout(WAIT):
            await self.line.wait_closed()
        return self.line.close_code


@asynccontextmanager
async def open_client(host: str, port: int, path: str = "/ws", **options: Any) -> AsyncIterator[Client]:
    options = {
        "compression": None,
        "proxy": None,
        "max_queue": None,
        "open_timeout": WAIT,
        "ping_interval": None,
        **options,
    }
    scheme = "wss" if "ssl" in options else "ws"
    async with connect(f"{scheme}://{host}:{port}{path}", **options) as line:
        async with asyncio.timeout(WAIT):
            welcome = json.loads(await line.recv())
        assert ("event", "connected") == (welcome["type"], welcome["event"])
        yield Client(line, welcome["data"]["socket_id"])


async def until(condition: Any) -> None:
    """Wait for something that will be so."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.005)


def sockets_of(broker: Broker) -> Any:
    """The sockets of a node's gateway."""
    hub: Any = broker.get_local_service("$hub")
    return hub.gateways[0]
