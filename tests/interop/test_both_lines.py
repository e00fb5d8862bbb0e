"""One mesh of Moleculer 0.14, Moleculer 0.15 and Python. The two Node.js lines never hear each other; Python hears both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import nats
from tests.nats_flush import flush

from .mesh import SHORT, Mesh, hears, sees
from .peers import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NODES = tuple(SHORT.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(node: str, nats_url: str) -> AsyncIterator[Mesh]:
    """Nodes n14, n15 and py, each with a listener."""
    async with Mesh(nats_url, node) as mesh:
        jobs = {"jobs": {"job": "workers"}}
        beats = {"heartbeatInterval": 0.5}
        await asyncio.gather(
            *(
                mesh.add_node(line, listeners={**jobs, f"{id}-news": {"news": None}}, broker=beats)
                for line, id in SHORT.items()
            )
        )
        await mesh.add_python(listeners={"py-news": {"news": None}}, heartbeat_interval=0.2, heartbeat_timeout=2.0)
        await mesh.meet()
        yield mesh


async def test_python_sees_both_lines_and_each_line_sees_python(both: Mesh) -> None:
    assert {"py", "n14", "n15"} == set(await both["py"].nodes())
    assert {"py", "n14"} == set(await both["n14"].nodes())
    assert {"py", "n15"} == set(await both["n15"].nodes())


async def test_a_chain_goes_through_all_of_them(both: Mesh) -> None:
    routes = [
        ("py", ["n14", "py", "n15", "py", "n14"]),
        ("n14", ["py", "n15", "py", "n14"]),
        ("n15", ["py", "n14", "py", "n15"]),
    ]
    for start, (first, *rest) in routes:
        links = (await both[start].call(f"{first}.chain", {"route": rest}, timeout=5.0, meta={"m": 1})).value

        assert [first, *rest] == [link["node"] for link in links]
        assert 1 == len({link["requestID"] for link in links})
        assert all({"m": 1} == link["meta"] for link in links)
        levels = [link["level"] for link in links]
        assert list(range(levels[0], levels[0] + len(links))) == levels
        assert [link["id"] for link in links[:-1]] == [link["parentID"] for link in links[1:]]


@pytest.mark.parametrize(("asker", "owner"), [("n14", "n15"), ("n15", "n14")])
async def test_an_error_of_one_line_reaches_the_other_through_python(both: Mesh, asker: str, owner: str) -> None:
    nested = {"action": f"{owner}.fail", "params": {"kind": "custom"}}

    answer = await both[asker].call("py.forward", nested, timeout=5.0)

    assert answer.error is not None
    expected = {"name": "TeapotError", "code": 418, "type": "TEAPOT", "data": {"spout": True}, "nodeID": owner}
    assert expected == {key: answer.error.get(key) for key in expected}


async def test_meta_of_one_line_comes_back_to_the_other_through_python(both: Mesh) -> None:
    answer = await both["n14"].call("py.forward", {"action": "n15.meta", "params": {}}, meta={"m": 1})

    assert {"m": 1} == answer.value
    assert {"m": 1, "back": "n15"} == answer.meta


async def test_a_broadcast_of_python_reaches_both_lines_once(both: Mesh) -> None:
    await both["py"].tell("broadcast", "news", "from py")
    await both["py"].tell("broadcast", "news", "fence")

    for id in both.peers:
        told = [one["data"] for one in await hears(both[id], "news", 2)]
        assert ["from py", "fence"] == told


async def test_a_balanced_event_of_python_goes_to_one_line_or_the_other(both: Mesh) -> None:
    for number in range(20):
        await both["py"].tell("emit", "job", number)

    async def all_came() -> bool:
        return 20 == sum(len(both[id].heard("job")) for id in NODES)

    await until(all_came)
    told: list[Any] = [one["data"] for id in NODES for one in both[id].heard("job")]
    assert list(range(20)) == sorted(told)
    assert [10, 10] == [len(both[id].heard("job")) for id in NODES]


async def test_services_of_python_come_and_go_for_both_lines(both: Mesh) -> None:
    await both["py"].offer("calc", 2)
    for id in NODES:
        await sees(both[id], "v2.calc.double", "py")
        assert 42 == (await both[id].call("v2.calc.double", {"n": 21})).value

    await both["py"].withdraw("v2.calc")
    for id in NODES:
        await sees(both[id], "v2.calc.double")


async def test_calls_of_one_service_on_both_lines_are_all_answered(both: Mesh) -> None:
    await asyncio.gather(*(both[id].offer("shared") for id in NODES))
    await sees(both["py"], "shared.double", *NODES)

    answers = await asyncio.gather(*(both["py"].call("shared.double", {"n": n}) for n in range(20)))

    assert [2 * n for n in range(20)] == [answer.value for answer in answers]


async def test_heartbeats_of_python_reach_both_lines_and_theirs_reach_python(both: Mesh) -> None:
    for one, other in (("n14", "py"), ("n15", "py"), ("py", "n14"), ("py", "n15")):
        first = (await both[one].nodes())[other]["lastHeartbeatTime"]

        async def later(one: str = one, other: str = other, first: float = first) -> bool:
            return bool((await both[one].nodes())[other]["lastHeartbeatTime"] > first)

        await until(later, timeout=3.0)


async def test_ping_reaches_both_lines(both: Mesh) -> None:
    assert {"n14", "n15"} == set(await both["py"].ping())
    assert all((await both["py"].ping()).values())


@pytest.mark.parametrize(("early", "late"), [("0.14", "0.15"), ("0.15", "0.14")])
async def test_a_line_that_comes_late_is_spoken_to_in_its_own_version(mesh: Mesh, early: str, late: str) -> None:
    """Python broadcasts in the versions that it has heard; a new one must be taken up, and none lost."""
    await mesh.add_node(early, "early")
    await mesh.add_python()
    await mesh.meet()
    await mesh.add_node(late, "late")
    await mesh.meet()

    await mesh["py"].offer("calc")

    for id in ("early", "late"):
        await sees(mesh[id], "calc.double", "py")
        assert 4 == (await mesh[id].call("calc.double", {"n": 2})).value
    await mesh["py"].leave()
    for id in ("early", "late"):
        await sees(mesh[id], "calc.double")


async def test_a_starting_node_of_a_line_not_heard_so_far_is_told_all_the_same(mesh: Mesh) -> None:
    """A starting Node.js node listens for 1.5 s before it says a word: till then nobody knows its version.

    So the first INFO of a Python node goes out in both, and the first node of a line to speak up makes
    Python tell all of that line.
    """
    client = await nats.connect(mesh.url)
    try:
        told = await client.subscribe(f"MOL-{mesh.namespace}.INFO")
        await flush(client)

        async def versions_told(sender: str, count: int) -> set[str]:
            infos = [json.loads((await told.next_msg(timeout=5)).data) for _ in range(count)]
            assert {sender} == {info["sender"] for info in infos}
            return {info["ver"] for info in infos}

        await mesh.add_python("first")
        assert {"4", "5"} == await versions_told("first", 2)
        await mesh.add_python("second")
        assert {"4", "5"} == await versions_told("second", 2)
        await mesh.meet()
        await mesh["first"].offer("calc")
        assert {"5"} == await versions_told("first", 1)

        spoken = {"services": [], "instanceID": "by-hand", "seq": 1, "ver": "4", "sender": "by-hand"}
        await client.publish(f"MOL-{mesh.namespace}.INFO.first", json.dumps(spoken).encode())
        assert {"4"} == await versions_told("first", 1)
    finally:
        await client.close()
