"""Stages that people write (`use`)."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tautomer.errors import MoleculerClientError, MoleculerError, ServiceSchemaError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Door

BUSY = Reply(503, [("X-Own", "yes")], b"busy")


class Users(Service):
    name = "users"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @action
    def get(self, ctx: Context) -> Any:
        self.calls += 1
        return {"params": ctx.params, "trail": ctx.meta.get("trail"), "calls": self.calls}

    @action
    def fails(self, ctx: Context) -> None:
        raise MoleculerClientError("no tea", 409, "NO_TEA")


ALIASES = {"/get": "users.get", "/fails": "users.fails"}


def leaves_a_trail(name: str) -> Any:
    async def stage(request: Request, call_next: Any) -> Reply:
        request.ctx.meta.setdefault("trail", []).append(name)
        reply = await call_next(request)
        reply.headers.append(("X-Trail", name))
        return reply

    return stage


def answers_itself(request: Request, call_next: Any) -> Reply:
    return BUSY


def passes_on(request: Request, call_next: Any) -> Any:
    request.locals["seen"] = True
    return call_next(request)


async def test_stages_run_in_order_the_gateways_first(door: OpenDoor):
    at = await door(
        Users(),
        routes=[{"aliases": ALIASES, "use": [leaves_a_trail("c"), leaves_a_trail("d")]}],
        use=[leaves_a_trail("a"), leaves_a_trail("b")],
    )

    answer = await at.get("/get")

    assert ["a", "b", "c", "d"] == answer.json["trail"]
    assert ["d", "c", "b", "a"] == [value for name, value in answer.headers if name == "x-trail"]


async def test_a_stage_need_not_be_async(door: OpenDoor):
    at = await door(Users(), routes=[{"aliases": ALIASES, "use": [passes_on]}])

    assert {"x": "1"} == (await at.get("/get?x=1")).json["params"]


async def test_a_stage_that_answers_itself_lets_nothing_further_in_run(door: OpenDoor):
    users = Users()
    at = await door(users, routes=[{"aliases": ALIASES, "use": [leaves_a_trail("a"), answers_itself]}])

    for _ in range(2):  # The same reply again and again, and it does not grow.
        answer = await at.get("/get")
        assert (503, b"busy", "yes") == (answer.status, answer.body, answer.header("X-Own"))
        assert 1 == sum(name == "x-trail" for name, _ in answer.headers)
    assert 0 == users.calls


async def test_a_stage_hears_of_paths_of_its_route_that_lead_nowhere(door: OpenDoor):
    at = await door(Users(), routes=[{"path": "/a", "aliases": ALIASES, "use": [leaves_a_trail("a")]}, {"path": "/b"}])

    async def counted(request: Request, call_next: Any) -> Reply:
        try:
            return await call_next(request)
        except MoleculerError as error:
            return Reply(error.code if isinstance(error.code, int) else 500, [("X-Seen", error.name)])

    other = await door(Users(), routes=[{"path": "/a", "aliases": ALIASES, "use": [counted]}], broker=Broker("second"))

    assert [404, 404, 404] == [(await at.get(path)).status for path in ("/a/none", "/b/none", "/none")]
    answers = [await other.get(path) for path in ("/a/none", "/a/fails", "/none")]
    assert ["NotFoundError", "MoleculerClientError", None] == [one.header("X-Seen") for one in answers]


async def test_what_a_stage_raises_is_answered_as_an_error_of_the_route(door: OpenDoor):
    def refuses(request: Request, call_next: Any) -> Reply:
        raise MoleculerClientError("no", 418, "TEAPOT")

    def breaks(request: Request, call_next: Any) -> Reply:
        raise KeyError("secret")

    at = await door(
        Users(),
        routes=[
            {"path": "/a", "aliases": ALIASES, "use": [refuses]},
            {"path": "/b", "aliases": ALIASES, "use": [breaks]},
        ],
    )

    refused, broken = await at.get("/a/get"), await at.get("/b/get")

    assert (418, "TEAPOT") == (refused.status, refused.type)
    assert (500, "INTERNAL_ERROR") == (broken.status, broken.type)
    assert b"secret" not in broken.body


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (lambda request, call_next: None, "returned NoneType: a stage returns a Reply"),
        (lambda request, call_next: {"a": 1}, "returned dict: a stage returns a Reply"),
        (lambda request, call_next: call_next(Request.build()), "hands on another request than it was given"),
    ],
)
async def test_a_stage_that_does_not_do_its_part_is_told_of_in_the_log(door: OpenDoor, caplog, stage, told):
    at = await door(Users(), routes=[{"aliases": ALIASES, "use": [stage]}])

    answer = await at.get("/get")

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)
    assert told in caplog.text


async def test_a_stage_may_go_on_twice(door: OpenDoor):
    async def tries_again(request: Request, call_next: Any) -> Reply:
        await call_next(request)
        return await call_next(request)

    at = await door(Users(), routes=[{"aliases": ALIASES, "use": [tries_again]}])

    assert 2 == (await at.get("/get")).json["calls"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (5, "is a function, not 5"),
        (lambda req, res, go_on: None, "takes (request, call_next)"),
        (lambda request: None, "takes (request, call_next)"),
        ("tenant", "names the method 'tenant', which the gateway's service does not have"),
    ],
)
def test_what_cannot_be_a_stage_is_told_at_start(entry, told):
    for settings in ({"use": [entry]}, {"routes": [{"use": [entry]}]}):
        with pytest.raises(ServiceSchemaError) as raised:
            read_settings(settings, {})
        assert told in raised.value.message


class Gateway(ApiGatewayService):
    settings = {
        "port": 0,
        "ip": "127.0.0.1",
        "routes": [{"aliases": ALIASES, "use": ["onlyAnn"], "onBeforeCall": "marks", "onError": "apologizes"}],
    }

    async def only_ann(self, request: Request, call_next: Any) -> Reply:
        if request.query.get("user") != "ann":
            raise MoleculerClientError("only Ann", 403, "NOT_ANN")
        return await call_next(request)

    def marks(self, ctx: Any, route: Any, request: Request) -> None:
        ctx.params["marked"] = self.name

    def apologizes(self, request: Request, error: Exception) -> Reply:
        return Reply(getattr(error, "code", 500), [], b"sorry")


async def test_stages_and_hooks_may_be_methods_of_the_service():
    broker, service = Broker("gateway-node"), Gateway()
    await broker.register(Users())
    await broker.register(service)
    async with broker:
        at = Door(broker, service)
        answer, refused = await at.get("/get?user=ann"), await at.get("/get")

    assert {"user": "ann", "marked": "api"} == answer.json["params"]
    assert (403, b"sorry") == (refused.status, refused.body)
