"""ASGI middlewares as stages of a route."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.web.asgi.middleware import asgi_factory, asgi_middleware_stage
from tautomer.web.asgi.types import App, Receive, Scope, Send
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Door


async def passed(value: Any, request: Request, call_next: Callable[[Request], Awaitable[Reply]]) -> Reply:
    factory = asgi_factory(value)
    assert factory is not None
    return await asgi_middleware_stage(factory)(request, call_next)


async def text(request: Request) -> Reply:
    return Reply(200, [("Content-Type", "text/plain")], b"x" * 2000)


async def test_a_middleware_may_change_the_reply():
    request = Request.build(headers=[("Accept-Encoding", "gzip")])

    reply = await passed((GZipMiddleware, {"minimum_size": 100}), request, text)

    assert isinstance(reply.body, bytes)
    assert b"x" * 2000 == gzip.decompress(reply.body)
    assert ("content-encoding", "gzip") in reply.headers


@pytest.mark.parametrize(
    "value",
    [
        GZipMiddleware,
        (GZipMiddleware,),
        (GZipMiddleware, {"minimum_size": 9}),
        Middleware(GZipMiddleware, minimum_size=9),
    ],
)
async def test_every_way_to_write_one_is_taken(value: Any):
    reply = await passed(value, Request.build(headers=[("Accept-Encoding", "gzip")]), text)

    assert ("content-encoding", "gzip") in reply.headers


@pytest.mark.parametrize("value", [len, lambda request, call_next: None, "name", 5, (), (len, {})])
def test_what_is_none_is_left_to_others(value: Any):
    assert asgi_factory(value) is None


@pytest.mark.parametrize("value", [(GZipMiddleware, 5), (GZipMiddleware, {}, {}), (GZipMiddleware, {5: 5})])
def test_options_that_are_none_are_told(value: Any):
    with pytest.raises(ValueError, match=r"GZipMiddleware, \{options\}"):
        asgi_factory(value)


async def test_a_middleware_may_answer_itself():
    async def never(request: Request) -> Reply:
        raise AssertionError

    reply = await passed(
        (TrustedHostMiddleware, {"allowed_hosts": ["mine"]}), Request.build(headers=[("Host", "x")]), never
    )

    assert (400, b"Invalid host header") == (reply.status, reply.body)


class Rewrites:
    """Changes everything of a request that it can."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def other() -> Any:
            body = (await receive())["body"]
            return {"type": "http.request", "body": body.upper(), "more_body": False}

        headers = [*scope["headers"], (b"x-added", b"1")]
        changed = {
            **scope,
            "headers": headers,
            "query_string": b"b=2",
            "client": ("9.9.9.9", 1),
            "scheme": "https",
            "user": "ann",
        }
        await self._app(changed, other, send)


async def test_what_it_changes_in_the_request_holds_for_what_follows():
    request = Request.build("POST", "/x?a=1", [("X-Old", "o"), ("Content-Type", "application/json")], b'"abc"')
    assert ({"a": "1"}, "abc", "o") == (request.query, request.json, request.headers["x-old"])

    async def look(given: Request) -> Reply:
        assert given is request
        assert ({"b": "2"}, "ABC", "o", "1") == (
            given.query,
            given.json,
            given.headers["x-old"],
            given.header("x-added"),
        )
        assert ("9.9.9.9", "https", "/x") == (given.client, given.scheme, given.path)
        assert "ann" == given.locals["scope"]["user"]  # type: ignore[index]
        return Reply(204)

    assert 204 == (await passed(Rewrites, request, look)).status


class Names:
    """Puts names into the scope, as authentication middlewares do."""

    def __init__(self, app: App, **names: str) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"].update(self._names)
        await self._app({**scope, **self._names}, receive, send)


async def test_what_one_middleware_puts_into_the_scope_the_next_one_finds():
    seen: list[Any] = []

    async def look(given: Request) -> Reply:
        scope: Any = given.locals["scope"]
        seen.extend([scope["user"], scope["session"], scope["state"]])
        return Reply()

    async def inner(given: Request) -> Reply:
        return await passed((Names, {"session": "s"}), given, look)

    await passed((Names, {"user": "ann"}), Request.build(), inner)

    assert ["ann", "s", {"user": "ann", "session": "s"}] == seen


def test_a_middleware_that_cannot_be_made_is_told():
    factory = asgi_factory((GZipMiddleware, {"sice": 5}))
    assert factory is not None

    with pytest.raises(ValueError, match=r"cannot be made: .*sice"):
        asgi_middleware_stage(factory)


async def test_starlettes_own_kind_of_middleware_works_too():
    class Marks(BaseHTTPMiddleware):
        async def dispatch(self, request: StarletteRequest, call_next: Any) -> Response:
            body = await request.body()
            response: Response = await call_next(request)
            response.headers["X-Length"] = str(len(body))
            return response

    async def look(given: Request) -> Reply:
        return Reply(200, [], given.body)

    reply = await passed(Marks, Request.build("POST", "/", body=b"abc"), look)

    assert ("x-length", "3") in reply.headers
    assert b"abc" == await whole(reply)


