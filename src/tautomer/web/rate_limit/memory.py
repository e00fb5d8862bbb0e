"""MemoryStore: hits of this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tautomer.web.rate_limit.store import Hit

__all__ = ["KEYS_MAX", "MemoryStore"]

KEYS_MAX: Final = 100_000
"""Keys that are counted at once (reliability reference, section 6)."""


class MemoryStore:
    """Fixed windows, one for each key, which begins with the first hit.

    Over `keys_max` the oldest window is dropped.

    Args:
        window: Seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, window: float, clock: Callable[[], float], keys_max: int = KEYS_MAX) -> None:
        self._window = window
        self._clock = clock
        self._keys_max = keys_max
        # Count and end of each key's window. All are equally long, so their order is that of their ends.
        self._windows: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        """Keys that are kept now."""
        return len(self._windows)

    def hit(self, key: str) -> Hit:
        """Count one more hit of the key."""
        now, windows = self._clock(), self._windows
        count, ends = windows.get(key, (0, now))
        if ends <= now:
            windows.pop(key, None)
            count, ends = 0, now + self._window
            self._make_room(now)
        windows[key] = count + 1, ends
        return Hit(count + 1, ends - now)

    def _make_room(self, now: float) -> None:
        windows = self._windows
        # Two that are over for each new one: so they go faster than they come, and nobody waits for a great cleaning.
        for _ in range(2):
            oldest = next(iter(windows), None)
            if oldest is None or (windows[oldest][1] > now and len(windows) < self._keys_max):
                return
            del windows[oldest]
