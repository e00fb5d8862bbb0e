"""The harness itself: two real Node.js nodes of one line, before Python comes in."""

from __future__ import annotations

import asyncio

import pytest

from .mesh import Mesh, hears, sees
from .peers import UNDEFINED
from .program import ProgramFailed

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_two_nodes_of_one_line_call_and_tell_each_other(mesh: Mesh) -> None:
    pairs = {"0.14": ("a14", "b14"), "0.15": ("a15", "b15")}
    ears = {"ears": {"user.*": "group"}}
    await asyncio.gather(*(mesh.add_node(line, id, listeners=ears) for line, ids in pairs.items() for id in ids))
    await mesh.meet()

    for line, (one_id, two_id) in pairs.items():
        one, two = mesh[one_id], mesh[two_id]
        assert one.program.ready["moleculer"].startswith(line)
        assert one.program.ready["node"].startswith("v22")
        assert 3 == (await one.call(f"{two_id}.add", {"a": 1, "b": 2})).value
        assert UNDEFINED is (await one.call(f"{two_id}.nothing")).value
        answer = await one.call(f"{two_id}.meta", {"fail": True}, meta={"m": 1})
        assert answer.error is not None
        assert ("MoleculerClientError", 456) == (answer.error["name"], answer.error["code"])
        assert {"m": 1, "back": two_id} == answer.meta
        assert {one_id, two_id} == set(await one.nodes())
        assert two_id == (await one.ping(two_id))["nodeID"]
        await one.tell("broadcast", "user.created", {"id": 1})
        assert {"id": 1} == (await hears(two, "user.created"))[0]["data"]
        await two.leave()
        await sees(one, f"{two_id}.echo")


async def test_a_program_that_ends_says_why(mesh: Mesh) -> None:
    with pytest.raises(ProgramFailed, match=r"no-such-kind|is not a function"):
        await mesh.add_node("0.15", services=[{"kind": "no-such-kind"}])
