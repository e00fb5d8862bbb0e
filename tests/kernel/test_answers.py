"""Answers as a strange node may send them: each call ends once, and only by the node that was asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, errors
from tautomer.host import Host
from tautomer.transit import requesting
from tests.kernel.mesh import Clock, Foreign, Mesh, dropped, service_info, token_of


class Math(Service):
    name = "math"

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]


@pytest.fixture
async def caller(mesh: Mesh, peer: Foreign) -> Broker:
    """A node that knows an action of the foreign one."""
    broker = await mesh.node("a", Math)
    peer.introduce(service_info("far", "do"))
    await broker.wait_for_services("far", 5)
    return broker


async def called(caller: Broker, peer: Foreign, **options: Any) -> tuple[asyncio.Task[Any], dict[str, Any]]:
    """A call that has reached the foreign node: its task, and the REQ."""
    peer.heard.clear()
    task = asyncio.ensure_future(caller.call("far.do", **options))
    return task, await peer.hears("REQ")


async def test_an_answer_that_nobody_waits_for_is_dropped(caller: Broker, peer: Foreign) -> None:
    peer.say("RES", "a", id="never-asked", success=True, data=1)

    assert await peer.finds_well("a")
    assert {"orphan": 1} == dropped(caller)


async def test_an_answer_counts_only_from_the_node_that_was_asked(caller: Broker, peer: Foreign, mesh: Mesh) -> None:
    stranger = await mesh.foreign("g")
    task, request = await called(caller, peer)

    stranger.say("RES", "a", id=request["id"], success=True, data="forged")
    assert await stranger.finds_well("a")
    peer.answer(request, data="true")

    assert "true" == await task
    assert {"orphan": 1} == dropped(caller)


async def test_a_second_answer_is_dropped(caller: Broker, peer: Foreign) -> None:
    task, request = await called(caller, peer)

    peer.answer(request, data="first")
    peer.answer(request, data="second")

    assert "first" == await task
    assert await peer.finds_well("a")
    assert {"orphan": 1} == dropped(caller)


@pytest.mark.parametrize("error", [{}, {"error": None}, {"error": "text"}, {"error": []}, {"error": {}}])
async def test_a_failure_without_usable_error_is_a_plain_one(
    caller: Broker, peer: Foreign, error: dict[str, Any]
) -> None:
    task, request = await called(caller, peer)

    peer.answer(request, success=False, **error)

    with pytest.raises(errors.RemoteError, match="remote error without detail") as caught:
        await task
    assert (500, "f") == (caught.value.code, caught.value.node_id)


async def test_an_error_of_an_unknown_name_keeps_it(caller: Broker, peer: Foreign) -> None:
    task, request = await called(caller, peer)

    told = {"name": "os.system", "message": "m", "code": 451, "type": "T", "data": {"x": 1}, "retryable": True}
    peer.answer(request, success=False, error=told)

    with pytest.raises(errors.RemoteError) as caught:
        await task
    error = caught.value
    assert ("os.system", "m", 451, "T", {"x": 1}, True) == (
        error.name,
        error.message,
        error.code,
        error.type,
        error.data,
        error.retryable,
    )


@pytest.mark.parametrize("code", [0, 200, 399, 600, -1, 1e300])
async def test_a_code_that_is_no_status_of_an_error_becomes_500(caller: Broker, peer: Foreign, code: Any) -> None:
    task, request = await called(caller, peer)

    peer.answer(request, success=False, error={"name": "MoleculerError", "message": "m", "code": code})

    with pytest.raises(errors.MoleculerError) as caught:
        await task
    assert 500 == caught.value.code


@pytest.mark.parametrize("data", [b"1e999", b'"\xff"', b"[" * 5_000 + b"]" * 5_000, b"NaN", b""])
async def test_an_answer_that_cannot_be_read_does_not_hold_the_call_longer_than_its_time(
    caller: Broker, peer: Foreign, data: bytes
) -> None:
    task, request = await called(caller, peer, timeout=0.1)

    head = json.dumps({"id": request["id"], "success": True, "ver": "5", "sender": "f"}).encode()
    peer.say_bytes("RES", head[:-1] + b',"data":' + data + b"}", "a")

    with pytest.raises((errors.SerializationError, errors.RequestTimeoutError)):
        await task
    assert 0 == caller.statistics()["transit"]["pending"]


async def test_an_answer_without_data_is_none(caller: Broker, peer: Foreign) -> None:
    task, request = await called(caller, peer)

    peer.say("RES", "a", id=request["id"], success=True)

    assert await task is None


async def test_meta_of_an_answer_comes_back_but_for_what_the_caller_said_of_itself(
    caller: Broker, peer: Foreign
) -> None:
    parent = caller.context(meta={"user": "me", "$client": "mine", "color": "red"})
    task = asyncio.ensure_future(parent.call("far.do"))
    request = await peer.hears("REQ")

    told = {"user": "somebody else", "$client": "forged", "color": "blue", "$statusCode": 201, "more": 1}
    peer.answer(request, meta=told)

    await task
    assert {"user": "me", "$client": "mine", "color": "blue", "$statusCode": 201, "more": 1} == parent.meta


async def test_a_user_that_the_caller_does_not_know_may_come_from_elsewhere(caller: Broker, peer: Foreign) -> None:
    parent = caller.context()
    task = asyncio.ensure_future(parent.call("far.do"))

    peer.answer(await peer.hears("REQ"), meta={"user": {"id": 5}})

    await task
    assert {"id": 5} == parent.user


# --- whatever comes first (ready-made property 4) ---

ENDS: dict[str, type[BaseException] | None] = {
    "answer": None,
    "timeout": errors.RequestTimeoutError,
    "lost": errors.RequestRejectedError,
    "undelivered": errors.ServiceNotAvailableError,
    "cancel": asyncio.CancelledError,
    "stop": errors.RequestRejectedError,
}


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "in one turn of the loop"])
@pytest.mark.parametrize("first", ENDS)
async def test_a_call_ends_once_whatever_comes_in_whatever_order(
    first: str, at_once: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(requesting, "SWEEP", 0.001)
    for rest in itertools.permutations(sorted(ENDS.keys() - {first}), 2):
        mesh = Mesh()
        try:
            outcome, tables = await ended_by(mesh, (first, *rest), at_once)
        finally:
            await mesh.close()

        allowed = {ENDS[step] for step in ((first, *rest) if at_once else (first,))}
        assert outcome in allowed, (first, *rest)
        assert {"pending": 0, "tokens": 0, "in_flight": 0} == tables, (first, *rest)
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def ended(task: asyncio.Task[Any], clock: Clock) -> None:
    """Wait, and let time pass slowly: a lost node's calls are given a moment."""
    while not task.done():
        await asyncio.sleep(0.001)
        clock.now += 0.05


