"""Hedge: when a call that takes long is asked of another node as well (resilience reference, section 15).

Of a few nodes one is always slow for a moment: it collects its garbage, or stands in a queue. Whoever asks a second one
when nineteen of twenty calls would be done gets rid of that, for a twentieth of calls more.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from typing import Final

from tautomer.errors import BrokerOptionsError

__all__ = ["Hedge", "RecentTimes"]

_WINDOW: Final = 60.0
_PARTS: Final = 6
_PART_SAMPLES: Final = 100
_SAMPLES_MIN: Final = 20
_REFRESH: Final = 1.0


class Hedge:
    """The attempts of one call. Pure: it is told what happens, and says when another one is due.

    The first that ends well decides; the others are given up by whoever started them.

    Args:
        delay: Seconds after the latest attempt began until the next is due; infinite: only a failure makes one due.
        extra: Attempts beside the first.

    Attributes:
        running: Attempts that are under way.
        extra: Attempts that may still be made.
        due: When the next attempt is to begin; infinite if there is to be none.
    """

    __slots__ = ("_delay", "due", "extra", "running")

    def __init__(self, delay: float, extra: int) -> None:
        if delay < 0 or extra < 0:
            raise BrokerOptionsError("hedge: delay is 0 seconds or more, and extra 0 or more")
        self._delay = delay
        self.running = 0
        self.extra = extra
        self.due = inf

    def began(self, now: float, first: bool = False) -> None:
        """An attempt is under way."""
        self.running += 1
        self.extra -= not first
        self.due = now + self._delay if self.extra else inf

    def failed(self, now: float) -> None:
        """An attempt has failed, which makes the next one due at once."""
        self.running -= 1
        if self.extra:
            self.due = now

    def stop(self) -> None:
        """There can be no more attempts: no other node is there, or too many were made already."""
        self.extra, self.due = 0, inf

    @property
    def over(self) -> bool:
        """Whether all have failed, and none is to come: the last failure is the call's."""
        return not self.running and not self.extra


class RecentTimes:
    """How long things took in the last minute. Bounded: of each ten seconds the latest hundred are kept."""

    __slots__ = ("_found", "_found_at", "_parts", "_slot")

    def __init__(self) -> None:
        self._parts: deque[deque[float]] = deque(maxlen=_PARTS)
        self._slot = -1
        # What was asked last, kept for a second: to sort all of them costs more than a call.
        self._found = inf
        self._found_at = -inf

    def add(self, took: float, now: float) -> None:
        """One took so many seconds."""
        self._move_on(now)
        self._parts[-1].append(took)

    def p95(self, now: float) -> float:
        """Seconds within which nineteen of twenty were done; infinite while there are too few to tell."""
        if now - self._found_at >= _REFRESH:
            self._move_on(now)
            took = sorted(one for part in self._parts for one in part)
            self._found = took[ceil(0.95 * len(took)) - 1] if len(took) >= _SAMPLES_MIN else inf
            self._found_at = now
        return self._found

    def _move_on(self, now: float) -> None:
        slot = int(now / (_WINDOW / _PARTS))
        for _ in range(min(slot - self._slot, _PARTS)):
            self._parts.append(deque(maxlen=_PART_SAMPLES))
        self._slot = slot
