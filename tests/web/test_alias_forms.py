"""Every form of an alias, and the settings that say how paths are read, through an open door."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action, errors
from tautomer.web.messages.message import Reply, Request
from tests.cluster import Cluster
from tests.web.conftest import OpenDoor
from tests.web.door import Door, ask, gateway

Next = Callable[[Request], Awaitable[Reply]]


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> Any:
        return {"id": ctx.params.get("id"), "tags": ctx.meta.get("tags")}

    @action
    def listAll(self, ctx: Context) -> Any:
        return "all"

    @action
    def path_of(self, ctx: Context) -> Any:
        return [ctx.params["$req"].path, ctx.params["id"]]


def tag(name: str) -> Callable[[Request, Next], Awaitable[Reply]]:
    async def stage(request: Request, call_next: Next) -> Reply:
        request.ctx.meta["tags"] = [*request.ctx.meta.get("tags", []), name]
        reply = await call_next(request)
        reply.headers.append(("X-Tag", name))
        return reply

    return stage


async def refuses(request: Request, call_next: Next) -> Reply:
    return Reply(403, [], b"no")


def answers(request: Request) -> Any:
    return request.ctx.meta["tags"]


# --- lists ---


async def test_the_functions_of_a_list_stand_around_its_action_in_order(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": {"GET /users/:id": [tag("a"), tag("b"), "users.get"]}}])

    answer = await at.get("/users/5")

    assert {"id": "5", "tags": ["a", "b"]} == answer.json
    assert ["b", "a"] == [value for name, value in answer.headers if name == "x-tag"]


async def test_a_list_may_end_in_a_function(door: OpenDoor):
    at = await door(routes=[{"aliases": {"GET /x": [tag("a"), answers]}}])

    assert ["a"] == (await at.get("/x")).json


async def test_a_stage_may_answer_itself(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": {"GET /x": [refuses, tag("a"), "users.get"]}}])

    answer = await at.get("/x")

    assert (403, b"no", None) == (answer.status, answer.body, answer.header("X-Tag"))


@pytest.mark.parametrize("given", [None, {"status": 200}])
async def test_a_stage_that_gives_no_reply_is_an_error_whose_log_names_it(door: OpenDoor, caplog, given):
    def forgetful(request: Request, call_next: Next) -> Any:
        return given

    at = await door(Users, routes=[{"aliases": {"GET /x": [forgetful, "users.get"]}}])

    answer = await at.get("/x")

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)
    assert "forgetful' returned" in caplog.text


async def test_a_stage_sees_the_error_of_what_comes_behind_it(door: OpenDoor):
    async def mends(request: Request, call_next: Next) -> Reply:
        try:
            return await call_next(request)
        except errors.MoleculerClientError as error:
            return Reply(200, [], error.message.encode())

    class Fails(Service):
        name = "fails"

        @action
        def now(self, ctx: Context) -> None:
            raise errors.MoleculerClientError("mended", 400)

    at = await door(Fails, routes=[{"aliases": {"GET /x": [mends, "fails.now"]}}])

    assert (200, b"mended") == ((answer := await at.get("/x")).status, answer.body)


async def test_the_stages_of_an_alias_stand_behind_the_guards_of_its_route(door: OpenDoor):
    def before(ctx: Any, route: Any, request: Request) -> None:
        ctx.meta["tags"] = ["before"]

    routes = [
        {"aliases": {"GET /x": [tag("a"), "users.get"]}, "onBeforeCall": before},
        {"path": "/shut", "aliases": {"GET /x": [tag("a"), "users.get"]}, "whitelist": []},
        {"path": "/gone", "aliases": {"GET /x": [tag("a"), "gone.get"]}},
    ]
    at = await door(Users, routes=routes)

    assert ["before", "a"] == (await at.get("/x")).json["tags"]
    assert (404, None) == ((shut := await at.get("/shut/x")).status, shut.header("X-Tag"))
    assert (503, None) == ((gone := await at.get("/gone/x")).status, gone.header("X-Tag"))


# --- mappings ---


async def test_keys_of_ones_own_are_there_for_hooks(door: OpenDoor):
    def before(ctx: Any, route: Any, request: Request, alias: Any) -> None:
        if "admin" in alias.options.get("roles", ()):
            raise errors.ForbiddenError()

    at = await door(
        Users,
        routes=[
            {
                "onBeforeCall": before,
                "aliases": {
                    "GET /open": "users.get",
                    "GET /shut": {"action": "users.get", "roles": ["admin"]},
                    "GET /handler": {"handler": lambda request: "hi", "roles": ["admin"]},
                },
            }
        ],
    )

    assert [200, 403, 403] == [(await at.get(path)).status for path in ("/open", "/shut", "/handler")]


async def test_an_action_of_this_node_may_get_the_request(door: OpenDoor):
    at = await door(
        Users, routes=[{"aliases": {"GET /users/:id": {"action": "users.path_of", "passReqResToParams": True}}}]
    )

    assert ["/users/5", "5"] == (await at.get("/users/5")).json


async def test_an_action_of_another_node_is_not_sent_the_request(cluster: Cluster):
    await cluster.node("worker", Users())
    made = gateway({"aliases": {"GET /users/:id": {"action": "users.path_of", "passReqResToParams": True}}})
    at = Door(await cluster.node("gateway", made), made)

    assert (503, "SERVICE_UNAVAILABLE") == ((answer := await at.get("/users/5")).status, answer.type)


@pytest.mark.parametrize("value", ["users", {"action": "users"}, [tag("a"), "users"]])
async def test_rest_works_with_parameters_in_its_path_and_in_every_form(door: OpenDoor, value):
    class Posts(Service):
        name = "users"

        @action
        def get(self, ctx: Context) -> Any:
            return ctx.params

        @action
        def list(self, ctx: Context) -> Any:
            return ctx.params

    at = await door(Posts, routes=[{"aliases": {"REST /users/:uid/posts": value}}])

    assert {"uid": "1", "id": "2"} == (await at.get("/users/1/posts/2")).json
    assert {"uid": "1"} == (await at.get("/users/1/posts")).json


# --- how paths are read ---


async def test_optional_parts_and_expressions(door: OpenDoor):
    at = await door(
        Users,
        path="/api",
        routes=[{"path": "/v1", "aliases": {r"GET users/:id(\d+)": "users.get", "GET opt{/:id}": "users.get"}}],
    )

    answers = [await at.get(f"/api/v1/{path}") for path in ("users/5", "users/x", "opt/a", "opt")]

    assert [200, 404, 200, 200] == [answer.status for answer in answers]
    assert ["5", "a", None] == [answers[index].json["id"] for index in (0, 2, 3)]


async def test_a_route_may_tell_upper_from_lower_case(door: OpenDoor):
    at = await door(
        Users,
        routes=[
            {"path": "/a", "aliases": {"GET /Users": "users.listAll"}, "pathToRegexpOptions": {"sensitive": True}},
            {"path": "/b", "aliases": {"GET /Users": "users.listAll"}},
        ],
    )

    assert [200, 404, 200] == [(await at.get(path)).status for path in ("/a/Users", "/a/users", "/b/users")]


@pytest.mark.parametrize(("optimize", "expected"), [(True, "all"), (False, {"id": "me", "tags": None})])
async def test_the_order_of_declaration_may_decide(door: OpenDoor, optimize, expected):
    routes = [{"aliases": {"GET /users/:id": "users.get", "GET /users/me": "users.listAll"}}]
    at = await door(Users, routes=routes, optimizeOrder=optimize)

    assert expected == (await at.get("/users/me")).json


@pytest.mark.parametrize(
    "path", ["/users/list-all", "/users/list_all", "/users/LIST-All", "/users.listAll", "/Users/list all"]
)
async def test_paths_that_name_actions_may_be_written_in_any_case(door: OpenDoor, path):
    at = await door(Users, routes=[{"mappingPolicy": "all", "camelCaseNames": True, "whitelist": ["users.listAll"]}])

    assert (200, "all") == ((answer := await at.get(path.replace(" ", "%20"))).status, answer.json)


async def test_a_name_that_camel_case_brings_forth_is_guarded_as_any_other(door: OpenDoor):
    routes = [{"mappingPolicy": "all", "camelCaseNames": True, "blacklist": ["users.listAll"]}]
    at = await door(Users, routes=routes)

    paths = ("/users/list-all", "/~node/list", "/api/list-aliases", "/users/-")
    assert [404] * 4 == [(await at.get(path)).status for path in paths]


@pytest.mark.parametrize(("special", "path"), [("!", "/!node/health"), (re.compile("^int-"), "/int-node/health")])
async def test_another_character_may_stand_for_the_dollar(door: OpenDoor, special, path):
    routes = [{"mappingPolicy": "all", "whitelist": ["$node.*"]}]
    at = await door(routes=routes, internalServiceSpecialChar=special)

    assert [200, 404] == [(await at.get(one)).status for one in (path, "/~node/health")]


async def test_routes_are_logged_where_it_is_asked_for(door: OpenDoor, caplog):
    caplog.set_level(logging.INFO)
    await door(Users, routes=[{"path": "/v1", "aliases": {"GET /x": "users.get"}}], logRouteRegistration="info")

    told = [(record.message, record.path) for record in caplog.records if record.message.endswith("registered")]
    assert [("route registered", "/v1"), ("alias registered", "/v1/x")] == told


# --- the gateway as a service ---


async def test_a_gateway_that_was_given_its_broker_need_not_be_registered():
    broker = Broker("n")
    made = ApiGatewayService(broker=broker, settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})

    async with broker:
        await broker.register(Users())
        assert 200 == (await ask(made.port, "GET", "/x")).status


async def test_at_a_broker_that_runs_it_starts_at_once():
    async with Broker("n") as broker:
        await broker.register(Users())
        made = ApiGatewayService(broker=broker, settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})

        await broker.wait_for_services("api", timeout=5)

        assert 200 == (await ask(made.port, "GET", "/x")).status


async def test_it_may_be_registered_all_the_same():
    broker = Broker("n")
    made = ApiGatewayService(broker=broker, settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})
    await broker.register(made)

    async with broker:
        assert [made] == [service for service in broker.services if service.name == "api"]


async def test_its_faults_stop_the_start():
    broker = Broker("n")
    ApiGatewayService(broker=broker, settings={"prot": 1})

    with pytest.raises(errors.ServiceSchemaError, match=r"settings\.prot is not a setting"):
        await broker.start()


ROUTES = [{"aliases": {"GET /x": "users.get"}}]


async def test_its_actions_have_the_names_of_either_world(door: OpenDoor):
    at = await door(Users, routes=ROUTES)
    call = at.broker.call

    assert await call("api.listAliases") == await call("api.list_aliases")
    assert "/new" == (await call("api.add_route", {"route": {"path": "/new", "aliases": {"/y": "users.get"}}}))["path"]
    assert 200 == (await at.get("/new/y")).status
    assert await call("api.remove_route", {"path": "/new"})
    assert 404 == (await at.get("/new/y")).status


async def test_a_request_may_be_answered_without_a_port(door: OpenDoor):
    at = await door(Users, routes=ROUTES)

    reply = await at.broker.call("api.rest", {"request": Request.build("GET", "/x?id=3")})

    assert (200, b'{"id":"3","tags":null}') == (reply.status, reply.body)
    with pytest.raises(errors.ValidationError):
        await at.broker.call("api.rest", {"request": "GET /x"})


async def test_requests_without_a_port_come_from_this_node_only(cluster: Cluster):
    made = gateway({"mappingPolicy": "all", "aliases": {"GET /rest": "api.rest"}})
    at = Door(await cluster.node("gateway", made), made)
    other = await cluster.node("other")

    assert [404, 404] == [(await at.get(path)).status for path in ("/rest", "/api/rest")]
    with pytest.raises(errors.ServiceNotFoundError):
        await other.call("api.rest", {})


# --- an action that goes while it is called ---


@pytest.mark.parametrize("hook", [None, lambda ctx, route, request: None])
async def test_an_action_that_goes_between_look_and_call_is_unavailable_at_once(door: OpenDoor, hook):
    class Leaves(Service):
        name = "leaves"

        @action
        async def now(self, ctx: Context) -> None:
            # What the call of an endpoint ends in that has crashed, when there is no other.
            raise errors.ServiceNotFoundError("leaves.now", "far")

        @action
        async def other(self, ctx: Context) -> None:
            raise errors.ServiceNotFoundError("somebody.else")

    at = await door(
        Leaves,
        routes=[
            {"aliases": {"/x": "leaves.now", "/other": "leaves.other"}, "mappingPolicy": "all", "onBeforeCall": hook}
        ],
    )

    seen = [await at.get(path) for path in ("/x", "/x", "/other", "/leaves/now")]

    assert [503, 503, 404, 404] == [answer.status for answer in seen]
    assert "SERVICE_UNAVAILABLE" == seen[0].type
