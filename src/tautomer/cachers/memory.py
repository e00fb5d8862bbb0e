"""Memory: results kept in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any, Final

from tautomer._tasks import Sweep
from tautomer.cachers.copies import giver, weigh
from tautomer.cachers.locks import Locks
from tautomer.cachers.masks import mask
from tautomer.cachers.options import CacherOptions
from tautomer.host import Host
from tautomer.ports import ABSENT, Release

__all__ = ["MemoryCacher"]

log = logging.getLogger("tautomer.cacher")

SWEEP: Final = 30.0
"""Seconds between two looks for what nobody asks for and whose time is over."""


class MemoryCacher:
    """Where there are too many entries, the one written longest ago goes.

    Args:
        options: `max`, `value_bytes_max` and `clone` are its own.

    Attributes:
        locks: Those that are held.
    """

    name = "Memory"

    def __init__(self, options: CacherOptions, host: Host) -> None:
        self._options = options
        self._clock = host.clock
        # By key: what gives the value, and when its time is over. In the order in which they go.
        self._kept: dict[str, tuple[Callable[[], Any], float]] = {}
        self.locks = Locks()
        self._sweep = Sweep(SWEEP, self._drop_expired)

    def __len__(self) -> int:
        return len(self._kept)

    def peek(self, key: str) -> Any:
        kept = self._kept.get(key)
        if kept is None:
            return ABSENT
        give, until = kept
        if until is not inf and until <= self._clock():
            del self._kept[key]
            return ABSENT
        return give()

    def forget(self) -> None:
        self._kept.clear()

    async def open(self, prefix: str) -> None:
        """Nobody else is here to be told apart from."""

    async def get(self, key: str) -> Any:
        return self.peek(key)

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        value = self.peek(key)
        if value is ABSENT:
            return ABSENT, None
        until = self._kept[key][1]
        return value, None if until is inf else until - self._clock()

    async def set(self, key: str, value: Any, ttl: float | None) -> bool:
        try:
            if weigh(value, self._options.value_bytes_max) > self._options.value_bytes_max:
                return False
            give = giver(value) if self._options.clone else partial(_same, value)
        except Exception:
            log.debug("a result that cannot be copied is not cached", exc_info=True)
            return False
        kept = self._kept
        kept.pop(key, None)  # So that it is the youngest.
        kept[key] = give, inf if ttl is None else self._clock() + ttl
        if len(kept) > self._options.max:
            del kept[next(iter(kept))]
        if ttl is not None and not self._sweep.running:
            self._sweep.wake()
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._kept.pop(key, None)

    async def clean(self, masks: Sequence[str]) -> None:
        fits = [mask(one) for one in masks]
        for key in [key for key in self._kept if any(fit(key) for fit in fits)]:
            del self._kept[key]

    async def lock(self, key: str, ttl: float, wait: float) -> Release | None:
        return await self.locks.take(key, wait)

    async def close(self) -> None:
        self._sweep.stop()
        self._kept.clear()

    def _drop_expired(self) -> bool:
        now = self._clock()
        for key in [key for key, (_, until) in self._kept.items() if until <= now]:
            del self._kept[key]
        return any(until is not inf for _, until in self._kept.values())


def _same(value: Any) -> Any:
    return value
