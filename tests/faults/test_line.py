"""The line between a node and the message broker freezes, loses bytes, or is slow."""

from __future__ import annotations

import asyncio
import time

import pytest

from tautomer import Broker

from .crew import Crew, offering, until
from .load import Load, tell
from .proxy import Proxy

pytestmark = pytest.mark.slow


@pytest.mark.full
@pytest.mark.timeout(120)
async def test_a_frozen_line_is_noticed_within_15_seconds(crew: Crew) -> None:
    """No FIN, nothing comes. Node's client would ping after two minutes, and give up after two more."""
    await crew.worker("w1")
    async with Proxy(crew.server.port) as proxy:
        caller = await crew.caller(sees=["w1"], url=proxy.url)
        async with Load(lambda n: caller.call("work.echo", {"n": n}, timeout=5.0), rate=50, timeout=5.0) as load:
            await asyncio.sleep(0.5)
            proxy.freeze()
            frozen = time.monotonic()
            await until(lambda: not caller.connected, 20.0)
            noticed = time.monotonic() - frozen
            dead = "w1" not in offering(caller)
            proxy.cut()
            proxy.thaw()
            thawed = time.monotonic()
            await asyncio.sleep(3.0)

    tell(
        "frozen line",
        noticed_after=noticed,
        others_declared_dead=int(dead),
        calls=len(load.outcomes),
        failed=load.failures,
        good_again_after=load.good_again(thawed),
        ran_twice=len(crew.ledger.twice()),
    )
    assert noticed <= 15.0 + 0.5
    assert not dead
    assert 0 == load.unanswered
    assert [] == crew.ledger.twice()
    # A try that began while the line was frozen has its own 5 s.
    assert load.good_again(thawed) <= 6.0


@pytest.mark.parametrize("way", ["in", "out"])
async def test_bytes_lost_on_the_line_cost_the_calls_concerned_and_nothing_else(crew: Crew, way: str) -> None:
    await crew.worker("w1")
    async with Proxy(crew.server.port) as proxy:
        caller = await crew.caller(sees=["w1"], url=proxy.url)
        wrong: list[object] = []

        async def echo(number: int) -> None:
            text = f"{number} " * 40
            answer = await caller.call("work.echo", {"n": number, "text": text}, timeout=1.0)
            if answer != {"n": number, "text": text}:
                wrong.append(answer)

        losses = (1, 7, 100, 701)
        healings: list[float] = []
        async with Load(echo, rate=100, timeout=1.0) as load:
            for count in losses:
                await asyncio.sleep(0.3)
                lost = time.monotonic()
                proxy.lose(count, way)
                healings.append(await _healed(load, lost))
            healed = time.monotonic()
            await asyncio.sleep(0.5)

    after = load.due(healed)
    tell(
        f"bytes lost {len(losses)} times on the way {way}",
        calls=len(load.outcomes),
        failed=load.failures,
        wrong_answers=len(wrong),
        connections=proxy.connections,
        slowest_healing=max(healings),
        good_at_the_end=f"{sum(outcome.ok for outcome in after)} of {len(after)}",
    )
    assert [] == wrong
    assert 0 == load.unanswered
    assert [] == [outcome for outcome in after if not outcome.ok]
    assert 2 <= proxy.connections <= 1 + 2 * len(losses)
    assert max(healings) <= 3.0


async def _healed(load: Load, lost: float) -> float:
    """Wait for an answer to a call that was made well after the loss. Returns the seconds since."""
    await until(lambda: any(outcome.ok and outcome.due > lost + 0.1 for outcome in load.outcomes), 15.0)
    return time.monotonic() - lost


async def test_a_slow_line_makes_calls_slow_and_kills_nobody(crew: Crew) -> None:
    await crew.worker("w1", heartbeat_interval=0.5, heartbeat_timeout=2.0)
    async with Proxy(crew.server.port) as proxy:
        caller: Broker = await crew.caller(sees=["w1"], url=proxy.url, heartbeat_interval=0.5, heartbeat_timeout=2.0)
        seen: list[bool] = []
        async with Load(lambda n: caller.call("work.echo", {"n": n}, timeout=5.0), rate=50, timeout=5.0) as load:
            proxy.delay = 0.5
            slow = time.monotonic()
            while time.monotonic() - slow < 3.0:
                seen.append("w1" in offering(caller))
                await asyncio.sleep(0.05)

    tell(
        "line with 1 s of round trip",
        calls=len(load.outcomes),
        failed=load.failures,
        slowest=max(outcome.latency for outcome in load.outcomes),
        declared_dead=seen.count(False),
    )
    assert 0 == sum(load.failures.values())
    assert 0 == seen.count(False)
