"""Collapsers: many single requests, one batch (resilience reference, section 10)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from tautomer import Collapser, component, request_context
from tautomer.errors import BrokerOptionsError, CommandTimeout

from .conftest import Virtually, settled


class User(Collapser):
    group_key = "users"
    command_key = "users batched"
    batches: list[list[Any]] = []

    def __init__(self, id: Any) -> None:
        self.id = id

    def argument(self) -> Any:
        return self.id

    async def run_batch(self, arguments: list[Any]) -> Any:
        User.batches.append(arguments)
        return {one: f"user {one}" for one in arguments}


@pytest.fixture(autouse=True)
def no_batches() -> None:
    User.batches = []


async def test_what_comes_within_the_delay_is_one_batch() -> None:
    made = User(1)

    got = await asyncio.gather(made, User(2), User(3).queue())

    assert ["user 1", "user 2", "user 3"] == got
    assert [[1, 2, 3]] == [sorted(batch) for batch in User.batches]
    assert ["SUCCESS", "COLLAPSED"] == made.execution.events
    assert 3 == component.statistics()["commands"]["users batched"]["events"]["COLLAPSED"]


def test_a_batch_closes_a_delay_after_its_first_element(virtually: Virtually) -> None:
    async def ask(_testing: Any) -> float:
        began = asyncio.get_running_loop().time()

        async def later(id: int, seconds: float) -> None:
            await asyncio.sleep(seconds)
            await User(id)

        await asyncio.gather(later(1, 0), later(2, 0.009), later(3, 0.011), later(4, 0.02))
        return asyncio.get_running_loop().time() - began

    took = virtually(ask)

    assert [[1, 2], [3, 4]] == User.batches
    assert 0.021 == pytest.approx(took)


def test_a_full_one_closes_at_once(virtually: Virtually) -> None:
    class Small(User):
        max_batch = 2

    async def ask(_testing: Any) -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(Small(id) for id in (1, 2, 2, 3)))
        return asyncio.get_running_loop().time() - began

    took = virtually(ask)

    assert [[1, 2], [2, 3]] == User.batches
    assert 0.0 == took


async def test_the_same_argument_gets_the_one_answer_or_is_refused() -> None:
    class Once(User):
        command_key = "once"
        cache = False

    assert ["user 1"] * 3 == await asyncio.gather(User(1), User(1), User(1))
    first, second = await settled(Once(1), Once(1))

    assert "user 1" == first
    assert isinstance(second, ValueError)
    assert [[1], [1]] == User.batches


async def test_arguments_that_cannot_be_hashed_are_asked_for_in_a_list() -> None:
    class Listed(User):
        command_key = "listed"

        async def run_batch(self, arguments: list[Any]) -> Any:
            return [sum(one) for one in arguments]

    assert [3, 7] == await asyncio.gather(Listed([1, 2]), Listed([3, 4]))


@pytest.mark.parametrize(
    ("answers", "kinds"),
    [
        ({1: "one"}, [str, KeyError]),
        ({1: "one", 2: OSError("gone")}, [str, OSError]),
        (["one"], [ValueError, ValueError]),
        (["one", OSError("gone")], [str, OSError]),
        ("no", [TypeError, TypeError]),
        (None, [TypeError, TypeError]),
        (OSError("down"), [OSError, OSError]),
    ],
)
async def test_each_gets_its_own_answer_or_its_own_error(answers: Any, kinds: list[type]) -> None:
    class Answering(User):
        command_key = "answering"

        async def run_batch(self, arguments: list[Any]) -> Any:
            if isinstance(answers, OSError):
                raise answers
            return answers

    assert kinds == [type(one) for one in await settled(Answering(1), Answering(2))]


def test_one_that_is_cancelled_before_is_taken_out_and_an_empty_batch_is_not_sent(virtually: Virtually) -> None:
    async def ask(_testing: Any) -> Any:
        handles = [User(id).queue() for id in (1, 2)]
        await asyncio.sleep(0.001)
        handles[0].cancel()
        got = await settled(*handles)
        alone = User(3).queue()
        await asyncio.sleep(0.001)
        alone.cancel()
        await settled(alone)
        await asyncio.sleep(1)
        return got

    left, stayed = virtually(ask)

    assert isinstance(left, asyncio.CancelledError)
    assert "user 2" == stayed
    assert [[2]] == User.batches


async def test_one_request_does_not_wait_for_another_unless_the_collapser_is_global() -> None:
    class Everybodys(User):
        command_key = "everybodys"
        scope = "global"

    async def request(cls: type[User], id: int) -> None:
        with request_context():
            await cls(id)

    await asyncio.gather(request(User, 1), request(User, 2))
    await asyncio.gather(request(Everybodys, 1), request(Everybodys, 2))

    assert [[1], [2], [1, 2]] == User.batches


def test_a_batch_is_a_command_with_pool_and_timeout(virtually: Virtually) -> None:
    class Slow(User):
        command_key = "slow"
        timeout_seconds = 0.5

        async def run_batch(self, arguments: list[Any]) -> Any:
            await asyncio.sleep(9)

    async def ask(testing: Any) -> Any:
        got = await settled(Slow(1), Slow(2))
        return got, testing.events("slow"), list(component.statistics()["pools"])

    got, events, pools = virtually(ask)

    assert all(isinstance(one, CommandTimeout) for one in got)
    assert ["TIMEOUT", "FALLBACK_MISSING", "COLLAPSED", "COLLAPSED"] == events
    assert ["users"] == pools


async def test_a_plain_run_batch_runs_in_a_thread() -> None:
    class Threaded(User):
        command_key = "threaded"

        def run_batch(self, arguments: list[Any]) -> Any:  # type: ignore[override]  # Of the other kind.
            return [threading.current_thread().name] * len(arguments)

    assert (await Threaded(1)).startswith("commands-users-")


def test_it_can_be_executed_outside_of_a_loop() -> None:
    assert "user 1" == User(1).execute()


async def test_but_not_inside_of_one() -> None:
    with pytest.raises(RuntimeError, match="blocks"):
        User(1).execute()


async def test_a_batch_may_be_split() -> None:
    class Sharded(User):
        command_key = "sharded"

        def shard(self, arguments: list[Any]) -> Iterable[list[Any]]:
            return [[one for one in arguments if one % 2 == rest and one != 9] for rest in (0, 1)]

    got = await settled(*(Sharded(id) for id in (1, 2, 3, 4, 9)))

    assert ["user 1", "user 2", "user 3", "user 4"] == got[:4]
    assert isinstance(got[4], KeyError)
    assert [[2, 4], [1, 3]] == User.batches


@pytest.mark.parametrize("said", [{"scope": "node"}, {"delay": -1}, {"max_batch": 0}])
def test_options_that_make_no_sense_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(BrokerOptionsError):
        type("Wrong", (User,), said)
