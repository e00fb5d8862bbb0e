"""Body parsers of a route: which bodies they read, under which options and limits."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.errors import ServiceSchemaError
from tautomer.web.messages.message import Request
from tautomer.web.messages.query import FORM_RULES
from tautomer.web.settings.body_parsers import BodyParsers
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"Content-Type": "text/plain"}
RAW = {"Content-Type": "application/octet-stream"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=B"}


class Echo(Service):
    name = "echo"

    @action
    def params(self, ctx: Context) -> Any:
        return {key: repr(value) if isinstance(value, bytes) else value for key, value in ctx.params.items()}


def route(parsers: Any, **more: Any) -> dict[str, Any]:
    return {"aliases": {"/echo": "echo.params"}, "bodyParsers": parsers, **more}


def parsers(given: Any) -> BodyParsers:
    return read_settings({"routes": [{"bodyParsers": given}]}, {})[0].routes[0].body_parsers


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        (True, ["json", "urlencoded"]),
        (None, ["json", "urlencoded"]),
        (False, []),
        ({}, []),
        ({"json": True}, ["json"]),
        ({"raw": {}, "text": True, "json": {"strict": False}}, ["raw", "text", "json"]),
        ({"text": False, "json": True, "multipart": True}, ["json", "multipart"]),
    ],
)
def test_the_parsers_that_are_on_are_tried_in_the_order_they_are_written(given: Any, kinds: list[str]) -> None:
    assert kinds == [parser.kind for parser in parsers(given).in_order]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("100kb", 102_400), ("2MB", 2_097_152), ("1.5 mb", 1_572_864), ("77", 77), (5, 5), (0, 0), (float("inf"), 0)],
)
def test_a_limit_is_a_number_of_bytes_or_a_size(limit: Any, expected: int) -> None:
    assert expected == parsers({"json": {"limit": limit}}).in_order[0].bytes_max


def test_options_of_a_form_are_rules_of_its_syntax() -> None:
    assert FORM_RULES is parsers({"urlencoded": {"extended": True}}).in_order[0].rules
    for flat in (True, {}, {"limit": "1kb"}, {"extended": False}):
        assert 0 == parsers({"urlencoded": flat}).in_order[0].rules.depth
    for usual in (True, None):
        assert FORM_RULES is parsers(usual).in_order[1].rules


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"yaml": True}, "settings.routes[0].bodyParsers.yaml is not a setting"),
        ({"jsn": True}, "did you mean 'json'"),
        ({"urlencoded": {"depth": 3}}, "bodyParsers.urlencoded.depth says nothing without 'extended: true'"),
        ({"json": 5}, "bodyParsers.json is true, false or a mapping"),
        ({"json": {"limit": "much"}}, "bodyParsers.json.limit is a number of bytes or a text"),
        ({"json": {"limit": -1}}, "bodyParsers.json.limit is a number of bytes or a text"),
        ({"json": {"limt": 1}}, "did you mean 'limit'"),
        ({"json": {"reviver": len}}, "it belongs to JavaScript's JSON.parse"),
        ({"json": {"verify": len}}, "use 'onBeforeCall'"),
        ({"json": {"defaultCharset": "latin1"}}, "JSON is UTF-8"),
        ({"json": {"type": 5}}, "bodyParsers.json.type is a text"),
        ({"json": {"type": "jpeg2000"}}, "bodyParsers.json.type is a content type"),
        ({"json": {"extended": True}}, "bodyParsers.json.extended is not a setting"),
        ({"urlencoded": {"depth": 65}}, "bodyParsers.urlencoded.depth is a number of brackets, at most 64"),
        ({"urlencoded": {"charsetSentinel": True}}, "charsetSentinel is not supported yet"),
        ({"text": {"defaultCharset": "klingon"}}, "bodyParsers.text.defaultCharset is one of"),
        ({"multipart": {"inflate": "no"}}, "bodyParsers.multipart.inflate is true or false"),
    ],
)
def test_what_cannot_be_carried_over_stops_the_start(given: Any, told: str) -> None:
    with pytest.raises(ServiceSchemaError) as raised:
        parsers(given)

    assert 1 == len(raised.value.data["faults"])
    assert told in raised.value.message


@pytest.mark.parametrize(
    ("wanted", "content_type", "taken"),
    [
        ("json", "application/json; charset=utf-8", True),
        ("+json", "application/vnd.api+json", True),
        ("+json", "application/json", False),
        ("*/*", "x/y", True),
        ("*/*", "", False),
        ("text/*", "text/html", True),
        ("text/*", "image/png", False),
        (["json", "application/*+json"], "application/problem+json", True),
        ("application/*+json", "text/problem+json", False),
        ("text/html", "TEXT/HTML", True),
        (lambda request: request.header("x-kind") == "json", "x/y", True),
        (lambda request: False, "application/json", False),
    ],
)
def test_a_parser_reads_the_types_it_is_told_to(wanted: Any, content_type: str, taken: bool) -> None:
    parser = parsers({"json": {"type": wanted}}).in_order[0]
    request = Request.build("POST", "/", [("Content-Type", content_type), ("X-Kind", "json")], b"{}")

    assert taken == parser.takes(request, request.mimetype)


@pytest.mark.parametrize(
    ("given", "headers", "body", "expected"),
    [
        ({"text": True}, TEXT, "grüße".encode(), "grüße"),
        ({"text": True}, {"Content-Type": "text/plain; charset=latin1"}, b"gr\xfc\xdfe", "grüße"),
        ({"text": {"defaultCharset": "latin1"}}, TEXT, b"gr\xfc\xdfe", "grüße"),
        ({"raw": True}, RAW, b"\x00\xff", r"b'\x00\xff'"),
        ({"raw": {"type": "*/*"}}, JSON, b"{}", "b'{}'"),
        ({"raw": True}, {**RAW, "Content-Encoding": "gzip"}, gzip.compress(b"x", mtime=0), "b'x'"),
        ({"json": {"strict": False}}, JSON, b"5", 5),
        ({"json": {"type": ["json", "+json"]}}, {"Content-Type": "application/a+json"}, b"[1]", [1]),
        (
            {"urlencoded": {"extended": True}},
            FORM,
            b"a[b][c][d][e][f][g]=1",
            {"a": {"b": {"c": {"d": {"e": {"f": {"g": "1"}}}}}}},
        ),
        ({"urlencoded": True}, FORM, b"a[b]=1&a[b]=2", {"a[b]": ["1", "2"]}),
        ({"urlencoded": {"extended": False}}, FORM, b"a[b]=1&c=2&c=3&d", {"a[b]": "1", "c": ["2", "3"], "d": ""}),
        ({"urlencoded": {"extended": True, "depth": 20}}, FORM, b"a" + b"[b]" * 2 + b"=1", {"a": {"b": {"b": "1"}}}),
        ({"urlencoded": {"defaultCharset": "latin1"}}, FORM, b"a=\xfc&b=%FC", {"a": "ü", "b": "ü"}),
        (True, {"Content-Type": f"{FORM['Content-Type']}; charset=latin1"}, b"a=%FC", {"a": "ü"}),
        ({"json": {"strict": False}}, JSON, b"null", None),
        (
            {"multipart": True},
            MULTIPART,
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--',
            {"a": "1"},
        ),
    ],
)
async def test_what_a_parser_gives_is_the_body(door: OpenDoor, given, headers, body, expected) -> None:
    at = await door(Echo, routes=[route(given, mergeParams=False)])

    assert expected == (await at.ask("POST", "/echo", headers=headers, body=body)).json["body"]


@pytest.mark.parametrize(
    ("given", "headers", "expected"),
    [
        ({"json": True}, JSON, {"body": {}}),
        ({"urlencoded": True}, FORM, {"body": {}}),
        ({"text": True}, TEXT, {"body": ""}),
        ({"raw": True}, RAW, {"body": "b''"}),
        ({"json": True}, {**JSON, "Content-Encoding": "gzip"}, {"body": {}}),
        ({"json": True}, TEXT, {}),
        ({"json": True}, {}, {}),
        (False, JSON, {}),
    ],
)
async def test_a_body_that_is_there_and_empty_is_told_from_none(door: OpenDoor, given, headers, expected) -> None:
    at = await door(Echo, routes=[route(given, mergeParams=False)])

    announced = await at.ask("POST", "/echo", headers={**headers, "Content-Length": "0"})
    absent = await at.ask("POST", "/echo", headers=headers)

    assert {**expected, "query": {}, "params": {}} == announced.json
    assert {"query": {}, "params": {}} == absent.json


@pytest.mark.parametrize("body", [b"text", b"5"])
async def test_what_has_no_names_is_not_merged(door: OpenDoor, body: bytes) -> None:
    at = await door(Echo, routes=[route({"text": True, "json": {"strict": False}})])

    for headers in (TEXT, JSON) if body == b"5" else (TEXT,):
        assert {"q": "1"} == (await at.ask("POST", "/echo?q=1", headers=headers, body=body)).json


@pytest.mark.parametrize(
    ("given", "headers", "body", "status", "kind"),
    [
        ({"json": {"limit": 5}}, JSON, b'{"a":1}', 413, "PAYLOAD_TOO_LARGE"),
        ({"json": {"limit": 5}, "text": {"limit": "1kb"}}, JSON, b'{"a":1}', 413, "PAYLOAD_TOO_LARGE"),
        (
            {"text": {"limit": 50}},
            {**TEXT, "Content-Encoding": "gzip"},
            gzip.compress(b"x" * 51, mtime=0),
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        (
            {"json": {"inflate": False}},
            {**JSON, "Content-Encoding": "gzip"},
            gzip.compress(b"{}", mtime=0),
            415,
            "UNSUPPORTED_ENCODING",
        ),
        ({"urlencoded": {"parameterLimit": 2}}, FORM, b"a&b&c", 400, "TOO_MANY_PARAMS"),
        ({"urlencoded": {"extended": True, "depth": 1}}, FORM, b"a[b][c]=1", 400, "TOO_MANY_PARAMS"),
        ({"urlencoded": {"extended": True}}, FORM, b"a" + b"[b]" * 11 + b"=1", 400, "TOO_MANY_PARAMS"),
        ({"text": True}, {"Content-Type": "text/plain; charset=klingon"}, b"x", 415, "UNSUPPORTED_TYPE"),
        ({"text": True}, TEXT, b"\xff", 400, "INVALID_BODY"),
        ({"text": True}, JSON, b"{}", 415, "UNSUPPORTED_TYPE"),
        ({"multipart": True}, MULTIPART, b"--B\r\n", 400, "INVALID_BODY"),
        ({"multipart": {"limit": 10}}, MULTIPART, b"--B" * 10, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_a_body_that_a_parser_does_not_take_is_refused(
    door: OpenDoor, given, headers, body, status, kind
) -> None:
    at = await door(Echo, routes=[route(given)])

    answer = await at.ask("POST", "/echo", headers=headers, body=body)

    assert (status, kind) == (answer.status, answer.type)


async def test_a_route_may_take_more_or_less_than_the_server(door: OpenDoor) -> None:
    at = await door(
        Echo,
        routes=[
            {"path": "/more", **route({"text": {"limit": "1kb"}}, mergeParams=False)},
            {"path": "/less", **route({"text": {"limit": 5}}, mergeParams=False)},
            {"path": "/usual", **route({"text": True}, mergeParams=False)},
        ],
        limits={"body_bytes_max": 10},
    )

    async def status(path: str, size: int) -> int:
        return (await at.ask("POST", f"{path}/echo", headers=TEXT, body=b"x" * size)).status

    assert [200, 413] == [await status("/more", size) for size in (1024, 1025)]
    assert [200, 413] == [await status("/less", size) for size in (5, 6)]
    assert [200, 413] == [await status("/usual", size) for size in (10, 11)]


async def test_a_small_form_with_files_may_be_params(door: OpenDoor) -> None:
    class Files(Service):
        name = "files"

        @action
        def take(self, ctx: Context) -> Any:
            file = ctx.params["photo"]
            return {**file, "data": file["data"].decode(), "title": ctx.params["title"], "id": ctx.params["id"]}

    at = await door(Files, routes=[{"aliases": {"POST /files/:id": "files.take"}, "bodyParsers": {"multipart": True}}])
    body = (
        b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nA\r\n'
        b'--B\r\nContent-Disposition: form-data; name="id"\r\n\r\n9\r\n'
        b'--B\r\nContent-Disposition: form-data; name="photo"; filename="../x.png"\r\nContent-Type: image/png\r\n\r\nPNG\r\n'
        b"--B--\r\n"
    )

    answer = await at.ask("POST", "/files/7", headers=MULTIPART, body=body)

    expected = {"filename": "x.png", "content_type": "image/png", "size": 3, "data": "PNG", "title": "A", "id": "7"}
    assert expected == answer.json


async def test_a_function_has_the_fields_and_files_of_a_form(door: OpenDoor) -> None:
    async def sizes(request: Request) -> Any:
        return {"form": request.form, "files": {name: file["size"] for name, file in request.files.items()}}

    at = await door(routes=[{"aliases": {"POST /form": sizes}, "bodyParsers": False}])
    body = (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nabc\r\n--B--\r\n'
    )

    answer = await at.ask("POST", "/form", headers=MULTIPART, body=body)
    urlencoded = await at.ask("POST", "/form", headers=FORM, body=b"a=1")

    assert {"form": {"a": "1"}, "files": {"f": 3}} == answer.json
    assert {"form": {"a": "1"}, "files": {}} == urlencoded.json


@pytest.mark.parametrize(
    ("options", "query", "expected"),
    [
        ({"comma": True}, "a=1,2&b=1%2C2", {"a": ["1", "2"], "b": "1,2"}),
        ({"comma": True}, "a[]=1,2&a[]=3", {"a": [["1", "2"], "3"]}),
        ({"comma": True}, "a[]=1,2", {"a": [["1", "2"]]}),
        ({"allowDots": True}, "a.b=1&a.c.d=2&e=3.4", {"a": {"b": "1", "c": {"d": "2"}}, "e": "3.4"}),
        ({"depth": 1}, "a[b][c]=1", {"a": {"b": {"[c]": "1"}}}),
        ({"depth": 0}, "a[b]=1&a[b]=2", {"a[b]": ["1", "2"]}),
        ({"depth": 12}, "a" + "[b]" * 6 + "=1", {"a": {"b": {"b": {"b": {"b": {"b": {"b": "1"}}}}}}}),
        ({"arrayLimit": 0}, "a[0]=1", {"a": {"0": "1"}}),
        ({}, "a=1,2&b.c=1", {"a": "1,2", "b.c": "1"}),
    ],
)
async def test_query_strings_are_read_by_the_options_of_qs(door: OpenDoor, options, query, expected) -> None:
    at = await door(Echo, routes=[{"aliases": {"/echo": "echo.params"}}], qsOptions=options)

    assert expected == (await at.get(f"/echo?{query}")).json


async def test_more_parameters_than_qs_is_told_are_refused(door: OpenDoor) -> None:
    at = await door(Echo, routes=[{"aliases": {"/echo": "echo.params"}}], qsOptions={"parameterLimit": 2})

    assert (400, "TOO_MANY_PARAMS") == ((answer := await at.get("/echo?a&b&c")).status, answer.type)
    assert 404 == (await at.get("/nowhere?a&b&c")).status


def test_options_of_qs_that_are_not_carried_over_stop_the_start() -> None:
    with pytest.raises(ServiceSchemaError, match="delimiter is not supported yet: it is '&'"):
        read_settings({"qsOptions": {"delimiter": ";"}}, {})
