"""Handle: an execution that was begun, to be awaited from whichever loop or thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.commands.execution import Execution
from tautomer.commands.pools import Result

__all__ = ["Handle"]

LOOK: Final = 1.0
"""Seconds after which a thread that waits looks whether the loop that it waits for still runs."""


class Handle(Awaitable[Any]):
    """An execution under way. Awaiting it gives its value or raises its error; to cancel who awaits it cancels it.

    Args:
        loop: Where it runs.
        execution: Its record.
        live: Lives it.
        scope: Owns its task.
    """

    __slots__ = ("_future", "_live", "_loop", "_scope", "_sharing", "_task", "_wanted", "execution")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        execution: Execution,
        live: Callable[[], Coroutine[Any, Any, Result]],
        scope: TaskScope,
    ) -> None:
        self._loop = loop
        self._live = live
        self._scope = scope
        self._task: asyncio.Task[Result] | None = None
        self._future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._wanted = True
        self._sharing = 0
        self.execution = execution

    def begin(self) -> None:
        """Start it; from whichever thread."""
        if asyncio._get_running_loop() is self._loop:
            self._begin()
        else:
            self._future.add_done_callback(self._on_future)
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if not self._wanted:
            self._future.cancel()
            return
        self._task = self._scope.spawn(self._lived(), "command")
        # A callback, as a task that is cancelled before its first step runs no line of its own.
        self._task.add_done_callback(self._on_task)

    async def _lived(self) -> Result:
        try:
            return await self._live()
        except Exception as error:  # A command that is written wrong; whoever waits is told.
            return None, error

    def _on_task(self, task: asyncio.Task[Result]) -> None:
        if self.execution.duration is None:
            # Cancelled before it began.
            self.execution.duration = 0.0
            self.execution.events.append("CANCELLED")
        if task.cancelled():
            self._future.cancel()
        elif not self._future.done():
            self._future.set_result(task.result())

    def _on_future(self, future: concurrent.futures.Future[Result]) -> None:
        if future.cancelled():
            self.cancel()

    @property
    def wanted(self) -> bool:
        """Whether nobody has cancelled it."""
        return self._wanted

    def on_end(self, told: Callable[[], None]) -> None:
        """Call this when it has ended, in its loop."""
        self._future.add_done_callback(lambda _: told())

    # --- for whoever began it ---

    def done(self) -> bool:
        """Whether it has ended, in whichever way."""
        return self._future.done()

    def cancel(self) -> bool:
        """End it; what runs in a thread goes on unheard. False: it has ended already."""
        if self._future.done() and not self._future.cancelled():
            return False
        self._wanted = False
        if asyncio._get_running_loop() is self._loop:
            self._cancel_task()
        else:
            try:
                self._loop.call_soon_threadsafe(self._cancel_task)
            except RuntimeError:
                pass  # The loop is closed, and the task with it.
        return True

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._value().__await__()

    async def _value(self) -> Any:
        return unwrap(await self._outcome())

    async def _outcome(self) -> Result:
        if self._task is not None and asyncio.get_running_loop() is self._loop:
            return await self._task
        return await asyncio.wrap_future(self._future)

    async def shared(self) -> Result:
        """Wait for it as one of several: it is cancelled when none of them wants it any more."""
        self._sharing += 1
        try:
            return await asyncio.shield(self._outcome())
        except asyncio.CancelledError:
            if self._sharing == 1:
                self.cancel()
            raise
        finally:
            self._sharing -= 1

    def wait(self) -> Any:
        """Block this thread until it has ended.

        Raises:
            RuntimeError: The loop that it ran in was stopped.
            Exception: What the command raised.
        """
        while not self._future.done():
            try:
                concurrent.futures.wait([self._future], LOOK)
            except BaseException:
                self.cancel()  # Ctrl+C while waiting.
                raise
            if not self._future.done() and not self._loop.is_running():
                raise RuntimeError("the loop that ran the command was stopped before its end")
        return unwrap(self._future.result())


def unwrap(result: Result) -> Any:
    """The value; or raise the error."""
    value, error = result
    if error is not None:
        raise error
    return value
