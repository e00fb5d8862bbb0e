"""Request smuggling: one reading of every request, and nothing behind a refused one is read as a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tautomer import Context, Service, action
from tests.web.conftest import OpenDoor
from tests.web.door import Door
from tests.web.http.wire import Wire, get

from .conftest import Dial
from .smuggling import CHUNKED, GROUPS, INNER, JSON, POST, Case

Send = Callable[[Wire, bytes], Awaitable[None]]


class Echo(Service):
    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.canaries = 0

    @action
    async def params(self, ctx: Context) -> object:
        return ctx.params

    @action
    async def canary(self, ctx: Context) -> str:
        self.canaries += 1
        return "canary"


ROUTES = [{"aliases": {"GET /e": "echo.params", "POST /e": "echo.params", "GET /canary": "echo.canary"}}]
CANARY = b'"canary"'


async def at_once(wire: Wire, raw: bytes) -> None:
    wire.send(raw)


async def byte_by_byte(wire: Wire, raw: bytes) -> None:
    for at in range(len(raw)):
        wire.send(raw[at : at + 1])
        await asyncio.sleep(0)


async def fault(door: Door, dial: Dial, case: Case, send: Send) -> str | None:
    """What came of a request and the canary behind it, if that is not as it should be."""
    wire = await dial(door)
    await send(wire, case.raw + INNER)
    answer = await wire.answer()
    found = (answer.status, None if answer.status == 200 else answer.type, answer.closes)
    if found != (case.status, case.type, case.closes):
        return f"{found}"
    if not case.closes:
        behind = await wire.answer()
        return None if behind.body == CANARY else f"then {behind}"
    wire.send(INNER)
    behind = await wire.rest()
    await wire.close()
    return f"then {behind!r}" if behind else None


def test_there_are_enough_of_them() -> None:
    assert 300 <= sum(map(len, GROUPS.values()))


@pytest.mark.slow
@pytest.mark.parametrize("send", [at_once, byte_by_byte])
@pytest.mark.parametrize("group", GROUPS)
async def test_every_request_has_its_one_answer(door: OpenDoor, dial: Dial, group: str, send: Send) -> None:
    """A canary goes behind each: it is answered where the request before it was sound, and nowhere else."""
    cases, service = GROUPS[group], Echo()
    opened = await door(service, routes=ROUTES)

    found = {name: await fault(opened, dial, case, send) for name, case in cases.items()}

    assert {} == {name: wrong for name, wrong in found.items() if wrong}
    assert sum(not case.closes for case in cases.values()) == service.canaries


async def test_pipelined_requests_are_answered_in_order_up_to_the_bad_one(door: OpenDoor, dial: Dial) -> None:
    service = Echo()
    wire = await dial(await door(service, routes=ROUTES))
    wire.send(
        get("/e?n=1") + get("/canary") + get("/e?n=2") + b"GET /e HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n" + INNER * 100
    )

    assert b'{"n":"1"}' == (await wire.answer()).body
    assert CANARY == (await wire.answer()).body
    assert b'{"n":"2"}' == (await wire.answer()).body
    assert 400 == (await wire.answer()).status
    assert b"" == await wire.rest()
    assert 1 == service.canaries


@pytest.mark.parametrize("last", ["Connection: close", "connection: x, CLOSE"])
async def test_what_is_sent_after_the_last_request_is_neither_read_nor_costs_it_its_answer(
    door: OpenDoor, dial: Dial, last: str
) -> None:
    """A socket that is closed with bytes unread is reset, and the reset would overtake the answer."""
    service = Echo()
    wire = await dial(await door(service, routes=ROUTES))
    wire.writer.transport.set_write_buffer_limits(0)  # So that `drain` waits for each of these.
    wire.send(get("/e?n=1", last) + INNER)
    for _ in range(20):
        wire.send(INNER * 1000)
        await wire.writer.drain()
        await asyncio.sleep(0.005)

    answer = await wire.answer()

    assert (b'{"n":"1"}', True) == (answer.body, answer.closes)
    assert b"" == await wire.rest()
    assert 0 == service.canaries


async def test_a_body_cut_short_is_no_request(door: OpenDoor, dial: Dial) -> None:
    """Neither at its length nor at its chunks: the action does not run with half of it."""
    service = Echo()
    opened = await door(service, routes=ROUTES)
    for raw in (POST + JSON + b"Content-Length: 99\r\n\r\n" + INNER, CHUNKED + b"%x\r\n" % 99 + INNER):
        wire = await dial(opened)
        wire.send(raw)
        wire.writer.write_eof()

        assert b"" == await wire.rest()

    assert 0 == service.canaries


async def test_what_one_connection_sends_is_never_answered_on_another(door: OpenDoor, dial: Dial) -> None:
    service = Echo()
    opened = await door(service, routes=ROUTES)
    first, second = await dial(opened), await dial(opened)
    first.send(POST + JSON + b"Content-Length: 99\r\n\r\n" + INNER)
    second.send(get("/e?mine=1"))

    assert b'{"mine":"1"}' == (await second.answer()).body
    first.send(b" " * (99 - len(INNER)))
    assert "INVALID_BODY" == (await first.answer()).type
    assert 0 == service.canaries
