"""RollingCounts: how much of what has happened of late went wrong."""

from __future__ import annotations

__all__ = ["RollingCounts"]


class RollingCounts:
    """Counts over the last seconds, in a ring of buckets.

    Args:
        window: Seconds that count.
        buckets: Into how many parts they are divided: what is older is forgotten part by part.

    Attributes:
        total: Everything that was counted in the window, as of the last `add` or `forget`.
        errors: Of that, what went wrong.
        slow: Of that, what took too long.
    """

    __slots__ = ("_bucket", "_buckets", "_slot", "_until", "_width", "errors", "slow", "total")

    def __init__(self, window: float, buckets: int) -> None:
        self._width = window / buckets
        self._buckets = [[0, 0, 0] for _ in range(buckets)]
        # Number of the bucket in time; its place in the ring is the rest of a division. Until when it lasts is kept,
        # so that most of what is counted costs no division.
        self._slot = 0
        self._until = self._width
        self._bucket = self._buckets[0]
        self.total = self.errors = self.slow = 0

    def add(self, now: float, error: bool = False, slow: bool = False) -> None:
        """Count one. `now` never goes back."""
        if now >= self._until:
            self._advance(int(now / self._width))
        bucket = self._bucket
        bucket[0] += 1
        self.total += 1
        if error:
            bucket[1] += 1
            self.errors += 1
        if slow:
            bucket[2] += 1
            self.slow += 1

    def forget(self, now: float) -> None:
        """Drop what is out of the window."""
        if now >= self._until:
            self._advance(int(now / self._width))

    def clear(self) -> None:
        """Drop everything."""
        for bucket in self._buckets:
            bucket[:] = (0, 0, 0)
        self.total = self.errors = self.slow = 0

    def _advance(self, slot: int) -> None:
        size = len(self._buckets)
        if slot - self._slot >= size:
            self.clear()
        else:
            for passed in range(self._slot + 1, slot + 1):
                bucket = self._buckets[passed % size]
                self.total -= bucket[0]
                self.errors -= bucket[1]
                self.slow -= bucket[2]
                bucket[:] = (0, 0, 0)
        self._slot = slot
        self._bucket = self._buckets[slot % size]
        self._until = (slot + 1) * self._width
