"""What happened of late: how often what, how many at most, and how long it took. Pure, as time is an argument."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

__all__ = ["RollingEvents", "RollingMaximum", "RollingValues", "percentile"]


class RollingEvents:
    """How often each of several things happened over the last seconds.

    Args:
        window: Seconds that count.
        buckets: Into how many parts they are divided: what is older is forgotten part by part.

    Attributes:
        ever: The same since the beginning.
    """

    __slots__ = ("_buckets", "_width", "ever")

    def __init__(self, window: float = 10.0, buckets: int = 10) -> None:
        self._width = window / buckets
        # Of each part its number in time, which says whether it still counts.
        self._buckets: list[tuple[int, Counter[str]]] = [(-1, Counter()) for _ in range(buckets)]
        self.ever: Counter[str] = Counter()

    def add(self, name: str, now: float, count: int = 1) -> None:
        """It happened so often."""
        slot = int(now / self._width)
        place = slot % len(self._buckets)
        number, counts = self._buckets[place]
        if number != slot:
            counts = Counter()
            self._buckets[place] = (slot, counts)
        counts[name] += count
        self.ever[name] += count

    def of_late(self, now: float) -> Counter[str]:
        """Counts in the window; what did not happen is 0."""
        slot = int(now / self._width)
        found: Counter[str] = Counter()
        for number, counts in self._buckets:
            if slot - len(self._buckets) < number <= slot:
                found += counts
        return found


class RollingMaximum:
    """The largest of the numbers of the last seconds."""

    __slots__ = ("_buckets", "_width")

    def __init__(self, window: float = 10.0, buckets: int = 10) -> None:
        self._width = window / buckets
        self._buckets = [(-1, 0)] * buckets

    def add(self, value: int, now: float) -> None:
        """One more number."""
        slot = int(now / self._width)
        place = slot % len(self._buckets)
        number, most = self._buckets[place]
        self._buckets[place] = (slot, value if number != slot else max(most, value))

    def of_late(self, now: float) -> int:
        """The largest in the window, 0 if there is none."""
        slot = int(now / self._width)
        return max((most for number, most in self._buckets if slot - len(self._buckets) < number <= slot), default=0)


class RollingValues:
    """Values of the last minute, of each part of it the latest.

    Args:
        window: Seconds that count.
        buckets: Into how many parts they are divided.
        kept: Values that are remembered of each part: the bound on memory.
    """

    __slots__ = ("_buckets", "_kept", "_width")

    def __init__(self, window: float = 60.0, buckets: int = 6, kept: int = 100) -> None:
        self._width = window / buckets
        self._kept = kept
        self._buckets: list[tuple[int, deque[float]]] = [(-1, deque(maxlen=kept)) for _ in range(buckets)]

    def add(self, value: float, now: float) -> None:
        """One more value."""
        slot = int(now / self._width)
        place = slot % len(self._buckets)
        number, values = self._buckets[place]
        if number != slot:
            values = deque(maxlen=self._kept)
            self._buckets[place] = (slot, values)
        values.append(value)

    def of_late(self, now: float) -> list[float]:
        """Those in the window, the smallest first."""
        slot = int(now / self._width)
        return sorted(
            value for number, values in self._buckets if slot - len(self._buckets) < number <= slot for value in values
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie, between two of them in proportion; 0 where there is none.

    Args:
        ordered: The smallest first.
    """
    if not ordered:
        return 0.0
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
