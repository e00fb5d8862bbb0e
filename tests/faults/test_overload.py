"""More work than a worker can do: what it can is done in time, the rest is refused at once (promise L1)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from tautomer import Broker

from .crew import Crew
from .load import Load, percentile, tell

pytestmark = pytest.mark.slow

WORK = 0.01
DEADLINE = 1.0
SLOW = 0.2
"""Seconds over which a call at half the capacity is not as quick as it should be."""


async def capacity(caller: Broker, action: str, seconds: float = 1.5) -> float:
    """Answers a second, to a few who each wait for their answer."""
    until = time.monotonic() + seconds
    done = 0

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < until:
            await caller.call(action, {"seconds": WORK}, timeout=5.0)
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(4)))
    return done / (time.monotonic() - began)


@pytest.mark.parametrize(
    ("action", "times", "seconds"),
    [
        ("work.hold", 3, 4.0),
        pytest.param("work.hold", 2, 10.0, marks=pytest.mark.full),
        pytest.param("work.hold", 3, 20.0, marks=pytest.mark.full),
        pytest.param("work.burn", 3, 10.0, marks=pytest.mark.full),
    ],
)
async def test_an_overloaded_worker_does_what_it_can_and_refuses_the_rest(
    crew: Crew, action: str, times: float, seconds: float
) -> None:
    """Node at three times its capacity: 12 % within the deadline, and 19 s until all was well again.

    `hold` keeps the loop busy without using the processor, so that what else runs on this machine counts little;
    `burn` computes.
    """
    await crew.worker("w1")
    caller = await crew.caller(sees=["w1"])
    able = await capacity(caller, action)

    numbers = itertools.count()

    def call(_number: int) -> Coroutine[Any, Any, Any]:
        return caller.call(action, {"n": next(numbers), "seconds": WORK}, timeout=DEADLINE)

    async with Load(call, rate=times * able, timeout=DEADLINE) as load:
        await asyncio.sleep(seconds)
        load.stop()
        ended = time.monotonic()
        async with Load(call, rate=able / 2, timeout=DEADLINE) as after:
            await asyncio.sleep(2.5)

    good = sum(outcome.ok and outcome.latency <= DEADLINE + 0.1 for outcome in load.outcomes) / seconds
    refused = [outcome.latency for outcome in load.outcomes if outcome.failure == "QueueIsFullError 429"]
    recovered = _recovered(after, ended)
    tell(
        f"{times} times the capacity for {seconds:g} s ({action})",
        capacity=able,
        goodput_percent=100 * good / able,
        refused=len(refused),
        refused_within_p99=percentile(refused, 0.99) if refused else float("nan"),
        failed=load.failures,
        recovered_after=recovered,
        ran_twice=len(crew.ledger.twice()),
    )
    assert 0 == load.unanswered
    assert good >= 0.9 * able
    assert percentile(refused, 0.5) <= 0.05
    assert recovered <= 1.0


def _recovered(after: Load, ended: float) -> float:
    """Seconds until twenty calls in a row were as quick as they should be; now and then one is not on any machine."""
    outcomes = sorted(after.outcomes, key=lambda outcome: outcome.due)
    quick = [outcome.ok and outcome.latency <= SLOW for outcome in outcomes]
    return next(
        (outcomes[at].due - ended for at in range(len(quick) - 20) if all(quick[at : at + 20])),
        float("inf"),
    )
