"""CircuitBreaker: stops asking what fails too often, and tries again by one call (resilience reference, section 6).

    CLOSED ──too many errors──▶ OPEN ──sleep is over, next caller──▶ HALF_OPEN ──trials went well──▶ CLOSED
                                 ▲                                        │
                                 └──────────────a trial failed────────────┘

Pure: time is an argument, and nothing happens by itself. An open circuit becomes half-open when the next caller asks.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Final

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.window import RollingCounts
from tautomer.settings import record

__all__ = ["Circuit", "CircuitBreaker", "CircuitOptions", "Outcome", "Permit"]


class Circuit(Enum):
    """States. The last three are set by hand and stay until `reset`."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    METRICS_ONLY = "metrics_only"


class Outcome(Enum):
    """How an admitted call ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    """Error, timeout, or no place in the pool."""
    REFUSED = "refused"
    """The caller's own fault: the callee did answer, so that it says nothing against it."""
    CANCELLED = "cancelled"
    """Nobody waited for the end, so that it says nothing at all."""


@record
class CircuitOptions:
    """When a circuit opens, and for how long.

    Attributes:
        threshold: Part of the calls that fail, from 0 to 1, at or above which it opens.
        min_count: Fewer calls in the window never open it.
        window: Seconds that count.
        buckets: Parts in which the window moves on.
        sleep: Seconds that it stays open.
        sleep_factor: Each trial that fails makes the sleep longer by this; 1 leaves it.
        sleep_max: Longest sleep.
        trials: Calls that are let through to find out whether all is well again. All must go well.
        slow_call: Seconds from which a call is slow; None: none is.
        slow_threshold: Part of slow calls at or above which it opens.
    """

    threshold: float = 0.5
    min_count: int = 20
    window: float = 60.0
    buckets: int = 10
    sleep: float = 10.0
    sleep_factor: float = 1.0
    sleep_max: float = 60.0
    trials: int = 1
    slow_call: float | None = None
    slow_threshold: float = 1.0

    def __post_init__(self) -> None:
        for name in ("threshold", "slow_threshold"):
            if not 0 < getattr(self, name) <= 1:
                raise BrokerOptionsError(
                    f"circuit breaker: {name} is over 0 and at most 1, not {getattr(self, name)!r}"
                )
        for name in ("min_count", "buckets", "trials"):
            if getattr(self, name) < 1:
                raise BrokerOptionsError(f"circuit breaker: {name} is at least 1, not {getattr(self, name)!r}")
        for name in ("window", "sleep", "sleep_max"):
            if not getattr(self, name) > 0:
                raise BrokerOptionsError(f"circuit breaker: {name} is over 0 seconds, not {getattr(self, name)!r}")
        if self.sleep_factor < 1:
            raise BrokerOptionsError(f"circuit breaker: sleep_factor is at least 1, not {self.sleep_factor!r}")


class Permit:
    """A call that was let through. Hand it back to `CircuitBreaker.ended`, once.

    Attributes:
        trial: Whether it decides about a half-open circuit.
    """

    __slots__ = ("generation", "given", "trial")

    def __init__(self, generation: int, given: float, trial: bool) -> None:
        self.generation = generation
        self.given = given
        self.trial = trial


_CLOSED: Final = Circuit.CLOSED  # To find a member of an Enum costs as much as all the rest of the short way.
_FREE: Final = (Circuit.CLOSED, Circuit.FORCED_CLOSED, Circuit.METRICS_ONLY)

Changed = Callable[[Circuit, Circuit], None]


def _unheard(_before: Circuit, _after: Circuit) -> None:
    pass


