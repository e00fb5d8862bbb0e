"""Lifespan: the start and the stop of an ASGI application that is a part of the gateway."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tautomer._tasks import TaskScope, Turns
from tautomer.errors import BrokerOptionsError
from tautomer.web.asgi.types import App, Message

__all__ = ["Lifespan"]

log = logging.getLogger("tautomer.web")


class Lifespan:
    """Speaks the lifespan protocol (version 2.0) with one application. One that does not know it has no life to be told of.

    Args:
        name: For messages.
        tasks: Owns the task in which the application lives.

    Attributes:
        state: What the application has prepared for its requests.
    """

    def __init__(self, app: App, name: str, tasks: TaskScope) -> None:
        self._app = app
        self._name = name
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._turns = Turns()
        self._asked: list[str] = []
        self._told: dict[str, str] = {}
        self._error: BaseException | None = None
        self.state: dict[str, Any] = {}

    async def start(self, seconds: float) -> None:
        """Let the application start.

        Raises:
            BrokerOptionsError: It said that it cannot, or it took too long.
        """
        self._task = self._tasks.spawn(self._run(), f"lifespan of {self._name}")
        if not await self._ask("startup", seconds):
            self._task.cancel()
            raise BrokerOptionsError(f"the application {self._name} has not started within {seconds:g} seconds")
        if "startup.failed" in self._told:
            raise BrokerOptionsError(f"the application {self._name} does not start: {self._told['startup.failed']}")
        if "startup.complete" not in self._told and self._error is not None:
            log.debug("application without lifespan", exc_info=self._error, extra={"application": self._name})

    async def stop(self, seconds: float) -> None:
        """Let the application stop; one that takes too long is cut off by the end of its scope."""
        if self._task is None or self._task.done():
            return
        in_time = await self._ask("shutdown", seconds)
        if not in_time or "shutdown.failed" in self._told:
            reason = self._told.get("shutdown.failed", "it took too long")
            log.error("application did not stop well", extra={"application": self._name, "reason": reason[:500]})

    async def _ask(self, what: str, seconds: float) -> bool:
        """Send one message and wait for its answer, or for the application's end. Whether it came in time."""
        assert self._task is not None
        self._asked.append(f"lifespan.{what}")
        self._turns.wake()
        try:
            async with asyncio.timeout(seconds):
                while not (self._task.done() or f"{what}.complete" in self._told or f"{what}.failed" in self._told):
                    await self._turns.next()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._error = error
        finally:
            self._turns.wake()

    async def _receive(self) -> Message:
        while not self._asked:
            await self._turns.next()
        return {"type": self._asked.pop(0)}

    async def _send(self, message: Message) -> None:
        self._told[message["type"].removeprefix("lifespan.")] = str(message.get("message", ""))
        self._turns.wake()
