"""Failover: a call that surely did not run goes to another node; one that may have run does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, errors
from tautomer.host import Host
from tautomer.protocol.losses import GRACE
from tests.kernel.mesh import Clock, Foreign, Mesh, service_info, until

NOT_FOUND = {"name": "ServiceNotFoundError", "code": 404, "type": "SERVICE_NOT_FOUND", "message": "m"}
NOT_AVAILABLE = {"name": "ServiceNotAvailableError", "code": 404, "type": "SERVICE_NOT_AVAILABLE", "message": "m"}
REJECTED = {"name": "RequestRejectedError", "code": 503, "type": "REQUEST_REJECTED", "message": "m", "retryable": True}
FULL = {"name": "QueueIsFullError", "code": 429, "type": "QUEUE_FULL", "message": "m", "retryable": True}


class Far(Service):
    """The same action as the foreign nodes offer."""

    name = "far"

    @action
    async def do(self, ctx: Context) -> dict[str, Any]:
        return {"node": self.broker.id, "id": ctx.id, "request_id": ctx.request_id, "left": ctx.request_timeout}

    @action
    async def stop(self, ctx: Context) -> str:
        return "done"


@pytest.fixture
async def first(mesh: Mesh, peer: Foreign) -> Foreign:
    """A foreign node that is asked first, and that a test lets answer."""
    return peer


@pytest.fixture
async def caller(mesh: Mesh, first: Foreign) -> Broker:
    """A node that knows `far.do` at the foreign node "f", then at the Python node "b"."""
    caller = await mesh.node("a")
    first.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    await mesh.node("b", Far)
    await until(lambda: len(caller.registry.actions["far.do"]) == 2)
    return caller


def tables(caller: Broker) -> dict[str, int]:
    way = caller.transit
    assert way is not None
    return {"pending": way.statistics()["pending"], "tokens": len(way.requesting._tokens), "offline": len(way.offline)}


EMPTY = {"pending": 0, "tokens": 0, "offline": 0}


async def test_a_call_to_a_node_that_is_gone_goes_to_another(caller: Broker, first: Foreign) -> None:
    await first.close()

    result = await caller.call("far.do", timeout=5.0, request_id="chain")

    assert ("b", "chain") == (result["node"], result["request_id"])
    assert 4.0 < result["left"] <= 5.0
    assert EMPTY == tables(caller)


async def test_none_of_many_calls_at_once_fails_when_their_node_is_gone(caller: Broker, first: Foreign) -> None:
    await first.close()

    results = await asyncio.gather(*(caller.call("far.do") for _ in range(1_000)))

    assert ["b"] * 1_000 == [result["node"] for result in results]
    assert EMPTY == tables(caller)


async def test_a_call_to_a_node_of_the_callers_choice_stays_there(caller: Broker, first: Foreign) -> None:
    await first.close()

    with pytest.raises(errors.ServiceNotAvailableError) as caught:
        await caller.call("far.do", node_id="f")

    assert ("not run", {"action": "far.do", "nodeID": "f"}) == (caught.value.outcome, caught.value.data)


async def test_where_nobody_else_offers_it_the_call_fails_at_once(mesh: Mesh, peer: Foreign) -> None:
    caller = await mesh.node("a")
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    await peer.close()

    async with asyncio.timeout(1):
        with pytest.raises(errors.ServiceNotAvailableError) as caught:
            await caller.call("far.do")

    assert ("not run", True) == (caught.value.outcome, caught.value.retryable)


@pytest.mark.parametrize(
    "told",
    [
        {**NOT_FOUND, "data": {"action": "far.do", "nodeID": "f"}},
        {**NOT_AVAILABLE, "data": {"action": "far.do", "nodeID": "f"}},
        {**REJECTED, "data": {"action": "far.do", "nodeID": "f", "notRun": "THE ID"}},
    ],
    ids=["withdrawn", "Node.js stops", "tautomer stops"],
)
async def test_what_a_leaving_node_would_not_run_goes_to_another(
    caller: Broker, first: Foreign, told: dict[str, Any]
) -> None:
    task = asyncio.ensure_future(caller.call("far.do", timeout=5.0))
    request = await first.hears("REQ")
    if "notRun" in told["data"]:
        told = {**told, "data": {**told["data"], "notRun": request["id"]}}

    first.answer(request, success=False, error=told)

    result = await task
    assert "b" == result["node"]
    assert request["id"] != result["id"]
    assert request["requestID"] == result["request_id"]
    assert 4.0 < result["left"] <= 5.0


@pytest.mark.parametrize(
    "told",
    [
        {**NOT_FOUND, "data": {"action": "inner.do", "nodeID": "f"}},
        {**NOT_FOUND, "data": {"action": "far.do"}},
        {**NOT_FOUND, "data": {"action": "far.do", "nodeID": "elsewhere"}},
        {**NOT_FOUND, "data": {"action": "far.do", "nodeID": "f"}, "nodeID": "elsewhere"},
        {**REJECTED, "data": {"action": "far.do", "nodeID": "f"}},
        {**REJECTED, "data": {"action": "far.do", "nodeID": "f", "notRun": "another request"}},
        {**FULL, "data": {"action": "far.do", "nodeID": "f"}},
        {"name": "Error", "message": "m"},
    ],
    ids=str,
)
async def test_what_may_have_run_or_would_only_add_to_the_load_goes_nowhere_else(
    caller: Broker, first: Foreign, told: dict[str, Any]
) -> None:
    task = asyncio.ensure_future(caller.call("far.do", timeout=5.0))
    request = await first.hears("REQ")

    first.answer(request, success=False, error=told)

    with pytest.raises(errors.MoleculerError) as caught:
        await task
    assert told["name"] == caught.value.name
    expected = {"QueueIsFullError": "not run", "RequestRejectedError": "unknown"}
    assert expected.get(told["name"], "failed") == caught.value.outcome


async def test_each_node_is_tried_once(mesh: Mesh) -> None:
    names = ["f1", "f2", "f3"]
    peers = [await mesh.foreign(name) for name in names]
    caller = await mesh.node("a")
    for peer in peers:
        peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    await until(lambda: len(caller.registry.actions["far.do"]) == 3)
    task = asyncio.ensure_future(caller.call("far.do"))

    while not task.done():
        for peer in peers:
            for request in peer.packets("REQ"):
                told = {**NOT_AVAILABLE, "data": {"action": "far.do", "nodeID": peer.node_id}}
                peer.answer(request, success=False, error=told)
        await asyncio.sleep(0.001)

    with pytest.raises(errors.ServiceNotAvailableError):
        await task
    assert [1, 1, 1] == [len(peer.packets("REQ")) for peer in peers]
    assert 3 == len({peer.packets("REQ")[0]["id"] for peer in peers})
    assert EMPTY == tables(caller)


async def test_this_node_serves_when_the_others_would_not(mesh: Mesh, peer: Foreign) -> None:
    from tautomer.settings import RegistrySettings

    caller = await mesh.node("a", registry=RegistrySettings(prefer_local=False))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    await caller.register(Far)
    await peer.close()

    results = [await caller.call("far.do", timeout=5.0) for _ in range(2)]

    assert ["a", "a"] == [result["node"] for result in results]
    assert all(4.0 < result["left"] <= 5.0 for result in results)


async def test_a_cancelled_call_does_not_go_on_elsewhere(caller: Broker, first: Foreign) -> None:
    task = asyncio.ensure_future(caller.call("far.do"))
    request = await first.hears("REQ")

    first.answer(request, success=False, error={**NOT_FOUND, "data": {"action": "far.do", "nodeID": "f"}})
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert EMPTY == tables(caller)


async def test_a_node_that_stops_says_that_it_did_not_run_the_request(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("b", Far)
    assert node.transit is not None
    node.transit.refuse()

    answer = await peer.ask("b", "far.do", id="q-1")

    assert (503, "REQUEST_REJECTED", True, {"action": "far.do", "nodeID": "b", "notRun": "q-1"}) == tuple(
        answer["error"][key] for key in ("code", "type", "retryable", "data")
    )


# --- nodes that die without a word ---


async def test_a_call_in_flight_to_a_dead_node_ends_though_nobody_calls_it_anew(
    mesh: Mesh, peer: Foreign, clock: Clock
) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    task = asyncio.ensure_future(caller.call("far.do"))
    await peer.hears("REQ")
    await peer.close()
    begin = clock.now

    while not task.done():
        await asyncio.sleep(0.01)
        clock.now += 0.02

    with pytest.raises(errors.RequestRejectedError) as caught:
        await task
    assert ("unknown", True) == (caught.value.outcome, caught.value.retryable)
    assert clock.now - begin < 3.0
    assert EMPTY == tables(caller)


async def test_a_node_that_takes_its_time_is_asked_once_a_second_and_not_given_up(
    mesh: Mesh, peer: Foreign, clock: Clock
) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    task = asyncio.ensure_future(caller.call("far.do"))
    request = await peer.hears("REQ")

    for _ in range(60):
        await asyncio.sleep(0.06)
        clock.now += 0.1
    peer.answer(request, data="late")

    assert "late" == await task
    assert 4 <= len(peer.packets("PING")) <= 6


async def test_quick_answers_cost_no_probe(mesh: Mesh, peer: Foreign, clock: Clock) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)

    for _ in range(20):
        peer.heard = [one for one in peer.heard if one[0] != "REQ"]
        task = asyncio.ensure_future(caller.call("far.do"))
        request = await peer.hears("REQ")
        clock.now += 0.6
        await asyncio.sleep(0.06)  # A look at the table.
        peer.answer(request)
        await task

    assert [] == peer.packets("PING")


async def test_an_answer_that_comes_just_after_the_goodbye_still_counts(caller: Broker, first: Foreign) -> None:
    """What a leaving node refused after it said goodbye was surely not run, and goes elsewhere."""
    task = asyncio.ensure_future(caller.call("far.do"))
    request = await first.hears("REQ")

    first.say("DISCONNECT")
    await until(lambda: not caller.registry.nodes["f"].available)
    first.answer(request, success=False, error={**NOT_AVAILABLE, "data": {"action": "far.do", "nodeID": "f"}})

    assert "b" == (await task)["node"]


async def test_the_grace_of_a_lost_node_is_not_for_its_successor(mesh: Mesh, peer: Foreign, clock: Clock) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    old = asyncio.ensure_future(caller.call("far.do"))
    await peer.hears("REQ")
    peer.say("DISCONNECT")
    await until(lambda: not caller.registry.nodes["f"].available)
    peer.introduce(service_info("far", "do"), instanceID="second")
    await until(lambda: caller.registry.nodes["f"].available)
    new = asyncio.ensure_future(caller.call("far.do"))
    await until(lambda: len(peer.packets("REQ")) == 2)

    clock.now += GRACE
    with pytest.raises(errors.RequestRejectedError):
        await old
    peer.answer(peer.packets("REQ")[1], data="new")

    assert "new" == await new


async def test_calls_to_the_former_run_of_a_restarted_node_end_as_unknown(
    mesh: Mesh, peer: Foreign, clock: Clock
) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"), instanceID="first")
    await caller.wait_for_services("far", 5)
    task = asyncio.ensure_future(caller.call("far.do"))
    await peer.hears("REQ")

    peer.introduce(service_info("far", "do"), instanceID="second")
    await until(lambda: caller.registry.nodes["f"].instance_id == "second")
    clock.now += GRACE

    with pytest.raises(errors.RequestRejectedError) as caught:
        await task
    assert "unknown" == caught.value.outcome
    assert caller.registry.nodes["f"].available


async def test_new_services_of_a_node_that_stays_reject_nothing(mesh: Mesh, peer: Foreign, clock: Clock) -> None:
    caller = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await caller.wait_for_services("far", 5)
    task = asyncio.ensure_future(caller.call("far.do"))
    request = await peer.hears("REQ")

    peer.introduce(service_info("far", "do", "more"), seq=2)
    await until(lambda: "far.more" in caller.registry.actions)
    clock.now += GRACE
    await asyncio.sleep(0.06)
    peer.answer(request, data="here")

    assert "here" == await task
