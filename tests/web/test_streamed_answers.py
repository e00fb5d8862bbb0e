"""Actions that stream, behind the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from tautomer import ApiGatewayService, Context, Service, action, errors
from tautomer.web import Request
from tests.cluster import Cluster
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor
from tests.web.door import ask, chunks

ROUTES = [{"path": "/", "aliases": {"GET /feed/:kind": "feed.give"}}]


class Feed(Service):
    name = "feed"

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    @action
    async def give(self, ctx: Context) -> AsyncIterator[Any]:
        kind = ctx.params["kind"]
        if "type" in ctx.params:
            ctx.meta["$responseType"] = ctx.params["type"]
        try:
            if kind == "texts":
                ctx.meta["$responseType"] = "text/csv"
                yield "ä,b\n"
                yield "c"
            elif kind == "bytes":
                for _ in range(10):
                    yield b"x" * 100_000
            elif kind == "empty":
                return
            elif kind == "objects":
                yield {"a": 1}
                yield {"a": 2}
            elif kind == "refused":
                raise errors.MoleculerClientError("no", 418, "TEAPOT")
                yield
            elif kind == "broken":
                yield b"part"
                raise ValueError("broke")
            elif kind == "exits":
                yield b"part"
                raise SystemExit(1)
            elif kind == "endless":
                while True:
                    yield b"tick"
                    await asyncio.sleep(0.005)
        finally:
            self.closed += 1


@pytest.fixture(params=["here", "there"])
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[tuple[int, Feed, Any]]:
    """Port of a gateway, a service on its node or on another, and the gateway's node."""
    cluster = Cluster()
    service = Feed()
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})
    if request.param == "there":
        await cluster.node("b", service)
        broker = await cluster.node("a", gateway)
    else:
        broker = await cluster.node("a", gateway, service)
    yield gateway.port, service, broker
    await cluster.stop()


