"""Pace: of events that come close together a listener hears the first only, or the last only."""

from __future__ import annotations

from math import inf
from typing import Generic, TypeVar

from tautomer.errors import BrokerOptionsError

__all__ = ["Debounce", "Throttle"]

T = TypeVar("T")


class Throttle:
    """Lets one in, and nobody else until its time is over. Pure.

    Times are seconds on any clock that does not go back.

    Args:
        period: Seconds from one that is let in to the next that may be, over 0.

    Attributes:
        skipped: How many were not let in, so far.

    Raises:
        BrokerOptionsError: The period is not over 0.
    """

    __slots__ = ("_let_in_at", "_period", "skipped")

    def __init__(self, period: float) -> None:
        if not period > 0:
            raise BrokerOptionsError(f"throttle is a number of seconds over 0, not {period!r}")
        self._period = period
        self._let_in_at = -inf
        self.skipped = 0

    def admits(self, now: float) -> bool:
        """Whether whoever comes now is let in."""
        if now - self._let_in_at < self._period:
            self.skipped += 1
            return False
        self._let_in_at = now
        return True


class Debounce(Generic[T]):
    """Holds back the last one that came, until nobody has come for a while. Pure.

    Who holds it asks `left` when to look, and then takes what is due. Times as in `Throttle`.

    Args:
        delay: Seconds of silence, over 0.

    Attributes:
        skipped: How many gave their place to a later one, so far.

    Raises:
        BrokerOptionsError: The delay is not over 0.
    """

    __slots__ = ("_delay", "_due", "_held", "skipped")

    def __init__(self, delay: float) -> None:
        if not delay > 0:
            raise BrokerOptionsError(f"debounce is a number of seconds over 0, not {delay!r}")
        self._delay = delay
        self._due = 0.0
        self._held: T | None = None
        self.skipped = 0

    def push(self, newest: T, now: float) -> bool:
        """Hold this one in the place of the one before. Returns whether there was none, so that nobody looks yet."""
        first = self._held is None
        if not first:
            self.skipped += 1
        self._held = newest
        self._due = now + self._delay
        return first

    def left(self, now: float) -> float:
        """Seconds until what is held is due; 0 or less: it is."""
        return self._due - now

    def take(self) -> T | None:
        """What is held, due or not; from now on nothing is."""
        held, self._held = self._held, None
        return held
