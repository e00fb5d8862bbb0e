"""`disableBalancer: true`: NATS chooses, between Node.js and Python nodes (protocol reference, section 2.3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .mesh import Mesh, Pair, hears, knows_listeners, sees
from .peers import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def couple(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    """As everywhere, but NATS chooses. Both offer a calculator and listen in one group."""
    async with Mesh(nats_url, node) as mesh:
        ears = {"ears": {"shared.*": "both", "apart.**": None}}
        await mesh.add_node(line, listeners=ears, broker={"disableBalancer": True})
        await mesh.add_python(listeners=ears, disable_balancer=True)
        await mesh.meet()
        for peer in mesh.peers.values():
            await peer.offer("calc")
        for peer in mesh.peers.values():
            await sees(peer, "calc.double", *mesh.peers)
            await knows_listeners(peer, "shared.x", *mesh.peers)
        yield mesh


async def test_a_call_reaches_the_one_who_offers_the_action(pair: Pair) -> None:
    assert {"n": 1} == (await pair.caller.call(f"{pair.callee.id}.echo", {"n": 1}, timeout=5.0)).value
    assert {"n": 1} == (await pair.caller.call(f"{pair.caller.id}.echo", {"n": 1}, timeout=5.0)).value
    facts = (await pair.caller.call(f"{pair.callee.id}.context", timeout=5.0)).value
    assert pair.caller.id == facts["nodeID"]


async def test_calls_are_shared_by_all_who_offer_the_action(pair: Pair) -> None:
    answers = await asyncio.gather(*(pair.caller.call("calc.where", timeout=5.0) for _ in range(60)))

    counted = Counter(answer.value for answer in answers)
    assert {pair.caller.id, pair.callee.id} == set(counted)
    assert 60 == counted.total()


async def test_a_call_to_a_named_node_goes_there(pair: Pair) -> None:
    answer = await pair.caller.call("$node.options", node_id=pair.callee.id, timeout=5.0)

    assert pair.callee.id == answer.value["nodeID"]


async def test_errors_come_back(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.add", {"a": "x", "b": 1}, timeout=5.0)
    assert answer.error is not None
    assert "VALIDATION_ERROR" == answer.error["type"]

    missing = await pair.caller.call("nobody.offers.this", timeout=5.0)
    assert missing.error is not None
    assert "SERVICE_NOT_FOUND" == missing.error["type"]


async def test_a_protected_action_is_not_reached(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.guarded", timeout=5.0)

    assert answer.error is not None
    assert "SERVICE_NOT_FOUND" == answer.error["type"]


async def test_an_emitted_event_reaches_one_of_a_shared_group(pair: Pair, couple: Mesh) -> None:
    event = f"shared.{pair.caller.id}"
    for number in range(30):
        await pair.caller.tell("emit", event, number)

    async def all_heard() -> bool:
        return sum(len(peer.heard(event)) for peer in couple.peers.values()) >= 30

    await until(all_heard)
    heard = Counter(one["data"] for peer in couple.peers.values() for one in peer.heard(event))
    assert dict.fromkeys(range(30), 1) == heard
    assert all(peer.heard(event) for peer in couple.peers.values())
    assert {("both",)} == {tuple(one["groups"]) for peer in couple.peers.values() for one in peer.heard(event)}


async def test_an_emitted_event_reaches_a_group_by_a_pattern_with_two_stars(pair: Pair, couple: Mesh) -> None:
    event = f"apart.deep.{pair.caller.id}"
    await pair.caller.tell("emit", event, 1, ["ears"])

    async def heard_once() -> bool:
        return sum(len(peer.heard(event)) for peer in couple.peers.values()) == 1

    await until(heard_once)


async def test_a_broadcast_reaches_everyone(pair: Pair, couple: Mesh) -> None:
    event = f"shared.all-{pair.caller.id}"
    await pair.caller.tell("broadcast", event, 5)

    for peer in couple.peers.values():
        assert [5] == [one["data"] for one in await hears(peer, event)]


async def test_a_service_that_comes_later_is_found_and_one_that_goes_is_asked_no_more(pair: Pair) -> None:
    """Node.js subscribes only after it has told of the service, so that the first calls to it may be lost."""
    name = f"later-{pair.callee.id}"
    await pair.callee.offer(name)
    await sees(pair.caller, f"{name}.double", pair.callee.id)

    async def answered() -> bool:
        return (await pair.caller.call(f"{name}.double", {"n": 2}, timeout=0.5)).value == 4

    await until(answered)
    await pair.callee.withdraw(name)
    await sees(pair.caller, f"{name}.double")
    gone = await pair.caller.call(f"{name}.double", {"n": 2}, timeout=5.0)
    assert gone.error is not None
    assert gone.error["type"] in ("SERVICE_NOT_AVAILABLE", "SERVICE_NOT_FOUND")
