"""FirstSteps: what never waits is done at once, and what does wait goes on in a task.

A task for each of many short coroutines costs as much as some of them do, and each waits for a turn of the loop before it
begins. Python's own eager tasks (3.12 and newer) are not used, so that things happen in the same order on every version.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from types import coroutine
from typing import Any, Final
from weakref import getweakrefcount

from tautomer._tasks import TaskStarter

__all__ = ["FirstSteps"]

_DONE: Final = object()


class FirstSteps:
    """Takes the first steps of coroutines right where it is asked to, for an owner such as that of a `TaskStarter`.

    While it takes that step, `asyncio.current_task` is the very task in which a coroutine goes on if it waits: one that
    has been made beforehand, and stands by. Where it was not needed it stands by for the next one, unless somebody has
    kept hold of it or left something with it; then it ends, as it would have with the coroutine. Context variables are
    each coroutine's own in any case.
    """

    __slots__ = ("_closed", "_ready", "_standing", "_starter")

    def __init__(self, starter: TaskStarter) -> None:
        self._starter = starter
        # The task that stands by, as soon as it does so; the one that does, or is about to.
        self._ready: _StandBy | None = None
        self._standing: _StandBy | None = None
        self._closed = False

    def take(self, coro: Coroutine[Any, Any, None], label: str) -> asyncio.Task[None] | None:
        """Take the first step.

        Args:
            coro: Lets no exception out but `CancelledError`.

        Returns:
            The task in which it goes on; None where it is done. Where no task stands by, or this is called from within one,
            nothing has been done yet, and it begins in a task of its own at the next turn of the loop.
        """
        ready = self._ready
        if ready is None or ready.go.done():
            self._prepare()
            return self._starter.start(coro, label)
        loop = ready.loop
        try:
            _enter_task(loop, ready.task)
        except RuntimeError:  # A task runs already.
            return self._starter.start(coro, label)
        self._ready = self._standing = None
        context = copy_context()
        try:
            waits_for = context.run(ready.drive, coro)
        except BaseException as error:
            _leave_task(loop, ready.task)
            ready.end()
            if isinstance(error, asyncio.CancelledError):
                return None
            raise
        _leave_task(loop, ready.task)
        if waits_for is not _DONE:
            ready.go_on(context, waits_for, label)
            return ready.task
        # Asked for anew each time: a name for it here would count.
        if (
            getrefcount(ready.task) == ready.references
            and getweakrefcount(ready.task) == ready.weak_references
            and not ready.task.is_marked
            and not self._closed
        ):
            self._ready = self._standing = ready
        else:
            ready.end()
        return None

    def _prepare(self) -> None:
        """Have a task stand by, in the next turn of the loop."""
        if self._standing is None and not self._closed and self._starter.is_plain:
            standing = self._standing = _StandBy()
            standing.task = _Task(standing.run(self._on_ready, self._on_gone), name="stand-by")

    async def close(self) -> None:
        """Take no more steps. Twice is harmless."""
        self._closed = True
        standing, self._ready, self._standing = self._standing, None, None
        if standing is not None:
            standing.task.cancel()
            await asyncio.wait((standing.task,))

    def _on_ready(self, ready: _StandBy) -> None:
        if self._standing is ready:
            self._ready = ready

    def _on_gone(self, gone: _StandBy) -> None:
        if self._standing is gone:
            self._ready = self._standing = None


class _Task(asyncio.Task[None]):
    """A task that says whether anything was left with it: an attribute, or a callback for its end.

    Of a plain task, its attributes cannot be seen.
    """

    __slots__ = ("is_marked",)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, "is_marked", True)
        object.__setattr__(self, name, value)

    def add_done_callback(self, callback: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        self.is_marked = True
        super().add_done_callback(callback, context=context)


@coroutine
def _one_by_one() -> Generator[Any, Any, None]:
    """Runs each coroutine that is sent in, and yields `_DONE` at its end: that is twice as fast as to catch a `StopIteration`."""
    while True:
        coro = yield _DONE
        yield from coro


class _StandBy:
    """A task that waits for a coroutine of which the first step has been taken.

    Attributes:
        references: How many hold the task while it waits; `weak_references`, how many weakly so.
        drive: Takes the first step of a coroutine, or (None) the next. Returns what it waits for, or `_DONE`.
        go: Done when the wait is over.
    """

    __slots__ = ("_context", "_driver", "_waits_for", "drive", "go", "loop", "references", "task", "weak_references")

    task: _Task
    loop: asyncio.AbstractEventLoop
    go: asyncio.Future[None]

    def __init__(self) -> None:
        self._driver = _one_by_one()
        self.drive: Callable[[Any], Any] = self._driver.send
        self.drive(None)
        self._context: Context | None = None
        self._waits_for: Any = None
        self.references = self.weak_references = 0

    async def run(self, on_ready: Callable[[_StandBy], None], on_gone: Callable[[_StandBy], None]) -> None:
        """The whole of the task."""
        self.loop = asyncio.get_running_loop()
        self.go = self.loop.create_future()
        # It is counted when this coroutine has begun to wait, by which time nothing but the wait itself has hold of it.
        self.loop.call_soon(self._count, on_ready)
        try:
            await self.go
        except asyncio.CancelledError as cancelled:
            if self._context is None:
                on_gone(self)
                raise
            await self._rest(self._context.run, cancelled)
        else:
            if self._context is not None:
                await self._rest(self._context.run, None)

    def _count(self, on_ready: Callable[[_StandBy], None]) -> None:
        self.task.is_marked = False
        self.references, self.weak_references = getrefcount(self.task), getweakrefcount(self.task)
        on_ready(self)

    def go_on(self, context: Context, waits_for: Any, label: str) -> None:
        """Do the rest of the coroutine, which waits for a future, or (None) for a turn of the loop."""
        self._context, self._waits_for = context, waits_for
        self.task.set_name(label)
        self.end()

    def end(self) -> None:
        """Wait no more."""
        if not self.go.done():  # Else its own coroutine has cancelled it.
            self.go.set_result(None)

    @coroutine
    def _rest(
        self, run: Callable[[Callable[[Any], Any], Any], Any], cancelled: asyncio.CancelledError | None
    ) -> Generator[Any, Any, None]:
        """Step by step, as a task does it; each in the coroutine's own context."""
        waits_for, step = self._waits_for, self.drive
        given: Any = None
        # The turn of the loop for which it waited has come. What it waits for is cancelled first, as `Task.cancel` does.
        is_waiting = waits_for is not None
        if cancelled is not None and not (is_waiting and asyncio.isfuture(waits_for) and waits_for.cancel()):
            step, given, is_waiting = self._driver.throw, cancelled, False
        while True:
            if is_waiting:
                try:
                    step, given = self.drive, (yield waits_for)
                except BaseException as error:
                    step, given = self._driver.throw, error
            is_waiting = True
            try:
                waits_for = run(step, given)
            finally:
                given = cancelled = None  # An exception that holds this frame would keep all of it.
            if waits_for is _DONE:
                return
