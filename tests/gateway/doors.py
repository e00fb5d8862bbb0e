"""Doors: the servers through which the gateways are asked.

Our own server, and three that run the gateway as an ASGI application. Cases marked `raw` are left out for every door but
the first, as such servers answer odd heads themselves, or tidy them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from tautomer import ApiGatewayService, Broker, Context, Service, event
from tests.gateway.case import Function, Gateway
from tests.gateway.functions import FUNCTIONS
from tests.gateway.services import SERVICES
from tests.gateway.static_files import set_times
from tests.web.asgi.hosts import Host

ALIASES_SECONDS: Final = 5.0


class Door(Protocol):
    """One gateway behind one server.

    Attributes:
        name: For the names of tests.
        tells_reason: Whether the text beside a status can be chosen.
    """

    name: ClassVar[str]
    tells_reason: ClassVar[bool]

    async def start(self, gateway: Gateway) -> tuple[str, int]:
        """Start a node with the gateway and its services. Returns host and port.

        Raises:
            ServiceSchemaError: The gateway refuses its settings.
        """

    async def stop(self) -> None:
        """Stop all of it. Harmless if it was never started."""


class OwnServer:
    """The server that `ApiGatewayService` brings along."""

    name: ClassVar[str] = "own"
    tells_reason: ClassVar[bool] = True

    def __init__(self) -> None:
        self._node: Node | None = None

    async def start(self, gateway: Gateway) -> tuple[str, int]:
        self._node = await Node.make(gateway)
        await self._node.start()
        return "127.0.0.1", self._node.service.port

    async def stop(self) -> None:
        if self._node is not None:
            await self._node.broker.stop()


class AsgiServer:
    """The gateway's application under another server, in the same loop. ASGI has no word for the text beside a status."""

    name: ClassVar[str]
    tells_reason: ClassVar[bool] = False
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        self._node: Node | None = None
        self._host: Host | None = None

    async def start(self, gateway: Gateway) -> tuple[str, int]:
        self._node = await Node.make(gateway, server=False)
        await self._node.start()
        self._host = Host(self._node.service.app, self.name, **self.options)
        return await self._host.start()

    async def stop(self) -> None:
        if self._host is not None:
            await self._host.stop()
        if self._node is not None:
            await self._node.broker.stop()


class Uvicorn(AsgiServer):
    name: ClassVar[str] = "uvicorn"
    # It would take X-Forwarded-For from every client of this machine for the client's address.
    options: ClassVar[Mapping[str, Any]] = {"proxy_headers": False}


class Hypercorn(AsgiServer):
    name: ClassVar[str] = "hypercorn"


class Granian(AsgiServer):
    name: ClassVar[str] = "granian"


DOORS: Final[tuple[type[Door], ...]] = (OwnServer, Uvicorn, Hypercorn, Granian)
"""The first is our own server."""

SAMPLE: Final = ("alias_rest", "bodies_json", "results", "error_classes", "stream_uploads", "assets")
"""Gateways that are asked through uvicorn in every run, so that the ASGI door always is."""


def in_every_run(door: type[Door], gateway: Gateway) -> bool:
    """Whether the cases are asked in every run; the others in full ones only."""
    return door is OwnServer or (door is Uvicorn and gateway.name in SAMPLE)


class Listener(Service):
    """Hears when the aliases of annotations are made."""

    name = "listener"

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    @event("$api.aliases.regenerated")
    def regenerated(self, ctx: Context[Any]) -> None:
        self.heard.set()


class Node:
    """A node with a gateway and the services behind it.

    Attributes:
        broker: With all of them registered; its owner stops it.
        service: The gateway's.
    """

    def __init__(self, broker: Broker, service: ApiGatewayService, listener: Listener | None) -> None:
        self.broker = broker
        self.service = service
        self._listener = listener

    @classmethod
    async def make(cls, gateway: Gateway, **settings: Any) -> Self:
        """One that is not started yet.

        Args:
            settings: More of the gateway's.

        Raises:
            ServiceSchemaError: The gateway refuses its settings.
        """
        set_times()
        broker = Broker("node")
        for name in gateway.services:
            await broker.register(SERVICES[name])
        listener = None
        if any(route.get("autoAliases") for route in gateway.settings.get("routes", ())):
            listener = Listener()
            await broker.register(listener)
        # Methods are looked up on the class, as those that people write.
        methods: dict[str, Any] = {name: _as_method(revived(one)) for name, one in gateway.methods.items()}
        kind = type("ConformanceGateway", (ApiGatewayService,), methods)
        wanted = {"port": 0, "ip": "127.0.0.1", "debounceTime": 10, **revived(gateway.settings), **settings}
        service = kind(settings=wanted)
        await broker.register(service)
        return cls(broker, service, listener)

    async def start(self) -> None:
        """Start it; all its aliases are there when this returns."""
        await self.broker.start()
        if self._listener is not None:
            async with asyncio.timeout(ALIASES_SECONDS):
                await self._listener.heard.wait()


def revived(value: Any) -> Any:
    """Settings with the functions themselves, as our gateway takes them."""
    if isinstance(value, Function):
        return FUNCTIONS[value.name]
    if isinstance(value, re.Pattern | str | bytes):
        return value
    if isinstance(value, Mapping):
        # `timeout` of call options is the one duration of ours that is seconds where it is milliseconds over there.
        return {key: one / 1000 if key == "timeout" else revived(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [revived(one) for one in value]
    return value


def _as_method(function: Any) -> Any:
    return lambda _service, *arguments: function(*arguments)
