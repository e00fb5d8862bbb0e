"""Circuit breakers, bulkheads, retries and fallbacks around real calls, on a clock that the tests move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, event
from tautomer.errors import (
    BrokerOptionsError,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    QueueIsFullError,
    RequestSkippedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceSchemaError,
)
from tests.kernel.mesh import Clock, Make, until


class Moody(Service):
    """Fails as long as it is told to."""

    name = "moody"

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def _answer(self) -> str:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return "well"

    @action
    async def plain(self, ctx: Context) -> str:
        return await self._answer()

    @action(circuit_breaker={"min_request_count": 2, "half_open_time": 5})
    async def guarded(self, ctx: Context) -> str:
        return await self._answer()

    @action(circuit_breaker=False)
    async def unguarded(self, ctx: Context) -> str:
        return await self._answer()

    @action(bulkhead={"concurrency": 2, "max_queue_size": 2})
    async def narrow(self, ctx: Context) -> str:
        return await self._answer()

    @action(idempotent=True)
    async def harmless(self, ctx: Context) -> str:
        return await self._answer()

    @action(retry_policy={"retries": 2, "delay": 0})
    async def stubborn(self, ctx: Context) -> str:
        return await self._answer()

    @action(fallback="_instead")
    async def covered(self, ctx: Context) -> str:
        return await self._answer()

    def _instead(self, ctx: Context, error: Exception) -> Any:
        return {"instead": str(error), "marked": ctx.fallback_result}


async def outcomes(broker: Broker, action_name: str, count: int) -> list[str]:
    seen = []
    for _ in range(count):
        try:
            seen.append(str(await broker.call(action_name)))
        except Exception as error:
            seen.append(type(error).__name__)
    return seen


# --- of a whole service ---


class Common(Moody):
    """What it says of all its actions, in either spelling."""

    settings = {
        "$circuitBreaker": {"min_request_count": 2, "threshold": 0.5},
        "$bulkhead": {"concurrency": 1, "max_queue_size": 0},
        "$fallback": lambda ctx, error: "instead",
        "$timeout": 7,
    }

    @action(circuit_breaker=False, bulkhead={"concurrency": 2}, fallback=lambda ctx, error: "of its own", timeout=3)
    async def own(self, ctx: Context) -> str:
        return await self._answer()


async def test_a_services_policies_hold_for_its_actions_under_their_own(make: Make, clock: Clock):
    common = Common()
    await make(common)
    extras = {one.name: one for one in common.action_defs()}

    plain, own = extras["plain"], extras["own"]
    assert {"min_request_count": 2, "threshold": 0.5} == plain.extra["circuit_breaker"]
    assert (7, 3) == (plain.timeout, own.timeout)
    assert own.extra["circuit_breaker"] is False
    assert {"concurrency": 2, "max_queue_size": 0} == own.extra["bulkhead"]


async def test_a_services_bulkhead_and_fallback_are_in_force(make: Make, clock: Clock):
    common = Common()
    broker = await make(common)
    common.gate = asyncio.Event()

    first = asyncio.get_running_loop().create_task(broker.call("moody.plain"))
    await until(lambda: common.asked == 1)
    second = await broker.call("moody.plain")
    common.gate.set()

    assert ("instead", "well") == (second, await first)
    common.error = ValueError("no")
    assert "of its own" == await broker.call("moody.own")


async def test_callers_elsewhere_are_told_of_a_services_policies(make: Make, clock: Clock):
    broker = await make(Common())

    entry = broker.registry.actions["moody.plain"].all[0].entry

    assert {"enabled": True, "minRequestCount": 2, "threshold": 0.5} == entry["circuitBreaker"]
    assert {"enabled": True, "concurrency": 1, "maxQueueSize": 0} == entry["bulkhead"]


def test_a_services_timeout_is_a_number_of_seconds():
    class Wrong(Service):
        name = "wrong"
        settings = {"$timeout": "soon"}

        @action
        async def plain(self, ctx: Context) -> None: ...

    with pytest.raises(ServiceSchemaError, match="number of seconds"):
        Wrong().action_defs()


# --- circuit breaker ---


async def test_an_action_that_fails_is_left_alone_and_tried_again_by_one_call(make: Make, clock: Clock):
    moody = Moody()
    broker = await make(moody)
    moody.error = ValueError("no")

    before = await outcomes(broker, "moody.guarded", 3)
    asked = moody.asked
    clock.now += 5
    moody.error = None
    await until(lambda: broker.registry.actions["moody.guarded"].all[0].available)
    after = await outcomes(broker, "moody.guarded", 2)

    assert ["ValueError", "ValueError", "ServiceNotAvailableError"] == before
    assert (2, ["well", "well"]) == (asked, after)


async def test_while_one_tries_nobody_else_is_let_through(make: Make, clock: Clock):
    moody = Moody()
    broker = await make(moody)
    moody.error = ValueError("no")
    await outcomes(broker, "moody.guarded", 2)
    clock.now += 5
    await until(lambda: broker.registry.actions["moody.guarded"].all[0].available)
    moody.error, moody.gate = None, asyncio.Event()

    trial = asyncio.get_running_loop().create_task(broker.call("moody.guarded"))
    await until(lambda: moody.asked == 3)
    others = await outcomes(broker, "moody.guarded", 3)
    moody.gate.set()

    assert ["ServiceNotAvailableError"] * 3 == others
    assert "well" == await trial
    assert ["well"] == await outcomes(broker, "moody.guarded", 1)


async def test_the_changes_of_a_circuit_are_events_with_nodes_payload(make: Make, clock: Clock):
    heard: list[tuple[str, Any]] = []

    class Listener(Service):
        name = "listener"

        @event("$circuit-breaker.*")
        def changed(self, ctx: Context) -> None:
            heard.append((str(ctx.event_name), ctx.params))

    moody = Moody()
    broker = await make(moody, Listener)
    moody.error = ValueError("no")
    await outcomes(broker, "moody.guarded", 2)
    clock.now += 5
    await until(lambda: broker.registry.actions["moody.guarded"].all[0].available)
    moody.error = None
    await outcomes(broker, "moody.guarded", 1)

    told = {"nodeID": "node", "service": "moody", "action": "moody.guarded"}
    assert [
        ("$circuit-breaker.opened", {**told, "failures": 2, "count": 2, "rate": 1.0}),
        ("$circuit-breaker.half-opened", told),
        ("$circuit-breaker.closed", told),
    ] == heard


@pytest.mark.parametrize(
    "error",
    [MoleculerClientError("no", 409), MoleculerError("elsewhere", 500)],
    ids=["the caller's fault", "another node's"],
)
async def test_only_the_endpoints_own_failures_count(make: Make, error):
    moody = Moody()
    broker = await make(moody)
    if error.code == 500:
        error.node_id = "a third node"
    moody.error = error

    assert [type(error).__name__] * 5 == await outcomes(broker, "moody.guarded", 5)


async def test_a_circuit_is_for_all_actions_where_the_settings_say_so_but_for_those_that_do_not_want_one(make: Make):
    moody = Moody()
    broker = await make(moody, circuit_breaker={"enabled": True, "min_request_count": 1})
    moody.error = ValueError("no")

    assert ["ValueError", "ServiceNotAvailableError"] == await outcomes(broker, "moody.plain", 2)
    assert ["ValueError", "ValueError"] == await outcomes(broker, "moody.unguarded", 2)


async def test_of_two_nodes_the_one_that_fails_is_left_alone(make: Make):
    good, bad = Moody(), Moody()
    bad.error = ValueError("no")
    url = "memory://circuits"
    await make(good, id="good", url=url)
    await make(bad, id="bad", url=url)
    caller = await make(id="caller", url=url, circuit_breaker={"enabled": True, "min_request_count": 2})
    await caller.wait_for_services("moody")
    await until(lambda: len(caller.registry.actions["moody.plain"]) == 2)

    seen = await outcomes(caller, "moody.plain", 20)

    assert (2, 18, 2) == (len([one for one in seen if one != "well"]), good.asked, bad.asked)


async def test_the_circuit_of_an_endpoint_that_has_gone_goes_with_it(make: Make):
    moody = Moody()
    moody.error = ValueError("no")
    url = "memory://gone"
    callee = await make(moody, id="callee", url=url)
    caller = await make(id="caller", url=url)
    await caller.wait_for_services("moody")
    await outcomes(caller, "moody.guarded", 3)
    (breakers,) = [one for one in caller._ring if hasattr(one, "circuits")]
    assert [("moody.guarded", "callee")] == list(breakers.circuits)

    await callee.stop()

    await until(lambda: not breakers.circuits)


# --- bulkhead ---


async def test_so_many_run_so_many_wait_and_the_rest_is_refused(make: Make):
    moody = Moody()
    moody.gate = asyncio.Event()
    broker = await make(moody)
    calls = [asyncio.get_running_loop().create_task(broker.call("moody.narrow")) for _ in range(6)]
    await until(lambda: sum(call.done() for call in calls) == 2)

    assert 2 == moody.asked
    refused = [call for call in calls if call.done()]
    moody.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert ["well"] * 4 == [one for one in results if one == "well"]
    for call in refused:
        error = call.exception()
        assert isinstance(error, QueueIsFullError)
        assert ("not run", True, 2) == (error.outcome, error.retryable, error.data["size"])


async def test_who_waits_and_is_cancelled_leaves_his_place(make: Make):
    moody = Moody()
    moody.gate = asyncio.Event()
    broker = await make(moody)
    loop = asyncio.get_running_loop()
    first = [loop.create_task(broker.call("moody.narrow")) for _ in range(4)]
    await until(lambda: moody.asked == 2)
    first[2].cancel()
    await asyncio.sleep(0)
    late = loop.create_task(broker.call("moody.narrow"))
    await asyncio.sleep(0)
    moody.gate.set()

    results = await asyncio.gather(*first, late, return_exceptions=True)

    assert ["well", "well", "CancelledError", "well", "well"] == [
        one if isinstance(one, str) else type(one).__name__ for one in results
    ]
    assert ["well"] == await outcomes(broker, "moody.narrow", 1)


async def test_a_place_that_was_given_at_the_moment_of_a_cancel_is_not_lost(make: Make):
    moody = Moody()
    moody.gate = asyncio.Event()
    broker = await make(moody)
    loop = asyncio.get_running_loop()
    calls = [loop.create_task(broker.call("moody.narrow")) for _ in range(4)]
    await until(lambda: moody.asked == 2)

    moody.gate.set()
    await asyncio.sleep(0)  # The gate's waiters are woken; those in the queue are called as they leave.
    calls[2].cancel()
    calls[3].cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    (bulkheads,) = [one for one in broker._ring if hasattr(one, "bulkheads")]
    assert (0, 0) == (bulkheads.bulkheads["moody.narrow"].running, bulkheads.bulkheads["moody.narrow"].waiting)
    assert ["well"] == await outcomes(broker, "moody.narrow", 1)


async def test_who_has_waited_for_longer_than_he_has_time_is_not_run(make: Make, clock: Clock):
    moody = Moody()
    moody.gate = asyncio.Event()
    broker = await make(moody)
    loop = asyncio.get_running_loop()
    running = [loop.create_task(broker.call("moody.narrow")) for _ in range(2)]
    await until(lambda: moody.asked == 2)
    parent = broker.context()
    parent.deadline = clock.now + 1
    waiting = loop.create_task(parent.call("moody.narrow"))
    await asyncio.sleep(0)
    clock.now += 2
    moody.gate.set()

    with pytest.raises(RequestSkippedError):
        await waiting
    assert ["well", "well"] == await asyncio.gather(*running)
    assert 2 == moody.asked


async def test_listeners_have_bulkheads_too(make: Make):
    most = running = 0

    class Listener(Service):
        name = "listener"

        @event("happened", bulkhead={"concurrency": 1, "max_queue_size": 10})
        async def heard(self, ctx: Context) -> None:
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            done.append(1)

    done: list[int] = []
    broker = await make(Listener)
    for _ in range(5):
        await broker.emit("happened")
    await until(lambda: len(done) == 5)

    assert 1 == most


# --- retry ---


class Flaky(Service):
    """Fails so often before it is well."""

    name = "flaky"

    def __init__(self, failures: int, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self.failures, self.error, self.ids = failures, error, list[str]()

    def _answer(self, ctx: Context) -> str:
        self.ids.append(ctx.id)
        if len(self.ids) <= self.failures:
            raise self.error()
        return "well"

    @action
    def plain(self, ctx: Context) -> str:
        return self._answer(ctx)

    @action(idempotent=True)
    def harmless(self, ctx: Context) -> str:
        return self._answer(ctx)

    @action(retry_policy={"retries": 3, "delay": 0})
    def stubborn(self, ctx: Context) -> str:
        return self._answer(ctx)

    @action
    async def streamed(self, ctx: Context) -> str:
        return self._answer(ctx)


ON = {"enabled": True, "delay": 0.0}


def retryable() -> BaseException:
    return MoleculerRetryableError("not now")


def refused() -> BaseException:
    return QueueIsFullError("flaky.plain")


async def test_what_surely_did_not_run_is_tried_again_where_retries_are_on(make: Make):
    flaky = Flaky(2, refused)
    broker = await make(flaky, retry_policy=ON)

    assert "well" == await broker.call("flaky.plain")
    assert 3 == len(set(flaky.ids))


async def test_what_may_have_run_is_not_tried_again_unless_that_does_no_harm(make: Make):
    flaky = Flaky(1, retryable)
    broker = await make(flaky, retry_policy=ON)

    with pytest.raises(MoleculerRetryableError):
        await broker.call("flaky.plain")
    flaky.ids.clear()
    assert "well" == await broker.call("flaky.harmless")


async def test_who_asks_for_retries_gets_them(make: Make):
    flaky = Flaky(2, retryable)
    broker = await make(flaky)

    assert "well" == await broker.call("flaky.plain", retries=2)
    flaky.ids.clear()
    assert "well" == await broker.call("flaky.stubborn")
    assert 3 == len(flaky.ids)


async def test_a_call_may_switch_them_off(make: Make):
    broker = await make(Flaky(1, refused), retry_policy=ON)

    with pytest.raises(QueueIsFullError):
        await broker.call("flaky.plain", retries=0)


@pytest.mark.parametrize("error", [ValueError, lambda: MoleculerClientError("no")])
async def test_what_no_other_attempt_can_help_is_not_tried_again(make: Make, error):
    flaky = Flaky(1, error)
    broker = await make(flaky)

    with pytest.raises((ValueError, MoleculerClientError)):
        await broker.call("flaky.plain", retries=5)
    assert 1 == len(flaky.ids)


async def test_a_check_of_ones_own_decides(make: Make):
    flaky = Flaky(1, lambda: ValueError("odd"))
    broker = await make(flaky, retry_policy={**ON, "check": lambda error: isinstance(error, ValueError)})

    assert "well" == await broker.call("flaky.plain")


async def test_after_the_last_attempt_its_error_is_the_callers(make: Make):
    flaky = Flaky(9, refused)
    broker = await make(flaky)

    with pytest.raises(QueueIsFullError):
        await broker.call("flaky.plain", retries=2)
    assert 3 == len(flaky.ids)


async def test_nobody_tries_again_when_less_time_is_left_than_it_took(make: Make, clock: Clock):
    def slow() -> BaseException:
        clock.now += 2
        return QueueIsFullError("flaky.plain")

    flaky = Flaky(9, slow)
    broker = await make(flaky, retry_policy=ON)
    parent = broker.context()
    parent.deadline = clock.now + 5

    with pytest.raises(QueueIsFullError):
        await parent.call("flaky.plain")
    assert 2 == len(flaky.ids)


async def test_retries_are_bounded_by_their_budget(make: Make):
    flaky = Flaky(10_000, refused)
    broker = await make(flaky, retry_policy={**ON, "budget": 0.2, "budget_per_second": 0.1})

    await outcomes(broker, "flaky.plain", 100)

    assert 100 + 1 + 20 - 5 <= len(flaky.ids) <= 100 + 1 + 20


async def test_a_call_with_a_stream_is_never_made_twice(make: Make):
    flaky = Flaky(1, refused)
    broker = await make(flaky, retry_policy=ON)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"once"

    with pytest.raises(QueueIsFullError):
        await broker.call("flaky.streamed", stream=chunks(), retries=3)
    assert 1 == len(flaky.ids)


async def test_another_attempt_goes_to_another_node(make: Make):
    url = "memory://attempts"
    bad, good = Flaky(100, refused), Flaky(0, refused)
    await make(bad, id="bad", url=url)
    await make(good, id="good", url=url)
    caller = await make(id="caller", url=url)
    await caller.wait_for_services("flaky")
    await until(lambda: len(caller.registry.actions["flaky.plain"]) == 2)

    assert ["well"] * 4 == [await caller.call("flaky.plain", retries=1) for _ in range(4)]
    assert 4 == len(good.ids)


# --- fallback ---


async def test_a_call_may_bring_its_own_answer_along(make: Make):
    broker = await make(Flaky(9, retryable))

    async def made(parent: Any, error: Exception) -> str:
        return f"instead of {error}"

    assert None is await broker.call("flaky.plain", fallback_response=None)
    assert "instead of not now" == await broker.call("flaky.plain", fallback_response=made)
    assert [] == await broker.call("nobody.there", fallback_response=[])


async def test_an_action_may_have_a_fallback(make: Make):
    moody = Moody()
    moody.error = RequestTimeoutError("moody.covered")
    broker = await make(moody)

    found = await broker.call("moody.covered")

    assert {"instead": str(moody.error), "marked": True} == found


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"circuit_breaker": {"treshold": 1}}, "did you mean 'threshold'"),
        ({"bulkhead": 5}, "bulkhead is true, false or a mapping"),
        ({"retry_policy": {"retry": 5}}, "did you mean 'retries'"),
    ],
)
def test_wrong_settings_are_told_with_the_nearest_name(settings, told):
    with pytest.raises(BrokerOptionsError, match=told):
        Settings(**settings)


async def test_what_an_action_says_wrong_of_its_policies_is_told_when_it_is_registered(make: Make):
    class Wrong(Service):
        name = "wrong"

        @action(bulkhead={"concurency": 1})
        def act(self, ctx: Context) -> None: ...

    with pytest.raises(BrokerOptionsError, match=r"bulkhead of 'wrong.act'.*did you mean 'concurrency'"):
        await make(Wrong)


async def test_policies_are_announced_in_nodes_words(make: Make):
    broker = await make(Moody())

    entries = {name.partition(".")[2]: found.all[0].entry for name, found in broker.registry.actions.items()}

    assert {"enabled": True, "minRequestCount": 2, "halfOpenTime": 5000} == entries["guarded"]["circuitBreaker"]
    assert {"enabled": True, "concurrency": 2, "maxQueueSize": 2} == entries["narrow"]["bulkhead"]
    assert {"enabled": True, "retries": 2, "delay": 0} == entries["stubborn"]["retryPolicy"]
    assert entries["harmless"]["idempotent"] is True


async def test_what_is_off_is_not_in_the_chain(make: Make):
    broker = await make(Moody())

    endpoint = broker.registry.actions["moody.plain"].all[0]

    assert endpoint.definition is not None
    assert endpoint.definition.method == endpoint.handler


def test_an_unavailable_service_is_an_error_that_may_be_tried_again():
    assert ("not run", True) == (ServiceNotAvailableError("a").outcome, ServiceNotAvailableError("a").retryable)
