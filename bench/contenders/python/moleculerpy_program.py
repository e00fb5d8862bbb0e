"""The moleculerpy contender, with moleculerpy-web: defaults, logging at WARNING. Roles: see `measured`."""

from __future__ import annotations

from typing import Any

from measured import Options, answer_commands, read_options, run
from moleculerpy import Broker, Context, Service, action, event
from moleculerpy.settings import Settings


class Bench(Service):
    name = "bench"

    @action()
    async def empty(self, ctx: Context) -> None:
        pass

    @action()
    async def nested(self, ctx: Context) -> Any:
        return await ctx.call("bench.empty")

    @action(cache={"keys": ["id"]})
    async def cached(self, ctx: Context) -> dict[str, Any]:
        return {"id": ctx.params["id"], "hello": "world"}

    @action()
    async def echo(self, ctx: Context) -> Any:
        return ctx.params

    @action()
    async def hello(self, ctx: Context) -> dict[str, str]:
        return {"hello": "world"}

    @action()
    async def user(self, ctx: Context) -> dict[str, Any]:
        return {"id": ctx.params["id"], "x": ctx.params["x"]}

    # `emit` awaits what the listener returns, so that a plain function would fail here.
    @event(name="bench.happened")
    async def on_happened(self, ctx: Context) -> None:
        pass


async def make_broker(options: Options) -> Broker:
    # It cannot be without a transporter; its own in-memory one stands in where the role needs none.
    settings = Settings(
        transporter=options.nats or "memory://",
        namespace="bench",
        log_level="WARNING",
        cacher="memory" if options.role == "local" else None,
    )
    broker = Broker(options.role, settings=settings)
    if options.has_actions:
        await broker.register(Bench("bench"))
    if options.has_gateway:
        from moleculerpy_web import ApiGatewayService

        await broker.register(ApiGatewayService(name="api", settings=options.gateway_settings))
    return broker


async def main() -> None:
    options = read_options()
    broker = await make_broker(options)
    await broker.start()
    if not options.has_actions:
        await broker.wait_for_services(["bench"], timeout=15.0)
    await answer_commands(broker)
    await broker.stop()


if __name__ == "__main__":
    run(main)
