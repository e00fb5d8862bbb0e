"""Timers of one node, on a virtual clock: when they run, when not, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tautomer import Context, Middleware, Service, cron, timer
from tautomer.ports import Handler
from tautomer.testing.simulation import Simulation

FAILED = "timer failed"


@pytest.fixture
def sim() -> Iterator[Simulation]:
    with Simulation(expected_errors=[FAILED]) as sim:
        yield sim


class Notes(Service):
    """Notes when something ran, in seconds since the start of the node."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[Any] = []

    def since(self) -> float:
        return round(self.broker.clock() - self.began, 3)

    async def started(self) -> None:
        self.began = self.broker.clock()


def at(sim: Simulation, service: Notes, seconds: float, **settings: Any) -> Notes:
    """Run a node with this service for so long after its start."""
    sim.node("a", service, **settings)
    sim.run_until(sim.settled())
    sim.run(service.began + seconds - sim.now)
    return service


class Ticks(Notes):
    name = "ticks"

    @timer(10)
    async def slow(self) -> None:
        self.seen.append(("slow", self.since()))
        await asyncio.sleep(3)

    @timer(10, eager=True)
    def eager(self) -> None:
        self.seen.append(("eager", self.since()))


def test_it_runs_at_multiples_of_its_interval_whatever_a_run_takes(sim: Simulation) -> None:
    seen = at(sim, Ticks(), 35).seen

    assert [10, 20, 30] == [when for name, when in seen if name == "slow"]
    assert [0, 10, 20, 30] == [when for name, when in seen if name == "eager"]


class Long(Notes):
    """Takes 24 s every 10 s."""

    name = "long"

    @timer(10)
    async def waits(self, ctx: Context) -> None:
        self.seen.append(("waits", self.since(), ctx.params["missed"]))
        await asyncio.sleep(24)

    @timer(10, overlap="skip")
    async def skips(self, ctx: Context) -> None:
        self.seen.append(("skips", self.since(), ctx.params["missed"]))
        await asyncio.sleep(24)


