"""Workers: the services of a workload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.errors import MoleculerClientError, MoleculerError
from tautomer.service import Service
from tautomer.web.service import ApiGatewayService

if TYPE_CHECKING:
    from tautomer.testing.workload import Workload

__all__ = ["NAMES", "STREAM_IDLE", "TIMEOUT_MAX", "Door", "Observer", "Worker", "items"]

NAMES: Final = ("red", "green", "blue")
"""Of the services; each is at some of the nodes."""

TIMEOUT_MAX: Final = 4.0

STREAM_IDLE: Final = 2.0
"""Seconds without an item after which a stream breaks."""


def items(number: int, count: int, size: int) -> Iterator[Any]:
    """The items of a stream: bytes if they have a size, else objects."""
    for place in range(count):
        yield b"%08d.%08d;" % (number, place) * (size // 18 + 1) if size else {"number": number, "place": place}


class Worker(Service):
    """One service of the workload. What its handlers do is told to the checkers."""

    def __init__(self, load: Workload, name: str) -> None:
        super().__init__(name)
        self.load = load

    @action
    async def echo(self, ctx: Context[Any]) -> Any:
        """Gives back the number, after a while."""
        return await self._run(ctx, self._echo(ctx))

    async def _echo(self, ctx: Context[Any]) -> Any:
        if delay := ctx.params.get("delay"):
            await asyncio.sleep(delay)
        return {"number": ctx.params["number"], "node": ctx.broker.id}

    @action
    async def nest(self, ctx: Context[Any]) -> Any:
        """Asks others, so deep."""
        return await self._run(ctx, self._nest(ctx))

    async def _nest(self, ctx: Context[Any]) -> Any:
        depth, number = ctx.params["depth"], self.load.number()
        params = {**ctx.params, "number": number, "depth": depth - 1}
        name = NAMES[(number + depth) % len(NAMES)]
        try:
            if depth == 0:
                result = await ctx.call(f"{name}.echo", params)
            else:
                result = await ctx.call(f"{name}.nest", params, timeout=TIMEOUT_MAX)
        except MoleculerError as error:
            self.load.checkers.calls.inner(number, ctx.broker.id, error)
            raise
        self.load.right(number, result)
        return {**result, "number": ctx.params["number"]}

    @action
    async def fail(self, ctx: Context[Any]) -> Any:
        """Fails on purpose."""
        return await self._run(ctx, self._fail(ctx))

    async def _fail(self, ctx: Context[Any]) -> Any:
        raise MoleculerClientError("on purpose", 422, "ON_PURPOSE", {"number": ctx.params["number"]})

    @action
    async def read(self, ctx: Context[Any]) -> AsyncIterator[Any]:
        """Gives a stream, which breaks at its end if it is told so."""
        params = ctx.params
        self.load.checkers.runs.begin(ctx, params["number"])
        for item in items(params["number"], params["count"], params["size"]):
            yield item
            if params["pause"]:
                await asyncio.sleep(params["pause"])
        if params["breaks"]:
            raise MoleculerClientError("on purpose", 422, "ON_PURPOSE", {"number": params["number"]})

    @action
    async def write(self, ctx: Context[Any]) -> Any:
        """Reads the caller's stream, and tells what it was."""
        return await self._run(ctx, self._write(ctx))

    async def _write(self, ctx: Context[Any]) -> Any:
        assert ctx.stream is not None
        size = ctx.params["size"]
        read: list[Any] = [item async for item in ctx.stream]
        whole = b"".join(read) == b"".join(self._wanted(ctx)) if size else read == list(self._wanted(ctx))
        return {"number": ctx.params["number"], "node": ctx.broker.id, "whole": whole}

    def _wanted(self, ctx: Context[Any]) -> Iterator[Any]:
        return items(ctx.params["number"], ctx.params["count"], ctx.params["size"])

    @action
    async def pass_on(self, ctx: Context[Any]) -> AsyncIterator[Any]:
        """Gives back the caller's stream."""
        assert ctx.stream is not None
        self.load.checkers.runs.begin(ctx, ctx.params["number"])
        async for item in ctx.stream:
            yield item

    async def _run(self, ctx: Context[Any], work: Any) -> Any:
        runs = self.load.checkers.runs
        runs.begin(ctx, ctx.params["number"])
        cancelled = False
        try:
            return await work
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            work.close()
            runs.end(ctx, cancelled)

    @event("thing.*")
    async def on_thing(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"{self.name} on_thing")
        await asyncio.sleep(0.01)

    @event("thing.plain", group="plain")
    def on_plain(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"plain {self.name}")

    @event("thing.**", group="listeners")
    async def on_any(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"listeners {self.name}")
        if ctx.params["number"] % 7 == 0:
            raise MoleculerClientError("on purpose")


class Observer(Service):
    """Tells the checkers whom its node takes for lost."""

    name = "observer"

    def __init__(self, load: Workload) -> None:
        super().__init__()
        self.load = load

    @event("$node.disconnected")
    def on_lost(self, ctx: Context[Any]) -> None:
        if ctx.params["unexpected"]:
            self.load.checkers.deaths.lost(ctx.broker.id, ctx.params["node"]["id"])

    @event("$node.conflict")
    def on_conflict(self, ctx: Context[Any]) -> None:
        if ctx.params["instanceID"] not in self.load.sim.predecessors(ctx.broker.id):
            self.load.checkers.others.append(f"M5: {ctx.broker.id} hears of a namesake {ctx.params}")


class Door(ApiGatewayService):
    """The gateway of the workload."""

    settings = {
        "port": 80,
        "routes": [
            {
                "aliases": {f"GET /{name}": f"{name}.echo" for name in NAMES},
                "callOptions": {"timeout": TIMEOUT_MAX},
            }
        ],
    }
