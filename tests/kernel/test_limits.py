"""Limits of a node and of its actions around real calls: those that find themselves, and what they say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Context, Service, Settings, action
from tautomer.errors import (
    BrokerOptionsError,
    QueueIsFullError,
    RateLimitExceeded,
    RequestSkippedError,
    RequestTimeoutError,
)
from tautomer.settings import BulkheadSettings, TransitSettings
from tests.kernel.mesh import Clock, Make, Mesh, until


class Pool(Service):
    """Waits until it is let go."""

    name = "pool"

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.asked = asyncio.Event(), 0

    async def _wait(self) -> str:
        self.asked += 1
        await self.gate.wait()
        return "done"

    @action
    async def plain(self, ctx: Context) -> str:
        return await self._wait()

    @action(bulkhead={"concurrency": 1, "max_queue_size": 1})
    async def narrow(self, ctx: Context) -> str:
        return await self._wait()

    @action(bulkhead={"concurrency": "adaptive", "max_queue_size": 5})
    async def adaptive(self, ctx: Context) -> str:
        return await self._wait()


async def names_of(calls: list[asyncio.Task[Any]]) -> list[str]:
    results = await asyncio.gather(*calls, return_exceptions=True)
    return sorted(one if isinstance(one, str) else type(one).__name__ for one in results)


async def test_a_bulkhead_finds_its_limit(make: Make, clock: Clock):
    pool = Pool()
    broker = await make(pool)
    loop = asyncio.get_running_loop()
    calls = [loop.create_task(broker.call("pool.adaptive")) for _ in range(30)]
    await until(lambda: sum(call.done() for call in calls) == 5)
    assert (20, 5) == (pool.asked, broker.statistics()["bulkheads"]["pool.adaptive"]["waiting"])
    pool.gate.set()
    assert ["QueueIsFullError"] * 5 + ["done"] * 25 == await names_of(calls)

    for _ in range(200):  # All is well, and all places are used.
        calls = [loop.create_task(broker.call("pool.adaptive")) for _ in range(20)]
        clock.now += 0.01
        await names_of(calls)

    assert broker.statistics()["bulkheads"]["pool.adaptive"]["concurrency"] > 20


async def test_a_place_more_is_given_to_who_waits(make: Make):
    pool = Pool()
    broker = await make(pool)
    loop = asyncio.get_running_loop()
    (bulkheads,) = [one for one in broker._ring if hasattr(one, "bulkheads")]
    calls = [loop.create_task(broker.call("pool.adaptive")) for _ in range(25)]
    await until(lambda: pool.asked == 20)

    bulkheads.bulkheads["pool.adaptive"].concurrency = 24
    calls[0].cancel()
    await until(lambda: pool.asked == 25)

    pool.gate.set()
    assert 24 == (await asyncio.gather(*calls, return_exceptions=True)).count("done")


async def test_who_was_late_in_the_queue_is_counted(make: Make, clock: Clock):
    pool = Pool()
    broker = await make(pool)
    loop = asyncio.get_running_loop()
    runs = loop.create_task(broker.call("pool.narrow"))
    await until(lambda: pool.asked == 1)
    parent = broker.context(timeout=1)
    late = loop.create_task(parent.call("pool.narrow"))
    await asyncio.sleep(0)
    clock.now += 2
    pool.gate.set()

    with pytest.raises(RequestSkippedError):
        await late
    assert "done" == await runs
    assert {"concurrency": 1, "running": 0, "waiting": 0, "refused": 0, "expired": 1} == broker.statistics()[
        "bulkheads"
    ]["pool.narrow"]


async def test_who_comes_again_to_a_full_bulkhead_is_told_to_stay_away(make: Make):
    pool = Pool()
    broker = await make(pool)
    loop = asyncio.get_running_loop()
    calls = [loop.create_task(broker.call("pool.narrow")) for _ in range(2)]
    await until(lambda: pool.asked == 1)

    for headers, retryable in ((None, True), ({"$attempt": 1}, False)):
        with pytest.raises(QueueIsFullError) as caught:
            await broker.call("pool.narrow", headers=headers or {})
        assert retryable == caught.value.retryable
    with pytest.raises(QueueIsFullError):
        await broker.call("pool.narrow", retries=5)
    assert {"attempts": 1, "budget_exhausted": 0} == broker.statistics()["retries"]

    pool.gate.set()
    await asyncio.gather(*calls)


class Relay(Service):
    """Asks another one, with retries."""

    name = "relay"

    @action(idempotent=True)
    async def ask(self, ctx: Context) -> Any:
        return await ctx.call("full.at_all_times")

    @action
    async def tell(self, ctx: Context) -> Any:
        return await ctx.call("full.at_all_times", retries=0)


class Full(Service):
    name = "full"
    asked = 0

    @action
    def at_all_times(self, ctx: Context) -> None:
        Full.asked += 1
        raise QueueIsFullError("full.at_all_times")


async def test_there_are_no_retries_of_retries(make: Make):
    """Two layers that each try four times more would ask 25 times."""
    Full.asked = 0
    broker = await make(Relay, Full, retry_policy={"enabled": True, "retries": 4, "delay": 0})

    with pytest.raises(QueueIsFullError):
        await broker.call("relay.ask")

    assert 5 + 4 == Full.asked


async def test_that_a_call_inside_it_did_not_run_does_not_mean_that_an_action_did_not(make: Make):
    Full.asked = 0
    broker = await make(Relay, Full, retry_policy={"enabled": True, "delay": 0})

    with pytest.raises(QueueIsFullError):
        await broker.call("relay.tell")

    assert 1 == Full.asked


async def test_a_node_finds_its_limit_and_says_what_it_is(mesh: Mesh):
    pool = Pool()
    tuned = TransitSettings(in_flight_max="adaptive", settle=0.2, settle_quiet=0.01, announce_delay=0.01)
    server = await mesh.node("server", pool, transit=tuned)
    caller = await mesh.node("caller")
    await caller.wait_for_services("pool", 5)
    told = server.statistics()["transit"]
    assert (20, 0, 0) == (told["in_flight_max"], told["refused"], told["expired"])

    calls = [asyncio.get_running_loop().create_task(caller.call("pool.plain")) for _ in range(30)]
    await until(lambda: sum(call.done() for call in calls) == 10)
    pool.gate.set()

    assert ["QueueIsFullError"] * 10 + ["done"] * 20 == await names_of(calls)
    assert 10 == server.statistics()["transit"]["refused"]
    for _ in range(60):
        calls = [asyncio.get_running_loop().create_task(caller.call("pool.plain")) for _ in range(15)]
        await names_of(calls)
        await asyncio.sleep(0.01)
    assert 20 <= server.statistics()["transit"]["in_flight_max"]


# --- timeouts ---


class Patient(Service):
    name = "patient"

    def __init__(self) -> None:
        super().__init__()
        self.began, self.ended = asyncio.Event(), list[str]()

    @action(timeout=5)
    async def wait(self, ctx: Context) -> str:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            if ctx.params.get("stubborn"):
                return "done all the same"
            raise
        raise AssertionError

    @action(timeout=5)
    async def fails(self, ctx: Context) -> str:
        raise TimeoutError("its own")


@pytest.mark.parametrize("name", ["mark", "option"])
async def test_a_local_call_is_cancelled_when_its_time_is_over(make: Make, clock: Clock, name: str):
    patient = Patient()
    broker = await make(patient)
    options = {"timeout": 3.0} if name == "option" else {}
    call = asyncio.get_running_loop().create_task(broker.call("patient.wait", **options))
    await patient.began.wait()
    clock.now += 3 if options else 5

    with pytest.raises(RequestTimeoutError):
        await call
    assert ["cancelled"] == patient.ended
    assert 0 == call.cancelling()


async def test_who_does_not_mind_being_cancelled_has_his_answer_counted(make: Make, clock: Clock):
    patient = Patient()
    broker = await make(patient)
    call = asyncio.get_running_loop().create_task(broker.call("patient.wait", {"stubborn": True}))
    await patient.began.wait()
    clock.now += 5

    assert "done all the same" == await call
    assert 0 == call.cancelling()


async def test_a_timeout_of_the_handlers_own_stays_its_own(make: Make):
    broker = await make(Patient)

    with pytest.raises(TimeoutError, match="its own"):
        await broker.call("patient.fails")


async def test_a_caller_that_gives_up_is_cancelled_and_not_late(make: Make):
    patient = Patient()
    broker = await make(patient)
    call = asyncio.get_running_loop().create_task(broker.call("patient.wait"))
    await patient.began.wait()

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


# --- rate limits ---


class Post(Service):
    name = "post"
    sent = 0

    @action(rate_limit={"limit": 2, "window": 10})
    def send(self, ctx: Context) -> str:
        self.sent += 1
        return "sent"

    @action(rate_limit={"limit": 1, "window": 10, "keys": ["#user.id", "to"]})
    def write(self, ctx: Context) -> str:
        return "written"


async def test_an_action_is_not_run_more_often_than_its_mark_says(make: Make, clock: Clock):
    post = Post()
    broker = await make(post)
    assert ["sent", "sent"] == [await broker.call("post.send") for _ in range(2)]
    clock.now += 3.5

    with pytest.raises(RateLimitExceeded) as caught:
        await broker.call("post.send")

    assert {"action": "post.send", "nodeID": "node", "limit": 2, "retryAfter": 7} == caught.value.data
    assert (429, False, 2) == (caught.value.code, caught.value.retryable, post.sent)
    clock.now += 6.5
    assert "sent" == await broker.call("post.send")


async def test_a_rate_limit_counts_apart_what_it_is_told_to(make: Make):
    broker = await make(Post)

    async def write(user: str | None, to: str) -> str:
        try:
            return str(await broker.call("post.write", {"to": to}, meta={"user": {"id": user}} if user else {}))
        except RateLimitExceeded:
            return "refused"

    assert ["written", "refused"] == [await write("ann", "x"), await write("ann", "x")]
    assert ["written", "written"] == [await write("ann", "y"), await write("bob", "x")]
    # Whoever is nobody has one share with all others who are.
    assert ["written", "refused"] == [await write(None, "x"), await write(None, "y")]


@pytest.mark.parametrize(
    "written", [5, {"limit": 0}, {"limit": 1, "window": 0}, {"limits": 1}, {"keys": "id"}, {"keys": [""]}]
)
async def test_a_rate_limit_that_is_none_is_refused_when_the_service_comes(make: Make, written: object):
    class Wrong(Service):
        name = "wrong"

        @action(rate_limit=written)
        def do(self, ctx: Context) -> None: ...

    broker = await make()

    with pytest.raises(BrokerOptionsError, match="rate_limit"):
        await broker.register(Wrong)


@pytest.mark.parametrize(
    "build",
    [
        lambda: BulkheadSettings(concurrency=0),
        lambda: BulkheadSettings(concurrency="adaptiv"),
        lambda: BulkheadSettings(max_queue_size=-1),
        lambda: TransitSettings(in_flight_max="adaptiv"),
        lambda: Settings(hedge={"delay": "p99"}),
        lambda: Settings(hedge={"extra": -1}),
    ],
)
def test_a_limit_that_is_none_is_refused(build: Callable[[], object]):
    with pytest.raises(BrokerOptionsError):
        build()
