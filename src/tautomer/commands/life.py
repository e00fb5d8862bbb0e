"""Life: one execution of a command, from the circuit to the fallback (resilience reference, section 3).

    fallback( attempts( circuit → place in the pool → run ) )

Whatever becomes of `run` is a value here, a `Tried`; only a cancellation is raised through.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Coroutine
from inspect import signature
from math import inf
from typing import TYPE_CHECKING, Any, Final

from tautomer.commands.execution import RUNNING, Execution, Tried
from tautomer.commands.fallback import EMITTED, Fallback
from tautomer.commands.hedging import hedged
from tautomer.commands.pools import Entry, NoThreadError, Result
from tautomer.commands.runtime import CommandKey, Runtime, backoff_of
from tautomer.errors import (
    BrokerOptionsError,
    CircuitOpen,
    CommandError,
    CommandRejected,
    CommandTimeout,
    MoleculerError,
)
from tautomer.resilience.circuit import Circuit, Outcome
from tautomer.resilience.rolling import percentile

if TYPE_CHECKING:
    from tautomer.commands.command import Command
    from tautomer.commands.options import Hedge, Retry

__all__ = ["Life"]

log = logging.getLogger("tautomer.commands")

REJECTED_WAIT: Final = 1.0
"""Seconds after which a caller that found no place may ask again."""

HEDGE_SAMPLES: Final = 20
"""Executions of the last minute without which nobody can say what is slow."""

_OUTCOMES: Final = {
    "SUCCESS": Outcome.SUCCESS,
    "FAILURE": Outcome.FAILURE,
    "TIMEOUT": Outcome.FAILURE,
    "THREAD_POOL_REJECTED": Outcome.FAILURE,
    "SEMAPHORE_REJECTED": Outcome.FAILURE,
    "BAD_REQUEST": Outcome.REFUSED,
}
"""What a circuit makes of an event; of others it is not told."""

_FAILURE_TYPES: Final = {"FAILURE": "COMMAND_EXCEPTION", "BAD_REQUEST": "BAD_REQUEST_EXCEPTION"}

Emit = Callable[[Any], Coroutine[Any, Any, None]]


class Life:
    """One execution.

    Args:
        emit: Where the items of a `run` with `yield` go; None if nobody wants a stream.
    """

    def __init__(
        self, command: Command, runtime: Runtime, key: CommandKey, execution: Execution, emit: Emit | None = None
    ) -> None:
        self._command = command
        self._runtime = runtime
        self._key = key
        self._options = key.options
        self._execution = execution
        self._emit = emit
        self._clock = runtime.clock
        self._pool = runtime.pool_of(key.options)

    async def end(self) -> Result:
        """Live it.

        Returns:
            The value, or the error that the caller is to get.

        Raises:
            CancelledError: It was cancelled from outside.
        """
        execution, measures, lock = self._execution, self._key.measures, self._runtime.lock
        with lock:
            measures.began(self._clock())
        try:
            return await self._live()
        except asyncio.CancelledError:
            execution.events.append("CANCELLED")
            raise
        finally:
            now = self._clock()
            execution.duration = now - execution.started
            with lock:
                measures.happened(execution.events, now)
                measures.ended(execution.duration, now)

    async def _live(self) -> Result:
        execution = self._execution
        tried = await self._attempts()
        error = tried.error
        if error is None and tried.event == "SUCCESS":
            return tried.value, None
        execution.exception = error
        execution.failure_type = _FAILURE_TYPES.get(tried.event) or getattr(error, "failure_type", None)
        execution.circuit_open = tried.event == "SHORT_CIRCUITED"
        if tried.event in ("BAD_REQUEST", "CANCELLED"):
            return None, error
        fallback = Fallback(self._command, self._runtime, self._key, execution, self._emit)
        if error is None and not (fallback.is_defined and self._is_replaced(tried.value)):
            return tried.value, None
        value, failed = await fallback.result()
        if error is None:
            # A result that counts as a failure: where nothing takes its place, it is better than nothing.
            return (value if execution.from_fallback else tried.value), None
        if execution.from_fallback:
            return value, None
        _note(error, f"in command {self._options.group_key}.{self._key.name}")
        if failed is not None:
            _remember(error, failed)
        return None, error

    # --- attempts ---

    async def _attempts(self) -> Tried:
        retry, budget = self._options.retry, self._key.budget
        if budget is None or self._emit is not None:
            return await self._noted(self._execution.deadline)
        with self._runtime.lock:
            budget.called(self._clock())
        if retry is None:
            return await self._hedged(self._execution.deadline)
        return await self._repeated(retry)

    async def _repeated(self, retry: Retry) -> Tried:
        backoff = backoff_of(retry)
        clock, deadline = self._clock, self._execution.deadline
        for attempt in range(1, retry.retries + 2):
            begun = clock()
            limit = deadline if retry.attempt_timeout is None else min(deadline, begun + retry.attempt_timeout)
            tried = await self._hedged(limit)
            if attempt > retry.retries or not _worth_it(tried, retry):
                break
            now = clock()
            pause = backoff.pause(attempt, self._runtime.chance.random())
            if now + pause + (now - begun) > deadline:
                break  # There is less time left than the last attempt took.
            if not self._may_spend():
                log.warning("no further attempt: the retry budget is used up", extra={"command": self._key.name})
                break
            await asyncio.sleep(pause)
        return tried

    def _may_spend(self) -> bool:
        """Whether there may be one more attempt, which is counted."""
        with self._runtime.lock:
            return self._key.budget is not None and self._key.budget.spend(self._clock())

    async def _hedged(self, deadline: float) -> Tried:
        """An attempt, and perhaps another before it has ended."""
        hedge = self._options.hedge
        delay = None if hedge is None else self._hedge_delay(hedge)
        if hedge is None or delay is None:
            return await self._noted(deadline)
        circuit = self._key.circuit

        def may() -> bool:
            # To a dependency that is not well nothing is sent twice.
            return (circuit is None or circuit.state is Circuit.CLOSED) and self._may_spend()

        scope = self._runtime.scope(asyncio.get_running_loop())
        return await hedged(lambda: self._noted(deadline), delay, hedge.extra, may, scope)

    def _hedge_delay(self, hedge: Hedge) -> float | None:
        """Seconds before the second attempt; None: not enough is known yet for one."""
        if hedge.percent is None:
            return float(hedge.delay)
        with self._runtime.lock:
            seen = self._key.measures.run_times.of_late(self._clock())
        return percentile(seen, hedge.percent) if len(seen) >= HEDGE_SAMPLES else None

    async def _noted(self, deadline: float) -> Tried:
        tried = await self._attempt(deadline)
        self._execution.events.append(tried.event)
        return tried

    async def _attempt(self, deadline: float) -> Tried:
        """Ask the circuit, and tell it how it ended."""
        now, lock, circuit = self._clock(), self._runtime.lock, self._key.circuit
        if now >= deadline:
            return self._timeout()
        if circuit is None:
            return await self._placed(deadline)
        with lock:
            permit = circuit.allow(now, 0.0 if deadline == inf else deadline - now)
            wait = circuit.retry_after(now)
        if permit is None:
            # Another one tries just now whether all is well: how long that takes nobody knows.
            return Tried("SHORT_CIRCUITED", error=CircuitOpen(self._key.name, self._options.group_key, wait or 1.0))
        outcome = Outcome.CANCELLED
        try:
            tried = await self._placed(deadline)
            outcome = _OUTCOMES.get(tried.event, Outcome.CANCELLED)
            return tried
        finally:
            ended = self._clock()
            with lock:
                circuit.ended(permit, outcome, ended, ended - now)

    async def _placed(self, deadline: float) -> Tried:
        """Get a place in the pool, and run."""
        in_thread = self._runs_in_thread()
        self._key.in_loop = not in_thread
        entry = await self._pool.enter(deadline)
        if entry is Entry.IN and self._clock() >= deadline:
            self._pool.leave()
            entry = Entry.LATE
        if entry is Entry.FULL:
            return self._rejected(in_thread)
        if entry is Entry.LATE:
            return self._timeout()
        self._execution.attempts += 1
        begun = self._clock()
        run = self._run_in_thread if in_thread else self._run_in_loop
        try:
            result = await run(deadline)
        except NoThreadError as error:
            rejected = self._rejected(in_thread)
            assert rejected.error is not None
            rejected.error.__cause__ = error
            return rejected
        finally:
            now = self._clock()
            with self._runtime.lock:
                self._key.measures.run_times.add(now - begun, now)
        if result is None or now >= deadline:
            # What comes late is late, even where nobody had the time to say so.
            return self._timeout()
        return self._judged(*result)

    def _runs_in_thread(self) -> bool:
        """Where `run` is run.

        Raises:
            BrokerOptionsError: It cannot be run where it is said to.
        """
        is_async = self._command.is_async
        wanted = self._options.isolation
        if wanted == "auto":
            wanted = self._pool.options.isolation
        if wanted == "thread" and is_async:
            raise BrokerOptionsError(
                f"command {self._key.name!r} is to run in a thread, but its `run` is `async def`: make it a plain `def`, "
                'or take isolation="loop"'
            )
        return not is_async and wanted != "loop"

    async def _run_in_thread(self, deadline: float) -> Result | None:
        """None: not in time. The thread goes on, and keeps its place.

        Raises:
            NoThreadError: There is no thread to be had.
        """
        token = RUNNING.set(self._execution)
        try:
            job = self._pool.run(self._command.run)
        finally:
            RUNNING.reset(token)
        try:
            await asyncio.wait([job.future], timeout=_left(deadline, self._clock()))
        finally:
            self._pool.abandon(job)
        return job.result

    async def _run_in_loop(self, deadline: float) -> Result | None:
        """None: not in time. The task is cancelled, and keeps its place until it has really ended."""
        task = self._runtime.scope(asyncio.get_running_loop()).spawn(self._ran(), f"command {self._key.name}")
        # A callback, as a task that is cancelled before its first step would run no `finally`.
        task.add_done_callback(lambda _: self._pool.leave())
        try:
            await asyncio.wait([task], timeout=_left(deadline, self._clock()))
        finally:
            if not task.done():
                task.cancel()
        return (task.result() if not task.cancelled() else (None, asyncio.CancelledError())) if task.done() else None

    async def _ran(self) -> Result:
        RUNNING.set(self._execution)  # In the task's own copy of the variables.
        try:
            made = self._command.run()
            if self._command.is_stream:
                return await self._streamed(made), None
            return await made if self._command.is_async else made, None
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # SystemExit, too: in a task it would end the loop, not the caller.
            return None, error

    async def _streamed(self, items: AsyncIterable[Any]) -> Any:
        if self._emit is None:
            raise TypeError(f"`run` of command {self._key.name!r} yields: read it with `observe()`")
        async for item in items:
            self._execution.events.append("EMIT")
            await self._emit(item)
        return EMITTED

    # --- what became of it ---

    def _judged(self, value: Any, error: BaseException | None) -> Tried:
        if error is None:
            try:
                failed = self._options.failure is not None and self._asked(self._options.failure, value)
            except Exception as wrong:
                return Tried("FAILURE", error=wrong)
            return Tried("FAILURE" if failed else "SUCCESS", value)
        if isinstance(error, MemoryError) or not isinstance(error, Exception):
            return Tried("CANCELLED", error=error)
        if isinstance(error, self._options.ignore) or _is_bad_request(error):
            return Tried("BAD_REQUEST", error=error)
        return Tried("FAILURE", error=error)

    def _is_replaced(self, value: Any) -> bool:
        return self._options.replace is None or self._asked(self._options.replace, value)

    def _asked(self, judge: Callable[..., Any], value: Any) -> bool:
        # A method, or a plain function of the result.
        return bool(judge(self._command, value) if len(signature(judge).parameters) > 1 else judge(value))

    def _timeout(self) -> Tried:
        return Tried("TIMEOUT", error=CommandTimeout(self._key.name, self._options.group_key))

    def _rejected(self, in_thread: bool) -> Tried:
        error = CommandRejected(self._key.name, self._options.group_key, REJECTED_WAIT)
        if in_thread:
            return Tried("THREAD_POOL_REJECTED", error=error)
        error.failure_type = "REJECTED_SEMAPHORE_EXECUTION"
        return Tried("SEMAPHORE_REJECTED", error=error)


def _left(deadline: float, now: float) -> float | None:
    return None if deadline == inf else max(0.0, deadline - now)


def _is_bad_request(error: Exception) -> bool:
    """Whether it says that the caller did something wrong: of code 4xx, and nothing that another try would cure."""
    if not isinstance(error, MoleculerError) or error.retryable:
        return False
    return isinstance(error.code, int) and 400 <= error.code < 500


def _worth_it(tried: Tried, retry: Retry) -> bool:
    """Whether another attempt may help."""
    error = tried.error
    if tried.event not in ("FAILURE", "TIMEOUT") or error is None:
        return False
    if retry.check is not None:
        return bool(retry.check(error))
    if isinstance(error, CommandError) and not isinstance(error, CommandTimeout):
        return False
    return getattr(error, "retryable", False) is True or isinstance(error, ConnectionError | TimeoutError)


def _note(error: BaseException, text: str) -> None:
    """Say once where it was raised: the same error may come by again, out of a cache."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def _remember(error: BaseException, failed: BaseException) -> None:
    """What the fallback raised is the cause of the error, as the traceback shows it, and can be asked for."""
    error.__cause__ = failed
    try:
        error.fallback_error = failed  # type: ignore[attr-defined]  # Of whatever class it is.
    except AttributeError:
        pass  # It takes no attributes.
