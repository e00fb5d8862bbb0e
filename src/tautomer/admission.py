"""Admission: requests that wait for their turn while the loop is behind, and which of them are let in.

Handlers that compute keep the loop busy, and all tasks that are ready take their turn before anything else is
read: started all at once, a hundred of them keep the node deaf for as long as they take together. So as soon as the
loop is seen to be behind, requests wait here and are started few at a time, as many as fit into a short
turn; and who would wait too long is told so at once (promise L1).
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

R = TypeVar("R")

BEHIND: Final = 0.02
"""Seconds by which a timer comes too late when the loop counts as behind."""

QUIET_LOOKS: Final = 10
"""Looks in time, one after the other, until the loop no longer counts as behind."""

TURN: Final = 0.01
"""Seconds that one turn of the loop should take at most."""

WINDOW: Final = 0.05
"""Seconds of the loop over which it is measured what a request costs."""

SHARE_MAX: Final = 64
"""Requests started in one turn."""

PATIENCE: Final = 0.5
"""Seconds for which a queue may be longer than it should: a burst is worked off, a queue that stands is refused."""


MANY: Final = 64
FEW: Final = 16
"""Requests that run at once before more are started a few in a turn: if they compute, all else waits for all of them."""

DEAR: Final = 0.002
"""Seconds of the loop that a request costs where `FEW` are enough."""

DEAR_SECONDS: Final = 60.0
"""For how long that is remembered."""


class Admission(Generic[R]):
    """A queue with a door. Takes facts with their time, and never reads a clock.

    A newcomer is refused when it would wait for more than half of the time that it has; and, once
    requests have waited for `PATIENCE` seconds on end, when it would wait for more than `delay`. (Controlled
    delay: what is let in is done in time, and the queue is short again as soon as the load is.)

    They are started in their order; where over half of the places are taken, the newest first.

    Args:
        delay: Seconds. 0 lets everybody in.
        places: How many may wait, as far as others see to that.

    Attributes:
        at_once: Requests that may run at once before newcomers are to wait here; no more than there are places.
        behind: Whether the loop does not keep up.
        places: As above.
        cost: Seconds of the loop that one request costs, as measured of late; 0 while that is not known, and
            then nobody is refused or too late.
        waiting: Requests, oldest first.
    """

    __slots__ = (
        "_dear_at",
        "_delay",
        "_done",
        "_most",
        "_quiet",
        "_share",
        "_since",
        "_spent",
        "_taken",
        "_taken_at",
        "at_once",
        "behind",
        "cost",
        "places",
        "waiting",
    )

    def __init__(self, delay: float, places: int = 1_000) -> None:
        self._delay = delay
        self.places = places
        self._start_at_once(MANY)
        self._dear_at = 0.0
        self.behind = False
        self.waiting: deque[R] = deque()
        self._quiet = 0
        self._share = 1
        self.cost = 0.0
        self._spent = 0.0
        self._done = 0
        # How many were started in the last turn, and when; 0 if nobody was left waiting.
        self._taken = 0
        self._taken_at = 0.0
        self._since = 0.0

    def resize(self, places: int) -> None:
        """Have another number of places."""
        self.places = places
        self._start_at_once(self._most)

    def _start_at_once(self, most: int) -> None:
        self._most = most
        self.at_once = min(most, self.places)

    def looked(self, late: float) -> None:
        """A timer came `late` seconds after its time."""
        if late > BEHIND:
            self.behind, self._quiet = True, 0
        elif self.behind:
            self._quiet += 1
            self.behind = self._quiet < QUIET_LOOKS

    def refuses(self, now: float, deadline: float | None) -> bool:
        """Whether a newcomer with this deadline has to be turned away."""
        if not self._delay:
            return False
        wait = len(self.waiting) * self.cost
        if wait > self._delay and now - self._since > PATIENCE:
            return True
        return deadline is not None and wait > (deadline - now) / 2

    def too_late(self, now: float, deadline: float | None) -> bool:
        """Whether a request that waited is not worth starting: it would not be done by its deadline."""
        return deadline is not None and now + 2 * self.cost >= deadline

    def add(self, request: R, now: float) -> None:
        if not self.waiting:
            self._since = now
            if now - self._dear_at > DEAR_SECONDS:
                self._start_at_once(MANY)
        self.waiting.append(request)

    def take(self, now: float, own: float, running: int) -> list[R]:
        """The next to start. To be called once in each turn of the loop while anybody waits.

        Args:
            own: Seconds that those started in the last turn took of it.
            running: Requests that were started and have not ended.
        """
        if self._taken:
            self._measure(now - self._taken_at, own, running)
        waiting = self.waiting
        share = min(self._share, len(waiting))
        if len(waiting) * 2 > self.places:
            taken = [waiting.pop() for _ in range(share)]
        else:
            taken = [waiting.popleft() for _ in range(share)]
        if waiting:
            self._taken, self._taken_at = len(taken), now
        else:
            # What comes later may cost something else.
            self._taken, self._spent, self._done, self.cost = 0, 0.0, 0, 0.0
        return taken

    def _measure(self, turn: float, own: float, running: int) -> None:
        """The turn in which `_taken` requests were started took so many seconds, and they `own` of them."""
        # Where many run, what makes a turn long is most likely one of them that goes on; else it is something
        # that holding back requests does not help.
        blamed = turn if running > SHARE_MAX else own
        if blamed > TURN:
            self._share = max(1, self._share // 2)
        elif blamed < TURN / 2:
            self._share = min(SHARE_MAX, self._share * 2)
        self._spent += blamed
        self._done += self._taken
        # A single turn says little: in it, hundreds of requests may have been read as well.
        if self._spent >= WINDOW:
            cost = self._spent / self._done
            self.cost = (self.cost + cost) / 2 if self.cost else cost
            self._spent, self._done = 0.0, 0
            if cost > DEAR:
                self._dear_at = self._taken_at
                self._start_at_once(FEW)
