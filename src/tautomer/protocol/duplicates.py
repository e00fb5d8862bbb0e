"""Duplicates: requests and events that came before (promises C2 and E1: one attempt runs once)."""

from __future__ import annotations

from typing import Final

KEPT_SECONDS: Final = 60.0
KEPT_MAX: Final = 4_900
"""A set of 4,915 takes 128 kB; of one more, 512: each look into it would miss the caches."""


class SeenRequests:
    """The requests, or the events, of the last minute, in two generations.

    When the newer one is full, or a minute old, it becomes the older one, and what was the older is forgotten. So a
    request is remembered for one to two minutes, or for as long as no more than 4,900 to 9,800 newer ones came.
    Dropping the oldest one by one would cost every request more than remembering does.

    Kept are hashes, not ids: numbers of 61 bits. To keep ten thousand texts costs the caches of the machine up to
    half a microsecond a request; that a new request has the hash of an old one happens once in 10^14.

    Attributes:
        newer: ``hash(id) ^ hash(sender)`` of each. Read and written by whoever takes requests in: it is on the way of
            every one.
        older: The generation before.
        most: Requests in one generation.
    """

    __slots__ = ("_turned_at", "most", "newer", "older")

    def __init__(self, most: int = KEPT_MAX) -> None:
        self.newer: set[int] = set()
        self.older: set[int] = set()
        self.most = most
        self._turned_at: float | None = None

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def came_before(self, key: int, now: float) -> bool:
        """Whether this came before; from now on it did. For those that are not told of one by one in a hurry."""
        self.turn(now)
        if key in self.newer or key in self.older:
            return True
        self.newer.add(key)
        if len(self.newer) >= self.most:
            self.overflow()
        return False

    def turn(self, now: float) -> None:
        """Forget what is old. To be called before the first request after a pause, and now and then while they come."""
        if self._turned_at is None:
            self._turned_at = now
            return
        age = now - self._turned_at
        if age >= KEPT_SECONDS:
            self.older = set() if age >= 2 * KEPT_SECONDS else self.newer
            self.newer = set()
            self._turned_at = now

    def overflow(self) -> None:
        """The newer generation is full."""
        self.older, self.newer = self.newer, set()
        self._turned_at = None  # The next look begins the minute of this generation.
