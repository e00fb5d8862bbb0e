"""Execution: the record of one execution of a command, which its fallback may read, too."""

from __future__ import annotations

from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import asyncio

    from tautomer.context import Context

__all__ = ["EVENTS", "RUNNING", "Execution", "Tried"]

EVENTS: Final = (
    "EMIT",
    "SUCCESS",
    "FAILURE",
    "TIMEOUT",
    "BAD_REQUEST",
    "SHORT_CIRCUITED",
    "THREAD_POOL_REJECTED",
    "SEMAPHORE_REJECTED",
    "FALLBACK_EMIT",
    "FALLBACK_SUCCESS",
    "FALLBACK_FAILURE",
    "FALLBACK_REJECTION",
    "FALLBACK_DISABLED",
    "FALLBACK_MISSING",
    "RESPONSE_FROM_CACHE",
    "CANCELLED",
    "COLLAPSED",
)
"""Hystrix's names of what may happen (resilience reference, section 11)."""


class Tried(msgspec.Struct, frozen=True):
    """How one attempt ended: an event, and a value or an error."""

    event: str
    value: Any = None
    error: BaseException | None = None


class Execution:
    """One execution of a command.

    Attributes:
        events: What happened, of `EVENTS`, in order. With retries each attempt has its own.
        started: When it began, on the clock of the commands.
        duration: Seconds that it took; None while it runs.
        exception: Why the fallback is asked, or what was raised; None if all went well.
        from_cache: Whether another execution of the same request had the answer.
        from_fallback: Whether the fallback had it.
        circuit_open: Whether it was not run as its circuit is open.
        attempts: How many times `run` was tried.
        failure_type: Hystrix's name of what went wrong, such as ``"TIMEOUT"``; None if nothing did.
        ctx: Context of the action that runs it, or None.
        deadline: When it must be over, on the clock of the commands; infinite for never.
    """

    __slots__ = (
        "attempts",
        "circuit_open",
        "ctx",
        "deadline",
        "duration",
        "events",
        "exception",
        "failure_type",
        "from_cache",
        "from_fallback",
        "loop",
        "started",
    )

    def __init__(self, started: float, ctx: Context[Any] | None, loop: asyncio.AbstractEventLoop) -> None:
        self.started = started
        self.ctx = ctx
        # Commands that a thread of this one makes run where this one does.
        self.loop = loop
        self.events: list[str] = []
        self.duration: float | None = None
        self.exception: BaseException | None = None
        self.from_cache = self.from_fallback = self.circuit_open = False
        self.attempts = 0
        self.failure_type: str | None = None
        self.deadline = inf

    def __repr__(self) -> str:
        took = "running" if self.duration is None else f"{self.duration:.3f} s"
        return f"<Execution {', '.join(self.events) or 'nothing yet'}; {took}>"

    @property
    def over(self) -> bool:
        return self.duration is not None

    def take_over(self, other: Execution) -> None:
        """The outcome of another one is this one's, too."""
        self.events = [*other.events, "RESPONSE_FROM_CACHE"]
        self.exception, self.failure_type = other.exception, other.failure_type
        self.from_fallback, self.circuit_open = other.from_fallback, other.circuit_open
        self.from_cache = True


RUNNING: Final[ContextVar[Execution | None]] = ContextVar("tautomer.commands.running", default=None)
"""The execution in whose `run` or `fallback` we are: what is started there has no more time than it."""
