"""Calls at a fixed rate, whatever becomes of them: an open loop, as many clients are one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tautomer.errors import MoleculerError

GRACE = 0.5
"""Seconds after its deadline by which a call must have ended: 0.1 are promised (C1), the rest is for a busy machine."""


@dataclass(frozen=True)
class Outcome:
    """How one call ended.

    Attributes:
        number: Which, from 0.
        due: When it was to be sent, in seconds on the monotonic clock; latencies count from here.
        ended: When it ended, or infinity.
        failure: Class of its error and the status, such as ``"RequestTimeoutError 504"``; ``""`` if it was answered.
    """

    number: int
    due: float
    ended: float
    failure: str

    @property
    def ok(self) -> bool:
        return not self.failure

    @property
    def latency(self) -> float:
        return self.ended - self.due


@dataclass
class Load:
    """Sends `rate` calls a second from `async with` until its end, then waits for what is under way.

    Args:
        call: Given the number, makes the call.
        rate: Calls a second.
        timeout: Seconds that each call may take. Later than that plus `GRACE` it counts as unanswered.

    Attributes:
        outcomes: In the order of their ends; the unanswered last.
    """

    call: Callable[[int], Awaitable[Any]]
    rate: float
    timeout: float
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = 0.0
        self._sent: dict[asyncio.Task[None], tuple[int, float]] = {}
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.began = time.monotonic()
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        left = list(self._sent)
        if left:
            await asyncio.wait(left, timeout=self.timeout + GRACE)
        for task, (number, due) in list(self._sent.items()):
            self.outcomes.append(Outcome(number, due, float("inf"), "unanswered"))
            task.cancel()

    def stop(self) -> None:
        """Send no more."""
        assert self._sender is not None
        self._sender.cancel()

    async def _send(self) -> None:
        number = 0
        while True:
            # Whatever is overdue goes out at once: a sender that fell behind must not spare the receiver.
            while (due := self.began + number / self.rate) <= time.monotonic():
                task = asyncio.create_task(self._one(number, due))
                self._sent[task] = (number, due)
                task.add_done_callback(self._sent.pop)
                number += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one(self, number: int, due: float) -> None:
        failure = ""
        began = time.monotonic()
        try:
            await self.call(number)
        except MoleculerError as error:
            failure = f"{type(error).__name__} {error.code}"
        ended = time.monotonic()
        # The deadline counts from when the call was made: being sent late is the sender's fault.
        self.outcomes.append(
            Outcome(number, due, ended, "unanswered" if ended - began > self.timeout + GRACE else failure)
        )

    # What came of it.

    @property
    def ok(self) -> int:
        return sum(outcome.ok for outcome in self.outcomes)

    @property
    def failures(self) -> Counter[str]:
        """Calls that failed, by class and status. The unanswered are among them."""
        return Counter(outcome.failure for outcome in self.outcomes if not outcome.ok)

    @property
    def unanswered(self) -> int:
        return self.failures["unanswered"]

    def due(self, begin: float, end: float = float("inf")) -> list[Outcome]:
        """The calls that were to be sent in this time."""
        return [outcome for outcome in self.outcomes if begin <= outcome.due < end]

    def good_again(self, since: float) -> float:
        """Seconds from `since` until the last failure of a call due after it, or the first answer: whichever is later."""
        after = self.due(since)
        answered = min(
            (outcome.ended for outcome in self.outcomes if outcome.ok and outcome.ended >= since), default=float("inf")
        )
        failed = max((outcome.due for outcome in after if not outcome.ok), default=since)
        return max(answered, failed) - since


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies, 0 to 1."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def tell(fault: str, **figures: Any) -> None:
    """Print one row of the table of faults."""
    shown = (f"{name.replace('_', ' ')} {_shown(value)}" for name, value in figures.items())
    print(f"\n{fault}: {', '.join(shown)}")


def _shown(value: Any) -> str:
    if isinstance(value, Counter):
        return " + ".join(f"{count} {name}" for name, count in sorted(value.items()) if count) or "0"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
