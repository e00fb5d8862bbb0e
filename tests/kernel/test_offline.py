"""The line to the message broker is away: calls wait a little, within bounds, and none runs twice or for nobody."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors
from tautomer.host import Host
from tautomer.settings import TransitSettings
from tests.kernel.mesh import QUICK, Clock, Foreign, Mesh, service_info, token_of, until


class Work(Service):
    name = "work"

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    @action
    async def wait(self, ctx: Context) -> str:
        await self.release.wait()
        return "done"


@pytest.fixture
async def caller(mesh: Mesh, peer: Foreign, clock: Clock) -> Broker:
    """A node that knows an action of the foreign one, and takes few messages while its line is away."""
    transit = TransitSettings(settle=0, stop_delay=0, announce_delay=0, offline_max=3, offline_bytes_max=10_000)
    caller = await mesh.node("a", Work, host=Host(clock=clock), transit=transit)
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    return caller


def cut(caller: Broker) -> None:
    assert caller.transit is not None
    caller.transit.down("cut")


def mend(caller: Broker) -> None:
    assert caller.transit is not None
    caller.transit.up()


def waiting(caller: Broker) -> int:
    found = caller.statistics()["transit"]["offline"]
    assert isinstance(found, int)
    return found


def call(caller: Broker, **options: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(caller.call("far.do", **options))


async def answer_all(peer: Foreign, tasks: list[asyncio.Task[Any]]) -> list[dict[str, Any]]:
    """Answer every request with its id; the requests."""
    answered: list[dict[str, Any]] = []
    while not all(task.done() for task in tasks):
        for request in peer.packets("REQ")[len(answered) :]:
            answered.append(request)
            peer.answer(request, data=request["id"])
        await asyncio.sleep(0.001)
    return answered


@pytest.mark.parametrize(
    ("timeout", "told"), [(0, 0), (0.0004, 1), (0.001, 1), (1.9996, 1_999), (2.5, 2_500), (1e300, 0), (math.inf, 0)]
)
async def test_a_calls_time_is_told_in_whole_milliseconds_and_a_little_is_not_told_as_none(
    caller: Broker, peer: Foreign, timeout: float, told: int
) -> None:
    (request,) = await answer_all(peer, [call(caller, timeout=timeout)])

    assert told == request["timeout"]


async def test_calls_wait_and_are_sent_in_order_with_the_time_that_is_left(
    caller: Broker, peer: Foreign, clock: Clock
) -> None:
    cut(caller)
    tasks = [call(caller, timeout=10.0), call(caller, timeout=20.0)]
    await until(lambda: waiting(caller) == 2)
    assert [] == peer.packets("REQ")
    clock.now += 4.0

    mend(caller)
    requests = await answer_all(peer, tasks)

    assert [6_000, 16_000] == [request["timeout"] for request in requests]
    assert [request["id"] for request in requests] == [await task for task in tasks]
    assert 0 == waiting(caller)


async def test_a_call_waits_no_longer_than_offline_wait(caller: Broker, peer: Foreign, clock: Clock) -> None:
    cut(caller)
    task = call(caller, timeout=30.0)
    await until(lambda: waiting(caller) == 1)

    clock.now += 4.9
    await asyncio.sleep(0.12)
    assert not task.done()
    clock.now += 0.1

    with pytest.raises(errors.BrokerDisconnectedError) as caught:
        await task
    assert ("not run", True, 502) == (caught.value.outcome, caught.value.retryable, caught.value.code)
    assert 0 == waiting(caller)


async def test_a_call_does_not_wait_past_its_deadline(caller: Broker, peer: Foreign, clock: Clock) -> None:
    cut(caller)
    task = call(caller, timeout=1.0)
    await until(lambda: waiting(caller) == 1)

    clock.now += 1.0

    with pytest.raises(errors.BrokerDisconnectedError):
        await task
    mend(caller)
    assert await peer.finds_well("a")
    assert [] == peer.packets("REQ")


async def test_a_call_begun_after_offline_wait_fails_at_once(caller: Broker, clock: Clock) -> None:
    cut(caller)
    clock.now += 5.0

    async with asyncio.timeout(0.05):
        with pytest.raises(errors.BrokerDisconnectedError, match="offline_wait"):
            await caller.call("far.do")


@pytest.mark.parametrize(("params", "fit"), [({}, 3), ({"x": "y" * 4_000}, 2)], ids=["count", "bytes"])
async def test_over_the_bound_calls_fail_at_once(
    caller: Broker, peer: Foreign, params: dict[str, str], fit: int
) -> None:
    cut(caller)
    tasks = [asyncio.ensure_future(caller.call("far.do", params)) for _ in range(fit)]
    await until(lambda: waiting(caller) == fit)

    with pytest.raises(errors.BrokerDisconnectedError, match="offline_max"):
        await caller.call("far.do", params)

    mend(caller)
    assert fit == len(await answer_all(peer, tasks))


async def test_a_call_that_was_given_up_is_not_sent_later(caller: Broker, peer: Foreign) -> None:
    cut(caller)
    given_up, patient = call(caller), call(caller)
    await until(lambda: waiting(caller) == 2)

    given_up.cancel()
    await asyncio.wait([given_up])
    assert 1 == waiting(caller)
    mend(caller)

    assert 1 == len(await answer_all(peer, [patient]))


async def test_a_request_that_the_lost_line_had_not_taken_is_sent_anew(caller: Broker, peer: Foreign) -> None:
    task = call(caller)
    request = await peer.hears("REQ")
    assert caller.transit is not None
    token = token_of(caller.transit, request["id"])
    assert token is not None
    peer.heard.clear()  # It only looks as if it had come.

    cut(caller)
    caller.transit.unsent(token)
    await until(lambda: waiting(caller) == 1)
    mend(caller)

    (again,) = await answer_all(peer, [task])
    assert request["id"] != again["id"]
    assert request["requestID"] == again["requestID"]


async def test_stop_ends_the_waiting(caller: Broker) -> None:
    cut(caller)
    task = call(caller)
    await until(lambda: waiting(caller) == 1)

    await caller.stop()

    with pytest.raises(errors.BrokerDisconnectedError):
        await task
    assert 0 == waiting(caller)


async def test_a_line_that_goes_again_is_waited_for_again(caller: Broker, peer: Foreign) -> None:
    cut(caller)
    task = call(caller)
    await until(lambda: waiting(caller) == 1)

    mend(caller)
    cut(caller)
    await until(lambda: waiting(caller) == 1)
    mend(caller)

    assert 1 == len(await answer_all(peer, [task]))


async def test_answers_made_while_the_line_is_away_are_sent_when_it_is_back(caller: Broker, peer: Foreign) -> None:
    work = caller.get_local_service("work")
    assert isinstance(work, Work)
    request = peer.request("a", "work.wait")
    await until(lambda: caller.statistics()["transit"]["in_flight"] == 1)

    cut(caller)
    work.release.set()
    await until(lambda: waiting(caller) == 1)
    assert [] == peer.packets("RES")
    mend(caller)

    assert "done" == (await peer.hears("RES", id=request))["data"]


async def test_answers_that_waited_too_long_are_forgotten(caller: Broker, peer: Foreign, clock: Clock) -> None:
    work = caller.get_local_service("work")
    assert isinstance(work, Work)
    peer.request("a", "work.wait")
    await until(lambda: caller.statistics()["transit"]["in_flight"] == 1)

    cut(caller)
    work.release.set()
    await until(lambda: waiting(caller) == 1)
    clock.now += 5.0
    await until(lambda: waiting(caller) == 0)
    mend(caller)

    assert await peer.finds_well("a")
    assert [] == peer.packets("RES", data="done")


async def test_nothing_is_said_of_oneself_while_the_line_is_away(caller: Broker, peer: Foreign) -> None:
    """A stale INFO would only mislead; both sides say anew who they are."""
    cut(caller)
    await caller.register(Other)
    await asyncio.sleep(0.02)
    mend(caller)
    assert await peer.finds_well("a")

    told = [[service["name"] for service in info["services"]] for info in peer.packets("INFO") if info["services"]]
    assert "other" in told[-1]


class Other(Service):
    name = "other"


# --- right after the return, when the others are still on their way ---


async def test_a_node_that_is_not_back_yet_is_asked_again_and_not_taken_for_dead(
    caller: Broker, peer: Foreign, mesh: Mesh, clock: Clock
) -> None:
    cut(caller)
    task = call(caller)
    await until(lambda: waiting(caller) == 1)
    await peer.close()

    mend(caller)
    clock.now += 0.1
    await asyncio.sleep(0.15)
    back = await mesh.foreign("f")
    back.introduce(service_info("far", "do"))

    assert 1 == len(await answer_all(back, [task]))
    assert caller.registry.nodes["f"].available


async def test_no_more_calls_wait_for_a_nodes_return_than_for_the_lines(
    caller: Broker, peer: Foreign, clock: Clock
) -> None:
    cut(caller)
    mend(caller)
    clock.now += 0.1
    await peer.close()

    tasks = [call(caller) for _ in range(5)]
    await asyncio.sleep(0.05)

    assert 3 == waiting(caller)
    refused = [task.exception() for task in tasks if task.done()]
    assert [errors.ServiceNotAvailableError] * 2 == [type(error) for error in refused]
    clock.now += 5.0
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 0 == waiting(caller)


async def test_a_node_that_does_not_come_back_is_not_waited_for_longer_than_that(
    caller: Broker, peer: Foreign, clock: Clock
) -> None:
    cut(caller)
    mend(caller)
    await peer.close()
    task = call(caller)
    await asyncio.sleep(0.15)
    assert not task.done()

    clock.now += 5.0

    with pytest.raises(errors.ServiceNotAvailableError) as caught:
        await task
    assert "not run" == caught.value.outcome


def test_nodes_defaults_keep_nothing() -> None:
    assert 0.0 == Settings.moleculer().transit.offline_wait
    assert QUICK == Settings.moleculer(transit=QUICK).transit


@pytest.mark.parametrize("name", ["offline_wait", "offline_max", "offline_bytes_max"])
def test_a_bound_is_not_negative(name: str) -> None:
    with pytest.raises(errors.BrokerOptionsError, match=name):
        TransitSettings(**{name: -1})  # type: ignore[arg-type]  # The type is right, the value is not.
