"""Joining: commands know of the broker that runs beside them, and of the context that they run in.

Who uses no commands pays for none of it: only once `tautomer.commands` was imported are actions wrapped. Listeners never are: a plain
function that listens runs at once, which nothing around it may change; it has `request_context(ctx)`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from tautomer.context import CURRENT, Context
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.settings import CommandSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Joining", "in_use"]


def in_use() -> bool:
    """Whether this process has commands."""
    return "tautomer.commands.component" in sys.modules


class Joining(Middleware):
    """Lends commands the broker's loop, tells its listeners of circuits, and keeps the context for them.

    Local events ``$circuit.opened``, ``$circuit.half_opened`` and ``$circuit.closed``: ``{key, group, counts, sleep}``.
    """

    sees_results = False

    def __init__(self, settings: CommandSettings | None) -> None:
        self._settings = settings
        self._broker: Broker | None = None
        self._joined: ExitStack | None = None

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker
        if self._settings is not None:
            from tautomer.commands.component import component

            component.take(self._settings)

    async def broker_started(self, _broker: Broker) -> None:
        self._join()

    async def broker_stopped(self, _broker: Broker) -> None:
        if self._joined is not None:
            self._joined.close()
            self._joined = None

    async def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        return next_handler if endpoint.name.startswith("$") or not self._join() else _known(next_handler)

    def _join(self) -> bool:
        """Whether commands are in use; then they know of this broker from now on."""
        if not in_use():
            return False
        if self._joined is None:
            from tautomer.commands.component import component

            loop = asyncio.get_running_loop()
            self._joined = ExitStack()
            component.loops.lend(loop)
            self._joined.callback(component.loops.take_back, loop)
            self._joined.callback(component.listen(partial(self._on_circuit, loop)))
        return True

    def _on_circuit(self, loop: asyncio.AbstractEventLoop, state: str, told: dict[str, Any]) -> None:
        assert self._broker is not None
        tell: Callable[..., Any] = self._broker.broadcast_local
        try:
            # Later, and in the broker's thread: whoever changed the circuit may hold a lock.
            loop.call_soon_threadsafe(tell, f"$circuit.{state}", told)
        except RuntimeError:
            pass  # It is closed.


def _known(next_handler: Handler) -> Handler:
    async def call(ctx: Context[Any]) -> Any:
        token = CURRENT.set(ctx)
        try:
            return await next_handler(ctx)
        finally:
            CURRENT.reset(token)

    return call
