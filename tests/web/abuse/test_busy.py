"""More requests than may run (L1): who is refused is told so at once, and who runs is not disturbed."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from tests.web.conftest import OpenDoor
from tests.web.door import Door
from tests.web.http.conftest import until
from tests.web.http.wire import Wire, get, post

from .conftest import Dial
from .test_slow_clients import JSON, ROUTES, Work, counts

RUNNING = 50


async def full(door: OpenDoor, dial: Dial, work: Work) -> tuple[Door, list[Wire]]:
    """A gateway on which as much runs as may run."""
    opened = await door(work, routes=ROUTES, limits={"requests_max": RUNNING})
    wires = [await dial(opened) for _ in range(RUNNING)]
    for wire in wires:
        wire.send(get("/waits"))
    await until(lambda: RUNNING == work.begun)
    return opened, wires


@pytest.mark.slow
async def test_who_is_one_too_many_is_refused_within_50_ms(door: OpenDoor, dial: Dial) -> None:
    """The half of them, that is: one alone may meet a machine that does something else."""
    work = Work()
    opened, wires = await full(door, dial, work)
    late = [await dial(opened) for _ in range(100)]
    took = []
    for wire in late:
        begun = time.perf_counter()
        wire.send(get("/quick"))
        answer = await wire.answer()
        took.append(time.perf_counter() - begun)
        assert (503, "SERVICE_UNAVAILABLE", "1", False) == (
            answer.status, answer.type, answer.headers["retry-after"], answer.closes
        )  # fmt: skip
    print(f"refused in {statistics.median(took) * 1000:.2f} ms, at most {max(took) * 1000:.2f} ms")
    assert statistics.median(took) < 0.05

    work.go_on.set()
    assert [200] * RUNNING == [(await wire.answer()).status for wire in wires]
    assert RUNNING == work.ended


@pytest.mark.slow
async def test_a_thousand_at_once_are_refused_in_good_time(door: OpenDoor, dial: Dial) -> None:
    work = Work()
    opened, wires = await full(door, dial, work)
    late = [await dial(opened) for _ in range(500)]
    begun = time.perf_counter()
    for wire in late:
        wire.send(get("/quick") + post(b"{}", JSON, path="/waits"))
    answers = [(await wire.answer(), await wire.answer()) for wire in late]

    assert {(503, 503)} == {(one.status, other.status) for one, other in answers}
    assert time.perf_counter() - begun < 5
    assert RUNNING == work.begun
    assert {"SERVICE_UNAVAILABLE": 1000} == counts(opened)["refused"]
    work.go_on.set()
    assert [200] * RUNNING == [(await wire.answer()).status for wire in wires]


@pytest.mark.slow
async def test_a_slot_that_is_free_again_is_taken_by_the_next(door: OpenDoor, dial: Dial) -> None:
    """However it became free: by its end, or by the client that left."""
    work = Work()
    opened, wires = await full(door, dial, work)
    late = await dial(opened)
    late.send(get("/quick"))
    assert 503 == (await late.answer()).status

    wires[0].reset()
    await until(lambda: RUNNING - 1 == counts(opened)["requests_running"])
    late.send(get("/quick"))
    assert 200 == (await late.answer()).status

    work.go_on.set()
    assert [200] * (RUNNING - 1) == [(await wire.answer()).status for wire in wires[1:]]
    await asyncio.gather(*(is_fine(wire) for wire in [*wires[1:], late]))


async def is_fine(wire: Wire) -> None:
    """The connection is as good as before."""
    wire.send(get("/quick"))
    assert 200 == (await wire.answer()).status


@pytest.mark.slow
async def test_one_connection_runs_one_request_at_a_time(door: OpenDoor, dial: Dial) -> None:
    """Who sends many ahead takes one slot, and leaves the others to the others."""
    work = Work()
    opened = await door(work, routes=ROUTES, limits={"requests_max": 2})
    greedy, modest = await dial(opened), await dial(opened)
    greedy.send(get("/waits") * 100)
    await until(lambda: 1 == work.begun)

    await is_fine(modest)
    assert 1 == counts(opened)["requests_running"]
    work.go_on.set()
    assert [200] * 100 == [(await greedy.answer()).status for _ in range(100)]
