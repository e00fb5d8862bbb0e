"""Strategies: which of several ready endpoints is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import RoundRobin, strategy_factory
from tautomer.errors import BrokerOptionsError


class TestRoundRobin:
    def test_takes_one_after_the_other_and_begins_again(self) -> None:
        strategy = RoundRobin()

        assert ["a", "b", "c", "a", "b"] == [strategy.select(["a", "b", "c"], None) for _ in range(5)]

    def test_begins_again_when_the_list_got_shorter(self) -> None:
        strategy = RoundRobin()
        for _ in range(3):
            strategy.select(["a", "b", "c"], None)

        assert "a" == strategy.select(["a", "b"], None)

    def test_goes_on_when_the_list_got_longer(self) -> None:
        strategy = RoundRobin()
        strategy.select(["a", "b"], None)
        strategy.select(["a", "b"], None)

        assert "c" == strategy.select(["a", "b", "c"], None)

    @given(st.lists(st.integers(1, 5), max_size=30))
    def test_takes_what_node_takes(self, lengths: list[int]) -> None:
        """Node: reset the counter to 0 when it is at or over the length, take, add one."""
        strategy, counter = RoundRobin(), 0
        for length in lengths:
            if counter >= length:
                counter = 0
            expected = counter
            counter += 1

            assert expected == strategy.select(range(length), None)


class TestByName:
    @pytest.mark.parametrize("name", ["RoundRobin", "roundrobin", "ROUNDROBIN"])
    def test_a_name_is_found_however_it_is_spelt(self, name: str) -> None:
        assert RoundRobin is strategy_factory(name)

    def test_a_class_or_a_function_is_taken_as_it_is(self) -> None:
        def make() -> RoundRobin:
            return RoundRobin()

        assert make is strategy_factory(make)
        assert RoundRobin is strategy_factory(RoundRobin)

    def test_an_unknown_name_is_refused_with_those_that_are_known(self) -> None:
        with pytest.raises(BrokerOptionsError, match=r"'Rondrobin' is not known; known: .*RoundRobin"):
            strategy_factory("Rondrobin")

    @pytest.mark.parametrize("odd", [5, RoundRobin(), {"type": "RoundRobin"}])
    def test_what_makes_no_strategy_is_refused(self, odd: object) -> None:
        with pytest.raises(BrokerOptionsError, match="a name or a class"):
            strategy_factory(odd)  # type: ignore[arg-type]  # That is the point.
