"""Pool: the places of one group, and where those who have one run (resilience reference, sections 4 and 5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from math import inf
from threading import RLock
from typing import Any, Final, TypeAlias

from tautomer.commands.options import PoolOptions
from tautomer.commands.threads import Threads, is_ending
from tautomer.resilience.bulkhead import Bulkhead, Place
from tautomer.resilience.rolling import RollingEvents, RollingMaximum

__all__ = ["Entry", "Job", "NoThreadError", "Pool", "Result"]

log = logging.getLogger("tautomer.commands")

Result: TypeAlias = tuple[Any, BaseException | None]
"""How something ended: with a value, or with an error."""

LATE_PAUSE: Final = 60.0
"""Seconds between two lines about errors that nobody waited for."""


class NoThreadError(Exception):
    """There is a place, but no thread to be had."""


class Entry(Enum):
    """How the wait for a place ended."""

    IN = "in"
    FULL = "full"
    LATE = "late"


class _Ticket:
    """One that waits for a place, in whichever loop it runs."""

    __slots__ = ("future", "loop", "verdict")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.verdict: Entry | None = None

    def tell(self, verdict: Entry) -> bool:
        """Its wait is over. False: nobody hears it, as its loop is closed."""
        self.verdict = verdict
        try:
            if asyncio._get_running_loop() is self.loop:
                self._wake()
            else:
                self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Pool:
    """So many run at once, so many wait, the rest is refused. A place is free again when what ran has really ended.

    Several loops and threads may use one: all state is touched under one lock, and never for longer than a few lines.

    Args:
        clock: Seconds, never going back.
        inline: Run in the caller's loop what would run in a thread; for tests.

    Attributes:
        abandoned: Threads that still run though their caller has given up.
    """

    def __init__(self, options: PoolOptions, clock: Callable[[], float], inline: bool = False) -> None:
        self.options = options
        self._clock = clock
        self._inline = inline
        self._lock = RLock()
        self._bulkhead: Bulkhead[_Ticket] = Bulkhead(options.max_workers, options.queue_max)
        self._threads = Threads(f"commands-{options.group_key}")
        self._largest = self._done = 0
        self._late_errors, self._late_told = 0, -inf
        self.abandoned = 0
        self.counts = RollingEvents()
        self.most = RollingMaximum()

    def __repr__(self) -> str:
        return f"<Pool {self.options.group_key}>"

    def resize(self, options: PoolOptions) -> None:
        """Other limits from now on; who is in stays in."""
        with self._lock:
            self.options = options
            self._bulkhead.resize(options.max_workers, options.queue_max)
            self._call(*self._bulkhead.call_next(self._clock()))

    # --- places ---

    async def enter(self, deadline: float) -> Entry:
        """Get a place, which `leave` gives back; wait for one until the deadline if need be."""
        with self._lock:
            now = self._clock()
            if self._bulkhead.has_room:
                self._bulkhead.running += 1
                self._started()
                return Entry.IN
            ticket = _Ticket(asyncio.get_running_loop())
            place, late = self._bulkhead.enter(ticket, now, deadline)
            _tell_late(late)
            if place is Place.REFUSED:
                self.counts.add("rejected", now)
                return Entry.FULL
        try:
            async with asyncio.timeout(None if deadline == inf else deadline - now):
                await ticket.future
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if self._given_up(ticket) is Entry.IN:
                self.leave()  # It was called at the very moment: whoever is next has the place.
            raise
        return self._given_up(ticket)

    def _given_up(self, ticket: _Ticket) -> Entry:
        """It waits no longer. What became of it: it may have been called before anybody told it."""
        with self._lock:
            if ticket.verdict is None:
                self._bulkhead.withdraw(ticket, self._clock())
                ticket.verdict = Entry.LATE
            return ticket.verdict

    def enter_now(self) -> bool:
        """Get a place if there is one."""
        with self._lock:
            if not self._bulkhead.has_room:
                self.counts.add("rejected", self._clock())
                return False
            self._bulkhead.running += 1
            self._started()
            return True

    def _started(self) -> None:
        running = self._bulkhead.running
        self._largest = max(self._largest, running)
        now = self._clock()
        self.counts.add("executed", now)
        self.most.add(running, now)

    def leave(self) -> None:
        """Give a place back: whoever is next has it."""
        with self._lock:
            self._done += 1
            self._call(*self._bulkhead.leave(self._clock()))

    def _call(self, called: _Ticket | None, late: list[_Ticket]) -> None:
        """Let in whoever is next, and still there, and all others for whom there is room."""
        bulkhead = self._bulkhead
        while True:
            _tell_late(late)
            if called is None:
                return
            if called.tell(Entry.IN):
                self._started()
                called, late = bulkhead.call_next(self._clock())
            else:
                called, late = bulkhead.leave(self._clock())

    # --- threads ---

    def run(self, function: Callable[[], Any]) -> Job:
        """Run a function, in the caller's context variables. The place that was got for it is given back at its end.

        Raises:
            NoThreadError: The system gives no more threads; the place is given back.
        """
        job = Job(self, function)
        if self._inline or is_ending():
            job.work()
            job.end()
            return job
        try:
            self._threads.start(job.work, job.end)
        except RuntimeError as error:
            self.leave()
            raise NoThreadError(str(error)) from error
        return job

    def ended(self, job: Job) -> None:
        """A thread is done: gives its place back, and tells whoever still waits for it."""
        with self._lock:
            job.over = True
            if job.abandoned:
                self.abandoned -= 1
                self._note_late(job)
        self.leave()

    def abandon(self, job: Job) -> None:
        """Nobody waits for it any more. It keeps its place until it ends by itself: Python cannot interrupt it."""
        with self._lock:
            if not job.over and not job.abandoned:
                job.abandoned = True
                self.abandoned += 1

    def _note_late(self, job: Job) -> None:
        error = None if job.result is None else job.result[1]
        if error is None:
            return
        self._late_errors += 1
        now = self._clock()
        if now - self._late_told >= LATE_PAUSE:
            self._late_told = now
            log.debug(
                "errors of threads that nobody waited for any more",
                extra={"pool": self.options.group_key, "count": self._late_errors, "last": repr(error)[:200]},
            )
            self._late_errors = 0

    def statistics(self) -> dict[str, int]:
        """Sizes and counters."""
        with self._lock:
            return {
                "max_workers": self.options.max_workers,
                "max_queue": self.options.queue_max,
                "running": self._bulkhead.running,
                "waiting": self._bulkhead.waiting,
                "largest": self._largest,
                "executed": self._done + self._bulkhead.running,
                "completed": self._done,
                "rejected": self.counts.ever["rejected"],
                "abandoned": self.abandoned,
                "threads": self._threads.size,
            }


class Job:
    """A function on its way through a thread.

    Attributes:
        result: How it ended; None before.
        future: Done when it has ended, in the loop of who asked.
        abandoned: Whether nobody waits for it any more.
        over: Whether it has ended.
    """

    __slots__ = ("_context", "_function", "_loop", "_pool", "abandoned", "future", "over", "result")

    def __init__(self, pool: Pool, function: Callable[[], Any]) -> None:
        self._pool = pool
        self._function: Callable[[], Any] | None = function
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()
        self.result: Result | None = None
        self.abandoned = self.over = False

    def work(self) -> None:
        """Call the function."""
        assert self._function is not None
        try:
            self.result = (self._context.run(self._function), None)
        except BaseException as error:  # Whoever waits for it is told, whatever it is; a thread has nobody above it.
            self.result = (None, error)
        self._function = None

    def end(self) -> None:
        """Give the place back, and tell whoever waits."""
        self._pool.ended(self)
        try:
            if asyncio._get_running_loop() is self._loop:
                self._tell()
            else:
                self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:
            pass  # The loop is closed: nobody waits.

    def _tell(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


def _tell_late(late: list[_Ticket]) -> None:
    for ticket in late:
        ticket.tell(Entry.LATE)
