"""AdaptiveLimit: how many may run at once, found out from how long they take.

When answers take longer than they do at best, something waits somewhere, and fewer at once serve as many; when they
do not, there may be room for more. The gradient controller of Envoy, whose figures these are (resilience reference, section 15).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

__all__ = ["AdaptiveLimit"]

_SAMPLES_MIN: Final = 10
_BEST_SAMPLES: Final = 50
_BUFFER: Final = 1.25
_GRADIENT: Final = (0.5, 2.0)

_GRAIN: Final = 0.001
"""Seconds under which it is no matter how long something takes: that is the grain of the event loop, and no queue."""

_TRIAL_LEAST: Final = 1.0
_TRIAL_MOST: Final = 10.0
"""Seconds after which a trial ends with few samples, and with too few."""

_SOON: Final = 5.0
"""Seconds until the first trial, which is needed most where the load was there from the beginning."""


class AdaptiveLimit:
    """A limit that finds itself. Pure: it is told how long each took, and when.

    The best time is measured anew now and then by a trial: a quarter of the limit for a moment. Taken from the traffic
    as it is, it would be that of the queue which the limit leaves, a quarter longer each time; while an overload lasts,
    the limit would go up without an end.

    Args:
        least: It never falls below.
        most: It never grows above.
        window: Seconds of which one sample is made.
        refresh: Seconds after which the best time is measured anew, as the work may have become slower for good.

    Attributes:
        limit: How many may run at once.
        best: Seconds within which nine of ten end when nothing waits; 0 while that is not known.
    """

    __slots__ = (
        "_best_took",
        "_due",
        "_held",
        "_least",
        "_most",
        "_peak",
        "_refresh",
        "_since",
        "_took",
        "_trial_since",
        "_window",
        "best",
        "limit",
    )

    def __init__(self, least: int = 3, most: int = 1000, window: float = 0.1, refresh: float = 60.0) -> None:
        self._least, self._most = least, most
        self._window, self._refresh = window, refresh
        # The sample that is being taken: since when, how long each took, and how many ran at most.
        self._since = 0.0
        self._took: list[float] = []
        self._peak = 0
        self._best_took: list[float] = []
        self._due = 0.0
        # While a trial lasts: since when, and the limit that holds again after it.
        self._trial_since: float | None = None
        self._held = 0
        self.limit = max(least, min(most, 20))
        self.best = 0.0

    def ended(self, took: float, now: float, running: int) -> None:
        """One has ended well, or was still not done when its time was over.

        Args:
            took: Seconds.
            running: How many ran at the time, itself included.
        """
        if self._trial_since is not None:
            self._try(took, now, self._trial_since)
            return
        if not self._took:
            self._since, self._peak = now, 0
        self._took.append(took)
        self._peak = max(self._peak, running)
        self._watch(took, now)
        if now - self._since >= self._window and len(self._took) >= _SAMPLES_MIN and self.best:
            self._adapt(now)
            self._took = []

    def _watch(self, took: float, now: float) -> None:
        """Learn the first best time, and any that is better by far; by less it may be chance."""
        self._best_took.append(took)
        if len(self._best_took) < _BEST_SAMPLES:
            return
        seen, self._best_took = _usual(self._best_took), []
        if not self.best:
            self.best, self._due = seen, now + min(_SOON, self._refresh)
        elif seen * _BUFFER < self.best:
            self.best = seen

    def _adapt(self, now: float) -> None:
        lowest, highest = _GRADIENT
        gradient = max(lowest, min(highest, self.best * _BUFFER / _usual(self._took)))
        wanted = max(self._least, min(self._most, int(gradient * self.limit + sqrt(self.limit))))
        # Where not even half of it is used, that all is well is no sign that there is room for more.
        if wanted < self.limit or self._peak * 2 >= self.limit:
            self.limit = wanted
        if now >= self._due:
            self._held, self._trial_since, self._best_took = self.limit, now, []
            self.limit = max(self._least, self.limit // 4)

    def _try(self, took: float, now: float, since: float) -> None:
        if now - took >= since:  # The others began in a longer queue.
            self._best_took.append(took)
        count, lasted = len(self._best_took), now - since
        if count < _BEST_SAMPLES and not (count >= _SAMPLES_MIN and lasted >= _TRIAL_LEAST) and lasted < _TRIAL_MOST:
            return
        pause = self._refresh
        if count >= _SAMPLES_MIN:
            before, self.best = self.best, _usual(self._best_took)
            if self.best * _BUFFER < before:
                pause = min(_SOON, pause)  # It was far from known; it may be better still.
        self.limit, self._trial_since, self._due = self._held, None, now + pause
        self._took, self._best_took = [], []


def _usual(took: list[float]) -> float:
    """Within which time nine of ten end."""
    return max(_GRAIN, sorted(took)[ceil(0.9 * len(took)) - 1])
