"""Admission: who waits for a turn, who is turned away, and how many are started at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.admission import DEAR_SECONDS, FEW, MANY, PATIENCE, QUIET_LOOKS, SHARE_MAX, Admission


def worked(
    admission: Admission[int], cost: float, turns: int, now: float = 0.0, else_: float = 0.0, running: int = 0
) -> float:
    """Let this many turns pass in which each request cost so many seconds, and all else so many. Returns the time."""
    own = 0.0
    for _ in range(turns):
        own = cost * len(admission.take(now, own, running))
        now += own + else_
    return now


def test_the_loop_is_behind_when_a_timer_comes_late_and_until_it_is_in_time_for_a_while() -> None:
    admission: Admission[int] = Admission(0.1)

    admission.looked(0.001)
    assert not admission.behind
    admission.looked(0.03)
    for _ in range(QUIET_LOOKS - 1):
        admission.looked(0.0)
        assert admission.behind
    admission.looked(0.0)
    assert not admission.behind


def test_requests_are_taken_in_their_order() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(10):
        admission.add(number, 0.0)

    taken = [number for turn in range(10) for number in admission.take(turn / 1_000, 0.001, 0)]

    assert list(range(10)) == taken


def test_where_over_half_of_the_places_are_taken_the_newest_come_first() -> None:
    """Who has waited longest is likeliest gone."""
    admission: Admission[int] = Admission(0.1, places=8)
    for number in range(6):
        admission.add(number, 0.0)

    taken = [number for turn in range(8) for number in admission.take(turn / 1_000, 0.01, 0)]

    assert [5, 4, 0, 1, 2, 3] == taken


def test_cheap_requests_are_started_many_at_a_time_and_costly_ones_singly() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(1_000):
        admission.add(number, 0.0)

    now = worked(admission, 0.00001, 10)
    assert SHARE_MAX == len(admission.take(now, 0.0, 0))
    now = worked(admission, 0.02, 10, now + 1)
    assert 1 == len(admission.take(now, 0.02, 0))


@pytest.mark.parametrize(("running", "share"), [(0, SHARE_MAX), (SHARE_MAX + 1, 1)])
def test_requests_are_held_back_for_a_long_turn_only_if_requests_can_be_to_blame(running: int, share: int) -> None:
    """A flood of INFOs, say, keeps the loop busy: cheap requests are started as before."""
    admission: Admission[int] = Admission(0.1)
    for number in range(1_000):
        admission.add(number, 0.0)

    now = worked(admission, 0.00001, 12, else_=0.3, running=running)

    assert share == len(admission.take(now, 0.00001, running))


def test_where_requests_were_seen_to_be_costly_few_run_at_once_for_a_minute() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(10):
        admission.add(number, 0.0)
    assert MANY == admission.at_once

    now = worked(admission, 0.01, 20)
    admission.add(1, now)
    assert FEW == admission.at_once
    admission.take(now, 0.0, 0)
    admission.add(2, now + DEAR_SECONDS + 0.1)
    assert MANY == admission.at_once


def test_cheap_requests_leave_it_at_many() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(2_000):
        admission.add(number, 0.0)

    worked(admission, 0.0001, 20)

    assert MANY == admission.at_once


def test_a_burst_is_let_in_and_a_queue_that_stands_is_not() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(100):
        assert not admission.refuses(0.0, None)
        admission.add(number, 0.0)
    now = worked(admission, 0.005, 20)

    assert not admission.refuses(PATIENCE, None)
    assert admission.refuses(PATIENCE + 0.01, None)
    while len(admission.waiting) > 15:
        now = worked(admission, 0.005, 1, now)
    assert not admission.refuses(PATIENCE + 1, None)


@pytest.mark.parametrize(("left", "refused"), [(1.0, False), (0.5, True)])
def test_who_would_wait_for_more_than_half_of_its_time_is_turned_away(left: float, refused: bool) -> None:
    admission: Admission[int] = Admission(10.0)
    for number in range(100):
        admission.add(number, 0.0)
    now = worked(admission, 0.01, 60)

    assert 40 == len(admission.waiting)
    assert refused == admission.refuses(now, now + left)


def test_a_delay_of_zero_refuses_nobody() -> None:
    admission: Admission[int] = Admission(0.0)
    for number in range(100):
        admission.add(number, 0.0)
    now = worked(admission, 1.0, 50)

    assert not admission.refuses(now, now + 0.001)


@given(costs=st.lists(st.floats(0, 0.05), min_size=200, max_size=400), arriving=st.integers(1, 4))
def test_whatever_they_cost_none_of_the_admitted_waits_for_much_longer_than_estimated(
    costs: list[float], arriving: int
) -> None:
    """With a time of one second, and costs that change from request to request, the queue stays short."""
    admission: Admission[float] = Admission(0.1)
    now, longest, own = 0.0, 0.0, 0.0
    waiting: list[float] = []
    for cost in costs:
        for _ in range(arriving):
            if not admission.refuses(now, now + 1.0):
                admission.add(cost, now)
                waiting.append(now)
        own, last = 0.0, own
        for one in admission.take(now, last, 0):
            longest = max(longest, now - waiting.pop(0))
            now += one
            own += one

    assert longest <= 2.5
    assert len(waiting) == len(admission.waiting)
