"""ApiGatewayService: its life, its port, its actions."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, Settings, action, errors
from tests.cluster import Cluster
from tests.web.conftest import OpenDoor
from tests.web.door import Door, ask, gateway, open_door, parse


class Users(Service):
    name = "users"

    @action(params={"id": "string"})
    def get(self, ctx: Context) -> Any:
        return {"id": ctx.params["id"]}


ROUTE = {"path": "/v1", "name": "users", "aliases": {"GET /users/:id": "users.get", "/any": "users.get"}}


async def test_a_gateway_as_the_documents_write_it():
    class Gateway(ApiGatewayService):
        name = "api"
        settings = {"port": 0, "ip": "127.0.0.1", "path": "/api", "routes": [ROUTE]}

    broker = Broker("gateway-1")
    await broker.register(Users())
    made = broker.create_service(Gateway)
    assert isinstance(made, Gateway)

    async with broker:
        answer = await ask(made.port, "GET", "/api/v1/users/5")

    assert {"id": "5"} == answer.json


async def test_a_port_that_is_taken_stops_the_start_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = Broker("n")
        await broker.register(ApiGatewayService(settings={"port": port, "ip": "127.0.0.1"}))

        with pytest.raises(errors.BrokerOptionsError, match=f"port {port} .*in use"):
            await broker.start()


async def test_after_the_stop_nobody_listens(door: OpenDoor):
    at = await door(Users, routes=[ROUTE])
    port = at.port

    await at.broker.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_gateway_that_is_destroyed_closes_its_port(door: OpenDoor):
    at = await door(Users, routes=[ROUTE])
    port = at.port

    await at.broker.destroy_service("api")

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_requests_that_run_are_finished_at_stop_and_new_ones_not_taken():
    started, go = asyncio.Event(), asyncio.Event()

    class Slow(Service):
        name = "slow"

        @action
        async def wait(self, ctx: Context) -> str:
            started.set()
            await go.wait()
            return "finished"

    at = await open_door(Slow, routes=[{"aliases": {"/x": "slow.wait"}}])
    port = at.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    await started.wait()

    stopping = asyncio.create_task(at.broker.stop())
    async with asyncio.timeout(5):
        while True:
            try:
                _, probe = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                break
            probe.close()
            await asyncio.sleep(0.005)
    go.set()
    answer = parse(await reader.read())
    await stopping
    writer.close()

    assert (200, "finished", "close") == (answer.status, answer.json, answer.header("Connection"))


@pytest.mark.slow
async def test_a_request_that_never_ends_does_not_hold_up_the_stop():
    class Slow(Service):
        name = "slow"

        @action
        async def wait(self, ctx: Context) -> None:
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    broker = Broker("n", Settings(shutdown_timeout=0.2))
    at = await open_door(Slow, routes=[{"aliases": {"/x": "slow.wait"}}], broker=broker)
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    await started.wait()

    async with asyncio.timeout(3):
        await broker.stop()
        await reader.read()
    writer.close()


async def test_a_gateway_on_its_own_node_works_without_the_mesh(door: OpenDoor):
    at = await door(routes=[{"aliases": {"/health": "$node.health"}}])

    assert 200 == (await at.get("/health")).status


# --- actions ---


async def test_list_aliases(door: OpenDoor):
    at = await door(Users, path="/api", routes=[ROUTE, {"path": "/", "autoAliases": True}])

    listed = await at.broker.call("api.listAliases")

    assert {
        "actionName": "users.get",
        "path": "users/:id",
        "fullPath": "/api/v1/users/:id",
        "methods": "GET",
        "routePath": "/api/v1",
    } == listed[0]
    assert ("any", "*") == (listed[1]["path"], listed[1]["methods"])


async def test_list_aliases_by_route_and_with_schemas_over_http(door: OpenDoor):
    direct = {"path": "/direct", "mappingPolicy": "all"}
    at = await door(
        Users, routes=[{**ROUTE, "path": "/"}, direct, {"path": "/admin", "autoAliases": True}], debounce_time=0.01
    )
    target = "/admin/api/list-aliases?grouping=true&withActionSchema=true"
    async with asyncio.timeout(5):
        while (answer := await at.get(target)).status != 200:
            await asyncio.sleep(0.005)

    assert ["/", "/admin"] == [group["path"] for group in answer.json]
    (first, _), (own,) = (group["aliases"] for group in answer.json)
    assert {"id": {"type": "string"}} == first["action"]["params"] or "string" == first["action"]["params"]["id"]
    assert ("api.listAliases", "/admin/api/list-aliases") == (own["actionName"], own["fullPath"])


async def test_routes_come_and_go_while_it_runs(door: OpenDoor):
    at = await door(Users, routes=[{"path": "/old", "aliases": {"/x/:id": "users.get"}}])

    await at.broker.call("api.addRoute", {"route": ROUTE})
    assert 200 == (await at.get("/v1/users/5")).status
    assert 200 == (await at.get("/old/x/5")).status

    await at.broker.call("api.addRoute", {"route": {**ROUTE, "aliases": {"/other/:id": "users.get"}}})
    assert [404, 200] == [(await at.get(path)).status for path in ("/v1/users/5", "/v1/other/5")]

    assert True is await at.broker.call("api.removeRoute", {"name": "users"})
    assert False is await at.broker.call("api.removeRoute", {"name": "users"})
    assert True is await at.broker.call("api.removeRoute", {"path": "/old"})
    assert [404, 404] == [(await at.get(path)).status for path in ("/v1/other/5", "/old/x/5")]


@pytest.mark.parametrize(("to_bottom", "winner"), [(True, "1"), (False, "2")])
async def test_an_added_route_stands_last_or_first(door: OpenDoor, to_bottom, winner):
    def named(number: str) -> Any:
        return {"name": number, "aliases": {"/x": "users.get"}, "callOptions": {"meta": {"$statusMessage": number}}}

    at = await door(Users, routes=[named("1")])

    await at.broker.call("api.addRoute", {"route": named("2"), "toBottom": to_bottom})

    assert winner == (await at.get("/x?id=1")).reason


async def test_a_wrong_route_is_refused_with_all_its_faults(door: OpenDoor):
    at = await door(Users, routes=[ROUTE])

    with pytest.raises(errors.ValidationError) as raised:
        await at.broker.call("api.addRoute", {"route": {"pth": "/x", "aliases": {"GET /:": "a.b"}}})

    assert 2 == len(raised.value.data["faults"])
    with pytest.raises(errors.MoleculerClientError):
        await at.broker.call("api.removeRoute", {})


async def test_routes_are_not_changed_from_outside(door: OpenDoor):
    at = await door(routes=[{"mappingPolicy": "all"}, {"path": "/alias", "aliases": {"POST /add": "api.addRoute"}}])

    assert 404 == (await at.send("POST", "/api/addRoute", {"route": {}})).status
    assert 404 == (await at.send("POST", "/alias/add", {"route": {}})).status


# --- two nodes ---


class Far(Service):
    name = "far"

    @action
    def json(self, ctx: Context) -> Any:
        return {"b": 1, "a": [1, 2.5, None, "é"]}

    @action
    def text(self, ctx: Context) -> str:
        ctx.meta["$responseType"] = "text/plain"
        return "plain"

    @action
    def nothing(self, ctx: Context) -> None: ...

    @action
    def bytes(self, ctx: Context) -> Any:
        return {"type": "Buffer", "data": [104, 105]}

    @action
    def made(self, ctx: Context) -> Any:
        ctx.meta.update({"$statusCode": 201, "$location": "/far/1", "$responseHeaders": {"X-Far": "yes"}})
        return {"id": 1}

    @action
    def teapot(self, ctx: Context) -> None:
        raise errors.MoleculerClientError("short and stout", 418, "TEAPOT")

    @action
    def breaks(self, ctx: Context) -> None:
        raise KeyError("secret")


def far_routes(**more: Any) -> dict[str, Any]:
    return {
        "aliases": {f"/{name}": f"far.{name}" for name in vars(Far) if not name.startswith("_") and name != "name"},
        **more,
    }


@pytest.mark.parametrize("after", [None, lambda ctx, route, request, result: None])
async def test_answers_of_another_node_arrive_as_if_they_were_ours(cluster: Cluster, after):
    """With a hook the result is decoded, without one it is passed on as it came: nobody can tell."""
    await cluster.node("worker", Far())
    made = gateway(far_routes(onAfterCall=after))
    at = Door(await cluster.node("gateway", made), made)

    assert {"b": 1, "a": [1, 2.5, None, "é"]} == (await at.get("/json")).json
    assert ("text/plain", b"plain") == ((text := await at.get("/text")).header("Content-Type"), text.body)
    assert (200, b"", None) == ((n := await at.get("/nothing")).status, n.body, n.header("Content-Type"))
    assert ("application/octet-stream", b"hi") == ((b := await at.get("/bytes")).header("Content-Type"), b.body)
    created = await at.get("/made")
    assert (201, "/far/1", "yes") == (created.status, created.header("Location"), created.header("X-Far"))
    assert (418, "TEAPOT") == ((teapot := await at.get("/teapot")).status, teapot.type)
    broken = await at.get("/breaks")
    assert (500, "INTERNAL_ERROR") == (broken.status, broken.type)
    assert not any(word in broken.body for word in (b"secret", b"KeyError", b"worker"))


async def test_call_options_may_name_the_node(cluster: Cluster):
    class Where(Service):
        name = "where"

        @action
        def am_i(self, ctx: Context) -> Any:
            return self.broker.id

    await cluster.node("a", Where())
    await cluster.node("b", Where())
    made = gateway(
        {"path": "/a", "aliases": {"/x": "where.am_i"}, "callOptions": {"nodeID": "a"}},
        {"path": "/b", "aliases": {"/x": "where.am_i"}, "callOptions": {"node_id": "b"}},
        {"path": "/c", "aliases": {"/x": "where.am_i"}, "callOptions": {"node_id": "c"}},
    )
    at = Door(await cluster.node("gateway", made), made)

    assert ["a", "a", "b", "b"] == [(await at.get(path)).json for path in ("/a/x", "/a/x", "/b/x", "/b/x")]
    missing = await at.get("/c/x")
    assert (404, {"action": "where.am_i"}) == (missing.status, missing.json["data"])


async def test_a_node_that_goes_leaves_503_behind(cluster: Cluster):
    await cluster.node("worker", Far())
    made = gateway(far_routes())
    at = Door(await cluster.node("gateway", made), made)
    assert 200 == (await at.get("/json")).status

    await cluster["worker"].stop()
    async with asyncio.timeout(5):
        while (answer := await at.get("/json")).status == 200:
            await asyncio.sleep(0.005)

    assert (503, "SERVICE_UNAVAILABLE") == (answer.status, answer.type)