async def ended_by(
    mesh: Mesh, steps: Sequence[str], at_once: bool
) -> tuple[type[BaseException] | None, dict[str, int]]:
    """What a call ended with (None: its answer) when all this happened to it, and the sizes of the tables after."""
    clock = Clock()
    peer = await mesh.foreign()
    broker = await mesh.node("a", host=Host(clock=clock))
    peer.introduce(service_info("far", "do"))
    await broker.wait_for_services("far", 5)
    task = asyncio.ensure_future(broker.call("far.do", timeout=20.0))
    request = await peer.hears("REQ")
    way = broker.transit
    assert way is not None
    token = token_of(way, request["id"])
    assert token is not None
    stopping: list[asyncio.Task[None]] = []

    for step in steps:
        match step:
            case "answer":
                peer.answer(request, data="done")
            case "timeout":
                clock.now += 20.1
            case "lost":
                peer.say("DISCONNECT")
            case "undelivered":
                way.undelivered(token)
            case "cancel":
                task.cancel()
            case "stop":
                stopping.append(asyncio.ensure_future(broker.stop()))
        if not at_once:
            await ended(task, clock)
    await ended(task, clock)
    result = (await asyncio.gather(task, return_exceptions=True))[0]
    await asyncio.gather(*stopping)
    tables = {
        "pending": way.statistics()["pending"],
        "tokens": len(way.requesting._tokens),
        "in_flight": len(way.serving),
    }
    return (type(result) if isinstance(result, BaseException) else None), tables
