"""Interval: every so many seconds."""

from __future__ import annotations

from math import floor

__all__ = ["Interval"]


class Interval:
    """Due at `origin` and every so many seconds after it; never drifts. Pure.

    Args:
        seconds: Over 0.
        origin: On the clock whose times it is asked for.
    """

    __slots__ = ("origin", "seconds")

    def __init__(self, seconds: float, origin: float = 0.0) -> None:
        self.seconds = seconds
        self.origin = origin

    def __repr__(self) -> str:
        return f"Interval({self.seconds:g})"

    def next_after(self, when: float) -> float:
        """The first instant after `when`."""
        number = floor((when - self.origin) / self.seconds) + 1
        at = self.origin + number * self.seconds
        # What was rounded down may be `when` itself.
        return at if at > when else self.origin + (number + 1) * self.seconds
