"""A mesh with nodes written by hand in it: they say what a test wants, and remember what they hear."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from tautomer import Broker, Middleware, Service, Settings
from tautomer.host import Host
from tautomer.settings import TransitSettings
from tautomer.transit.transit import Transit
from tautomer.transporters.memory import MemoryTransporter

BROADCAST = ("DISCOVER", "INFO", "DISCONNECT", "HEARTBEAT", "PING")
TARGETED = ("EVENT", "REQ", "RES", "DISCOVER", "INFO", "PING", "PONG")
QUICK = TransitSettings(settle=0, stop_delay=0, announce_delay=0)

_numbers = itertools.count(1)


async def until(claim: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.001)


class Clock:
    """A clock that stands until somebody moves it.

    Attributes:
        now: Seconds.
        on_read: Called once, by whoever reads the clock next.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.on_read: Callable[[], None] | None = None

    def __call__(self) -> float:
        told, self.on_read = self.on_read, None
        if told is not None:
            told()
        return self.now


Make = Callable[..., Awaitable[Broker]]
"""Starts a node: see `nodes`."""


@asynccontextmanager
async def nodes(clock: Callable[[], float]) -> AsyncIterator[Callable[..., Awaitable[Broker]]]:
    """What starts nodes on a clock: given services, an `id`, the `url` of a transporter and settings. They are stopped at the end."""
    made: list[Broker] = []

    async def start(
        *services: Service | type[Service], id: str = "node", url: str | None = None, **settings: Any
    ) -> Broker:
        broker = Broker(id, settings=Settings(transporter=url, transit=QUICK, **settings), host=Host(clock=clock))
        for service in services:
            await broker.register(service)
        await broker.start()
        made.append(broker)
        return broker

    yield start
    for broker in made:
        await broker.stop()


class Foreign:
    """A node of another make: speaks JSON and one protocol version, and answers nothing by itself.

    Attributes:
        heard: (command, packet, whether it was sent to this node alone), oldest first.
        tokens: Of requests that nobody listened to.
    """

    def __init__(self, url: str, node_id: str, version: str) -> None:
        self.node_id = node_id
        self.version = version
        self.heard: list[tuple[str, dict[str, Any], bool]] = []
        self.tokens: list[str] = []
        self.transporter = MemoryTransporter(url)
        self._commands = {f"MOL.{command}": (command, False) for command in BROADCAST}
        self._commands |= {f"MOL.{command}.{node_id}": (command, True) for command in TARGETED}

    async def join(self) -> Foreign:
        await self.transporter.connect(self)
        await self.transporter.subscribe(list(self._commands))
        return self

    async def close(self) -> None:
        await self.transporter.close()

    async def listen_balanced(self, action: str) -> None:
        """Be one of those among whom the message broker chooses for this action."""
        self._commands[f"MOL.REQB.{action}"] = ("REQ", False)
        await self.transporter.subscribe_balanced(f"MOL.REQB.{action}", action)

    # --- speaking ---

    def say(self, command: str, to: str | None = None, **fields: Any) -> None:
        """Send a packet: `ver` and `sender` are this node's, unless they are given."""
        packet = {**fields, "ver": fields.get("ver", self.version), "sender": fields.get("sender", self.node_id)}
        self.say_bytes(command, json.dumps(packet).encode(), to)

    def say_bytes(self, command: str, data: bytes, to: str | None = None) -> None:
        self.transporter.send(f"MOL.{command}" if to is None else f"MOL.{command}.{to}", data)

    def introduce(self, *services: dict[str, Any], to: str | None = None, **fields: Any) -> None:
        """Send an INFO."""
        said = {"services": list(services), "instanceID": f"i-{self.node_id}", "seq": 1, **fields}
        self.say("INFO", to, **said)

    def request(self, to: str, action: str, params: Any = None, **fields: Any) -> str:
        """Send a REQ. Returns its id."""
        request_id = str(fields.pop("id", f"r-{next(_numbers)}"))
        said = {"params": params, "meta": {}, "timeout": 0, "level": 1, "requestID": request_id, **fields}
        self.say("REQ", to, id=request_id, action=action, **said)
        return request_id

    async def ask(self, to: str, action: str, params: Any = None, **fields: Any) -> dict[str, Any]:
        """Send a REQ and wait for its RES."""
        return await self.hears("RES", id=self.request(to, action, params, **fields))

    async def finds_well(self, node_id: str) -> bool:
        """Whether that node answers a good request. Whatever was sent before has been handled then."""
        answer = await self.ask(node_id, "$node.options")
        return bool(answer["success"] and answer["data"]["nodeID"] == node_id)

    def answer(self, request: dict[str, Any], **fields: Any) -> None:
        """Answer a REQ that was heard."""
        said = {"id": request["id"], "meta": {}, "success": True, "data": None, **fields}
        self.say("RES", request["sender"], **said)

    # --- hearing ---

    async def hears(self, command: str, **fields: Any) -> dict[str, Any]:
        """The first packet heard of this command with these fields; waits for it."""
        await until(lambda: self.packets(command, **fields))
        return self.packets(command, **fields)[0]

    def packets(self, command: str, **fields: Any) -> list[dict[str, Any]]:
        """All packets heard of this command with these fields."""
        return [
            packet
            for name, packet, _ in self.heard
            if name == command and all(packet.get(key) == value for key, value in fields.items())
        ]

    # --- Link ---

    def receiver(self, topic: str) -> Callable[[bytes], None]:
        return partial(self.received, topic)

    def received(self, topic: str, data: bytes) -> None:
        try:
            packet = json.loads(data)
        except ValueError:
            return  # Other foreign nodes say anything.
        if isinstance(packet, dict) and packet.get("sender") != self.node_id:
            command, alone = self._commands[topic]
            self.heard.append((command, packet, alone))

    def undelivered(self, token: str) -> None:
        self.tokens.append(token)

    def unsent(self, token: str) -> None: ...

    def up(self) -> None: ...

    def down(self, reason: str) -> None: ...


