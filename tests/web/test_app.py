"""The gateway around its routes: request ids, deadlines, hooks, logs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors
from tautomer.web.messages.message import Reply, Request
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor
from tests.web.door import Door, open_door


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> Any:
        return {"params": ctx.params, "meta": ctx.meta, "id": ctx.request_id, "caller": ctx.caller, "level": ctx.level}

    @action
    async def hang(self, ctx: Context) -> None:
        await asyncio.Event().wait()

    @action
    async def stubborn(self, ctx: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "did it anyway"
        return ""

    @action
    async def nested(self, ctx: Context) -> Any:
        return await ctx.call("users.get", {"left": ctx.request_timeout})

    @action
    async def leaks_a_cancel(self, ctx: Context) -> None:
        raise asyncio.CancelledError


async def _later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def _running(at: Door) -> Any:
    assert at.service._server is not None
    return at.service._server.statistics()["requests_running"]


ALIASES = {
    "/get": "users.get",
    "/hang": "users.hang",
    "/stubborn": "users.stubborn",
    "/nested": "users.nested",
    "/cancel": "users.leaks_a_cancel",
}


# --- request id ---


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-ID": "abc-1.2_3"}, "abc-1.2_3"),
        ({"X-Correlation-ID": "corr"}, "corr"),
        ({"X-Request-ID": "req", "X-Correlation-ID": "corr"}, "corr"),
        ({"X-Request-ID": "req", "X-Correlation-ID": "not good"}, "req"),
        ({"x-request-id": "a" * 128}, "a" * 128),
    ],
)
async def test_the_clients_request_id_is_used(door: OpenDoor, headers, expected):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.get("/get", **headers)

    assert (expected, expected) == (answer.header("X-Request-ID"), answer.json["id"])


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "<script>", "a,b", "é", "a\tb"])
async def test_a_request_id_that_could_do_harm_is_replaced(door: OpenDoor, given):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.get("/get", **{"X-Request-ID": given})

    assert given != answer.header("X-Request-ID")
    assert answer.header("X-Request-ID") == answer.json["id"]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/get", 200),
        ("GET", "/none", 404),
        ("OPTIONS", "/get", 204),
        ("PROPFIND", "/get", 405),
        ("GET", "/cancel", 500),
        ("GET", "/a/../b", 400),
        ("TRACE", "/get", 405),
        ("CONNECT", "/get", 405),
        ("OPTIONS", "*", 204),
    ],
)
async def test_every_answer_has_one_request_id_of_its_own(door: OpenDoor, method, target, status):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answers = [await at.ask(method, target) for _ in range(2)]

    assert [status, status] == [answer.status for answer in answers]
    ids = [[value for name, value in answer.headers if name == "x-request-id"] for answer in answers]
    assert [1, 1] == [len(found) for found in ids]
    assert ids[0] != ids[1]


async def test_the_gateway_is_the_caller_at_level_two(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.get("/get")

    assert ("api", 2) == (answer.json["caller"], answer.json["level"])


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "told"),
    [
        ("GET", "/a/../b", {}, 400, "r1"),
        ("POST", "/get", {"Content-Length": "99999999"}, 413, "r1"),
        ("GET", "/get", {"Connection": "upgrade", "Upgrade": "websocket"}, 400, "r1"),
        ("POST", "/get", {"Content-Length": "x"}, 400, None),
    ],
)
async def test_what_the_server_refuses_has_the_clients_id_if_its_head_could_be_read(
    door: OpenDoor, method, target, headers, status, told
):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.ask(method, target, headers={"X-Request-ID": "r1", **headers})

    assert (status, told) == (answer.status, answer.header("X-Request-ID"))


# --- deadline ---


@pytest.mark.parametrize("target", ["/hang", "/stubborn"])
async def test_a_request_ends_at_its_deadline_whatever_the_action_does(door: OpenDoor, target):
    at = await door(Users, routes=[{"aliases": ALIASES, "callOptions": {"timeout": 0.05}}])

    async with asyncio.timeout(2):
        answer = await at.get(target)

    if target == "/hang":
        assert (504, "REQUEST_TIMEOUT", {"action": "users.hang"}) == (answer.status, answer.type, answer.json["data"])
    else:
        assert (200, "did it anyway") == (answer.status, answer.json)
    assert at.service._server is not None
    assert 0 == at.service._server.statistics()["requests_running"]


@pytest.mark.parametrize("fallback", [{"tea": 1}, lambda ctx, error: {"tea": 1}, lambda ctx, error: _later({"tea": 1})])
async def test_a_fallback_answers_for_an_action_that_takes_too_long(door: OpenDoor, fallback):
    options = {"timeout": 0.05, "fallbackResponse": fallback}
    at = await door(Users, routes=[{"aliases": ALIASES, "callOptions": options}])

    assert (200, {"tea": 1}) == ((answer := await at.get("/hang")).status, answer.json)
    assert (200, "did it anyway") == ((answer := await at.get("/stubborn")).status, answer.json)


async def test_a_fallback_is_not_for_clients_that_leave(door: OpenDoor):
    asked: list[object] = []
    options = {"timeout": 5, "fallbackResponse": lambda ctx, error: asked.append(error)}
    at = await door(Users, routes=[{"aliases": ALIASES, "callOptions": options}])

    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: _running(at) == 1)
    writer.close()
    await until(lambda: _running(at) == 0)

    assert [] == asked


async def test_a_hook_that_hangs_ends_at_the_deadline_too(door: OpenDoor):
    async def before(ctx: Context, route: Any, request: Request) -> None:
        await asyncio.Event().wait()

    at = await door(Users, routes=[{"aliases": ALIASES, "onBeforeCall": before, "callOptions": {"timeout": 0.02}}])

    assert (504, "REQUEST_TIMEOUT") == ((answer := await at.get("/get")).status, answer.type)


async def test_the_time_of_a_request_is_30_seconds_unless_somebody_says_otherwise(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    assert 29 < (await at.get("/nested")).json["params"]["left"] <= 30


async def test_the_brokers_request_timeout_is_the_default_of_its_gateway():
    at = await open_door(Users, routes=[{"aliases": ALIASES}], broker=Broker("n", Settings(request_timeout=7.0)))
    try:
        left = (await at.get("/nested")).json["params"]["left"]
    finally:
        await at.broker.stop()

    assert 6 < left <= 7


async def test_a_timeout_of_zero_is_no_end(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES, "callOptions": {"timeout": 0}}])

    assert None is (await at.get("/nested")).json["params"]["left"]


async def test_a_cancel_that_an_action_lets_out_is_an_error_and_not_silence(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.get("/cancel")

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)


async def test_a_client_that_leaves_cancels_its_get(door: OpenDoor):
    gone = asyncio.Event()

    class Slow(Service):
        name = "slow"

        @action
        async def wait(self, ctx: Context) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()

    started = asyncio.Event()
    at = await door(Slow, routes=[{"aliases": {"/x": "slow.wait"}}])

    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    await started.wait()
    writer.transport.abort()

    async with asyncio.timeout(2):
        await gone.wait()


# --- hooks ---


async def test_before_the_call_a_hook_may_change_params_and_meta(door: OpenDoor):
    def before(ctx: Context, route: Any, request: Request) -> None:
        ctx.params["agent"] = request.header("User-Agent")
        ctx.meta["route"] = route.path

    at = await door(Users, routes=[{"path": "/v1", "aliases": ALIASES, "onBeforeCall": before}])

    answer = await at.get("/v1/get?x=1", **{"User-Agent": "me"})

    assert {"x": "1", "agent": "me"} == answer.json["params"]
    assert {"route": "/v1"} == answer.json["meta"]


async def test_a_hook_that_raises_stops_the_call(door: OpenDoor):
    async def before(ctx: Context, route: Any, request: Request) -> None:
        raise errors.ForbiddenError("NOT_TODAY")

    at = await door(Users, routes=[{"aliases": ALIASES, "onBeforeCall": before}])

    assert (403, "NOT_TODAY") == ((answer := await at.get("/get")).status, answer.type)


async def test_the_hook_runs_for_nothing_that_is_shut_or_missing(door: OpenDoor):
    ran: list[str] = []

    def before(ctx: Context, route: Any, request: Request) -> None:
        ran.append(request.path)

    at = await door(
        Users,
        routes=[
            {
                "aliases": {"/shut": "users.get", "/gone": "no.body", "/ok": "users.get2"},
                "blacklist": ["users.get"],
                "onBeforeCall": before,
            }
        ],
    )

    assert [404, 503, 503] == [(await at.get(path)).status for path in ("/shut", "/gone", "/ok")]
    assert [] == ran


@pytest.mark.parametrize(
    ("returned", "body"), [({"new": 1}, b'{"new":1}'), ("", b'""'), (None, b'"old"'), (b"bytes", b"bytes")]
)
async def test_after_the_call_a_hook_may_replace_the_result(door: OpenDoor, returned, body):
    class Old(Service):
        name = "old"

        @action
        def get(self, ctx: Context) -> str:
            return "old"

    seen: list[Any] = []

    async def after(ctx: Context, route: Any, request: Request, result: Any) -> Any:
        seen.append(result)
        ctx.meta["$responseHeaders"] = {"X-After": "yes"}
        return returned

    at = await door(Old, routes=[{"aliases": {"/x": "old.get"}, "onAfterCall": after}])

    answer = await at.get("/x")

    assert (body, "yes", ["old"]) == (answer.body, answer.header("X-After"), seen)


async def test_an_error_hook_may_answer_or_leave_it(door: OpenDoor):
    async def on_error(request: Request, error: BaseException) -> Reply | None:
        return Reply(418, [], b"teapot") if request.path == "/hang" else None

    at = await door(Users, routes=[{"aliases": ALIASES, "onError": on_error, "callOptions": {"timeout": 0.01}}])

    assert (418, b"teapot") == ((answer := await at.get("/hang")).status, answer.body)
    assert answer.header("X-Request-ID")
    assert 500 == (await at.get("/cancel")).status


async def test_the_gateways_error_hook_stands_in_where_a_route_has_none(door: OpenDoor):
    at = await door(
        Users,
        routes=[{"aliases": ALIASES}, {"path": "/own", "aliases": ALIASES, "onError": lambda r, e: Reply(501)}],
        onError=lambda request, error: Reply(502, [], str(type(error).__name__).encode()),
    )

    assert (502, b"CancelledError") == ((answer := await at.get("/cancel")).status, answer.body)
    assert 501 == (await at.get("/own/cancel")).status


@pytest.mark.parametrize(
    ("method", "target", "name"), [("GET", "/none", "NotFoundError"), ("GET", "/post", "MethodNotAllowedError")]
)
async def test_the_gateways_error_hook_hears_of_paths_that_lead_nowhere(door: OpenDoor, method, target, name):
    same = Reply(499, [], b"")

    def on_error(request: Request, error: BaseException) -> Reply:
        same.body = type(error).__name__.encode()
        return same

    at = await door(Users, routes=[{"aliases": {"POST /post": "users.get"}}], onError=on_error)

    for _ in range(2):
        answer = await at.ask(method, target)
        assert (499, name.encode()) == (answer.status, answer.body)
        assert 1 == sum(header == "x-request-id" for header, _ in answer.headers)


async def test_an_error_hook_that_fails_is_logged_and_answered_with_500(door: OpenDoor, caplog):
    def on_error(request: Request, error: BaseException) -> None:
        raise ValueError("secret")

    at = await door(Users, routes=[{"aliases": ALIASES, "onError": on_error}])

    answer = await at.get("/cancel")

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)
    assert "onError failed" in [record.message for record in caplog.records]
