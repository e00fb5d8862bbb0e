"""Single promises, each in a scenario of its own, for several seeds."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tautomer import Context, Service, action, event
from tautomer.errors import RequestTimeoutError
from tautomer.testing import Conditions, SimNode, Simulation


class Worker(Service):
    name = "worker"

    @action
    async def work(self, ctx: Context[Any]) -> str:
        await asyncio.sleep(ctx.params["seconds"])
        return str(ctx.broker.id)


def failures_of_a_rolling_restart(seed: int, line_order: bool) -> list[BaseException]:
    """What the calls that are made meanwhile fail with."""
    sim = Simulation(seed, conditions=Conditions(delay=0.005, line_order=line_order), shutdown_timeout=5.0)
    asked: list[asyncio.Task[Any]] = []

    async def ask(node: SimNode, end: float) -> None:
        while sim.now < end:
            seconds = sim.random.choice((0.0, 0.05, 0.5))
            asked.append(sim.background(node.call("worker.work", {"seconds": seconds}), "call"))
            await asyncio.sleep(sim.random.expovariate(100))

    async def scenario() -> None:
        load = sim.background(ask(sim["caller"], sim.now + 12.0), "load")
        for node_id in ("one", "two", "three"):
            await asyncio.sleep(1.0)
            await sim[node_id].stop()
            await asyncio.sleep(0.5)
            await sim.restart(node_id).ready()
        await load
        await asyncio.wait(asked)

    with sim:
        for node_id in ("one", "two", "three"):
            sim.node(node_id, Worker)
        sim.node("caller")
        sim.run_until(sim.settled())
        sim.run_until(scenario())

    assert len(asked) > 1_000
    return [error for task in asked if (error := task.exception()) is not None]


@pytest.mark.parametrize("seed", range(6))
def test_a_rolling_restart_under_load_fails_no_call(seed: int) -> None:
    """Promise M6."""
    assert [] == failures_of_a_rolling_restart(seed, line_order=True)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="a DISCONNECT that overtakes an answer fails its call")
def test_a_rolling_restart_fails_no_call_where_topics_overtake_each_other() -> None:
    """Promise M6, with a transporter that keeps the order of each topic only."""
    assert [] == failures_of_a_rolling_restart(4, line_order=False)


@pytest.mark.parametrize("kind", ["emit", "broadcast"])
def test_in_a_quiet_mesh_every_event_is_heard_as_often_as_it_must(kind: str) -> None:
    """Promise E1, and that nothing is lost where nothing goes wrong."""
    heard: Counter[tuple[int, str]] = Counter()

    class Listener(Service):
        name = "listener"

        @event("thing")
        async def on_thing(self, ctx: Context[Any]) -> None:
            heard[ctx.params["number"], "listener"] += 1

        @event("th*", group="others")
        def on_any(self, ctx: Context[Any]) -> None:
            heard[ctx.params["number"], "others"] += 1

    with Simulation(3) as sim:
        for node_id in ("a", "b", "c"):
            sim.node(node_id, Listener)
        sim.node("teller")
        sim.run_until(sim.settled())
        for number in range(30):
            tell = sim["teller"].emit if kind == "emit" else sim["teller"].broadcast
            sim.run_until(tell("thing", {"number": number}))
        sim.run(1)

        times = 1 if kind == "emit" else 3
        assert {(number, group): times for number in range(30) for group in ("listener", "others")} == heard


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="two patterns of one group may be sent to two nodes")
def test_a_group_with_two_patterns_hears_an_event_at_one_node() -> None:
    """Promise E1: at most once to each group. A node that gets it tells all its listeners of the group."""
    heard: list[str] = []

    class Listener(Service):
        name = "listener"

        @event("thing.*")
        async def on_any(self, ctx: Context[Any]) -> None:
            heard.append("any")

        @event("thing.one")
        async def on_one(self, ctx: Context[Any]) -> None:
            heard.append("one")

    with Simulation(1) as sim:
        for node_id in ("a", "b", "c"):
            sim.node(node_id, Listener)
        sim.node("teller")
        sim.run_until(sim.settled())
        sim.run_until(sim["teller"].emit("thing.some"))  # Turns one pattern's wheel and not the other's.
        sim.run(1)
        heard.clear()
        sim.run_until(sim["teller"].emit("thing.one"))
        sim.run(1)

    assert ["any", "one"] == sorted(heard)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="the transporter's buffer knows no deadlines")
def test_what_waited_for_the_line_is_not_run_once_its_call_has_ended() -> None:
    """Promise C4, and the row "broker killed under load" of the reliability reference, section 4."""
    ran: list[str] = []

    class Noting(Service):
        name = "noting"

        @action
        async def note(self, ctx: Context[Any]) -> None:
            ran.append(ctx.id)

    with Simulation(1) as sim:
        sim.node("a", Noting)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.network.disconnect("b")
        sim.run(0.1)
        with pytest.raises(RequestTimeoutError):
            sim.run_until(sim["b"].call("noting.note", timeout=0.5))
        sim.run(5)
        sim.network.reconnect("b")
        sim.run(1)

    assert [] == ran
