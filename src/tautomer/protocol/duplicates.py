"""Duplicates: requests that came before (promise C2: one attempt runs once)."""

from __future__ import annotations

from typing import Final

KEPT_SECONDS: Final = 60.0
KEPT_MAX: Final = 5_000


class SeenRequests:
    """Ids of the requests of the last minute, in two generations.

    When the newer one is full, or a minute old, it becomes the older one, and what was the older is forgotten. So an
    id is remembered for one to two minutes, or for as long as no more than 5,000 to 10,000 newer ones came. Dropping
    the oldest one by one would cost every request more than remembering does.

    Attributes:
        newer: Sender by request id. Read and written by whoever takes requests in: it is on the way of each.
        older: The generation before.
        most: Ids in one generation.
    """

    __slots__ = ("_turned_at", "most", "newer", "older")

    def __init__(self, most: int = KEPT_MAX) -> None:
        self.newer: dict[str, str] = {}
        self.older: dict[str, str] = {}
        self.most = most
        self._turned_at: float | None = None

    def __len__(self) -> int:
        return len(self.newer) + len(self.older)

    def turn(self, now: float) -> None:
        """Forget what is old. To be called before the first request after a pause, and now and then while they come."""
        if self._turned_at is None:
            self._turned_at = now
            return
        age = now - self._turned_at
        if age >= KEPT_SECONDS:
            self.older = {} if age >= 2 * KEPT_SECONDS else self.newer
            self.newer = {}
            self._turned_at = now

    def overflow(self) -> None:
        """The newer generation is full."""
        self.older, self.newer = self.newer, {}
        self._turned_at = None  # The next look begins the minute of this generation.
