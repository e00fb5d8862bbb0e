"""Admission: who waits for a turn, who is turned away, and how many are started at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.admission import PATIENCE, QUIET_LOOKS, SHARE_MAX, Admission


def worked(admission: Admission[int], cost: float, turns: int, now: float = 0.0) -> float:
    """Let this many turns pass in which each request cost so many seconds. Returns the time."""
    for _ in range(turns):
        now += cost * len(admission.take(now))
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

    taken = [number for turn in range(10) for number in admission.take(turn / 1_000)]

    assert list(range(10)) == taken


def test_cheap_requests_are_started_many_at_a_time_and_costly_ones_singly() -> None:
    admission: Admission[int] = Admission(0.1)
    for number in range(1_000):
        admission.add(number, 0.0)

    now = worked(admission, 0.00001, 10)
    assert SHARE_MAX == len(admission.take(now))
    now = worked(admission, 0.02, 10, now + 1)
    assert 1 == len(admission.take(now))


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
    now, longest = 0.0, 0.0
    waiting: list[float] = []
    for cost in costs:
        for _ in range(arriving):
            if not admission.refuses(now, now + 1.0):
                admission.add(cost, now)
                waiting.append(now)
        for one in admission.take(now):
            longest = max(longest, now - waiting.pop(0))
            now += one

    assert longest <= 2.5
    assert len(waiting) == len(admission.waiting)
