"""Observed: the items of a command, one after the other, some of them ahead of who reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tautomer.commands.fallback import EMITTED
from tautomer.commands.handle import Handle
from tautomer.commands.life import Emit

__all__ = ["Observed"]

AHEAD: Final = 64
"""Items that wait to be read; then whoever makes them waits."""


class Observed(AsyncIterator[Any]):
    """What `Command.observe` gives. Whoever stops reading before the end calls `aclose`.

    Args:
        begin: Begins the execution, with a function that takes its items.
        lazy: Whether that waits until the first is asked for.
    """

    def __init__(self, begin: Callable[[Emit], Handle], lazy: bool) -> None:
        self._make = begin
        self._items: deque[Any] = deque()
        self._over = False
        # Set when there is an item or the end; set when there is room for one.
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._handle = None if lazy else self._begin()

    def _begin(self) -> Handle:
        handle = self._make(self._take)
        handle.on_end(self._news.set)
        return handle

    async def _take(self, item: Any) -> None:
        while len(self._items) >= AHEAD:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._news.set()

    async def __anext__(self) -> Any:
        if self._handle is None and not self._over:
            self._handle = self._begin()
        while not self._over:
            assert self._handle is not None
            if self._items:
                self._room.set()
                return self._items.popleft()
            if self._handle.done():
                self._over = True
                value = await self._handle  # Raises what went wrong.
                if value is not EMITTED:
                    return value
                break
            self._news.clear()
            await self._news.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Read no more; what runs is cancelled."""
        self._over = True
        if self._handle is not None and not self._handle.done():
            self._handle.cancel()
