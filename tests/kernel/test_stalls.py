"""Stalls: an event loop that stands still is told of, and its node does not take the others for dead (promise M2)."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tautomer import Broker, Settings, errors
from tautomer.host import Host
from tautomer.stalls import StallWatch
from tests.kernel.mesh import Clock, until
from tests.programs import Program
from tests.servers import NatsServer

ROOT = Path(__file__).parent.parent.parent


async def test_a_loop_that_is_blocked_is_told_of_with_the_time(caplog: pytest.LogCaptureFixture) -> None:
    async with Broker("a", Settings(stall_warning=0.04)) as node:
        time.sleep(0.1)  # noqa: ASYNC251 - that is what is told of.
        await until(lambda: node.statistics()["stalls"]["count"])

        assert 1 == node.statistics()["stalls"]["count"]
        assert 0.08 <= node.statistics()["stalls"]["longest"] < 1
    (line,) = [record for record in caplog.records if "stood still" in record.getMessage()]
    assert 0.08 <= line.seconds < 1  # type: ignore[attr-defined]  # It was given.


async def test_a_stall_counts_from_the_limit_on() -> None:
    clock = Clock()
    watch = StallWatch(Host(clock=clock), 0.02)
    watch.start()
    watch.start()

    async def look(late: float) -> int:
        clock.now += 0.01 + late
        looks = watch._timer
        await until(lambda: watch._timer is not looks)
        return watch.count

    assert [0, 1, 1, 2] == [await look(late) for late in (0.019, 0.021, 0.0, 5.0)]
    assert pytest.approx(5.0) == watch.longest
    watch.stop()
    watch.stop()


async def test_the_warning_may_be_turned_off() -> None:
    watch = StallWatch(Host(), 0.0)
    watch.start()

    assert watch._timer is None


def test_a_limit_below_0_is_refused() -> None:
    with pytest.raises(errors.BrokerOptionsError, match="stall_warning"):
        Settings(stall_warning=-1)


async def test_no_look_is_left_when_the_node_has_stopped_or_failed_to_start() -> None:
    node = Broker("a", Settings(stall_warning=0.01))
    await node.start()
    await node.stop()

    assert node._stalls._timer is None


@pytest.mark.slow
@pytest.mark.server
async def test_a_process_that_was_halted_does_not_take_the_others_for_dead() -> None:
    """Halted for longer than its heartbeat_timeout: on waking it reads first, then judges."""
    beats = {"heartbeat_interval": 0.5, "heartbeat_timeout": 3.0}
    with NatsServer() as server:
        arguments = ["halted", "", server.url, json.dumps(beats)]
        with Program(sys.executable, "-m", "tests.interop.worker_program", *arguments, cwd=ROOT) as halted:
            others = [
                Broker(id, Settings(transporter=server.url, heartbeat_interval=0.5, heartbeat_timeout=30))
                for id in ("one", "two")
            ]
            for other in others:
                await other.start()
            await others[0].wait_for_services("worker", 20)
            await asyncio.to_thread(halted.wait_for, "ready")

            halted.send(signal.SIGSTOP)
            await asyncio.sleep(8)
            halted.send(signal.SIGCONT)
            # Two looks for silent nodes come within this time.
            await asyncio.sleep(2.5)
            answer = await others[0].call("worker.work", timeout=5)
            code = await asyncio.to_thread(halted.end)
            for other in others:
                await other.stop()

    assert ("halted", 0) == (answer, code)
    assert "node lost" not in halted.output
    assert 1 == halted.output.count("the event loop stood still")
    told = re.search(r"the event loop stood still.*", halted.output)
    assert told is not None
    assert re.search(r"[78]\.\d", told[0])
