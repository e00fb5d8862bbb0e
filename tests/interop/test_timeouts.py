"""Who waits how long: the caller's time, told to the callee and shared by what it calls in turn."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import nats
from tautomer.context import Context
from tautomer.decorators import action
from tautomer.service import Service

from .mesh import SHORT, Mesh, Pair, knows_listeners, sees
from .peers import PythonPeer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

_numbers = itertools.count(1)


class Limited(Service):
    """Has a time limit of its own on its action, which INFO tells."""

    name = "limited"

    @action(timeout=0.2)
    async def sleep(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(5)


async def test_a_call_over_its_time_fails_at_the_caller(pair: Pair) -> None:
    begin = time.monotonic()

    answer = await pair.caller.call(f"{pair.callee.id}.sleep", {"ms": 3_000}, timeout=0.2)

    waited = time.monotonic() - begin
    assert answer.error is not None
    expected = {"name": "RequestTimeoutError", "code": 504, "type": "REQUEST_TIMEOUT", "retryable": True}
    assert expected == {key: answer.error.get(key) for key in expected}
    assert f"{pair.callee.id}.sleep" == answer.error["data"]["action"]
    assert 0.2 <= waited < 1.9


async def test_the_callee_is_told_how_long_the_caller_waits(pair: Pair) -> None:
    facts = (await pair.caller.call(f"{pair.callee.id}.context", timeout=2.5)).value

    assert 2_400 < facts["timeout"] <= 2_500


async def test_a_caller_without_end_is_told_as_no_limit(pair: Pair) -> None:
    """A Node.js caller without a timeout sends 0: the callee's own default must not cut the call."""
    facts = (await pair.caller.call(f"{pair.callee.id}.context", timeout=0)).value

    assert not facts["timeout"]


async def test_nodes_default_of_no_timeout_is_no_limit_in_python(couple: Mesh, line: str) -> None:
    facts = (await couple[SHORT[line]].call("py.context")).value

    assert facts["timeout"] is None


async def test_what_a_callee_calls_in_turn_has_the_time_that_is_left(pair: Pair) -> None:
    nested = {"action": f"{pair.caller.id}.context", "after_ms": 100}

    facts = (await pair.caller.call(f"{pair.callee.id}.forward", nested, timeout=2.0)).value

    assert 1_000 < facts["timeout"] <= 1_901


async def test_a_call_whose_time_is_used_up_makes_no_further_call(pair: Pair, line: str) -> None:
    """The caller gave up at 0.1 s; the callee wanted to go on at 0.3 s, and must not."""
    before = len(pair.caller.heard("late"))
    publish = {"action": f"{pair.caller.id}.publish", "params": {"type": "emit", "event": "late"}, "after_ms": 300}

    answer = await pair.caller.call(f"{pair.callee.id}.forward", publish, timeout=0.1)
    # A second one without a limit goes the same way after the first would have, so it is no guess when to look.
    await pair.caller.call(f"{pair.callee.id}.forward", {**publish, "after_ms": 400})

    assert answer.error is not None
    assert "RequestTimeoutError" == answer.error["name"]
    assert before + 1 == len(pair.caller.heard("late"))


@pytest_asyncio.fixture(loop_scope="module", autouse=True, scope="module")
async def limited(couple: Mesh, line: str) -> AsyncIterator[None]:
    python: PythonPeer = couple["py"]
    await python.broker.register(Limited())
    for peer in couple.peers.values():
        await knows_listeners(peer, "late", *couple.peers)
    await sees(couple[SHORT[line]], "limited.sleep", "py")
    yield


async def test_an_actions_own_limit_counts_for_callers_of_other_nodes(couple: Mesh, line: str) -> None:
    begin = time.monotonic()

    answer = await couple[SHORT[line]].call("limited.sleep")

    assert answer.error is not None
    assert ("RequestTimeoutError", 504) == (answer.error["name"], answer.error["code"])
    assert 0.2 <= time.monotonic() - begin < 1.9


@pytest.mark.parametrize("timeout", ["null", None])
async def test_a_request_without_a_limit_has_the_actions_own(couple: Mesh, line: str, timeout: str | None) -> None:
    """No Node.js caller sends null, but the protocol allows it: then the callee's own limits are in force."""
    begin = time.monotonic()
    wire = {} if timeout is None else {"timeout": None}

    error = await ask_bare(couple, line, "limited.sleep", wire)

    assert ("RequestTimeoutError", 504) == (error["name"], error["code"])
    assert 0.2 <= time.monotonic() - begin < 1.9


async def ask_bare(couple: Mesh, line: str, action: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Send a hand-made REQ to the Python node; the `error` of its RES."""
    version = {"0.14": "4", "0.15": "5"}[line]
    prefix = f"MOL-{couple.namespace}"
    client = await nats.connect(couple.url)
    try:
        answers = await client.subscribe(f"{prefix}.RES.by-hand")
        request = {"id": f"by-hand-{next(_numbers)}", "action": action, "params": {}, "meta": {}, **fields}
        packet = {**request, "ver": version, "sender": "by-hand"}
        await client.publish(f"{prefix}.REQ.py", json.dumps(packet).encode())
        message = await answers.next_msg(timeout=5)
        found: dict[str, Any] = json.loads(message.data)["error"]
        return found
    finally:
        await client.close()
