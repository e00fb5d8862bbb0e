"""StrategySuite: behaviour that every strategy keeps. A subclass says only how to make one."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tautomer.ports import Strategy

from .making import call, endpoint

NODES = [endpoint(f"n{number}", hostname=f"h{number % 3}", cpu=number) for number in range(8)]


class StrategySuite:
    """Inherit it, and say in `make` how one is made."""

    def make(self, chance: random.Random) -> Strategy:
        """A fresh one, with this source of all chance."""
        raise NotImplementedError

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(
            st.tuples(st.lists(st.sampled_from(NODES), min_size=1, unique_by=id), st.none() | st.integers(0, 5)),
            max_size=12,
        )
    )
    def test_it_takes_one_of_those_it_is_given(self, steps: list[tuple[list[object], int | None]]) -> None:
        """Nodes come and go between any two calls, and a call may have no context."""
        strategy = self.make(random.Random(1))
        for members, key in steps:
            ctx = None if key is None else call({"id": key}, {"id": key})
            assert strategy.select(tuple(members), ctx) in members  # type: ignore[arg-type]  # They are endpoints.

    def test_of_one_it_takes_that(self) -> None:
        strategy = self.make(random.Random(1))

        assert [NODES[0]] * 3 == [strategy.select((NODES[0],), call({"id": n})) for n in range(3)]

    def test_with_the_same_chance_it_takes_the_same(self) -> None:
        """A simulation replays a run by its seed."""
        members = tuple(NODES)
        runs = []
        for _ in range(2):
            strategy = self.make(random.Random(7))
            runs.append([strategy.select(members, call({"id": n} if n % 2 else {})) for n in range(40)])

        assert runs[0] == runs[1]

    def test_it_leaves_what_it_is_given_as_it_is(self) -> None:
        strategy, members, params = self.make(random.Random(1)), list(NODES), {"id": 5}
        for _ in range(5):
            strategy.select(members, call(params, {"id": 1}))

        assert (NODES, {"id": 5}) == (members, params)

    def test_nothing_is_kept_for_each_call(self) -> None:
        """Keys of calls are without end."""
        strategy, members = self.make(random.Random(1)), tuple(NODES)
        for number in range(5_000):
            strategy.select(members, call({"id": f"key-{number}"}))

        slots = [getattr(strategy, name, None) for name in getattr(type(strategy), "__slots__", ())]
        assert all(len(held) <= 1_000 for held in slots if isinstance(held, dict | list | set))
