"""ASGI applications under a route: `{"path": "/legacy", "app": app}`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route as StarletteRoute

from tautomer import Broker, Service
from tautomer.errors import BrokerOptionsError, ServiceSchemaError, UnAuthorizedError, ValidationError
from tautomer.web.asgi.types import Receive, Scope, Send
from tautomer.web.messages.message import Reply
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import gateway

METHODS = ["GET", "POST", "OPTIONS", "PROPFIND"]


async def echo(request: StarletteRequest) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "root": request.scope["root_path"],
            "query": dict(request.query_params),
            "body": (await request.body()).decode(),
            "header": request.headers.get("x-own"),
            "client": request.scope["client"][0],
            "state": getattr(request.state, "started", None),
        },
        headers={"X-App": "yes"},
    )


def starlette(**options: Any) -> Starlette:
    routes = [StarletteRoute("/", echo, methods=METHODS), StarletteRoute("/below/{rest:path}", echo, methods=METHODS)]
    return Starlette(routes=routes, **options)


async def test_all_below_the_path_is_the_applications(door: OpenDoor):
    at = await door(routes=[{"path": "/legacy", "app": starlette()}, {"aliases": {"GET /x": lambda request: "own"}}])

    seen = await at.get("/legacy/below/a%20b?q=1&q=2", **{"X-Own": "a"})

    assert {
        "method": "GET",
        "path": "/legacy/below/a b",
        "root": "/legacy",
        "query": {"q": "2"},
        "body": "",
        "header": "a",
        "client": "127.0.0.1",
        "state": None,
    } == seen.json
    assert "yes" == seen.header("x-app")
    assert ("own", 404) == ((await at.get("/x")).json, (await at.get("/legacyx")).status)


@pytest.mark.parametrize("path", ["/legacy/", "/LEGACY/"])
async def test_the_root_is_told_as_the_client_wrote_it(door: OpenDoor, path: str):
    at = await door(routes=[{"path": "/legacy", "app": starlette()}])

    assert path[:-1] == (await at.get(path)).json["root"]


async def test_at_the_root_of_the_gateway_it_gets_what_no_alias_takes(door: OpenDoor):
    at = await door(routes=[{"app": starlette(), "aliases": {"GET /below/own": lambda request: "own"}}])

    seen = [(await at.ask(method, "/below/own")).json for method in ("GET", "POST")]

    assert "own" == seen[0]
    assert ("POST", "") == (seen[1]["method"], seen[1]["root"])
    assert "/" == (await at.get("/")).json["path"]


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND", "POST"])
async def test_every_method_reaches_it(door: OpenDoor, method: str):
    at = await door(routes=[{"path": "/legacy", "app": starlette()}])

    assert method == (await at.ask(method, "/legacy/below/")).json["method"]


async def test_bodies_and_queries_of_every_kind_are_its_own_business(door: OpenDoor):
    at = await door(routes=[{"path": "/legacy", "app": starlette()}])
    query = "&".join(f"{index:x}=1" for index in range(1100))

    text = await at.ask("POST", "/legacy/", headers={"Content-Type": "text/csv"}, body=b"a;b")
    broken = await at.ask("POST", "/legacy/", headers={"Content-Type": "application/json"}, body=b"{")
    many = await at.get(f"/legacy/?{query}")

    assert ("a;b", "{", 1100) == (text.json["body"], broken.json["body"], len(many.json["query"]))


async def test_paths_that_our_server_refuses_do_not_reach_it(door: OpenDoor):
    at = await door(routes=[{"path": "/legacy", "app": starlette()}])

    assert [400, 400, 404] == [
        (await at.get(path)).status for path in ("/legacy/below/%2e%2e/x", "/legacy/below/a%2fb", "/legacy//below/")
    ]


async def test_the_guards_of_the_route_stand_before_it(door: OpenDoor):
    def nobody(ctx: Any, route: Any, request: Any) -> None:
        raise UnAuthorizedError("NO_TOKEN")

    at = await door(routes=[{"path": "/legacy", "app": starlette(), "onBeforeCall": nobody}])

    assert (401, "NO_TOKEN") == ((seen := await at.get("/legacy/")).status, seen.type)


async def test_on_after_call_gets_its_reply(door: OpenDoor):
    def after(ctx: Any, route: Any, request: Any, reply: Reply) -> Reply:
        reply.headers.append(("X-After", "1"))
        return reply

    at = await door(routes=[{"path": "/legacy", "app": starlette(), "onAfterCall": after}])

    assert "1" == (await at.get("/legacy/")).header("x-after")


async def test_a_stream_is_sent_at_the_pace_of_its_client(door: OpenDoor):
    made = 0
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
                made += 1
        finally:
            ended.set()

    at = await door(routes=[{"app": only_http(app)}])
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1000)
    before = -1
    while before != made:  # Until all buffers between the two are full.
        before = made
        await asyncio.sleep(0.05)
    assert made < 500

    writer.transport.abort()
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_body_whose_length_is_told_keeps_it(door: OpenDoor):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"6")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"def"})

    at = await door(routes=[{"app": only_http(app)}])

    get, head = await at.get("/"), await at.ask("HEAD", "/")

    assert ("6", b"abcdef", None) == (get.header("content-length"), get.body, get.header("transfer-encoding"))
    assert ("6", b"") == (head.header("content-length"), head.body)


async def test_a_client_that_leaves_cancels_the_application(door: OpenDoor):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    at = await door(routes=[{"app": only_http(app)}])
    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await begun.wait()
    writer.transport.abort()

    await asyncio.wait_for(ended.wait(), 10)


async def test_an_application_has_the_time_of_its_route(door: OpenDoor):
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    at = await door(routes=[{"app": only_http(app), "callOptions": {"timeout": 0.1}}])

    assert (504, "REQUEST_TIMEOUT") == ((seen := await at.get("/")).status, seen.type)
    await asyncio.wait_for(ended.wait(), 10)


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("secret")


async def exits(scope: Scope, receive: Receive, send: Send) -> None:
    raise SystemExit(5)


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def nonsense(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body", "body": b"x"})


async def odd_status(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 42, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


def only_http(app: Any) -> Any:
    """An application that knows no lifespan."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await app(scope, receive, send)

    return call


