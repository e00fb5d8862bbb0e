"""RateLimitStore: where hits are counted, and what people give as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, NamedTuple, Protocol

__all__ = ["Hit", "OwnStore", "RateLimitStore"]


class Hit(NamedTuple):
    """One hit, counted.

    Attributes:
        hits: Hits of the key in its window, this one included.
        resets_in: Seconds until the window ends.
    """

    hits: int
    resets_in: float


class RateLimitStore(Protocol):
    """Counts hits by key."""

    def hit(self, key: str) -> Hit | Awaitable[Hit]:
        """Count one more hit of the key."""


class OwnStore:
    """A store that people wrote after moleculer-web's: `inc(key)` gives the count, async or not.

    Its `reset_time` (or `resetTime`) is when all its windows end, in milliseconds since 1970; without one the whole
    window is taken.

    Args:
        window: Seconds.
        wall_ms: Milliseconds since 1970.
    """

    def __init__(self, store: Any, window: float, wall_ms: Callable[[], int]) -> None:
        self._store = store
        self._window = window
        self._wall_ms = wall_ms

    async def hit(self, key: str) -> Hit:
        count = self._store.inc(key)
        if isawaitable(count):
            count = await count
        ends = getattr(self._store, "reset_time", None) or getattr(self._store, "resetTime", None)
        return Hit(int(count), max(0.0, (ends - self._wall_ms()) / 1000) if ends else self._window)
