"""What an INFO changes, what it leaves alone, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tautomer.balancing import RoundRobin, Shard
from tautomer.protocol.packets import Info, ServiceInfo
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import Registry

from .making import ME, info, listener, offer, registry, service


def endpoint(known: Registry, name: str, node: str = "a") -> Endpoint | None:
    found = known.actions.get(name)
    return None if found is None else found.on_node(node)


class TestWhatIsTheSame:
    def test_keeps_its_objects(self) -> None:
        """A circuit breaker's state hangs on them."""
        known = registry()
        known.apply(info("a", offer("math", "math.add", "math.sub", events=("x",))), 0.0)
        before = [endpoint(known, "math.add"), *known.events.everyone("x", None), *known.services]

        changed = known.apply(info("a", offer("math", "math.add", "math.sub", events=("x",)), seq=3), 0.0)

        assert not changed
        after = [endpoint(known, "math.add"), *known.events.everyone("x", None), *known.services]
        assert all(one is other for one, other in zip(before, after, strict=True))
        assert 3 == known.nodes["a"].seq

    def test_keeps_them_when_something_else_of_the_node_changes(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add", "math.sub"), offer("mail", "mail.send", events=("x",))), 0.0)
        add, send = endpoint(known, "math.add"), endpoint(known, "mail.send")
        (heard,) = known.events.everyone("x", None)

        assert known.apply(
            info("a", offer("math", "math.add", "math.mul"), offer("mail", "mail.send", events=("x", "y"))), 0.0
        )

        assert (add, send) == (endpoint(known, "math.add"), endpoint(known, "mail.send"))
        assert [heard] == known.events.everyone("x", None)
        assert None is endpoint(known, "math.sub")
        assert None is not endpoint(known, "math.mul")

    def test_keeps_the_turn_of_its_list(self) -> None:
        known = registry()
        for node in ("a", "b", "c"):
            known.apply(info(node, offer("math", "math.add")), 0.0)
        list_ = known.actions["math.add"]
        picked = [list_.next(None)]
        known.apply(info("b", offer("math", "math.add"), offer("mail"), seq=3), 0.0)
        picked += [list_.next(None), list_.next(None)]

        assert ["a", "b", "c"] == [one and one.node_id for one in picked]

    @pytest.mark.parametrize(
        "other",
        [
            ServiceInfo("math", actions={"math.add": {"name": "math.add"}}, events={}, settings={"a": 1}),
            ServiceInfo("math", actions={"math.add": {"name": "math.add"}}, events={}, metadata={"a": 1}),
            ServiceInfo("math", actions={"math.add": {"name": "math.add"}}, events={}, version=2, full_name="math"),
        ],
    )
    def test_an_endpoint_knows_what_its_service_says_now(self, other: ServiceInfo) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add")), 0.0)
        kept = endpoint(known, "math.add")

        assert known.apply(info("a", other, seq=3), 0.0)

        assert kept is endpoint(known, "math.add")
        assert kept is not None
        assert (other.settings or {}, other.metadata or {}, other.version) == (
            kept.service.settings,
            kept.service.metadata,
            kept.service.version,
        )


class TestWhatIsAnother:
    def test_takes_the_place_of_the_old_one(self) -> None:
        known = registry()
        for node in ("a", "b"):
            known.apply(info(node, offer("math", "math.add")), 0.0)
        before = endpoint(known, "math.add")

        slower = ServiceInfo("math", actions={"math.add": {"name": "math.add", "timeout": 5000}})
        assert known.apply(info("a", slower, seq=3), 0.0)

        after = endpoint(known, "math.add")
        assert after is not before
        assert after is not None
        assert 5.0 == after.timeout
        assert ["a", "b"] == [one.node_id for one in known.actions["math.add"].all]

    def test_goes_when_it_is_for_its_own_node_only(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add")), 0.0)
        closed = ServiceInfo("math", actions={"x": {"name": "math.add", "visibility": "protected"}})

        assert known.apply(info("a", closed, seq=3), 0.0)
        assert None is endpoint(known, "math.add")
        assert known.apply(info("a", offer("math", "math.add"), seq=4), 0.0)
        assert None is not endpoint(known, "math.add")

    def test_an_action_changes_its_service(self) -> None:
        known = registry()
        known.apply(info("a", offer("one", "add")), 0.0)
        known.apply(info("a", offer("one"), offer("two", "add"), seq=3), 0.0)

        found = endpoint(known, "add")
        assert found is not None
        assert "two" == found.service.full_name

    def test_of_two_services_with_one_action_the_other_has_it_when_one_goes(self) -> None:
        known = registry()
        known.apply(info("a", offer("one", "add"), offer("two", "add")), 0.0)
        known.apply(info("a", offer("one", "add"), seq=3), 0.0)

        found = endpoint(known, "add")
        assert found is not None
        assert "one" == found.service.full_name

    def test_a_listener_moves_to_another_group(self) -> None:
        known = registry()
        known.apply(info("a", ServiceInfo("math", events={"x": {"name": "x", "group": "one"}})), 0.0)
        known.apply(info("a", ServiceInfo("math", events={"x": {"name": "x", "group": "two"}}), seq=3), 0.0)

        assert ["two"] == known.events.groups("x")
        assert 1 == len(known.events.lists)


class TestStrategies:
    SHARDED = ServiceInfo(
        "math",
        actions={"math.add": {"name": "math.add", "strategy": "Shard", "strategyOptions": {"shardKey": "id"}}},
        events={"x": {"name": "x", "strategy": "Shard"}},
    )

    def test_of_a_list_is_what_its_first_member_says(self) -> None:
        known = registry()
        known.apply(info("a", self.SHARDED), 0.0)
        known.apply(info("b", offer("math", "math.add", "math.sub", events=("x",))), 0.0)

        assert isinstance(known.actions["math.add"]._strategy, Shard)
        assert isinstance(known.events.lists[0]._strategy, Shard)
        assert isinstance(known.actions["math.sub"]._strategy, RoundRobin)

    def test_is_asked_anew_when_all_had_gone(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add")), 0.0)
        known.apply(info("a", seq=3), 0.0)
        known.apply(info("b", self.SHARDED), 0.0)

        assert isinstance(known.actions["math.add"]._strategy, Shard)

    def test_sees_the_node_of_each_endpoint(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add", events=("x",))), 0.0)
        mine = listener("x")
        known.register_local(service(), [], [mine])

        assert known.nodes["a"] is endpoint(known, "math.add").node  # type: ignore[union-attr]  # It is there.
        assert {known.nodes["a"], known.local_node} == {one.node for one in known.events.everyone("x", None)}
        assert known.local_node is mine.node


def whole(node: int, seq: int = 2, *more: str) -> Info:
    """A node with 20 actions in four services."""
    services = [offer(f"s{s}", *(f"s{s}.a{a}" for a in range(5)), *more, events=(f"e{s}.*",)) for s in range(4)]
    return info(f"n{node}", *services, seq=seq)


def cpu_seconds(act: Callable[[], Any]) -> float:
    """The least of three, as other processes take their share, too."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        act()
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.slow
class TestAThousandNodes:
    """Each limit is about five times what it took on a slow machine."""

    @pytest.fixture
    def known(self) -> Registry:
        made = registry()
        for node in range(1_000):
            made.apply(whole(node), 0.0)
        return made

    def test_an_info_takes_under_two_milliseconds(self, known: Registry) -> None:
        fresh, same, other = ([whole(number, seq, *more) for number in range(100)] for seq, more in FORMS)
        known.forget("n0", 0.0)

        def leave_and_join() -> None:
            for one in fresh:
                known.forget(one.sender, 0.0)
                known.apply(one, 0.0)

        def apply(infos: list[Info]) -> None:
            for one in infos:
                known.apply(one, 0.0)

        assert cpu_seconds(leave_and_join) < 100 * 0.002
        assert cpu_seconds(lambda: apply(same)) < 100 * 0.002
        assert cpu_seconds(lambda: (apply(other), apply(same))) < 200 * 0.002

    def test_the_time_of_a_choice_does_not_grow_with_them(self, known: Registry) -> None:
        few = registry()
        for node in range(2):
            few.apply(whole(node), 0.0)

        def choose(among: Registry) -> float:
            next_ = among.actions["s0.a0"].next
            next_(None)
            return cpu_seconds(lambda: [next_(None) for _ in range(20_000)])

        assert choose(known) < 5 * choose(few)

    def test_a_node_that_goes_takes_under_two_milliseconds(self, known: Registry) -> None:
        nodes = [f"n{number}" for number in range(300, 400)]

        assert cpu_seconds(lambda: [known.forget(node, 0.0) for node in nodes]) < 100 * 0.002

    def test_whether_a_service_is_known_is_one_look(self, known: Registry) -> None:
        assert cpu_seconds(lambda: [known.has_service("nobody's") for _ in range(10_000)]) < 0.05


FORMS: tuple[tuple[int, tuple[str, ...]], ...] = ((2, ()), (2, ()), (3, ("extra",)))


def test_a_local_service_comes_and_goes_without_a_look_at_the_others() -> None:
    known = registry()
    for node in range(100):
        known.apply(whole(node), 0.0)
    mine = service(name="mine")
    mine.actions = {"s0.a0": {"name": "s0.a0"}}

    known.register_local(mine, [Endpoint("s0.a0", ME, True, mine, {}, _nothing)], [])
    assert ME == known.actions["s0.a0"].next(None).node_id  # type: ignore[union-attr]  # It is there.
    known.unregister_local(mine)
    assert 100 == len(known.actions["s0.a0"])


async def _nothing(_ctx: Any) -> None: ...
