"""`@http` through a real server: results, requests, errors, CORS, and which of several ways answers."""

from __future__ import annotations

import asyncio
import threading
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError, MoleculerError, ServiceSchemaError
from tautomer.web.entrypoint.mark import http
from tautomer.web.entrypoint.request import HttpRequest
from tautomer.web.entrypoint.results import Response
from tautomer.web.errors import BadRequest, Forbidden, NotFound
from tests.web.conftest import OpenDoor
from tests.web.door import chunks

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
BYTES = "application/octet-stream"
Pair = namedtuple("Pair", "payload status")


@dataclass
class Point:
    x: int


def pieces() -> Iterator[str]:
    yield "a"
    yield "é"


async def later() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


class Werkzeugs:
    """A response of another toolkit."""

    status_code = 202
    headers = {"Content-Type": "text/html", "X-A": "1"}

    def get_data(self) -> bytes:
        return b"<p>"


def made(kind: str) -> Any:
    return {
        "str": lambda: "é",
        "bytes": lambda: b"\x00",
        "bytearray": lambda: bytearray(b"ab"),
        "memoryview": lambda: memoryview(b"ab"),
        "none": lambda: None,
        "dict": lambda: {"é": [1, None]},
        "list": lambda: [1, "a"],
        "int": lambda: 5,
        "bool": lambda: True,
        "float": lambda: float("nan"),
        "dataclass": lambda: Point(1),
        "rich": lambda: {"id": UUID(int=1), "at": datetime(2026, 1, 2, tzinfo=UTC), "status": HTTPStatus.OK},
        "payload, status": lambda: ({"error": "no"}, 404),
        "payload, HTTPStatus": lambda: ("made", HTTPStatus.CREATED),
        "status, payload": lambda: (404, "gone"),
        "int, status": lambda: (5, 201),
        "status, status": lambda: (200, 404),
        "bool, status": lambda: (True, 202),
        "payload, status, headers": lambda: ({"a": 1}, 200, {"X-Custom": "header"}),
        "payload, status, pairs": lambda: ("a", 200, [("X-Custom", "1"), ("X-Custom", "2")]),
        "payload, status, none": lambda: ("a", 203, None),
        "status, headers, payload": lambda: (201, {"X-Custom": 5}, "a"),
        "status, headers, list": lambda: (201, {"X-Custom": 5}, [1]),
        "named": lambda: Pair("a", 201),
        "none, status, headers": lambda: (None, 201, {"Location": "/x"}),
        "text as json": lambda: ("{}", 200, {"content-TYPE": "application/json"}),
        "empty, 204": lambda: ("", 204),
        "dict, 304": lambda: ({"a": 1}, 304),
        "response": lambda: Response('{"a":1}', status=201, headers={"Content-Type": "application/json"}),
        "response, mimetype": lambda: Response("a", mimetype="text/csv"),
        "werkzeug": lambda: Werkzeugs(),
        "generator": lambda: pieces(),
        "iterator": lambda: iter([b"a", b"b"]),
        "async generator": lambda: later(),
        "two texts": lambda: ("one", "two"),
        "empty tuple": lambda: (),
        "four": lambda: (1, 2, 3, 4),
        "header with a newline": lambda: ("a", 200, {"X-A": "1\r\nX-B: 2"}),
        "header without a name": lambda: ("a", 200, {"X A": "1"}),
        "status 100": lambda: ("a", 100),
        "object": lambda: object(),
    }[kind]()


class Results(Service):
    name = "results"

    @http("GET", "/sync/<kind>")
    def sync(self, request: HttpRequest, kind: str) -> Any:
        return made(kind)

    @http("GET", "/async/<kind>")
    async def on_loop(self, request: HttpRequest, kind: str) -> Any:
        return made(kind)


