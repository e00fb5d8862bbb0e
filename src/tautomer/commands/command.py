"""Command: a call out of the cluster, with all that makes it hold (resilience reference, sections 2 and 3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from inspect import isasyncgenfunction, iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from tautomer.commands.component import component
from tautomer.commands.execution import RUNNING, Execution
from tautomer.commands.fallback import UNSAID
from tautomer.commands.handle import Handle, unwrap
from tautomer.commands.life import Emit, Life
from tautomer.commands.observing import Observed
from tautomer.commands.options import Hedge, Isolation, Retry
from tautomer.commands.pools import Result
from tautomer.commands.request_cache import RequestScope, scope_now
from tautomer.commands.runtime import CommandKey, Runtime
from tautomer.commands.threads import is_ending
from tautomer.context import CURRENT
from tautomer.resilience.circuit import CircuitOptions

if TYPE_CHECKING:
    from tautomer.context import Context

__all__ = ["Command"]


class Command:
    """An external operation. Subclass it, write `run`, and perhaps `fallback`.

    ```python
    class GetCurrentUser(Command):
        group_key = "service.session"

        def __init__(self, cookie):
            self.cookie = cookie

        def run(self):
            return requests.get(SESSION_URL, headers={"Cookie": self.cookie}, timeout=1).json()["user_id"]

        def fallback(self):
            return None

    user_id = GetCurrentUser("session=78b2").execute()          # outside of a loop
    user_id = await GetCurrentUser("session=78b2").queue()      # inside of one
    ```

    A subclass need not call `super().__init__()`. Its options are class attributes, or stand in ``__command_args__``; see
    `tautomer.commands.options.CommandOptions` for what each of them says.

    Attributes:
        command_key: Which circuit; the class's qualified name if not given.
        fallback: ``def`` (run in a thread), ``async def`` (in the loop), or a class of commands, made with the
            attributes of this one. It may ask `execution` why.
        fallback_value: A value in its place.
        execution: Record of the last execution, or of the one under way; None before the first.
    """

    group_key: ClassVar[str] = "default"
    command_key: ClassVar[str | None] = None
    pool: ClassVar[str | None] = None
    timeout_seconds: ClassVar[float | None] = 1.0
    timeout_enabled: ClassVar[bool] = True
    isolation: ClassVar[Isolation] = "auto"
    circuit_breaker: ClassVar[Mapping[str, Any] | CircuitOptions | bool] = True
    retry: ClassVar[Retry | Mapping[str, Any] | int | None] = None
    hedge: ClassVar[Hedge | Mapping[str, Any] | float | str | None] = None
    ignore: ClassVar[Any] = ()
    # `Any`, as a class attribute, a method or a static method will do.
    failure: Any = None
    replace: Any = None
    fallback_enabled: ClassVar[bool] = True
    fallback_limit: ClassVar[int] = 10
    fallback_timeout: ClassVar[float] = 1.0
    request_cache_enabled: ClassVar[bool] = True
    __command_args__: ClassVar[Mapping[str, Any]]

    fallback: Any = None
    fallback_value: Any = UNSAID
    execution: Execution | None = None

    # Of `run`: asked for once for each class, and not for each execution.
    is_async: ClassVar[bool] = False
    is_stream: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.is_stream = isasyncgenfunction(cls.run)
        cls.is_async = cls.is_stream or iscoroutinefunction(cls.run)

    def run(self) -> Any:
        """The operation. ``def``: in a thread; ``async def``: in the loop; with ``yield``: a stream, for `observe`."""
        raise NotImplementedError

    def cache_key(self) -> str | None:
        """What it asks for; None: it is not kept."""
        return None

    @property
    def ctx(self) -> Context[Any] | None:
        """The context of the action that runs it: its time counts, and its `meta` can be read. None outside of one."""
        return CURRENT.get() if self.execution is None else self.execution.ctx

    # --- to run it ---

    def execute(self, timeout: float | None = None) -> Any:
        """Run it, and block until it has ended.

        Args:
            timeout: Seconds for this execution, if they are less than the command's own.

        Raises:
            RuntimeError: In a loop's thread: all else in it would stand still.
            CommandTimeout, CommandRejected, CircuitOpen: It was not run, or not to its end.
            Exception: What `run` raised, where no fallback took its place.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "execute() blocks, and everything in this event loop would wait for it: use `await command.queue()`"
            )
        if is_ending():
            # Handlers of `atexit` may start no thread any more: all of it runs in this one.
            return asyncio.run(self._once(timeout))
        return self._begun(component.loops.here(), timeout).wait()

    def queue(self, timeout: float | None = None) -> Handle:
        """Begin it now. The handle can be awaited, asked (`done`) and cancelled.

        Raises:
            RuntimeError: This very object runs already.
        """
        loop = asyncio._get_running_loop()
        return self._begun(component.loops.here() if loop is None else loop, timeout)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._once(None).__await__()

    def observe(self, *, lazy: bool = False) -> AsyncIterator[Any]:
        """The items of a `run` with ``yield``; of any other, its one value.

        It begins now, and runs up to 64 items ahead.

        Args:
            lazy: Begin when the first item is asked for.
        """
        return Observed(self._streamed, lazy)

    @classmethod
    def clear_cache(cls, key: str) -> None:
        """Forget what this request has got for a cache key: something was written."""
        scope = scope_now()
        if scope is not None:
            with scope.lock:
                scope.kept.pop((_runtime().key_of(cls, Command).name, key), None)

    # --- how ---

    async def _once(self, timeout: float | None) -> Any:
        """In the caller's own task: nothing is begun that somebody would have to wait for."""
        prepared = self._prepare(asyncio.get_running_loop(), timeout)
        try:
            return unwrap(await self._lived(*prepared))
        finally:
            _close(prepared[2])

    def _begun(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> Handle:
        runtime, _key, execution = prepared = self._prepare(loop, timeout)
        handle = Handle(loop, execution, lambda: self._lived(*prepared), runtime.scope(loop))
        try:
            handle.begin()
        except RuntimeError:
            _close(execution)
            raise
        return handle

    def _streamed(self, emit: Emit) -> Handle:
        loop = asyncio.get_running_loop()
        runtime, key, execution = self._prepare(loop, None)
        life = Life(self, runtime, key, execution, emit)
        handle = Handle(loop, execution, life.end, runtime.scope(loop))
        handle.begin()
        return handle

    def _prepare(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> tuple[Runtime, CommandKey, Execution]:
        """A new record, with what the caller's circumstances say."""
        last = self.execution
        if last is not None and not last.over:
            raise RuntimeError(f"this {type(self).__qualname__} runs already: make another one for a second execution")
        if type(self).run is Command.run:
            raise TypeError(f"{type(self).__qualname__} has no method `run`")
        runtime = _runtime()
        key = runtime.key_of(type(self), Command)
        now = runtime.clock()
        ctx, parent = CURRENT.get(), RUNNING.get()
        execution = Execution(now, ctx, loop)
        execution.deadline = now + min(key.options.seconds, inf if timeout is None else timeout)
        if ctx is not None and (left := ctx.request_timeout) is not None:
            execution.deadline = min(execution.deadline, now + left)
        if parent is not None and not parent.over:
            execution.deadline = min(execution.deadline, parent.deadline)
        self.execution = execution
        return runtime, key, execution

    async def _lived(self, runtime: Runtime, key: CommandKey, execution: Execution) -> Result:
        shared = self._shared(key)
        if shared is None:
            return await Life(self, runtime, key, execution).end()
        return await self._from_cache(runtime, key, execution, *shared)

    def _shared(self, key: CommandKey) -> tuple[RequestScope, tuple[str, str]] | None:
        """Where the same may have been asked for already, and under which name; None: it is not to be looked for."""
        if not key.options.request_cache_enabled or self.is_stream:
            return None
        own = self.cache_key()
        if own is None:
            return None
        scope = scope_now()
        if scope is None:
            component.warn_uncached(key.name)
            return None
        return scope, (key.name, str(own))

    async def _from_cache(
        self, runtime: Runtime, key: CommandKey, execution: Execution, scope: RequestScope, name: tuple[str, str]
    ) -> Result:
        """What somebody else of this request got, or is getting; else get it for all."""
        with scope.lock:
            handle = scope.kept.get(name)
            is_first = handle is None
            if handle is None:
                loop = asyncio.get_running_loop()
                life = Life(self, runtime, key, execution)
                handle = scope.kept[name] = Handle(loop, execution, life.end, runtime.scope(loop))
                handle.begin()
        try:
            result = await handle.shared()
        except asyncio.CancelledError:
            with scope.lock:
                if scope.kept.get(name) is handle and not handle.wanted:
                    del scope.kept[name]  # Nobody has it, so whoever comes next gets it anew.
            raise
        if not is_first:
            execution.take_over(handle.execution)
            now = runtime.clock()
            execution.duration = now - execution.started
            with runtime.lock:
                key.measures.happened(["RESPONSE_FROM_CACHE"], now)
        return result


def _runtime() -> Runtime:
    return component.runtime


def _close(execution: Execution) -> None:
    """It is over, however it ended."""
    if execution.duration is None:
        execution.duration = 0.0
