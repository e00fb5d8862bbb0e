"""Threads: started when they are needed, gone a minute after the last work.

They are daemons: one that hangs, as those of a broken dependency do, must not keep the process from ending. How many
there are at most is not their business: whoever gives them work has counted it before (`Pool`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

__all__ = ["KEEP_ALIVE", "Threads", "is_ending"]

Work: TypeAlias = Callable[[], None]

KEEP_ALIVE: Final = 60.0
"""Seconds that a thread waits for more work."""


def is_ending() -> bool:
    """Whether the interpreter is on its way out: handlers of `atexit` run, and from 3.12 on no thread starts any more."""
    return not threading.main_thread().is_alive()


class Threads:
    """Threads that take one piece of work after the other.

    Args:
        name: Theirs, with a number.
        keep_alive: Seconds that one waits for more work before it ends.

    Attributes:
        size: How many there are.
        largest: How many there were at most.
    """

    def __init__(self, name: str, keep_alive: float = KEEP_ALIVE) -> None:
        self._name = name
        self._keep_alive = keep_alive
        self._lock = threading.Lock()
        self._work: SimpleQueue[tuple[Work, Work]] = SimpleQueue()
        self._idle = 0
        self._numbers = count(1)
        self.size = self.largest = 0

    def start(self, work: Work, then: Work) -> None:
        """Have a thread do it: one that is idle, else a new one.

        Args:
            work: Must not raise.
            then: Called in the same thread once it counts as idle, so that work which is given because of it needs no
                thread more. Must not raise, nor take long.

        Raises:
            RuntimeError: The system gives no more threads.
        """
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._work.put((work, then))
                return
            self.size += 1
            self.largest = max(self.largest, self.size)
            name = f"{self._name}-{next(self._numbers)}"
        try:
            threading.Thread(target=self._run, args=(work, then), name=name, daemon=True).start()
        except RuntimeError:
            with self._lock:
                self.size -= 1
            raise

    def _run(self, work: Work, then: Work) -> None:
        following: tuple[Work, Work] | None = (work, then)
        del work, then  # As below: what is done is kept by nobody.
        while following is not None:
            following[0]()
            with self._lock:
                self._idle += 1
            following[1]()
            following = None
            following = self._next()

    def _next(self) -> tuple[Work, Work] | None:
        try:
            return self._work.get(timeout=self._keep_alive)
        except Empty:
            pass
        with self._lock:
            if self._idle:
                self._idle -= 1
                self.size -= 1
                return None
        # Somebody counted on an idle thread while this one gave up: there is work for it.
        return self._work.get()
