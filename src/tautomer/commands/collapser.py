"""Collapser: many single requests within a short time become one batch (resilience reference, section 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from inspect import iscoroutinefunction
from math import inf
from typing import Any, ClassVar, Literal

from tautomer.commands.command import Command
from tautomer.commands.component import component
from tautomer.commands.execution import RUNNING, Execution
from tautomer.commands.handle import Handle, unwrap
from tautomer.commands.options import NAMES, said_by
from tautomer.commands.pools import Result
from tautomer.commands.request_cache import scope_now
from tautomer.commands.threads import is_ending
from tautomer.context import CURRENT
from tautomer.errors import BrokerOptionsError, CommandTimeout
from tautomer.resilience.rolling import RollingValues

__all__ = ["Collapser"]


class Collapser:
    """One element of a batch. Subclass it, write `argument` and `run_batch`, and use it like a command.

    ```python
    class GetUser(Collapser):
        group_key = "users"

        def __init__(self, id):
            self.id = id

        def argument(self):
            return self.id

        async def run_batch(self, arguments):
            return {user["id"]: user for user in await self.fetch(arguments)}

    user = await GetUser(5)
    ```

    The batch is a command of its own, with the pool, the circuit and the timeout that the class attributes of `Command` say.

    Attributes:
        delay: Seconds after its first element when a batch is closed.
        max_batch: Arguments of one batch; then it is closed at once.
        scope: ``"request"``: a batch holds elements of one request; ``"global"``: of all. Outside of any request all
            belong together.
        cache: Whether the same argument twice in a batch gets one answer; False: the second is a `ValueError`.
        execution: Record of the last execution; `events` are those of the batch, and ``COLLAPSED``.
    """

    delay: ClassVar[float] = 0.010
    max_batch: ClassVar[int] = 100
    scope: ClassVar[Literal["request", "global"]] = "request"
    cache: ClassVar[bool] = True

    execution: Execution | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.scope not in ("request", "global"):
            raise BrokerOptionsError(f"{cls.__qualname__}: scope is 'request' or 'global', not {cls.scope!r}")
        if not cls.delay >= 0 or cls.max_batch < 1:
            raise BrokerOptionsError(f"{cls.__qualname__}: delay is 0 seconds or more, and max_batch at least 1")

    def argument(self) -> Any:
        """What this element asks for."""
        raise NotImplementedError

    def run_batch(self, arguments: list[Any]) -> Any:
        """Ask for all at once; ``def`` (in a thread) or ``async def``.

        Returns:
            A list of answers in the order of the arguments, or a mapping by argument. An exception among them is the
            failure of that element.
        """
        raise NotImplementedError

    def shard(self, arguments: list[Any]) -> Iterable[list[Any]]:
        """Split a batch into several."""
        return [arguments]

    # --- to use it ---

    def execute(self) -> Any:
        """Block until the answer is there; see `Command.execute`."""
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("execute() blocks, and everything in this event loop would wait for it: use `await`")
        return asyncio.run(self._alone()) if is_ending() else self._begun(component.loops.here()).wait()

    def queue(self) -> Handle:
        """Begin it now; see `Command.queue`."""
        loop = asyncio._get_running_loop()
        return self._begun(component.loops.here() if loop is None else loop)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._alone().__await__()

    async def _alone(self) -> Any:
        execution = self._record(asyncio.get_running_loop())
        return unwrap(await self._collapsed(execution))

    def _begun(self, loop: asyncio.AbstractEventLoop) -> Handle:
        execution = self._record(loop)
        handle = Handle(loop, execution, lambda: self._collapsed(execution), component.runtime.scope(loop))
        handle.begin()
        return handle

    def _record(self, loop: asyncio.AbstractEventLoop) -> Execution:
        runtime, ctx, parent = component.runtime, CURRENT.get(), RUNNING.get()
        now = runtime.clock()
        execution = self.execution = Execution(now, ctx, loop)
        if ctx is not None and (left := ctx.request_timeout) is not None:
            execution.deadline = now + left
        if parent is not None and not parent.over:
            execution.deadline = min(execution.deadline, parent.deadline)
        return execution

    async def _collapsed(self, execution: Execution) -> Result:
        clock = component.runtime.clock
        batch = self._batch()
        try:
            element = batch.join(self, execution)
            left = None if execution.deadline == inf else max(0.0, execution.deadline - clock())
            try:
                async with asyncio.timeout(left):
                    return await element
            except TimeoutError:
                key = component.runtime.key_of(batch.command_class, Command)
                error = execution.exception = CommandTimeout(key.name, key.options.group_key)
                execution.failure_type = error.failure_type
                return None, error
            finally:
                batch.leave(element)
        finally:
            execution.duration = clock() - execution.started

    def _batch(self) -> _Batch:
        """The batch that is being collected; a new one if there is none."""
        cls, loop = type(self), asyncio.get_running_loop()
        scope = scope_now() if self.scope == "request" else None
        place = component.runtime.batches if scope is None else scope.batches
        batch = place.get((cls, loop))
        if batch is None:
            batch = place[cls, loop] = _Batch(self, place, loop, Context() if scope is None else copy_context())
        return batch


class _Element(asyncio.Future[Result]):
    """Somebody waits for the answer to an argument."""

    execution: Execution
    argument: Any


class _Batch:
    """Elements that are collected, and then asked for at once."""

    def __init__(
        self, first: Collapser, place: dict[Any, Any], loop: asyncio.AbstractEventLoop, context: Context
    ) -> None:
        self._first = first
        self._place = place
        self._loop = loop
        self._context = context
        self._elements: list[_Element] = []
        self._known: set[Hashable] = set()
        self._timer = loop.call_later(first.delay, self._close)
        self._closed = False
        self.command_class = _command_class(type(first))

    def join(self, one: Collapser, execution: Execution) -> _Element:
        """One more.

        Raises:
            ValueError: Its argument is in the batch already, and may be there only once.
        """
        argument = one.argument()
        again = isinstance(argument, Hashable) and argument in self._known
        if again and not one.cache:
            raise ValueError(f"{type(one).__qualname__}: {argument!r} is in this batch already, and `cache` is off")
        element = _Element(loop=self._loop)
        element.execution, element.argument = execution, argument
        self._elements.append(element)
        if isinstance(argument, Hashable):
            self._known.add(argument)
        if len(self._arguments()) >= one.max_batch:
            self._close()
        return element

    def leave(self, element: _Element) -> None:
        """It does not wait any more."""
        if not self._closed:
            self._elements.remove(element)
            self._known = {one.argument for one in self._elements if isinstance(one.argument, Hashable)}

    def _arguments(self) -> list[Any]:
        """What is asked for, each once, in order."""
        if len(self._known) == len(self._elements):
            return [one.argument for one in self._elements]
        found: dict[Hashable, Any] = {}
        for index, one in enumerate(self._elements):
            argument = one.argument
            key = ("known", argument) if isinstance(argument, Hashable) else ("other", index)
            found.setdefault(key, argument)
        return list(found.values())

    def _close(self) -> None:
        self._closed = True
        self._timer.cancel()
        self._place.pop((type(self._first), self._loop), None)
        if self._elements:
            # In the request of its first element; or in none, where it belongs to several.
            self._context.run(self._send)

    def _send(self) -> None:
        scope = component.runtime.scope(self._loop)
        try:
            shards = [list(shard) for shard in self._first.shard(self._arguments())]
        except Exception as error:
            _give_all(self._elements, error, [])
            return
        left = self._elements
        for arguments in shards:
            mine = [one for one in left if one.argument in arguments]
            left = [one for one in left if one.argument not in arguments]
            scope.spawn(self._run(arguments, mine), f"batch {type(self._first).__qualname__}")
        _give_all(left, KeyError("`shard` has left this argument out"), [])

    async def _run(self, arguments: list[Any], elements: list[_Element]) -> None:
        runtime = component.runtime
        batch = self.command_class()
        batch.__dict__.update(collapser=self._first, arguments=arguments)
        latest = max((one.execution.deadline for one in elements), default=inf)
        answers: Any = None
        failed: BaseException | None = None
        try:
            answers = await batch.queue(None if latest == inf else max(0.0, latest - runtime.clock()))
        except BaseException as error:
            failed = error
        events = [] if batch.execution is None else batch.execution.events
        key = runtime.key_of(self.command_class, Command)
        with runtime.lock:
            now = runtime.clock()
            key.batches = key.batches or RollingValues()
            key.batches.add(len(arguments), now)
            key.measures.happened(["COLLAPSED"] * len(elements), now)
        if failed is None:
            _give(elements, arguments, answers, events)
        else:
            _give_all(elements, failed, events)
            if isinstance(failed, asyncio.CancelledError):
                raise failed


def _give(elements: list[_Element], arguments: list[Any], answers: Any, events: list[str]) -> None:
    """To each its own answer."""
    if isinstance(answers, Mapping):
        for one in elements:
            found = answers.get(one.argument, _NONE) if isinstance(one.argument, Hashable) else _NONE
            _end(one, KeyError(one.argument) if found is _NONE else found, events)
    elif not isinstance(answers, Sequence) or isinstance(answers, str | bytes):
        _give_all(elements, TypeError(f"`run_batch` gives a list or a mapping, not {type(answers).__name__}"), events)
    elif len(answers) != len(arguments):
        text = f"`run_batch` gave {len(answers)} answers to {len(arguments)} arguments"
        _give_all(elements, ValueError(text), events)
    else:
        for one in elements:
            _end(one, answers[arguments.index(one.argument)], events)


_NONE: Any = object()


def _give_all(elements: list[_Element], error: BaseException, events: list[str]) -> None:
    for one in elements:
        _end(one, error, events)


def _end(element: _Element, answer: Any, events: list[str]) -> None:
    execution = element.execution
    execution.events = [*events, "COLLAPSED"]
    execution.from_fallback = "FALLBACK_SUCCESS" in events
    if not element.done():
        if isinstance(answer, BaseException):
            execution.exception, execution.failure_type = answer, "COMMAND_EXCEPTION"
            element.set_result((None, answer))
        else:
            element.set_result((answer, None))


def _command_class(cls: type[Collapser]) -> type[Command]:
    """The command that a batch is."""
    made = cls.__dict__.get("_command_class")
    if made is None:
        said = {name: value for name, value in said_by(cls, Collapser).items() if name in NAMES}
        body = {**said, "__module__": cls.__module__, "__qualname__": cls.__qualname__}

        def run(self: Any) -> Any:
            return self.collapser.run_batch(self.arguments)

        async def run_async(self: Any) -> Any:
            return await self.collapser.run_batch(self.arguments)

        body["run"] = run_async if iscoroutinefunction(cls.run_batch) else run
        made = type(cls.__name__, (Command,), body)
        cls._command_class = made  # type: ignore[attr-defined]  # Of the class itself, not inherited.
    return made
