"""Bulkhead: so many run at once, so many wait, the rest is refused."""

from __future__ import annotations

from collections import deque
from enum import Enum
from math import inf
from typing import Generic, TypeVar

from tautomer.errors import BrokerOptionsError

__all__ = ["Bulkhead", "Place"]

T = TypeVar("T")


class Place(Enum):
    """What becomes of a newcomer."""

    RUN = "run"
    WAIT = "wait"
    REFUSED = "refused"


class Bulkhead(Generic[T]):
    """Who runs, who waits. Pure: the tickets are the caller's own, and it does what it is told with them.

    Those that wait come in their order. Once over half of the places are taken the newest is first, as those that
    have waited longest are likeliest gone; and nobody is called whose time is over.

    Args:
        concurrency: How many run at once.
        queue_max: How many wait.

    Attributes:
        running: How many run now.
        refused: How many found no place, so far.
        expired: How many lost theirs because their time was over, so far.
    """

    __slots__ = ("_concurrency", "_queue", "_queue_max", "expired", "refused", "running")

    def __init__(self, concurrency: int = 10, queue_max: int = 100) -> None:
        self._check(concurrency, queue_max)
        self._concurrency = concurrency
        self._queue_max = queue_max
        self._queue: deque[tuple[T, float]] = deque()
        self.running = self.refused = self.expired = 0

    @property
    def has_room(self) -> bool:
        """Whether a newcomer runs at once; then `running` may be counted up in place of `enter`."""
        return self.running < self._concurrency

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._queue)

    def enter(self, ticket: T, now: float, deadline: float = inf) -> tuple[Place, list[T]]:
        """A newcomer.

        Args:
            ticket: Stands for it while it waits.
            deadline: When it is no longer worth to run.

        Returns:
            Its place; and those that were waiting, but whose time is over: they are to be told so.
        """
        if self.running < self._concurrency:
            self.running += 1
            return Place.RUN, []
        late: list[T] = []
        if len(self._queue) >= self._queue_max:
            late = self._drop_late(now)
            if len(self._queue) >= self._queue_max:
                self.refused += 1
                return Place.REFUSED, late
        self._queue.append((ticket, deadline))
        return Place.WAIT, late

    def leave(self, now: float) -> tuple[T | None, list[T]]:
        """One that ran has ended.

        Returns:
            Who is to run now, or None; and those that were waiting, but whose time is over.
        """
        late: list[T] = []
        while self._queue:
            newest_first = len(self._queue) * 2 > self._queue_max
            if self.running > self._concurrency:
                break  # It was made smaller: this place is gone.
            ticket, deadline = self._queue.pop() if newest_first else self._queue.popleft()
            if deadline > now:
                return ticket, late
            self.expired += 1
            late.append(ticket)
        self.running -= 1
        return None, late

    def resize(self, concurrency: int, queue_max: int, now: float) -> tuple[list[T], list[T]]:
        """Other limits from now on. Those that are in stay in.

        Returns:
            Those that waited and are to run now; and those that were waiting, but whose time is over.
        """
        self._check(concurrency, queue_max)
        self._concurrency, self._queue_max = concurrency, queue_max
        called: list[T] = []
        late = self._drop_late(now)
        while self._queue and self.running < concurrency:
            called.append(self._queue.popleft()[0])
            self.running += 1
        return called, late

    def withdraw(self, ticket: T) -> bool:
        """One that waits does not want to any more. False: it did not wait here."""
        for index, (waiting, _) in enumerate(self._queue):
            if waiting is ticket:
                del self._queue[index]
                return True
        return False

    @staticmethod
    def _check(concurrency: int, queue_max: int) -> None:
        if concurrency < 1 or queue_max < 0:
            raise BrokerOptionsError("bulkhead: concurrency is at least 1, and the queue's size 0 or more")

    def clear(self) -> list[T]:
        """Have nobody wait any more. Returns those that did, in no order that means anything."""
        waiting = [ticket for ticket, _ in self._queue]
        self._queue.clear()
        return waiting

    def _drop_late(self, now: float) -> list[T]:
        late = [ticket for ticket, deadline in self._queue if deadline <= now]
        if late:
            self._queue = deque(one for one in self._queue if one[1] > now)
            self.expired += len(late)
        return late