RESULTS: list[tuple[str, int, str | None, bytes]] = [
    ("str", 200, TEXT, "é".encode()),
    ("bytes", 200, BYTES, b"\x00"),
    ("bytearray", 200, BYTES, b"ab"),
    ("memoryview", 200, BYTES, b"ab"),
    ("none", 204, None, b""),
    ("dict", 200, JSON, '{"é":[1,null]}'.encode()),
    ("list", 200, JSON, b'[1,"a"]'),
    ("int", 200, JSON, b"5"),
    ("bool", 200, JSON, b"true"),
    ("float", 200, JSON, b"null"),
    ("dataclass", 200, JSON, b'{"x":1}'),
    (
        "rich",
        200,
        JSON,
        b'{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-02T00:00:00Z","status":200}',
    ),
    ("payload, status", 404, JSON, b'{"error":"no"}'),
    ("payload, HTTPStatus", 201, TEXT, b"made"),
    ("status, payload", 404, TEXT, b"gone"),
    ("int, status", 201, JSON, b"5"),
    ("status, status", 404, JSON, b"200"),
    ("bool, status", 202, JSON, b"true"),
    ("payload, status, headers", 200, JSON, b'{"a":1}'),
    ("payload, status, pairs", 200, TEXT, b"a"),
    ("payload, status, none", 203, TEXT, b"a"),
    ("status, headers, payload", 201, TEXT, b"a"),
    ("status, headers, list", 201, JSON, b"[1]"),
    ("named", 201, TEXT, b"a"),
    ("none, status, headers", 201, None, b""),
    ("text as json", 200, "application/json", b"{}"),
    ("empty, 204", 204, None, b""),
    ("dict, 304", 304, None, b""),
    ("response", 201, "application/json", b'{"a":1}'),
    ("response, mimetype", 200, "text/csv; charset=utf-8", b"a"),
    ("werkzeug", 202, "text/html", b"<p>"),
    ("generator", 200, BYTES, "aé".encode()),
    ("iterator", 200, BYTES, b"ab"),
    ("async generator", 200, BYTES, b"ab"),
]


@pytest.mark.parametrize("where", ["sync", "async"])
@pytest.mark.parametrize(("kind", "status", "content_type", "body"), RESULTS)
async def test_a_result_becomes_its_response(
    door: OpenDoor, where: str, kind: str, status: int, content_type: str | None, body: bytes
) -> None:
    at = await door(Results, routes=[])

    answer = await at.get(f"/{where}/{kind.replace(' ', '%20')}")

    got = chunks(answer) if answer.header("transfer-encoding") else answer.body
    assert (status, content_type, body) == (answer.status, answer.header("content-type"), got)


@pytest.mark.parametrize(
    "kind",
    [
        "two texts",
        "empty tuple",
        "four",
        "header with a newline",
        "header without a name",
        "status 100",
        "object",
    ],
)
async def test_what_is_no_result_is_an_error_of_the_server(door: OpenDoor, kind: str) -> None:
    at = await door(Results, routes=[])

    answer = await at.get(f"/sync/{kind.replace(' ', '%20')}")

    assert 500 == answer.status
    assert "X-B" not in str(answer.headers)


async def test_headers_of_a_result_are_sent(door: OpenDoor) -> None:
    at = await door(Results, routes=[])

    assert "header" == (await at.get("/sync/payload,%20status,%20headers")).header("X-Custom")
    assert "5" == (await at.get("/sync/status,%20headers,%20payload")).header("X-Custom")
    assert "/x" == (await at.get("/sync/none,%20status,%20headers")).header("Location")


# --- requests ---