class Mesh:
    """Starts real and foreign nodes that hear each other and nobody else."""

    def __init__(self) -> None:
        self.url = f"memory://mesh-{next(_numbers)}"
        self._open: list[Broker | Foreign] = []

    async def node(
        self,
        node_id: str,
        *services: Service | type[Service],
        host: Host | None = None,
        middlewares: Sequence[Middleware | type[Middleware]] = (),
        **settings: Any,
    ) -> Broker:
        """A started node."""
        chosen = {"transporter": self.url, "transit": QUICK, "shutdown_timeout": 0.2, **settings}
        broker = Broker(node_id, Settings(**chosen), middlewares, host)
        for service in services:
            await broker.register(service)
        self._open.append(broker)
        await broker.start()
        await asyncio.sleep(0)  # What it said last is delivered in the next turn of the loop.
        return broker

    async def foreign(self, node_id: str = "f", version: str = "5") -> Foreign:
        """A node written by hand, listening; it has not said anything yet."""
        made = await Foreign(self.url, node_id, version).join()
        self._open.append(made)
        return made

    async def close(self) -> None:
        for one in reversed(self._open):
            await (one.stop() if isinstance(one, Broker) else one.close())


def dropped(broker: Broker) -> dict[str, int]:
    """How many packets this node dropped, by reason."""
    assert broker.transit is not None
    return dict(broker.transit.dropped)


def token_of(transit: Transit, request_id: str) -> str | None:
    """What the transporter was given with this request, as long as that waits."""
    pending = transit.requesting._pending.by_id.get(request_id)
    return pending.token.text if pending is not None and pending.token is not None else None


def service_info(name: str, *actions: str, **fields: Any) -> dict[str, Any]:
    """A service as INFO has it, with these actions."""
    entries = {f"{name}.{action}": {"name": f"{name}.{action}", "rawName": action} for action in actions}
    return {"name": name, "fullName": name, "settings": {}, "metadata": {}, "actions": entries, "events": {}, **fields}
