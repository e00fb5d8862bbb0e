"""RunningRequests: the requests of one server that have a task each, and their ends (architecture §8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from tautomer._steps import FirstSteps
from tautomer._tasks import CANCEL_WAIT, Sweep, TaskStarter
from tautomer.web.messages.message import Request

__all__ = ["RunningRequests", "Timed", "is_own_end", "log_failure"]

log = logging.getLogger("tautomer.web")

SWEEP: Final = 0.05
"""Seconds between two looks: how late a request may be cut off."""


def is_own_end(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether `error`, seen inside `task`, is how that very task is ended, and nothing that it merely awaited.

    Anything may be raised by what actions and streams are made of, `CancelledError` and `GeneratorExit` included.
    """
    if isinstance(error, asyncio.CancelledError):
        return task is None or task.cancelling() > 0
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not task
    except RuntimeError:  # No loop runs any more: what it left behind is being closed.
        return True


def log_failure(request: Request, error: BaseException) -> None:
    """Log what a request failed of. Raises nothing: what is shown of an error is its own code."""
    told = {"method": request.method, "path": request.path}
    try:
        log.error("request failed", exc_info=error, extra=told)
    except Exception:  # The handlers of `logging` let a RecursionError out.
        log.error("request failed with an error that cannot be shown", extra=told)


class Timed(Protocol):
    """What runs: a request, or a call by a socket.

    Attributes:
        path: For the log.
        ends: When its time is over; None for no end.
        late: Whether its task was cancelled because its time was over.
    """

    path: str
    ends: float | None
    late: bool


T = TypeVar("T", bound=Timed)


class RunningRequests(Generic[T]):
    """Starts the tasks of requests, cancels those whose time is over, and at stop all that are left.

    There is one timer for all (architecture §8), and nothing is noted but what runs: a request says itself when it
    ends (`Request.ends`), and its task takes itself out of `tasks` as its last act. That guards what runs in this process; calls to
    other nodes carry the same deadline with them.

    Args:
        clock: Monotonic seconds, the clock of `Request.ends`.
        on_stuck: Told of a request whose task still runs `CANCEL_WAIT` seconds after it was cancelled for being late.

    Attributes:
        tasks: What runs, in the order of the start.
    """

    __slots__ = ("_clock", "_closed", "_on_stuck", "_start", "_steps", "_sweep", "tasks")

    def __init__(self, clock: Callable[[], float], on_stuck: Callable[[T], None]) -> None:
        self._clock = clock
        self._on_stuck = on_stuck
        starter = TaskStarter()
        self._start = starter.start
        self._steps = FirstSteps(starter)
        self.tasks: dict[asyncio.Task[None], T] = {}
        self._sweep = Sweep(SWEEP, self._look)
        self._closed = False

    def start(self, coro: Coroutine[object, object, None], request: T) -> asyncio.Task[None]:
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
        start = self._start
        task = start(coro, "http request")
        tasks[task] = request
        return task

    def begin(self, coro: Coroutine[object, object, None], request: T) -> asyncio.Task[None] | None:
        """As `start`, but its first step is taken at once, where it can be. Returns its task; None where it is done.

        Raises:
            RuntimeError: As `start`.
        """
        if self._closed:
            return self.start(coro, request)
        task = self._steps.take(coro, "request")
        if task is not None and not self._closed:
            if not self.tasks:
                self._sweep.wake()
            self.tasks[task] = request
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
        await self._steps.close()
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
        stuck = []
        for task, request in self.tasks.items():
            if request.ends is None or request.ends > now:
                continue
            if request.late:
                request.ends = None
                stuck.append(request)
            else:
                # Whoever takes the cancel in ends the request, and so takes this end away.
                request.ends = now + CANCEL_WAIT
                request.late = True
                task.cancel()
        for request in stuck:
            log.error("request does not end though its time is over", extra={"path": request.path})
            self._on_stuck(request)
        return bool(self.tasks)
