"""ETag and conditional requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.errors import ServiceSchemaError
from tautomer.web import Reply, Request
from tautomer.web.messages.entity_tag import as_tag, is_fresh, strong_tag, weak_tag
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Door


class Words(Service):
    name = "words"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @action
    def hello(self, ctx: Context) -> Any:
        self.calls += 1
        ctx.meta["$responseHeaders"] = {"Cache-Control": "max-age=5", "X-Other": "kept", "Content-Language": "en"}
        return "hello"

    @action
    def own(self, ctx: Context) -> Any:
        ctx.meta["$responseHeaders"] = {"ETag": '"own"', "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}
        return "hello"

    @action
    def made(self, ctx: Context) -> Any:
        ctx.meta.update({"$statusCode": 201, "$location": "/words/1"})
        return "hello"

    @action
    def nothing(self, ctx: Context) -> None:
        pass

    @action
    def fails(self, ctx: Context) -> None:
        raise ValueError

    @action
    async def stream(self, ctx: Context) -> AsyncIterator[bytes]:
        yield b"hello"


def routes(**more: Any) -> list[Any]:
    names = ("hello", "own", "made", "nothing", "fails", "stream")
    return [{"aliases": {f"/{name}": f"words.{name}" for name in names}, **more}]


def test_the_format_of_moleculer_web() -> None:
    """The last is what moleculer-web 0.11.0 was seen to send."""
    assert '"5-qvTGHdzF6KLavt4PO0gs2a6pQ00"' == strong_tag(b"hello")
    assert 'W/"5-qvTGHdzF6KLavt4PO0gs2a6pQ00"' == weak_tag(b"hello")
    assert 'W/"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"' == weak_tag(b"")
    assert 'W/"12-+KqeD++OYTq9PgvST0ycm/XlxpE"' == weak_tag('{"a":1,"b":["é"]}'.encode())


@pytest.mark.parametrize(
    ("etag", "tag"),
    [
        (True, weak_tag(b'"hello"')),
        ("weak", weak_tag(b'"hello"')),
        ("strong", strong_tag(b'"hello"')),
        (lambda body: f'"{len(body)}"', '"7"'),
        (lambda body: f"v{len(body)}", '"v7"'),
        (lambda _body: "two words", None),
        (lambda _body: None, None),
        (False, None),
        (None, None),
    ],
)
async def test_what_makes_the_tag(door: OpenDoor, etag: Any, tag: str | None) -> None:
    at = await door(Words, routes=routes(etag=etag))

    answer = await at.get("/hello")

    assert (200, tag, b'"hello"') == (answer.status, answer.header("ETag"), answer.body)


async def test_a_route_has_the_gateways_unless_it_says_otherwise(door: OpenDoor) -> None:
    inherited, off = routes()[0], {**routes(etag=False)[0], "path": "/off"}
    at = await door(Words, routes=[inherited, off], etag="strong")

    assert strong_tag(b'"hello"') == (await at.get("/hello")).header("ETag")
    assert (await at.get("/off/hello")).header("ETag") is None


async def test_a_function_that_fails_is_an_error_of_the_request(door: OpenDoor) -> None:
    def fails(_body: bytes) -> str:
        raise ValueError

    at = await door(Words, routes=routes(etag=fails))

    assert (500, "INTERNAL_ERROR") == ((answer := await at.get("/hello")).status, answer.type)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_it_already_is_told_so(door: OpenDoor, method: str) -> None:
    service = Words()
    at = await door(service, routes=routes(etag=True, cors=True))

    known = strong_tag(b'"hello"')
    headers = {"If-None-Match": f'"x", {known}', "Origin": "https://a.test"}
    answer = await at.ask(method, "/hello", headers=headers)

    assert (304, b"", weak_tag(b'"hello"'), 1) == (answer.status, answer.body, answer.header("ETag"), service.calls)
    assert ["max-age=5", "kept", "*"] == [
        answer.header(name) for name in ("Cache-Control", "X-Other", "Access-Control-Allow-Origin")
    ]
    assert [] == [name for name, _ in answer.headers if name.startswith("content-")]


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/hello", {"If-None-Match": "*"}, 304),
        ("GET", "/hello", {"If-None-Match": '"other"'}, 200),
        ("GET", "/hello", {"If-None-Match": "*", "Cache-Control": "no-cache"}, 200),
        ("GET", "/hello", {"If-None-Match": "*", "Cache-Control": "max-age=0, No-Cache"}, 200),
        ("GET", "/hello", {"If-None-Match": "*", "Cache-Control": "max-age=0"}, 304),
        ("POST", "/hello", {"If-None-Match": "*"}, 200),
        ("GET", "/own", {"If-None-Match": 'W/"own"'}, 304),
        ("GET", "/own", {"If-Modified-Since": "Sat, 01 Jan 2022 00:00:00 GMT"}, 304),
        ("GET", "/own", {"If-Modified-Since": "Fri, 31 Dec 2021 23:59:59 GMT"}, 200),
        ("GET", "/own", {"If-Modified-Since": "yesterday"}, 200),
        ("GET", "/own", {"If-Modified-Since": "Sat, 01 Jan 2022 00:00:00 GMT", "If-None-Match": '"x"'}, 200),
        ("GET", "/made", {"If-None-Match": "*"}, 304),
        ("GET", "/fails", {"If-None-Match": "*"}, 500),
        ("GET", "/unknown", {"If-None-Match": "*"}, 404),
    ],
)
async def test_when_an_answer_is_304(door: OpenDoor, method, target, headers, status) -> None:
    at = await door(Words, routes=routes(etag=True))

    answer = await at.ask(method, target, headers=headers)

    assert status == answer.status
    if target == "/made":
        assert "/words/1" == answer.header("Location")


async def test_an_actions_own_tag_wins_and_counts_without_the_setting_too(door: OpenDoor) -> None:
    at = await door(Words, routes=[routes()[0], {**routes(etag=True)[0], "path": "/tagged"}])

    for path in ("/own", "/own", "/tagged/own"):  # The second is the quick way.
        whole, known = await at.get(path), await at.get(path, **{"If-None-Match": '"own"'})
        assert [(200, '"own"'), (304, '"own"')] == [(one.status, one.header("ETag")) for one in (whole, known)]
        assert 1 == sum(name == "etag" for name, _ in whole.headers)


async def test_a_reply_of_ones_own_is_compared_too(door: OpenDoor) -> None:
    kept = Reply(200, [("ETag", '"v1"'), ("Content-Type", "text/plain")], b"text")
    at = await door(routes=[{"aliases": {"/x": lambda _request: kept}}])

    known, whole = await at.get("/x", **{"If-None-Match": '"v1"'}), await at.get("/x")

    assert [(304, b""), (200, b"text")] == [(answer.status, answer.body) for answer in (known, whole)]


@pytest.mark.parametrize("target", ["/nothing", "/stream", "/fails"])
async def test_what_has_no_tag(door: OpenDoor, target: str) -> None:
    at = await door(Words, routes=routes(etag=True))

    assert (await at.get(target)).header("ETag") is None


@pytest.mark.parametrize("etag", ["Weak", 1, [], {}])
def test_what_is_set_up_wrong_is_told(etag: Any) -> None:
    with pytest.raises(
        ServiceSchemaError, match=r"settings\.routes\[0\]\.etag is true, false, 'weak', 'strong' or a function"
    ):
        read_settings({"routes": [{"etag": etag}]}, {})


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ('"a"', '"a"'),
        ('W/"a"', 'W/"a"'),
        ("a", '"a"'),
        ('a"b', None),
        ("", None),
        ("a\r\nb", None),
        ("ä", None),
        (5, None),
    ],
)
def test_what_a_function_made_as_a_tag(given: object, tag: str | None) -> None:
    assert tag == as_tag(given)


@pytest.mark.parametrize(
    "date", ["", "x", "Sat, 99 Jan 2022 00:00:00 GMT", "Sat, 01 Jan 99999999999 00:00:00 GMT", "0" * 5000]
)
def test_no_date_is_too_odd(date: str) -> None:
    request = Request.build(headers=[("If-Modified-Since", date)])

    assert not is_fresh(request, None, "Sat, 01 Jan 2022 00:00:00 GMT")


async def test_head_has_the_tag_of_get(door: OpenDoor) -> None:
    at: Door = await door(Words, routes=routes(etag=True))

    assert (await at.get("/hello")).header("ETag") == (await at.ask("HEAD", "/hello")).header("ETag")
