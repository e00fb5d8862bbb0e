"""The OpenAPI document: what can be reached now, and what it takes."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tautomer import Context, HTTPProxyCommand, Service, action
from tautomer.web.messages.message import Request
from tests.web.conftest import OpenDoor
from tests.web.door import Door


class Users(Service):
    name = "users"

    @action(
        params={"id": "number|integer|convert", "deep": {"$$type": "object|optional", "a": "string"}},
        rest="GET /:id",
        description="One user",
    )
    def get(self, ctx: Context) -> Any:
        return ctx.params

    @action(params={"name": "string|min:2", "age": "number|optional"}, rest="POST /")
    def create(self, ctx: Context) -> Any:
        return ctx.params

    @action(
        params={"id": "string", "name": "string"}, rest="PUT /:id", openapi={"summary": "Rename", "tags": ["names"]}
    )
    def update(self, ctx: Context) -> Any:
        return ctx.params

    @action(rest="GET /:id/picture", responseType="image/png")
    def picture(self, ctx: Context) -> bytes:
        return b""

    @action(visibility="public", rest="GET /hidden")
    def hidden(self, ctx: Context) -> None: ...


async def document(at: Door, path: str = "/openapi.json") -> Any:
    answer = await at.get(path)
    assert (200, "application/json; charset=utf-8") == (answer.status, answer.header("Content-Type"))
    OpenAPIV31SpecValidator(answer.json).validate()
    return answer.json


async def test_annotated_actions_are_documented_with_their_params(door: OpenDoor):
    at = await door(Users, routes=[{"path": "/v1", "autoAliases": True}])

    found = await document(at)

    get = found["paths"]["/v1/users/{id}"]["get"]
    assert ("users.get.get", "One user", ["users"]) == (get["operationId"], get["description"], get["tags"])
    assert [
        {"name": "id", "in": "path", "schema": {"type": "integer"}, "required": True},
        {
            "name": "deep",
            "in": "query",
            "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            "style": "deepObject",
            "explode": True,
        },
    ] == get["parameters"]


async def test_what_the_path_does_not_hold_is_the_body(door: OpenDoor):
    at = await door(Users, routes=[{"autoAliases": True}])

    found = await document(at)

    put = found["paths"]["/users/{id}"]["put"]
    body = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert body == put["requestBody"]["content"]["application/json"]["schema"]
    assert put["requestBody"]["required"] is True
    assert ["id"] == [one["name"] for one in put["parameters"]]


async def test_an_action_may_say_more_of_itself(door: OpenDoor):
    at = await door(Users, routes=[{"autoAliases": True}])

    paths = (await document(at))["paths"]

    assert ("Rename", ["names"]) == (paths["/users/{id}"]["put"]["summary"], paths["/users/{id}"]["put"]["tags"])
    assert ["image/png"] == list(paths["/users/{id}/picture"]["get"]["responses"]["2XX"]["content"])


@pytest.mark.parametrize("own", [5, "text", {"tags": "x", "summary": 5, "responses": []}, {"tags": [5]}, None])
async def test_nonsense_of_an_action_about_itself_is_left_out(door: OpenDoor, own):
    class Odd(Service):
        name = "odd"

        @action(rest="GET /", openapi=own)
        def get(self, ctx: Context) -> None: ...

    at = await door(Odd, routes=[{"autoAliases": True}])

    assert "odd.get" == (await at.get("/openapi.json")).json["paths"]["/odd"]["get"]["summary"]


async def test_what_cannot_be_reached_is_not_documented(door: OpenDoor):
    routes = [
        {
            "path": "/a",
            "aliases": {"GET /gone": "nobody.there", "GET /hidden": "users.hidden", "GET /get": "users.get"},
        },
        {"path": "/b", "aliases": {"GET /get": "users.get", "GET /new": "users.create"}, "blacklist": ["users.get"]},
    ]
    at = await door(Users, routes=routes)

    assert ["/a/get", "/b/new"] == list((await document(at))["paths"])


async def test_services_that_come_and_go_are_documented_while_they_are_there(door: OpenDoor):
    at = await door(routes=[{"autoAliases": True}], debounceTime=1)
    before = (await document(at))["paths"]

    await at.broker.register(Users)
    at.service._running.refresh()  # What the change of services leads to, without its delay.

    assert ("/users/{id}" in before, "/users/{id}" in (await document(at))["paths"]) == (False, True)


async def test_a_route_that_maps_all_shows_the_paths_of_actions(door: OpenDoor):
    at = await door(Users, routes=[{"path": "/all", "mappingPolicy": "all", "whitelist": ["users.*"]}])

    paths = (await document(at))["paths"]

    assert {"/all/users/get", "/all/users/create", "/all/users/update", "/all/users/picture"} == set(paths)
    assert ["post"] == list(paths["/all/users/get"])


async def test_a_body_is_separate_where_params_are_not_merged(door: OpenDoor):
    class Forms(Service):
        name = "forms"

        @action(
            params={
                "params": {"$$type": "object", "id": "number"},
                "query": {"$$type": "object", "page": "number|optional"},
                "body": {"$$type": "object", "text": "string"},
            }
        )
        def post(self, ctx: Context) -> None: ...

    at = await door(Forms, routes=[{"aliases": {"POST /forms/:id": "forms.post"}, "mergeParams": False}])

    post = (await document(at))["paths"]["/forms/{id}"]["post"]

    assert [("id", "path"), ("page", "query")] == [(one["name"], one["in"]) for one in post["parameters"]]
    assert ["text"] == list(post["requestBody"]["content"]["application/json"]["schema"]["properties"])


async def test_functions_and_all_kinds_of_patterns_are_documented(door: OpenDoor):
    def status(request: Request) -> str:
        """How things are."""
        return "well"

    aliases = {
        "GET /status": status,
        "GET /f/{name}.json": "users.get",
        "/any/*rest": "users.create",
        "GET /n/:id(\\d+)": "users.get",
        "GET /o{/:id}/end": "users.get",
        "GET /p/{rest:path}": "users.get",
    }
    at = await door(Users, routes=[{"aliases": aliases}])

    paths = (await document(at))["paths"]

    assert "How things are." == paths["/status"]["get"]["description"]
    expected = ["/status", "/f/{name}.json", "/any/{rest}", "/n/{id}", "/o/{id}/end", "/o/end", "/p/{rest}"]
    assert expected == list(paths)
    assert ["get", "post", "put", "patch", "delete"] == list(paths["/any/{rest}"])
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


async def test_the_document_says_what_the_settings_say_of_the_api(door: OpenDoor):
    about = {
        "path": "/api.json",
        "title": "Shop <1>",
        "version": "2.3",
        "description": "All of it.",
        "servers": ["https://shop.example"],
    }
    at = await door(routes=[], path="/v1", openapi=about)

    found = await document(at, "/v1/api.json")

    assert {"title": "Shop <1>", "version": "2.3", "description": "All of it."} == found["info"]
    assert [{"url": "https://shop.example"}] == found["servers"]
    assert "<title>Shop &lt;1&gt;</title>" in (await at.get("/v1/docs")).body.decode()


async def test_what_peers_announce_never_breaks_the_document(door: OpenDoor):
    odd = {"a": {"type": {"x": 1}}, "$$root": "no", "b": [[]], "c": {"$$type": 5}, "d": {"type": "array", "items": 5}}
    at = await door(Users, routes=[{"aliases": {"POST /x": "users.get"}}])
    at.broker.registry.actions["users.get"].all[0].entry["params"] = odd

    assert 200 == (await at.get("/openapi.json")).status


async def test_what_lies_behind_an_application_or_a_proxy_is_not_told(door: OpenDoor):
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    routes = [{"path": "/app", "app": app}, {"path": "/proxy", "proxy": HTTPProxyCommand}]
    at = await door(Users, routes=[*routes, {"path": "/v1", "aliases": {"GET /u/:id": "users.get"}}])

    found = await document(at)

    assert ["/v1/u/{id}"] == [*found["paths"]]
