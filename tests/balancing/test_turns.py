"""Strategies that look at no endpoint."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import Random, RoundRobin


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


class TestRandom:
    def test_takes_each_about_as_often(self) -> None:
        strategy = Random(random.Random(1))

        counted = Counter(strategy.select("abcd", None) for _ in range(4_000))

        assert set("abcd") == set(counted)
        assert all(900 < times < 1_100 for times in counted.values())

    def test_of_the_same_chance_takes_the_same(self) -> None:
        runs = [[Random(random.Random(7)).select("abcdefgh", None) for _ in range(3)] for _ in range(2)]

        assert runs[0] == runs[1]
