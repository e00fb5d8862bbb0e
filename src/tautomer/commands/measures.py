"""Measures: what is counted of one command key (resilience reference, section 11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tautomer.resilience.rolling import RollingEvents, RollingMaximum, RollingValues

__all__ = ["THROWN", "Measures"]

THROWN: Final = frozenset(
    {"BAD_REQUEST", "FALLBACK_FAILURE", "FALLBACK_MISSING", "FALLBACK_REJECTION", "FALLBACK_DISABLED"}
)
"""Events after which the caller gets an exception."""


class Measures:
    """Counters and times. Pure; whoever shares one between threads holds the lock.

    Attributes:
        events: How often what happened, in the last ten seconds and ever.
        running: Executions that run now.
        most: How many ran at once in the last ten seconds.
        run_times: Seconds that `run` took, of the last minute.
        total_times: Seconds that the whole took.
        recorded: Every event in its order, where somebody asked for it: for tests.
    """

    __slots__ = ("events", "most", "recorded", "run_times", "running", "total_times")

    def __init__(self, recorded: list[str] | None = None) -> None:
        self.events = RollingEvents()
        self.running = 0
        self.most = RollingMaximum()
        self.run_times, self.total_times = RollingValues(), RollingValues()
        self.recorded = recorded

    def began(self, now: float) -> None:
        self.running += 1
        self.most.add(self.running, now)

    def happened(self, events: Iterable[str], now: float) -> None:
        for name in events:
            self.events.add(name, now)
            if name in THROWN:
                self.events.add("EXCEPTION_THROWN", now)
            if self.recorded is not None:
                self.recorded.append(name)

    def ended(self, took: float, now: float) -> None:
        self.running -= 1
        self.total_times.add(took, now)
