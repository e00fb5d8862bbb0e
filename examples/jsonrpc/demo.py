"""Starts the stock on a free port, and asks it in all the ways that there are."""

from __future__ import annotations

import asyncio

from stock import Stock

from tautomer import ApiGatewayService, AsyncRemoteClient, Broker
from tautomer.client import CalledServiceError, MethodCall, Notification


async def main() -> None:
    route = {"path": "/api", "jsonrpc": {"discover": True}}
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [route]})
    async with Broker() as broker:
        await broker.register(Stock)
        await broker.register(gateway)
        await ask(f"http://127.0.0.1:{gateway.port}/api")


async def ask(url: str) -> None:
    async with AsyncRemoteClient(url) as stock:
        print("name:", await stock.name)
        print("apples by position:", await stock.methods.left("apple"))
        print("apples by name:", await stock.methods.left(item="apple"))
        print("two taken, left:", await stock.methods.take("apple", 2))
        for wrong in (stock.methods.take("apple", 5), stock.methods.left("pear", 1), stock.methods.fill("pear", 9)):
            try:
                await wrong
            except CalledServiceError as error:
                print("refused:", error)
        await stock.notifications.take("apple")
        batch = await stock.call_batch(
            MethodCall("left", ["pear"]), Notification("take", ["apple"]), MethodCall("left", ["plum"])
        )
        print("a batch:", [one.error or one.result for one in batch])
        document = await stock.methods.rpc.discover()
        print("methods:", ", ".join(one["name"] for one in document["methods"]))

    async with AsyncRemoteClient(url, options={"auth_type": "header", "auth_token": "keeper"}) as keeper:
        print("with a token:", await keeper.methods.fill("pear", 9))


if __name__ == "__main__":
    asyncio.run(main())
