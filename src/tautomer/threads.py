"""ThreadPool: functions that block, in so many threads beside the event loop; so many wait, the rest is refused.

Its own and not `concurrent.futures`: that one has a queue without end, and a thread that hangs keeps its process from
ending. The state of a pool is touched on the event loop only.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from tautomer._tasks import TaskScope, Turns
from tautomer.errors import RequestRejectedError, RequestSkippedError
from tautomer.places import NOBODY, Asked, Places
from tautomer.resilience.bulkhead import Bulkhead

log = logging.getLogger("tautomer.pools")

R = TypeVar("R")

Outcome: TypeAlias = tuple[bool, Any]
"""True and a result, or False and an exception."""


_current: ContextVar[Job | None] = ContextVar("tautomer job", default=None)


def current_job() -> Job | None:
    """The job in whose thread this is asked: by it, the event loop can be asked for things. None on the loop."""
    job = _current.get()
    return None if job is None or job.on_loop else job


class Job:
    """One function on its way through a thread, which is given it, and by which it asks the event loop for things.

    Attributes:
        ended: Its outcome, for the one who waits for it.
        abandoned: Whether nobody waits any more: it was cancelled, or its time is over.
        given_up: Called then, on the event loop; None: nothing is to be done.
    """

    __slots__ = ("_asking", "_context", "_function", "_pool", "abandoned", "ended", "given_up")

    def __init__(self, pool: ThreadPool, function: Callable[[Job], Any], ended: asyncio.Future[Outcome]) -> None:
        self._pool = pool
        self._function = function
        self._context: Context = copy_context()
        self._asking: asyncio.Task[Outcome] | None = None
        self.ended = ended
        self.abandoned = False
        self.given_up: Callable[[], object] | None = None

    @property
    def on_loop(self) -> bool:
        """Whether this is asked on the event loop, where nobody may block."""
        return threading.get_ident() == self._pool.loop_thread

    def ask(self, make: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Have a coroutine run on the event loop, and block until it is done. In the job's thread only.

        Raises:
            asyncio.CancelledError: Nobody waits for the job any more, so it is to end. As on the loop, it is no
                `Exception`: what is to be cleaned up stands in ``finally``.
            What the coroutine raises.
        """
        answer: SimpleQueue[Outcome] = SimpleQueue()
        if self.abandoned or not self._pool.post(partial(self._begin, make, copy_context(), answer)):
            raise asyncio.CancelledError
        succeeded, value = answer.get()
        if succeeded:
            return value  # type: ignore[no-any-return]  # Of an outcome nobody knows the type.
        raise value

    def leave_behind(self, make: Callable[[], Coroutine[Any, Any, Any]], label: str) -> None:
        """Have a coroutine run on the event loop, and do not wait for it: of an abandoned job, too. In its thread only."""

        def begin() -> None:
            if not self._pool.scope.closed:
                self._pool.scope.spawn(make(), label)

        self._pool.post(begin)

    def work(self) -> None:
        """The whole of it, in its thread."""
        try:
            outcome = True, self._context.run(self._run)
        except BaseException as error:
            # SystemExit in a function, too, is an error of that job and not the end of the thread.
            outcome = False, error
        self._pool.post(partial(self._pool.on_ended, self, outcome))

    def _run(self) -> Any:
        _current.set(self)
        return self._function(self)

    def give_up(self) -> None:
        """Nobody waits for it any more. What it asked for is cancelled, so that it hears of it at once."""
        self.abandoned = True
        if self._asking is not None:
            self._asking.cancel()
        if self.given_up is not None:
            self.given_up()

    def _begin(
        self, make: Callable[[], Coroutine[Any, Any, Any]], context: Context, answer: SimpleQueue[Outcome]
    ) -> None:
        if self.abandoned:
            self._tell(answer, (False, asyncio.CancelledError()))
            return
        self._asking = context.run(self._pool.scope.spawn, _outcome_of(make), "asked by a thread")
        self._asking.add_done_callback(partial(self._asked, answer))

    def _asked(self, answer: SimpleQueue[Outcome], task: asyncio.Task[Outcome]) -> None:
        self._asking = None
        self._tell(answer, (False, asyncio.CancelledError()) if task.cancelled() else task.result())

    def _tell(self, answer: SimpleQueue[Outcome], outcome: Outcome) -> None:
        answer.put(outcome)
        self._pool.lend()


