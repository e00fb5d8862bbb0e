"""Server-sent events: how they are written, and the streams of them that stay open."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import ApiGatewayService, Broker, Context, Service, Settings, action, errors
from tautomer.web import Request
from tautomer.web.answers import events
from tautomer.web.answers.events import event_bytes
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor
from tests.web.door import Door, chunks


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"a": 1}, 'data: {"a":1}\n\n'),
        ([1, "x"], 'data: [1,"x"]\n\n'),
        (5, "data: 5\n\n"),
        (None, "data: null\n\n"),
        ("text", "data: text\n\n"),
        ("", "data: \n\n"),
        ("two\nlines", "data: two\ndata: lines\n\n"),
        ("a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"),
        ({"data": "two\nlines"}, "data: two\ndata: lines\n\n"),
        ({"event": "sold", "id": 7, "data": {"x": "a\nb"}}, 'event: sold\nid: 7\ndata: {"x":"a\\nb"}\n\n'),
        ({"retry": 3000}, "retry: 3000\n\n"),
        ({"retry": "x", "id": None, "event": None}, "\n"),
        ({"retry": -1}, "\n"),
        ({"event": "a\ndata: b", "id": "x\r\ny\x00"}, "event: a data: b\nid: x  y \n\n"),
        ({"id": 5, "name": "a record"}, 'data: {"id":5,"name":"a record"}\n\n'),
        ({}, "data: {}\n\n"),
        ("é", "data: é\n\n"),
        (b"data: own\n\n", "data: own\n\n"),
    ],
)
def test_an_item_as_an_event(item: Any, text: str) -> None:
    assert text.encode() == event_bytes(item)


def as_a_browser_reads(raw: bytes) -> list[dict[str, str]]:
    """The events of a stream, as the HTML standard (9.2.6) has them read."""
    found, data, event = [], [], {}
    for line in re.split("\r\n|\r|\n", raw.decode()):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                found.append({**event, "data": "\n".join(data)})
            data, event = [], {}
        elif name == "data":
            data.append(value)
        elif name in ("event", "id"):
            event[name] = value
    return found


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, texts)
def test_no_text_breaks_out_of_its_line(event: str, id: str, data: str) -> None:
    read = as_a_browser_reads(event_bytes({"event": event, "id": id, "data": data}))

    assert [re.sub("\r\n|\r", "\n", data)] == [one["data"] for one in read]
    assert {"event", "id", "data"} == set(read[0])


class Ticker(Service):
    name = "ticker"

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.given = 0
        self.go = asyncio.Event()

    @action
    async def now(self, ctx: Context) -> AsyncIterator[Any]:
        """Says hello, then what comes, without end."""
        try:
            yield {"event": "hello", "data": ctx.params.get("since")}
            while True:
                await self.go.wait()
                self.go.clear()
                self.given += 1
                yield {"id": self.given, "data": self.given}
        finally:
            self.closed += 1

    @action
    def later(self, ctx: Context) -> AsyncIterator[Any]:
        """The stream itself: nothing is waited for before the call returns."""
        return self.waiting()

    async def waiting(self) -> AsyncIterator[Any]:
        try:
            await self.go.wait()
            yield "at last"
        finally:
            self.closed += 1

    @action
    async def flood(self, ctx: Context) -> AsyncIterator[Any]:
        try:
            while True:
                self.given += 1
                yield "x" * 10_000
        finally:
            self.closed += 1

    @action
    async def breaks(self, ctx: Context) -> AsyncIterator[Any]:
        yield 1
        raise {"error": ValueError("broke"), "exit": SystemExit(1), "cancel": asyncio.CancelledError()}[
            ctx.params["how"]
        ]

    @action
    def refused(self, ctx: Context) -> AsyncIterator[Any]:
        return self.refusing()

    async def refusing(self) -> AsyncIterator[Any]:
        raise errors.MoleculerClientError("no", 403, "NO_EVENTS")
        yield

    @action
    async def stubborn(self, ctx: Context) -> AsyncIterator[Any]:
        yield 1
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            yield 2
            await asyncio.Event().wait()
        finally:
            self.closed += 1


NAMES = ("now", "later", "flood", "breaks", "refused", "stubborn")
ROUTES = [{"path": "/", "aliases": {f"GET /{name}": f"ticker.{name}" for name in NAMES}}]


class Reader:
    """A client that reads events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, port: int, target: str, **headers: str) -> Reader:
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        lines = {"Host": "test", "Accept": "text/event-stream", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        made.writer.write(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
        return made

    async def until(self, text: bytes) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        found = b""
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                while data := await self.reader.read(100_000):
                    found += data
        return found

    async def leave(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


async def test_events_come_as_they_happen(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=ROUTES)
    reader = await Reader.of(at.port, "/now")

    head = await reader.until(b"\r\n\r\n")
    await reader.until(b"event: hello\ndata: null\n\n")
    for number in (1, 2):
        service.go.set()
        await reader.until(f"id: {number}\ndata: {number}\n\n".encode())
    await reader.leave()

    assert b"200 OK" in head
    lines = head.decode().split("\r\n")
    expected = ("Content-Type: text/event-stream", "Cache-Control: no-cache", "X-Accel-Buffering: no", "Vary: Accept")
    assert [] == [line for line in expected if line not in lines]
    await until(lambda: service.closed == 1)


async def test_a_client_waits_for_the_first_event_with_the_head_in_its_hands(door: OpenDoor, monkeypatch) -> None:
    monkeypatch.setattr(events, "FIRST_WAIT", 0.01)
    service = Ticker()
    at = await door(service, routes=ROUTES)
    reader = await Reader.of(at.port, "/later")

    await reader.until(b"text/event-stream")
    service.go.set()

    await reader.until(b"data: at last\n\n")
    await reader.leave()


async def test_what_fails_before_the_first_event_is_an_answer_of_its_own(door: OpenDoor) -> None:
    at = await door(Ticker, routes=ROUTES)

    answers = [await at.get("/refused", Accept="text/event-stream") for _ in range(2)]

    assert [(403, "NO_EVENTS")] * 2 == [(answer.status, answer.type) for answer in answers]


@pytest.mark.parametrize("how", ["error", "exit", "cancel"])
async def test_what_breaks_in_the_middle_cuts_the_connection(door: OpenDoor, how: str) -> None:
    at = await door(Ticker, routes=ROUTES)
    reader = await Reader.of(at.port, f"/breaks?how={how}")
    await reader.until(b"data: 1\n\n")

    rest = await reader.rest()

    assert b"0\r\n\r\n" not in rest
    assert b"HTTP/1.1" not in rest


async def test_silence_is_filled_with_comments(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=ROUTES, eventKeepAlive=10)
    reader = await Reader.of(at.port, "/now")
    await reader.until(b"hello")

    for _ in range(3):
        await reader.until(b": keep-alive\n\n")
    service.go.set()

    await reader.until(b"data: 1\n\n")
    await reader.leave()


async def test_a_client_that_leaves_closes_the_stream_though_nothing_happens(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=ROUTES)
    reader = await Reader.of(at.port, "/now")
    await reader.until(b"hello")

    await reader.leave()

    await until(lambda: service.closed == 1)
    await until(lambda: not at.service.gateway.events.open and not len(at.service.gateway.events.scope))


async def test_a_generator_that_will_not_be_cancelled_is_closed_at_its_next_item(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=ROUTES)
    reader = await Reader.of(at.port, "/stubborn")
    await reader.until(b"data: 1\n\n")

    await reader.leave()

    await until(lambda: service.closed == 1)


async def test_a_client_that_does_not_read_holds_up_only_its_own_stream(door: OpenDoor) -> None:
    slow, quick = Ticker(), Ticker()
    quick.name = "quick"
    at = await door(slow, quick, routes=[{"aliases": {"/flood": "ticker.flood", "/now": "quick.now"}}])
    stuck = await Reader.of(at.port, "/flood")
    stuck.writer.transport.pause_reading()
    lively = await Reader.of(at.port, "/now")
    await lively.until(b"hello")

    async def stands_still() -> bool:
        before = slow.given
        await asyncio.sleep(0.1)
        return before > 0 and before == slow.given

    while not await stands_still():
        pass
    for number in (1, 2, 3):
        quick.go.set()
        await lively.until(f"data: {number}\n\n".encode())
    await lively.leave()
    await stuck.leave()

    assert slow.given < 10_000
    await until(lambda: slow.closed == 1)


async def test_a_stop_ends_the_streams_well_and_at_once(caplog) -> None:
    service = Ticker()
    broker = Broker("node", Settings(shutdown_timeout=10))
    await broker.register(service)
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})
    await broker.register(gateway)
    await broker.start()
    readers = [await Reader.of(gateway.port, "/now") for _ in range(3)]
    for reader in readers:
        await reader.until(b"hello")
        await reader.until(b"\n\n")

    async with asyncio.timeout(3):
        await broker.stop()

    assert [b"\r\n0\r\n\r\n"] * 3 == [await reader.rest() for reader in readers]
    assert 3 == service.closed
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]
    for reader in readers:
        await reader.leave()


