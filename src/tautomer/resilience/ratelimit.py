"""FixedWindows: who has come how often of late. One implementation for the gateway's limits and those of actions."""

from __future__ import annotations

from typing import Final

__all__ = ["KEYS_MAX", "FixedWindows", "Window"]

KEYS_MAX: Final = 100_000
"""Keys that are counted at once (reliability reference, section 6)."""


class Window:
    """What is counted of one key, until the window ends.

    Attributes:
        hits: Hits so far.
        ends: When it ends, on the clock of who counts.
        note: A place for what its owner says of this window again and again.
    """

    __slots__ = ("ends", "hits", "note")

    def __init__(self, ends: float) -> None:
        self.hits = 0
        self.ends = ends
        self.note = ""


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
        # All are equally long, so their order is that of their ends.
        self._windows: dict[str, Window] = {}

    def __len__(self) -> int:
        """Keys that are kept now."""
        return len(self._windows)

    def hit(self, key: str, now: float) -> Window:
        """Count one more hit of the key."""
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = self._begin(key, now)
        window.hits += 1
        return window

    def _begin(self, key: str, now: float) -> Window:
        self._windows.pop(key, None)
        self._make_room(now)
        window = self._windows[key] = Window(now + self._window)
        return window

    def _make_room(self, now: float) -> None:
        windows = self._windows
        # Two that are over for each new one: so they go faster than they come, and nobody waits for a great cleaning.
        for _ in range(2):
            oldest = next(iter(windows), None)
            if oldest is None or (windows[oldest].ends > now and len(windows) < self._keys_max):
                return
            del windows[oldest]
