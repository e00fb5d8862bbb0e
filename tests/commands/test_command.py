"""Command: what one execution comes to, and how it is written (resilience reference, sections 2 and 3)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tautomer import Command, command, component
from tautomer.commands import Retry
from tautomer.errors import (
    BadRequestError,
    BrokerOptionsError,
    CircuitOpen,
    CommandRejected,
    CommandTimeout,
    ServiceNotFoundError,
    ValidationError,
)

from .conftest import Virtually, items_of, settled


class Asked(Command):
    """Does what it is told."""

    command_key = "asked"

    def __init__(self, answer: Any = 7, seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds

    async def run(self) -> Any:
        await asyncio.sleep(self.seconds)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Covered(Asked):
    command_key = "covered"

    def fallback(self) -> Any:
        return "instead"


class Broken(Asked):
    command_key = "broken"
    failed = RuntimeError("no fallback either")

    def fallback(self) -> Any:
        raise self.failed


def fill_up(cls: type[Command], count: int) -> list[Any]:
    return [cls("x", 0.5).queue() for _ in range(count)]  # type: ignore[call-arg]  # Of those above.


# --- the tables of section 3 ---


async def failing(cls: type[Asked], how: str, testing: Any) -> tuple[Asked, Any]:
    """Have one fail in that way; the command and what came of it."""
    key = cls.command_key
    assert key is not None
    made = cls(OSError("down") if how == "failure" else 7, 5.0 if how == "timeout" else 0.0)
    if how == "rejected":
        fill_up(cls, 20)
    if how == "short-circuited":
        await settled(cls())
        testing.trip(key)
    (got,) = await settled(made)
    return made, got


WAYS = ["failure", "timeout", "rejected", "short-circuited"]
EVENT = {
    "failure": "FAILURE",
    "timeout": "TIMEOUT",
    "rejected": "SEMAPHORE_REJECTED",
    "short-circuited": "SHORT_CIRCUITED",
}
ERROR = {"failure": OSError, "timeout": CommandTimeout, "rejected": CommandRejected, "short-circuited": CircuitOpen}
TYPE = {
    "failure": "COMMAND_EXCEPTION",
    "timeout": "TIMEOUT",
    "rejected": "REJECTED_SEMAPHORE_EXECUTION",
    "short-circuited": "SHORTCIRCUIT",
}


@pytest.mark.parametrize("how", WAYS)
def test_the_fallbacks_value_takes_the_place_of_what_failed(how: str, virtually: Virtually) -> None:
    made, got = virtually(lambda testing: failing(Covered, how, testing))

    assert "instead" == got
    assert [EVENT[how], "FALLBACK_SUCCESS"] == made.execution.events
    assert (True, TYPE[how]) == (made.execution.from_fallback, made.execution.failure_type)
    assert isinstance(made.execution.exception, ERROR[how])
    assert (how == "short-circuited") is made.execution.circuit_open


@pytest.mark.parametrize("how", WAYS)
def test_without_a_fallback_the_real_error_is_raised(how: str, virtually: Virtually) -> None:
    made, got = virtually(lambda testing: failing(Asked, how, testing))

    assert isinstance(got, ERROR[how])
    assert ["in command default.asked"] == got.__notes__
    assert [EVENT[how], "FALLBACK_MISSING"] == made.execution.events
    assert how == "failure" or TYPE[how] == got.failure_type


@pytest.mark.parametrize("how", WAYS)
def test_what_the_fallback_raises_is_the_cause_of_the_real_error(how: str, virtually: Virtually) -> None:
    made, got = virtually(lambda testing: failing(Broken, how, testing))

    assert isinstance(got, ERROR[how])
    assert (Broken.failed, Broken.failed) == (got.__cause__, got.fallback_error)
    assert [EVENT[how], "FALLBACK_FAILURE"] == made.execution.events


def test_a_fallback_that_is_switched_off_is_not_asked(virtually: Virtually) -> None:
    class Off(Covered):
        command_key = "off"
        fallback_enabled = False

    made, got = virtually(lambda testing: failing(Off, "failure", testing))

    assert isinstance(got, OSError)
    assert ["FAILURE", "FALLBACK_DISABLED"] == made.execution.events


@pytest.mark.parametrize("error", [BadRequestError(), ValidationError(data=[]), KeyError("theirs")])
async def test_a_callers_own_fault_is_raised_as_it_is_and_is_no_failure(error: Exception) -> None:
    class Strict(Covered):
        command_key = "strict"
        ignore = (KeyError,)

    made = Strict(error)

    assert [error] == await settled(made)
    assert (["BAD_REQUEST"], "BAD_REQUEST_EXCEPTION") == (made.execution.events, made.execution.failure_type)
    assert 0 == component.circuit("strict").counts.total


async def test_what_another_node_could_not_do_is_no_fault_of_the_callers() -> None:
    assert "instead" == await Covered(ServiceNotFoundError("users.get"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError()])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_is_to_end_the_process_is_no_matter_for_a_fallback(error: BaseException, in_thread: bool) -> None:
    class Ending(Covered):
        command_key = "ending"

    class EndingInThread(Ending):
        def run(self) -> Any:  # type: ignore[override]  # Of the other kind.
            raise error

    made: Command = EndingInThread() if in_thread else Ending(error)
    with pytest.raises(type(error)):
        await made
    assert "FALLBACK_SUCCESS" not in made.execution.events


def test_one_that_is_cancelled_asks_no_fallback(virtually: Virtually) -> None:
    async def cancelled(testing: Any) -> tuple[Any, list[str]]:
        made = Covered(seconds=0.5)
        handle = made.queue()
        await asyncio.sleep(0.1)
        handle.cancel()
        await settled(handle)
        await asyncio.sleep(0)
        return made, testing.events("covered")

    made, events = virtually(cancelled)

    assert ["CANCELLED"] == made.execution.events == events
    assert 0 == len([name for name in events if name.startswith("FALLBACK")])


def test_the_time_in_the_queue_counts(virtually: Virtually) -> None:
    """Ten run for 0.6 s; who waits for them has 0.4 s left, and needs more."""

    async def crowd(_testing: Any) -> list[Any]:
        return await settled(*(Asked(seconds=0.6).queue() for _ in range(20)))

    got = virtually(crowd)

    assert [7] * 10 == got[:10]
    assert all(isinstance(one, CommandTimeout) for one in got[10:])


def test_a_result_may_count_as_a_failure(virtually: Virtually) -> None:
    class Judged(Asked):
        command_key = "judged"

        def failure(self, result: Any) -> bool:
            return result >= 500

    class JudgedCovered(Judged):
        command_key = "judged covered"
        replace = staticmethod(lambda result: result == 503)

        def fallback(self) -> Any:
            return "instead"

    async def ask(testing: Any) -> list[Any]:
        got = [await Judged(500), await JudgedCovered(500), await JudgedCovered(503), await JudgedCovered(200)]
        return [*got, testing.events("judged"), testing.events("judged covered")]

    *got, events, covered = virtually(ask)

    assert [500, 500, "instead", 200] == got
    assert ["FAILURE"] == events
    assert ["FAILURE", "FAILURE", "FALLBACK_SUCCESS", "SUCCESS"] == covered


# --- attempts ---


class Flaky(Command):
    command_key = "flaky"
    retry = Retry(retries=2, delay=0.01, jitter=0)
    error: type[Exception] = ConnectionResetError

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def run(self) -> int:
        assert self.execution is not None
        if self.execution.attempts <= self.failures:
            raise self.error("again")
        return self.execution.attempts


def test_it_is_run_again_where_that_may_help(virtually: Virtually) -> None:
    class Hopeless(Flaky):
        command_key = "hopeless"
        error = ValueError

    async def ask(_testing: Any) -> list[Any]:
        return await settled(Flaky(2), Flaky(3), Hopeless(1))

    third, failed, hopeless = virtually(ask)

    assert 3 == third
    assert isinstance(failed, ConnectionResetError)
    assert isinstance(hopeless, ValueError)


def test_an_attempt_has_a_time_of_its_own_and_all_of_them_the_commands(virtually: Virtually) -> None:
    class Hanging(Asked):
        command_key = "hanging"
        retry = {"retries": 10, "attempt_timeout": 0.3, "delay": 0, "jitter": 0}

    async def ask(_testing: Any) -> tuple[Any, Any]:
        made = Hanging(seconds=9)
        await settled(made)
        return made.execution.attempts, made.execution.duration

    attempts, took = virtually(ask)

    assert 3 == attempts  # A fourth would have had less time than the third took.
    assert 0.9 == pytest.approx(took)


def test_an_open_circuit_ends_the_attempts(virtually: Virtually) -> None:
    async def ask(testing: Any) -> Any:
        await settled(Flaky(0))
        testing.trip("flaky")
        made = Flaky(0)
        await settled(made)
        return made.execution.events

    assert ["SHORT_CIRCUITED", "FALLBACK_MISSING"] == virtually(ask)


def test_a_dead_dependency_is_asked_a_fifth_more_and_three_times_a_second_at_most(virtually: Virtually) -> None:
    """100 a second for 30 s, and back within ten seconds once it is well."""

    class Dead(Flaky):
        command_key = "dead"
        circuit_breaker = False
        attempts = 0

        async def run(self) -> int:
            Dead.attempts += 1
            raise ConnectionRefusedError

    async def ask(_testing: Any) -> None:
        for _ in range(3000):
            Dead(0).queue()
            await asyncio.sleep(0.01)

    virtually(ask)

    assert 3000 < Dead.attempts <= 3000 + 0.2 * 3000 + 3 * (30 + 10) + 1


# --- hedging ---


class Uneven(Command):
    """The first attempt takes one time, the second another."""

    command_key = "uneven"
    hedge: Any = 0.1
    ended: list[int] = []

    def __init__(self, *ends: Any) -> None:
        self.ends = ends
        self.begun = 0

    async def run(self) -> int:
        number = self.begun
        self.begun += 1
        how = self.ends[number]
        await asyncio.sleep(0.05 if isinstance(how, Exception) else how)
        if isinstance(how, Exception):
            raise how
        Uneven.ended.append(number)
        return number


@pytest.mark.parametrize(
    ("ends", "got", "took", "begun"),
    [
        ((0.05,), 0, 0.05, 1),
        ((0.5, 0.2), 1, 0.3, 2),
        ((0.25, 0.2), 0, 0.25, 2),
        ((OSError("first"), 0.2), 1, 0.25, 2),
        ((0.5, OSError("second")), 0, 0.5, 2),
    ],
)
def test_the_first_of_two_attempts_that_goes_well_is_the_answer(
    ends: Any, got: int, took: float, begun: int, virtually: Virtually
) -> None:
    Uneven.ended = []
    made = Uneven(*ends)

    async def ask(testing: Any) -> Any:
        first = await made
        await asyncio.sleep(1)
        counts = component.circuit("uneven").counts.total
        return first, counts, component.statistics()["pools"]["default"]["running"]

    first, counts, running = virtually(ask)

    assert (got, took, begun) == (first, pytest.approx(made.execution.duration), made.begun)
    assert [got] == Uneven.ended  # The other one was cancelled, or failed.
    assert (sum(isinstance(one, Exception) for one in ends) + 1, 0) == (counts, running)


def test_where_both_fail_the_last_is_told(virtually: Virtually) -> None:
    made = Uneven(OSError("first"), OSError("second"))

    async def ask(_testing: Any) -> Any:
        return await settled(made)

    assert ["second"] == [str(error) for error in virtually(ask)]
    assert ["FAILURE", "FAILURE", "FALLBACK_MISSING"] == made.execution.events


def test_a_percentile_waits_until_there_is_one_and_nothing_is_sent_twice_past_the_budget(virtually: Virtually) -> None:
    class Measured(Uneven):
        command_key = "measured"
        hedge = {"delay": "p50", "budget": 0, "budget_per_second": 0.3}

    async def ask(_testing: Any) -> list[int]:
        made = [Measured(0.1, 0.1) for _ in range(20)] + [Measured(0.5, 0.1) for _ in range(4)]
        for one in made:
            await one
        return [one.begun for one in made]

    assert [1] * 20 + [2, 2, 1, 1] == virtually(ask)


def test_nothing_is_sent_twice_while_the_circuit_is_not_closed(virtually: Virtually) -> None:
    async def ask(testing: Any) -> int:
        await Uneven(0.05)
        testing.trip("uneven")
        await asyncio.sleep(5)
        made = Uneven(0.5, 0.1)
        await made
        return made.begun

    assert 1 == virtually(ask)


# --- one object ---


async def test_the_same_object_runs_once_at_a_time_and_again_afterwards() -> None:
    made = Asked(seconds=0.05)
    handle = made.queue()

    with pytest.raises(RuntimeError, match="runs already"):
        made.queue()
    with pytest.raises(RuntimeError, match="runs already"):
        await made
    first = made.execution

    assert 7 == await handle
    assert 7 == await made
    assert first is not made.execution


async def test_a_handle_says_whether_it_has_ended_and_may_be_awaited_twice() -> None:
    handle = Asked().queue()
    before = handle.done()

    assert (7, 7) == (await handle, await handle)
    assert (False, True, False) == (before, handle.done(), handle.cancel())


async def test_it_begins_at_once() -> None:
    begun = threading.Event()

    class Beginning(Command):
        def run(self) -> None:
            begun.set()

    handle = Beginning().queue()
    await asyncio.to_thread(begun.wait, 5)

    assert begun.is_set()
    await handle


async def test_a_class_without_run_is_told_so() -> None:
    class Empty(Command):
        pass

    with pytest.raises(TypeError, match="no method `run`"):
        await Empty()


# --- streams ---


class Counting(Command):
    command_key = "counting"
    made = 0

    def __init__(self, count: int, fails: bool = False) -> None:
        self.count, self.fails = count, fails

    async def run(self) -> Any:
        for number in range(self.count):
            Counting.made = number
            yield number
        if self.fails:
            raise OSError("cut")


async def test_items_come_one_by_one_and_events_tell_of_each() -> None:
    made = Counting(200)

    assert list(range(200)) == await items_of(made.observe())
    assert ["EMIT"] * 200 + ["SUCCESS"] == made.execution.events


async def test_a_plain_run_gives_its_one_value() -> None:
    assert [7] == await items_of(Asked().observe())
    assert ["instead"] == await items_of(Covered(OSError()).observe())


async def test_what_fails_in_the_middle_is_raised_after_what_came() -> None:
    stream = Counting(3, fails=True).observe()

    assert [0, 1, 2] == [await anext(stream) for _ in range(3)]
    with pytest.raises(OSError, match="cut"):
        await anext(stream)


async def test_a_fallback_may_be_a_stream_too() -> None:
    class Spare(Counting):
        command_key = "spare"

        async def fallback(self) -> Any:
            yield "a"
            yield "b"

    made = Spare(1, fails=True)

    assert [0, "a", "b"] == await items_of(made.observe())
    assert ["EMIT", "FAILURE", "FALLBACK_EMIT", "FALLBACK_EMIT", "FALLBACK_SUCCESS"] == made.execution.events


def test_it_runs_ahead_of_a_slow_reader_but_not_far_and_lazily_not_at_all(virtually: Virtually) -> None:
    async def look(_testing: Any) -> tuple[Any, Any, int]:
        lazy = Counting(5)
        waiting = lazy.observe(lazy=True)
        Counting(1000).observe()
        await asyncio.sleep(0.5)
        ahead = Counting.made
        return lazy.execution, await items_of(waiting), ahead

    before, got, ahead = virtually(look)

    assert None is before
    assert [0, 1, 2, 3, 4] == got
    assert 64 == ahead


async def test_one_with_yield_cannot_be_awaited() -> None:
    with pytest.raises(TypeError, match="observe"):
        await Counting(3)


async def test_whoever_stops_reading_ends_it() -> None:
    made = Counting(1000)
    stream = made.observe()
    await anext(stream)
    await stream.aclose()

    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    async with asyncio.timeout(5):
        while not made.execution.over:
            await asyncio.sleep(0)
    assert "CANCELLED" == made.execution.events[-1]


# --- options ---


async def test_attributes_win_over_the_arguments_of_their_class_and_a_subclass_over_both() -> None:
    class Old(Asked):
        command_key = "attribute"
        __command_args__ = {"group_key": "args", "command_key": "args", "timeout_seconds": 3}

    class Newer(Old):
        __command_args__ = {"command_key": "newer", "timeout_seconds": None}

    await Old()
    await Newer()

    keys = component.runtime.keys
    assert ("args", 3) == (keys["attribute"].options.group_key, keys["attribute"].options.timeout_seconds)
    assert ("args", None) == (keys["newer"].options.group_key, keys["newer"].options.timeout_seconds)


async def test_the_key_is_the_classs_name_where_none_is_given() -> None:
    class Unnamed(Command):
        __command_args__ = {"command_key": None}

        async def run(self) -> None: ...

    await Unnamed()

    assert [Unnamed.__qualname__] == list(component.runtime.keys)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"__command_args__": {"group": "x"}}, "there is no option 'group'; did you mean 'group_key'"),
        ({"__command_args__": 5}, "is a dict"),
        ({"timeout_seconds": -1}, "timeout_seconds is a number of seconds over 0"),
        ({"group_key": ""}, "group_key is a text"),
        ({"isolation": "process"}, "isolation is 'auto', 'thread' or 'loop'"),
        ({"isolation": "thread"}, "its `run` is `async def`"),
        ({"circuit_breaker": {"sleep_windo": 1}}, "did you mean 'sleep_window'"),
        ({"circuit_breaker": {"error_threshold_percentage": 0}}, "threshold is over 0"),
        ({"circuit_breaker": {"sleep_window": "long"}}, "sleep_window is a number"),
        ({"circuit_breaker": "yes"}, "true, false or a mapping"),
        ({"retry": {"retrys": 1}}, "did you mean 'retries'"),
        ({"retry": "often"}, "retry is a `Retry`"),
        ({"hedge": "p200"}, "such as 'p95'"),
        ({"hedge": -1}, "0 seconds or more"),
        ({"ignore": ("ValueError",)}, "list of exception classes"),
        ({"fallback_limit": 0}, "at least 1"),
        ({"failure": 5}, "function of the result"),
    ],
)
async def test_options_that_make_no_sense_are_told_at_first_use(said: dict[str, Any], told: str) -> None:
    cls = type("Wrong", (Asked,), {"command_key": "wrong", **said})

    for ask in (lambda: cls(), lambda: cls().queue()):
        with pytest.raises(BrokerOptionsError) as error:
            await ask()
        assert told in str(error.value)


async def test_two_classes_may_share_a_key_if_they_agree() -> None:
    class One(Asked):
        command_key = "shared"

    class Two(Asked):
        command_key = "shared"

    class Three(Asked):
        command_key = "shared"
        timeout_seconds = 2.0

    await One()
    await Two()
    with pytest.raises(BrokerOptionsError, match="give one of the two another command_key"):
        await Three()


@pytest.mark.parametrize(
    "circuit",
    [
        {"request_volume_threshold": 3, "error_threshold_percentage": 75, "sleep_window": 2},
        {"min_request_count": 3, "threshold": 0.75, "half_open_time": 2},
    ],
)
async def test_a_circuit_is_described_in_hystrixs_words_or_the_brokers(circuit: dict[str, Any]) -> None:
    cls = type("Described", (Asked,), {"command_key": "described", "circuit_breaker": circuit})
    await cls()

    options = component.runtime.keys["described"].options.circuit_breaker.options

    assert (3, 0.75, 2, 10.0) == (options.min_count, options.threshold, options.sleep, options.window)


def test_the_options_of_a_key_can_be_changed_while_it_runs(virtually: Virtually) -> None:
    async def ask(_testing: Any) -> list[Any]:
        got = await settled(Asked(seconds=0.8))
        component.configure("asked", timeout_seconds=0.5)
        got += await settled(Asked(seconds=0.8))
        component.configure("asked", timeout_seconds=2)
        return got + await settled(Asked(seconds=0.8))

    first, second, third = virtually(ask)

    assert (7, 7) == (first, third)
    assert isinstance(second, CommandTimeout)
    with pytest.raises(BrokerOptionsError, match="did you mean 'timeout_seconds'"):
        component.configure("asked", timeout_secs=1)


# --- the function form ---


async def test_a_function_becomes_a_command() -> None:
    @command(group="maths", timeout=0.5, fallback=lambda number: f"no inverse of {number}")
    async def inverse(number: float) -> float:
        return 1 / number

    @command
    def name_of_thread() -> str:
        return threading.current_thread().name

    @command(key="nothing", fallback=None)
    def failing() -> None:
        raise OSError

    @command(fallback=inverse)
    def instead(number: float) -> float:
        raise OSError

    assert (0.5, "no inverse of 0") == (await inverse(2), await inverse(0))
    assert "inverse" == inverse.__name__
    assert (await name_of_thread()).startswith("commands-default-")
    assert None is await failing()
    assert 0.25 == await instead(4)
    assert "maths" == component.runtime.keys[inverse.command_class.command_key or ""].options.group_key
    with pytest.raises(BrokerOptionsError, match="no option 'timeouts'"):
        command(timeouts=5)(len)
