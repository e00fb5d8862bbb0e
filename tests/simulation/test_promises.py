"""Single promises, each in a scenario of its own, for several seeds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Context, Service, action, event
from tautomer.errors import BrokerDisconnectedError, RequestRejectedError, RequestTimeoutError, StreamError
from tautomer.settings import TransitSettings
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


@pytest.mark.parametrize("line_order", [True, False], ids=["in order", "topics overtake each other"])
@pytest.mark.parametrize("seed", range(6))
def test_a_rolling_restart_under_load_fails_no_call(seed: int, line_order: bool) -> None:
    """Promise M6: also where a DISCONNECT may overtake the last answers."""
    assert [] == failures_of_a_rolling_restart(seed, line_order)


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


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="each pattern of a group has its own turn, as in Node.js")
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
        with pytest.raises(BrokerDisconnectedError):
            sim.run_until(sim["b"].call("noting.note", timeout=0.5))
        sim.run(5)
        sim.network.reconnect("b")
        sim.run(1)

    assert [] == ran


class Counting(Service):
    """Counts what runs."""

    name = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    @action
    async def count(self, ctx: Context[Any]) -> int:
        self.ran.append(ctx.id)
        return len(self.ran)

    @event("thing")
    async def on_thing(self, ctx: Context[Any]) -> None:
        self.ran.append(ctx.id)


@pytest.mark.parametrize("duplication", [0.0, 1.0])
def test_a_request_and_an_event_that_come_twice_count_once(duplication: float) -> None:
    """Promises C2 and E1."""
    service = Counting()
    with Simulation(1, conditions=Conditions(duplication=duplication)) as sim:
        sim.node("a", service)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.run_until(sim["b"].call("counting.count"))
        sim.run_until(sim["b"].emit("thing"))
        sim.run(1)

    assert 2 == len(service.ran)


def test_word_that_nobody_listens_counts_also_when_it_comes_late() -> None:
    """Promise M1: the call has ended, but who asks next is to know."""
    with Simulation(1, conditions=Conditions(delay=0.0, delay_least=0.1)) as sim:
        sim.node("a", Counting)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.crash("a")
        with pytest.raises(RequestTimeoutError):
            sim.run_until(sim["b"].call("counting.count", timeout=0.05))
        sim.run(0.5)

        assert not sim["b"].takes_for_living("a")


@pytest.mark.parametrize("tells_undelivered", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_a_node_that_is_killed_starts_again_at_once(seed: int, tells_undelivered: bool) -> None:
    """Promise M5: whatever of its former run is still under way is not taken for a namesake."""
    conditions = Conditions(delay=0.05, reorder=0.3)
    expected = ("node id in use elsewhere: give one of the two another id",)
    with Simulation(seed, conditions=conditions, tells_undelivered=tells_undelivered, expected_errors=expected) as sim:
        sim.node("a", Counting)
        sim.node("b")
        sim.run_until(sim.settled())
        for _ in range(10):
            # It tells of itself, and dies.
            sim.run_until(sim["a"].register(Worker()))
            sim.run(0.1)
            sim.crash("a")
            sim.run(0.01)
            sim.run_until(sim.restart("a").ready())
        sim.network.heal()
        sim.run_until(sim.settled())


@pytest.mark.parametrize("seed", range(6))
def test_a_node_that_dies_in_the_midst_of_a_stream_leaves_its_readers_an_error(seed: int) -> None:
    class Feed(Service):
        name = "feed"

        @action
        async def numbers(self, ctx: Context[Any]) -> AsyncIterator[int]:
            for number in range(100):
                yield number
                await asyncio.sleep(0.01)

    read: list[int] = []

    async def reading(sim: Simulation) -> None:
        async for number in await sim["b"].broker.call("feed.numbers"):
            read.append(number)  # noqa: PERF401 - what was read before it broke counts.

    with Simulation(seed, transit=TransitSettings(stream_idle=2.0)) as sim:
        sim.node("a", Feed)
        sim.node("b")
        sim.run_until(sim.settled())
        reader = sim["b"].spawn(reading(sim))
        sim.run(0.3)
        sim.crash("a")
        with pytest.raises((StreamError, RequestRejectedError)):
            sim.run_until(_ended(reader), within=10)
        left = sim["b"].broker.statistics()["transit"]["streams"]

    assert list(range(len(read))) == read
    assert 10 < len(read) < 100
    assert {"receiving": 0, "sending": 0, "waiting_bytes": 0} == left


async def _ended(task: asyncio.Task[None]) -> None:
    await task
