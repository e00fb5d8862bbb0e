"""Methods that take the request first (`requires_handler_reference`)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tautomer import Context, MicroService, exposed_method, public_method
from tests.cluster import Cluster
from tests.web.door import Door, open_door


class Asked(MicroService):
    name = "asked"

    def api_token_is_valid(self, api_token: str | None) -> Any:
        return api_token == "good"

    @exposed_method(requires_handler_reference=True)
    async def agent(self, request: Any, name: str, *more: str) -> Any:
        return [None if request is None else request.headers.get("user-agent"), name, *more]

    @exposed_method("in.thread", requires_handler_reference=True)
    def in_thread(self, request: Any, ctx: Context[Any], name: str = "x") -> Any:
        return [None if request is None else request.headers.get("user-agent"), name, ctx.level]

    @exposed_method(private=True, requires_handler_reference=True)
    async def secret(self, request: Any) -> Any:
        return request.headers.get("x-api-token")

    @public_method
    async def nested(self, ctx: Context[Any]) -> Any:
        return await ctx.call("asked.agent", {"name": "nested"})


async def answers(door: Door, message: Any, **headers: str) -> Any:
    sent = {"Content-Type": "application/json", "User-Agent": "tester", **headers}
    return (await door.ask("POST", "/api", headers=sent, body=json.dumps(message).encode())).json


def call(method: str, params: Any, id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": id}


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("agent", {"name": "a"}, ["tester", "a"]),
        ("agent", ["a"], ["tester", "a"]),
        ("agent", ["a", "b", "c"], ["tester", "a", "b", "c"]),
        ("in.thread", [], ["tester", "x", 2]),
        ("secret", {}, "good"),
        # Who calls from within has no request, whoever called him.
        ("nested", [], [None, "nested"]),
    ],
)
async def test_the_request_comes_first(method: str, params: Any, expected: Any) -> None:
    door = await open_door(Asked(), routes=[{"path": "/api", "jsonrpc": True}])
    try:
        headers = {"X-Api-Token": "good"}
        single = await answers(door, call(method, params), **headers)
        batch = await answers(door, [call(method, params, 1), call(method, params, 2)], **headers)
        async with connect(
            f"ws://127.0.0.1:{door.port}/api", user_agent_header="tester", additional_headers=headers
        ) as socket:
            await socket.send(json.dumps(call(method, params)))
            by_socket = json.loads(await socket.recv())
    finally:
        await door.broker.stop()

    assert expected == single["result"]
    assert [expected, expected] == [one["result"] for one in batch]
    assert expected == by_socket["result"]


async def test_it_is_no_param() -> None:
    door = await open_door(Asked(), routes=[{"path": "/api", "jsonrpc": True}])
    try:
        refused = await answers(door, call("agent", {"name": "a", "request": "mine"}))
    finally:
        await door.broker.stop()

    assert -32602 == refused["error"]["code"]


async def test_by_the_mesh_there_is_none(cluster: Cluster) -> None:
    asks = await cluster.node("one")
    await cluster.node("two", Asked())

    assert [None, "m"] == await asks.remote("asked").methods.agent("m")
    assert [None, "m", 1] == await asks.call("asked.in.thread", {"name": "m"})
