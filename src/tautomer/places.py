"""Places: waiting on the event loop for a place of a `Bulkhead`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final, NamedTuple

from tautomer.context import Context
from tautomer.errors import QueueIsFullError, RequestSkippedError
from tautomer.protocol.refusals import MARK
from tautomer.resilience.bulkhead import Bulkhead, Place
from tautomer.resilience.retry import is_repeated

Waiting = asyncio.Future[bool]
"""Of one that waits: True when it is to run, False when its time is over."""


class Asked(NamedTuple):
    """What a refusal says of the request that is refused.

    Attributes:
        id: Of another node's request: told with a refusal, it is sure for that node that nothing ran.
        again: Whether it is another attempt, which is not to be followed by one more.
    """

    id: str | None = None
    again: bool = False

    @classmethod
    def by(cls, ctx: Context[Any]) -> Asked:
        """The request of a context."""
        return cls(ctx.id if ctx.node_id else None, is_repeated(ctx._headers))


NOBODY: Final = Asked()


class Places:
    """The places of a bulkhead, for coroutines.

    Attributes:
        bulkhead: Who runs, and who waits. While it `has_room`, its `running` may be counted up in place of `enter`.
        closed: Whether it was closed.
    """

    __slots__ = ("_clock", "_node_id", "bulkhead", "closed")

    def __init__(self, bulkhead: Bulkhead[Waiting], node_id: str, clock: Callable[[], float]) -> None:
        self.bulkhead = bulkhead
        self.closed = False
        self._node_id = node_id
        self._clock = clock

    async def enter(self, name: str, deadline: float | None, asked: Asked) -> None:
        """Have a place, or wait for one. `leave` gives it back.

        Args:
            name: Of the action, for errors.
            deadline: When it is no longer worth to run.

        Raises:
            QueueIsFullError: There is none.
            RequestSkippedError: None came free in time.
        """
        ticket: Waiting = asyncio.get_running_loop().create_future()
        place, late = self.bulkhead.enter(ticket, self._clock(), inf if deadline is None else deadline)
        _too_late(late)
        if place is Place.REFUSED:
            marked = {} if asked.id is None else {MARK: asked.id}
            error = QueueIsFullError(name, self._node_id, size=self.bulkhead.waiting, **marked)
            error.retryable = not asked.again
            raise error
        if place is Place.RUN:
            return
        try:
            if await ticket:
                return
        except asyncio.CancelledError:
            withdrawn = self.bulkhead.withdraw(ticket, self._clock())
            if not withdrawn and ticket.done() and not ticket.cancelled() and ticket.result():
                self.leave()  # It was called at the very moment: whoever is next has the place.
            raise
        raise RequestSkippedError(name, self._node_id)

    def leave(self) -> None:
        """A place is free: call whoever is next, and still there; more than one where the limit has grown."""
        bulkhead, now = self.bulkhead, self._clock()
        called, late = bulkhead.leave(now)
        while True:
            _too_late(late)
            if called is None:
                return
            if called.done():  # It was cancelled, and has not got round to saying so.
                called, late = bulkhead.leave(now)
            else:
                called.set_result(True)
                called, late = bulkhead.call_next(now)

    def close(self) -> None:
        """Nobody need wait any longer: their time is over."""
        self.closed = True
        _too_late(self.bulkhead.clear())


def _too_late(late: list[Waiting]) -> None:
    for ticket in late:
        if not ticket.done():
            ticket.set_result(False)
