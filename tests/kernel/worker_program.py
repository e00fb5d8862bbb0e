"""A node with the service `work` as a program: ``worker_program.py ID NATS_URL``. Says "ready" once it is offered."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tautomer import Broker, Context, Service, Settings, action


class Work(Service):
    """Tells who ran it; `hang` never ends."""

    name = "work"

    @action
    async def who(self, ctx: Context[Any]) -> str:
        return str(self.broker.id)

    @action
    async def hang(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(3_600)


async def main(node_id: str, url: str) -> None:
    broker = Broker(node_id, Settings(transporter=url))
    await broker.register(Work())
    await broker.start()
    print("ready", flush=True)
    await broker.wait_for_shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
