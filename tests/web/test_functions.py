"""Functions as aliases, the arguments of hooks, and routes that answer for paths leading nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> Any:
        return {"id": ctx.params["id"], "caller": ctx.caller, "level": ctx.level}


async def calls_twice(request: Request) -> Any:
    return [await request.ctx.call("users.get", {"id": one}) for one in (request.params["id"], "2")]


def tells_its_place(request: Request) -> Any:
    request.ctx.meta["$responseHeaders"] = {"X-From": "function"}
    return {"alias": request.alias.pattern.path, "route": request.route.path, "params": request.params}


def replies(_request: Request) -> Reply:
    return Reply(201, [("X-Own", "yes")], b"made")


def fails(_request: Request) -> None:
    raise MoleculerClientError("no tea", 409, "NO_TEA")


ALIASES = {
    "GET /twice/:id": calls_twice,
    "/place/:id": tells_its_place,
    "POST /replies": replies,
    "GET /fails": fails,
    "GET /users/:id": "users.get",
}


async def test_a_function_as_alias_calls_actions_in_the_context_of_its_request(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    answer = await at.get("/twice/1")

    assert [{"id": "1", "caller": "api", "level": 2}, {"id": "2", "caller": "api", "level": 2}] == answer.json


async def test_a_functions_result_is_taken_as_an_actions(door: OpenDoor):
    at = await door(routes=[{"path": "/v1", "aliases": ALIASES}])

    answer = await at.get("/v1/place/7?x=1")

    assert {"alias": "/v1/place/:id", "route": "/v1", "params": {"id": "7", "x": "1"}} == answer.json
    assert "function" == answer.header("X-From")


async def test_a_function_may_give_the_reply_itself(door: OpenDoor):
    at = await door(routes=[{"aliases": ALIASES}])

    answer = await at.ask("POST", "/replies")

    assert (201, "yes", b"made") == (answer.status, answer.header("X-Own"), answer.body)


async def test_what_a_function_raises_is_answered_as_an_actions_error(door: OpenDoor):
    at = await door(routes=[{"aliases": ALIASES}])

    answer = await at.get("/fails")

    assert (409, "NO_TEA") == (answer.status, answer.type)


async def test_the_lists_of_a_route_forbid_actions_not_functions(door: OpenDoor):
    at = await door(Users, routes=[{"aliases": ALIASES, "whitelist": []}])

    assert (201, 404) == ((await at.ask("POST", "/replies")).status, (await at.get("/users/1")).status)


async def test_a_hook_gets_the_alias_if_it_has_a_place_for_it(door: OpenDoor):
    def before(ctx: Any, route: Any, request: Request, alias: Any) -> None:
        ctx.params["alias"] = alias.pattern.path

    def after(ctx: Any, route: Any, request: Request, result: Any, alias: Any) -> Any:
        return {**result, "after": alias.action}

    at = await door(routes=[{"aliases": ALIASES, "onBeforeCall": before, "onAfterCall": after}])

    answer = await at.get("/place/1")

    assert ("/place/:id", "tells_its_place") == (answer.json["params"]["alias"], answer.json["after"])


@pytest.mark.parametrize("hook", [lambda: 1, lambda ctx: 1, lambda a, b, c, d, e: 1, 5])
def test_a_hook_that_cannot_be_called_is_told_at_start(hook):
    with pytest.raises(ServiceSchemaError, match=r"routes\[0\].onBeforeCall"):
        read_settings({"routes": [{"onBeforeCall": hook}]}, {})


@pytest.mark.parametrize("hook", [lambda a, b, c: 1, lambda a, b, c, d: 1, lambda *a: 1, lambda a, b, c=1: 1, print])
def test_hooks_of_every_fitting_form_are_taken(hook):
    settings, _ = read_settings({"routes": [{"onBeforeCall": hook}]}, {})

    made = settings.routes[0].on_before_call
    assert made is not None
    made("ctx", "route", "request", "alias")


async def test_a_route_answers_for_the_paths_below_it_that_lead_nowhere(door: OpenDoor):
    def own(name: str) -> Any:
        return lambda request, error: Reply(error.code, [("X-Route", name)])

    at = await door(
        routes=[
            {"path": "/a", "aliases": ALIASES, "onError": own("a")},
            {"path": "/a/b", "aliases": ALIASES, "onError": own("a/b")},
            {"path": "/a/b/quiet", "aliases": ALIASES},
        ]
    )

    seen = [await at.get(path) for path in ("/a/none", "/a/b/none", "/a/bc", "/a/b/quiet/none", "/none")]

    assert ["a", "a/b", "a", None, None] == [one.header("X-Route") for one in seen]
    assert {404} == {one.status for one in seen}


async def test_a_wrong_method_is_the_routes_own_error_too(door: OpenDoor):
    at = await door(
        routes=[{"path": "/a", "aliases": ALIASES, "onError": lambda request, error: Reply(error.code, [("X-E", "1")])}]
    )

    answer = await at.ask("PUT", "/a/replies")

    assert (405, "1", "OPTIONS, POST") == (answer.status, answer.header("X-E"), answer.header("Allow"))
