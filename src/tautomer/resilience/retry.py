"""Backoff and RetryBudget: how long to wait before another attempt, and whether there may be one at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from tautomer.errors import BrokerOptionsError
from tautomer.settings import record

__all__ = ["ATTEMPT", "Backoff", "RetryBudget", "is_repeated", "marked"]

Options = TypeVar("Options", bound=Mapping[str, Any])

ATTEMPT: Final = "$attempt"
"""Header of a call that is made again: which attempt it is, from 1 for the second."""

_SLOTS: Final = 20
"""Parts in which the window of a budget moves on."""

_ROUNDING: Final = 1e-6


def is_repeated(headers: object) -> bool:
    """Whether a call with these headers is another attempt.

    So that there are never retries of retries: what it calls is not repeated, and whoever is overloaded tells it not to
    come again (resilience reference, section 15). Only Moleculer 0.15 has headers; between others this does not hold.
    """
    return isinstance(headers, Mapping) and bool(headers.get(ATTEMPT))


def marked(options: Options, attempt: int) -> Options:
    """The options of an attempt, a dict of its own, with word of which it is. 0 is the first, which says nothing."""
    made: Any = dict(options)
    if attempt:
        made["headers"] = {**(made.get("headers") or {}), ATTEMPT: attempt}
    return cast(Options, made)


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
    """How many more attempts a caller may make at one action: a part of its calls, or a few where that is more.

    It is the one protection against a storm of retries, which come just when there is too much to do. What was earned
    in the window may be spent at once, so that a short failure is made good; but in no stretch of time that is as long
    as the window or longer is more spent than was earned in it. (If what was spent were only forgotten after the window,
    a failure that lasts would get the savings twice.)

    Args:
        percent: Attempts that each call earns.
        min_per_second: Attempts that a second earns, however few calls there are.
        window: Seconds for which what was earned is good.
    """

    __slots__ = ("_balance", "_earned", "_floor", "_least", "_lowest", "_percent", "_slot", "_slots", "_width")

    def __init__(self, percent: float = 0.2, min_per_second: float = 3.0, window: float = 10.0) -> None:
        if percent < 0 or min_per_second < 0 or window <= 0:
            raise BrokerOptionsError("retry budget: percent and min_per_second are 0 or more, window is over 0 seconds")
        self._percent = percent
        self._width = window / _SLOTS
        self._least = min_per_second * self._width
        # What was spent less what was earned since the beginning, and what of that the running slot has earned.
        self._balance = self._earned = 0.0
        # The lowest balance of each slot of the window and of the running one. The balance may not rise above the
        # lowest of all that lie before the window: then more would be spent than was earned since. It is four slots less
        # than the window: one for each end of a stretch that begins and ends within a slot, and two because the calls
        # that come while all fail may be a few less than those before, of which the savings are.
        self._slots = [self._least * left for left in range(_SLOTS - 5, -1, -1)]
        self._lowest = 0.0
        self._floor = self._least * _SLOTS
        self._slot: int | None = None

    def called(self, now: float) -> None:
        """A first attempt is made."""
        self._move_on(now)
        self._earned += self._percent
        self._balance -= self._percent
        if self._balance < self._lowest:
            self._lowest = self._balance

    def left(self, now: float) -> float:
        """Attempts that may be made now."""
        self._move_on(now)
        return self._floor - self._balance

    def spend(self, now: float) -> bool:
        """Take one more attempt out of it. False: there is none left, and the error goes to the caller."""
        if self.left(now) < 1 - _ROUNDING:
            return False
        self._balance += 1
        return True

    def _move_on(self, now: float) -> None:
        slot = int(now / self._width)
        if self._slot is None:
            self._slot = slot
        # What comes after the second window without a call changes nothing more.
        for _ in range(min(slot - self._slot, 2 * _SLOTS)):
            self._balance -= max(0.0, self._least - self._earned)
            self._floor = min(self._floor, self._slots.pop(0))
            self._slots.append(min(self._lowest, self._balance))
            self._earned, self._lowest = 0.0, self._balance
        self._slot = slot
