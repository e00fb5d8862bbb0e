"""Circuits between Python and Node.js, both ways: each sees the other's open, and leaves alone what fails there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .mesh import SHORT, Mesh, Pair, sees
from .moody import Moody
from .peers import Answer, Peer, until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MOOD = {"message": "not in the mood", "code": 500, "type": "MOOD", "data": {"a": 1}, "retryable": False}
REFUSED = {"name": "ServiceNotAvailableError", "code": 404, "type": "SERVICE_NOT_AVAILABLE", "retryable": True}
CHANGES = ["$circuit-breaker.opened", "$circuit-breaker.half-opened", "$circuit-breaker.closed"]
FAIL = {"fail": True}


def ears(id: str) -> dict[str, Any]:
    return {f"{id}-ears": {"$circuit-breaker.*": None}}


@pytest_asyncio.fixture(loop_scope="module")
async def couple(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    """A Node.js node and a Python one, both with a moody service: new for each test, as circuits remember."""
    async with Mesh(nats_url, node) as mesh:
        id = SHORT[line]
        await mesh.add_node(line, services=[{"kind": "moody", "name": id}], listeners=ears(id))
        await mesh.add_python(services=[Moody("py")], listeners=ears("py"))
        await meet(mesh)
        yield mesh


async def meet(mesh: Mesh) -> None:
    await mesh.meet()
    for peer in mesh.peers.values():
        for id in mesh.peers:
            await sees(peer, f"{id}-moody.plain", id)


def told(peer: Peer, by: str | None) -> list[tuple[str, dict[str, Any]]]:
    """The changes that this peer was told of by that one; None: by itself, as Node's local events have no sender."""
    known = [one for one in peer.heard() if one["event"].startswith("$circuit-breaker.")]
    return [(one["event"], one["about"]) for one in known if one["context"]["nodeID"] == by]


async def is_well(peer: Peer, action: str, params: Any) -> None:
    """Wait until the action answers again."""

    async def answers() -> bool:
        return (await peer.call(action, params)).value == "well"

    await until(answers)


def assert_refused(answer: Answer, action: str) -> None:
    assert answer.error is not None
    assert REFUSED == {name: answer.error[name] for name in REFUSED}
    assert action == answer.error["data"]["action"]


async def test_a_circuit_that_opens_over_there_is_an_error_and_an_event_here(pair: Pair) -> None:
    """The other node calls its own action, whose circuit opens; who waits for that sees it as it is."""
    caller, callee = pair
    action, through = f"{callee.id}-moody.guarded", f"{callee.id}.forward"

    failed = [await caller.call(through, {"action": action, "params": FAIL}) for _ in range(3)]
    refused = await caller.call(through, {"action": action, "params": {}})

    for answer in failed:
        assert answer.error is not None
        assert MOOD == {name: answer.error[name] for name in MOOD}
    assert_refused(refused, action)
    assert 3 == (await caller.call(f"{callee.id}-moody.asked")).value

    await is_well(caller, through, {"action": action, "params": {}})

    async def all_told() -> bool:
        return len(told(caller, callee.id)) == 3

    await until(all_told)
    about = {"nodeID": callee.id, "service": f"{callee.id}-moody", "action": action}
    opened = {**about, "failures": 3, "count": 3, "rate": 1}
    assert [(CHANGES[0], opened), (CHANGES[1], about), (CHANGES[2], about)] == told(caller, callee.id)


async def test_what_an_action_says_of_its_circuit_holds_for_callers_of_the_other_kind(pair: Pair) -> None:
    """Its options travel in INFO: the caller has a circuit over it, without any settings of its own."""
    caller, callee = pair
    action = f"{callee.id}-moody.guarded"

    failed = [await caller.call(action, FAIL) for _ in range(3)]
    refused = await caller.call(action)

    assert [500] * 3 == [answer.error["code"] for answer in failed if answer.error]
    assert_refused(refused, action)

    async def callee_was_told() -> bool:
        return len(told(callee, caller.id)) >= 1

    await until(callee_was_told)
    about = {"nodeID": callee.id, "service": f"{callee.id}-moody", "action": action}
    assert (CHANGES[0], {**about, "failures": 3, "count": 3, "rate": 1}) == told(callee, caller.id)[0]

    await is_well(caller, action, {})

    async def closed() -> bool:
        return [CHANGES[2], about] in [list(one) for one in told(callee, caller.id)]

    await until(closed)


@pytest.mark.parametrize("way", ["python-calls", "node-calls"])
async def test_a_caller_with_circuits_of_its_own_asks_a_failing_endpoint_no_more(
    node: str, nats_url: str, line: str, way: str
) -> None:
    """The callee knows nothing of them."""
    async with Mesh(nats_url, node) as mesh:
        id = SHORT[line]
        if way == "node-calls":
            wire = {"enabled": True, "minRequestCount": 3, "halfOpenTime": 60_000}
            caller: Peer = await mesh.add_node(
                line, services=[{"kind": "moody", "name": id}], broker={"circuitBreaker": wire}
            )
            callee: Peer = await mesh.add_python(services=[Moody("py")])
        else:
            callee = await mesh.add_node(line, services=[{"kind": "moody", "name": id}])
            ours = {"enabled": True, "min_request_count": 3, "half_open_time": 60}
            caller = await mesh.add_python(services=[Moody("py")], circuit_breaker=ours)
        await meet(mesh)
        action = f"{callee.id}-moody.plain"

        answers = [await caller.call(action, FAIL) for _ in range(3)]
        refused = await caller.call(action)

        assert [500] * 3 == [answer.error["code"] for answer in answers if answer.error]
        assert_refused(refused, action)
        assert 3 == (await caller.call(f"{callee.id}-moody.asked")).value
        assert "well" == (await callee.call(action)).value
