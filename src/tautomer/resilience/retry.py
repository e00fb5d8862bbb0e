"""Backoff and RetryBudget: how long to wait before another attempt, and whether there may be one at all."""

from __future__ import annotations

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.window import RollingCounts
from tautomer.settings import record

__all__ = ["Backoff", "RetryBudget"]


@record
class Backoff:
    """Pauses that grow.

    Attributes:
        delay: Seconds before the first other attempt.
        factor: By which each pause is longer than the one before.
        max_delay: Longest pause.
        jitter: Part of the pause that is left to chance, from 0 to 1: with 1 it lies anywhere between nothing and the
            whole, so that callers who failed together do not come back together.
    """

    delay: float = 0.1
    factor: float = 2.0
    max_delay: float = 1.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if self.delay < 0 or self.max_delay < 0:
            raise BrokerOptionsError("retry: delay and max_delay are 0 seconds or more")
        if self.factor < 1:
            raise BrokerOptionsError(f"retry: factor is at least 1, not {self.factor!r}")
        if not 0 <= self.jitter <= 1:
            raise BrokerOptionsError(f"retry: jitter is from 0 to 1, not {self.jitter!r}")

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds before attempt number `attempt` (the first one after the call itself is 1).

        Args:
            chance: From 0 to 1.
        """
        try:
            whole = min(self.delay * self.factor ** (attempt - 1), self.max_delay)
        except OverflowError:
            whole = self.max_delay
        return whole * (1 - self.jitter * (1 - chance))


class RetryBudget:
    """How many more attempts a caller may make at one service: a part of its calls, and a few in any case.

    It is the one protection against a storm of retries, which come just when there is too much to do.

    Args:
        percent: Attempts for each call.
        min_per_second: Attempts a second that there are however few calls there are.
        window: Seconds for which a call, and an attempt, counts.
    """

    __slots__ = ("_calls", "_percent", "_reserve", "_spent")

    def __init__(self, percent: float = 0.2, min_per_second: float = 3.0, window: float = 10.0) -> None:
        if percent < 0 or min_per_second < 0 or window <= 0:
            raise BrokerOptionsError("retry budget: percent and min_per_second are 0 or more, window is over 0 seconds")
        self._percent = percent
        self._reserve = min_per_second * window
        self._calls = RollingCounts(window, 10)
        self._spent = RollingCounts(window, 10)

    def called(self, now: float) -> None:
        """A first attempt is made."""
        self._calls.add(now)

    def left(self, now: float) -> float:
        """Attempts that may be made now."""
        self._calls.forget(now)
        self._spent.forget(now)
        return self._reserve + self._percent * self._calls.total - self._spent.total

    def spend(self, now: float) -> bool:
        """Take one more attempt out of it. False: there is none left, and the error goes to the caller."""
        if self.left(now) < 1:
            return False
        self._spent.add(now)
        return True
