"""AdaptiveLimit: how many may run at once, found out from how long they take.

When answers take longer than they do at best, something waits somewhere, and fewer at once serve as many; when they
do not, there may be room for more. The gradient controller of Envoy, whose figures these are (resilience reference, section 15).
"""

from __future__ import annotations

from math import ceil, sqrt

__all__ = ["AdaptiveLimit"]

_SAMPLES_MIN = 10
_BEST_SAMPLES = 50
_BUFFER = 1.25
_GRADIENT = (0.5, 2.0)


class AdaptiveLimit:
    """A limit that finds itself. Pure: it is told how long each took, and when.

    Args:
        least: It never falls below.
        most: It never grows above.
        window: Seconds of which one sample is made.
        refresh: Seconds after which the best time is measured anew, as the work may have become slower for good.

    Attributes:
        limit: How many may run at once.
        best: Seconds that one takes when nothing waits; 0 while that is not known.
    """

    __slots__ = (
        "_best_due",
        "_best_seen",
        "_least",
        "_most",
        "_refresh",
        "_since",
        "_took",
        "_window",
        "best",
        "limit",
    )

    def __init__(self, least: int = 3, most: int = 1000, window: float = 0.1, refresh: float = 60.0) -> None:
        self._least, self._most = least, most
        self._window, self._refresh = window, refresh
        self._since = 0.0
        self._took: list[float] = []
        # The best of the live traffic, and when it takes the place of the one that counts.
        self._best_seen: list[float] = []
        self._best_due = 0.0
        self.limit = max(least, min(most, 20))
        self.best = 0.0

    def ended(self, took: float, now: float) -> None:
        """One has ended well.

        Args:
            took: Seconds.
        """
        if not self._took:
            self._since = now
        self._took.append(took)
        self._learn_best(took, now)
        if now - self._since >= self._window and len(self._took) >= _SAMPLES_MIN and self.best:
            self._adapt()
            self._took = []

    def _learn_best(self, took: float, now: float) -> None:
        self._best_seen.append(took)
        if len(self._best_seen) < _BEST_SAMPLES:
            return
        best = min(self._best_seen)
        self._best_seen = []
        if not self.best or best < self.best or now >= self._best_due:
            self.best = best
            self._best_due = now + self._refresh

    def _adapt(self) -> None:
        took = sorted(self._took)
        sample = took[ceil(0.9 * len(took)) - 1]
        lowest, highest = _GRADIENT
        gradient = max(lowest, min(highest, self.best * _BUFFER / sample)) if sample > 0 else highest
        self.limit = max(self._least, min(self._most, int(gradient * self.limit + sqrt(self.limit))))
