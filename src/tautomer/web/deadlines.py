"""Deadlines of requests: one timer for all, instead of one each (architecture §8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tautomer._tasks import Sweep

__all__ = ["RequestDeadlines"]

SWEEP: Final = 0.05
"""Seconds between two looks: how late a request may be cut off."""


class RequestDeadlines:
    """Cancels the tasks of requests whose time is over.

    It guards what runs in this process; calls to other nodes carry the same deadline with them.
    """

    __slots__ = ("_clock", "_ends", "_expired", "_loop", "_sweep")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: dict[asyncio.Task[object], float] = {}
        self._expired: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep = Sweep(SWEEP, self._look)

    def __len__(self) -> int:
        return len(self._ends)

    def watch(self, ends: float) -> asyncio.Task[object] | None:
        """Cancel the current task when the clock reaches `ends`. Returns it, for `release`."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        if task is not None:
            if not self._ends:
                self._sweep.wake()
            self._ends[task] = ends
        return task

    def release(self, task: asyncio.Task[object]) -> bool:
        """The task is done with what was watched. Returns whether its time was over, and takes that cancel back.

        Any other cancel of the task stays.
        """
        self._ends.pop(task, None)
        if task not in self._expired:
            return False
        self._expired.discard(task)
        return task.uncancel() == 0

    def stop(self) -> None:
        """Watch no more."""
        self._sweep.stop()

    def _look(self) -> bool:
        now = self._clock()
        late = [task for task, ends in self._ends.items() if ends <= now]
        for task in late:
            del self._ends[task]
            self._expired.add(task)
            task.cancel()
        return bool(self._ends)
