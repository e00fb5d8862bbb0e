"""MemoryLRU: results kept in this process, those that are asked for the longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tautomer.cachers.memory import MemoryCacher
from tautomer.cachers.options import CacherOptions
from tautomer.host import Host
from tautomer.ports import ABSENT

__all__ = ["MemoryLRUCacher"]


class MemoryLRUCacher(MemoryCacher):
    """Where there are too many entries, the one that was not asked for longest goes."""

    name = "MemoryLRU"

    def __init__(self, options: CacherOptions, host: Host) -> None:
        super().__init__(options, host)
        self._kept: OrderedDict[str, tuple[Callable[[], Any], float]] = OrderedDict()

    def peek(self, key: str) -> Any:
        value = super().peek(key)
        if value is not ABSENT:
            self._kept.move_to_end(key)
        return value
