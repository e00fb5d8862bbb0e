"""RunningRequests: the requests of one server that have a task each, and their ends (architecture §8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from tautomer._tasks import CANCEL_WAIT, Sweep, TaskStarter
from tautomer.web.message import Request

__all__ = ["RunningRequests"]

log = logging.getLogger("tautomer.web")

SWEEP: Final = 0.05
"""Seconds between two looks: how late a request may be cut off."""


class RunningRequests:
    """Starts the tasks of requests, cancels those whose time is over, and at stop all that are left.

    There is one timer for all (architecture §8), and nothing is noted but what runs: a request says itself when it
    ends (`Request.ends`), and its task takes itself out of `tasks` as its last act. That guards what runs in this process; calls to
    other nodes carry the same deadline with them.

    Args:
        clock: Monotonic seconds, the clock of `Request.ends`.

    Attributes:
        tasks: What runs, in the order of the start.
    """

    __slots__ = ("_clock", "_closed", "_start", "_sweep", "tasks")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = TaskStarter().start
        self.tasks: dict[asyncio.Task[None], Request] = {}
        self._sweep = Sweep(SWEEP, self._look)
        self._closed = False

    def start(self, coro: Coroutine[object, object, None], request: Request) -> asyncio.Task[None]:
        """Run `coro`, which lets no exception out but `CancelledError`, for a request.

        Raises:
            RuntimeError: All was closed; the coroutine is closed unrun.
        """
        if self._closed:
            coro.close()
            raise RuntimeError("the server has stopped, the request is not run")
        tasks = self.tasks
        if not tasks:
            self._sweep.wake()
        task = self._start(coro, "http request")
        tasks[task] = request
        return task

    def cancel(self, task: asyncio.Task[None]) -> None:
        """End a request early; it may not even have begun, and then says nothing of its end."""
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)

    async def close(self) -> int:
        """Take no more, and cancel what runs. Returns how many there were.

        One that does not end within `CANCEL_WAIT` seconds is logged as stuck and left behind. A request that calls
        this itself is left out. Twice is harmless.
        """
        self._closed = True
        self._sweep.stop()
        me = asyncio.current_task()
        cut = {task: request for task, request in self.tasks.items() if task is not me}
        for task in cut:
            task.cancel()
        if cut:
            _done, stuck = await asyncio.wait(cut, timeout=CANCEL_WAIT)
            for task, request in cut.items():
                self.tasks.pop(task, None)  # One that had not begun does not do it itself.
                if task in stuck:
                    log.error("request does not end though it was cancelled", extra={"path": request.path})
        return len(cut)

    def _look(self) -> bool:
        now = self._clock()
        for task, request in self.tasks.items():
            if request.ends is not None and request.ends <= now:
                request.ends = None
                request.late = True
                task.cancel()
        return bool(self.tasks)
