"""Times: headers, bodies, idle connections, clients that do not read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Reply, Request

from .conftest import Dial, Serve, until
from .wire import get


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: test\r\nX: "])
async def test_headers_that_do_not_come_in_time_are_408(serve: Serve, dial: Dial, start: bytes) -> None:
    server = await serve(header_time=0.1)
    wire = await dial(server)
    wire.send(start)

    answer = await wire.answer()

    assert (408, "REQUEST_TIMEOUT", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()
    assert {"REQUEST_TIMEOUT": 1} == server.statistics()["refused"]


@pytest.mark.slow
async def test_headers_that_come_drop_by_drop_are_408_all_the_same(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(header_time=0.3))
    start = time.monotonic()
    asked = get("/" + "a" * 500)
    answering = asyncio.ensure_future(wire.answer())
    for byte in asked:
        wire.send(bytes([byte]))
        await asyncio.sleep(0.01)
        if answering.done():
            break

    assert 408 == (await answering).status
    assert 0.25 < time.monotonic() - start < 3


async def test_the_second_request_of_a_connection_has_its_own_time(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(header_time=0.1))
    wire.send(get() + b"GET / HT")

    assert 200 == (await wire.answer()).status
    assert 408 == (await wire.answer()).status


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
async def test_a_body_slower_than_the_rate_is_408_after_the_grace(serve: Serve, dial: Dial, framing: str) -> None:
    wire = await dial(await serve(body_grace=0.05, body_rate_bytes=1000))
    wire.send(get("/", framing, method="POST") + b"1\r\na\r\n")

    answer = await wire.answer()

    assert (408, "REQUEST_TIMEOUT", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.slow
async def test_a_body_at_the_rate_is_let_in(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(body_grace=0.2, body_rate_bytes=100))
    wire.send(get("/", "Content-Length: 300", method="POST"))
    for _ in range(10):
        wire.send(b"a" * 30)
        await asyncio.sleep(0.05)

    assert 200 == (await wire.answer()).status


@pytest.mark.slow
async def test_a_whole_request_has_its_time(serve: Serve, dial: Dial) -> None:
    """However quickly its parts come."""
    wire = await dial(await serve(request_time=0.2, body_rate_bytes=1))
    wire.send(get("/", "Content-Length: 100000", method="POST"))
    answering = asyncio.ensure_future(wire.answer())
    while not answering.done():
        wire.send(b"a" * 100)
        await asyncio.sleep(0.01)

    assert 408 == (await answering).status


@pytest.mark.parametrize("first", [b"", get(), b"\r\n"], ids=["new", "used", "blank line"])
async def test_an_idle_connection_is_closed_without_a_word(serve: Serve, dial: Dial, first: bytes) -> None:
    server = await serve(keep_alive_idle=0.1)
    wire = await dial(server)
    wire.send(first)
    if b"GET" in first:
        await wire.answer()
    start = time.monotonic()

    assert b"" == await wire.rest()
    assert 0.05 < time.monotonic() - start
    await until(lambda: 0 == server.statistics()["connections"])
    assert {} == server.statistics()["refused"]


@pytest.mark.slow
async def test_a_running_request_is_not_idle(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        await asyncio.sleep(0.3)
        return Reply(200)

    wire = await dial(await serve(handle, keep_alive_idle=0.05, header_time=0.05, request_time=0.05))
    wire.send(get())

    assert 200 == (await wire.answer()).status


@pytest.mark.slow
@pytest.mark.parametrize("last", [[], ["Connection: close"]], ids=["kept", "closing"])
async def test_a_client_that_reads_nothing_is_cut_off(serve: Serve, dial: Dial, last: list[str]) -> None:
    """Also where all that is left to do is to hand over the last reply."""

    async def handle(request: Request) -> Reply:
        return Reply(200, [], b"a" * 20_000_000)

    server = await serve(handle, write_stall=0.2)
    wire = await dial(server)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # A read transport, too.
    wire.send(get("/", *last))

    await until(lambda: 1 == server.statistics()["connections_total"] and 0 == server.statistics()["connections"])
    assert {"WRITE_STALL": 1} == server.statistics()["refused"]


@pytest.mark.slow
async def test_a_client_that_reads_slowly_is_served(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(200, [], b"a" * 20_000_000)

    wire = await dial(await serve(handle, write_stall=0.3))
    wire.send(get())
    read = 0
    while read < 20_000_000:
        # A pause shorter than the stall's time, but several in it.
        read += len(await wire.reader.read(1_000_000))
        await asyncio.sleep(0.01)

    assert 20_000_000 < read


async def test_a_refused_client_that_stays_is_closed_after_a_while(serve: Serve, dial: Dial) -> None:
    server = await serve(linger=0.1)
    wire = await dial(server)
    wire.send(b"nonsense\r\n\r\n")
    await wire.rest()
    for _ in range(5):
        wire.send(b"more")
        await asyncio.sleep(0.01)

    await until(lambda: 0 == server.statistics()["connections"])


@pytest.mark.parametrize("given", [{"linger": 0.0}, {}], ids=["at once", "bytes"])
async def test_a_refused_client_that_floods_is_cut_off(serve: Serve, dial: Dial, given: dict[str, Any]) -> None:
    server = await serve(**given)
    wire = await dial(server)
    wire.send(b"nonsense\r\n\r\n" + b"a" * 8_000_000)

    await until(lambda: 1 == server.statistics()["connections_total"] and 0 == server.statistics()["connections"])


async def test_the_clock_is_the_one_given(serve: Serve, dial: Dial) -> None:
    """Nothing falls due while it stands still; an hour may pass in a moment."""
    now = [1000.0]
    server = await serve(clock=lambda: now[0], keep_alive_idle=3600.0, linger=0.1)
    wire = await dial(server)
    wire.send(get())
    await wire.answer()
    await asyncio.sleep(0.1)
    assert 1 == server.statistics()["connections"]

    now[0] += 3601

    assert b"" == await wire.rest()


def test_0_turns_a_limit_off_and_less_is_an_error() -> None:
    assert 0 == HttpLimits(header_time=0).header_time
    with pytest.raises(ValueError, match=r"limits\.header_time is -1"):
        HttpLimits(header_time=-1)
    with pytest.raises(ValueError, match=r"limits\.read_ahead_bytes"):
        HttpLimits(read_ahead_bytes=0)


async def test_without_limits_everything_is_let_in(serve: Serve, dial: Dial) -> None:
    buffers = {"write_buffer_bytes", "read_ahead_bytes"}
    off = {name: 0 for name in HttpLimits.__dataclass_fields__ if name not in buffers}
    wire = await dial(await serve(**off))
    headers = [f"X-{number}: {'a' * 200}" for number in range(300)]
    wire.send(get("/" + "a" * 10_000, *headers) + get("/", "Content-Length: 2000000", *headers, method="POST"))
    wire.send(b"b" * 2_000_000)

    assert 200 == (await wire.answer()).status
    assert b"POST /? " + b"b" * 2_000_000 == (await wire.answer()).body


def test_the_clocks_are_looked_at_often_enough_for_the_shortest_time() -> None:
    assert 1.0 == HttpLimits().sweep_interval
    assert 0.05 == HttpLimits(header_time=0.2).sweep_interval
    assert 0.02 == HttpLimits(header_time=0.001).sweep_interval