async def test_a_client_that_does_not_read_does_not_hold_up_a_stop() -> None:
    service = Ticker()
    broker = Broker("node", Settings(shutdown_timeout=30))
    await broker.register(service)
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": ROUTES})
    await broker.register(gateway)
    await broker.start()
    stuck = await Reader.of(gateway.port, "/flood")
    await stuck.until(b"data: xx")
    stuck.writer.transport.pause_reading()
    before = -1
    while before < service.given:
        before = service.given
        await asyncio.sleep(0.1)

    async with asyncio.timeout(5):
        await broker.stop()

    assert 1 == service.closed
    await stuck.leave()


async def test_a_stream_outlives_the_time_of_a_request(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=[{**ROUTES[0], "callOptions": {"timeout": 0.1}}])
    reader = await Reader.of(at.port, "/now")
    await reader.until(b"hello")

    await asyncio.sleep(0.3)
    service.go.set()

    await reader.until(b"data: 1\n\n")
    await reader.leave()


async def test_where_a_client_left_off_comes_from_its_request(door: OpenDoor) -> None:
    def resume(ctx: Context, _route: Any, request: Request) -> None:
        ctx.params["since"] = request.header("last-event-id")

    at = await door(Ticker, routes=[{**ROUTES[0], "onBeforeCall": resume}])
    reader = await Reader.of(at.port, "/now", **{"Last-Event-ID": "41"})

    await reader.until(b"event: hello\ndata: 41\n\n")
    await reader.leave()


async def test_the_action_may_say_that_it_gives_events(door: OpenDoor) -> None:
    class Two(Service):
        name = "two"

        @action(responseType="text/event-stream", responseHeaders={"Cache-Control": "no-store"})
        async def events(self, ctx: Context) -> AsyncIterator[Any]:
            yield 1
            yield 2

    at: Door = await door(Two, routes=[{"aliases": {"/x": "two.events"}}])

    for _ in range(2):
        answer = await at.get("/x")
        assert b"data: 1\n\ndata: 2\n\n" == chunks(answer)
        assert ("text/event-stream", "no-store", None) == tuple(
            answer.header(name) for name in ("Content-Type", "Cache-Control", "Vary")
        )


async def test_the_head_of_a_stream_is_an_answer_too(door: OpenDoor) -> None:
    service = Ticker()
    at = await door(service, routes=[{"aliases": {"/x": "ticker.now"}}])

    answer = await at.ask("HEAD", "/x", headers={"Accept": "text/event-stream"})

    assert (200, "text/event-stream", b"") == (answer.status, answer.header("Content-Type"), answer.body)
    await until(lambda: service.closed == 1)
