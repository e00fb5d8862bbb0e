"""Circuits of commands: when they open, who tries, what counts (resilience reference, section 6)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tautomer import Command, component
from tautomer.errors import BadRequestError, BrokerOptionsError, CircuitOpen
from tautomer.resilience.circuit import Circuit, CircuitBreaker
from tautomer.testing import FakeClock

from .conftest import Virtually, settled


class Call(Command):
    """Ends as it is told, on a clock that stands still."""

    command_key = "call"
    isolation = "loop"

    def __init__(self, how: str = "good", seconds: float = 0.0) -> None:
        self.how, self.seconds = how, seconds

    async def run(self) -> str:
        await asyncio.sleep(self.seconds)
        if self.how == "bad":
            raise OSError
        if self.how == "refused":
            raise BadRequestError
        return "good"


async def many(how: str, count: int) -> None:
    for _ in range(count):
        await settled(Call(how))


# --- checklist 3 ---


@pytest.mark.parametrize(
    ("bad", "good", "state"),
    [(19, 0, "closed"), (20, 0, "open"), (9, 11, "closed"), (10, 10, "open")],
)
def test_it_opens_at_half_of_twenty(bad: int, good: int, state: str, virtually: Virtually) -> None:
    async def calls(testing: Any) -> str:
        await many("good", good)
        await many("bad", bad)
        return testing.state("call").value

    assert state == virtually(calls)


def test_a_share_is_what_it_is_and_not_a_little_more(virtually: Virtually) -> None:
    """0.07 * 100 is over 7 in floating point; 7 of 100 are 7 % all the same."""

    async def calls(testing: Any) -> str:
        component.configure("call", circuit_breaker={"request_volume_threshold": 100, "error_threshold_percentage": 7})
        await many("bad", 7)
        await many("good", 93)
        return testing.state("call").value

    assert "open" == virtually(calls)


# --- checklist 4 ---


@pytest.mark.parametrize(("pause", "state"), [(8.0, "open"), (11.0, "closed"), (35.0, "closed"), (1e7, "closed")])
def test_only_what_is_in_the_window_counts(pause: float, state: str, virtually: Virtually) -> None:
    async def calls(testing: Any) -> str:
        await many("bad", 10)
        await asyncio.sleep(pause)
        await many("bad", 10)
        return testing.state("call").value

    assert state == virtually(calls)


# --- checklist 5 and 6 ---


async def opened() -> None:
    await many("bad", 20)
    await asyncio.sleep(5.0)


def test_of_a_hundred_callers_one_tries(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        await many("bad", 20)
        (refused,) = await settled(Call())
        await asyncio.sleep(4.9)
        early = await settled(Call())
        await asyncio.sleep(0.1)
        got = await settled(*(Call(seconds=0.1) for _ in range(100)))
        return refused, early[0], got, testing.state("call")

    refused, early, got, state = virtually(calls)

    assert (5.0, pytest.approx(0.1)) == (refused.retry_after, early.retry_after)
    assert (1, 99) == (got.count("good"), sum(isinstance(one, CircuitOpen) for one in got))
    assert Circuit.CLOSED is state


def test_a_trial_that_hangs_does_not_hold_the_circuit(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        component.configure("call", timeout_seconds=None)
        await opened()
        hangs = Call(seconds=1e6).queue()
        await asyncio.sleep(4.9)
        early = await settled(Call())
        await asyncio.sleep(0.2)
        late = await settled(Call())
        state = testing.state("call")
        hangs.cancel()
        return early[0], late[0], state

    early, late, state = virtually(calls)

    assert isinstance(early, CircuitOpen)
    assert ("good", Circuit.CLOSED) == (late, state)


def test_after_a_trial_that_was_cancelled_the_next_caller_tries(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        await opened()
        trial = Call(seconds=0.5).queue()
        await asyncio.sleep(0.1)
        trial.cancel()
        await settled(trial)
        return testing.state("call"), await Call(), testing.state("call")

    assert (Circuit.OPEN, "good", Circuit.CLOSED) == virtually(calls)


def test_a_late_success_from_before_does_not_close_it(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        component.configure("call", timeout_seconds=None)
        old = Call(seconds=6.0).queue()
        await asyncio.sleep(0.1)
        await opened()
        trial = Call(seconds=3.0).queue()
        late = await old
        between = testing.state("call")
        await trial
        return late, between, testing.state("call")

    assert ("good", Circuit.HALF_OPEN, Circuit.CLOSED) == virtually(calls)


def test_a_callers_own_fault_closes_it_and_counts_nothing_else(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        await many("refused", 50)
        before = testing.state("call")
        await opened()
        await many("refused", 1)
        return before, testing.state("call"), "FALLBACK_MISSING" in testing.events("call")[:50]

    assert (Circuit.CLOSED, Circuit.CLOSED, False) == virtually(calls)


def test_calls_that_are_too_slow_open_it_and_a_slow_trial_does_not_close_it(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        component.configure("call", circuit_breaker={"slow_call": 0.5, "request_volume_threshold": 3})
        await settled(*(Call(seconds=0.6) for _ in range(3)))
        first = testing.state("call")
        await asyncio.sleep(5.0)
        await Call(seconds=0.6)
        second = testing.state("call")
        await asyncio.sleep(5.0)
        await Call(seconds=0.1)
        return first, second, testing.state("call")

    assert (Circuit.OPEN, Circuit.OPEN, Circuit.CLOSED) == virtually(calls)


# --- by hand ---


def test_it_can_be_held_open_and_closed_by_hand(virtually: Virtually) -> None:
    async def calls(testing: Any) -> list[Any]:
        await Call()
        component.open("call")
        got = await settled(Call())
        component.close("call")
        await many("bad", 30)
        got += [testing.state("call")]
        component.reset("call")
        got += [testing.state("call")]
        await many("bad", 20)
        return [*got, testing.state("call")]

    refused, closed, reset, left_to_itself = virtually(calls)

    assert isinstance(refused, CircuitOpen)
    assert (Circuit.FORCED_CLOSED, Circuit.CLOSED, Circuit.OPEN) == (closed, reset, left_to_itself)


def test_options_that_change_do_not_close_it(virtually: Virtually) -> None:
    async def calls(testing: Any) -> tuple[Any, ...]:
        await many("bad", 20)
        component.configure("call", circuit_breaker={"sleep_window": 1})
        before = testing.state("call")
        await asyncio.sleep(1.0)
        return before, await Call()

    assert (Circuit.OPEN, "good") == virtually(calls)


async def test_without_a_circuit_nothing_opens() -> None:
    class Bare(Call):
        command_key = "bare"
        circuit_breaker = False

    for _ in range(50):
        await settled(Bare("bad"))

    assert "good" == await Bare()
    with component.testing() as testing:
        await Bare()
        with pytest.raises(BrokerOptionsError, match="has no circuit"):
            testing.trip("bare")


async def test_a_class_of_ones_own_may_stand_in_its_place() -> None:
    class Mine(CircuitBreaker):
        __slots__ = ()

    component.set("circuit_breaker_impl", Mine)
    component.install()
    await Call()

    assert isinstance(component.circuit("call"), Mine)


def test_changes_are_told_to_whoever_listens_and_to_the_log(
    virtually: Virtually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tautomer.commands")
    told: list[tuple[str, dict[str, Any]]] = []

    async def calls(_testing: Any) -> None:
        end = component.listen(lambda state, about: told.append((state, about)))
        await opened()
        await Call()
        end()
        await many("bad", 20)

    virtually(calls)

    assert ["opened", "half_opened", "closed"] == [state for state, _ in told]
    assert {
        "key": "call",
        "group": "default",
        "counts": {"total": 20, "errors": 20, "slow": 0},
        "sleep": 5.0,
    } == told[0][1]
    levels = [(record.levelname, record.message) for record in caplog.records if record.message.startswith("circuit")]
    assert [("WARNING", "circuit opened"), ("INFO", "circuit half_opened"), ("INFO", "circuit closed")] == levels[:3]


# --- checklist 8 ---


class AgainstANaiveOne(RuleBasedStateMachine):
    """Executions of any outcome at any time, held against a list of everything that ever happened."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock(1000.0)
        self.block = component.testing(self.clock)
        self.testing = self.block.__enter__()
        self.events: list[tuple[int, bool]] = []
        self.state, self.opened = "closed", 0.0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.9, 1.0, 4.9, 5.0, 9.9, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(outcome=st.sampled_from(["good", "bad", "refused", "late"]), count=st.sampled_from([1, 1, 3, 12]))
    def call(self, outcome: str, count: int) -> None:
        for _ in range(count):
            self.one(outcome)

    def one(self, outcome: str) -> None:
        clock = self.clock

        class Told(Call):
            async def run(self) -> str:
                if outcome == "late":
                    clock.advance(1.0)
                return await super().run()

        Told.__qualname__ = "Told"
        made = Told(outcome)
        self.loop.run_until_complete(settled(made))
        assert made.execution is not None
        refused = made.execution.circuit_open
        now = clock.now
        if self.state == "open" and now - (1.0 if outcome == "late" and not refused else 0.0) < self.opened + 5.0:
            assert refused
            return
        assert not refused
        failed = outcome in ("bad", "late")
        if self.state == "open":  # And its sleep is over: this was the trial.
            if failed:
                self.opened = now
            else:
                self.state, self.events = "closed", []
        elif outcome != "refused":
            self.events.append((int(now), failed))
            recent = [bad for second, bad in self.events if second > int(now) - 10]
            if len(recent) >= 20 and sum(recent) * 100 // len(recent) >= 50:
                self.state, self.opened = "open", now
        assert self.testing.state("call") is (Circuit.OPEN if self.state == "open" else Circuit.CLOSED)

    def teardown(self) -> None:
        self.block.__exit__(None, None, None)
        self.loop.close()


TestAgainstANaiveOne = AgainstANaiveOne.TestCase
TestAgainstANaiveOne.settings = settings(max_examples=50, stateful_step_count=30)
