"""Caches of nodes that crash and come back, in a mesh on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from tautomer import Context, Service, action, event
from tautomer.testing import Simulation


class Clocks(Service):
    name = "clocks"
    asked = 0

    @action(cache={"keys": ["id"], "ttl": 60, "lock": {"stale_time": 10}})
    async def read(self, ctx: Context) -> int:
        self.asked += 1
        asked = self.asked
        await asyncio.sleep(1)
        return asked

    @event("cache.clean.clocks")
    async def clean(self, ctx: Context) -> None:
        await self.broker.cacher.clean("clocks.**")


def mesh(seed: int) -> Simulation:
    sim = Simulation(seed)
    for name in ("a", "b"):
        sim.node(name, Clocks, cacher=True)
    sim.node("caller")
    sim.run_until(sim.settled())
    return sim


async def ask(sim: Simulation, node_id: str, times: int = 1) -> list[Any]:
    calls = (sim["caller"].call("clocks.read", {"id": 1}, node_id=node_id) for _ in range(times))
    return list(await asyncio.gather(*calls))


def test_of_a_stampede_one_runs_and_the_rest_wait_for_it() -> None:
    with mesh(1) as sim:
        began = sim.now

        assert [1] * 50 == sim.run_until(ask(sim, "a", 50))
        assert 1 <= sim.now - began < 1.5


def test_what_is_stale_is_made_anew_and_what_is_over_is_gone() -> None:
    with mesh(2) as sim:
        sim.run_until(ask(sim, "a"))
        sim.run(55)
        assert [1] == sim.run_until(ask(sim, "a"))
        sim.run(5)
        assert [2] == sim.run_until(ask(sim, "a"))
        sim.run(100)
        assert [3] == sim.run_until(ask(sim, "a"))


def test_a_node_that_crashed_begins_with_nothing_and_leaves_nothing() -> None:
    with mesh(3) as sim:
        sim.run_until(ask(sim, "a"))
        sim.crash("a")
        sim.restart("a")
        sim.run_until(sim.settled())
        before = sim.now

        assert [1] == sim.run_until(ask(sim, "a"))
        assert sim.now - before >= 1  # It ran.


def test_a_clean_reaches_every_node_and_one_without_a_line_when_it_is_back() -> None:
    """It may have missed such an event, so it forgets everything."""
    with mesh(4) as sim:
        for node_id in ("a", "b"):
            assert [1] == sim.run_until(ask(sim, node_id))

        async def clean() -> None:
            await sim["caller"].broadcast("cache.clean.clocks")

        sim.network.disconnect("a")
        sim.run_until(clean())
        sim.run(1)
        sim.network.reconnect("a")
        sim.run_until(sim.settled())

        for node_id in ("a", "b"):
            assert [2] == sim.run_until(ask(sim, node_id))
