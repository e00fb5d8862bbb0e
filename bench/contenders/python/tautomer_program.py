"""The tautomer contender: a broker with its defaults, logging at WARNING. Roles: see `measured`."""

from __future__ import annotations

from typing import Any

from measured import Options, answer_commands, read_options, run

from tautomer import Broker, Context, Service, Settings, action, event

PARAMS = {"id": {"type": "number", "positive": True}, "name": {"type": "string", "min": 2}}


class Bench(Service):
    name = "bench"

    @action
    async def empty(self, ctx: Context) -> None:
        pass

    @action
    async def nested(self, ctx: Context) -> Any:
        return await ctx.call("bench.empty")

    @action(cache={"keys": ["id"]})
    async def cached(self, ctx: Context) -> dict[str, Any]:
        return {"id": ctx.params["id"], "hello": "world"}

    @action(params=PARAMS)
    async def validated(self, ctx: Context) -> None:
        pass

    @action(params=PARAMS, timeout=5.0, circuit_breaker=True, bulkhead=True)
    async def held(self, ctx: Context) -> None:
        pass

    @action
    async def echo(self, ctx: Context) -> Any:
        return ctx.params

    @action
    async def hello(self, ctx: Context) -> dict[str, str]:
        return {"hello": "world"}

    @action
    async def user(self, ctx: Context) -> dict[str, Any]:
        return {"id": ctx.params["id"], "x": ctx.params["x"]}

    @event("bench.happened")
    def on_happened(self, ctx: Context) -> None:
        pass


def make_broker(options: Options) -> Broker:
    settings = Settings(
        transporter=options.nats, namespace="bench", log_level="WARNING", cacher=options.role == "local"
    )
    broker = Broker(options.role, settings=settings)
    if options.has_actions:
        broker.create_service(Bench)
    if options.has_gateway:
        from tautomer import ApiGatewayService

        class Gateway(ApiGatewayService):
            name = "api"
            settings = options.gateway_settings

        broker.create_service(Gateway)
    return broker


async def main() -> None:
    options = read_options()
    broker = make_broker(options)
    async with broker:
        if not options.has_actions:
            await broker.wait_for_services("bench")
        await answer_commands(broker)


if __name__ == "__main__":
    run(main)
