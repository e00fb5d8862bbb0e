"""Hedging: a second attempt before the first has failed, where a slow answer is worse than a double one (reference, 15.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.commands.execution import Tried

__all__ = ["hedged"]

_FINAL: Final = ("SUCCESS", "BAD_REQUEST", "CANCELLED")
"""Ends of an attempt that no other one can better."""


async def hedged(
    attempt: Callable[[], Coroutine[Any, Any, Tried]],
    delay: float,
    extra: int,
    may: Callable[[], bool],
    scope: TaskScope,
) -> Tried:
    """The first attempt that goes well; where none does, the end of the last.

    Args:
        attempt: Makes one; it ends by itself at the deadline.
        delay: Seconds without an end after which another is begun. A failure begins the next at once.
        extra: How many there may be beside the first.
        may: Asked before each of these, which it counts.
        scope: Owns the tasks.
    """
    running = [scope.spawn(attempt(), "attempt")]
    last: Tried | None = None
    try:
        while running:
            limit = delay if extra else None
            done, _ = await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task in done]:
                running.remove(task)
                last = task.result()
                if last.event in _FINAL:
                    return last
            # One has failed, or none has ended in time.
            if extra and may():
                extra -= 1
                running.append(scope.spawn(attempt(), "attempt"))
            else:
                extra = 0
        assert last is not None
        return last
    finally:
        for task in running:
            task.cancel()