class Echo(Service):
    name = "echo"

    @http("POST,PUT", "/json")
    def json(self, request: HttpRequest) -> Any:
        return {"json": request.get_json()}

    @http("POST", "/silent")
    def silent(self, request: HttpRequest) -> Any:
        return {"json": request.get_json(silent=True), "text": request.get_data(as_text=True)}

    @http("POST", "/form")
    def form(self, request: HttpRequest) -> Any:
        files = {name: [one.filename, one.read().decode()] for name, one in request.files.items()}
        return {"form": dict(request.form), "all": request.form.getlist("a"), "files": files}

    @http("GET", "/about/<int:number>")
    def about(self, request: HttpRequest, number: int) -> Any:
        return {
            "number": number,
            "thread": threading.current_thread() is not threading.main_thread(),
            "args": [request.args.get("q", ""), request.args.get("n", 10, type=int), request.args.getlist("q")],
            "url": request.url.partition("://")[2].partition("/")[2],
            "cookie": request.cookies.get("c"),
            "header": request.headers.get("X-None"),
            "values": request.path_values,
        }

    @http("GET", "/user")
    async def user(self, request: HttpRequest) -> Any:
        return await request.ctx.call("users.get", {"id": 5})

    @http("GET", "/blocking-user")
    def blocking_user(self, request: HttpRequest) -> Any:
        return request.ctx.call("users.get", {"id": 5})


class Users(Service):
    name = "users"

    @action(rest="GET /:id")
    def get(self, ctx: Context) -> Any:
        return {"id": ctx.params["id"]}


@pytest.mark.parametrize(
    ("content_type", "body", "status", "told"),
    [
        ("application/json", b'{"a":1}', 200, '{"json":{"a":1}}'),
        ("application/vnd.x+json; charset=utf-8", b"[1]", 200, '{"json":[1]}'),
        (None, b"1", 200, '{"json":1}'),
        ("application/json", b"", 400, "Request body is empty"),
        ("application/json", b"{", 400, "Invalid JSON: "),
        ("application/json", b"NaN", 400, "Invalid JSON: "),
        ("application/json", b"[" * 200 + b"]" * 200, 400, "Invalid JSON: "),
        ("text/plain", b"{}", 415, "JSON is wanted, not text/plain"),
    ],
)
async def test_json_of_a_request(door: OpenDoor, content_type: str | None, body: bytes, status: int, told: str) -> None:
    at = await door(Echo, routes=[])
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = await at.ask("POST", "/json", body=body, headers=headers)

    assert (status, True) == (answer.status, told in answer.body.decode())


async def test_silence_gives_none_and_the_body_stays(door: OpenDoor) -> None:
    at = await door(Echo, routes=[])

    answer = await at.ask("POST", "/silent", body=b"\xffno", headers={"Content-Type": "text/plain"})

    assert {"json": None, "text": "\ufffdno"} == answer.json


async def test_forms_and_files(door: OpenDoor) -> None:
    at = await door(Echo, routes=[])
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="b.txt"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--\r\n'
    )

    urlencoded = await at.ask("POST", "/form", body=b"a=1&a=2&b=", headers=form)
    multipart = await at.ask("POST", "/form", body=parts, headers={"Content-Type": "multipart/form-data; boundary=x"})
    other = await at.ask("POST", "/form", body=b"a=1", headers={"Content-Type": "text/plain"})

    assert {"form": {"a": "1", "b": ""}, "all": ["1", "2"], "files": {}} == urlencoded.json
    assert {"form": {"a": "1"}, "all": ["1"], "files": {"f": ["b.txt", "hi"]}} == multipart.json
    assert {"form": {}, "all": [], "files": {}} == other.json


async def test_what_a_request_tells(door: OpenDoor) -> None:
    at = await door(Echo, routes=[])

    answer = await at.ask("GET", "/about/7?q=a&q=b&n=x", headers={"Cookie": "c=1"})

    assert {
        "number": 7,
        "thread": True,
        "args": ["a", 10, ["a", "b"]],
        "url": "about/7?q=a&q=b&n=x",
        "cookie": "1",
        "header": None,
        "values": {"number": 7},
    } == answer.json


async def test_a_method_calls_actions_on_the_loop_and_in_a_thread(door: OpenDoor) -> None:
    at = await door(Echo, Users, routes=[])

    assert {"id": 5} == (await at.get("/user")).json
    assert {"id": 5} == (await at.get("/blocking-user")).json


