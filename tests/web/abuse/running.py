"""A gateway for tests that ask it hundreds of things from plain functions, as Hypothesis wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tautomer import Service
from tests.web.door import Door, open_door


class RunningDoor:
    """A gateway on a loop of its own, that runs while something is asked."""

    def __init__(self, runner: asyncio.Runner, door: Door) -> None:
        self._runner = runner
        self.door = door

    def exchange(self, data: bytes) -> bytes:
        """All that comes back for these bytes, up to the end of the connection."""
        return self._runner.run(self._exchange(data))

    async def _exchange(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@contextmanager
def running_door(*services: Service, routes: list[Any], **settings: Any) -> Iterator[RunningDoor]:
    with asyncio.Runner() as runner:
        door = runner.run(open_door(*services, routes=routes, **settings))
        try:
            yield RunningDoor(runner, door)
        finally:
            runner.run(door.broker.stop())