async def test_texts_are_sent_as_utf8_under_the_type_that_the_action_chose(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/texts")

    assert (200, "text/csv", "ä,b\nc") == (answer.status, answer.header("content-type"), chunks(answer).decode())


async def test_bytes_are_sent_as_they_are(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/bytes")

    assert (200, "application/octet-stream") == (answer.status, answer.header("content-type"))
    assert b"x" * 1_000_000 == chunks(answer)


async def test_an_empty_stream_is_an_empty_body(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/empty")

    assert (200, b"") == (answer.status, chunks(answer))


async def test_what_fails_before_its_first_item_is_an_answer_of_its_own(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/refused")

    assert (418, "TEAPOT") == (answer.status, answer.type)


@pytest.mark.parametrize(
    ("accept", "kind", "body"),
    [
        (None, "application/json; charset=utf-8", b'[{"a":1},\n{"a":2}]'),
        ("*/*", "application/json; charset=utf-8", b'[{"a":1},\n{"a":2}]'),
        ("text/html", "application/json; charset=utf-8", b'[{"a":1},\n{"a":2}]'),
        ("application/json, text/plain, */*", "application/json; charset=utf-8", b'[{"a":1},\n{"a":2}]'),
        ("application/x-ndjson", "application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("application/jsonl, */*;q=0.1", "application/jsonl", b'{"a":1}\n{"a":2}\n'),
        ("application/json;q=0.5, application/x-ndjson;q=0.8", "application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("text/event-stream", "text/event-stream", b'data: {"a":1}\n\ndata: {"a":2}\n\n'),
        ("text/event-stream;q=0, */*", "application/json; charset=utf-8", b'[{"a":1},\n{"a":2}]'),
    ],
)
async def test_the_client_chooses_the_form_of_objects(feed: tuple[int, Feed, Any], accept, kind, body) -> None:
    answer = await ask(feed[0], "GET", "/feed/objects", headers={"Accept": accept} if accept else {})

    assert (200, kind, body) == (answer.status, answer.header("content-type"), chunks(answer))
    assert "Accept" == answer.header("vary")
    await until(lambda: feed[1].closed == 1)


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("text/event-stream; charset=utf-8", b'data: {"a":1}\n\ndata: {"a":2}\n\n'),
        ("application/geo+json", b'[{"a":1},\n{"a":2}]'),
    ],
)
async def test_the_actions_type_stands_above_what_the_client_asks_for(
    feed: tuple[int, Feed, Any], declared, body
) -> None:
    """The second time is the quick way."""
    for _ in range(2):
        headers = {"Accept": "application/jsonl"}
        answer = await ask(feed[0], "GET", f"/feed/objects?type={quote(declared)}", headers=headers)

        assert (200, declared, body) == (answer.status, answer.header("content-type"), chunks(answer))
        assert answer.header("vary") is None


async def test_bytes_stay_bytes_whatever_the_client_asks_for(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/bytes", headers={"Accept": "text/event-stream"})

    assert "application/octet-stream" == answer.header("content-type")


async def test_no_items_are_no_bytes_unless_the_action_says_that_they_would_have_been_objects(feed) -> None:
    plain = await ask(feed[0], "GET", "/feed/empty", headers={"Accept": "application/json"})
    declared = await ask(feed[0], "GET", "/feed/empty?type=application/json")

    assert (b"", b"[]") == (chunks(plain), chunks(declared))


async def test_what_fails_before_its_first_item_fails_alike_on_the_quick_way(feed: tuple[int, Feed, Any]) -> None:
    answers = [await ask(feed[0], "GET", "/feed/refused") for _ in range(3)]

    assert [418] * 3 == [answer.status for answer in answers]


async def cut(port: int, target: str, accept: str = "*/*") -> bytes:
    """All that comes of an answer until its connection is cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n".encode())
    raw = b""
    with suppress(ConnectionResetError):  # Or an end without a last chunk, which is as good a sign.
        while data := await reader.read(1000):
            raw += data
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return raw


async def test_what_breaks_in_the_middle_cuts_the_connection(feed: tuple[int, Feed, Any]) -> None:
    raw = await cut(feed[0], "/feed/broken")

    assert b"part" in raw
    assert not raw.endswith(b"0\r\n\r\n")


async def test_a_stream_that_wants_to_end_the_process_cuts_its_connection_only(door: OpenDoor) -> None:
    at = await door(Feed, routes=ROUTES)

    raw = await cut(at.port, "/feed/exits")

    assert b"part" in raw
    assert 1 == raw.count(b"HTTP/1.1")
    assert 200 == (await at.get("/feed/texts")).status


async def test_a_client_that_leaves_closes_the_stream(feed: tuple[int, Feed, Any]) -> None:
    port, service, broker = feed
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /feed/endless HTTP/1.1\r\nHost: test\r\n\r\n")
    await reader.readuntil(b"tick")

    writer.close()
    await writer.wait_closed()

    await until(lambda: not broker.statistics()["transit"]["streams"]["receiving"])
    if broker.get_local_service("feed") is not None:
        await until(lambda: service.closed == 1)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_stream_under_a_status_without_body_is_closed_unread(door: OpenDoor, status) -> None:
    closed = []

    class Rows(Service):
        name = "rows"

        @action
        async def all(self, ctx: Context) -> AsyncIterator[Any]:
            ctx.meta["$statusCode"] = status
            try:
                yield b"row"
            finally:
                closed.append(True)

    at = await door(Rows, routes=[{"aliases": {"/rows": "rows.all"}}])

    answer = await at.get("/rows")

    assert (status, b"", [True]) == (answer.status, answer.body, closed)


class Plain(Service):
    """Generators that are not async."""

    name = "plain"

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.given = 0

    @action
    def rows(self, ctx: Context) -> Iterator[Any]:
        try:
            for self.given in range(int(ctx.params["count"])):
                yield {"row": self.given}
        finally:
            self.closed += 1

    @action
    def broken(self, ctx: Context) -> Iterator[Any]:
        raise errors.MoleculerClientError("no", 418, "TEAPOT")
        yield

    @action
    def tick(self, ctx: Context) -> int:
        return self.given


PLAIN = [{"path": "/", "aliases": {"GET /rows/:count": "plain.rows", "/broken": "plain.broken", "/tick": "plain.tick"}}]


async def test_a_plain_generator_is_a_stream_too(door: OpenDoor) -> None:
    service = Plain()
    at = await door(service, routes=PLAIN)

    answers = [await at.get("/rows/3") for _ in range(2)]

    assert [b'[{"row":0},\n{"row":1},\n{"row":2}]'] * 2 == [chunks(answer) for answer in answers]
    assert 2 == service.closed


async def test_a_plain_generator_that_fails_at_once_is_an_error(door: OpenDoor) -> None:
    at = await door(Plain, routes=PLAIN)

    answers = [await at.get("/broken") for _ in range(2)]

    assert [(418, "TEAPOT")] * 2 == [(answer.status, answer.type) for answer in answers]


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson"])
async def test_an_item_without_a_json_form_is_an_error_at_first_and_a_cut_later(door: OpenDoor, accept: str) -> None:
    def first(_request: Request) -> Iterator[Any]:
        yield {"odd": object()}

    def later(_request: Request) -> Iterator[Any]:
        yield {"a": 1}
        yield {"odd": object()}

    at = await door(routes=[{"aliases": {"/first": first, "/later": later}}])

    answer = await at.get("/first", Accept=accept)
    raw = await cut(at.port, "/later", accept)

    assert (500, "SERIALIZATION_ERROR") == (answer.status, answer.type)
    assert b'{"a":1}' in raw
    assert not raw.endswith(b"0\r\n\r\n")


async def test_a_plain_generator_without_end_lets_others_have_their_turn(door: OpenDoor) -> None:
    service = Plain()
    at = await door(service, routes=PLAIN)
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /rows/1000000000 HTTP/1.1\r\nHost: test\r\n\r\n")
    await reader.readuntil(b"row")

    answer = await at.get("/tick")
    writer.close()
    await writer.wait_closed()

    assert 200 == answer.status
    await until(lambda: service.closed == 1)


@pytest.mark.parametrize(
    ("result", "body"), [({1}, b"[1]"), (frozenset({"a"}), b'["a"]'), ((1, (2, None)), b"[1,[2,null]]"), ({}, b"{}")]
)
async def test_collections_are_lists(door: OpenDoor, result: Any, body: bytes) -> None:
    at = await door(routes=[{"aliases": {"/x": lambda _request: result}}])

    answer = await at.get("/x")

    assert (200, body) == (answer.status, answer.body)
