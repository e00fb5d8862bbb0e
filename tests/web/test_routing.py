"""From a request line to an action, over a real socket: aliases, methods, mapping policy, doors."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import Broker, Context, Service, action, errors
from tautomer.web.messages.message import Request
from tests.web.conftest import OpenDoor
from tests.web.door import gateway


class Users(Service):
    name = "users"

    @action
    def list(self, ctx: Context) -> Any:
        return {"did": "list", **ctx.params}

    @action
    def get(self, ctx: Context) -> Any:
        return {"did": "get", **ctx.params}

    @action
    def create(self, ctx: Context) -> Any:
        return {"did": "create", **ctx.params}

    @action
    def remove(self, ctx: Context) -> Any:
        return {"did": "remove", **ctx.params}

    @action(visibility="public")
    def inside(self, ctx: Context) -> Any:
        return "secret"

    @action(visibility="protected")
    def node_only(self, ctx: Context) -> Any:
        return "secret"

    @action(visibility="private")
    def own(self, ctx: Context) -> Any:
        return "secret"


ALIASES = {
    "REST /users": {"action": "users", "only": ["list", "get", "create", "remove"]},
    "GET /users/me": "users.list",
    "/any": "users.list",
    "OPTIONS /options": "users.list",
    "GET /files/*rest": "users.get",
    "GET /gone": "nobody.there",
    "GET /inside": "users.inside",
    "GET /node": "users.node_only",
    "GET /own": "users.own",
}


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/users", {"did": "list"}),
        ("GET", "/api/users/", {"did": "list"}),
        ("GET", "/API/Users", {"did": "list"}),
        ("GET", "/api/%75sers", {"did": "list"}),
        ("GET", "http://elsewhere.test/api/users", {"did": "list"}),
        ("GET", "/api/users?x=1", {"did": "list", "x": "1"}),
        ("GET", "/api/users/5", {"did": "get", "id": "5"}),
        ("GET", "/api/users/me", {"did": "list"}),
        ("GET", "/api/users/a%20b+c", {"did": "get", "id": "a b+c"}),
        ("GET", "/api/users/%C3%A9", {"did": "get", "id": "é"}),
        ("GET", "/api/users/%2541", {"did": "get", "id": "%41"}),
        ("DELETE", "/api/users/5", {"did": "remove", "id": "5"}),
        ("DELETE", "/api/users/me", {"did": "remove", "id": "me"}),
        ("PATCH", "/api/any", {"did": "list"}),
        ("OPTIONS", "/api/options", {"did": "list"}),
        ("GET", "/api/files/a/b.txt", {"did": "get", "rest": "a/b.txt"}),
    ],
)
async def test_an_alias_leads_to_its_action(door: OpenDoor, method, target, expected):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.ask(method, target)

    assert (200, expected) == (answer.status, answer.json)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/api",
        "/api/nothing",
        "/apiary/users",
        "/users",
        "/api/users/5/x",
        "/api//users",
        "//api/users",
        "//evil.test/api",
        "/api/users//",
        "/api/users;v=1",
        "/api/users.json",
    ],
)
async def test_a_path_that_leads_nowhere_is_404(door: OpenDoor, target):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.get(target)

    assert 404 == answer.status
    assert {"name": "NotFoundError", "message": "Not found", "code": 404, "type": "NOT_FOUND"} == answer.json


@pytest.mark.parametrize(
    "target",
    [
        "/api/users/..",
        "/api/./users",
        "/api/%2e%2e/users",
        "/api/a%2Fb",
        "/api/a%5Cb",
        "/api/%",
        "/api/%00",
        "/api/%ff",
    ],
)
async def test_a_path_that_can_be_read_in_two_ways_is_400(door: OpenDoor, target):
    at = await door(Users, path="/api", routes=[{"aliases": {"GET /:a": "users.get", "GET /:a/:b": "users.get"}}])

    answer = await at.get(target)

    assert (400, "INVALID_PATH") == (answer.status, answer.type)


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("PUT", "/api/users", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/users/5", "DELETE, GET, HEAD, OPTIONS"),
        ("PROPFIND", "/api/any", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        ("GET", "/api/options", "OPTIONS"),
    ],
)
async def test_a_known_path_with_another_method_is_405_with_allow(door: OpenDoor, method, target, allow):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.ask(method, target)

    assert (405, "METHOD_NOT_ALLOWED") == (answer.status, answer.type)
    assert allow == answer.header("Allow")


@pytest.mark.parametrize("target", ["/api/users/5", "/api/any"])
async def test_options_never_runs_an_action_that_does_not_name_it(door: OpenDoor, target):
    """moleculer-web runs the action of the method that the header names."""
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.ask("OPTIONS", target, headers={"Access-Control-Request-Method": "DELETE"})

    assert (204, b"") == (answer.status, answer.body)
    assert "DELETE" in (answer.header("Allow") or "")


async def test_head_runs_the_get_alias_and_has_no_body(door: OpenDoor):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    head, get = await at.ask("HEAD", "/api/users/5"), await at.get("/api/users/5")

    assert (200, b"") == (head.status, head.body)
    assert str(len(get.body)) == head.header("Content-Length")


async def test_an_alias_that_nobody_serves_is_503(door: OpenDoor):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.get("/api/gone")

    assert 503 == answer.status
    assert {
        "name": "ServiceUnavailableError",
        "message": "Service unavailable",
        "code": 503,
        "type": "SERVICE_UNAVAILABLE",
    } == answer.json


async def test_an_action_whose_every_endpoint_is_out_of_use_is_as_good_as_unserved(door: OpenDoor):
    at = await door(Users, routes=[{"mappingPolicy": "all", "aliases": {"GET /alias": "users.list"}}])
    found = at.broker.registry.actions["users.list"]
    for endpoint in found.all:
        endpoint.available = False
    found.refresh()

    assert (503, "SERVICE_UNAVAILABLE") == ((answer := await at.get("/alias")).status, answer.type)
    assert (404, "SERVICE_NOT_FOUND") == ((answer := await at.get("/users/list")).status, answer.type)


@pytest.mark.parametrize(("target", "name"), [("/api/inside", "users.inside"), ("/api/node", "users.node_only")])
async def test_an_alias_opens_no_action_that_is_not_published(door: OpenDoor, target, name):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    answer = await at.get(target)

    assert (404, "SERVICE_NOT_FOUND", {"action": name}) == (answer.status, answer.type, answer.json["data"])


async def test_an_alias_to_a_private_action_finds_nobody(door: OpenDoor):
    at = await door(Users, path="/api", routes=[{"aliases": ALIASES}])

    assert 503 == (await at.get("/api/own")).status


# --- mapping policy all ---


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/users/list", {"did": "list"}),
        ("GET", "/users.list", {"did": "list"}),
        ("POST", "/users/list/", {"did": "list"}),
        ("DELETE", "/users/get?id=5", {"did": "get", "id": "5"}),
    ],
)
async def test_the_policy_all_takes_the_action_from_the_path(door: OpenDoor, method, target, expected):
    at = await door(Users, routes=[{"mappingPolicy": "all"}])

    answer = await at.ask(method, target)

    assert (200, expected) == (answer.status, answer.json)


@pytest.mark.parametrize(
    "target",
    [
        "/users/nothing",
        "/nobody/there",
        "/users/inside",
        "/users/node_only",
        "/users/own",
        "/Users/List",
        "/~node/list",
        "/$node/list",
        "/$node.list",
        "/api/listAliases",
        "/api/addRoute",
        "/black/listed",
    ],
)
async def test_a_door_that_is_shut_looks_like_one_that_is_not_there(door: OpenDoor, target):
    class Black(Service):
        name = "black"

        @action
        def listed(self, ctx: Context) -> str:
            return "secret"

    at = await door(Users, Black, routes=[{"mappingPolicy": "all", "blacklist": ["black.*"]}])
    name = target[1:].replace("~", "$").replace("/", ".")

    shut = await at.get(target)
    missing = await at.get("/no/such")

    assert 404 == shut.status
    assert missing.body.replace(b"no.such", name.encode()) == shut.body


async def test_a_bad_body_does_not_tell_a_hidden_action_from_a_missing_one(door: OpenDoor):
    at = await door(Users, routes=[{"mappingPolicy": "all"}])
    broken = {"body": b"{", "headers": {"Content-Type": "application/json"}}

    hidden, missing = await at.ask("POST", "/users/inside", **broken), await at.ask("POST", "/no/such", **broken)

    assert (400, hidden.body) == (missing.status, missing.body)


async def test_internal_actions_are_reached_where_the_whitelist_names_them_or_an_alias_does(door: OpenDoor):
    at = await door(
        routes=[
            {"path": "/open", "mappingPolicy": "all", "whitelist": ["$node.health"]},
            {"path": "/alias", "aliases": {"GET /health": "$node.health"}},
        ]
    )

    assert 200 == (await at.get("/open/~node/health")).status
    assert 404 == (await at.get("/open/~node/list")).status
    assert 200 == (await at.get("/alias/health")).status


@pytest.mark.parametrize("target", ["/", "/users//list", "//users/list", "/users/list//"])
async def test_the_policy_all_bends_no_path_either(door: OpenDoor, target):
    at = await door(Users, routes=[{"mappingPolicy": "all"}])

    assert (404, "NOT_FOUND") == ((answer := await at.get(target)).status, answer.type)


async def test_options_under_the_policy_all_runs_nothing(door: OpenDoor):
    at = await door(Users, routes=[{"mappingPolicy": "all"}])

    assert 204 == (await at.ask("OPTIONS", "/users/remove")).status
    assert 405 == (await at.ask("PROPFIND", "/users/remove")).status


async def test_the_longest_prefix_on_a_segment_boundary_answers_and_no_other(door: OpenDoor):
    """A request never falls through to a route with weaker guards (moleculer-web issue 306)."""
    at = await door(
        Users,
        routes=[
            {"path": "/", "mappingPolicy": "all", "whitelist": ["users.list"]},
            {"path": "/admin", "mappingPolicy": "all", "whitelist": ["users.remove"]},
            {"path": "/admin/shut"},
        ],
    )

    assert 200 == (await at.get("/users/list")).status
    assert 404 == (await at.get("/users/remove")).status
    assert 200 == (await at.get("/admin/users/remove")).status
    assert 200 == (await at.get("/ADMIN/users/remove")).status
    assert 404 == (await at.get("/admin/users/list")).status
    assert 404 == (await at.get("/admin/shut/users/remove")).status
    assert "adminx.users.list" == (await at.get("/adminx/users/list")).json["data"]["action"]


async def test_whitelist_and_blacklist_hold_for_aliases_too(door: OpenDoor):
    at = await door(
        Users,
        routes=[
            {
                "aliases": {"REST /users": "users"},
                "whitelist": ["users.*"],
                "blacklist": ["users.remove"],
            },
            {"path": "/none", "aliases": {"REST /users": "users"}, "whitelist": []},
        ],
    )

    assert 200 == (await at.get("/users")).status
    assert (404, "SERVICE_NOT_FOUND") == ((answer := await at.ask("DELETE", "/users/5")).status, answer.type)
    assert 404 == (await at.get("/none/users")).status


async def test_of_equal_aliases_the_one_written_first_answers(door: OpenDoor):
    at = await door(
        Users,
        routes=[
            {"path": "/", "aliases": {"GET a/x": "users.list"}},
            {"path": "/a", "aliases": {"GET x": "users.get", "POST x": "users.create"}},
        ],
    )

    assert "list" == (await at.get("/a/x")).json["did"]
    assert "create" == (await at.ask("POST", "/a/x")).json["did"]


async def test_a_full_path_ignores_the_prefixes_but_not_the_guards(door: OpenDoor):
    at = await door(
        Users,
        path="/api",
        routes=[
            {
                "path": "/v1",
                "whitelist": ["users.list"],
                "aliases": {
                    "GET /x": {"action": "users.list", "fullPath": "/whole"},
                    "GET /y": {"action": "users.get", "fullPath": "/other"},
                },
            }
        ],
    )

    assert 200 == (await at.get("/whole")).status
    assert 404 == (await at.get("/api/v1/x")).status
    assert 404 == (await at.get("/other")).status


async def test_a_gateway_without_routes_answers_404(door: OpenDoor):
    at = await door(Users, routes=[])

    assert 404 == (await at.get("/users/list")).status


# --- promise S1: however a path is spelt, its guards hold ---


class Guarded(Service):
    name = "guarded"

    @action
    def run(self, ctx: Context) -> Any:
        return ctx.meta.get("guards", [])


PLAIN = "/api/v1/guarded/run"


def _guard(ctx: Context, route: Any, request: Request) -> None:
    ctx.meta["guards"] = [route.name]


@pytest.fixture(scope="module")
def ask_core():
    """The gateway's core with a loop of its own, for many requests without sockets."""
    routes: list[dict[str, Any]] = [
        {"path": "/", "name": "open", "aliases": {"GET /:a": "guarded.run", "GET /:a/:b/:c/:d": "guarded.run"}},
        {"path": "/api/v1", "name": "guarded", "aliases": {"GET /guarded/run": "guarded.run"}},
        {"path": "/api", "name": "direct", "mappingPolicy": "all", "blacklist": ["**"]},
    ]
    with asyncio.Runner() as runner:
        broker = Broker("core")
        made = gateway(*({**route, "onBeforeCall": _guard} for route in routes))

        async def start() -> None:
            await broker.register(Guarded())
            await broker.register(made)
            await broker.start()

        runner.run(start())
        assert made.gateway is not None
        handle = made.gateway.handle

        def ask(target: str) -> tuple[int, Any]:
            try:
                request = Request.build("GET", target, [("Host", "x")])
            except errors.BadRequestError:
                return 400, None

            async def answer() -> Any:
                return await handle(request)

            reply = runner.run(answer())
            return reply.status, reply.body

        yield ask
        runner.run(broker.stop())


