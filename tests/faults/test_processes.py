"""Processes that are killed, or stand still for a while."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from tautomer.errors import MoleculerError
from tests.programs import Program

from .crew import ROOT, Crew, Worker, offering
from .load import GRACE, Load, percentile, tell

pytestmark = pytest.mark.slow

STANDSTILL = 8.0


async def test_no_later_call_fails_when_one_of_two_workers_is_killed(crew: Crew) -> None:
    """Node: 575 of 1,501 later calls failed, 51 in flight waited 57.5 s."""
    victim, _ = await asyncio.gather(crew.worker("w1"), crew.worker("w2"))
    caller = await crew.caller(sees=["w1", "w2"])
    in_flight: list[float] = []

    async def rest(number: int) -> None:
        try:
            await caller.call("work.rest", {"n": 10**6 + number, "seconds": 60.0}, timeout=60.0, node_id="w1")
        except MoleculerError:
            in_flight.append(time.monotonic())

    resting = [asyncio.create_task(rest(number)) for number in range(50)]
    async with Load(lambda n: caller.call("work.echo", {"n": n}, timeout=5.0), rate=200, timeout=5.0) as load:
        await asyncio.sleep(1.0)
        victim.kill()
        killed = time.monotonic()
        await asyncio.sleep(3.0)
    await asyncio.wait(resting, timeout=1.0)

    later = load.due(killed)
    failed = [outcome for outcome in later if not outcome.ok]
    before = [outcome for outcome in load.due(0, killed) if not outcome.ok]
    twice = crew.ledger.twice()
    last = max(in_flight, default=float("inf")) - killed
    tell(
        "kill -9 of one of two workers",
        later_calls=len(later),
        of_them_failed=len(failed),
        slowest_later_call=max(outcome.latency for outcome in later),
        in_flight=len(resting),
        ended_after=last,
        calls_at_the_cut_failed=len(before),
        ran_twice=len(twice),
    )
    for task in resting:
        task.cancel()
    assert [] == failed
    assert (50, True) == (len(in_flight), last <= 3.0)
    assert [] == twice
    assert len(before) <= 2
    assert ["w2"] == offering(caller)


async def test_calls_in_flight_to_a_killed_worker_end_though_nobody_calls_it_again(crew: Crew) -> None:
    """Nothing is sent to it any more, so nobody is told that nobody listens there: it has to be asked."""
    victim = await crew.worker("w1")
    caller = await crew.caller(sees=["w1"])
    call = asyncio.create_task(caller.call("work.rest", {"seconds": 60.0}, timeout=60.0))
    await caller.call("work.echo", {}, timeout=5.0)

    victim.kill()
    killed = time.monotonic()
    await asyncio.wait([call], timeout=12.0)
    took = time.monotonic() - killed

    tell("kill -9 of a worker that nobody calls again", in_flight_call_ended_after=took)
    call.cancel()
    assert took <= 3.0 + GRACE


@pytest.mark.parametrize("standstill", [2.0, pytest.param(STANDSTILL, marks=pytest.mark.full)])
async def test_a_worker_that_stands_still_is_not_taken_for_dead(crew: Crew, standstill: float) -> None:
    """Node: p99 7.9 s; below its heartbeat timeout nobody may declare it dead, and its calls wait or time out."""
    victim, _ = await asyncio.gather(crew.worker("w1"), crew.worker("w2"))
    caller = await crew.caller(sees=["w1", "w2"])

    async with Load(lambda n: caller.call("work.echo", {"n": n}, timeout=1.0), rate=50, timeout=1.0) as load:
        await asyncio.sleep(0.3)
        victim.stop()
        began = time.monotonic()
        seen = await _offering_during(caller, standstill)
        victim.go_on()
        woke = time.monotonic()
        await asyncio.sleep(1.5)

    twice = crew.ledger.twice()
    during = load.due(began, woke)
    tell(
        f"a worker stands still for {standstill:g} s",
        calls_meanwhile=len(during),
        answered=sum(outcome.ok for outcome in during),
        failed=load.failures,
        p99=percentile([outcome.latency for outcome in load.outcomes], 0.99),
        declared_dead=sum("w1" not in ids for ids in seen),
        good_again_after=load.good_again(woke),
        ran_twice=len(twice),
    )
    assert 0 == load.unanswered
    assert [] == [ids for ids in seen if "w1" not in ids]
    assert {"RequestTimeoutError 504"} >= set(load.failures)
    assert load.good_again(woke) <= 1.0 + GRACE
    assert [] == twice


async def _offering_during(caller: object, seconds: float) -> list[list[str]]:
    seen = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen.append(offering(caller))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
    return seen


@pytest.mark.parametrize("standstill", [4.5, pytest.param(STANDSTILL, marks=pytest.mark.full)])
async def test_a_caller_that_stood_still_declares_nobody_dead_on_waking(crew: Crew, standstill: float) -> None:
    """Its heartbeat timeout of 3 s has passed, but the signs of life lie in its socket (promise M2)."""
    await asyncio.gather(crew.worker("w1", heartbeat_interval=1.0), crew.worker("w2", heartbeat_interval=1.0))
    gateway = Program(sys.executable, "-m", "tests.faults.standing", crew.server.url, cwd=ROOT)
    with gateway:
        await asyncio.to_thread(gateway.wait_for, "ready")
        caller = Worker("gateway", gateway)
        caller.stop()
        await asyncio.sleep(standstill)
        caller.go_on()
        line = await asyncio.to_thread(gateway.wait_for, "figures")

    _, lost, calls, failed = line.split()
    tell(
        f"the caller stands still for {standstill:g} s, heartbeat timeout 3 s",
        calls=int(calls),
        failed=int(failed),
        declared_dead=int(lost),
    )
    assert ("0", "0") == (lost, failed)
    assert int(calls) > 50
