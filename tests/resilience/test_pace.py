"""Throttle and Debounce, held against the whole list of what came."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.pace import Debounce, Throttle

GAPS = st.lists(st.integers(0, 5), max_size=40)
"""Whole seconds between one that comes and the next, so that edges are met."""


def test_a_throttle_lets_the_next_one_in_when_its_time_is_over_and_not_before():
    throttle = Throttle(2.0)

    assert [True, False, False, True, False] == [throttle.admits(now) for now in (0.0, 0.0, 1.9, 2.0, 3.9)]
    assert 3 == throttle.skipped


@given(gaps=GAPS, period=st.integers(1, 4))
def test_those_let_in_are_a_period_apart_and_nobody_waits_longer_than_that(gaps, period):
    throttle = Throttle(period)
    now, let_in = 0, []
    for gap in gaps:
        now += gap
        if throttle.admits(now):
            let_in.append(now)
        assert now - let_in[-1] < period

    assert all(later - earlier >= period for earlier, later in pairwise(let_in))
    assert len(gaps) == len(let_in) + throttle.skipped


def test_what_is_held_back_is_due_after_the_silence_and_not_before():
    debounce: Debounce[str] = Debounce(2.0)

    assert [True, False] == [debounce.push("first", 0.0), debounce.push("last", 1.0)]
    assert [1.0, 0.0] == [debounce.left(2.0), debounce.left(3.0)]
    assert ["last", None] == [debounce.take(), debounce.take()]
    assert debounce.push("next", 9.0)


@given(gaps=GAPS, delay=st.integers(1, 4))
def test_of_each_run_the_last_is_heard_when_it_has_been_silent_for_the_delay(gaps, delay):
    """Whoever looks when he was told to hears each at the very moment when its silence is over."""
    debounce: Debounce[int] = Debounce(delay)
    now, heard = 0, []
    look_at: float | None = None

    def look(until: float) -> None:
        nonlocal look_at
        while look_at is not None and look_at <= until:
            left = debounce.left(look_at)
            if left > 0:
                look_at += left
            else:
                heard.append((debounce.take(), look_at))
                look_at = None

    came = []
    for number, gap in enumerate(gaps):
        now += gap
        look(now)
        came.append(now)
        if debounce.push(number, now):
            look_at = now + debounce.left(now)
    look(1_000)

    following = [*came[1:], 1_000]
    expected = [
        (n, at + delay) for n, (at, after) in enumerate(zip(came, following, strict=False)) if after - at >= delay
    ]
    assert expected == heard
    assert len(gaps) == len(heard) + debounce.skipped


@pytest.mark.parametrize("kind", [Throttle, Debounce])
@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_time_at_all_is_refused(kind, seconds):
    with pytest.raises(BrokerOptionsError, match="over 0"):
        kind(seconds)