# --- errors ---


class Refused(Exception):
    """With a status of its own."""

    status_code = 402


class Odd(Exception):
    """Its code is no number."""

    code = "E_ODD"


def raises(kind: str) -> None:
    raise {
        "bad": BadRequest("Email is required"),
        "forbidden": Forbidden("not yours"),
        "missing": NotFound(),
        "value": ValueError("not so"),
        "sub": UnicodeError("sub"),
        "key": KeyError("k"),
        "refused": Refused("pay"),
        "odd": Odd("odd"),
        "secret": RuntimeError("the password is x"),
        "mesh": MoleculerClientError("no tea", 409, "NO_TEA"),
        "cancelled": asyncio.CancelledError(),
    }[kind]


class Errors(Service):
    name = "errors"

    @http("GET", "/listed/<kind>", expected_exceptions=(BadRequest, NotFound, ValueError, Refused, Odd))
    def listed(self, request: HttpRequest, kind: str) -> Any:
        raises(kind)

    @http("GET", "/mapped/<kind>", expected_exceptions={ValueError: 422, BadRequest: 410})
    async def mapped(self, request: HttpRequest, kind: str) -> Any:
        raises(kind)

    @http("GET", "/caught")
    def caught(self, request: HttpRequest) -> Any:
        try:
            raises("bad")
        except BadRequest as error:
            return {"error": str(error)}, 400

    @http("GET", "/slow", timeout=0.05)
    async def slow(self, request: HttpRequest) -> Any:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("path", "status", "name", "message"),
    [
        ("/listed/bad", 400, "BadRequestError", "Email is required"),
        ("/listed/missing", 404, "NotFoundError", "Not found"),
        ("/listed/forbidden", 403, "ForbiddenError", "not yours"),
        ("/listed/value", 400, "ValueError", "not so"),
        ("/listed/sub", 400, "UnicodeError", "sub"),
        ("/listed/refused", 402, "Refused", "pay"),
        ("/listed/odd", 400, "Odd", "odd"),
        ("/listed/key", 500, "MoleculerServerError", "Internal server error"),
        ("/listed/secret", 500, "MoleculerServerError", "Internal server error"),
        ("/listed/mesh", 409, "MoleculerClientError", "no tea"),
        ("/mapped/sub", 422, "UnicodeError", "sub"),
        ("/mapped/bad", 410, "BadRequestError", "Email is required"),
        ("/mapped/cancelled", 500, "MoleculerServerError", "Internal server error"),
        ("/slow", 504, "RequestTimeoutError", "Request to 'errors.slow' got no answer in time."),
    ],
)
async def test_an_exception_becomes_its_answer(door: OpenDoor, path: str, status: int, name: str, message: str) -> None:
    at = await door(Errors, routes=[])

    answer = await at.get(path)

    told = answer.json
    assert (status, name, message, status) == (answer.status, told["name"], told["message"], told["code"])
    assert "password" not in answer.body.decode()


async def test_what_a_method_catches_itself_is_a_result(door: OpenDoor) -> None:
    at = await door(Errors, routes=[])

    answer = await at.get("/caught")

    assert (400, {"error": "Email is required"}) == (answer.status, answer.json)


# --- which way answers ---


