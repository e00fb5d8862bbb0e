"""CORS, as a browser would see it."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Answer

SITE = "https://app.test"
ALLOW = "Access-Control-Allow-Origin"


class Things(Service):
    name = "things"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @action
    def get(self, ctx: Context) -> Any:
        self.calls += 1
        return {"id": ctx.params.get("id")}

    @action
    def own(self, ctx: Context) -> str:
        ctx.meta["$responseHeaders"] = {ALLOW: "https://evil.test", "Vary": "Cookie"}
        return "own"


def cors_lines(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("access-control-")}


def vary(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name == "vary"]


def route(cors: Any, **more: Any) -> dict[str, Any]:
    return {"path": "/", "aliases": {"GET /things/:id": "things.get", "GET /own": "things.own"}, "cors": cors, **more}


async def preflight(at: Any, target: str, origin: str | None = SITE, **headers: str) -> Answer:
    lines = {"Access-Control-Request-Method": "GET", **headers}
    if origin is not None:
        lines["Origin"] = origin
    return await at.ask("OPTIONS", target, headers=lines)


async def test_the_defaults_let_everybody_read(door: OpenDoor):
    at = await door(Things, routes=[route(True)])

    for _ in range(2):
        answer = await at.get("/things/1", Origin="https://any.where")
        assert (200, {ALLOW.lower(): "*"}, []) == (answer.status, cors_lines(answer), vary(answer))


async def test_without_an_origin_there_are_no_lines_but_a_cache_is_told(door: OpenDoor):
    at = await door(Things, routes=[route({"origin": SITE})])

    answer = await at.get("/things/1")

    assert (200, {}, ["Origin"]) == (answer.status, cors_lines(answer), vary(answer))


async def test_a_permitted_site_is_named(door: OpenDoor):
    cors = {
        "origin": [SITE, "https://*.other.test"],
        "credentials": True,
        "exposedHeaders": ["X-A", "X-B"],
        "maxAge": 60,
    }
    at = await door(Things, routes=[route(cors)])

    for site in (SITE, "https://x.other.test"):
        answer = await at.get("/things/1", Origin=site)
        assert (200, ["Origin"]) == (answer.status, vary(answer))
        assert {
            "access-control-allow-origin": site,
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "X-A, X-B",
        } == cors_lines(answer)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "http://app.test",
        "https://app.test:8443",
        "https://app.test.evil.test",
        "https",
        "",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_another_site_is_refused_and_no_action_runs(door: OpenDoor, origin: str, method: str):
    service = Things()
    at = await door(service, routes=[route({"origin": SITE})])

    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    answer = await at.ask(method, "/things/1", headers=headers)

    assert (403, "ForbiddenError", "ORIGIN_NOT_ALLOWED") == (answer.status, answer.json["name"], answer.type)
    assert ({}, ["Origin"], 0) == (cors_lines(answer), vary(answer), service.calls)


async def test_a_function_decides(door: OpenDoor):
    asked: list[str] = []

    async def decide(origin: str) -> bool:
        asked.append(origin)
        return origin == SITE

    at = await door(Things, routes=[route({"origin": decide}), {**route({"origin": SITE.__eq__}), "path": "/plain"}])

    good, bad = await at.get("/things/1", Origin=SITE), await at.get("/things/1", Origin="https://evil.test")
    null = await at.get("/things/1", Origin="null")
    plain = await at.get("/plain/things/1", Origin=SITE)

    assert [200, 403, 403, 200] == [good.status, bad.status, null.status, plain.status]
    assert (SITE, SITE, ["Origin"]) == (good.header(ALLOW), plain.header(ALLOW), vary(bad))
    assert [SITE, "https://evil.test"] == asked


async def test_a_function_that_fails_is_an_error_of_the_request(door: OpenDoor):
    def fails(_origin: str) -> bool:
        raise RuntimeError("no list")

    at = await door(Things, routes=[route({"origin": fails})])

    answer = await at.get("/things/1", Origin=SITE)

    assert (500, {}, ["Origin"]) == (answer.status, cors_lines(answer), vary(answer))


@pytest.mark.parametrize("target", ["/things/1", "/nothing/here"])
async def test_a_preflight_is_answered_for_any_path_of_the_route(door: OpenDoor, target: str):
    service = Things()
    cors = {"origin": SITE, "methods": "GET, PUT", "allowedHeaders": ["X-A", "Content-Type"], "maxAge": 600}
    at = await door(service, routes=[route(cors)])

    answer = await preflight(at, target)

    assert (204, b"", 0, ["Origin"]) == (answer.status, answer.body, service.calls, vary(answer))
    assert {
        "access-control-allow-origin": SITE,
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "X-A, Content-Type",
        "access-control-max-age": "600",
    } == cors_lines(answer)


async def test_a_preflight_gets_the_headers_it_asks_for_where_none_are_named(door: OpenDoor):
    at = await door(Things, routes=[route({"origin": SITE})])

    answer = await preflight(at, "/things/1", **{"Access-Control-Request-Headers": "x-a, content-type"})
    broken = await preflight(at, "/things/1", **{"Access-Control-Request-Headers": "x a; b"})

    assert "x-a, content-type" == answer.header("Access-Control-Allow-Headers")
    assert "GET, HEAD, PUT, PATCH, POST, DELETE" == answer.header("Access-Control-Allow-Methods")
    assert ["Origin", "Access-Control-Request-Headers"] == vary(answer)
    assert (204, None) == (broken.status, broken.header("Access-Control-Allow-Headers"))


async def test_a_preflight_without_an_origin_is_told_nothing(door: OpenDoor):
    at = await door(Things, routes=[route({"origin": SITE})])

    answer = await preflight(at, "/things/1", origin=None)

    assert (204, {}) == (answer.status, cors_lines(answer))


async def test_options_that_are_no_preflight_are_told_the_methods(door: OpenDoor):
    at = await door(Things, routes=[route({"origin": SITE})])

    answer = await at.ask("OPTIONS", "/things/1", headers={"Origin": SITE})

    assert (204, "GET, HEAD, OPTIONS", SITE) == (answer.status, answer.header("Allow"), answer.header(ALLOW))


async def test_a_preflight_for_a_path_outside_its_routes_prefix_finds_its_route(door: OpenDoor):
    aliases = {"PUT /x": {"action": "things.get", "fullPath": "/elsewhere/x"}}
    at = await door(Things, routes=[{"path": "/api", "aliases": aliases, "cors": {"origin": SITE}}])

    answer = await preflight(at, "/elsewhere/x", **{"Access-Control-Request-Method": "PUT"})

    assert (204, SITE) == (answer.status, answer.header(ALLOW))


async def test_a_preflight_goes_to_the_route_that_would_take_the_request(door: OpenDoor):
    routes = [
        {"name": "read", "path": "/", "aliases": {"GET /x": "things.get"}, "cors": {"origin": "https://read.test"}},
        {"name": "write", "path": "/", "aliases": {"PUT /x": "things.get"}, "cors": {"origin": "https://write.test"}},
    ]
    at = await door(Things, routes=routes)

    read = await preflight(at, "/x", origin="https://read.test")
    write = await preflight(at, "/x", origin="https://write.test", **{"Access-Control-Request-Method": "PUT"})

    assert (204, "https://read.test") == (read.status, read.header(ALLOW))
    assert (204, "https://write.test") == (write.status, write.header(ALLOW))


@pytest.mark.parametrize("policy", ["all", "restrict"])
@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/nothing/here", {}, 404),
        ("DELETE", "/things/1", {}, 405),
        ("GET", "/hidden", {}, 503),
        ("GET", "/things/1?" + "a&" * 2000, {}, 400),
        ("GET", "/broken", {}, 500),
    ],
)
async def test_errors_have_the_lines_too(door: OpenDoor, policy, method, target, headers, status):
    def broken(_request: Request) -> None:
        raise RuntimeError

    one = route({"origin": SITE}, mappingPolicy=policy)
    one["aliases"] = {**one["aliases"], "/hidden": "not.there", "/broken": broken}
    at = await door(Things, routes=[one])

    answer = await at.ask(method, target, headers={"Origin": SITE, **headers})

    assert (status, SITE, ["Origin"]) == (answer.status, answer.header(ALLOW), vary(answer))


async def test_a_broken_body_is_an_error_that_the_site_may_read(door: OpenDoor):
    at = await door(Things, routes=[{"aliases": {"POST /x": "things.get"}, "cors": {"origin": SITE}}])

    answer = await at.ask("POST", "/x", headers={"Origin": SITE, "Content-Type": "application/json"}, body=b"{")

    assert (400, SITE) == (answer.status, answer.header(ALLOW))


async def test_what_a_hook_raises_is_an_error_that_the_site_may_read(door: OpenDoor):
    def refuse(*_: object) -> None:
        raise MoleculerClientError("no", 409, "NO")

    at = await door(Things, routes=[route({"origin": SITE}, onBeforeCall=refuse)])

    answer = await at.get("/things/1", Origin=SITE)

    assert (409, SITE) == (answer.status, answer.header(ALLOW))


async def test_what_onerror_answers_has_the_lines_too(door: OpenDoor):
    one = route({"origin": SITE}, onError=lambda _request, _error: Reply(418))
    at = await door(Things, routes=[one])

    answer = await at.get("/nothing", Origin=SITE)

    assert (418, SITE) == (answer.status, answer.header(ALLOW))


async def test_an_actions_own_lines_do_not_stand_beside_ours(door: OpenDoor):
    at = await door(Things, routes=[route({"origin": SITE})])

    answer = await at.get("/own", Origin=SITE)

    assert [SITE] == [value for name, value in answer.headers if name == ALLOW.lower()]
    assert ["Cookie", "Origin"] == vary(answer)


async def test_a_route_has_the_gateways_options_where_it_has_none_of_its_own(door: OpenDoor):
    routes = [
        {**route({"credentials": True}), "path": "/merged"},
        {**route(None), "path": "/inherited"},
        {**route(False), "path": "/off"},
    ]
    at = await door(Things, routes=routes, cors={"origin": SITE, "maxAge": 5})

    merged, inherited = await preflight(at, "/merged/things/1"), await preflight(at, "/inherited/things/1")
    off = await at.get("/off/things/1", Origin=SITE)
    nowhere, asked = await at.get("/nowhere", Origin=SITE), await preflight(at, "/nowhere")
    foreign = await at.get("/nowhere", Origin="https://evil.test")

    assert ("true", "5") == tuple(merged.header(f"Access-Control-{name}") for name in ("Allow-Credentials", "Max-Age"))
    assert (None, "5") == tuple(inherited.header(f"Access-Control-{name}") for name in ("Allow-Credentials", "Max-Age"))
    assert (200, {}) == (off.status, cors_lines(off))
    assert (404, SITE) == (nowhere.status, nowhere.header(ALLOW))
    assert (204, SITE) == (asked.status, asked.header(ALLOW))
    assert 403 == foreign.status


async def test_a_gateway_without_cors_says_nothing_of_it(door: OpenDoor):
    at = await door(Things, routes=[route(None)])

    answer = await at.get("/things/1", Origin=SITE)
    asked = await preflight(at, "/things/1")

    assert (200, {}, []) == (answer.status, cors_lines(answer), vary(answer))
    assert (204, {}, "GET, HEAD, OPTIONS") == (asked.status, cors_lines(asked), asked.header("Allow"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cors": {"credentials": True}}, "settings.cors: 'credentials' with every origin"),
        ({"cors": {"origin": [SITE, "*"], "credentials": True}}, "settings.cors: 'credentials' with every origin"),
        (
            {"cors": True, "routes": [{"cors": {"credentials": True}}]},
            "settings.routes[0].cors: 'credentials' with every",
        ),
        ({"cors": {"origin": "app.test"}}, "settings.cors.origin holds origins such as"),
        ({"cors": {"origin": 5}}, "settings.cors.origin is '*', an origin"),
        ({"cors": {"methods": "GET; PUT"}}, "settings.cors.methods is a list of names"),
        ({"cors": {"exposedHeaders": ["a b"]}}, "settings.cors.exposedHeaders is a list of names"),
        ({"cors": {"maxAge": -1}}, "settings.cors.maxAge is a whole number"),
        ({"cors": {"origins": SITE}}, "settings.cors.origins is not a setting; did you mean 'origin'?"),
        ({"cors": "yes"}, "settings.cors is a mapping"),
    ],
)
def test_what_is_set_up_wrong_is_told_at_the_start(settings, told):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings(settings, {})

    assert told in raised.value.message