class CircuitBreaker:
    """One circuit: of an endpoint, or of a command.

    Args:
        changed: Told of each change of state, with the old and the new one.

    Attributes:
        usual: The permit that a closed circuit gives, the same for all: where `state` is `CLOSED`, it may be taken in
            place of asking `allow`.
        state: Where it stands. An `OPEN` one whose sleep is over counts as open until somebody asks.
        counts: What has been seen in the window.
        opened: When it opened last.
        sleep: Seconds that it stays open this time.
    """

    __slots__ = ("_changed", "_done", "_generation", "_options", "_out", "counts", "opened", "sleep", "state", "usual")

    def __init__(self, options: CircuitOptions, changed: Changed = _unheard) -> None:
        self._options = options
        self._changed = changed
        self._generation = 0
        # Trials that are under way, and those that went well.
        self._out: list[Permit] = []
        self._done = 0
        self.usual = Permit(0, 0.0, False)
        self.state = Circuit.CLOSED
        self.counts = RollingCounts(options.window, options.buckets)
        self.opened = -inf
        self.sleep = options.sleep

    def allow(self, now: float, timeout: float = 0.0) -> Permit | None:
        """Let a call through, or not.

        Args:
            timeout: Seconds after which the call surely has ended; a trial that has not said so by then, and after
                the sleep, does not count any more.
        """
        if self.state in _FREE:
            return self.usual
        if self.state is Circuit.FORCED_OPEN:
            return None
        if self.state is Circuit.OPEN:
            if now < self.opened + self.sleep:
                return None
            self._begin_trials()
        void = now - max(timeout, self.sleep)
        self._out = [permit for permit in self._out if permit.given > void]
        if len(self._out) + self._done >= self._options.trials:
            return None
        permit = Permit(self._generation, now, True)
        self._out.append(permit)
        return permit

    def may_try(self, now: float) -> bool:
        """Whether `allow` would let a call through."""
        match self.state:
            case Circuit.OPEN:
                return now >= self.opened + self.sleep
            case Circuit.HALF_OPEN:
                void = now - self.sleep
                return sum(permit.given > void for permit in self._out) + self._done < self._options.trials
            case state:
                return state is not Circuit.FORCED_OPEN

    def retry_after(self, now: float) -> float:
        """Seconds until it is worth to ask again; 0 if it is now."""
        return max(0.0, self.opened + self.sleep - now) if self.state is Circuit.OPEN else 0.0

    def ended(self, permit: Permit, outcome: Outcome, now: float, took: float = 0.0) -> None:
        """An admitted call has ended.

        Args:
            took: Seconds.
        """
        if self.state in _FREE:
            # What was let through by an earlier circuit says nothing about this one.
            if permit is self.usual and (outcome is Outcome.SUCCESS or outcome is Outcome.FAILURE):
                self.counts.add(now, outcome is Outcome.FAILURE, self._is_slow(took))
                if self.state is Circuit.CLOSED and (self.counts.errors or self.counts.slow) and self._is_over():
                    self._open(now)
        elif permit.trial and permit.generation == self._generation and permit in self._out:
            self._out.remove(permit)
            # A trial that took too long has found out that nothing is well yet.
            slow = outcome is Outcome.SUCCESS and self._is_slow(took)
            self._trial_ended(Outcome.FAILURE if slow else outcome, now)

    def configure(self, options: CircuitOptions) -> None:
        """Other options from now on. The state stays, and what was counted does unless the window is another."""
        before, self._options = self._options, options
        if (options.window, options.buckets) != (before.window, before.buckets):
            self.counts = RollingCounts(options.window, options.buckets)
        if self.sleep == before.sleep:
            self.sleep = options.sleep

    def trip(self, now: float) -> None:
        """Open it by hand, as if too much had failed: it closes again by itself."""
        if self.state is not Circuit.OPEN:
            self._forget()
        self._open(now)

    def succeeded(self, permit: Permit, now: float) -> None:
        """`ended` with a success of which nobody took the time: how most calls end, and so the short way."""
        if permit is not self.usual or self.state is not _CLOSED:
            self.ended(permit, Outcome.SUCCESS, now)
            return
        counts = self.counts
        counts.add(now)
        if counts.errors and self._is_over():
            self._open(now)

    def force(self, state: Circuit) -> None:
        """Set it by hand, until `reset`: `FORCED_OPEN`, `FORCED_CLOSED` or `METRICS_ONLY`."""
        if state not in (Circuit.FORCED_OPEN, Circuit.FORCED_CLOSED, Circuit.METRICS_ONLY):
            raise ValueError(f"{state} cannot be forced")
        self._forget()
        self._become(state)

    def reset(self) -> None:
        """Close it, as new."""
        self._forget()
        self._become(Circuit.CLOSED)

    def _begin_trials(self) -> None:
        self._generation += 1
        self._out, self._done = [], 0
        self._become(Circuit.HALF_OPEN)

    def _trial_ended(self, outcome: Outcome, now: float) -> None:
        match outcome:
            case Outcome.FAILURE:
                self.sleep = min(self.sleep * self._options.sleep_factor, max(self._options.sleep_max, self.sleep))
                self._open(now)
            case Outcome.CANCELLED:
                if not self._out:
                    # It learnt nothing: the next caller tries.
                    self._become(Circuit.OPEN)
            case _:
                self._done += 1
                if self._done >= self._options.trials:
                    self.reset()

    def _is_over(self) -> bool:
        counts, options = self.counts, self._options
        if counts.total < options.min_count:
            return False
        # Divided, not multiplied: 7 of 100 are 0.07, but 0.07 * 100 is a little over 7.
        if counts.errors / counts.total >= options.threshold:
            return True
        return options.slow_call is not None and counts.slow / counts.total >= options.slow_threshold

    def _is_slow(self, took: float) -> bool:
        return self._options.slow_call is not None and took >= self._options.slow_call

    def _open(self, now: float) -> None:
        self.opened = now
        self._out, self._done = [], 0
        self._generation += 1
        self._become(Circuit.OPEN)

    def _forget(self) -> None:
        self.counts.clear()
        self.sleep = self._options.sleep
        self._out, self._done = [], 0
        self._generation += 1
        self.usual = Permit(self._generation, 0.0, False)

    def _become(self, state: Circuit) -> None:
        before, self.state = self.state, state
        if before is not state:
            self._changed(before, state)