class Shop(Service):
    name = "shop"

    @http("GET", "/things/<int:number>")
    @http("GET", "/things/first")
    def thing(self, request: HttpRequest, number: int = 1) -> Any:
        """One thing."""
        return {"number": number}

    @http("POST", "/things")
    async def add(self, request: HttpRequest) -> Any:
        return {}, 201

    @http("GET", "/a+b/<path:rest>")
    async def rest(self, request: HttpRequest, rest: str) -> Any:
        return rest


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/things/7", 200, b'{"number":7}'),
        ("GET", "/things/7/", 200, b'{"number":7}'),
        ("GET", "/things/7?", 200, b'{"number":7}'),
        ("GET", "/things/%37", 200, b'{"number":7}'),
        ("GET", "/things/first", 200, b'{"number":1}'),
        ("GET", "/things/first/", 200, b'{"number":1}'),
        ("HEAD", "/things/7", 200, b""),
        ("HEAD", "/things/first", 200, b""),
        ("POST", "/things", 201, b"{}"),
        ("GET", "/a+b/c/d", 200, b"c/d"),
        ("GET", "//things/7", 404, None),
        ("GET", "/things//7", 404, None),
        ("GET", "/THINGS/7", 404, None),
        ("GET", "/things/x", 404, None),
        ("GET", "/things/1%00", 400, None),
        ("GET", "/a+b/c/../d", 400, None),
        ("GET", "/a+b/c%2Fd", 400, None),
        ("GET", "/users/5", 200, b'{"id":"5"}'),
        ("GET", "/other/5", 404, None),
    ],
)
async def test_a_path_leads_to_its_method(
    door: OpenDoor, method: str, path: str, status: int, body: bytes | None
) -> None:
    at = await door(Shop, Users, routes=[{"autoAliases": True}])

    answer = await at.ask(method, path)

    assert status == answer.status
    assert body is None or body == answer.body


async def test_another_method_is_told_which_there_are(door: OpenDoor) -> None:
    at = await door(Shop, routes=[])

    answers = [await at.ask("PUT", "/things/7"), await at.ask("GET", "/things"), await at.ask("OPTIONS", "/things")]

    assert [(405, "GET, HEAD, OPTIONS"), (405, "OPTIONS, POST"), (204, "OPTIONS, POST")] == [
        (answer.status, answer.header("allow")) for answer in answers
    ]


async def test_paths_that_name_actions_come_behind_rules_and_do_not_reach_their_methods(door: OpenDoor) -> None:
    class Wide(Service):
        name = "wide"

        @http("GET", "/<any(users):service>/<verb>")
        def both(self, request: HttpRequest, service: str, verb: str) -> Any:
            return "rule"

    at = await door(Wide, Users, routes=[{"mappingPolicy": "all"}])

    assert b"rule" == (await at.get("/users/get")).body
    assert 404 == (await at.get("/wide/both")).status


async def test_an_alias_and_a_rule_for_the_same_requests_are_an_error_at_start(door: OpenDoor) -> None:
    with pytest.raises(ServiceSchemaError, match=r"'GET /Things/:id' of users.get and @http of shop.thing"):
        await door(Shop, Users, routes=[{"aliases": {"GET /Things/:id": "users.get"}}])


async def test_an_alias_for_another_method_shares_the_path(door: OpenDoor) -> None:
    at = await door(Shop, Users, routes=[{"aliases": {"GET /things": "users.get", "DELETE /things/:id": "users.get"}}])

    assert [201, 200] == [(await at.ask("POST", "/things")).status, (await at.ask("DELETE", "/things/7")).status]
    assert "DELETE, GET, HEAD, OPTIONS" == (await at.ask("PUT", "/things/7")).header("allow")


async def test_two_methods_for_the_same_requests_are_an_error_at_start(door: OpenDoor) -> None:
    class Second(Service):
        name = "second"

        @http("GET,POST", "/things/<int:other>")
        def it(self, request: HttpRequest, other: int) -> Any:
            return None

    with pytest.raises(ServiceSchemaError, match=r"shop.thing and second.it both want GET /things/<int:other>"):
        await door(Shop, Second, routes=[])


async def test_a_gateway_may_lead_to_no_methods(door: OpenDoor) -> None:
    at = await door(Shop, routes=[], http=False)

    assert 404 == (await at.get("/things/7")).status


async def test_a_service_that_comes_later_gets_its_ways(door: OpenDoor) -> None:
    at = await door(Users, routes=[], debounceTime=1)
    await at.broker.register(Shop)

    async with asyncio.timeout(5):
        while (await at.get("/things/7")).status != 200:
            await asyncio.sleep(0.01)


