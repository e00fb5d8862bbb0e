"""JSON-RPC at a Python gateway leads to actions of Node.js; and Node.js calls methods that take their params as arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tautomer import ApiGatewayService, AsyncRemoteClient, Service, private_api_method, public_method
from tautomer.client import CalledServiceError, InvalidParams, MethodNotFound

from .mesh import SHORT, Mesh

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


class Hello(Service):
    name = "hello"

    @public_method
    def say_hello(self, name: str, times: int = 1) -> str:
        return f"hello {name}" * times

    @private_api_method
    async def secret(self) -> str:
        return "for the mesh"


def gateway(node_id: str) -> ApiGatewayService:
    route = {
        "path": "/api",
        "jsonrpc": {"discover": True},
        "whitelist": ["hello.*", "calc.*", "shop.*", f"{node_id}.*"],
    }
    return ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [route]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(node: str, nats_url: str, line: str) -> AsyncIterator[tuple[Mesh, AsyncRemoteClient, str]]:
    """A mesh of Node.js and Python, a client of the Python gateway in it, and the Node.js node's id."""
    rules = {"name": {"type": "string"}, "count": {"type": "number", "integer": True}}
    services: list[dict[str, Any]] = [
        {"kind": "validated", "name": "shop", "params": rules},
        {"kind": "calculator", "name": "calc"},
    ]
    node_id = SHORT[line]
    door = gateway(node_id)
    async with Mesh(nats_url, node) as mesh:
        await mesh.add_node(line, services=services)
        await mesh.add_python(services=[Hello(), door])
        await mesh.meet()
        await mesh["py"].wait_for(["shop", "calc"], 10)
        async with AsyncRemoteClient(f"http://127.0.0.1:{door.port}/api") as client:
            yield mesh, client, node_id


Both = tuple[Mesh, AsyncRemoteClient, str]


async def test_actions_of_node_by_name_and_in_the_order_of_their_params(both: Both) -> None:
    client = both[1]

    assert {"name": "x", "count": 2} == await client.methods.shop.check(name="x", count=2)
    assert {"name": "x", "count": 2} == await client.methods.shop.check("x", 2)
    assert 4 == await client.methods.calc.double(n=2)


async def test_what_does_not_fit_an_action_of_node(both: Both) -> None:
    client = both[1]

    with pytest.raises(InvalidParams) as caught:
        await client.methods.shop.check("x", "two")
    assert ["count"] == [fault["field"] for fault in caught.value.data["errors"]]
    with pytest.raises(InvalidParams, match="Invalid params") as caught:
        await client.methods.calc.double(2)
    assert "named params" in caught.value.data["reason"]
    with pytest.raises(MethodNotFound):
        await client.methods.calc.treble(n=2)


async def test_an_error_of_node_is_told_with_its_name_and_type(both: Both) -> None:
    _mesh, client, node_id = both

    with pytest.raises(CalledServiceError) as caught:
        await client.methods[f"{node_id}.fail"](kind="custom")

    assert (-32000, "short and stout") == (caught.value.code, caught.value.message)
    assert {"name": "TeapotError", "code": 418, "type": "TEAPOT", "data": {"spout": True}} == caught.value.data


async def test_node_calls_methods_that_take_arguments(both: Both) -> None:
    mesh, _client, node_id = both
    await mesh[node_id].wait_for(["hello"], 10)

    assert "hello xhello x" == (await mesh[node_id].call("hello.say_hello", {"name": "x", "times": 2})).value
    assert "for the mesh" == (await mesh[node_id].call("hello.secret")).value
    refused = (await mesh[node_id].call("hello.say_hello", {"nam": "x"})).error
    assert refused is not None
    assert ("ValidationError", "name") == (refused["class"], refused["data"][0]["field"])


async def test_the_document_of_the_endpoint_has_node_s_actions(both: Both) -> None:
    document = await both[1].methods.rpc.discover()

    methods = {one["name"]: [param["name"] for param in one["params"]] for one in document["methods"]}
    assert ["name", "count"] == methods["shop.check"]
    assert ["name", "times"] == methods["say_hello"]
