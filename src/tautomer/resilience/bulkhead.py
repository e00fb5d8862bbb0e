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
        concurrency: How many run at once. It may be changed at any time; after it grew, `call_next`.
        queue: Those that wait, oldest first, each with its deadline. To be read only.
        running: How many run now. Where `running` is under `concurrency` a newcomer may count it up in place of
            `enter`; where nobody is in the queue, one that ends may count it down in place of `leave`.
        refused: How many found no place, so far.
        expired: How many lost theirs because their time was over, so far.
    """

    __slots__ = ("_queue_max", "concurrency", "expired", "queue", "refused", "running")

    def __init__(self, concurrency: int = 10, queue_max: int = 100) -> None:
        self.resize(concurrency, queue_max)
        self.queue: deque[tuple[T, float]] = deque()
        self.running = self.refused = self.expired = 0

    @property
    def has_room(self) -> bool:
        """Whether a newcomer runs at once."""
        return self.running < self.concurrency

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self.queue)

    def enter(self, ticket: T, now: float, deadline: float = inf) -> tuple[Place, list[T]]:
        """A newcomer.

        Args:
            ticket: Stands for it while it waits.
            deadline: When it is no longer worth to run.

        Returns:
            Its place; and those that were waiting, but whose time is over: they are to be told so.
        """
        if self.running < self.concurrency:
            self.running += 1
            return Place.RUN, []
        late: list[T] = []
        if len(self.queue) >= self._queue_max:
            late = self._drop_late(now)
            if len(self.queue) >= self._queue_max:
                self.refused += 1
                return Place.REFUSED, late
        self.queue.append((ticket, deadline))
        return Place.WAIT, late

    def leave(self, now: float) -> tuple[T | None, list[T]]:
        """One that ran has ended. Returns what `call_next` does."""
        self.running -= 1
        return self.call_next(now)

    def call_next(self, now: float) -> tuple[T | None, list[T]]:
        """Let one in, if there is room.

        Returns:
            Who is to run now, or None; and those that were waiting, but whose time is over.
        """
        late: list[T] = []
        queue = self.queue
        while queue and self.running < self.concurrency:
            newest_first = len(queue) * 2 > self._queue_max
            ticket, deadline = queue.pop() if newest_first else queue.popleft()
            if deadline > now:
                self.running += 1
                return ticket, late
            self.expired += 1
            late.append(ticket)
        return None, late

    def resize(self, concurrency: int, queue_max: int) -> None:
        """Other limits from now on. Who is in stays in; after the first grew, `call_next`.

        Raises:
            BrokerOptionsError: Nobody could ever run.
        """
        if concurrency < 1 or queue_max < 0:
            raise BrokerOptionsError("bulkhead: concurrency is at least 1, and the queue's size 0 or more")
        self.concurrency, self._queue_max = concurrency, queue_max

    def withdraw(self, ticket: T, now: float) -> bool:
        """One that waits does not want to any more. False: it did not wait here."""
        for index, (waiting, deadline) in enumerate(self.queue):
            if waiting is ticket:
                self.expired += deadline <= now
                del self.queue[index]
                return True
        return False

    def clear(self) -> list[T]:
        """Have nobody wait any more. Returns those that did, in no order that means anything."""
        waiting = [ticket for ticket, _ in self.queue]
        self.queue.clear()
        return waiting

    def _drop_late(self, now: float) -> list[T]:
        late = [ticket for ticket, deadline in self.queue if deadline <= now]
        if late:
            kept = [one for one in self.queue if one[1] > now]
            self.queue.clear()
            self.queue.extend(kept)
            self.expired += len(late)
        return late
