"""Actions that stream, behind the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from tautomer import ApiGatewayService, Context, Service, action, errors
from tests.cluster import Cluster
from tests.kernel.mesh import until
from tests.web.door import Answer, ask

ROUTES = [{"path": "/", "aliases": {"GET /feed/:kind": "feed.give"}}]


class Feed(Service):
    name = "feed"

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    @action
    async def give(self, ctx: Context) -> AsyncIterator[Any]:
        kind = ctx.params["kind"]
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
            elif kind == "refused":
                raise errors.MoleculerClientError("no", 418, "TEAPOT")
                yield
            elif kind == "broken":
                yield b"part"
                raise ValueError("broke")
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


def chunks(answer: Answer) -> bytes:
    """The body of a chunked answer that came to its end."""
    assert "chunked" == answer.header("transfer-encoding")
    body, rest = b"", answer.body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert b"\r\n" == rest
            return body
        body, rest = body + rest[:length], rest[length + 2 :]


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


async def test_objects_are_refused(feed: tuple[int, Feed, Any]) -> None:
    answer = await ask(feed[0], "GET", "/feed/objects")

    assert (501, "STREAM_OF_OBJECTS") == (answer.status, answer.type)
    await until(lambda: feed[1].closed == 1)


async def test_what_breaks_in_the_middle_cuts_the_connection(feed: tuple[int, Feed, Any]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", feed[0])
    writer.write(b"GET /feed/broken HTTP/1.1\r\nHost: test\r\n\r\n")
    raw = b""
    with suppress(ConnectionResetError):  # Or an end without a last chunk, which is as good a sign.
        while data := await reader.read(1000):
            raw += data

    assert b"part" in raw
    assert not raw.endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_client_that_leaves_closes_the_stream(feed: tuple[int, Feed, Any]) -> None:
    port, service, broker = feed
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /feed/endless HTTP/1.1\r\nHost: test\r\n\r\n")
    await reader.readuntil(b"tick")

    writer.close()

    await until(lambda: not broker.statistics()["transit"]["streams"]["receiving"])
    if broker.get_local_service("feed") is not None:
        await until(lambda: service.closed == 1)
