"""Replies that are sent as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tautomer.web.messages.message import Reply, Request

from .conftest import Dial, Serve, until
from .wire import get, post


async def letters() -> AsyncIterator[bytes]:
    for letter in (b"a", b"", b"bb", b"c" * 1000):
        yield letter


def streaming(make: Callable[[], AsyncIterator[Any]], status: int = 200) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Reply:
        return Reply(status, [("Content-Type", "text/plain")], make())

    return handle


async def test_a_stream_is_sent_in_chunks(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(streaming(letters)))
    wire.send(get() + get())

    for _ in range(2):
        answer = await wire.answer()
        assert "chunked" == answer.headers["transfer-encoding"]
        assert "content-length" not in answer.headers
        assert b"abb" + b"c" * 1000 == answer.body


async def test_in_http_1_0_the_end_of_the_connection_ends_it(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(streaming(letters)))
    wire.send(get("/", "Connection: keep-alive", version="1.0"))

    answer = await wire.answer()

    assert answer.closes
    assert "transfer-encoding" not in answer.headers
    assert b"abb" + b"c" * 1000 == answer.body


async def test_the_head_does_not_wait_for_the_first_piece(serve: Serve, dial: Dial) -> None:
    go_on = asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        await go_on.wait()
        yield b"late"

    wire = await dial(await serve(streaming(late)))
    wire.send(get())
    head = await wire.reader.readuntil(b"\r\n\r\n")
    go_on.set()

    assert b"HTTP/1.1 200 OK" in head
    assert b"4\r\nlate\r\n0\r\n\r\n" == await wire.reader.readuntil(b"0\r\n\r\n")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_stream_that_nobody_wants_is_closed_unread(serve: Serve, dial: Dial, method: str, status: int) -> None:
    class Counting:
        read = closed = 0

        def __aiter__(self) -> Counting:
            return self

        async def __anext__(self) -> bytes:
            self.read += 1
            return b"never"

        async def aclose(self) -> None:
            self.closed += 1

    stream = Counting()
    wire = await dial(await serve(streaming(lambda: stream, status)))
    wire.send(get(method=method) + get("/2", method=method))

    for _ in range(2):
        assert status == (await wire.answer("HEAD")).status
    assert (0, 2) == (stream.read, stream.closed)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("last", [RuntimeError("broken"), "text"], ids=["raises", "no bytes"])
async def test_a_stream_that_fails_cuts_the_connection(
    serve: Serve, dial: Dial, version: str, last: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A part must not look like the whole: in HTTP/1.0 only a reset says that something is missing."""

    async def failing() -> AsyncIterator[Any]:
        yield b"half"
        if isinstance(last, Exception):
            raise last
        yield last

    server = await serve(streaming(failing))
    wire = await dial(server)
    wire.send(get(version=version))

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await wire.answer()
    assert ["reply stream failed"] == [record.message for record in caplog.records if record.name == "tautomer.web"]
    await until(lambda: {0} == {server.statistics()["connections"], server.statistics()["requests_running"]})


@pytest.mark.slow
async def test_a_stream_goes_no_faster_than_its_client_reads(serve: Serve, dial: Dial) -> None:
    """10 MB to a reader that rests: what waits for it is bounded, and in the end all of it arrives."""
    given = 0

    async def much() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 10_000
            yield b"x" * 10_000

    server = await serve(streaming(much), write_buffer_bytes=64 * 1024)
    wire = await dial(server)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # A read transport, too.
    wire.send(get() + get("/next"))
    await until(lambda: given > 0)
    before = -1
    while before != given:
        before = given
        await asyncio.sleep(0.05)
    (connection,) = server._state.connections
    waiting = connection._transport.get_write_buffer_size()  # type: ignore[attr-defined]

    assert waiting < 64 * 1024 + 20_000
    assert given < 9_000_000  # The rest of it lies in the buffers of the system.
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert b"x" * 10_000_000 == (await wire.answer()).body
    assert 10_000_000 == len((await wire.answer()).body)


@pytest.mark.parametrize("request_bytes", [get(), post(b"hello")], ids=["GET", "POST"])
@pytest.mark.parametrize("reading", [True, False], ids=["reads", "does not read"])
async def test_a_client_that_leaves_ends_the_stream(
    serve: Serve, dial: Dial, request_bytes: bytes, reading: bool
) -> None:
    """Also that of a POST: nobody is left to read it."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * (100 if reading else 100_000)
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    server = await serve(streaming(endless))
    wire = await dial(server)
    if not reading:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    wire.send(request_bytes)
    await until(lambda: 1 == server.statistics()["requests_running"])
    if reading:
        await wire.reader.readexactly(1000)
    else:
        (connection,) = server._state.connections
        await until(lambda: bool(connection._writing_paused))  # type: ignore[attr-defined]
    wire.reset()

    async with asyncio.timeout(5):
        await closed.wait()
    await until(lambda: {0} == {server.statistics()["connections"], server.statistics()["requests_running"]})


async def test_a_stream_that_fails_while_it_is_closed_is_logged(
    serve: Serve, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn:
        def __aiter__(self) -> Stubborn:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            raise RuntimeError("will not")

    wire = await dial(await serve(streaming(Stubborn)))
    wire.send(get() + get())

    assert [b"", b""] == [(await wire.answer()).body for _ in range(2)]
    assert 2 == len([record for record in caplog.records if "while it was closed" in record.message])


async def test_an_iterator_need_not_be_closable(serve: Serve, dial: Dial) -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = [b"a", b"b"]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    wire = await dial(await serve(streaming(Plain)))
    wire.send(get())

    assert b"ab" == (await wire.answer()).body
