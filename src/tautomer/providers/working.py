"""Around each call of a service with dependencies: what its providers do before and after (entrypoints reference, section 9).

A method is wrapped as what it is: a `def` stays one, and so does an `async def` and one with ``yield``, so that it runs
where it would.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from tautomer._tasks import Turns
from tautomer.context import Context
from tautomer.definitions import Method, Where, takes_context
from tautomer.errors import DependencyError
from tautomer.protocol.streams import EMPTY
from tautomer.providers.provider import WORKER, DependencyProvider, ExcInfo, LiveProvider, Worker
from tautomer.stream import PLAIN_TYPES, OwnStream, is_stream
from tautomer.threads import Job, current_job

if TYPE_CHECKING:
    from tautomer.service import Service

__all__ = ["Work"]

log = logging.getLogger("tautomer.providers")

R = TypeVar("R")

LEAVE_TIME: Final = 10.0
"""Seconds that a `worker_teardown` may take."""

_HOOKS: Final = ("get_dependency", "worker_setup", "worker_result", "worker_teardown")


class _Hook(NamedTuple):
    """One hook of the provider of one attribute."""

    attribute: str
    name: str
    call: Callable[..., Any]
    is_async: bool

    @classmethod
    def of(cls, attribute: str, provider: DependencyProvider, name: str) -> _Hook:
        call = getattr(provider, name)
        return cls(attribute, name, call, inspect.iscoroutinefunction(call))


class Work:
    """The calls of one service.

    Args:
        providers: Its own by attribute, in the order in which they are written.

    Attributes:
        hooked: Whether any of them has something to do around a call.
        running: A mark for each call that runs, if so, with the task in which it began; None in a thread.
    """

    def __init__(self, service: Service, providers: Mapping[str, DependencyProvider]) -> None:
        self.service = service
        usual = {
            attribute: one
            for attribute, one in providers.items()
            if not isinstance(one, LiveProvider) and any(_has(one, name) for name in _HOOKS)
        }
        # One that has other hooks only gives None.
        self.gives = tuple(_Hook.of(attribute, one, "get_dependency") for attribute, one in usual.items())
        self.begins, self.results, self.ends = (
            tuple(_Hook.of(attribute, one, name) for attribute, one in usual.items() if _has(one, name))
            for name in _HOOKS[1:]
        )
        self.ends = self.ends[::-1]
        self.hooked = bool(usual)
        self.is_async = any(one.is_async for one in (*self.gives, *self.begins, *self.results, *self.ends))
        self.reads_call = any(isinstance(one, LiveProvider) and one.reads_call for one in providers.values())
        # Not the calls themselves: one whose stream was dropped is to be found by the garbage collector.
        self.running: dict[object, asyncio.Task[Any] | None] = {}
        self._turns = Turns()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attended(self, method: Method, where: Where) -> Method:
        """The method with what its providers do around it; as it is where they do nothing.

        Args:
            where: Where it runs. In a process there are no providers.
        """
        if not (self.hooked or self.reads_call) or where == "process":
            return method
        if inspect.isasyncgenfunction(method):
            return self._stream(method)
        if inspect.iscoroutinefunction(method) or (self.is_async and where == "loop"):
            return self._async(method)
        # It is to be refused as what it is.
        is_refused = where == "thread" and inspect.isgeneratorfunction(method)
        return method if is_refused else self._plain(method)

    async def ended(self, grace: float, but: Sequence[asyncio.Task[Any] | None] = ()) -> bool:
        """Wait at most `grace` seconds for the calls that run, `but` those of these tasks. Whether all have ended."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(max(grace, 0.0)):
                while any(task is None or task not in but for task in list(self.running.values())):
                    await self._turns.next()
        except TimeoutError:
            return False
        return True

    def forget(self, mark: object) -> None:
        """A call has ended, in whichever thread."""
        self.running.pop(mark, None)
        if self._loop is not None:  # Somebody waits.
            try:
                self._loop.call_soon_threadsafe(self._turns.wake)
            except RuntimeError:
                pass  # The loop is gone, and with it who waited.

    # --- methods of each kind ---

    def _async(self, method: Method) -> Method:
        wants_context, hooked = takes_context(method), self.hooked

        async def run(ctx: Context[Any]) -> Any:
            life = _Life(self, ctx)
            token = WORKER.set(life)
            try:
                if hooked:
                    await life.begin()
                try:
                    result = method(ctx) if wants_context else method()
                    if isinstance(result, Awaitable):
                        result = await result
                except Exception as error:
                    await life.tell(None, error)
                    raise
                if _goes_on(result):
                    return await life.over(result)
                if hooked:
                    await life.tell(result, None)
                return result
            finally:
                try:
                    if hooked:
                        await life.end()
                finally:
                    WORKER.reset(token)

        return run

    def _stream(self, method: Method) -> Method:
        wants_context = takes_context(method)

        async def stream(ctx: Context[Any]) -> AsyncIterator[Any]:
            life = _Life(self, ctx)
            token = WORKER.set(life)
            try:
                await life.begin()
                items = method(ctx) if wants_context else method()
                life.goes_on = True
            finally:
                try:
                    await life.end()
                finally:
                    WORKER.reset(token)
            async with aclosing(life.items(items)) as rest:
                async for item in rest:
                    yield item

        return stream

    def _plain(self, method: Method) -> Method:
        """For a thread, where hooks that are `async` are run by the loop; or for the loop where there are none."""
        wants_context, hooked = takes_context(method), self.hooked

        def call(ctx: Context[Any]) -> Any:
            life, job = _Life(self, ctx), current_job()
            token = WORKER.set(life)
            try:
                if hooked:
                    _done(life.begin())
                try:
                    result = method(ctx) if wants_context else method()
                    if job is not None and isinstance(result, Awaitable):
                        result = _asked(job, result)
                except Exception as error:
                    _done(life.tell(None, error))
                    raise
                if _goes_on(result):
                    return life.over(result) if job is None else _asked(job, life.over(result))
                if isinstance(result, Awaitable):
                    return life.awaited(result)
                if hooked:
                    _done(life.tell(result, None))
                return result
            finally:
                try:
                    if hooked:
                        _done(life.end())
                finally:
                    WORKER.reset(token)

        return call


