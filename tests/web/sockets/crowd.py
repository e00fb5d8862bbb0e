"""A gateway with many sockets, in a process of its own: ``python -m tests.web.sockets.crowd``.

Prints its port, then answers lines on its input: ``memory`` (bytes held by the process), ``cpu`` (seconds used so far),
``open`` (sockets) and ``broadcast`` (CPU seconds of one broadcast to all, until the last byte is with the system).
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from pathlib import Path

from tautomer import ApiGatewayService, Broker, Service, WebSocketHubProvider, event
from tests.web.sockets.chat import sockets_of


class Crowd(Service):
    name = "crowd"
    hub = WebSocketHubProvider()

    @event("$socket.connected")
    def join(self, ctx: object) -> None:
        self.hub.subscribe(ctx.params["socket_id"], "all")  # type: ignore[attr-defined]


def memory() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    crowd = Crowd()
    gateway = ApiGatewayService(
        settings={
            "port": 0,
            "ip": "127.0.0.1",
            "limits": {"connections_per_peer_max": 0, "connections_max": 0},
            "websocket": {"heartbeat_interval": 0},
        }
    )
    async with Broker("crowd") as broker:
        await broker.register(crowd)
        await broker.register(gateway)
        print(gateway.port, flush=True)
        loop = asyncio.get_running_loop()
        while asked := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if asked == "memory":
                print(memory(), flush=True)
            elif asked == "cpu":
                print(time.process_time(), flush=True)
            elif asked == "open":
                print(len(sockets_of(broker).open), flush=True)
            elif asked == "broadcast":
                before = time.process_time()
                crowd.hub.broadcast("all", "news", {"text": "x" * 100})
                await asyncio.sleep(0)
                print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