@pytest.mark.parametrize("app", [fails, exits, silent, nonsense, odd_status])
async def test_an_application_that_fails_is_answered_with_500(
    door: OpenDoor, app: Any, caplog: pytest.LogCaptureFixture
):
    at = await door(routes=[{"app": only_http(app)}])

    seen = await at.get("/")

    assert (500, "INTERNAL_ERROR") == (seen.status, seen.type)
    assert b"secret" not in seen.body
    assert caplog.records


async def test_an_application_that_fails_in_its_stream_cuts_the_connection(
    door: OpenDoor, caplog: pytest.LogCaptureFixture
):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await asyncio.sleep(0.01)
        raise ValueError("broken")

    at = await door(routes=[{"app": only_http(app)}])

    with pytest.raises(ConnectionResetError):
        await at.get("/")


async def test_what_it_does_after_its_reply_it_does_in_peace(door: OpenDoor):
    done = asyncio.Event()

    async def background() -> None:
        await asyncio.sleep(0.02)
        done.set()

    async def page(request: StarletteRequest) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(background))

    at = await door(routes=[{"app": Starlette(routes=[StarletteRoute("/", page)])}])

    assert b"ok" == (await at.get("/")).body
    await asyncio.wait_for(done.wait(), 10)


async def test_starlettes_streams_and_files_work(door: OpenDoor):
    async def pieces() -> AsyncIterator[bytes]:
        for index in range(3):
            yield b"%d" % index

    async def page(request: StarletteRequest) -> Response:
        return StreamingResponse(pieces())

    at = await door(routes=[{"app": Starlette(routes=[StarletteRoute("/", page)])}])

    assert b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n" == (await at.get("/")).body


# --- lifespan ---


class Life:
    """The lifespan of an application, and what was seen of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[dict[str, Any]]:
        self.seen.append("start")
        yield {"started": "yes"}
        self.seen.append("stop")


async def test_its_lifespan_is_run_with_the_gateways(door: OpenDoor):
    life = Life()
    at = await door(routes=[{"path": "/legacy", "app": starlette(lifespan=life)}])

    assert ["start"] == life.seen
    assert "yes" == (await at.get("/legacy/")).json["state"]
    await at.broker.stop()
    assert ["start", "stop"] == life.seen


async def test_one_application_in_two_routes_lives_once(door: OpenDoor):
    life = Life()
    app = starlette(lifespan=life)
    at = await door(routes=[{"path": "/a", "app": app}, {"path": "/b", "app": app}])

    assert ["yes", "yes"] == [(await at.get(path)).json["state"] for path in ("/a/", "/b/")]
    await at.broker.stop()
    assert ["start", "stop"] == life.seen


async def test_an_application_that_cannot_start_keeps_the_gateway_from_starting():
    @asynccontextmanager
    async def life(app: Any) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    broker = Broker("n")
    await broker.register(gateway({"app": starlette(lifespan=life)}))

    with pytest.raises(BrokerOptionsError, match=r"(?s)application Starlette does not start.*no database"):
        await broker.start()


async def test_an_application_that_never_starts_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tautomer.web.asgi.mounting.START_TIME", 0.05)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(30)

    broker = Broker("n")
    await broker.register(gateway({"app": app}))

    with pytest.raises(BrokerOptionsError, match="has not started within"):
        await broker.start()


async def test_an_application_that_does_not_stop_is_left(
    door: OpenDoor, caplog: pytest.LogCaptureFixture, monkeypatch: Any
):
    monkeypatch.setattr("tautomer.web.service.APP_STOP_TIME", 0.05)

    @asynccontextmanager
    async def life(app: Any) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(30)

    at = await door(routes=[{"app": starlette(lifespan=life)}])
    await at.broker.stop()

    assert "application did not stop well" in [record.message for record in caplog.records]


# --- settings ---


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({"app": "app:app"}, "routes[0].app is an ASGI application"),
        ({"app": Starlette}, "routes[0].app is an ASGI application"),
        ({"app": starlette(), "mappingPolicy": "all"}, "leaves nothing to mappingPolicy"),
    ],
)
def test_what_is_no_application_is_told(route: dict[str, Any], told: str):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings({"routes": [route]}, {})

    assert told in raised.value.message


async def test_a_route_that_is_added_later_brings_no_application(door: OpenDoor):
    at = await door(Service("x"), routes=[{"path": "/a"}])

    with pytest.raises(ValidationError, match="they stand in its settings"):
        await at.broker.call("api.addRoute", {"route": {"path": "/b", "app": starlette()}})


def test_the_list_of_aliases_says_what_is_mounted(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    made, _ = read_settings({"routes": [{"path": "/legacy", "app": starlette()}]}, {})

    assert [("**", ""), ("**", "/*app_path")] == [(one.method, one.path) for one in made.routes[0].aliases]