def test_what_comes_while_it_runs_waits_and_is_one_or_is_left_out(
    sim: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tautomer.timers"):
        service = at(sim, Long(), 62)

    # 20 and 30 came while it ran from 10 on: one follows when that is done; then 40 and 50.
    assert [("waits", 10, 0), ("waits", 34, 1), ("waits", 58, 1)] == [one for one in service.seen if one[0] == "waits"]
    assert [("skips", 10, 0), ("skips", 40, 0)] == [one for one in service.seen if one[0] == "skips"]
    said = [vars(one) for one in caplog.records if one.name == "tautomer.timers"]
    assert {"timer still runs when it is due again"} == {one["msg"] for one in said}
    # The first, second and fourth time of five.
    assert [10, 20, 16] == [one["running_s"] for one in said if one["timer"] == "long.waits"]


class Failing(Notes):
    name = "failing"

    @timer(10)
    async def fails(self) -> None:
        self.seen.append(self.since())
        raise ValueError("wrong")

    @timer(10)
    async def gives_up(self) -> None:
        raise asyncio.CancelledError

    @timer(10, timeout=3)
    async def hangs(self) -> None:
        await asyncio.sleep(60)


def test_an_error_is_told_and_ends_nothing(sim: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    service = at(sim, Failing(), 35)

    told = [
        (vars(one)["timer"], type((one.exc_info or ((), None))[1]).__name__)
        for one in caplog.records
        if one.msg == FAILED
    ]
    assert [10, 20, 30] == service.seen
    assert {
        ("failing.fails", "ValueError"),
        ("failing.gives_up", "CancelledError"),
        ("failing.hangs", "RequestTimeoutError"),
    } == set(told)
    assert 9 == len(told)
    assert {"running": False, "runs": 3, "failed": 3, "missed": 0} == service.broker.statistics()["timers"][
        "failing.hangs"
    ]


class Crowded(Notes):
    name = "crowded"

    @timer(10, bulkhead={"concurrency": 1, "max_queue_size": 5})
    async def tick(self, ctx: Context) -> None:
        self.seen.append((self.since(), ctx.id, ctx.level, ctx.request_id == ctx.id, dict(ctx.meta)))
        ctx.meta["mine"] = 1
        await asyncio.sleep(4)


class Watching(Middleware):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def local_action(self, next_handler: Handler, endpoint: Any) -> Handler:
        async def watched(ctx: Context) -> Any:
            self.seen.append(endpoint.name)
            return await next_handler(ctx)

        return watched if endpoint.name == "crowded.tick" else next_handler


def test_each_run_has_a_context_of_its_own_and_goes_through_the_chain_of_an_action(sim: Simulation) -> None:
    watching = Watching()
    service = at(sim, Crowded(), 25, middlewares=[watching])
    ids = {one[1] for one in service.seen}

    assert [(10, 1, True, {}), (20, 1, True, {})] == [(one[0], *one[2:]) for one in service.seen]
    assert 2 == len(ids)
    assert ["crowded.tick", "crowded.tick"] == watching.seen
    assert ["crowded.tick"] == list(service.broker.statistics()["bulkheads"])


class Daily(Notes):
    name = "daily"

    @cron("0 3 * * *")
    async def nightly(self, ctx: Context) -> None:
        self.seen.append((self.broker.host.wall_ms() / 1000, ctx.params["at"]))

    @cron("*/10 * * * *")
    async def often(self, ctx: Context) -> None: ...


DAY = 86_400.0


def nearly_three(sim: Simulation) -> None:
    """Set the wall clock to a minute before three, the next time."""
    now = sim["a"].host.wall_ms() / 1000
    sim.jump("a", (3 * 3600 - 60 - now) % DAY)


def test_cron_runs_at_the_instants_of_the_wall_clock(sim: Simulation) -> None:
    service = at(sim, Daily(), 1)
    for _ in range(3):
        nearly_three(sim)
        sim.run(80)

    assert [3 * 3600.0] * 3 == [instant % DAY for _, instant in service.seen]
    assert all(instant <= when < instant + 0.01 for when, instant in service.seen)


def test_a_wall_clock_that_leaps_makes_it_run_once_for_what_it_leapt_over(
    sim: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    service = at(sim, Daily(), 60)
    sim.jump("a", 2 * DAY + 5 * 3600)
    sim.run(60)

    ((when, instant),) = service.seen
    assert (3 * 3600.0, 2) == (instant % DAY, (when - instant) // 3600)
    assert "timer comes late, and once for several times" in caplog.text


def test_a_wall_clock_that_is_set_back_repeats_no_night(sim: Simulation) -> None:
    service = at(sim, Daily(), 1)
    nearly_three(sim)
    sim.run(61)
    sim.jump("a", -15)
    sim.run(60)

    assert 1 == len(service.seen)


def test_the_wall_clock_does_not_concern_an_interval_of_the_node(sim: Simulation) -> None:
    service = at(sim, Ticks(), 5)
    sim.jump("a", -3600)
    sim.run(10)
    sim.jump("a", 7200)
    sim.run(10)

    assert [10, 20] == [when for name, when in service.seen if name == "slow"]


def test_a_node_that_stood_still_runs_once_for_what_it_missed(sim: Simulation) -> None:
    service = at(sim, Ticks(), 15)
    sim.stall("a", 30)
    sim.run(40)

    assert [10, 45, 50] == [when for name, when in service.seen if name == "slow"]


# --- the end ---


class Ending(Notes):
    """Runs for `takes` seconds at 10, 20, … and notes how that ends."""

    name = "ending"
    takes = 4.0

    @timer(10)
    async def tick(self) -> None:
        self.seen.append("began")
        try:
            await asyncio.sleep(self.takes)
            self.seen.append("done")
        except asyncio.CancelledError:
            self.seen.append("cut off")
            raise

    async def stopped(self) -> None:
        self.seen.append("stopped")


@pytest.mark.parametrize(("takes", "ends"), [(4.0, "done"), (60.0, "cut off")])
@pytest.mark.parametrize("what", ["node", "service"])
def test_what_runs_is_waited_for_and_then_cut_off(sim: Simulation, takes: float, ends: str, what: str) -> None:
    service = Ending()
    service.takes = takes
    at(sim, service, 11, shutdown_timeout=5.0)

    sim.run_until(sim["a"].stop() if what == "node" else sim["a"].destroy_service(service))
    sim.run(30)

    assert ["began", ends, "stopped"] == service.seen


def test_nothing_begins_while_the_node_stops(sim: Simulation) -> None:
    class Busy(Ending):
        takes = 8.0

        @timer(1)
        async def often(self) -> None:
            self.seen.append("often")

    service = at(sim, Busy(), 10.5)
    often = service.seen.count("often")
    sim.run_until(sim["a"].stop())

    assert often == service.seen.count("often")
    assert ["done", "stopped"] == service.seen[-2:]


def test_a_run_may_stop_its_own_node(sim: Simulation) -> None:
    class Ends(Notes):
        name = "ends"

        @timer(10)
        async def tick(self) -> None:
            self.seen.append("tick")
            await self.broker.stop()

    service = at(sim, Ends(), 30)

    assert ["tick"] == service.seen
    assert not service.broker.started
    sim["a"].alive = False


def test_a_service_that_comes_later_ticks_from_then_on(sim: Simulation) -> None:
    sim.node("a")
    sim.run_until(sim.settled())
    sim.run(7)
    service = Ticks()
    sim.run_until(sim["a"].register(service))
    sim.run(25)

    assert [10, 20] == [when for name, when in service.seen if name == "slow"]


def test_nothing_runs_where_the_start_fails(sim: Simulation) -> None:
    class Fails(Notes):
        name = "fails"

        async def started(self) -> None:
            await asyncio.sleep(5)
            raise ValueError("no")

    service = Ticks()
    node = sim.node("a", service, Fails())
    with pytest.raises(ValueError, match="no"):
        sim.run_until(node.ready())
    sim.run(30)

    assert [] == service.seen