def _flip(draw: Any, text: str) -> str:
    return "".join(char.upper() if draw(st.booleans()) else char for char in text)


@st.composite
def respelt(draw: Any) -> str:
    """The guarded path in another spelling: case, escapes, slashes, dots, suffixes."""
    path = _flip(draw, PLAIN)
    chars = []
    for char in path:
        match draw(st.sampled_from(["same"] * 12 + ["escape", "twice"])):
            case "escape":
                chars.append("%" + char.encode().hex())
            case "twice":
                chars.append("%25" + char.encode().hex())
            case _:
                chars.append(char)
    at = draw(st.integers(0, len(chars)))
    chars.insert(
        at, draw(st.sampled_from(["", "", "/", ".", "./", "../", "/.", "%2e", "%2f", "\\", "%5c", ";x", "%00", "//"]))
    )
    return "".join(chars) + draw(st.sampled_from(["", "", "/", "//", ".json", ";a=b", "?x=/../", "%20", "/."]))


@pytest.mark.slow
@given(target=respelt())
def test_any_spelling_of_a_guarded_path_meets_the_same_guard_or_nothing(ask_core, target):
    status, body = ask_core(target if target.startswith("/") else "/" + target)

    # The open route's four-segment alias may take a path that differs by more than spelling, and then has its own guard.
    assert (
        (status, body) in [(200, b'["guarded"]'), (400, None)]
        or status == 404
        or (body == b'["open"]' and not is_spelling_of(target))
    )


def is_spelling_of(target: str) -> bool:
    """Whether a lenient reader would take it for the guarded path: decoded once, case and one slash aside."""
    path = unquote(target.partition("?")[0]).lower()
    return path.removesuffix("/") == PLAIN


@given(segment=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8))
def test_any_text_arrives_as_the_value_it_was(ask_core, segment):
    if segment in (".", "..") or set(segment) & set("/\\"):
        assert 400 == ask_core("/" + quote(segment, safe=""))[0]
    else:
        assert (200, b'["open"]') == ask_core("/" + quote(segment, safe=""))