async def test_the_gateways_guards_stand_before_methods(door: OpenDoor) -> None:
    async def authenticate(ctx: Context, route: Any, request: Any) -> Any:
        if request.header("authorization") != "Bearer x":
            raise Forbidden("who?")
        return {"id": 1}

    class Mine(Service):
        name = "mine"

        @http("GET", "/mine")
        def it(self, request: HttpRequest) -> Any:
            return {"user": request.ctx.user}

    at = await door(Mine, routes=[], http={"authentication": authenticate})

    assert 403 == (await at.get("/mine")).status
    assert {"user": {"id": 1}} == (await at.get("/mine", Authorization="Bearer x")).json


async def test_documents_list_methods(door: OpenDoor) -> None:
    at = await door(Shop, routes=[])

    paths = (await at.get("/openapi.json")).json["paths"]
    listed = await at.broker.call("api.listAliases")

    operation = paths["/things/{number}"]["get"]
    assert ("shop.thing.get", "One thing.") == (operation["operationId"], operation["description"])
    assert "integer" == operation["parameters"][0]["schema"]["type"]
    assert {"/things/{number}", "/things/first", "/things", "/a+b/{rest}"} <= set(paths)
    assert {"actionName": "shop.add", "fullPath": "/things", "methods": "POST"}.items() <= {
        key: value for one in listed if one["actionName"] == "shop.add" for key, value in one.items()
    }.items()


async def test_other_nodes_and_callers_without_a_request_cannot_call_it(door: OpenDoor) -> None:
    at = await door(Shop, routes=[])

    with pytest.raises(MoleculerError, match="answers HTTP requests"):
        await at.broker.call("shop.thing", {"number": 1})

    assert "protected" == at.broker.registry.actions["shop.thing"].all[0].entry["visibility"]


async def test_what_actions_may_ask_for_holds_for_methods(door: OpenDoor) -> None:
    class Scarce(Service):
        name = "scarce"

        @http("GET", "/scarce", rate_limit={"limit": 1, "window": 60})
        def it(self, request: HttpRequest) -> Any:
            return "one"

    at = await door(Scarce, routes=[])

    assert [200, 429] == [(await at.get("/scarce")).status for _ in range(2)]


async def test_a_generated_alias_for_the_same_requests_is_logged_and_answers(
    door: OpenDoor, caplog: pytest.LogCaptureFixture
) -> None:
    class Same(Service):
        name = "same"

        @http("GET", "/users/<who>")
        def it(self, request: HttpRequest, who: str) -> Any:
            return "method"

    at = await door(Same, Users, routes=[{"autoAliases": True}])

    async with asyncio.timeout(5):
        while not any("overlap" in record.message for record in caplog.records):
            await asyncio.sleep(0.01)
    assert {"id": "5"} == (await at.get("/users/5")).json


# --- CORS ---


class Open(Service):
    name = "open"

    @http(
        "GET",
        "/api/data",
        cors={
            "origins": ["http://localhost:3000", "https://myapp.com"],
            "methods": ["GET", "POST", "PUT", "DELETE"],
            "headers": ["Content-Type", "Authorization"],
            "credentials": True,
        },
    )
    def data(self, request: HttpRequest) -> Any:
        return {"a": 1}

    @http("DELETE,GET", "/all/<number>", cors={"max_age": 5, "expose_headers": ["X-A"]})
    def everyone(self, request: HttpRequest, number: str) -> Any:
        raise NotFound()

    @http("PUT", "/all/<number>")
    def closed(self, request: HttpRequest, number: str) -> Any:
        return None


