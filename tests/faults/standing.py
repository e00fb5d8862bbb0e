"""A caller that is made to stand still: ``python -m tests.faults.standing URL``.

Calls both workers without a pause, says ``ready``, and, some seconds after it noticed that it stood still,
``figures LOST CALLS FAILED``: nodes declared dead, calls made after it woke, and how many of those failed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tautomer import Broker, Service, Settings, event
from tautomer.errors import MoleculerError

from .crew import offering, until

WATCHED = 3.0


class Watcher(Service):
    name = "watcher"

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    @event("$node.disconnected")
    def on_lost(self, _ctx: Any) -> None:
        self.lost += 1


async def main(url: str) -> None:
    watcher = Watcher()
    broker = Broker("gateway", Settings(transporter=url, heartbeat_interval=1.0, heartbeat_timeout=3.0))
    await broker.register(watcher)
    await broker.start()
    await until(lambda: {"w1", "w2"} <= set(offering(broker)))
    calls = failed = 0
    woke: float | None = None
    last = time.monotonic()
    print("ready", flush=True)
    while woke is None or time.monotonic() - woke < WATCHED:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        if now - last > 3.0:
            woke = now
        last = now
        try:
            await broker.call("work.echo", {}, timeout=2.0)
        except MoleculerError as error:
            print(error, flush=True)
            failed += woke is not None
        calls += woke is not None
        last = max(last, time.monotonic()) if woke is not None else last
    print("figures", watcher.lost, calls, failed, flush=True)
    await broker.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