async def whole(reply: Reply) -> bytes:
    if isinstance(reply.body, bytes):
        return reply.body
    return b"".join([piece async for piece in reply.body])


async def test_a_stream_passes_through_piece_by_piece():
    closed = []

    async def stream(given: Request) -> Reply:
        async def pieces() -> Any:
            try:
                for index in range(100):
                    yield b"%d," % index
            finally:
                closed.append(index)

        return Reply(200, [], pieces())

    class Passes:
        def __init__(self, app: App) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)

    reply = await passed(Passes, Request.build(), stream)
    assert not isinstance(reply.body, bytes)
    assert [b"0,", b"1,"] == [await anext(reply.body), await anext(reply.body)]
    await reply.body.aclose()  # type: ignore[attr-defined]

    assert len(closed) == 1
    assert closed[0] < 10


async def test_errors_of_what_follows_pass_through_it():
    async def fail(given: Request) -> Reply:
        raise MoleculerClientError("no tea", 418)

    with pytest.raises(MoleculerClientError, match="no tea"):
        await passed(GZipMiddleware, Request.build(), fail)


async def test_a_body_that_grows_over_the_limit_is_refused():
    class Inflates:
        def __init__(self, app: App) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def endless() -> Any:
                return {"type": "http.request", "body": bytes(100_000), "more_body": True}

            await self._app(scope, endless, send)

    with pytest.raises(MoleculerClientError) as raised:
        await passed(Inflates, Request.build("POST"), text)

    assert (413, "PAYLOAD_TOO_LARGE") == (raised.value.code, raised.value.type)


# --- in a gateway's `use` ---


class Texts(Service):
    name = "texts"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @action
    def long(self, ctx: Context) -> Any:
        self.calls += 1
        return ["x" * 2000, ctx.params]

    @action
    def fail(self, ctx: Context) -> None:
        raise MoleculerClientError("y" * 2000, 418)


TEXTS = {"GET /long": "texts.long", "GET /fail": "texts.fail"}


@pytest.mark.parametrize(
    "entry",
    [
        GZipMiddleware,
        (GZipMiddleware,),
        (GZipMiddleware, {"minimum_size": 900}),
        Middleware(GZipMiddleware, minimum_size=900),
    ],
    ids=["class", "tuple", "options", "starlettes"],
)
@pytest.mark.parametrize("of_gateway", [True, False], ids=["gateway", "route"])
async def test_every_way_to_write_one_packs_the_answers_of_a_gateway(door: OpenDoor, entry: Any, of_gateway: bool):
    route: dict[str, Any] = {"aliases": TEXTS}
    at: Door = await door(
        Texts(), routes=[route if of_gateway else {**route, "use": [entry]}], use=[entry] if of_gateway else []
    )

    packed = await at.get("/long?a=1", **{"Accept-Encoding": "gzip"})
    plain = await at.get("/long?a=1")

    assert (200, "gzip") == (packed.status, packed.header("content-encoding"))
    assert plain.body == gzip.decompress(packed.body)
    assert ["x" * 2000, {"a": "1"}] == plain.json
    assert plain.header("content-encoding") is None


async def test_functions_and_middlewares_stand_in_one_list_in_order(door: OpenDoor):
    trail: list[str] = []

    def notes(name: str) -> Any:
        async def stage(request: Request, call_next: Any) -> Reply:
            trail.append(f"{name}: {request.header('x-added')}")
            reply: Reply = await call_next(request)
            return reply

        return stage

    at: Door = await door(Texts(), routes=[{"aliases": TEXTS, "use": [notes("before"), Rewrites, notes("behind")]}])

    answer = await at.get("/long")

    assert ["before: None", "behind: 1"] == trail
    assert {"b": "2"} == answer.json[1]


async def test_what_a_middleware_refuses_never_reaches_the_action(door: OpenDoor):
    texts = Texts()
    use = [(TrustedHostMiddleware, {"allowed_hosts": ["mine"]})]
    at: Door = await door(texts, routes=[{"aliases": TEXTS, "use": use}])

    answer = await at.get("/long")

    assert (400, b"Invalid host header", 0) == (answer.status, answer.body, texts.calls)


async def test_errors_are_answered_outside_of_the_middlewares(door: OpenDoor):
    at: Door = await door(Texts(), routes=[{"aliases": TEXTS, "use": [GZipMiddleware]}])

    answer = await at.get("/fail", **{"Accept-Encoding": "gzip"})

    assert (418, None) == (answer.status, answer.header("content-encoding"))
    assert "y" * 2000 == answer.json["message"]


def test_a_middleware_that_cannot_be_made_stops_the_start():
    with pytest.raises(ServiceSchemaError, match=r"settings\.use holds an ASGI middleware that cannot be made: .*sice"):
        read_settings({"use": [(GZipMiddleware, {"sice": 5})]}, {})
