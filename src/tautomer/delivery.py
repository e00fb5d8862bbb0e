"""Delivery: runs this node's listeners, at most so many at once, and keeps their failures to itself."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.ports import Handler
from tautomer.registry.endpoints import EventEndpoint

log = logging.getLogger("tautomer.events")

RUNNING_MAX = 1_000
QUEUED_MAX = 10_000


class Told:
    """What `emit` and its sisters return: the event is under way; awaiting waits for this node's listeners.

    Nothing is lost when it is not awaited.
    """

    __slots__ = ("_drain", "_tasks")

    def __init__(
        self, tasks: list[asyncio.Task[Any]] | None = None, drain: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._tasks = tasks
        self._drain = drain

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._drain is not None:
            await self._drain()


class _Done(Told):
    # Awaiting asks for an iterator; an empty one ends it at once, and this one is found without a Python frame.
    __await__ = ().__iter__  # type: ignore[assignment]


DONE: Told = _Done()
"""Nothing is left to wait for."""


class Delivery:
    """Runs listeners. A plain function runs at once; an `async` one in a task of its own.

    Above `RUNNING_MAX` tasks, events wait in a queue; when that is full the oldest is dropped.

    Attributes:
        failed: Handlers that raised.
        dropped: Events that no longer had a place in the queue.
    """

    def __init__(self, scope: TaskScope) -> None:
        self._scope = scope
        self._running = 0
        self._queued: deque[tuple[EventEndpoint, Context[Any]]] = deque()
        self.failed = 0
        self.dropped = 0

    def tell(self, endpoint: EventEndpoint, ctx: Context[Any]) -> asyncio.Task[Any] | None:
        """Run one listener. Returns its task, or None if it is done or waits. Never raises."""
        if endpoint.plain is not None:
            self.tell_plain(endpoint, ctx)
            return None
        if self._running >= RUNNING_MAX:
            if len(self._queued) >= QUEUED_MAX:
                self._drop_oldest()
            self._queued.append((endpoint, ctx))
            return None
        return self.run(endpoint, ctx, endpoint.handler)

    def tell_plain(self, endpoint: EventEndpoint, ctx: Context[Any]) -> None:
        """Run a listener that is a plain function. Never raises."""
        listener = endpoint.plain
        try:
            returned = listener(ctx)  # type: ignore[misc]  # The caller looked.
            if returned is not None and isinstance(returned, Awaitable):
                self._scope.spawn(self._finish(endpoint, ctx, returned), endpoint.name)
        except Exception as error:
            self.report(endpoint, ctx, error)

    def run(self, endpoint: EventEndpoint, ctx: Context[Any], handler: Handler) -> asyncio.Task[Any] | None:
        """Run what is left of a listener's chain, in a task of its own. Returns that, or None after the end."""
        if self._scope.closed:
            return None
        self._running += 1
        return self._scope.spawn(self._run(endpoint, ctx, handler), endpoint.name)

    def report(self, endpoint: EventEndpoint, ctx: Context[Any], error: BaseException) -> None:
        """An event has no caller to tell: the failure is logged and counted (promise E2)."""
        self.failed += 1
        log.error(
            "event handler failed",
            exc_info=error,
            extra={"event": ctx.event_name, "service": endpoint.service.full_name, "sender": ctx.node_id},
        )

    def statistics(self) -> dict[str, int]:
        return {
            "running": self._running,
            "queued": len(self._queued),
            "failed": self.failed,
            "dropped": self.dropped,
        }

    async def _run(self, endpoint: EventEndpoint, ctx: Context[Any], handler: Handler) -> None:
        try:
            await handler(ctx)
        except Exception as error:
            self.report(endpoint, ctx, error)
        finally:
            self._running -= 1
            if self._queued:
                endpoint, ctx = self._queued.popleft()
                self.run(endpoint, ctx, endpoint.handler)

    async def _finish(self, endpoint: EventEndpoint, ctx: Context[Any], returned: Awaitable[Any]) -> None:
        try:
            await returned
        except Exception as error:
            self.report(endpoint, ctx, error)

    def _drop_oldest(self) -> None:
        endpoint, ctx = self._queued.popleft()
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1_000 == 0:
            log.warning(
                "event dropped: too many wait",
                extra={"event": ctx.event_name, "service": endpoint.service.full_name, "dropped": self.dropped},
            )


def each_in_turn(
    methods: tuple[Callable[[Any], Awaitable[Any]], ...], failed: Callable[[Context[Any], BaseException], None]
) -> Callable[[Any], Any]:
    """One handler of several methods: each runs whatever the others do."""
    if len(methods) == 1:
        return methods[0]

    async def handle(ctx: Context[Any]) -> None:
        for method in methods:
            try:
                await method(ctx)
            except Exception as error:
                failed(ctx, error)

    return handle
