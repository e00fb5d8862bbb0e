"""Locks within one process: whoever asked first has it first."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

__all__ = ["Locks"]


class Locks:
    """One lock for each key that somebody holds."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, key: str, wait: float) -> Held | None:
        """Wait at most `wait` seconds for it, 0: not at all. None: it was not to be had."""
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = deque()
        elif wait <= 0 or not await self._turn(key, waiting, wait):
            return None
        return Held(partial(self._pass_on, key, waiting))

    async def _turn(self, key: str, waiting: deque[asyncio.Future[None]], wait: float) -> bool:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on(key, waiting)  # It was called at the very moment.
            elif turn in waiting:
                waiting.remove(turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def _pass_on(self, key: str, waiting: deque[asyncio.Future[None]]) -> None:
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(key, None)


class Held:
    """A lock that was had. It ends with its holder, so it needs no time of its own."""

    __slots__ = ("_pass_on",)

    def __init__(self, pass_on: partial[None]) -> None:
        self._pass_on: partial[None] | None = pass_on

    def release(self) -> None:
        """Whoever is next has it. Twice is harmless."""
        pass_on, self._pass_on = self._pass_on, None
        if pass_on is not None:
            pass_on()

    async def __call__(self) -> None:
        self.release()
