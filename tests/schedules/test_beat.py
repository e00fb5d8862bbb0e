"""Beat and Interval: instants that come, are missed, or come again because a clock was set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.schedules.beat import Beat, Due
from tautomer.schedules.interval import Interval


def test_it_is_due_at_the_instant_and_not_before() -> None:
    beat = Beat(Interval(10, origin=100.0), now=100.0)

    assert None is beat.take(109.999)
    assert Due(110.0, 0) == beat.take(110.0)
    assert None is beat.take(110.0)
    assert 10.0 == beat.left(110.0)


def test_one_that_is_eager_is_due_at_once() -> None:
    beat = Beat(Interval(10, origin=100.0), now=100.0, eager=True)

    assert Due(100.0, 0) == beat.take(100.0)
    assert 110.0 == beat.next


def test_what_came_while_nobody_looked_is_one() -> None:
    beat = Beat(Interval(10, origin=100.0), now=100.0)

    assert Due(140.0, 3) == beat.take(145.0)
    assert 150.0 == beat.next


def test_a_clock_that_leaps_by_a_year_costs_no_year() -> None:
    beat = Beat(Interval(1, origin=0.0), now=0.0)

    due = beat.take(31_536_000.5)

    assert due is not None
    assert 1_000 == due.missed
    assert 31_536_001.0 == beat.next


def test_a_clock_that_is_set_back_a_little_repeats_nothing() -> None:
    beat = Beat(Interval(60, origin=0.0), now=0.0)
    beat.take(60.0)

    assert None is beat.take(31.0)
    assert None is beat.take(60.0)
    assert Due(120.0, 0) == beat.take(120.0)


def test_a_clock_that_is_set_back_by_more_than_a_pause_begins_anew() -> None:
    """Or what is due each minute would stand still for an hour."""
    beat = Beat(Interval(60, origin=0.0), now=0.0)
    beat.take(3600.0)

    assert None is beat.take(10.0)
    assert Due(60.0, 0) == beat.take(60.0)


@given(
    seconds=st.floats(0.001, 1e6),
    origin=st.floats(0, 2e9),
    when=st.floats(0, 2e9),
)
def test_an_interval_gives_the_next_multiple(seconds: float, origin: float, when: float) -> None:
    at = Interval(seconds, origin).next_after(when)

    assert when < at <= when + seconds * (1 + 1e-6) + 1e-6
    assert (at - origin) / seconds == pytest.approx(round((at - origin) / seconds), abs=1e-3)


def test_nothing_drifts_in_a_million_times() -> None:
    schedule, at = Interval(0.1, origin=1_893_456_000.0), 1_893_456_000.0
    for _ in range(100_000):
        at = schedule.next_after(at)

    assert at == pytest.approx(1_893_466_000.0, abs=1e-6)
