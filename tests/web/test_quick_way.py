"""The quick way of a route that asks for nothing special: no action and no client can tell it from the stages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, Settings, action
from tautomer.errors import MoleculerClientError
from tautomer.web.exchange import Offer
from tautomer.web.messages.message import Reply, Request
from tests.web.door import Answer, Door, open_door


class Facts(Service):
    name = "facts"

    @action
    async def seen(self, ctx: Context) -> Any:
        return {
            "params": ctx.params,
            "request_id": ctx.request_id,
            "has_parent": ctx.parent_id is not None,
            "parent_is_request": ctx.parent_id == ctx.request_id,
            "own_id": ctx.id not in (ctx.request_id, ctx.parent_id),
            "caller": ctx.caller,
            "level": ctx.level,
            "meta": dict(ctx.meta),
            "locals": dict(ctx.locals),
            "headers": dict(ctx.headers),
            "node": ctx.node_id,
            "left": 29 < (ctx.request_timeout or 0) <= 30,
            "inner": await ctx.call("facts.inner") if ctx.params.get("nest") else None,
        }

    @action
    async def inner(self, ctx: Context) -> Any:
        return [ctx.level, ctx.caller, ctx.request_id]

    @action
    async def teapot(self, ctx: Context) -> str:
        ctx.meta["$statusCode"] = 418
        ctx.meta["$responseHeaders"] = {"X-Pot": "brown"}
        return "short and stout"

    @action
    async def fails(self, ctx: Context) -> None:
        ctx.meta["$responseHeaders"] = {"X-Pot": "broken"}
        raise MoleculerClientError("no tea", 409, "NO_TEA")


def looks_only(*_: object) -> None:
    """A hook that changes nothing, but has the request take the stages."""


BOTH_WAYS = [
    {"path": "/quick", "aliases": {"/:action": "facts.seen", "/do/teapot": "facts.teapot", "/do/fails": "facts.fails"}},
    {
        "path": "/stages",
        "aliases": {"/:action": "facts.seen", "/do/teapot": "facts.teapot", "/do/fails": "facts.fails"},
        "onBeforeCall": looks_only,
    },
]


async def both_ways(at: Door, target: str, **headers: str) -> list[Answer]:
    """The answers by the quick way and by the stages. The first request of an alias is no quick one, so it is asked twice."""
    return [[await at.get(f"/{way}/{target}", **headers) for _ in range(2)][1] for way in ("quick", "stages")]


@pytest.fixture
async def at() -> AsyncIterator[Door]:
    opened = await open_door(Facts, routes=BOTH_WAYS)
    yield opened
    await opened.broker.stop()


@pytest.mark.parametrize("query", ["", "?a=1&b[]=2", "?nest=1"])
@pytest.mark.parametrize("headers", [{}, {"X-Request-ID": "given"}])
async def test_an_action_sees_the_same(at: Door, query: str, headers: dict[str, str]) -> None:
    quick, stages = await both_ways(at, f"x{query}", **headers)

    assert (200, 200) == (quick.status, stages.status)
    one, other = quick.json, stages.json
    for facts, answer in ((one, quick), (other, stages)):
        assert answer.header("X-Request-ID") == facts.pop("request_id")
        if facts["inner"]:
            assert answer.header("X-Request-ID") == facts["inner"].pop()
    assert one == other
    assert (True, True, "api", 2) == (one["has_parent"], one["own_id"], one["caller"], one["level"])
    # The id that a client brings along may come twice, so it is not that of the gateway's context.
    assert one["parent_is_request"] == (not headers)


async def test_from_the_second_request_on_the_quick_way_is_taken(at: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await at.get("/quick/x")
    monkeypatch.delattr(Offer, "__init__")  # The stages would make one.

    assert 200 == (await at.get("/quick/x")).status


@pytest.mark.parametrize("target", ["do/teapot", "do/fails"])
async def test_a_client_sees_the_same(at: Door, target: str) -> None:
    quick, stages = await both_ways(at, target)

    assert (quick.status, quick.body) == (stages.status, stages.body)
    assert quick.header("X-Pot") == stages.header("X-Pot") is not None


class Counting(Middleware):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def call(self, next_call: Any) -> Any:
        def counted(name: str, params: Any, options: Any) -> Any:
            self.calls.append(name)
            return next_call(name, params, options)

        return counted


async def test_a_middleware_around_calls_sees_those_of_the_gateway() -> None:
    counting = Counting()
    at = await open_door(Facts, routes=BOTH_WAYS, broker=Broker("one", middlewares=[counting]))

    await both_ways(at, "x")
    await at.broker.stop()

    assert ["facts.seen"] * 4 == counting.calls


async def test_where_calls_may_not_nest_the_gateways_call_is_refused() -> None:
    at = await open_door(Facts, routes=BOTH_WAYS, broker=Broker("one", Settings(max_call_level=1)))

    answers = await both_ways(at, "x")
    await at.broker.stop()

    assert [500, 500] == [answer.status for answer in answers]
    assert answers[0].type == answers[1].type


async def test_an_action_that_is_taken_away_while_the_gateway_runs_is_503_at_once(at: Door) -> None:
    assert [200, 200] == [answer.status for answer in await both_ways(at, "x")]

    await at.broker.destroy_service("facts")

    assert 503 == (await at.get("/quick/x")).status


@pytest.mark.parametrize("target", ["no/where", "facts/shut", "facts/hidden"])
@pytest.mark.parametrize("query", ["", "?a=1"])
async def test_a_path_that_names_no_action_is_answered_the_same_with_and_without_the_stages(
    target: str, query: str
) -> None:
    class Hidden(Service):
        name = "facts"

        @action(visibility="protected")
        async def hidden(self, ctx: Context) -> None:
            raise AssertionError

        @action
        async def shut(self, ctx: Context) -> None:
            raise AssertionError

    open_ = {"mappingPolicy": "all", "blacklist": ["facts.shut"]}
    routes = [{"path": "/quick", **open_}, {"path": "/stages", **open_, "onBeforeCall": looks_only}]
    at = await open_door(Hidden, routes=routes)

    quick, stages = await both_ways(at, target + query)
    await at.broker.stop()

    assert (404, "SERVICE_NOT_FOUND") == (quick.status, quick.type)
    assert (quick.status, quick.body) == (stages.status, stages.body)
    assert quick.header("X-Request-ID")


async def test_a_hook_for_errors_hears_of_a_path_that_names_no_action() -> None:
    heard: list[str] = []

    def on_error(request: Request, error: BaseException) -> Reply:
        heard.append(type(error).__name__)
        return Reply(410, [], b"gone")

    at = await open_door(Facts, routes=[{"mappingPolicy": "all", "onError": on_error}])
    answer = await at.get("/no/where")
    await at.broker.stop()

    assert (410, ["ServiceNotFoundError"]) == (answer.status, heard)


async def test_a_query_that_is_too_large_is_refused_before_it_is_seen_that_nobody_is_there() -> None:
    at = await open_door(Facts, routes=[{"mappingPolicy": "all"}])
    answer = await at.get("/no/where?" + "a&" * 1_001)
    await at.broker.stop()

    assert (400, "TOO_MANY_PARAMS") == (answer.status, answer.type)


@pytest.mark.parametrize(
    ("route", "settings", "quick"),
    [
        ({}, {}, True),
        (
            {"rateLimit": False, "use": [], "logging": False},
            {"trustedProxies": ["10.0.0.1"], "logResponse": True},
            True,
        ),
        ({}, {"use": [looks_only]}, False),
        ({}, {"rateLimit": {"limit": 1}}, False),
        ({}, {"rootCallOptions": {"meta": {"a": 1}}}, False),
        ({}, {"logRequestParams": "debug"}, False),
        ({"authentication": looks_only}, {}, False),
        ({"authorization": looks_only}, {}, False),
    ],
)
async def test_only_what_is_on_leaves_the_quick_way(route: Any, settings: Any, quick: bool) -> None:
    at = await open_door(Facts, routes=[{"aliases": {"/x": "facts.seen"}, **route}], **settings)
    gateway = at.service.gateway
    assert gateway is not None
    (alias,) = gateway.routes[0].aliases
    await at.broker.stop()

    assert quick == alias.handler.__qualname__.startswith("quick_handler")
