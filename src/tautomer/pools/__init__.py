"""Pools: handlers that block run beside the event loop, so that heartbeats and all other calls go on.

`@action(blocking=True)` in a thread, `@action(process=True)` in a process; listeners too.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.definitions import Method, Where, by_context, takes_context
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.places import Asked
from tautomer.ports import Handler

if TYPE_CHECKING:
    from tautomer.host import Host
    from tautomer.pools.processes import ProcessPool
    from tautomer.settings import Settings
    from tautomer.threads import Job, ThreadPool

__all__ = ["Pools"]


class Pools:
    """The pools of one node. Each is made when a handler first needs it.

    Where nothing may run beside the loop (`Host.beside`), both kinds of handlers run in a thread while the loop stands still.
    """

    def __init__(self, node_id: str, host: Host, settings: Settings) -> None:
        self._node_id = node_id
        self._host = host
        self._settings = settings
        self._threads: ThreadPool | None = None
        self._processes: ProcessPool | None = None

    def check_program(self) -> None:
        """Refuse to run the program a second time in one of its own processes.

        Raises:
            BrokerOptionsError: The main module is being imported anew, and starts a node as it is.
        """
        spawning = sys.modules.get("multiprocessing.process")
        # The very mark by which `multiprocessing` itself refuses to start processes then.
        if spawning is not None and getattr(spawning.current_process(), "_inheriting", False):
            raise BrokerOptionsError(
                "a process for @action(process=True) imports the program's main module, and that starts a node: "
                'what it does beside defining things belongs under `if __name__ == "__main__":`'
            )

    def bind(self, method: Method, where: Where, name: str, patient: bool = False) -> Handler:
        """The handler of a method: called with the context, where its mark says.

        Args:
            name: Of the action or event, for errors.
            patient: Of a listener: it has no caller to tell that too much waits, and there is a bound on how many run.

        Raises:
            ServiceSchemaError: It cannot run there; says why.
        """
        if where == "loop":
            return by_context(method)
        _check_plain(method, where, name)
        if where == "process":
            return self._in_process(method, name, patient)
        return self._in_thread(method, name, patient)

    def statistics(self) -> dict[str, dict[str, int] | None]:
        """Of each pool, None for one that was never needed."""
        return {
            "threads": None if self._threads is None else self._threads.statistics(),
            "processes": None if self._processes is None else self._processes.statistics(),
        }

    async def finish(self, grace: float) -> None:
        """Wait at most `grace` seconds for what runs or waits."""
        until = self._host.clock() + grace
        for pool in (self._threads, self._processes):
            if pool is not None:
                await pool.finish(until - self._host.clock())

    async def close(self) -> None:
        """End the processes, and leave behind what threads still do. Twice is harmless."""
        for pool in (self._threads, self._processes):
            if pool is not None:
                await pool.close()

    # --- handlers ---

    def _in_thread(self, method: Method, name: str, patient: bool) -> Handler:
        from tautomer.pools.thread_context import context_of, give_back, take_along

        wants_context = takes_context(method)

        async def handle(ctx: Context[Any]) -> Any:
            own = context_of(ctx)

            def begin(job: Job) -> Any:
                take_along(own, job)
                return method(own) if wants_context else method()

            try:
                result = await self._thread_pool().run(name, begin, ctx.deadline, asked=Asked.by(ctx), patient=patient)
            except asyncio.CancelledError:
                raise  # It may go on, and `own` with it.
            except BaseException:
                give_back(own, ctx)
                raise
            give_back(own, ctx)
            # As for a plain method on the loop.
            return await result if isinstance(result, Awaitable) else result

        return handle

    def _in_process(self, method: Method, name: str, patient: bool) -> Handler:
        from tautomer.pools.processes import target_of
        from tautomer.pools.thread_context import context_of, give_back, take_along

        target = target_of(method, name)
        if not self._host.beside:
            return self._in_thread(method, name, patient)

        async def handle(ctx: Context[Any]) -> Any:
            own = context_of(ctx)
            try:
                result = await self._process_pool().run(name, target, ctx, own, partial(take_along, own), patient)
            except asyncio.CancelledError:
                raise
            except BaseException:
                give_back(own, ctx)
                raise
            give_back(own, ctx)
            return result

        return handle

    def _thread_pool(self) -> ThreadPool:
        from tautomer.threads import ThreadPool

        if self._threads is None:
            chosen = self._settings.pools
            host = self._host
            self._threads = ThreadPool(
                "thread", self._node_id, chosen.threads, chosen.thread_queue_max, host.clock, host.beside
            )
        return self._threads

    def _process_pool(self) -> ProcessPool:
        from tautomer.pools.processes import ProcessPool

        if self._processes is None:
            self._processes = ProcessPool(self._node_id, self._host, self._settings)
        return self._processes


def _check_plain(method: Callable[..., Any], where: Where, name: str) -> None:
    mark = "blocking=True" if where == "thread" else "process=True"
    for is_kind, kind in (
        (inspect.iscoroutinefunction, "an `async def`, which runs on the event loop"),
        (inspect.isasyncgenfunction, "an `async def` with `yield`, which runs on the event loop"),
        (inspect.isgeneratorfunction, "a generator, which runs where it is read"),
    ):
        if is_kind(method):
            raise ServiceSchemaError(f"'{name}' is marked {mark}, but is {kind}: write a plain `def`, or drop the mark")
