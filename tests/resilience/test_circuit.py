"""CircuitBreaker: held against a naive one that remembers everything, and in its single steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tautomer.errors import BrokerOptionsError
from tautomer.resilience.circuit import Circuit, CircuitBreaker, CircuitOptions, Outcome, Permit

OPTIONS = CircuitOptions(
    threshold=0.5, min_count=4, window=10.0, buckets=10, sleep=5.0, sleep_factor=2.0, sleep_max=15.0
)


def breaker(**options: Any) -> tuple[CircuitBreaker, list[tuple[str, str]]]:
    changes: list[tuple[str, str]] = []
    return CircuitBreaker(CircuitOptions(**options), lambda old, new: changes.append((old.value, new.value))), changes


def end(circuit: CircuitBreaker, outcome: Outcome, now: float, took: float = 0.0) -> None:
    permit = circuit.allow(now)
    assert permit is not None
    circuit.ended(permit, outcome, now, took)


def failing(circuit: CircuitBreaker, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        end(circuit, Outcome.FAILURE, now)


def test_the_last_of_the_least_count_opens_it():
    circuit, changes = breaker(min_count=20)

    failing(circuit, 19)
    before = circuit.state
    failing(circuit, 1)

    assert (Circuit.CLOSED, Circuit.OPEN) == (before, circuit.state)
    assert [("closed", "open")] == changes


@pytest.mark.parametrize(("failures", "state"), [(9, Circuit.CLOSED), (10, Circuit.OPEN)])
def test_it_opens_at_the_threshold_whatever_came_last(failures, state):
    circuit, _ = breaker(min_count=20)

    failing(circuit, failures)
    for _ in range(20 - failures):
        end(circuit, Outcome.SUCCESS, 0.0)

    assert state is circuit.state


def test_refused_and_cancelled_calls_say_nothing():
    circuit, _ = breaker(min_count=1)

    end(circuit, Outcome.REFUSED, 0.0)
    end(circuit, Outcome.CANCELLED, 0.0)

    assert (0, Circuit.CLOSED) == (circuit.counts.total, circuit.state)


def test_what_is_out_of_the_window_does_not_count():
    circuit, _ = breaker(min_count=4, window=10.0)

    failing(circuit, 3, 0.5)
    failing(circuit, 1, 10.9)  # The bucket of the first second is one window old now.

    assert (1, Circuit.CLOSED) == (circuit.counts.total, circuit.state)


@pytest.mark.parametrize("silence", [30.0, 1e9])
def test_after_a_long_silence_it_begins_anew(silence):
    circuit, _ = breaker(min_count=4, window=10.0)
    failing(circuit, 3)

    failing(circuit, 3, silence)

    assert (3, Circuit.CLOSED) == (circuit.counts.total, circuit.state)


def test_of_a_hundred_callers_exactly_one_tries_whether_all_is_well():
    circuit, changes = breaker(min_count=1, sleep=5.0)
    failing(circuit, 1)

    early = [circuit.allow(4.999) for _ in range(3)]
    admitted = [permit for permit in (circuit.allow(5.0) for _ in range(100)) if permit is not None]
    circuit.ended(admitted[0], Outcome.SUCCESS, 5.1)

    assert ([None] * 3, 1) == (early, len(admitted))
    assert [("closed", "open"), ("open", "half_open"), ("half_open", "closed")] == changes
    assert 0 == circuit.counts.total


def test_a_trial_that_fails_opens_it_again_for_longer():
    circuit, _ = breaker(min_count=1, sleep=5.0, sleep_factor=2.0, sleep_max=15.0)
    failing(circuit, 1)
    sleeps = []
    now = 0.0
    for _ in range(4):
        now += circuit.sleep
        end(circuit, Outcome.FAILURE, now)
        sleeps.append((circuit.sleep, circuit.retry_after(now)))

    assert [(10.0, 10.0), (15.0, 15.0), (15.0, 15.0), (15.0, 15.0)] == sleeps


def test_a_trial_that_never_ends_does_not_hold_the_circuit():
    circuit, _ = breaker(min_count=1, sleep=5.0)
    failing(circuit, 1)
    hangs = circuit.allow(5.0, timeout=30.0)

    assert hangs is not None
    assert circuit.allow(34.9, timeout=30.0) is None
    second = circuit.allow(35.1, timeout=30.0)
    assert second is not None
    circuit.ended(hangs, Outcome.FAILURE, 36.0)
    assert Circuit.HALF_OPEN is circuit.state
    circuit.ended(second, Outcome.SUCCESS, 36.0)
    assert Circuit.CLOSED is circuit.state


def test_after_a_cancelled_trial_the_next_caller_tries():
    circuit, _ = breaker(min_count=1, sleep=5.0)
    failing(circuit, 1)

    end(circuit, Outcome.CANCELLED, 5.0)

    assert (Circuit.OPEN, 0.0) == (circuit.state, circuit.retry_after(5.0))
    end(circuit, Outcome.SUCCESS, 5.0)
    assert Circuit.CLOSED is circuit.state


def test_a_callers_own_fault_shows_that_the_callee_is_well():
    circuit, _ = breaker(min_count=1, sleep=5.0)
    failing(circuit, 1)

    end(circuit, Outcome.REFUSED, 5.0)

    assert Circuit.CLOSED is circuit.state


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_late_end_of_a_call_from_before_moves_nothing(outcome):
    circuit, _ = breaker(min_count=1, sleep=5.0)
    late = circuit.allow(0.0)
    assert late is not None
    failing(circuit, 1)
    circuit.ended(late, outcome, 1.0)
    trial = circuit.allow(5.0)
    circuit.ended(late, outcome, 5.0)

    assert (Circuit.HALF_OPEN, True) == (circuit.state, trial is not None)
    end_of_trial = trial
    assert end_of_trial is not None
    circuit.ended(end_of_trial, Outcome.SUCCESS, 5.0)
    circuit.ended(late, outcome, 5.0)
    assert (Circuit.CLOSED, 0) == (circuit.state, circuit.counts.total)


def test_all_of_several_trials_must_go_well():
    circuit, _ = breaker(min_count=1, sleep=5.0, trials=2)
    failing(circuit, 1)
    first, second, third = (circuit.allow(5.0) for _ in range(3))

    assert third is None
    assert first is not None
    assert second is not None
    circuit.ended(first, Outcome.SUCCESS, 5.0)
    assert (Circuit.HALF_OPEN, None) == (circuit.state, circuit.allow(5.0))
    circuit.ended(second, Outcome.SUCCESS, 5.0)
    assert Circuit.CLOSED is circuit.state


def test_calls_that_are_too_slow_open_it_too():
    circuit, _ = breaker(min_count=4, slow_call=1.0, slow_threshold=0.5)

    for took in (0.1, 0.1, 1.0, 2.0):
        end(circuit, Outcome.SUCCESS, 0.0, took)

    assert Circuit.OPEN is circuit.state


def test_what_is_forced_stays_until_it_is_reset():
    circuit, changes = breaker(min_count=1)
    circuit.force(Circuit.FORCED_OPEN)
    refused = circuit.allow(0.0)
    circuit.force(Circuit.METRICS_ONLY)
    failing(circuit, 3)
    seen = circuit.counts.errors
    circuit.reset()

    assert (None, 3, Circuit.CLOSED) == (refused, seen, circuit.state)
    assert [("closed", "forced_open"), ("forced_open", "metrics_only"), ("metrics_only", "closed")] == changes
    with pytest.raises(ValueError, match="cannot be forced"):
        circuit.force(Circuit.OPEN)


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0},
        {"threshold": 1.1},
        {"min_count": 0},
        {"window": 0},
        {"sleep": -1},
        {"trials": 0},
        {"sleep_factor": 0.5},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(BrokerOptionsError, match=next(iter(options))):
        CircuitOptions(**options)


class AgainstANaiveOne(RuleBasedStateMachine):
    """The same by a list of everything that ever happened."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.circuit = CircuitBreaker(OPTIONS)
        self.out: list[tuple[Permit, Any]] = []
        self.state, self.opened, self.sleep, self.epoch = "closed", 0.0, OPTIONS.sleep, 0
        self.events: list[tuple[int, bool]] = []
        self.trial: int | None = None
        self.trials_given = 0

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 2.5, 4.9, 5.0, 11.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        permit = self.circuit.allow(self.now)
        kind: Any = None
        if self.state == "closed":
            kind = ("usual", self.epoch)
        elif (self.state == "open" and self.now >= self.opened + self.sleep) or (
            self.state == "half" and self.trial is None
        ):
            self.state, self.trials_given = "half", self.trials_given + 1
            self.trial, self.given = self.trials_given, self.now
            kind = ("trial", self.trial)
        elif self.state == "half" and self.now - self.given >= self.sleep:
            self.trials_given += 1
            self.trial, self.given = self.trials_given, self.now
            kind = ("trial", self.trial)
        assert (kind is None) == (permit is None)
        if permit is not None:
            self.out.append((permit, kind))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome), short=st.booleans())
    def end(self, data: st.DataObject, outcome: Outcome, short: bool) -> None:
        permit, (kind, number) = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if short and outcome is Outcome.SUCCESS:
            self.circuit.succeeded(permit, self.now)
        else:
            self.circuit.ended(permit, outcome, self.now)
        if kind == "usual" and self.state == "closed" and number == self.epoch:
            if outcome in (Outcome.SUCCESS, Outcome.FAILURE):
                self.events.append((int(self.now), outcome is Outcome.FAILURE))
                recent = [failed for second, failed in self.events if second > int(self.now) - 10]
                if len(recent) >= 4 and sum(recent) * 2 >= len(recent):
                    self.state, self.opened = "open", self.now
        elif kind == "trial" and self.state == "half" and number == self.trial:
            self.trial = None
            if outcome is Outcome.FAILURE:
                self.state, self.opened, self.sleep = "open", self.now, min(self.sleep * 2, 15.0)
            elif outcome is Outcome.CANCELLED:
                self.state = "open"
            else:
                self.state, self.sleep, self.events, self.epoch = "closed", OPTIONS.sleep, [], self.epoch + 1

    @invariant()
    def they_agree(self) -> None:
        states = {Circuit.CLOSED: "closed", Circuit.OPEN: "open", Circuit.HALF_OPEN: "half"}
        assert self.state == states[self.circuit.state]
        assert self.sleep == self.circuit.sleep


