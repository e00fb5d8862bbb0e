"""FixedWindows: who has come how often of late. One implementation for the gateway's limits and those of actions."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["KEYS_MAX", "FixedWindows", "Hit"]

KEYS_MAX: Final = 100_000
"""Keys that are counted at once (reliability reference, section 6)."""


class Hit(NamedTuple):
    """One hit, counted.

    Attributes:
        hits: Hits of the key in its window, this one included.
        resets_in: Seconds until the window ends.
    """

    hits: int
    resets_in: float


class FixedWindows:
    """Counts hits by key, in windows of one length, each of which begins with its key's first hit.

    Pure: time is an argument, and never goes back. Over `keys_max` the oldest window is dropped.

    Args:
        window: Seconds.
    """

    __slots__ = ("_keys_max", "_window", "_windows")

    def __init__(self, window: float, keys_max: int = KEYS_MAX) -> None:
        self._window = window
        self._keys_max = keys_max
        # Count and end of each key's window. All are equally long, so their order is that of their ends.
        self._windows: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        """Keys that are kept now."""
        return len(self._windows)

    def hit(self, key: str, now: float) -> Hit:
        """Count one more hit of the key."""
        windows = self._windows
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
