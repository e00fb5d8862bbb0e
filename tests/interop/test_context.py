"""What travels beside the params: meta, headers, and who called whom."""

from __future__ import annotations

import asyncio
import time

import pytest

from .mesh import SHORT, Mesh, Pair

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

META = {"user": {"id": 5, "name": "Jürgen"}, "list": [1, None]}


async def test_meta_goes_down_and_comes_back_changed(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.meta", {}, meta=META)

    assert META == answer.value
    assert {**META, "back": pair.callee.id} == answer.meta


async def test_meta_comes_back_with_an_error_too(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.meta", {"fail": True}, meta=META)

    assert answer.error is not None
    assert {**META, "back": pair.callee.id} == answer.meta


async def test_meta_of_a_nested_call_comes_back_through_all_levels(pair: Pair) -> None:
    nested = {"action": f"{pair.caller.id}.meta", "params": {}}

    answer = await pair.caller.call(f"{pair.callee.id}.forward", nested, meta=META)

    assert META == answer.value
    assert {**META, "back": pair.caller.id} == answer.meta


async def test_a_call_from_outside_begins_a_chain(pair: Pair) -> None:
    facts = (await pair.caller.call(f"{pair.callee.id}.context")).value

    assert (1, pair.caller.id) == (facts["level"], facts["nodeID"])
    assert facts["requestID"] == facts["id"]
    assert facts["parentID"] is None
    assert facts["caller"] is None


async def test_a_request_id_may_be_given(pair: Pair) -> None:
    facts = (await pair.caller.call(f"{pair.callee.id}.context", request_id="from-outside")).value

    assert "from-outside" == facts["requestID"]


async def test_a_chain_over_the_nodes_and_back_knows_its_levels_parents_and_callers(pair: Pair) -> None:
    here, there = pair.caller.id, pair.callee.id

    answer = await pair.caller.call(f"{there}.chain", {"route": [here, there, here, there]}, timeout=5.0)

    links = answer.value
    assert [there, here, there, here, there] == [link["node"] for link in links]
    assert [1, 2, 3, 4, 5] == [link["level"] for link in links]
    assert [here, there, here, there, here] == [link["nodeID"] for link in links]
    assert 1 == len({link["requestID"] for link in links})
    assert [link["id"] for link in links[:-1]] == [link["parentID"] for link in links[1:]]
    assert [None, there, here, there, here] == [link["caller"] for link in links]
    assert 5 == len({link["id"] for link in links})


async def test_headers_go_one_hop_in_the_fifth_protocol(pair: Pair, line: str) -> None:
    """The fourth has none: there they are left out, and the call goes through."""
    headers = {"x-first": "1", "x-second": "zwei"}

    facts = (await pair.caller.call(f"{pair.callee.id}.context", headers=headers)).value
    nested = {"action": f"{pair.caller.id}.context"}
    further = (await pair.caller.call(f"{pair.callee.id}.forward", nested, headers=headers)).value

    assert (headers if line == "0.15" else {}) == (facts.get("headers") or {})
    assert {} == (further.get("headers") or {})


async def test_ten_calls_run_side_by_side(pair: Pair) -> None:
    begin = time.monotonic()

    answers = await asyncio.gather(*(pair.caller.call(f"{pair.callee.id}.sleep", {"ms": 200}) for _ in range(10)))

    assert [200] * 10 == [answer.value for answer in answers]
    assert time.monotonic() - begin < 1.9


async def test_chains_in_both_directions_at_once_do_not_wait_for_each_other(couple: Mesh, line: str) -> None:
    node = SHORT[line]
    routes = [[node, "py"] * 3, ["py", node] * 3] * 10

    answers = await asyncio.gather(
        *(couple["py"].call(f"{first}.chain", {"route": rest}, timeout=5.0) for first, *rest in routes)
    )

    assert routes == [[link["node"] for link in answer.value] for answer in answers]
