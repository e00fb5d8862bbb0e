"""What a handler in a thread is given: a context of its own, whose calls block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from tautomer.context import Context
from tautomer.protocol.streams import EMPTY
from tautomer.stream import Stream
from tautomer.threads import Job

__all__ = ["context_of", "give_back", "take_along"]


def context_of(ctx: Context[Any]) -> Context[Any]:
    """A copy of the context that belongs to a thread: whose caller has given up cannot change what the loop holds."""
    # Both are to have the same.
    _ = ctx.id, ctx.request_id, ctx.locals
    own = ctx.copy()
    own.broker = ThreadBroker(ctx.broker)
    own.meta = dict(ctx.meta)
    own._response_headers = dict(ctx._response_headers) if ctx._response_headers else None
    if ctx.stream is not None:
        own.stream = ThreadStream(ctx.stream)
    return own


def take_along(own: Context[Any], job: Job) -> None:
    """The job by which the context asks the loop. Called when the thread begins."""
    own.broker.job = job
    if own.stream is not None:
        own.stream.job = job


def give_back(own: Context[Any], ctx: Context[Any]) -> None:
    """The thread has ended: what its handler put into the context is seen by the caller and the middlewares."""
    if own.meta != ctx.meta:
        ctx.meta.clear()
        ctx.meta.update(own.meta)
    ctx._response_headers = own._response_headers


class ThreadBroker:
    """The broker, as a thread sees it: its verbs block and give the result.

    On the loop, where somebody may have kept the context, they do what they always do.
    """

    __slots__ = ("_broker", "job")

    job: Job

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def call(self, action: str, params: Any = None, **options: Any) -> Any:
        return self._asked(lambda: self._broker.call(action, params, **options))

    def call_nested(self, parent: Context[Any], action: str, params: Any, options: Any, raw: bool = False) -> Any:
        return self._asked(lambda: self._broker.call_nested(parent, action, params, options, raw))

    def mcall(self, calls: Any, *, settled: bool = False, **options: Any) -> Any:
        return self._asked(lambda: self._broker.mcall(calls, settled=settled, **options))

    def publish(self, *what: Any) -> Any:
        return self._told(lambda: self._broker.publish(*what))

    def emit(self, event: str, data: Any = None, groups: str | Sequence[str] | None = None, **more: Any) -> Any:
        return self._told(lambda: self._broker.emit(event, data, groups, **more))

    def broadcast(self, event: str, data: Any = None, groups: str | Sequence[str] | None = None, **more: Any) -> Any:
        return self._told(lambda: self._broker.broadcast(event, data, groups, **more))

    def broadcast_local(
        self, event: str, data: Any = None, groups: str | Sequence[str] | None = None, **more: Any
    ) -> Any:
        return self._told(lambda: self._broker.broadcast_local(event, data, groups, **more))

    def _asked(self, verb: Callable[[], Awaitable[Any]]) -> Any:
        if self.job.on_loop:
            return verb()

        async def asked() -> Any:
            return await verb()

        return self.job.ask(asked)

    def _told(self, verb: Callable[[], Awaitable[None]]) -> Awaitable[None] | None:
        """An event is on its way when this returns; its listeners are not waited for."""
        if self.job.on_loop:
            return verb()

        async def told() -> None:
            verb()

        return self.job.ask(told)


class ThreadStream:
    """`ctx.stream` in a thread: ``for item in ctx.stream``."""

    __slots__ = ("_stream", "job")

    job: Job

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[Any]:
        while (item := self.job.ask(self._next)) is not EMPTY:
            yield item

    def __aiter__(self) -> Any:
        raise TypeError("a handler that runs in a thread or process reads ctx.stream with `for`, not `async for`")

    async def _next(self) -> Any:
        return await anext(self._stream, EMPTY)