async def _outcome_of(make: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
    try:
        return True, await make()
    except (Exception, SystemExit) as error:
        return False, error


class ThreadPool:
    """Runs functions in threads of its own, made when they are needed.

    A thread cannot be stopped from outside. So one whose caller gave up keeps its place until it ends by itself: what
    hangs fills its own pool, and nothing else. None of them keeps the process from ending.

    Args:
        name: Of the pool, for the names of its threads.
        node_id: For errors.
        threads: How many functions run at once.
        queue_max: How many wait.
        clock: Of the node.
        beside: Whether the loop goes on meanwhile. Where not, as in a simulation, it stands still until the function
            has ended, or asks the loop for something: there is always one of the two that runs, so that each run is
            the same as the last; and no time passes.

    Attributes:
        loop_thread: Identity of the thread of the event loop; 0 before the first function.
        scope: The tasks of what functions ask the loop for.
    """

    def __init__(
        self,
        name: str,
        node_id: str,
        threads: int,
        queue_max: int,
        clock: Callable[[], float],
        beside: bool = True,
    ) -> None:
        self._name = name
        self._node_id = node_id
        self._places = Places(Bulkhead(threads, queue_max), node_id, clock)
        self._patient: deque[asyncio.Future[None]] = deque()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._posts: SimpleQueue[Callable[[], object]] | None = None if beside else SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: dict[Job, None] = {}
        self._threads = self._idle = self._largest = self._abandoned = 0
        self._turns = Turns()
        self._closed = False
        self.loop_thread = 0
        self.scope = TaskScope(name)

    async def run(
        self,
        what: str,
        function: Callable[[Job], R],
        deadline: float | None = None,
        *,
        asked: Asked = NOBODY,
        patient: bool = False,
    ) -> R:
        """Call ``function(job)`` in a thread, with the context variables of the caller, and return its result.

        Cancelled while it waits, it is not run; cancelled while it runs, it is abandoned: it runs on, and its result
        is dropped.

        Args:
            what: Name of the action, for errors.
            deadline: When it is no longer worth to be begun.
            asked: See `Places.enter`.
            patient: Wait for a place as long as it takes, with no bound on how many do; the others come first. For
                those who have a bound of their own.

        Raises:
            QueueIsFullError: Too many wait already.
            RequestSkippedError: Its turn did not come in time.
            RequestRejectedError: The pool is closed.
            What the function raises.
        """
        await self._enter(what, deadline, asked, patient)
        if self._closed:
            self._leave()
            raise self._refusal(what)
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        job = Job(self, function, ended)
        self._hand_over(job)
        try:
            succeeded, value = await ended
        except BaseException:
            if job in self._running:
                self._abandoned += 1
                job.give_up()
            raise
        if succeeded:
            return value  # type: ignore[no-any-return]  # As above.
        try:
            raise value
        finally:
            del value, job, ended  # An exception that holds itself would keep all of it.

    def statistics(self) -> dict[str, int]:
        """Sizes and counters. `abandoned` run on though their callers gave up; `abandoned_total` of them so far."""
        bulkhead = self._places.bulkhead
        return {
            "threads": self._threads,
            "running": len(self._running),
            "waiting": bulkhead.waiting + len(self._patient),
            "largest": self._largest,
            "refused": bulkhead.refused,
            "expired": bulkhead.expired,
            "abandoned": sum(job.abandoned for job in self._running),
            "abandoned_total": self._abandoned,
        }

    async def finish(self, grace: float) -> int:
        """Wait at most `grace` seconds for all that run or wait. Returns how many are left."""
        try:
            async with asyncio.timeout(max(grace, 0.0)):
                while len(self):
                    await self._turns.next()
        except TimeoutError:
            pass
        return len(self)

    def __len__(self) -> int:
        return len(self._running) + self._places.bulkhead.waiting + len(self._patient)

    async def close(self) -> None:
        """Take no more; who waits is refused, who runs is left behind. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._places.close()
        while self._patient:
            self._admit(self._patient.popleft())
        for job in self._running:
            job.give_up()
        if self._running:
            log.warning(
                "functions in threads do not end; they are left behind",
                extra={"pool": self._name, "running": len(self._running)},
            )
        for _ in range(self._threads):
            self._jobs.put(None)
        await self.scope.close(0)

    # --- between the loop and its threads ---

    def post(self, callback: Callable[[], object]) -> bool:
        """Have something called on the loop. From a thread. False: the loop is gone, and everything with it."""
        if self._posts is not None:
            self._posts.put(callback)
            return True
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return False
        return True

    def lend(self) -> None:
        """A thread can go on. Where it is not to run beside the loop, wait for what it has to say next."""
        if self._posts is not None:
            self._posts.get()()

    def on_ended(self, job: Job, outcome: Outcome) -> None:
        """A function has ended, and its thread is free."""
        self._idle += 1
        self._running.pop(job, None)
        if not job.ended.done():
            job.ended.set_result(outcome)
        elif not outcome[0] and not isinstance(outcome[1], asyncio.CancelledError):
            log.debug("a function failed after its caller had given up", exc_info=outcome[1])
        self._leave()

    def _hand_over(self, job: Job) -> None:
        if self._loop is None:
            self._loop, self.loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._running[job] = None
        self._largest = max(self._largest, len(self._running))
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            name = f"tautomer {self._name} {self._threads} of {self._node_id}"
            threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True).start()
        self._jobs.put(job)
        self.lend()

    async def _enter(self, what: str, deadline: float | None, asked: Asked, patient: bool) -> None:
        bulkhead = self._places.bulkhead
        if self._closed:
            raise self._refusal(what)
        if bulkhead.has_room:
            bulkhead.running += 1
        elif patient:
            await self._have_patience()
        else:
            try:
                await self._places.enter(what, deadline, asked)
            except RequestSkippedError:
                if self._places.closed:
                    raise self._refusal(what) from None
                raise

    async def _have_patience(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._patient.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._patient:
                self._patient.remove(turn)
            elif not turn.cancelled():
                self._leave()  # It was called at the very moment.
            raise

    def _leave(self) -> None:
        """A place is free: those with a deadline first, then those with patience."""
        self._places.leave()
        bulkhead = self._places.bulkhead
        while self._patient and bulkhead.has_room:
            self._admit(self._patient.popleft())
        self._turns.wake()

    def _admit(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._places.bulkhead.running += 1
            turn.set_result(None)

    def _refusal(self, what: str) -> RequestRejectedError:
        error = RequestRejectedError(what, self._node_id)
        error.outcome = "not run"
        return error


def _work(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.work()
        del job  # Or it would be kept until the next one comes.
