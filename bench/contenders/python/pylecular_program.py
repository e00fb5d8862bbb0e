"""The pylecular contender: defaults, logging at WARNING. It has no gateway. Roles: see `measured`."""

from __future__ import annotations

import asyncio
from typing import Any

from measured import Options, answer_commands, read_options, run
from pylecular.broker import Broker
from pylecular.context import Context
from pylecular.decorators import action, event
from pylecular.service import Service
from pylecular.settings import Settings


class Bench(Service):
    def __init__(self) -> None:
        super().__init__("bench")

    @action()
    async def empty(self, ctx: Context) -> None:
        pass

    @action()
    async def nested(self, ctx: Context) -> Any:
        return await ctx.call("bench.empty")

    @action()
    async def echo(self, ctx: Context) -> Any:
        return ctx.params

    # `emit` awaits what the listener returns, so that a plain function would fail here.
    @event(name="bench.happened")
    async def on_happened(self, ctx: Context) -> None:
        pass


async def make_broker(options: Options) -> Broker:
    broker = Broker(options.role, settings=Settings(transporter=options.nats or "", log_level="WARNING"))
    if options.has_actions:
        await broker.register(Bench())
    return broker


async def main() -> None:
    options = read_options()
    broker = await make_broker(options)
    await broker.start()
    if not options.has_actions:
        async with asyncio.timeout(15.0):
            await broker.wait_for_services(["bench"])
    await answer_commands(broker)
    await broker.stop()


if __name__ == "__main__":
    run(main)
