"""Bodies of errors in a shape of one's own, error hooks of route and gateway, root options, redirects."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.web import send_redirect
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Door


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> Any:
        return {"meta": dict(ctx.meta), "headers": dict(ctx.headers)}

    @action
    def fails(self, ctx: Context) -> None:
        raise MoleculerClientError("no tea", 409, "NO_TEA")

    @action
    def breaks(self, ctx: Context) -> None:
        raise KeyError("secret")


ALIASES = {"/get": "users.get", "/fails": "users.fails", "/breaks": "users.breaks"}


# --- reformatError ---


def reformat(error: Any, request: Request) -> Any:
    return {"oops": error.name, "code": error.code, "path": request.path, "cause": type(error.__cause__).__name__}


async def later(error: Any, request: Request) -> Any:
    return reformat(error, request)


@pytest.mark.parametrize("hook", [reformat, later])
async def test_the_body_of_an_error_may_have_a_shape_of_ones_own(door: OpenDoor, hook):
    at = await door(Users, routes=[{"aliases": ALIASES, "mappingPolicy": "all"}], reformatError=hook)

    answers = [await at.get(path) for path in ("/fails", "/breaks", "/none/here", "/", "/users/nothing")]

    assert [409, 500, 404, 404, 404] == [one.status for one in answers]
    assert [
        {"oops": "MoleculerClientError", "code": 409, "path": "/fails", "cause": "NoneType"},
        {"oops": "MoleculerServerError", "code": 500, "path": "/breaks", "cause": "KeyError"},
        {"oops": "ServiceNotFoundError", "code": 404, "path": "/none/here", "cause": "NoneType"},
        {"oops": "NotFoundError", "code": 404, "path": "/", "cause": "NoneType"},
        {"oops": "ServiceNotFoundError", "code": 404, "path": "/users/nothing", "cause": "NoneType"},
    ] == [one.json for one in answers]
    assert {"application/json; charset=utf-8"} == {one.header("Content-Type") for one in answers}


def raises(error: Any, request: Request) -> Any:
    raise ValueError("broken hook")


@pytest.mark.parametrize(
    ("hook", "logged"),
    [
        (lambda error, request: None, False),
        (raises, True),
        (lambda error, request: "text", True),
        (lambda error, request: {"x": object()}, True),
    ],
)
async def test_where_it_gives_nothing_fit_the_usual_body_goes_out(door: OpenDoor, caplog, hook, logged):
    at = await door(Users, routes=[{"aliases": ALIASES}], reformatError=hook)

    answer = await at.get("/fails")

    assert (409, "NO_TEA", b"broken" in answer.body) == (answer.status, answer.type, False)
    assert logged == ("reformatError failed" in caplog.messages)


async def test_it_is_told_no_more_of_a_hidden_error_than_the_client_may_know(door: OpenDoor):
    def everything(error: Any, request: Request) -> Any:
        return {
            "name": error.name,
            "message": error.message,
            "code": error.code,
            "type": error.type,
            "data": error.data,
        }

    at = await door(Users, routes=[{"aliases": ALIASES}], reformatError=everything)
    usual = await door(Users, routes=[{"aliases": ALIASES}])

    answers = [await one.get("/breaks", **{"X-Request-ID": "r1"}) for one in (at, usual)]

    assert answers[0].json == answers[1].json
    assert b"secret" not in answers[0].body


@pytest.mark.parametrize("spelling", ["reformat_error", "reformatError"])
async def test_it_may_be_a_method_of_the_service(spelling):
    own = type(
        "Own",
        (ApiGatewayService,),
        {
            "settings": {"port": 0, "ip": "127.0.0.1", "routes": [{"aliases": ALIASES}]},
            spelling: lambda self, error, request: {"from": self.name, "code": error.code},
        },
    )
    # A lambda in a class body is a method as any other.
    broker, service = Broker("gateway-node"), own()
    await broker.register(Users())
    await broker.register(service)
    async with broker:
        assert {"from": "api", "code": 409} == (await Door(broker, service).get("/fails")).json


# --- onError ---


async def test_what_the_hook_of_a_route_leaves_goes_to_that_of_the_gateway(door: OpenDoor):
    asked: list[str] = []

    def of_route(request: Request, error: Any) -> Reply | None:
        asked.append("route")
        return Reply(418) if request.path == "/fails" else None

    def of_gateway(request: Request, error: Any) -> Reply | None:
        asked.append("gateway")
        return Reply(499) if request.path == "/breaks" else None

    at = await door(Users, routes=[{"aliases": {**ALIASES, "/gone": "a.b"}, "onError": of_route}], onError=of_gateway)

    assert [418, 499, 503] == [(await at.get(path)).status for path in ("/fails", "/breaks", "/gone")]
    assert ["route", "route", "gateway", "route", "gateway"] == asked


async def test_a_hook_after_the_call_that_gives_nothing_leaves_the_result(door: OpenDoor):
    """Unlike moleculer-web's, which then answers with nothing."""
    at = await door(Users, routes=[{"aliases": ALIASES, "onAfterCall": lambda ctx, route, request, result: None}])

    assert {"meta": {}, "headers": {}} == (await at.get("/get")).json


