"""Fallbacks: where they run, how many, for how long, and commands as fallbacks (resilience reference, section 8)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tautomer import Command, component
from tautomer.commands.runtime import FALLBACKS
from tautomer.errors import CommandRejected
from tests.kernel.mesh import until

from .conftest import Virtually, settled


class Failing(Command):
    command_key = "failing"

    async def run(self) -> Any:
        raise OSError("down")


def with_fallback(**body: Any) -> Command:
    return type("Covered", (Failing,), {"command_key": "covered", **body})()


async def test_none_is_a_value_like_any_other() -> None:
    assert [None, None] == await settled(with_fallback(fallback=lambda self: None), with_fallback(fallback_value=None))


async def test_a_plain_one_runs_in_a_thread_of_its_own_pool_and_sees_why() -> None:
    seen: list[Any] = []

    def fallback(self: Command) -> str:
        assert self.execution is not None
        seen.extend([self.execution.exception, self.execution.events, self.execution.circuit_open])
        return threading.current_thread().name

    name = await with_fallback(fallback=fallback)

    assert name.startswith("commands-fallbacks-")
    assert "down" == str(seen[0])
    assert (["FAILURE", "FALLBACK_SUCCESS"], False) == (seen[1], seen[2])


async def test_an_async_one_runs_in_the_loop() -> None:
    async def fallback(self: Command) -> str:
        return threading.current_thread().name

    assert threading.current_thread().name == await with_fallback(fallback=fallback)


async def test_the_eleventh_at_once_is_refused() -> None:
    go = threading.Event()

    def fallback(self: Command) -> str:
        go.wait(10)
        return "instead"

    handles = [with_fallback(fallback=fallback, fallback_timeout=10, timeout_seconds=10).queue() for _ in range(11)]
    await until(lambda: any(handle.done() for handle in handles))
    go.set()
    got = await settled(*handles)
    (refused,) = [one for one in got if isinstance(one, OSError)]

    assert FALLBACKS == got.count("instead") == 10
    assert isinstance(refused.fallback_error, CommandRejected)  # type: ignore[attr-defined]  # Put there for the caller.
    assert "REJECTED_SEMAPHORE_FALLBACK" == refused.fallback_error.failure_type
    assert 1 == component.statistics()["commands"]["covered"]["events"]["FALLBACK_REJECTION"]


def test_a_command_may_have_a_lower_limit(virtually: Virtually) -> None:
    async def fallback(self: Command) -> str:
        await asyncio.sleep(0.5)
        return "instead"

    async def ask(_testing: Any) -> list[Any]:
        return await settled(*(with_fallback(fallback=fallback, fallback_limit=2) for _ in range(3)))

    got = virtually(ask)

    assert 2 == got.count("instead")
    assert isinstance(got[2], OSError)


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_one_that_is_slow_itself_is_given_up(kind: str) -> None:
    go = threading.Event()

    def slow(self: Command) -> str:
        go.wait(10)
        return "late"

    async def slow_in_loop(self: Command) -> str:
        await asyncio.sleep(10)
        return "late"

    made = with_fallback(fallback=slow if kind == "thread" else slow_in_loop, fallback_timeout=0.05)
    (error,) = await settled(made)
    held = component.runtime.fallback_pool.statistics()["running"]
    go.set()
    await until(lambda: component.runtime.fallback_pool.statistics()["running"] == 0)

    assert isinstance(error, OSError)
    assert isinstance(error.__cause__, TimeoutError)
    assert ["FAILURE", "FALLBACK_FAILURE"] == made.execution.events
    assert held == (1 if kind == "thread" else 0)


class Secondary(Command):
    command_key = "secondary"
    group_key = "elsewhere"

    def __init__(self, id: int, deep: bool = False) -> None:
        self.id, self.deep = id, deep

    async def run(self) -> str:
        if self.deep:
            await asyncio.sleep(10)
        return f"second {self.id}"


class Primary(Failing):
    command_key = "primary"

    def __init__(self, id: int, deep: bool = False) -> None:
        self.id, self.deep = id, deep


class ByHandle(Primary):
    command_key = "by handle"

    def fallback(self) -> Any:
        return Secondary(self.id, self.deep).queue()


class ByExecute(Primary):
    command_key = "by execute"

    def fallback(self) -> Any:
        return Secondary(self.id, self.deep).execute()


class ByCommand(Primary):
    command_key = "by command"

    async def fallback(self) -> Any:
        return await Secondary(self.id, self.deep)


class ByClass(Primary):
    command_key = "by class"
    fallback = Secondary


@pytest.mark.parametrize("cls", [ByHandle, ByExecute, ByCommand, ByClass])
async def test_it_may_run_another_command(cls: type[Primary]) -> None:
    assert "second 5" == await cls(5)


@pytest.mark.parametrize("cls", [ByHandle, ByCommand, ByClass])
def test_another_command_has_no_more_time_than_the_fallback(cls: type[Primary], virtually: Virtually) -> None:
    async def ask(_testing: Any) -> tuple[Any, float]:
        component.configure("secondary", timeout_seconds=60)
        began = asyncio.get_running_loop().time()
        (error,) = await settled(cls(5, deep=True))
        return error, asyncio.get_running_loop().time() - began

    error, took = virtually(ask)

    assert isinstance(error, OSError)
    assert isinstance(error.__cause__, TimeoutError)  # Of one or of the other: their ends fall together.
    assert 1.0 == pytest.approx(took)


async def test_a_class_that_wants_what_the_command_has_not_is_a_mistake() -> None:
    class Other(Command):
        def __init__(self, colour: str) -> None: ...

        async def run(self) -> None: ...

    (error,) = await settled(with_fallback(fallback=Other))

    assert isinstance(error, OSError)
    assert "wants 'colour'" in str(error.__cause__)


async def test_a_fallback_has_no_fallback() -> None:
    asked: list[str] = []

    def fallback(self: Command) -> None:
        asked.append("once")
        raise OSError("neither")

    (error,) = await settled(with_fallback(fallback=fallback))

    assert (["once"], "down", "neither") == (asked, str(error), str(error.__cause__))


async def test_one_that_is_cancelled_lets_go_of_its_fallback() -> None:
    go = asyncio.Event()

    async def fallback(self: Command) -> None:
        go.set()
        await asyncio.sleep(10)

    made = with_fallback(fallback=fallback)
    handle = made.queue()
    await go.wait()
    handle.cancel()
    await settled(handle)
    await until(lambda: component.runtime.fallback_pool.statistics()["running"] == 0)

    assert ["FAILURE", "CANCELLED"] == made.execution.events
