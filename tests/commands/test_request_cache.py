"""The request cache: within one request the same is asked for once (resilience reference, section 9)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tautomer import Command, component, request_context
from tests.kernel.mesh import until

from .conftest import Virtually, settled


class Get(Command):
    command_key = "get"
    runs: list[int] = []

    def __init__(self, id: int, how: Any = None, seconds: float = 0.0) -> None:
        self.id, self.how, self.seconds = id, how, seconds

    def cache_key(self) -> str | None:
        return str(self.id) if self.id else None

    async def run(self) -> Any:
        Get.runs.append(self.id)
        await asyncio.sleep(self.seconds)
        if isinstance(self.how, Exception):
            raise self.how
        return [self.id]


@pytest.fixture(autouse=True)
def no_runs() -> None:
    Get.runs = []


async def test_the_second_gets_what_the_first_got() -> None:
    first, second = Get(5), Get(5)
    with request_context():
        one, two = await first, await second
        other = await Get(6)

    assert one is two
    assert [6] == other
    assert [5, 6] == Get.runs
    assert (False, ["SUCCESS"]) == (first.execution.from_cache, first.execution.events)
    assert (True, ["SUCCESS", "RESPONSE_FROM_CACHE"]) == (second.execution.from_cache, second.execution.events)
    assert 1 == component.statistics()["commands"]["get"]["events"]["RESPONSE_FROM_CACHE"]


async def test_also_while_the_first_still_runs_and_its_error_too() -> None:
    error = OSError("down")
    with request_context():
        first = Get(5, error).queue()
        await asyncio.sleep(0)
        got = await settled(Get(5), Get(5).queue(), first)

    assert [error] * 3 == got
    assert [5] == Get.runs


async def test_what_was_cleared_is_got_anew() -> None:
    with request_context():
        await Get(5)
        Get.clear_cache("5")
        Get.clear_cache("never heard of")
        await Get(5)

    assert [5, 5] == Get.runs
    Get.clear_cache("5")  # Outside of any request there is nothing to clear.


async def test_two_requests_know_nothing_of_each_other_and_one_leaves_nothing_behind() -> None:
    kept: list[weakref.ref[Any]] = []
    for _ in range(2):
        with request_context() as scope:
            await Get(5)
            kept.append(weakref.ref(scope))
    del scope
    gc.collect()

    assert [5, 5] == Get.runs
    assert [None, None] == [one() for one in kept]


async def test_no_key_and_no_request_mean_no_cache_which_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with request_context():
        await Get(0)
        await Get(0)
    for _ in range(3):
        await Get(5)

    assert [0, 0, 5, 5, 5] == Get.runs
    assert 1 == caplog.text.count("it runs in no request")


async def test_it_can_be_switched_off() -> None:
    component.configure("get", request_cache_enabled=False)
    with request_context():
        await Get(5)
        await Get(5)

    assert [5, 5] == Get.runs


def test_one_of_several_that_wait_may_leave_and_the_last_one_ends_it(virtually: Virtually) -> None:
    async def ask(_testing: Any) -> list[Any]:
        with request_context():
            first, second = Get(5, seconds=0.5).queue(), Get(5).queue()
            await asyncio.sleep(0.1)
            first.cancel()
            got = await settled(first, second)
            third = Get(7, seconds=0.5).queue()
            await asyncio.sleep(0.1)
            third.cancel()
            await settled(third)
            return [*got, await Get(7)]

    left, stayed, anew = virtually(ask)

    assert isinstance(left, asyncio.CancelledError)
    assert [5] == stayed
    assert [7] == anew
    assert [5, 7, 7] == Get.runs


async def test_threads_of_a_request_share_it() -> None:
    class Twice(Command):
        timeout_seconds = 10.0

        def run(self) -> Any:
            return [Get(5).execute(), Get(5).execute()]

    with request_context():
        assert [[5], [5]] == await Twice()
        assert [5] == await Get(5)

    assert [5] == Get.runs
    await until(lambda: component.statistics()["pools"]["default"]["running"] == 0)
