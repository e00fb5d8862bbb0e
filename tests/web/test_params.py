"""What an action gets of a request."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tautomer import Context, Service, action
from tests.web.conftest import OpenDoor

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALIASES = {"/echo": "echo.params", "/echo/:id": "echo.params"}


class Echo(Service):
    name = "echo"

    @action
    def params(self, ctx: Context) -> Any:
        return {"params": ctx.params, "meta": ctx.meta}


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("GET", "/echo", None, {}),
        ("GET", "/echo?a=1&b=2&b=3&c[d]=4", None, {"a": "1", "b": ["2", "3"], "c": {"d": "4"}}),
        ("GET", "/echo/5", None, {"id": "5"}),
        ("GET", "/echo/5?id=6&x=1", None, {"id": "5", "x": "1"}),
        ("POST", "/echo", {"a": 1, "n": None}, {"a": 1, "n": None}),
        ("POST", "/echo?a=2", {"a": 1, "b": 1}, {"a": "2", "b": 1}),
        ("POST", "/echo/3?a=2&id=2", {"id": 1, "a": 1, "b": 1}, {"id": "3", "a": "2", "b": 1}),
        ("DELETE", "/echo", {"a": 1}, {"a": 1}),
        ("GET", "/echo", {"a": 1}, {"a": 1}),
        (
            "POST",
            "/echo?__proto__=x",
            {"__proto__": {"admin": True}, "__class__": 1, "self": 2, "ctx": 3, "$meta": 4, "meta": {"user": 5}},
            {"__proto__": "x", "__class__": 1, "self": 2, "ctx": 3, "$meta": 4, "meta": {"user": 5}},
        ),
    ],
)
async def test_params_are_body_under_query_under_path(door: OpenDoor, method, target, body, expected):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    answer = await (at.ask(method, target) if body is None else at.send(method, target, body))

    assert {"params": expected, "meta": {}} == answer.json


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("/echo", None, {"query": {}, "params": {}}),
        ("/echo/5?id=6", None, {"query": {"id": "6"}, "params": {"id": "5"}}),
        ("/echo?a=2", {"a": 1}, {"body": {"a": 1}, "query": {"a": "2"}, "params": {}}),
        ("/echo", [1, {"a": 2}], {"body": [1, {"a": 2}], "query": {}, "params": {}}),
        ("/echo", {}, {"body": {}, "query": {}, "params": {}}),
    ],
)
async def test_without_merging_the_three_stand_side_by_side(door: OpenDoor, target, body, expected):
    at = await door(Echo, routes=[{"aliases": ALIASES, "mergeParams": False}])

    answer = await (at.get(target) if body is None else at.send("POST", target, body))

    assert expected == answer.json["params"]


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("GET", "/echo/params?a=1", None, {"query": {"a": "1"}}),
        ("POST", "/echo/params", {"b": 2}, {"body": {"b": 2}, "query": {}}),
    ],
)
async def test_a_path_that_names_an_action_has_no_values(door: OpenDoor, method, target, body, expected):
    at = await door(Echo, routes=[{"mappingPolicy": "all", "mergeParams": False}])

    answer = await (at.get(target) if body is None else at.send(method, target, body))

    assert expected == answer.json["params"]


async def test_internal_actions_get_their_params_by_name(door: OpenDoor):
    route = {"mappingPolicy": "all", "mergeParams": False, "whitelist": ["$node.*"]}
    at = await door(Echo, routes=[route])

    assert [] == (await at.get("/~node/events?skipInternal=true")).json


async def test_a_form_is_read_as_the_query_is(door: OpenDoor):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    answer = await at.ask("POST", "/echo", headers=FORM, body=b"a=1&b[c]=%C3%A9+x&d=1&d=2")

    assert {"a": "1", "b": {"c": "é x"}, "d": ["1", "2"]} == answer.json["params"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "kind"),
    [
        (JSON, b"{", 400, "INVALID_BODY"),
        (JSON, b'{"a":1} x', 400, "INVALID_BODY"),
        (JSON, b'{"a":NaN}', 400, "INVALID_BODY"),
        (JSON, b'{"a":"\xff"}', 400, "INVALID_BODY"),
        (JSON, b'{"a":"\\ud800"}', 400, "INVALID_BODY"),
        (JSON, b'{"a":1e999}', 400, "INVALID_BODY"),
        (JSON, b"5", 400, "INVALID_BODY"),
        (JSON, b"null", 400, "INVALID_BODY"),
        (JSON, b'"text"', 400, "INVALID_BODY"),
        (JSON, b"[1]", 400, "INVALID_BODY"),
        (JSON, b"[" * 65 + b"]" * 65, 400, "TOO_DEEP"),
        ({"Content-Type": "application/json; charset=koi8-r"}, b"{}", 415, "UNSUPPORTED_TYPE"),
        ({"Content-Type": "text/plain"}, b"x", 415, "UNSUPPORTED_TYPE"),
        ({"Content-Type": "application/jsonx"}, b"{}", 415, "UNSUPPORTED_TYPE"),
        ({}, b"x", 415, "UNSUPPORTED_TYPE"),
        ({**JSON, "Content-Encoding": "zstd"}, b"{}", 415, "UNSUPPORTED_ENCODING"),
        ({**JSON, "Content-Encoding": "gzip"}, b"{}", 400, "INVALID_BODY"),
        (FORM, b"&".join(b"a=1" for _ in range(1_001)), 400, "TOO_MANY_PARAMS"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(door: OpenDoor, headers, body, status, kind):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    answer = await at.ask("POST", "/echo", headers=headers, body=body)

    assert (status, kind) == (answer.status, answer.type)


@pytest.mark.parametrize("query", ["&".join(f"a{i}=1" for i in range(1_001)), "a[1000]=1"])
async def test_a_query_over_the_limits_is_refused(door: OpenDoor, query):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    answer = await at.get(f"/echo?{query}")

    assert (400, "TOO_MANY_PARAMS") == (answer.status, answer.type)


async def test_a_packed_body_is_unpacked(door: OpenDoor):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    body = gzip.compress(json.dumps({"a": 1}).encode())
    answer = await at.ask("POST", "/echo", headers={**JSON, "Content-Encoding": "gzip"}, body=body)

    assert {"a": 1} == answer.json["params"]


async def test_of_equal_keys_the_last_wins(door: OpenDoor):
    at = await door(Echo, routes=[{"aliases": ALIASES}])

    answer = await at.ask("POST", "/echo", headers=JSON, body=b'{"a":1,"a":2}')

    assert {"a": 2} == answer.json["params"]


async def test_only_the_parsers_that_are_on_read_bodies(door: OpenDoor):
    at = await door(
        Echo,
        routes=[
            {"path": "/json", "aliases": ALIASES, "bodyParsers": {"json": True}},
            {"path": "/none", "aliases": ALIASES, "bodyParsers": False},
        ],
    )

    assert 415 == (await at.ask("POST", "/json/echo", headers=FORM, body=b"a=1")).status
    assert {} == (await at.ask("POST", "/none/echo", headers=JSON, body=b"{")).json["params"]


async def test_a_body_over_the_limit_is_413(door: OpenDoor):
    at = await door(Echo, routes=[{"aliases": ALIASES}], limits={"body_bytes_max": 100})

    assert 413 == (await at.send("POST", "/echo", {"a": "x" * 100})).status


async def test_call_options_give_meta_and_headers_to_the_call_but_no_client_does(door: OpenDoor):
    class Seen(Service):
        name = "seen"

        @action
        def all(self, ctx: Context) -> Any:
            return {"meta": ctx.meta, "headers": ctx.headers, "params": ctx.params}

    at = await door(
        Seen, routes=[{"aliases": {"/x": "seen.all"}, "callOptions": {"meta": {"tenant": 1}, "headers": {"h": 2}}}]
    )

    answer = await at.send("POST", "/x", {"meta": {"tenant": 9}, "$statusCode": 201})

    assert {
        "meta": {"tenant": 1},
        "headers": {"h": 2},
        "params": {"meta": {"tenant": 9}, "$statusCode": 201},
    } == answer.json