TestAgainstANaiveOne = AgainstANaiveOne.TestCase


def test_a_share_is_compared_as_it_is():
    circuit, _ = breaker(min_count=100, threshold=0.07)

    failing(circuit, 7)
    for _ in range(93):
        end(circuit, Outcome.SUCCESS, 0.0)

    assert Circuit.OPEN is circuit.state


def test_a_trial_that_takes_too_long_has_failed():
    circuit, _ = breaker(min_count=1, sleep=5.0, slow_call=1.0)
    failing(circuit, 1)

    end(circuit, Outcome.SUCCESS, 5.0, took=1.0)
    before = circuit.state
    end(circuit, Outcome.SUCCESS, 10.0, took=0.9)

    assert (Circuit.OPEN, Circuit.CLOSED) == (before, circuit.state)


def test_other_options_leave_the_state_and_what_was_counted():
    circuit, _ = breaker(min_count=4, sleep=5.0)
    failing(circuit, 3)
    circuit.configure(CircuitOptions(min_count=3, sleep=2.0))
    kept = circuit.counts.total
    failing(circuit, 1)
    opened = circuit.state, circuit.retry_after(0.0)
    circuit.configure(CircuitOptions(min_count=3, sleep=2.0, window=5.0))

    assert (3, (Circuit.OPEN, 2.0)) == (kept, opened)
    assert (Circuit.OPEN, 0) == (circuit.state, circuit.counts.total)


def test_one_that_was_tripped_closes_by_itself():
    circuit, changes = breaker(sleep=5.0)
    circuit.trip(1.0)
    refused = circuit.allow(5.9)
    end(circuit, Outcome.SUCCESS, 6.0)

    assert (None, Circuit.CLOSED) == (refused, circuit.state)
    assert [("closed", "open"), ("open", "half_open"), ("half_open", "closed")] == changes