class _Life(Worker):
    """A call and its providers' part in it.

    Attributes:
        goes_on: Whether its result is still to be read or awaited: it ends later, and on the loop.
    """

    __slots__ = ("_mark", "_there", "_work", "goes_on")

    def __init__(self, work: Work, ctx: Context[Any]) -> None:
        super().__init__(work.service, ctx)
        self._work = work
        self._there: set[str] = set()
        self.goes_on = False
        self._mark = object()
        if work.hooked:
            on_loop = asyncio._get_running_loop() is not None
            work.running[self._mark] = asyncio.current_task() if on_loop else None

    async def begin(self) -> None:
        """Have all that it needs.

        Raises:
            DependencyError: A provider failed.
        """
        for hook in self._work.gives:
            self.values[hook.attribute] = await self._run(hook)
            self._there.add(hook.attribute)
        for hook in self._work.begins:
            await self._run(hook)

    async def tell(self, result: Any, error: BaseException | None) -> None:
        """How it ended.

        Raises:
            DependencyError: A provider failed. The others were told of that.
        """
        failed: DependencyError | None = None
        for hook in self._work.results:
            try:
                await self._run(hook, None if error else result, _exc_info(error))
            except DependencyError as again:
                failed = failed or again
                error = error or again
        if failed is not None:
            raise failed

    async def end(self) -> None:
        """Take leave of the providers that were there, unless it goes on.

        Raises nothing but `CancelledError`, and that after the last.
        """
        if self.goes_on:
            return
        cancelled: BaseException | None = None
        there, self._there = self._there, set()
        for hook in self._work.ends:
            if hook.attribute not in there:
                continue
            try:
                await self._leave(hook)
            except asyncio.CancelledError as error:
                cancelled = error
            except (Exception, SystemExit) as error:
                self._log(hook, error)
        self._work.forget(self._mark)
        if cancelled is not None:
            raise cancelled

    # --- results that are not there yet ---

    def over(self, items: Any) -> Coroutine[Any, Any, OwnStream]:
        """A stream, whose end is that of the call."""
        self.goes_on = True
        return self._over(items)

    async def _over(self, items: Any) -> OwnStream:
        rest = self.items(_stepped(items) if isinstance(items, Generator) else items, EMPTY)
        await anext(rest)  # What has begun is closed even if nobody reads it.
        return OwnStream(rest)

    async def items(self, given: Any, *before: Any) -> AsyncGenerator[Any, None]:
        """The items, each made in this call."""
        try:
            items = aiter(given)
            for item in before:
                yield item
            try:
                while (item := await self._next(items)) is not EMPTY:
                    yield item
            except Exception as error:
                await self.tell(None, error)
                raise
            await self.tell(None, None)
        finally:
            self.goes_on = False
            try:
                if (close := getattr(given, "aclose", None)) is not None:
                    await self._close(close)
            finally:
                await self.end()

    async def _next(self, items: AsyncIterator[Any]) -> Any:
        # A generator runs in the context of whoever reads it, which is not ours.
        token = WORKER.set(self)
        try:
            return await anext(items, EMPTY)
        finally:
            WORKER.reset(token)

    async def _close(self, close: Callable[[], Awaitable[Any]]) -> None:
        token = WORKER.set(self)
        try:
            await close()
        finally:
            WORKER.reset(token)

    def awaited(self, result: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
        """What a plain method on the loop returned to be awaited."""
        self.goes_on = True
        return self._awaited(result)

    async def _awaited(self, awaitable: Awaitable[Any]) -> Any:
        token = WORKER.set(self)
        self.goes_on = False
        try:
            try:
                result = await awaitable
            except Exception as error:
                await self.tell(None, error)
                raise
            if _goes_on(result):
                return await self.over(result)
            await self.tell(result, None)
            return result
        finally:
            try:
                await self.end()
            finally:
                WORKER.reset(token)

    # --- hooks ---

    async def _run(self, hook: _Hook, *args: Any) -> Any:
        try:
            if not hook.is_async:
                return hook.call(self.ctx, *args)
            job = current_job()
            if job is None:
                return await hook.call(self.ctx, *args)
            return job.ask(lambda: hook.call(self.ctx, *args))
        except (Exception, SystemExit) as error:
            raise DependencyError(self._work.service.full_name, hook.attribute, hook.name) from error

    async def _leave(self, hook: _Hook) -> None:
        if not hook.is_async:
            hook.call(self.ctx)
            return
        job = current_job()
        if job is None:
            await self._in_time(hook)
        elif job.abandoned:
            # Nobody waits for this thread any more, and nothing is to be left open for that.
            job.leave_behind(lambda: self._late(hook), f"{hook.attribute}.{hook.name}")
        else:
            job.ask(lambda: self._in_time(hook))

    async def _in_time(self, hook: _Hook) -> None:
        async with asyncio.timeout(LEAVE_TIME):
            await hook.call(self.ctx)

    async def _late(self, hook: _Hook) -> None:
        try:
            await self._in_time(hook)
        except (Exception, SystemExit) as error:
            self._log(hook, error)

    def _log(self, hook: _Hook, error: BaseException) -> None:
        service = self._work.service.full_name
        told = {"service": service, "dependency": hook.attribute, "hook": hook.name, "call": self.ctx.id}
        log.error("dependency failed", exc_info=error, extra=told)


def _has(provider: DependencyProvider, name: str) -> bool:
    """Whether a provider has a hook of its own."""
    call = getattr(provider, name)
    return getattr(call, "__func__", call) is not getattr(DependencyProvider, name)


def _goes_on(result: object) -> bool:
    """Whether a result is read after the handler has ended."""
    return type(result) not in PLAIN_TYPES and (is_stream(result) or isinstance(result, Generator))


def _asked(job: Job, awaitable: Awaitable[R]) -> R:
    async def whole() -> R:
        return await awaitable

    return job.ask(whole)


async def _stepped(items: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    try:
        for item in items:
            yield item
    finally:
        items.close()


def _done(coro: Coroutine[Any, Any, R]) -> R:
    """The result of a coroutine that waits for nothing."""
    try:
        coro.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # What a coroutine returns is Any here.
    coro.close()
    raise AssertionError("a hook that is a `def` waited for something")


def _exc_info(error: BaseException | None) -> ExcInfo | None:
    return None if error is None else (type(error), error, error.__traceback__)
