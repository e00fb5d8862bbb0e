"""Overload, storms of retries and slow nodes, in figures: what of the work is still done while there is too much of it.

The promises are L1 and L2 of the reliability reference. The figures are printed; see them with ``-s``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.errors import MoleculerRetryableError
from tautomer.settings import TransitSettings
from tautomer.testing import Simulation
from tests.simulation.load import Load, Pool, Requests, percentile

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3)

CAPACITY = 100.0
"""Calls a second that each of these services can do."""

DEADLINE = 1.0
"""Seconds that each call has."""

REFUSED_WITHIN = 0.05


class Busy(Service):
    """An action that computes: while it does, its node does nothing else."""

    name = "busy"

    def __init__(self, sim: Simulation) -> None:
        super().__init__()
        self.sim = sim

    @action
    async def compute(self, ctx: Context[Any]) -> str:
        self.sim.stall(self.broker.id, self.broker.host.random.uniform(0.8, 1.2) / CAPACITY)
        await asyncio.sleep(0)
        return "done"


class Narrow(Pool):
    """The pool behind a bulkhead."""

    name = "pool"

    @action(bulkhead={"concurrency": 10, "max_queue_size": 30})
    async def guarded(self, ctx: Context[Any]) -> str:
        await self.use()
        return "done"

    @action(bulkhead={"concurrency": "adaptive", "max_queue_size": 10})
    async def adaptive(self, ctx: Context[Any]) -> str:
        await self.use()
        return "done"


def pool(_sim: Simulation) -> Service:
    return Narrow(10, 10 / CAPACITY)


Case = tuple[str, Callable[[Simulation], Service], dict[str, Any]]

CASES: dict[str, Case] = {
    "a bulkhead": ("pool.guarded", pool, {}),
    "a bulkhead that finds its limit": ("pool.adaptive", pool, {}),
    "the node's limit, computing": ("busy.compute", Busy, {}),
    "the node's limit, waiting": ("pool.plain", pool, {"transit": TransitSettings(in_flight_max=30)}),
    "a node that finds its limit": ("pool.plain", pool, {"transit": TransitSettings(in_flight_max="adaptive")}),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", CASES)
def test_at_three_times_what_it_can_a_service_does_what_it_can_and_refuses_the_rest(case: str, seed: int) -> None:
    name, service, settings = CASES[case]
    with Simulation(seed) as sim:
        sim.node("server", lambda: service(sim), **settings)
        sim.node("caller")
        sim.run_until(sim.settled())
        load = Load(sim, "caller", name, DEADLINE)
        began = sim.now + 15

        async def wave() -> None:
            await load.run(0.5 * CAPACITY, 15)
            await load.run(3 * CAPACITY, 10)
            await load.run(0.5 * CAPACITY, 4)

        sim.run_until(wave())
        statistics = sim["server"].broker.statistics()

    good = load.good(began + 1, began + 10) / CAPACITY
    refused = [one.ended - one.began for one in load.between(began, began + 10) if one.outcome == "QueueIsFullError"]
    after = load.between(began + 11, began + 13)
    answered = sum(one.outcome == "ok" for one in after) / len(after)
    print(
        f"\n3 x capacity, {case}, seed {seed}: goodput {good:.0%}, {load.outcomes(began, began + 10)}, "
        f"refused within {1000 * max(refused):.0f} ms, answered a second later {answered:.0%}"
    )

    assert good >= 0.9
    assert max(refused) <= REFUSED_WITHIN
    assert answered >= 0.99
    assert statistics["transit"]["refused"] + sum(one["refused"] for one in statistics["bulkheads"].values())


def test_without_a_limit_that_fits_the_same_service_does_next_to_nothing() -> None:
    """The proof that the ones above can fail: a thousand wait for ten connections, and each for longer than it has."""
    with Simulation(1) as sim:
        sim.node("server", lambda: pool(sim))
        sim.node("caller")
        sim.run_until(sim.settled())
        load = Load(sim, "caller", "pool.plain", DEADLINE)
        began = sim.now
        sim.run_until(load.run(3 * CAPACITY, 10))

    good = load.good(began + 2, began + 10) / CAPACITY
    print(f"\n3 x capacity, no limit that fits: goodput {good:.0%}")

    assert good < 0.5


# --- storms of retries ---


class Sick(Pool):
    """The pool, which may fail or become slow."""

    name = "pool"

    def __init__(self, state: dict[str, float]) -> None:
        super().__init__(10, 0.1)
        self.state = state

    @action(idempotent=True)
    async def read(self, ctx: Context[Any]) -> str:
        if self.state["fails"]:
            raise MoleculerRetryableError("out of order")
        async with self.connections:
            await asyncio.sleep(0.1 * self.state["slow"] * self.broker.host.random.uniform(0.8, 1.2))
        return "done"


SERVERS = ("server-1", "server-2")
CALLERS = ("caller-1", "caller-2")
RATE = 120.0

FAILURES = ("all servers die", "one server dies", "all calls fail", "all calls take ten times as long")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("seconds", [10, 17])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_under_load_gets_no_storm_of_retries_and_is_over_when_it_is(
    failure: str, seconds: int, seed: int
) -> None:
    state = {"fails": 0.0, "slow": 1.0}
    dying = SERVERS if failure == "all servers die" else SERVERS[:1] if failure == "one server dies" else ()
    # The message broker does not say that nobody listens: whoever asks a dead server finds out by waiting.
    with Simulation(seed, tells_undelivered=False, expected_errors=["action failed"]) as sim:
        for node_id in SERVERS:
            sim.node(node_id, lambda: Sick(state))
        for node_id in CALLERS:
            sim.node(node_id, retry_policy={"enabled": True})
        sim.run_until(sim.settled())
        requests = Requests(sim.network)
        loads = [Load(sim, node_id, "pool.read", DEADLINE) for node_id in CALLERS]
        begin = sim.now + 12
        end = begin + seconds

        async def fail() -> None:
            await asyncio.sleep(12)
            for node_id in dying:
                sim.crash(node_id)
            state["fails"] = failure == "all calls fail"
            state["slow"] = 10.0 if failure == "all calls take ten times as long" else 1.0
            await asyncio.sleep(seconds)
            for node_id in dying:
                sim.restart(node_id)
            state.update(fails=0, slow=1.0)

        async def everything() -> None:
            await asyncio.gather(fail(), *(load.run(RATE / len(loads), 12 + seconds + 6) for load in loads))

        sim.run_until(everything())

    calls = sum(len(load.between(begin, end)) for load in loads)
    attempts = requests.between(begin, end) / calls
    after = [one for load in loads for one in load.between(end + 3, end + 6)]
    answered = sum(one.outcome == "ok" for one in after) / len(after)
    print(
        f"\n{failure} for {seconds} s, seed {seed}: {calls} calls, {attempts:.3f} attempts each, "
        f"answered three seconds after {answered:.0%}"
    )

    assert attempts <= 1.2
    assert answered >= 0.99


# --- hedging ---


class Uneven(Service):
    """Answers within ten milliseconds, but for the one node of three that stands still for half a second now and then."""

    name = "uneven"

    @action(idempotent=True)
    async def read(self, ctx: Context[Any]) -> str:
        chance = self.broker.host.random
        pause = 0.5 if self.broker.id == "server-1" and chance.random() < 0.1 else chance.uniform(0.005, 0.01)
        await asyncio.sleep(pause)
        return "done"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slow_moments_of_one_node_are_not_felt_by_those_who_hedge(seed: int) -> None:
    took, requests_each = {}, {}
    for hedged in (False, True):
        with Simulation(seed) as sim:
            for number in (1, 2, 3):
                sim.node(f"server-{number}", Uneven)
            sim.node("caller", hedge={"enabled": hedged})
            sim.run_until(sim.settled())
            requests = Requests(sim.network)
            load = Load(sim, "caller", "uneven.read", 5.0)
            began = sim.now
            sim.run_until(load.run(100, 30))
        measured = load.between(began + 5, began + 30)
        took[hedged] = [one.ended - one.began for one in measured]
        requests_each[hedged] = len(requests.at) / len(load.calls)
    shown = {
        hedged: " / ".join(f"{1000 * percentile(took[hedged], part):.0f}" for part in (0.5, 0.95, 0.99))
        for hedged in took
    }
    print(
        f"\none slow node of three, seed {seed}: p50 / p95 / p99 {shown[False]} ms, hedged {shown[True]} ms "
        f"with {requests_each[True]:.3f} requests a call"
    )

    assert percentile(took[False], 0.99) >= 0.5
    assert percentile(took[True], 0.99) <= 0.05
    assert requests_each[True] <= 1.2
