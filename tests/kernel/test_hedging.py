"""Hedged calls between real nodes of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action
from tautomer.errors import (
    BrokerOptionsError,
    MoleculerClientError,
    MoleculerRetryableError,
    RemoteError,
    RequestTimeoutError,
    ServiceNotFoundError,
)
from tests.kernel.mesh import Clock, Make, nodes, until

AT_ONCE = {"delay": 0.0}
NEVER = {"delay": 1_000.0}


@pytest.fixture
async def make(clock: Clock) -> AsyncIterator[Make]:
    workers: list[Worker] = []
    async with nodes(clock) as start:

        def started(*services: Worker, **options: Any) -> Awaitable[Broker]:
            workers.extend(services)
            return start(*services, **options)

        yield started
        for worker in workers:
            worker.gate.set()


class Worker(Service):
    """Answers, fails, or waits until it is let go."""

    name = "worker"

    def __init__(self, error: BaseException | None = None, waits: bool = False) -> None:
        super().__init__()
        self.error, self.gate = error, asyncio.Event()
        self.asked = self.cancelled = 0
        self.headers: list[dict[str, Any]] = []
        if not waits:
            self.gate.set()

    async def _answer(self, ctx: Context) -> str:
        self.asked += 1
        self.headers.append(dict(ctx.headers))
        ctx.meta["by"] = self.broker.id
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"from {self.broker.id}"

    @action(idempotent=True)
    async def read(self, ctx: Context) -> str:
        return await self._answer(ctx)

    @action
    async def write(self, ctx: Context) -> str:
        return await self._answer(ctx)

    @action(hedge=AT_ONCE)
    async def hedged(self, ctx: Context) -> str:
        return await self._answer(ctx)

    @action(idempotent=True, hedge=False)
    async def never(self, ctx: Context) -> str:
        return await self._answer(ctx)


async def pair(make: Make, first: Worker, second: Worker, **options: Any) -> Broker:
    """A caller that asks `first` first, and a second node."""
    url = f"memory://{id(first)}"
    caller = await make(id="caller", url=url, **options)
    await make(first, id="first", url=url)
    await caller.wait_for_services("worker")
    await make(second, id="second", url=url)
    await until(lambda: len(caller.registry.actions["worker.read"]) == 2)
    return caller


async def test_where_one_takes_long_another_node_is_asked_and_the_first_answer_counts(make: Make):
    slow, quick = Worker(waits=True), Worker()
    caller = await pair(make, slow, quick)

    assert "from second" == await caller.call("worker.read", hedge=AT_ONCE)
    assert (1, 1) == (slow.asked, quick.asked)
    assert {"attempts": 1, "won": 1} == caller.statistics()["hedges"]
    await until(lambda: not caller.statistics()["transit"]["pending"])  # The loser's request is given up.


async def test_a_quick_answer_asks_nobody_else(make: Make):
    first, second = Worker(), Worker()
    caller = await pair(make, first, second)

    assert "from first" == await caller.call("worker.read", hedge=NEVER)
    assert 0 == second.asked


async def test_a_failure_is_followed_by_the_next_attempt_at_once(make: Make):
    first, second = Worker(MoleculerRetryableError("not now")), Worker()
    caller = await pair(make, first, second)

    assert "from second" == await caller.call("worker.read", hedge=NEVER)


async def test_what_no_other_node_can_help_is_told_at_once(make: Make):
    first, second = Worker(MoleculerClientError("wrong")), Worker()
    caller = await pair(make, first, second)

    with pytest.raises(MoleculerClientError, match="wrong"):
        await caller.call("worker.read", hedge=NEVER)
    assert 0 == second.asked


async def test_where_all_fail_the_last_failure_is_the_calls(make: Make):
    first, second = Worker(MoleculerRetryableError("one")), Worker(MoleculerRetryableError("two"))
    caller = await pair(make, first, second)

    with pytest.raises(MoleculerRetryableError, match="two"):
        await caller.call("worker.read", hedge={"delay": 1_000, "extra": 5})
    assert (1, 1) == (first.asked, second.asked)


async def test_only_what_may_run_twice_is_hedged_by_the_settings(make: Make):
    slow, quick = Worker(waits=True), Worker()
    caller = await pair(make, slow, quick, hedge={"delay": 0})

    assert "from second" == await caller.call("worker.read")
    for name in ("write", "never"):
        slow.asked = quick.asked = 0
        calls = [asyncio.get_running_loop().create_task(caller.call(f"worker.{name}")) for _ in range(2)]
        await until(lambda: slow.asked + quick.asked == 2)
        assert (1, 1) == (slow.asked, quick.asked)
        slow.gate.set()
        await asyncio.gather(*calls)
        slow.gate.clear()


async def test_an_action_may_ask_for_it_and_callers_elsewhere_hear_of_it(make: Make):
    slow, quick = Worker(waits=True), Worker()
    caller = await pair(make, slow, quick)

    assert "from second" == await caller.call("worker.hedged")
    slow.asked = 0
    slow.gate.set()
    assert "from first" == await caller.call("worker.hedged", hedge=False, node_id="first")


async def test_the_meta_of_the_answer_that_counts_comes_back_and_no_other(make: Make):
    slow, quick = Worker(waits=True), Worker()
    await pair(make, slow, quick)
    caller = quick.broker
    parent = caller.context(meta={"by": "nobody"})

    # At home: the loser is cancelled where it runs, and has written its meta before.
    caller_of_itself = slow.broker
    own = caller_of_itself.context(meta={"by": "nobody"})
    assert "from second" == await own.call("worker.read", hedge=AT_ONCE)
    assert "second" == own.meta["by"]
    assert 1 == slow.asked
    await until(lambda: slow.cancelled == 1)
    assert "second" == own.meta["by"]
    assert "from second" == await parent.call("worker.read", hedge=NEVER)
    assert "second" == parent.meta["by"]


async def test_other_attempts_say_so_and_a_call_made_on_their_behalf_is_not_hedged_again(make: Make):
    slow, quick = Worker(waits=True), Worker()
    caller = await pair(make, slow, quick)
    await caller.call("worker.read", hedge=AT_ONCE)

    assert ([{}], [{"$attempt": 1}]) == (slow.headers, quick.headers)
    parent = caller.context()
    parent.headers["$attempt"] = 1
    slow.gate.set()
    before = slow.asked + quick.asked
    await parent.call("worker.read", hedge=AT_ONCE)
    assert 1 == slow.asked + quick.asked - before


async def test_with_one_node_there_is_nobody_else_to_ask(make: Make):
    worker = Worker()
    broker = await make(worker)

    assert "from node" == await broker.call("worker.read", hedge=AT_ONCE)
    worker.error = MoleculerRetryableError("not now")
    with pytest.raises(MoleculerRetryableError, match="not now"):
        await broker.call("worker.read", hedge=AT_ONCE)
    assert 2 == worker.asked


async def test_while_a_circuit_is_not_closed_there_is_no_hedging(make: Make):
    sick, well = Worker(ValueError("no")), Worker()
    caller = await pair(make, sick, well, circuit_breaker={"enabled": True, "min_request_count": 1})
    with pytest.raises(RemoteError, match="no"):
        await caller.call("worker.read", node_id="first")
    assert not caller.registry.actions["worker.read"].on_node("first").available  # type: ignore[union-attr]

    well.error = MoleculerRetryableError("not now")
    with pytest.raises(MoleculerRetryableError):
        await caller.call("worker.read", hedge=AT_ONCE)
    assert 0 == caller.statistics()["hedges"]["attempts"]


async def test_extra_attempts_stay_within_the_retry_budget(make: Make):
    slow, quick = Worker(waits=True), Worker()
    caller = await pair(make, slow, quick, retry_policy={"budget": 0.2, "budget_per_second": 0.1})

    calls = [
        asyncio.get_running_loop().create_task(caller.call("worker.read", hedge=AT_ONCE, timeout=1_000))
        for _ in range(40)
    ]
    await until(lambda: slow.asked + quick.asked >= 40)
    slow.gate.set()
    await asyncio.gather(*calls)

    assert 1 <= caller.statistics()["hedges"]["attempts"] <= 1 + 8


async def test_the_time_of_the_first_attempt_is_that_of_all(make: Make, clock: Clock):
    slow, other = Worker(waits=True), Worker(waits=True)
    caller = await pair(make, slow, other)
    call = asyncio.get_running_loop().create_task(caller.call("worker.read", hedge=AT_ONCE, timeout=5))
    await until(lambda: slow.asked + other.asked == 2)

    clock.now += 5

    with pytest.raises(RequestTimeoutError):
        await call
    await until(lambda: not caller.statistics()["transit"]["pending"])


async def test_whoever_gives_up_gives_up_all_attempts(make: Make):
    slow, other = Worker(waits=True), Worker(waits=True)
    caller = await pair(make, slow, other)
    call = asyncio.get_running_loop().create_task(caller.call("worker.read", hedge=AT_ONCE))
    await until(lambda: slow.asked + other.asked == 2)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not caller.statistics()["transit"]["pending"])


async def test_nobody_there_is_told_as_ever(make: Make):
    broker = await make(hedge={"enabled": True, "delay": 0})

    with pytest.raises(ServiceNotFoundError):
        await broker.call("nobody.there", hedge=True)


async def test_a_policy_that_is_none_is_refused(make: Make):
    broker = await make(Worker())

    with pytest.raises(BrokerOptionsError, match="hedge"):
        await broker.call("worker.read", hedge={"dely": 1})
