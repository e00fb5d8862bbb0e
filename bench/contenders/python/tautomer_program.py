"""The tautomer contender: a broker with its defaults, logging at WARNING. Roles: see `measured`."""

from __future__ import annotations

from typing import Any

from measured import Options, answer_commands, read_options, run

from tautomer import (
    Broker,
    Context,
    Service,
    Settings,
    WebSocketHubProvider,
    action,
    event,
    public_method,
    websocket_rpc,
)

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


class Sockets(Service):
    name = "bench"
    hub = WebSocketHubProvider()

    @action
    async def hello(self, ctx: Context) -> dict[str, str]:
        return {"hello": "world"}

    @websocket_rpc
    async def echo(self, socket_id: str, n: int) -> dict[str, int]:
        return {"n": n}

    @websocket_rpc
    async def join(self, socket_id: str) -> None:
        self.hub.subscribe(socket_id, "all")

    @websocket_rpc
    async def shout(self, socket_id: str, text: str) -> None:
        self.hub.broadcast("all", "news", {"text": text})


class Hello(Service):
    name = "bench"
    settings = {"rest": "/plain"}

    @public_method(rest="POST /hello")
    async def hello(self, name: str) -> str:
        return f"hello {name}"

    @public_method
    def blocking(self, name: str) -> str:
        return f"hello {name}"


# All clients are one address, and may say as much as they like, as at the peers.
NO_LIMITS: dict[str, Any] = {
    "websocket": {"path": "/ws", "messages_per_second": 0},
    "limits": {"connections_per_peer_max": 0, "connections_max": 0},
}
JSON_RPC: dict[str, Any] = {
    "path": "",
    "routes": [{"path": "/api", "jsonrpc": True}, {"path": "/", "autoAliases": True}],
}

SERVICES: dict[str, type[Service]] = {"sockets": Sockets, "jsonrpc": Hello}
SETTINGS = {"sockets": NO_LIMITS, "jsonrpc": JSON_RPC}


def make_broker(options: Options) -> Broker:
    settings = Settings(
        transporter=options.nats, namespace="bench", log_level="WARNING", cacher=options.role == "local"
    )
    broker = Broker(options.role, settings=settings)
    if options.has_actions:
        broker.create_service(SERVICES.get(options.role, Bench))
    if options.has_gateway:
        from tautomer import ApiGatewayService

        class Gateway(ApiGatewayService):
            name = "api"
            settings = options.gateway_settings | SETTINGS.get(options.role, {})

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
