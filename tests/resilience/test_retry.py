"""Backoff and RetryBudget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.retry import Backoff, RetryBudget


def test_pauses_grow_to_the_longest():
    backoff = Backoff(delay=0.1, factor=2, max_delay=1.0, jitter=0.0)

    assert [0.1, 0.2, 0.4, 0.8, 1.0, 1.0] == [pytest.approx(backoff.pause(n, 0.5)) for n in range(1, 7)]
    assert 1.0 == backoff.pause(100_000, 0.5)


@given(
    attempt=st.integers(1, 10_000),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 1),
    delay=st.floats(0, 100),
    most=st.floats(0, 100),
)
def test_a_pause_lies_between_what_jitter_leaves_and_the_whole(attempt, chance, jitter, delay, most):
    whole = Backoff(delay=delay, max_delay=most, jitter=0.0).pause(attempt, chance)

    pause = Backoff(delay=delay, max_delay=most, jitter=jitter).pause(attempt, chance)

    assert whole * (1 - jitter) - 1e-9 <= pause <= whole <= most


def test_a_dead_service_gets_a_fifth_more_attempts_and_a_few():
    budget = RetryBudget()
    made = 0
    for tick in range(60_000):  # A thousand calls a second for a minute, all of which would be tried again.
        now = tick / 1000
        budget.called(now)
        made += budget.spend(now)

    assert 0.2 * 60_000 - 30 <= made <= 0.2 * 60_000 + 3 * 60 + 60


def test_few_calls_may_be_tried_again_in_any_case():
    budget = RetryBudget(percent=0.2, min_per_second=3, window=10)

    assert 30 == sum(budget.spend(0.0) for _ in range(100))
    assert not budget.spend(10.0)
    assert 3 == sum(budget.spend(11.0) for _ in range(100))
    assert 24 <= sum(budget.spend(50.0) for _ in range(100)) <= 30


def test_none_is_left_where_there_shall_be_none():
    assert not RetryBudget(percent=0, min_per_second=0).spend(0.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300))
def test_what_is_spent_never_exceeds_what_is_there(steps):
    budget, now = RetryBudget(percent=0.5, min_per_second=0.2, window=10.0), 0.0
    calls: list[float] = []
    spent: list[float] = []
    for seconds, retried in steps:
        now += seconds
        if retried:
            if budget.spend(now):
                spent.append(now)
        else:
            budget.called(now)
            calls.append(now)
        # A bucket is a second wide: what is up to that much older may still count.
        recent = sum(one > now - 9 for one in spent)
        assert recent <= 2 + 0.5 * sum(one > now - 10 - 9 for one in calls) + 1


@given(
    calls=st.lists(st.integers(0, 60), min_size=1, max_size=80),
    failing=st.lists(st.booleans(), min_size=1, max_size=80),
    length=st.integers(10, 80),
)
def test_in_no_stretch_as_long_as_the_window_is_more_spent_than_was_earned_in_it(calls, failing, length):
    """However the calls come, and whenever they fail: attempts are at most 1.2 times the calls, or the reserve."""
    budget = RetryBudget(percent=0.2, min_per_second=0.5, window=10.0)
    earned, spent = [], []
    for second, (count, fails) in enumerate(zip(calls, failing * len(calls), strict=False)):
        for _ in range(count):
            budget.called(second + 0.5)
        earned.append(max(0.2 * count, 0.5))
        spent.append(sum(budget.spend(second + 0.5) for _ in range(5 * count)) if fails else 0)

    for begin in range(len(spent) - length + 1):
        assert (
            sum(spent[begin : begin + length]) <= sum(earned[begin : begin + length]) + (5 if begin < 10 else 0) + 1e-3
        )


@pytest.mark.parametrize("options", [{"factor": 0.5}, {"jitter": 2}, {"delay": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(BrokerOptionsError):
        Backoff(**options)
