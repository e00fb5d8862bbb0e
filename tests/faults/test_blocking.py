"""A worker that computes for seconds, in a thread or in a process: it is heard of and answers meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tautomer import Middleware
from tautomer.protocol.packets import Heartbeat

from .crew import Crew, offering
from .load import Load, percentile, tell

pytestmark = pytest.mark.slow

SECONDS = 4.0
INTERVAL = 0.5
LATENCY = {"work.think": 0.5, "work.think_apart": 0.3}
"""Seconds that the slowest of a hundred other calls may take. A thread that computes lets go of the interpreter every 5 ms."""


class Pulse(Middleware):
    """Takes note of when each node's heartbeats came."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []

    def transit_received(self, next_received: Any) -> Any:
        def received(command: str, packet: Any) -> None:
            if isinstance(packet, Heartbeat):
                self.heard.append((packet.sender, time.monotonic()))
            next_received(command, packet)

        return received


@pytest.mark.parametrize("action", LATENCY)
async def test_heartbeats_and_other_calls_go_on_while_a_worker_computes(crew: Crew, action: str) -> None:
    pulse = Pulse()
    await crew.worker("w1", heartbeat_interval=INTERVAL, stall_warning=0.25)
    caller = await crew.caller(sees=["w1"], heartbeat_timeout=2.0, heartbeat_interval=1.0, middlewares=[pulse])
    await caller.call(action, {"seconds": 0.0}, timeout=30.0)  # A process is started with the first call.

    computing = asyncio.create_task(caller.call(action, {"seconds": SECONDS}, timeout=60.0))
    began = time.monotonic()
    async with Load(lambda n: caller.call("work.echo", {"n": n}, timeout=5.0), rate=50, timeout=5.0) as load:
        while not computing.done():
            assert ["w1"] == offering(caller)
            await asyncio.sleep(0.05)
    ended = time.monotonic()

    beats = [when for who, when in pulse.heard if who == "w1" and began <= when <= ended]
    gaps = [after - before for before, after in zip([began, *beats], [*beats, ended], strict=True)]
    latencies = [outcome.latency for outcome in load.outcomes]
    tell(
        f"{action} for {SECONDS:g} s of processor time, heartbeats every {INTERVAL:g} s",
        took=ended - began,
        heartbeats=len(beats),
        longest_silence=max(gaps),
        other_calls=len(latencies),
        of_them_failed=load.failures,
        median=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
    )
    assert {"seconds": SECONDS} == await computing
    assert {} == load.failures
    assert 0 == load.unanswered
    assert max(gaps) <= 2 * INTERVAL
    assert percentile(latencies, 0.99) <= LATENCY[action]
