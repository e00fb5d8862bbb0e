"""StallWatch: says when the event loop stood still."""

from __future__ import annotations

import asyncio
import logging

from tautomer.host import Host

log = logging.getLogger("tautomer.stalls")


class StallWatch:
    """Looks at the clock twice in `limit` seconds and warns when a look comes late by that much or more.

    So no stall shorter than `limit` is told of, and none longer than one and a half times of it is missed.

    Attributes:
        count: Stalls so far.
        longest: Seconds of the longest.
    """

    def __init__(self, host: Host, limit: float) -> None:
        self._clock = host.clock
        self._limit = limit
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.count = 0
        self.longest = 0.0

    def start(self) -> None:
        """Begin to look, unless the limit is 0."""
        if self._limit and self._timer is None:
            self._wait()

    def stop(self) -> None:
        """Twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._due = self._clock() + self._limit / 2
        self._timer = asyncio.get_running_loop().call_later(self._limit / 2, self._look)

    def _look(self) -> None:
        late = self._clock() - self._due
        if late >= self._limit:
            self.count += 1
            self.longest = max(self.longest, late)
            log.warning(
                "the event loop stood still: something blocks it (see `@action(blocking=True)`), or the process was halted",
                extra={"seconds": round(late, 2), "stalls": self.count},
            )
        self._wait()
