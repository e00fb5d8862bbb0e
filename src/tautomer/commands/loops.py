"""Loops: where a command runs that is executed outside of any (resilience reference, section 16)."""

from __future__ import annotations

import asyncio
import atexit
import threading
from typing import Final

from tautomer.commands.execution import RUNNING

__all__ = ["Loops"]

STOP_WAIT: Final = 1.0
"""Seconds that the background loop has to end with the process."""


class Loops:
    """The loop of a broker, where one lends it; else one in a thread of its own, from the first time it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lent: list[asyncio.AbstractEventLoop] = []
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def lend(self, loop: asyncio.AbstractEventLoop) -> None:
        """A broker runs in it. The first that was lent is taken as long as it runs."""
        with self._lock:
            if loop not in self._lent:
                self._lent.append(loop)

    def take_back(self, loop: asyncio.AbstractEventLoop) -> None:
        """The broker stops."""
        with self._lock:
            if loop in self._lent:
                self._lent.remove(loop)

    def here(self) -> asyncio.AbstractEventLoop:
        """The loop for a thread that has none: that of the command in whose `run` it is, a broker's, or our own."""
        parent = RUNNING.get()
        if parent is not None and parent.loop.is_running():
            return parent.loop
        with self._lock:
            for loop in self._lent:
                if loop.is_running():
                    return loop
            if self._own is None:
                self._own = self._start()
            return self._own

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="commands-loop", daemon=True)
        self._thread.start()
        atexit.register(self.stop)
        return loop

    def stop(self) -> None:
        """End our own loop. What runs in it is given up."""
        with self._lock:
            loop, thread = self._own, self._thread
            self._own = self._thread = None
        if loop is None or thread is None:
            return
        atexit.unregister(self.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_WAIT)
        if not thread.is_alive():
            loop.close()
