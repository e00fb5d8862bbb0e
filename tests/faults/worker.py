"""A node to do harm to: ``python -m tests.faults.worker OPTIONS``, a JSON object of `WorkerOptions`' fields.

Says ``ready`` once it is in the mesh (or goes on alone); leaves on SIGTERM, and when its parent is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from tautomer import Broker, Context, Service, Settings, action, event
from tautomer.errors import MoleculerClientError
from tautomer.settings import RegistrySettings, TransitSettings

from .gauges import gauges
from .ledger import Ledger


class Work(Service):
    """What is asked of a worker. Every run is written down before it does anything."""

    name = "work"

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__()
        self._ledger = ledger
        self.told = 0

    def _note(self, ctx: Context) -> None:
        if self._ledger is not None:
            self._ledger.note(ctx.params.get("n"), ctx.id, self.broker.id)

    @action
    async def echo(self, ctx: Context) -> Any:
        self._note(ctx)
        return ctx.params

    @action
    async def rest(self, ctx: Context) -> Any:
        """Take this many seconds without using the loop."""
        self._note(ctx)
        await asyncio.sleep(ctx.params["seconds"])
        return ctx.params

    @action
    async def hold(self, ctx: Context) -> Any:
        """Keep the loop from everything else for this many seconds, as one long computation does."""
        self._note(ctx)
        time.sleep(ctx.params["seconds"])  # noqa: ASYNC251 - that is the fault.
        return ctx.params

    @action
    async def burn(self, ctx: Context) -> Any:
        """Compute for this many seconds of processor time."""
        self._note(ctx)
        return _burnt(ctx)

    @action(blocking=True)
    def think(self, ctx: Context) -> Any:
        """As `burn`, in a thread."""
        return _burnt(ctx)

    @action(process=True)
    def think_apart(self, ctx: Context) -> Any:
        """As `burn`, in a process."""
        return _burnt(ctx)

    @action
    async def fail(self, ctx: Context) -> None:
        self._note(ctx)
        raise MoleculerClientError("as asked", 418, "TEAPOT", {"n": ctx.params.get("n")})

    @action
    async def relay(self, ctx: Context) -> Any:
        """Call another action, from here."""
        return await ctx.call(ctx.params["action"], ctx.params.get("params"), timeout=ctx.params["timeout"])

    @action
    async def clock(self, ctx: Context) -> dict[str, float]:
        return {"wall": time.time(), "monotonic": time.monotonic()}

    @action
    async def gauges(self, ctx: Context) -> dict[str, Any]:
        return {**gauges(self.broker), "told": self.told, "statistics": self.broker.statistics()["transit"]}

    @event("faults.**")
    def on_told(self, ctx: Context) -> None:
        self.told += 1


def _burnt(ctx: Context) -> Any:
    until = time.thread_time() + ctx.params["seconds"]
    while time.thread_time() < until:
        pass
    return ctx.params


async def _leave_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    os._exit(1)


async def main(options: dict[str, Any]) -> None:
    told = options["settings"]
    parts = {"transit": TransitSettings, "registry": RegistrySettings}
    built = {name: part(**told.get(name, {})) for name, part in parts.items()}
    settings = Settings(transporter=options["url"], **{**told, **built})
    broker = Broker(options["id"], settings)
    await broker.register(Work(Ledger(options["ledger"]) if "ledger" in options else None))
    watch = asyncio.create_task(_leave_with_parent())
    await broker.start()
    print("ready", flush=True)
    await broker.wait_for_shutdown()
    watch.cancel()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