# --- rootCallOptions, callOptions ---


@pytest.mark.parametrize(
    "given",
    [
        {"meta": {"a": 1, "b": 1}},
        lambda options, request: options["meta"].update(a=1, b=request.method and 1),
        lambda options, request: {"meta": {"a": 1, "b": 1}},
    ],
)
async def test_meta_for_all_requests_lies_under_that_of_the_route(door: OpenDoor, given):
    routes = [
        {"path": "/plain", "aliases": ALIASES},
        {
            "path": "/own",
            "aliases": ALIASES,
            "callOptions": {"meta": {"b": 2}, "headers": {"h": "1"}, "timeout": 5},
        },
    ]
    at = await door(Users, routes=routes, rootCallOptions=given)

    for _ in range(2):
        assert {"meta": {"a": 1, "b": 1}, "headers": {}} == (await at.get("/plain/get")).json
        assert {"meta": {"a": 1, "b": 2}, "headers": {"h": "1"}} == (await at.get("/own/get")).json


@pytest.mark.parametrize("made", [5, {"meta": 5}, {"parentSpan": 1, "meta": {}}])
async def test_root_options_that_cannot_be_are_our_fault(door: OpenDoor, caplog, made):
    at = await door(Users, routes=[{"aliases": ALIASES}], rootCallOptions=lambda options, request: made)

    answer = await at.get("/get")

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)
    assert "rootCallOptions gives" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rootCallOptions": 5}, "settings.rootCallOptions is a mapping"),
        ({"rootCallOptions": {"timeout": 5}}, "use a route's 'callOptions.timeout'"),
        ({"rootCallOptions": {"mata": 5}}, "did you mean 'meta'"),
        ({"reformatError": 5}, "settings.reformatError is a function"),
    ],
)
def test_wrong_ones_are_told_at_start(settings, told):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings(settings, {})

    assert told in raised.value.message


# --- redirects ---


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/login?next=/a%20b", "/login?next=/a%20b"),
        ("https://example.org/a b", "https://example.org/a%20b"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
    ],
)
@pytest.mark.parametrize("status", [302, 308])
async def test_a_function_may_send_a_client_elsewhere(door: OpenDoor, url, sent, status):
    at = await door(routes=[{"aliases": {"/go": lambda request: send_redirect(url, status)}}])

    answer = await at.get("/go")

    assert (status, sent, b"") == (answer.status, answer.header("Location"), answer.body)


@pytest.mark.parametrize(("url", "status"), [("/a\r\nX: y", 302), ("/a\x00", 302), ("/", 200), ("/", 304)])
def test_what_cannot_be_a_redirect_is_refused(url, status):
    with pytest.raises(ValueError, match="redirect"):
        send_redirect(url, status)


# --- names ---


def test_the_names_of_the_web_package_are_imported_on_first_use():
    code = (
        "import sys, tautomer.web; assert 'tautomer.web.service' not in sys.modules; "
        "from tautomer.web import ApiGatewayService, Reply, Request; import tautomer; "
        "assert tautomer.ApiGatewayService is ApiGatewayService; assert not hasattr(tautomer.web, 'nothing')"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
