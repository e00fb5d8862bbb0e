"""CommandMetrics: a service that tells what commands do, to dashboards and to other nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from tautomer.commands.component import component
from tautomer.commands.stream import INTERVAL, frames
from tautomer.context import Context
from tautomer.decorators import action
from tautomer.errors import MoleculerError
from tautomer.service import Service

__all__ = ["CommandMetrics"]

READERS_MAX: Final = 5
"""Streams that may be read at once; each of them costs a look at everything, twice a second."""

_HEADERS: Final = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
    "Pragma": "no-cache",
}


class CommandMetrics(Service):
    """Metrics of this process's commands.

    ```python
    broker.create_service(CommandMetrics)
    # in a route of the gateway:
    {"aliases": {"GET /hystrix.stream": "commands.stream"}}
    ```

    Settings: ``interval``, seconds between two looks.
    """

    name = "commands"
    settings = {"interval": INTERVAL}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._readers = 0
        self._ending = False

    def stopping(self) -> None:
        self._ending = True

    @action(responseType="text/event-stream;charset=UTF-8", cache=False, visibility="published")
    async def stream(self, ctx: Context) -> AsyncIterator[bytes]:
        """Server-sent events that Hystrix's dashboards read."""
        if self._ending:
            raise MoleculerError("Service has been shut down.", 503, "SERVICE_UNAVAILABLE")
        if self._readers >= READERS_MAX:
            raise MoleculerError(f"MaxConcurrentConnections reached: {READERS_MAX}", 503, "TOO_MANY_READERS")
        ctx.meta["$responseHeaders"] = dict(_HEADERS)
        self._readers += 1
        try:
            async for frame in frames(float(self.settings["interval"])):
                yield frame
        finally:
            self._readers -= 1

    @action(cache=False)
    def statistics(self, ctx: Context) -> dict[str, Any]:
        """Pools, circuits and counters of this process."""
        return component.statistics()
