"""Beat: walks along a schedule as a clock moves, which may stand still, leap, or be set back."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

__all__ = ["Beat", "Due", "Schedule"]

MISSED_MAX: Final = 1_000
"""Instants that are counted one by one where a clock leaps over them: each costs a cron expression up to 0.1 ms."""


class Schedule(Protocol):
    """When something is due. Instants are seconds on a clock."""

    def next_after(self, when: float) -> float:
        """The first instant after `when`."""


class Due(NamedTuple):
    """Something is due.

    Attributes:
        at: The instant: the newest that has come.
        missed: How many others have come with it, unseen.
    """

    at: float
    missed: int


class Beat:
    """Which instants of a schedule have come. Pure: the time comes in.

    Instants that come while nobody looks are one. A clock that is set back by less than the pause before the next
    instant repeats none; after a greater step the schedule begins anew from there.

    Args:
        schedule: When it is due.
        now: On its clock.
        eager: Whether it is due at once, too.

    Attributes:
        next: The instant that comes next.
    """

    __slots__ = ("_last", "_schedule", "next")

    def __init__(self, schedule: Schedule, now: float, eager: bool = False) -> None:
        self._schedule = schedule
        self._last = now
        self.next = now if eager else schedule.next_after(now)

    def take(self, now: float) -> Due | None:
        """What has become due since the last time, or None."""
        if now < self._last and self._last - now > self.next - self._last:
            self._last, self.next = now, self._schedule.next_after(now)
        if now < self.next:
            return None
        at, missed = self.next, 0
        following = self._schedule.next_after(at)
        while following <= now:
            at, missed = following, missed + 1
            following = self._schedule.next_after(now if missed == MISSED_MAX else at)
        self._last, self.next = at, following
        return Due(at, missed)

    def left(self, now: float) -> float:
        """Seconds until it is due; 0 or less: it is."""
        return self.next - now