async def test_cors_of_a_method(door: OpenDoor) -> None:
    at = await door(Open, routes=[])
    site = {"Origin": "https://myapp.com"}

    answer = await at.get("/api/data", **site)
    stranger = await at.get("/api/data", Origin="https://myapp.com:444")
    preflight = await at.ask("OPTIONS", "/api/data", headers={**site, "Access-Control-Request-Method": "PATCH"})

    assert (200, "https://myapp.com", "true", "Origin") == (
        answer.status,
        answer.header("access-control-allow-origin"),
        answer.header("access-control-allow-credentials"),
        answer.header("vary"),
    )
    assert (403, "ORIGIN_NOT_ALLOWED") == (stranger.status, stranger.type)
    assert (204, "GET, POST, PUT, DELETE", "Content-Type, Authorization") == (
        preflight.status,
        preflight.header("access-control-allow-methods"),
        preflight.header("access-control-allow-headers"),
    )


async def test_cors_on_errors_and_the_methods_of_a_path(door: OpenDoor) -> None:
    at = await door(Open, routes=[])

    error = await at.get("/all/1", Origin="https://a.com")
    wrong = await at.ask("PATCH", "/all/1", headers={"Origin": "https://a.com"})
    preflight = await at.ask(
        "OPTIONS", "/all/1", headers={"Origin": "https://a.com", "Access-Control-Request-Method": "DELETE"}
    )

    assert [(404, "*"), (405, "*")] == [
        (one.status, one.header("access-control-allow-origin")) for one in (error, wrong)
    ]
    assert (204, "DELETE, GET, PUT", "5") == (
        preflight.status,
        preflight.header("access-control-allow-methods"),
        preflight.header("access-control-max-age"),
    )


# --- marks ---


def registered(function: Any, method: str = "GET", url: str = "/x/<a>", **options: Any) -> Any:
    marked = type("Marked", (Service,), {"name": "marked", "go": http(method, url, **options)(function)})
    return marked().action_defs()


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (lambda self, request: 1, {}, "has no parameter 'a'"),
        (lambda self, request, a, b: 1, {}, "wants 'b', which is no value of the URL"),
        (lambda self: 1, {"url": "/x"}, "takes no request"),
        (lambda self, request, a: 1, {"method": "FETCH"}, "one of GET"),
        (lambda self, request, a: 1, {"method": ""}, "one of GET"),
        (lambda self, request, a: 1, {"url": "x"}, "begins with '/'"),
        (lambda self, request, a: 1, {"expected_exceptions": "x"}, "expected_exceptions is"),
        (lambda self, request, a: 1, {"expected_exceptions": {ValueError: 200}}, "400 to 599"),
        (lambda self, request, a: 1, {"cors": {"origins": "*", "credentials": True}}, "credentials"),
        (lambda self, request, a: 1, {"cors": {"origin_list": "*"}}, "origin_list"),
        (lambda self, request, a: 1, {"blocking": "yes"}, "True or False"),
        (lambda self, request, a: 1, {"timeout": -1}, "seconds"),
        (lambda self, request, a: 1, {"cache": True}, "takes no 'cache'"),
        (lambda self, request, a: 1, {"rest": "GET /"}, "takes no 'rest'"),
    ],
)
def test_a_mark_that_cannot_be_is_told_of(function: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ServiceSchemaError, match=said):
        registered(function, **options)


def test_a_mark_without_brackets_is_told_of() -> None:
    with pytest.raises(TypeError, match="needs a method and a URL"):
        http(lambda self, request: None)  # type: ignore[call-arg, arg-type]


def test_the_mark_decides_where_a_method_runs() -> None:
    async def on_loop(self: Any, request: Any, a: str) -> None: ...

    def beside(self: Any, request: Any, a: str) -> None: ...

    def marked(function: Any, **options: Any) -> str:
        return str(registered(function, **options)[0].where)

    assert ["loop", "thread", "loop"] == [marked(on_loop), marked(beside), marked(beside, blocking=False)]


def test_a_marked_method_stays_callable() -> None:
    assert ({}, 201) == asyncio.run(Shop().add(None))  # type: ignore[arg-type]
