"""Fallback: what takes the place of a command that failed (resilience reference, section 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from inspect import Parameter, isasyncgenfunction, isawaitable, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Final

from tautomer.commands.execution import RUNNING, Execution
from tautomer.commands.pools import NoThreadError, Result
from tautomer.commands.runtime import CommandKey, Runtime
from tautomer.errors import CommandRejected
from tautomer.stream import is_stream

if TYPE_CHECKING:
    from tautomer.commands.command import Command

__all__ = ["EMITTED", "UNSAID", "Fallback"]

UNSAID: Final[Any] = object()
"""In the place of a `fallback_value` that nobody gave: None is a value like any other."""


EMITTED: Final[Any] = object()
"""In the place of a value: it was a stream, and its items went where they were wanted."""


class Fallback:
    """The fallback of one execution. It has no fallback of its own, but a deadline.

    Attributes:
        is_defined: Whether there is one.
    """

    def __init__(
        self,
        command: Command,
        runtime: Runtime,
        key: CommandKey,
        execution: Execution,
        emit: Callable[[Any], Coroutine[Any, Any, None]] | None,
    ) -> None:
        self._command = command
        self._runtime = runtime
        self._key = key
        self._execution = execution
        self._emit = emit
        self.is_defined = command.fallback is not None or command.fallback_value is not UNSAID

    async def result(self) -> Result:
        """Its value; else what went wrong with it, if anything did.

        Notes its event, and in the execution and its context that the answer is a fallback's.
        """
        options, events = self._key.options, self._execution.events
        if not options.fallback_enabled:
            events.append("FALLBACK_DISABLED")
            return None, None
        if not self.is_defined:
            events.append("FALLBACK_MISSING")
            return None, None
        if self._command.fallback is None:
            return self._succeeded(self._command.fallback_value)
        with self._runtime.lock:
            may = self._key.fallbacks < options.fallback_limit and self._runtime.fallback_pool.enter_now()
            if may:
                self._key.fallbacks += 1
        if not may:
            return self._rejected()
        try:
            value, error = await self._asked(options.fallback_timeout)
        finally:
            with self._runtime.lock:
                self._key.fallbacks -= 1
        if error is None:
            return self._succeeded(value)
        if not isinstance(error, Exception):
            raise error
        events.append("FALLBACK_FAILURE")
        return None, error

    def _succeeded(self, value: Any) -> Result:
        execution = self._execution
        execution.events.append("FALLBACK_SUCCESS")
        execution.from_fallback = True
        if execution.ctx is not None:
            # Neither a cache of this node nor one above is to keep it.
            execution.ctx.fallback_result = True
            execution.ctx.meta["$fallback"] = True
        return value, None

    def _rejected(self) -> Result:
        self._execution.events.append("FALLBACK_REJECTION")
        error = CommandRejected(self._key.name, self._key.options.group_key)
        error.failure_type = self._execution.failure_type = "REJECTED_SEMAPHORE_FALLBACK"
        return None, error

    async def _asked(self, seconds: float) -> Result:
        """Ask it. Its place in the pool of fallbacks is taken, and free when it has really ended."""
        ends = self._runtime.clock() + seconds
        asked = Execution(self._execution.started, self._execution.ctx, self._execution.loop)
        asked.deadline = ends
        function = self._command.fallback
        in_thread = not (isinstance(function, type) or iscoroutinefunction(function) or isasyncgenfunction(function))
        ask = self._in_thread if in_thread else self._in_loop
        result: Result = (None, TimeoutError("the fallback took too long"))
        try:
            async with asyncio.timeout(seconds):
                made = await ask(function, asked)
            if made[1] is not None or self._runtime.clock() < ends:
                result = made
        except TimeoutError:
            pass
        finally:
            asked.duration = self._runtime.clock() - asked.started
        return result

    async def _in_thread(self, function: Any, asked: Execution) -> Result:
        pool = self._runtime.fallback_pool
        token = RUNNING.set(asked)
        try:
            job = pool.run(function)
        except NoThreadError as none:
            return None, none
        finally:
            RUNNING.reset(token)
        try:
            await asyncio.wait([job.future])
        finally:
            pool.abandon(job)
        assert job.result is not None
        value, error = job.result
        if error is None and (isawaitable(value) or is_stream(value)):
            # It ran another command, perhaps: waited for here, not in the thread.
            return await _caught(self._whole(value))
        return value, error

    async def _in_loop(self, function: Any, asked: Execution) -> Result:
        async def whole() -> Any:
            return await self._whole(self._twin(function) if isinstance(function, type) else function())

        async def ask() -> Result:
            RUNNING.set(asked)
            return await _caught(whole())

        loop = asyncio.get_running_loop()
        task = self._runtime.scope(loop).spawn(ask(), f"fallback of {self._key.name}")
        task.add_done_callback(lambda _: self._runtime.fallback_pool.leave())
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():
                task.cancel()
        result: Result = task.result()
        return result

    async def _whole(self, value: Any) -> Any:
        if isawaitable(value):
            value = await value
        if self._emit is not None and is_stream(value):
            async for item in value:
                self._execution.events.append("FALLBACK_EMIT")
                await self._emit(item)
            return EMITTED
        return value

    def _twin(self, cls: type) -> Any:
        """A command of another class, made with the same arguments as this one, which are found among its attributes."""
        own = vars(self._command)
        arguments: dict[str, Any] = {}
        for name, parameter in signature(cls).parameters.items():
            if name in own:
                arguments[name] = own[name]
            elif parameter.default is Parameter.empty and parameter.kind not in (
                Parameter.VAR_POSITIONAL,
                Parameter.VAR_KEYWORD,
            ):
                raise TypeError(
                    f"{cls.__qualname__} cannot be the fallback of {type(self._command).__qualname__}: it wants "
                    f"{name!r}, which that has no attribute of"
                )
        return cls(**arguments)


async def _caught(coro: Coroutine[Any, Any, Any]) -> Result:
    try:
        return await coro, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # As of `run`.
        return None, error
