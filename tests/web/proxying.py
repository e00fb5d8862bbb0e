"""A gateway whose one route passes all on to an upstream of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from tautomer import Broker
from tautomer.commands.proxy import HTTPProxyCommand
from tests.commands.raw_server import Behaviour, RawServer, raw_server
from tests.web.door import Door, open_door

_numbers = count(1)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def proxy_to(url: str, **attributes: Any) -> type[HTTPProxyCommand]:
    """A proxy command that passes the path on to this origin, with a circuit of its own."""

    class Proxy(HTTPProxyCommand):
        command_key = f"proxy-{next(_numbers)}"
        group_key = command_key
        connect_timeout_seconds = 5.0
        allowed_hosts = ("127.0.0.1",)

        def before_request(self) -> None:
            self.request["url"] = url + self.request["path"].replace("/api", "", 1)

    for name, value in attributes.items():
        setattr(Proxy, name, value)
    return Proxy


@asynccontextmanager
async def proxied(
    behaviour: Behaviour | bytes = OK,
    *,
    attributes: dict[str, Any] | None = None,
    command: type[HTTPProxyCommand] | None = None,
    **route: Any,
) -> AsyncIterator[tuple[Door, RawServer]]:
    """A gateway with the route ``/api``, and what stands behind it."""
    settings = route.pop("settings", {})
    async with raw_server(behaviour) as upstream:
        proxy = command or proxy_to(upstream.url, **(attributes or {}))
        door = await open_door(routes=[{"path": "/api", "proxy": proxy, **route}], broker=Broker("edge"), **settings)
        try:
            yield door, upstream
        finally:
            await door.broker.stop()


async def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
