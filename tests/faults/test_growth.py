"""After any mix of calls, nothing is left of them on either side (promise C6)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tautomer import Broker
from tautomer.errors import MoleculerError

from .crew import Crew, until
from .gauges import gauges
from .load import tell

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
ROUNDS = 6
WARM = 3
AT_ONCE = 50


class Mix:
    """Calls of every end in turn: answered, failed, timed out, cancelled, not found; and events.

    Attributes:
        ends: How many there were of each.
    """

    def __init__(self, caller: Broker) -> None:
        self._caller = caller
        self._ways = itertools.cycle(("answered", "failed", "timed out", "cancelled", "not found", "event"))
        self.ends = dict.fromkeys(("answered", "failed", "timed out", "cancelled", "not found", "event"), 0)

    async def one(self) -> None:
        way = next(self._ways)
        call = self._caller.call
        try:
            if way == "answered":
                await call("work.echo", {"text": "x" * 200}, timeout=10.0)
            elif way == "failed":
                await call("work.fail", {"n": 1}, timeout=10.0)
            elif way == "timed out":
                await call("work.rest", {"seconds": 30.0}, timeout=0.05)
            elif way == "cancelled":
                async with asyncio.timeout(0.02):
                    await call("work.rest", {"seconds": 0.2}, timeout=10.0)
            elif way == "not found":
                await call("work.nothing", {}, timeout=10.0)
            else:
                await self._caller.emit("faults.happened", {"n": 1})
        except MoleculerError as error:
            way = {418: "failed", 504: "timed out", 404: "not found"}.get(int(error.code), str(error))
        except TimeoutError:
            way = "cancelled"
        self.ends[way] = self.ends.get(way, 0) + 1

    async def run(self, count: int) -> None:
        async def some() -> None:
            for _ in range(count // AT_ONCE):
                await self.one()

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [12_000, pytest.param(102_000, marks=pytest.mark.full)])
async def test_memory_tasks_tables_and_files_are_flat_over_mixed_calls(crew: Crew, count: int) -> None:
    """Node: flat, too: 124 to 132 MB."""
    await crew.worker("w1")
    caller = await crew.caller(sees=["w1"])
    mix = Mix(caller)
    here: list[dict[str, Any]] = []
    there: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        await mix.run(count // ROUNDS)
        await until(lambda: caller.statistics()["transit"]["pending"] == 0)
        await _still(caller)
        here.append(gauges(caller))
        there.append(await caller.call("work.gauges", timeout=10.0))

    grown = [(side[-1]["rss"] - side[WARM - 1]["rss"]) / MIB for side in (here, there)]
    tell(
        f"{count} mixed calls",
        **{name.replace(" ", "_"): number for name, number in mix.ends.items()},
        memory_of_rounds=" ".join(f"{one['rss'] / MIB:.1f}" for one in there),
        grown_here_MiB=grown[0],
        grown_there_MiB=grown[1],
        tasks="flat" if _flat(there, "tasks") and _flat(here, "tasks") else "grown",
    )
    assert [count // 6] * 6 == list(mix.ends.values())
    # Each request is remembered for a minute, so that it does not run twice: at most 10,000 of 300 bytes.
    assert max(grown) < 6.0
    for side in (here, there):
        assert _flat(side, "fds"), [one["fds"] for one in side]
        assert _flat(side, "tasks"), [one["tasks"] for one in side]
        assert side[WARM - 1]["tables"] == side[-1]["tables"]


async def _still(caller: Broker) -> None:
    """Wait until nothing of the last round runs at the worker."""
    async with asyncio.timeout(10.0):
        while (await caller.call("work.gauges", timeout=10.0))["statistics"]["in_flight"] > 1:
            await asyncio.sleep(0.05)


def _flat(side: list[dict[str, Any]], what: str) -> bool:
    return bool(side[WARM - 1][what] == side[-1][what])
