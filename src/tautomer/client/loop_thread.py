"""LoopThread: an event loop in a thread of its own, for a client that blocks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from tautomer.client.failures import ServiceUnreachable

__all__ = ["LoopThread"]

T = TypeVar("T")

STOP_TIME: Final = 5.0
"""Seconds for what is left in it to end."""


class LoopThread:
    """Runs from its first `run` until `stop`; then the next `run` begins another. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the coroutine gives, which keeps its own time.

        Raises:
            ServiceUnreachable: It was stopped meanwhile.
        """
        with self._lock:
            loop = self._loop
            if loop is None:
                loop = self._loop = asyncio.new_event_loop()
                # Who forgets to close a client must not hinder the process from ending.
                self._thread = threading.Thread(target=loop.run_forever, name="json-rpc client", daemon=True)
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(make(), loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ServiceUnreachable("the client was closed") from None
        except BaseException:
            future.cancel()  # The wait was broken off by a signal; if not, it has ended.
            raise

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last`, then end the thread. Nothing where none runs."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return

        async def end() -> None:
            await last()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=STOP_TIME)

        ended = asyncio.run_coroutine_threadsafe(end(), loop)
        ended.add_done_callback(lambda _ended: loop.call_soon_threadsafe(loop.stop))
        if thread is threading.current_thread():
            return  # The client was found to be garbage there.
        thread.join(2 * STOP_TIME)
        if not thread.is_alive():
            loop.close()
