"""Slow, half-open and vanishing clients (L4, S6): each is cut off in its time, and costs nobody but itself."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Context, Service, action
from tests.web.conftest import OpenDoor
from tests.web.door import Door, ask
from tests.web.http.conftest import until
from tests.web.http.wire import Wire, get, post

from .conftest import Dial

JSON = "Content-Type: application/json"
MIB = 1024 * 1024


class Work(Service):
    name = "work"

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.ended = self.cancelled = 0
        self.go_on = asyncio.Event()

    @action
    async def quick(self, ctx: Context) -> str:
        return "quick"

    @action
    async def waits(self, ctx: Context) -> str:
        self.begun += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        return "done"

    @action
    async def big(self, ctx: Context) -> bytes:
        return b"a" * (16 * MIB)

    @action
    async def streams(self, ctx: Context) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            self.begun += 1
            try:
                while True:
                    yield b"a" * 65_536
            finally:
                self.ended += 1

        return pieces()


ROUTES = [
    {
        "aliases": {
            "/quick": "work.quick",
            "GET /waits": "work.waits",
            "POST /waits": "work.waits",
            "/big": "work.big",
            "/streams": "work.streams",
        }
    }
]
SHORT = {
    "header_time": 0.2,
    "body_grace": 0.2,
    "body_rate_bytes": 1000,
    "request_time": 2.0,
    "keep_alive_idle": 0.3,
    "write_stall": 0.3,
    "linger": 0.2,
}


def counts(door: Door) -> dict[str, Any]:
    assert door.service._server is not None
    return door.service._server.statistics()


async def at_rest(door: Door) -> None:
    """Nothing is left of anybody."""
    await until(lambda: (0, 0) == (counts(door)["connections"], counts(door)["requests_running"]))


async def is_brisk(door: Door, times: int = 5) -> None:
    """Somebody else is served meanwhile as if nobody else were there."""
    for _ in range(times):
        begun = time.monotonic()
        answer = await ask(door.port, "GET", "/quick")
        assert (200, b'"quick"') == (answer.status, answer.body)
        assert time.monotonic() - begun < 1.0


async def drip(wire: Wire, data: bytes, pause: float = 0.02) -> None:
    """Byte by byte, until the other end has had enough."""
    for at in range(len(data)):
        if wire.reader.at_eof() or wire.writer.is_closing():
            return
        wire.send(data[at : at + 1])
        await asyncio.sleep(pause)


SLOW = {
    "request line": b"GET /quick" + b"x" * 500,
    "header": get("/quick", "X: " + "x" * 500)[:-4],
    "header after header": b"GET /quick HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100,
    "body of a length": get("/quick", JSON, "Content-Length: 1000", method="POST") + b" " * 500,
    "chunks": get("/quick", JSON, "Transfer-Encoding: chunked", method="POST") + b"1\r\n \r\n" * 100,
    "chunk extension": get("/quick", JSON, "Transfer-Encoding: chunked", method="POST") + b"1;" + b"x" * 500,
    "trailers": get("/quick", JSON, "Transfer-Encoding: chunked", method="POST") + b"0\r\n" + b"X: y\r\n" * 100,
    "body never begun": get("/quick", JSON, "Content-Length: 10", method="POST"),
    "body that waits for 100": get("/quick", JSON, "Content-Length: 10", "Expect: 100-continue", method="POST"),
    "second request": get("/quick") + b"GET /quick HTTP/1.1\r\nHost: " + b"a" * 500,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
async def test_what_comes_too_slowly_is_408_and_holds_up_nobody(door: OpenDoor, dial: Dial, name: str) -> None:
    opened = await door(Work(), routes=ROUTES, limits=SHORT)
    wire = await dial(opened)
    head_end = SLOW[name].rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in SLOW[name] else 0
    wire.send(SLOW[name][:head_end])
    dripping = asyncio.ensure_future(drip(wire, SLOW[name][head_end:]))

    await is_brisk(opened)
    statuses = [(await wire.answer()).status]
    if statuses[0] in (100, 200):
        statuses.append((await wire.answer()).status)

    assert 408 == statuses[-1]
    assert b"" == await wire.rest()
    await dripping
    await at_rest(opened)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["big", "streams"])
async def test_a_client_that_reads_nothing_is_cut_off_and_holds_up_nobody(
    door: OpenDoor, dial: Dial, kind: str
) -> None:
    work = Work()
    opened = await door(work, routes=ROUTES, limits=SHORT)
    wire = await dial(opened)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # A read transport, too.
    wire.send(get(f"/{kind}"))

    await is_brisk(opened)
    await until(lambda: {"WRITE_STALL": 1} == counts(opened)["refused"])
    await at_rest(opened)
    assert work.begun == work.ended


@pytest.mark.slow
async def test_a_client_that_reads_slowly_gets_all_and_holds_up_nobody(door: OpenDoor, dial: Dial) -> None:
    # It is long, as the machine may have something else to do; the whole takes several of it all the same.
    opened = await door(Work(), routes=ROUTES, limits={**SHORT, "write_stall": 1.0})
    wire = await dial(opened)
    wire.send(get("/big"))
    head = await wire.reader.readuntil(b"\r\n\r\n")
    read, pauses = 0, 0
    while piece := await wire.reader.read(64 * 1024):
        read += len(piece)
        if read // (4 * MIB) > pauses:
            pauses += 1
            await asyncio.sleep(0.5)
            await is_brisk(opened, 1)
        if read == 16 * MIB:
            break

    assert b"200 OK" in head
    assert 16 * MIB == read


@pytest.mark.slow
async def test_a_client_that_asks_and_asks_but_does_not_read_fills_no_memory(door: OpenDoor, dial: Dial) -> None:
    """Its requests wait in its own socket; one reply at most waits here."""
    work = Work()
    opened = await door(work, routes=ROUTES, limits=SHORT)
    wire = await dial(opened)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # A read transport, too.
    wire.send(get("/big") * 10_000)

    await is_brisk(opened)
    await at_rest(opened)
    assert counts(opened)["requests_total"] < 20


@pytest.mark.slow
async def test_a_hundred_slow_clients_cost_only_themselves(door: OpenDoor, dial: Dial) -> None:
    opened = await door(Work(), routes=ROUTES, limits={**SHORT, "header_time": 1.0, "body_grace": 1.0})
    dripping = []
    for number in range(100):
        wire = await dial(opened)
        data = list(SLOW.values())[number % len(SLOW)]
        dripping.append(asyncio.ensure_future(drip(wire, data, 0.01)))

    await is_brisk(opened, 50)
    for one in dripping:
        one.cancel()


PHASES = {
    "before a byte": b"",
    "after a request": get("/quick"),
    "in a head": b"GET /quick HTTP/1.1\r\nHost: a\r\nX-",
    "in a body": get("/quick", JSON, "Content-Length: 100", method="POST") + b"[",
    "in a chunk": get("/quick", JSON, "Transfer-Encoding: chunked", method="POST") + b"ff\r\n[",
    "in a chunk's size": get("/quick", JSON, "Transfer-Encoding: chunked", method="POST") + b"f",
    "while it waits for 100": get("/quick", JSON, "Content-Length: 100", "Expect: 100-continue", method="POST"),
    "while a GET runs": get("/waits"),
    "while a POST runs": post(b"{}", JSON, path="/waits"),
    "while one runs and others wait": get("/waits") * 50,
    "while a big reply is sent": get("/big"),
    "while a stream is sent": get("/streams"),
    "after a refusal": b"nonsense\r\n\r\n",
    "after a refusal, sending": b"nonsense\r\n\r\n" + b"a" * 100_000,
    "after the last reply": get("/quick", "Connection: close") + get("/quick"),
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ["reset", "half", "close"])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_client_that_goes_in_any_phase_leaves_nothing(
    door: OpenDoor, dial: Dial, phase: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    work = Work()
    opened = await door(work, routes=ROUTES, limits={**SHORT, "header_time": 5.0, "body_grace": 5.0})
    wire = await dial(opened)
    wire.send(PHASES[phase])
    runs = "runs" in phase or "stream" in phase
    await until(lambda: 1 == counts(opened)["connections_total"] and (not runs or work.begun > 0))
    if (
        PHASES[phase]
        and "body" not in phase
        and "chunk" not in phase
        and "head" not in phase
        and "waits" not in phase
        and not runs
    ):
        await wire.reader.read(1)
    elif "waits for" in phase:
        assert 100 == (await wire.answer()).status

    if end == "reset":
        wire.reset()
    elif end == "half":
        wire.writer.write_eof()
    else:
        wire.writer.close()

    if phase == "while a POST runs":
        # It finishes, whoever is there to hear of it.
        await until(lambda: (end != "reset") == counts(opened)["connections"])
        assert (1, 0, 1) == (work.begun, work.cancelled, counts(opened)["requests_running"])
        work.go_on.set()
        if end == "half":
            assert b'"done"' == (await wire.answer()).body
    await at_rest(opened)
    if "GET" in phase:
        assert (1, 1) == (work.begun, work.cancelled)
    if "stream" in phase:
        assert (1, 1) == (work.begun, work.ended)
    gc.collect()
    assert [] == problems
    assert [] == [record.message for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@pytest.mark.slow
async def test_connections_that_idle_are_closed_and_one_that_works_is_not(door: OpenDoor, dial: Dial) -> None:
    opened = await door(Work(), routes=ROUTES, limits=SHORT)
    idle = [await dial(opened) for _ in range(20)]
    for wire in idle[:10]:
        wire.send(get("/quick"))
        await wire.answer()
    busy = await dial(opened)
    for _ in range(20):
        busy.send(get("/quick"))
        assert 200 == (await busy.answer()).status
        await asyncio.sleep(0.05)

    await until(lambda: 1 == counts(opened)["connections"])
    for wire in idle:
        assert b"" == await wire.rest()
    assert {} == counts(opened)["refused"]
