"""MemoryStore: hits of this process."""

from __future__ import annotations

from collections.abc import Callable

from tautomer.resilience.ratelimit import FixedWindows
from tautomer.web.rate_limit.store import Hit

__all__ = ["MemoryStore"]


class MemoryStore:
    """Fixed windows, one for each key, which begins with the first hit.

    Args:
        window: Seconds.
        clock: Monotonic seconds.

    Attributes:
        windows: What is counted.
    """

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.windows = FixedWindows(window)

    def hit(self, key: str) -> Hit:
        """Count one more hit of the key."""
        now = self._clock()
        window = self.windows.hit(key, now)
        return Hit(window.hits, window.ends - now)
