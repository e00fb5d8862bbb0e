"""Tasks and deadlines: who owns a task, and one timer for many waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

log = logging.getLogger("tautomer.tasks")

GRAIN: Final = 0.05
"""Seconds between two looks at deadlines that have one timer in common."""

CANCEL_WAIT: Final = 1.0
"""Seconds that a cancelled task may take to clean up before a closing scope goes on without it."""

_LEAST: Final = 0.001
"""Seconds for what has none: what needs not wait is done."""


class TaskScope:
    """Owns the tasks of one component. Whoever opens a scope closes it.

    The only place that starts tasks. One task's failure is logged and leaves its siblings alone:
    a bad request must not end the node. Where siblings live and die together, use
    `asyncio.TaskGroup`.
    """

    __slots__ = ("_closed", "_loop", "_name", "_tasks")

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[asyncio.Task[Any], None] = {}  # In the order of their start; a set would have none.
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        return self._closed

    def spawn(self, coro: Coroutine[Any, Any, Any], label: str) -> asyncio.Task[Any]:
        """Start a task. A scope that is closed takes none.

        Raises:
            RuntimeError: The scope is closed; the coroutine is closed unrun.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"scope '{self._name}' is closed, '{label}' not started")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = loop.create_task(coro, name=label)
        self._tasks[task] = None
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", exc_info=error, extra={"scope": self._name, "task": task.get_name()})

    async def finish(self, grace: float, but: Sequence[asyncio.Task[Any] | None] = ()) -> None:
        """Wait at most `grace` seconds for the tasks that run now, `but` these."""
        running = [task for task in self._tasks if task not in but]
        if running and grace > 0:
            await asyncio.wait(running, timeout=grace)

    async def close(self, grace: float) -> int:
        """Take no more, wait `grace` seconds for the tasks, then cancel the rest.

        Returns how many had to be cancelled. One that does not end within `CANCEL_WAIT` seconds of
        that is logged as stuck and left behind: it must not hold up a stop for ever. A task that
        calls this on its own scope is left out. Twice is harmless.
        """
        self._closed = True
        me = asyncio.current_task()
        return len(await self.end([task for task in self._tasks if task is not me], grace))

    async def end(self, tasks: Sequence[asyncio.Task[Any]], grace: float) -> list[asyncio.Task[Any]]:
        """Wait `grace` seconds for these of its tasks, then cancel the rest, as `close` does. Returns the cancelled ones."""
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            _done, stuck = await asyncio.wait(late, timeout=CANCEL_WAIT)
            for name in sorted(task.get_name() for task in stuck):
                log.error("task does not end though it was cancelled", extra={"scope": self._name, "task": name})
        return late


async def in_time(coro: Coroutine[Any, Any, None], seconds: float, label: str) -> bool:
    """Run it in a task of its own, and whether it ended by itself within `seconds`.

    One that did not is cancelled; one that does not end even then is logged and left behind.
    """
    scope = TaskScope(label)
    scope.spawn(coro, label)
    return await scope.close(max(seconds, _LEAST)) == 0


class TaskStarter:
    """Starts tasks for an owner that keeps a table of its own, ends each entry itself and lets no exception out.

    Where there is a task for each request, the callback of a `TaskScope` would be felt; so would
    `get_running_loop`, which asks the system for the process id each time.
    """

    __slots__ = ("_loop", "_plain")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._plain = False

    @property
    def is_plain(self) -> bool:
        """Whether tasks are as `asyncio` makes them: nobody has told the loop to make others."""
        if self._loop is None:
            self._find_loop()
        return self._plain

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.get_running_loop()
        self._plain = loop.get_task_factory() is None
        return loop

    def start(self, coro: Coroutine[Any, Any, Any], label: str) -> asyncio.Task[Any]:
        loop = self._loop
        if loop is None:
            loop = self._find_loop()
        # What the loop would do, without asking it.
        return asyncio.Task(coro, loop=loop, name=label) if self._plain else loop.create_task(coro, name=label)


class Turns:
    """Those who wait for a change, and look again after each.

    Attributes:
        waiting: One for each of them.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Wait for the next change."""
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        finally:
            if turn in self.waiting:
                self.waiting.remove(turn)

    def wake(self) -> None:
        """Something changed."""
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


class Watch(msgspec.Struct, eq=False):
    """A task that is to be cancelled when its time is over.

    Attributes:
        ends: When that is.
        cancelling: How often it had been cancelled before.
        fired: Whether it was cancelled for this.
    """

    ends: float
    task: asyncio.Task[Any]
    cancelling: int
    fired: bool = False


class Deadlines:
    """Cancels tasks whose time is over, by one timer for all of them.

    A timer for each, as `asyncio.timeout` has, costs as much as three tasks. So a task may run up to `GRAIN` seconds
    too long.
    """

    __slots__ = ("_clock", "_closed", "_loop", "_sweep", "_watched")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: dict[Watch, None] = {}
        self._sweep = Sweep(GRAIN, self._look)
        self._closed = False

    def watch(self, ends: float) -> Watch:
        """From now on the running task is cancelled at that time. Always followed by `over`."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        watch = Watch(ends, task, task.cancelling())
        self._watched[watch] = None
        if not self._sweep.running:
            self._sweep.wake()
        return watch

    def over(self, watch: Watch) -> bool:
        """The task is through with it. Returns whether it was cancelled for this, and for nothing else."""
        del self._watched[watch]
        if self._closed and not self._watched:
            self._sweep.stop()
        return watch.fired and watch.task.uncancel() <= watch.cancelling

    def close(self) -> None:
        """Leave no timer behind. Where tasks are still watched, it ends with the last of them."""
        self._closed = True
        if not self._watched:
            self._sweep.stop()

    def _look(self) -> bool:
        now = self._clock()
        for watch in list(self._watched):
            if watch.ends <= now and not watch.fired:
                watch.fired = True
                watch.task.cancel()
        return bool(self._watched)


class Sweep:
    """Calls a function at an interval, but only while there is something to look at.

    One timer stands for any number of deadlines: a timer for each costs as much as a task.
    `wake()` is called whenever something was added; the function says by its answer whether
    there is still something left.
    """

    __slots__ = ("_handle", "_interval", "_look", "running")

    def __init__(self, interval: float, look: Callable[[], bool]) -> None:
        self._interval = interval
        self._look = look
        self._handle: asyncio.TimerHandle | None = None
        self.running = False  # No property: it is read for each request.

    def wake(self) -> None:
        """Make sure that a look is due within one interval."""
        if self._handle is None:
            self.running = True
            self._handle = asyncio.get_running_loop().call_later(self._interval, self._due)

    def _due(self) -> None:
        self._handle, self.running = None, False
        try:
            again = self._look()
        except Exception:
            # One bad look must not leave every other deadline unwatched.
            log.exception("sweep failed")
            again = True
        if again:
            self.wake()

    def stop(self) -> None:
        """Look no more until the next `wake`."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle, self.running = None, False


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
