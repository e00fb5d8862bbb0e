"""Hedge, held against a list of its attempts; and RecentTimes."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.hedge import Hedge, RecentTimes


def test_another_attempt_is_due_after_the_delay_and_only_so_many():
    hedge = Hedge(0.1, 2)

    hedge.began(0.0, first=True)
    assert 0.1 == hedge.due
    hedge.began(0.1)
    assert 0.2 == hedge.due
    hedge.began(0.2)
    assert (inf, 3) == (hedge.due, hedge.running)


def test_a_failure_makes_the_next_one_due_at_once():
    hedge = Hedge(10.0, 1)
    hedge.began(0.0, first=True)

    hedge.failed(1.0)

    assert (1.0, False) == (hedge.due, hedge.over)
    hedge.began(1.0)
    hedge.failed(2.0)
    assert hedge.over


def test_who_has_nobody_else_to_ask_waits_for_those_that_run():
    hedge = Hedge(0.1, 3)
    hedge.began(0.0, first=True)

    hedge.stop()

    assert (inf, False) == (hedge.due, hedge.over)
    hedge.failed(1.0)
    assert hedge.over


@pytest.mark.parametrize(("delay", "extra"), [(-1, 1), (1, -1)])
def test_options_that_make_no_sense_are_refused(delay, extra):
    with pytest.raises(BrokerOptionsError):
        Hedge(delay, extra)


class Attempts(RuleBasedStateMachine):
    """Never more than so many, none before it is due, and the end is when nothing runs and nothing may come."""

    @initialize(delay=st.floats(0, 5), extra=st.integers(0, 4))
    def begin(self, delay: float, extra: int) -> None:
        self.hedge = Hedge(delay, extra)
        self.delay, self.left = delay, extra
        self.now = self.latest = 0.0
        self.running, self.failed, self.stopped = 1, False, False
        self.hedge.began(0.0, first=True)

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.hedge.due <= self.now)
    @rule()
    def begins(self) -> None:
        assert self.failed or self.now >= self.latest + self.delay
        self.hedge.began(self.now)
        self.running, self.left = self.running + 1, self.left - 1
        self.latest, self.failed = self.now, False

    @precondition(lambda self: self.running)
    @rule()
    def fails(self) -> None:
        self.hedge.failed(self.now)
        self.running, self.failed = self.running - 1, True

    @rule()
    def nobody_is_left(self) -> None:
        self.hedge.stop()
        self.left = 0

    @invariant()
    def agrees(self) -> None:
        assert (self.running, self.left) == (self.hedge.running, self.hedge.extra)
        assert self.hedge.over == (not self.running and not self.left)
        if self.left:
            assert self.hedge.due == (self.now if self.failed else self.latest + self.delay) or self.failed
        else:
            assert inf == self.hedge.due


TestAttempts = Attempts.TestCase


def test_of_few_times_nothing_can_be_told():
    times = RecentTimes()
    for _ in range(19):
        times.add(0.1, 1.0)

    assert inf == times.p95(1.0)
    times.add(0.1, 1.0)
    assert 0.1 == times.p95(2.5)


def test_what_is_older_than_a_minute_is_forgotten():
    times = RecentTimes()
    for second in range(60):
        times.add(9.0, float(second))
    for second in range(60, 121):
        times.add(0.1, float(second))

    assert 0.1 == times.p95(121.0)
    assert inf == times.p95(300.0)


@given(st.lists(st.floats(0.001, 10), min_size=20, max_size=100))
def test_nineteen_of_twenty_are_within_it(took):
    times = RecentTimes()
    for one in took:
        times.add(one, 1.0)

    p95 = times.p95(1.0)

    assert sum(one <= p95 for one in took) >= 0.95 * len(took)
    assert sum(one < p95 for one in took) < 0.95 * len(took)


def test_only_so_many_are_kept():
    times = RecentTimes()
    for number in range(100_000):
        times.add(1.0, number / 1000)

    assert 600 == sum(len(part) for part in times._parts)
