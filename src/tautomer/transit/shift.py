"""Shift: one task for all the requests that do not wait."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextvars import copy_context
from typing import Any, Final, TypeAlias

from tautomer._tasks import TaskStarter
from tautomer.context import Context
from tautomer.protocol.packets import Request

OWN_TASKS: Final = 1_000
"""Requests for an action that get a task each before it is tried again: what waited once may never wait again."""


Taken: TypeAlias = tuple[Request, Context[Any]]


class Shift:
    """Runs requests one after the other in one task, for as long as each of them ends without having waited.

    To start a task costs as much as to read a small request (measured at the callee, with uvloop: 1.0 of 6.8 µs), and
    who never waits needs none of its own: until its end nothing else has a turn. Who does wait keeps the task for
    itself, the others get one each, and so do the next requests for that action (`Endpoint.own_tasks`). The same holds
    for who leaves a mark on the task that the next would find there: a context variable, a cancellation, a
    reference that outlives the handler.

    Args:
        serve: Runs requests one after the other, and takes each out of `running` at its end. Lets out nothing but cancellation.

    Attributes:
        queue: Requests that have not begun, oldest first. They begin in the next turn of the loop. Who takes them in
            puts them here, and calls `wake` after the first and the second; and before, if anybody is at work, `leave`.
        at_work: What was begun last in the common task; None once it ended there. Whoever else looks finds it waiting.
        running: The task of each request that has one to itself.
    """

    __slots__ = ("_serve", "_start", "_task", "at_work", "queue", "running")

    def __init__(self, serve: Callable[[Iterable[Taken]], Coroutine[Any, Any, object]]) -> None:
        self._serve = serve
        self._start = TaskStarter().start
        self._task: asyncio.Task[Any] | None = None
        self.at_work: Context[Any] | None = None
        self.queue: deque[Taken] = deque()
        self.running: dict[Context[Any], asyncio.Task[Any]] = {}

    def __len__(self) -> int:
        """Requests that were taken on and have not ended."""
        return len(self.queue) + len(self.running) + (self.at_work is not None)

    def wake(self) -> None:
        """See to it that what was put into the queue has its turn."""
        if len(self.queue) == 1:
            start = self._start
            self._task = start(self._serve(self._turns()), self.queue[0][0].action)
        elif self._task is not None:
            # Comes right after the first turn of the task.
            self._task.get_loop().call_soon(self.relieve)

    def start(self, packet: Request, ctx: Context[Any]) -> asyncio.Task[Any]:
        """Run a request in a task of its own."""
        start = self._start
        self.running[ctx] = task = start(self._serve(((packet, ctx),)), packet.action)
        return task

    def relieve(self) -> None:
        """Whoever is at work keeps the task; those who still queue get one each."""
        self.leave()
        while self.queue:
            self.start(*self.queue.popleft())

    def look(self) -> None:
        """Now and then: nobody is to wait for a task that somebody cancelled before its first turn."""
        self.leave()
        if self._task is not None and self._task.done():
            self.relieve()

    def leave(self) -> None:
        """Whoever is at work waits, as somebody else has a turn: the task is its own from now on."""
        if (waits := self.at_work) is None:
            return
        self.at_work = None
        waits.endpoint.own_tasks = OWN_TASKS
        if (task := self._task) is not None and not task.done():
            self.running[waits] = task

    def _turns(self) -> Iterator[Taken]:
        """Those who queue, one after the other, for as long as they leave nothing behind."""
        task = asyncio.current_task()
        assert task is not None
        queue, getrefcount = self.queue, sys.getrefcount
        clean, references = copy_context(), getrefcount(task)
        while queue:
            taken = queue.popleft()
            self.at_work = ctx = taken[1]
            yield taken
            if self.at_work is not ctx:
                return  # It waited, and the task was left to it.
            self.at_work = None
            if task.cancelling() or getrefcount(task) != references or copy_context() != clean:
                ctx.endpoint.own_tasks = OWN_TASKS
                return
