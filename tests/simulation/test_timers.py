"""Timers of the mesh, ``once_per="mesh"``: exactly one node while the mesh is whole; what happens where it is not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Context, Service, cron, timer
from tautomer.testing.network import Conditions
from tautomer.testing.simulation import Simulation

pytestmark = pytest.mark.slow

EVERY = 5.0
IDS = ("a", "b", "c", "d")
SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(5, 60))]
HEARTBEAT = {"heartbeat_interval": 2.0, "heartbeat_timeout": 8.0}
TAKEN_NOTICE = HEARTBEAT["heartbeat_timeout"] + 2.0
"""Seconds after which all know of a node that has gone without a word, or is there again."""


class Record:
    """Which node did what at which instant of the wall clock."""

    def __init__(self) -> None:
        self.of: dict[str, dict[float, list[str]]] = defaultdict(lambda: defaultdict(list))

    def service(self, every: float = EVERY) -> Callable[[], Service]:
        record = self

        class Jobs(Service):
            name = "jobs"
            version = 2

            @timer(every, once_per="mesh")
            async def one(self, ctx: Context) -> None:
                record.of["one"][ctx.params["at"]].append(self.broker.node_id)

            @timer(every, once_per="mesh")
            async def two(self, ctx: Context) -> None:
                record.of["two"][ctx.params["at"]].append(self.broker.node_id)

            @cron("* * * * *", once_per="mesh")
            async def minutely(self, ctx: Context) -> None:
                record.of["minutely"][ctx.params["at"]].append(self.broker.node_id)

            @timer(every)
            async def own(self, ctx: Context) -> None:
                record.of["own"][ctx.params["at"]].append(self.broker.node_id)

        return Jobs

    def counts(self, name: str, begin: float, end: float, every: float = EVERY) -> list[int]:
        """How often each instant from `begin` on and before `end` was done."""
        first = -(-begin // every) * every
        instants = [first + every * number for number in range(int((end - first) // every) + 1)]
        return [len(self.of[name].get(round(at, 3), ())) for at in instants if begin <= at < end]

    def clear(self) -> None:
        self.of.clear()


def mesh(seed: int, record: Record, ids: tuple[str, ...] = IDS, **conditions: Any) -> Simulation:
    sim = Simulation(seed, conditions=Conditions(**conditions) if conditions else None, **HEARTBEAT)
    for id in ids:
        sim.node(id, record.service())
    sim.run_until(sim.settled())
    return sim


def wall(sim: Simulation) -> float:
    return next(node.host.wall_ms() / 1000 for node in sim.living)


@pytest.mark.parametrize("seed", SEEDS)
def test_while_the_mesh_is_whole_exactly_one_node_does_it_each_time(seed: int) -> None:
    record = Record()
    with mesh(seed, record) as sim:
        begin = wall(sim)
        sim.run(130)

        for name, every in (("one", EVERY), ("two", EVERY), ("minutely", 60.0)):
            counts = record.counts(name, begin, wall(sim) - 1, every)
            assert {1} == set(counts), name
            # It stays with one node as long as all are there.
            assert 1 == len({node for nodes in record.of[name].values() for node in nodes})
        # What is each node's own affair is done by each.
        own = Counter(node for nodes in record.of["own"].values() for node in nodes)
        assert set(IDS) == set(own)
        assert {26} >= set(own.values()) - {25}


def owner(record: Record, name: str = "one") -> str:
    return record.of[name][max(record.of[name])][0]


@pytest.mark.parametrize("seed", SEEDS)
def test_where_its_node_leaves_another_does_it_and_at_most_one_time_is_missed_or_doubled(seed: int) -> None:
    record = Record()
    with mesh(seed, record) as sim:
        sim.run(EVERY + 1)
        left = owner(record)
        # At any moment, that of an instant included.
        sim.run(sim.random.uniform(0, EVERY) if seed % 2 else (EVERY - wall(sim) % EVERY))
        begin = wall(sim)
        sim.run_until(sim[left].stop())
        sim.run(60)

        counts = record.counts("one", begin - EVERY, wall(sim) - 1)
        assert sum(abs(count - 1) for count in counts) <= 1, counts
        assert left != owner(record)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_its_node_dies_times_are_missed_until_that_is_noticed_and_no_longer(seed: int) -> None:
    record = Record()
    with mesh(seed, record) as sim:
        sim.run(EVERY + 1)
        dead = owner(record)
        sim.run(sim.random.uniform(0, EVERY))
        begin = wall(sim)
        sim.crash(dead)
        sim.run(60)

        assert {0, 1} >= set(record.counts("one", begin, begin + TAKEN_NOTICE))
        assert {1} == set(record.counts("one", begin + TAKEN_NOTICE, wall(sim) - 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_split_each_side_does_it_and_once_it_heals_one_again(seed: int) -> None:
    record = Record()
    with mesh(seed, record) as sim:
        begin = wall(sim)
        sim.split(["a", "b"])
        sim.run(60)
        healed = wall(sim)
        sim.heal()
        sim.run(60)

        assert {2} == set(record.counts("one", begin + TAKEN_NOTICE, healed))
        assert {1, 2} >= set(record.counts("one", begin, healed + TAKEN_NOTICE))
        assert {1} == set(record.counts("one", healed + TAKEN_NOTICE, wall(sim) - 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_in_the_end_one_does_it(seed: int) -> None:
    """Nodes crash, stop, start, stall and are parted, on a network that loses; then all rests."""
    record = Record()
    with mesh(seed, record, loss=0.02) as sim:
        for _ in range(12):
            id = sim.random.choice(IDS)
            alive = sim[id].alive
            match sim.random.randrange(4):
                case 0 if alive and len(sim.living) > 1:
                    sim.crash(id)
                case 1 if alive and len(sim.living) > 1:
                    sim.run_until(sim[id].stop())
                case 2 if alive:
                    sim.stall(id, sim.random.uniform(1, 20))
                case _ if alive:
                    sim.split([id])
                case _:
                    sim.restart(id)
            sim.run(sim.random.uniform(1, 20))
        sim.heal()
        sim.run(3 * TAKEN_NOTICE)
        begin = wall(sim)
        sim.run(60)

        assert {1} == set(record.counts("one", begin, wall(sim) - 1))
        assert {1} == set(record.counts("two", begin, wall(sim) - 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_stood_still_for_long_does_not_do_what_others_have_done(seed: int) -> None:
    record = Record()
    with mesh(seed, record) as sim:
        sim.run(EVERY + 1)
        stalled = owner(record)
        record.clear()
        sim.stall(stalled, 60)
        sim.run(100)

        # But for the moment in which it wakes: the others do not know yet that it is back, nor does it know what they think.
        doubled = [at for at, nodes in record.of["one"].items() if len(nodes) > 1]
        assert 1 >= len(doubled), doubled


def test_clocks_that_differ_still_agree_on_the_instants() -> None:
    record = Record()
    with mesh(3, record) as sim:
        sim.jump("a", 0.7)
        sim.jump("b", -0.4)
        sim.run(20)
        record.clear()
        begin = wall(sim)
        sim.run(60)

        assert {1} == set(record.counts("one", begin + EVERY, wall(sim) - EVERY))


def test_nodes_whose_timers_differ_do_not_wait_for_each_other() -> None:
    """While a new version is rolled out: what the old nodes do and what the new ones do are two things."""
    record, newer = Record(), Record()
    with mesh(5, record, ids=("a", "b")) as sim:
        for id in ("c", "d"):
            sim.node(id, newer.service(every=7.0))
        sim.node("e", lambda: Service("jobs", version=2))
        sim.run_until(sim.settled())
        record.clear()
        begin = wall(sim)
        sim.run(60)

        assert {1} == set(record.counts("one", begin, wall(sim) - 1))
        assert {1} == set(newer.counts("one", begin, wall(sim) - 1, 7.0))
        assert {"a", "b"} >= {node for nodes in record.of["one"].values() for node in nodes}


def test_many_timers_spread_over_the_nodes() -> None:
    seen: Counter[str] = Counter()

    def tick(number: int) -> Any:
        async def run(self: Service) -> None:
            seen[self.broker.node_id] += 1

        return timer(EVERY, once_per="mesh", name=f"tick{number}")(run)

    jobs = type("Jobs", (Service,), {"name": "jobs", **{f"tick{number}": tick(number) for number in range(40)}})
    with Simulation(1, **HEARTBEAT) as sim:
        for id in IDS:
            sim.node(id, jobs)
        sim.run_until(sim.settled())
        sim.run(EVERY)

        assert 40 == sum(seen.values())
        assert all(3 <= seen[id] <= 20 for id in IDS), seen
