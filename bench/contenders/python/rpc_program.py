"""Ours in `bench.jsonrpc`: one action behind a plain alias and behind a JSON-RPC endpoint, at one port."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from tautomer import ApiGatewayService, Broker, Settings, public_method
from tautomer.service import Service


class Hello(Service):
    name = "bench"
    settings = {"rest": "/plain"}

    @public_method(rest="POST /hello")
    async def hello(self, name: str) -> str:
        return f"hello {name}"

    @public_method
    def blocking(self, name: str) -> str:
        return f"hello {name}"


async def main() -> None:
    routes = [{"path": "/rpc", "jsonrpc": True}, {"path": "/", "autoAliases": True}]
    gateway = ApiGatewayService(settings={"port": int(sys.argv[1]), "ip": "127.0.0.1", "routes": routes})
    async with Broker(settings=Settings(log_level="WARNING")) as broker:
        await broker.register(Hello)
        await broker.register(gateway)
        print(json.dumps({"bench": {"ready": True}}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


uvloop.run(main())
