"""Shift: one task for all the requests that do not wait."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final

from tautomer._tasks import TaskStarter
from tautomer.context import Context
from tautomer.protocol.packets import Request

OWN_TASKS: Final = 1_000
"""Requests for an action that get a task each before it is tried again: what waited once may never wait again."""


class Shift:
    """Runs requests one after the other in one task, for as long as each of them ends without having waited.

    To start a task costs as much as to read a small request (measured at the callee, with uvloop: 1.0 of 6.8 µs), and
    who never waits needs none of its own: until its end nothing else has a turn. Who does wait keeps the task for
    itself, the others get one each, and so do the next requests for that action (`Endpoint.own_tasks`). The same holds
    for who leaves a mark on the task that the next would find there: a context variable, a cancellation, a
    reference that outlives the handler.

    Args:
        serve: Runs one request. Lets out nothing but cancellation.
        running: The task of each request that has begun, None for one that has not. `serve` takes the request out.

    Attributes:
        queue: Requests that have not begun, oldest first. They begin in the next turn of the loop.
    """

    __slots__ = ("_at_work", "_running", "_serve", "_start", "_task", "queue")

    def __init__(
        self,
        serve: Callable[[Request, Context[Any]], Coroutine[Any, Any, object]],
        running: dict[Context[Any], asyncio.Task[Any] | None],
    ) -> None:
        self._serve = serve
        self._running = running
        self._start = TaskStarter().start
        self._task: asyncio.Task[Any] | None = None
        # What was begun last; None once it ended, if by then nobody had found it waiting.
        self._at_work: Context[Any] | None = None
        self.queue: deque[tuple[Request, Context[Any]]] = deque()

    def add(self, packet: Request, ctx: Context[Any]) -> None:
        """Run a request in the next turn of the loop."""
        queue, self._running[ctx] = self.queue, None
        queue.append((packet, ctx))
        if len(queue) == 1:
            self._let_go()
            start = self._start
            self._task = start(self._work(), packet.action)
        elif len(queue) == 2 and self._task is not None:
            # Comes right after the first turn of the task.
            self._task.get_loop().call_soon(self.relieve)

    def start(self, packet: Request, ctx: Context[Any]) -> asyncio.Task[Any]:
        """Run a request in a task of its own."""
        start = self._start
        self._running[ctx] = task = start(self._serve(packet, ctx), packet.action)
        return task

    def relieve(self) -> None:
        """Whoever is at work keeps the task; those who still queue get one each."""
        self._let_go()
        while self.queue:
            self.start(*self.queue.popleft())

    def look(self) -> None:
        """Now and then: nobody is to wait for a task that somebody cancelled before its first turn."""
        if self._task is not None and self._task.done():
            self.relieve()

    def _let_go(self) -> None:
        if (waits := self._at_work) is not None:
            waits.endpoint.own_tasks = OWN_TASKS
            self._at_work = None

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        queue, running, serve = self.queue, self._running, self._serve
        clean, references = copy_context(), sys.getrefcount(task)
        while queue:
            packet, ctx = queue.popleft()
            running[ctx] = task
            self._at_work = ctx
            await serve(packet, ctx)
            if self._at_work is not ctx:
                return  # It waited, and the task was left to it.
            self._at_work = None
            if task.cancelling() or sys.getrefcount(task) != references or copy_context() != clean:
                ctx.endpoint.own_tasks = OWN_TASKS
                return
