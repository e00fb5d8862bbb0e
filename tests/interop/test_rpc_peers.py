"""JSON-RPC with clients and a server that others wrote, by HTTP and by WebSocket; and the schema of OpenRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from tautomer import ApiGatewayService, AsyncRemoteClient, Broker, Context, Service, action
from tautomer.client import CalledServiceError, MethodCall, MethodNotFound, Notification
from tests.web.rpc.services import Calculator, Vault
from tests.web.rpc.test_sockets import Lobby

from .npm import HERE

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SECONDS = 40.0


async def printed(node: str, script: str, *words: str) -> Any:
    """The JSON that a script of Node.js prints."""
    process = await asyncio.create_subprocess_exec(
        node, HERE / "node" / script, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert 0 == process.returncode, err.decode()
    return json.loads(out)


@asynccontextmanager
async def endpoint(*services: Any, **jsonrpc: Any) -> AsyncIterator[str]:
    """Host, port and path of an endpoint that leads to these services."""
    route = {"path": "/api", "jsonrpc": {"discover": True, **jsonrpc}}
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [route]})
    async with Broker("node") as broker:
        for service in (*services, gateway):
            await broker.register(service)
        yield f"127.0.0.1:{gateway.port}/api"


# --- clients of others ---


async def test_clients_that_others_wrote(node: str) -> None:
    async with endpoint(Calculator, Vault, Lobby) as at:
        told = await printed(node, "rpc_client.mjs", at, "good")

    for carrier in ("http", "socket"):
        one = told[carrier]
        assert (19, 19) == (one["byPosition"], one["byName"]), carrier
        assert not one["notified"]
        assert [-32601, -32602] == [one["unknown"]["code"], one["wrong"]["code"]]
        assert "subtrahend" == one["wrong"]["data"]["errors"][0]["field"]
        assert [2, 4, 6] == one["together"]
        assert [{"value": 3}, -32601] == [one["batch"][0], one["batch"][1]["code"]]
    assert {"value": {"user": None}} == told["http"]["secret"]
    # A browser's socket shows no header, and neither does this one.
    assert -32001 == told["socket"]["secret"]["code"]
    assert [{"event": "said", "data": {"text": "hi"}}] == told["socket"]["heard"]
    assert {
        "sum": {"value": 7},
        "unknown": {"code": -32601},
        "notified": None,
        "batch": [3, -32601],
    } == told["jayson"]


# --- a server of others ---


@pytest.fixture
async def server(node: str) -> AsyncIterator[dict[str, int]]:
    """Its ports."""
    process = await asyncio.create_subprocess_exec(
        node, HERE / "node" / "rpc_server.js", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            ports = json.loads(await process.stdout.readline())
        yield ports
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()


@pytest.mark.parametrize("carrier", ["http", "socket"])
async def test_a_server_that_others_wrote(server: dict[str, int], carrier: str) -> None:
    scheme = "ws" if carrier == "socket" else carrier
    async with AsyncRemoteClient(f"{scheme}://127.0.0.1:{server[carrier]}/", timeout=SECONDS) as client:
        assert 19 == await client.methods.subtract(42, 23)
        assert 19 == await client.methods.subtract(minuend=42, subtrahend=23)
        assert None is await client.notifications.note()
        with pytest.raises(CalledServiceError) as failed:
            await client.methods.fail()
        with pytest.raises(MethodNotFound):
            await client.methods.nobody()
        slow_first = await asyncio.gather(*[client.methods.slow(milliseconds) for milliseconds in (60, 30, 1)])
        calls = [MethodCall("subtract", [3, 1], id=0), MethodCall("nobody"), MethodCall("subtract", [3, 2], id=0)]
        batch = await client.call_batch(calls[0], Notification("note"), *calls[1:])

    assert (7, "no such colour", {"known": ["red"]}) == (
        failed.value.code,
        failed.value.message,
        failed.value.data,
    )
    assert [60, 30, 1] == slow_first
    assert [2, -32601, 1] == [one.error["code"] if one.error else one.result for one in batch]


# --- OpenRPC ---


class Shop(Service):
    """Params of all kinds."""

    name = "shop"

    @action(
        params={
            "name": "string|min:2|max:20",
            "count": {"type": "number", "integer": True, "default": 1},
            "kind": {"type": "enum", "values": ["a", "b"]},
            "tags": {"type": "array", "items": "string", "optional": True},
            "deep": {"$$type": "object|optional", "a": "string", "b": {"$$type": "object", "c": "boolean"}},
            "many": [{"type": "string"}, {"type": "number"}],
            "when": "date|optional|convert",
            "any": "any|optional",
        },
        description="Order something.\n\nWith *many* words.",
    )
    async def order(self, ctx: Context) -> Any:
        return ctx.params

    @action
    async def loose(self, ctx: Context) -> Any:
        return ctx.params


async def test_the_document_fits_the_schema_of_openrpc(node: str) -> None:
    schemas = await printed(node, "openrpc_schemas.js")
    resources = [
        (uri, Resource.from_contents(schemas["schema"], default_specification=DRAFT7))
        for uri in ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    ]
    validator = Draft7Validator(schemas["document"], registry=Registry().with_resources(resources))
    route = {"path": "/api", "jsonrpc": {"discover": True}, "whitelist": ["math.*", "vault.*", "shop.*", "$node.*"]}
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [route]})
    async with Broker("node") as broker:
        for service in (Calculator, Vault, Shop, gateway):
            await broker.register(service)
        async with AsyncRemoteClient(f"ws://127.0.0.1:{gateway.port}/api") as client:
            document = await client.methods.rpc.discover()

    assert [] == [f"{list(fault.path)}: {fault.message}" for fault in validator.iter_errors(document)]
    names = [one["name"] for one in document["methods"]]
    assert len(set(names)) == len(names)
    assert {"subtract", "secret", "shop.order", "shop.loose", "$node.list"} <= set(names)
    # That it would tell.
    document["methods"][0]["parms"] = document["methods"][0].pop("params")
    assert not validator.is_valid(document)
