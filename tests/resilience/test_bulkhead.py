"""Bulkhead, held against a list of everybody."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.bulkhead import Bulkhead, Place


def test_so_many_run_so_many_wait_and_the_rest_is_refused():
    bulkhead: Bulkhead[int] = Bulkhead(2, 2)

    places = [bulkhead.enter(n, 0.0)[0] for n in range(5)]

    assert [Place.RUN, Place.RUN, Place.WAIT, Place.WAIT, Place.REFUSED] == places
    assert (2, 2, 1) == (bulkhead.running, bulkhead.waiting, bulkhead.refused)


def test_those_that_wait_come_in_their_order_and_newest_first_when_it_is_crowded():
    bulkhead: Bulkhead[str] = Bulkhead(1, 6)
    bulkhead.enter("runs", 0.0)
    for name in "abcde":
        bulkhead.enter(name, 0.0)

    # Five of six, then four: crowded. From three on they come as they came.
    assert ["e", "d", "a", "b", "c", None] == [bulkhead.leave(1.0)[0] for _ in range(6)]


def test_nobody_is_called_whose_time_is_over():
    bulkhead: Bulkhead[str] = Bulkhead(1, 4)
    bulkhead.enter("runs", 0.0)
    bulkhead.enter("late", 0.0, deadline=1.0)
    bulkhead.enter("fine", 0.0, deadline=9.0)

    assert ("fine", ["late"]) == bulkhead.leave(1.0)
    assert 1 == bulkhead.expired


def test_those_whose_time_is_over_make_room():
    bulkhead: Bulkhead[str] = Bulkhead(1, 1)
    bulkhead.enter("runs", 0.0)
    bulkhead.enter("late", 0.0, deadline=1.0)

    assert (Place.WAIT, ["late"]) == bulkhead.enter("new", 1.0)


@pytest.mark.parametrize(("concurrency", "queue"), [(0, 1), (1, -1)])
def test_a_bulkhead_without_a_place_is_refused(concurrency, queue):
    with pytest.raises(BrokerOptionsError):
        Bulkhead(concurrency, queue)


class Crowd(RuleBasedStateMachine):
    """Nobody is lost, nobody comes twice, and never do more run or wait than may."""

    def __init__(self) -> None:
        super().__init__()
        self.bulkhead: Bulkhead[list[int]] = Bulkhead(3, 4)
        self.concurrency, self.queue = 3, 4
        self.expired = 0
        self.now = 0.0
        self.number = 0
        self.running = 0
        self.waiting: list[tuple[list[int], float]] = []

    @rule(seconds=st.floats(0, 2))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(patience=st.floats(0.1, 3))
    def enter(self, patience: float) -> None:
        self.number += 1
        ticket = [self.number]
        place, late = self.bulkhead.enter(ticket, self.now, self.now + patience)
        self.gone(late)
        if place is Place.RUN:
            assert self.running < self.concurrency
            self.running += 1
        elif place is Place.WAIT:
            self.waiting.append((ticket, self.now + patience))
        else:
            assert self.queue <= len([one for one, deadline in self.waiting if deadline > self.now])

    @precondition(lambda self: self.running)
    @rule()
    def leave(self) -> None:
        self.running -= 1
        self.next_one(*self.bulkhead.leave(self.now))

    @rule(concurrency=st.integers(1, 6))
    def the_limit_changes(self, concurrency: int) -> None:
        self.concurrency = self.bulkhead.concurrency = concurrency
        while self.next_one(*self.bulkhead.call_next(self.now)):
            pass

    def next_one(self, called: list[int] | None, late: list[list[int]]) -> bool:
        self.gone(late)
        if called is None:
            assert [] == self.waiting or self.running >= self.concurrency
        else:
            assert self.running < self.concurrency
            self.running += 1
            (deadline,) = [deadline for one, deadline in self.waiting if one is called]
            assert deadline > self.now
            self.waiting = [one for one in self.waiting if one[0] is not called]
        return called is not None

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket, deadline = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.expired += deadline <= self.now
        assert self.bulkhead.withdraw(ticket, self.now)
        assert not self.bulkhead.withdraw(ticket, self.now)

    @rule(concurrency=st.integers(1, 5), queue=st.integers(0, 5))
    def resize(self, concurrency: int, queue: int) -> None:
        self.concurrency, self.queue = concurrency, queue
        self.bulkhead.resize(concurrency, queue)
        while self.next_one(*self.bulkhead.call_next(self.now)):
            pass

    def gone(self, late: list[list[int]]) -> None:
        for ticket in late:
            (deadline,) = [deadline for one, deadline in self.waiting if one is ticket]
            assert deadline <= self.now
            self.expired += 1
            self.waiting = [one for one in self.waiting if one[0] is not ticket]

    @invariant()
    def counts_agree(self) -> None:
        assert (self.running, len(self.waiting)) == (self.bulkhead.running, self.bulkhead.waiting)
        assert self.expired == self.bulkhead.expired


TestCrowd = Crowd.TestCase
