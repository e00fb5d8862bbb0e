"""A gateway in a process of its own that lets connections idle: ``idle_gateway.py asyncio|uvloop any|usual``, any number or the usual one."""

from __future__ import annotations

import asyncio
import resource
import sys
from typing import Any

from tautomer import ApiGatewayService, Broker, Context, Service, action


class Echo(Service):
    name = "echo"

    @action
    async def params(self, ctx: Context) -> Any:
        return ctx.params


async def main() -> None:
    limits = {}
    if sys.argv[2] == "any":
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # With the usual time for heads none could stay half said for as long as this takes.
        limits = {"keep_alive_idle": 0, "header_time": 0, "connections_max": 0, "connections_per_peer_max": 0}
    broker = Broker("gateway")
    gateway = ApiGatewayService(
        settings={
            "port": 0,
            "ip": "127.0.0.1",
            "routes": [{"aliases": {"/echo": "echo.params"}}],
            "limits": limits,
        }
    )
    await broker.register(Echo())
    await broker.register(gateway)
    await broker.start()
    print("port", gateway.port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
