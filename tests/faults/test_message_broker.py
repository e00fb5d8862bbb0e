"""The message broker goes away and comes back, or is not there at the start."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from tautomer import Broker

from .crew import Crew, offering, until
from .gauges import memory
from .load import Load, tell
from .worker import Work

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


def echo(caller: Broker, timeout: float) -> Any:
    """A call that runs once or not at all, and is not made again by anybody."""
    return lambda number: caller.call("work.echo", {"n": number}, timeout=timeout)


@pytest.mark.parametrize("away", [3.0, pytest.param(5.0, marks=pytest.mark.full)])
async def test_calls_of_a_short_absence_are_sent_late_and_run_once(crew: Crew, away: float) -> None:
    """Node drops what it would send meanwhile, and its calls have no end: 315 of 1,254 were never answered."""
    await asyncio.gather(crew.worker("w1"), crew.worker("w2"))
    caller = await crew.caller(sees=["w1", "w2"])

    async with Load(echo(caller, 10.0), rate=150, timeout=10.0) as load:
        await asyncio.sleep(0.5)
        crew.server.kill()
        gone = time.monotonic()
        await asyncio.sleep(away)
        crew.server.start()
        back = time.monotonic()
        await asyncio.sleep(2.5)

    twice = crew.ledger.twice()
    tell(
        f"message broker killed, back after {away:g} s",
        calls=len(load.outcomes),
        answered=load.ok,
        failed=load.failures,
        begun_meanwhile=len(load.due(gone, back)),
        good_again_after=load.good_again(back),
        ran_twice=len(twice),
    )
    assert 0 == load.unanswered
    assert [] == twice
    # What was under way at the cut has an unknown outcome: a handful at most. A call that began at once and has waited
    # for `offline_wait` fails as not sent.
    late = {"BrokerDisconnectedError 502": load.failures["BrokerDisconnectedError 502"] if away >= 5.0 else 0}
    assert (load.failures - Counter(late)).total() <= 5
    assert load.good_again(back) <= 1.0 + 0.5


@pytest.mark.full
@pytest.mark.timeout(120)
async def test_calls_of_a_long_absence_fail_at_once_and_memory_stays(crew: Crew) -> None:
    """Node: +27 MB and 1,557 timeouts."""
    await asyncio.gather(crew.worker("w1"), crew.worker("w2"))
    caller = await crew.caller(sees=["w1", "w2"])
    async with Load(echo(caller, 10.0), rate=150, timeout=10.0):
        await asyncio.sleep(1.0)

    async with Load(echo(caller, 10.0), rate=150, timeout=10.0) as load:
        crew.server.kill()
        gone = time.monotonic()
        await asyncio.sleep(8.0)  # Longer than anything waits.
        held = memory()
        await asyncio.sleep(22.0)
        grown = memory() - held
        crew.server.start()
        back = time.monotonic()
        await asyncio.sleep(3.0)

    refused = [outcome for outcome in load.due(gone + 8.0, back - 6.0) if not outcome.ok]
    slowest = max(outcome.latency for outcome in refused)
    twice = crew.ledger.twice()
    tell(
        "message broker away for 30 s",
        calls=len(load.outcomes),
        answered=load.ok,
        failed=load.failures,
        slowest_refusal=slowest,
        good_again_after=load.good_again(back),
        memory_grown_MiB=grown / MIB,
        ran_twice=len(twice),
    )
    assert 0 == load.unanswered
    assert [] == twice
    assert grown < 5 * MIB
    assert load.good_again(back) <= 1.0 + 0.5
    # Those begun at the end of the absence still find a place to wait; the others end when their wait does.
    assert slowest <= 5.0 + 0.5


async def test_a_node_that_starts_before_its_message_broker_works_alone_and_joins_later(crew: Crew) -> None:
    """Node: the gateway's port is closed meanwhile, the first good call comes 5 s after the broker."""
    crew.server.stop()
    worker = await crew.worker("w1", transit={"connect_wait": 0.2})
    work = Work()
    caller = await crew.caller("caller", work, transit=_quick())

    alone = await caller.call("work.echo", {"n": 1})
    await asyncio.sleep(1.0)
    crew.server.start()
    back = time.monotonic()
    await until(lambda: {"w1", "caller"} <= set(offering(caller)))
    joined = time.monotonic() - back
    there = await caller.call("work.echo", {"n": 2}, node_id="w1", timeout=5.0)

    tell("message broker absent at the start", local_calls="answered", joined_after=joined)
    assert {"n": 1} == alone
    assert {"n": 2} == there
    assert worker.running
    assert joined <= 1.0 + 0.5


def _quick() -> Any:
    from tautomer.settings import TransitSettings

    return TransitSettings(connect_wait=0.2)
