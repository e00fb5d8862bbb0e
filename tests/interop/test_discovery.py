"""Nodes find each other in any order, and see each other's services come and go."""

from __future__ import annotations

import asyncio
import time

import pytest

from .mesh import SHORT, Mesh, knows_listeners, sees
from .peers import Peer, until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Node.js does not answer DISCOVER for its first 0.5 s, and holds its own INFO back for 1 s.
NODE_SECONDS = 1.5
JOIN_SECONDS = 1.5 + 3.5  # The half that is slack: the suite shares two cores with everything it started.


async def test_they_meet_when_python_is_first(mesh: Mesh) -> None:
    await mesh.add_python()
    await asyncio.gather(*(mesh.add_node(line) for line in SHORT))
    begin = time.monotonic()

    await mesh.meet()

    assert time.monotonic() - begin < JOIN_SECONDS + NODE_SECONDS


async def test_they_meet_when_all_start_at_once(mesh: Mesh) -> None:
    await asyncio.gather(
        *(mesh.add_node(line) for line in SHORT),
        *(mesh.add_node(line, f"{line}-second") for line in SHORT),
        *(mesh.add_python(id) for id in ("py", "py2")),
    )
    begin = time.monotonic()

    await mesh.meet()

    assert time.monotonic() - begin < JOIN_SECONDS + NODE_SECONDS


async def test_a_late_python_node_knows_all_and_is_known_at_once(couple: Mesh, line: str) -> None:
    begin = time.monotonic()
    late = await couple.add_python("late")
    try:
        await couple.meet()
        waited = time.monotonic() - begin

        assert {"py", SHORT[line], "late"} == set(await late.nodes())
        assert waited < JOIN_SECONDS
    finally:
        await _gone(couple, late)


async def test_a_node_that_leaves_is_gone_at_once(couple: Mesh, line: str) -> None:
    node: Peer = couple[SHORT[line]]
    await asyncio.gather(couple.add_python("leaver-py"), couple.add_node(line, "leaver-n"))
    await couple.meet()
    for peer, leaver in ((node, couple["leaver-py"]), (couple["py"], couple["leaver-n"])):
        await peer.listen(f"{peer.id}-watch", {"$node.disconnected": None})
        begin = time.monotonic()

        await _gone(couple, leaver)

        assert time.monotonic() - begin < 3.0
        assert not (await peer.nodes())[leaver.id]["available"]
        answer = await peer.call(f"{leaver.id}.echo", {}, timeout=2.0)
        assert answer.error is not None
        assert answer.error["name"] in ("ServiceNotFoundError", "ServiceNotAvailableError")
        assert [{"node": leaver.id, "unexpected": False}] == [one["about"] for one in peer.heard("$node.disconnected")]


async def test_services_that_come_and_go_are_seen_on_the_other_side(couple: Mesh, line: str) -> None:
    python, node = couple["py"], couple[SHORT[line]]
    await asyncio.gather(_comes_and_goes(python, node), _comes_and_goes(node, python))


async def _comes_and_goes(owner: Peer, other: Peer) -> None:
    name = f"calc-{owner.id}"
    versions = {name: None, f"v2.{name}": 2, f"beta.{name}": "beta"}
    event = f"short.{owner.id}"
    await owner.listen(f"ears-{owner.id}", {event: None})
    await asyncio.gather(*(owner.offer(name, version) for version in versions.values()))
    await knows_listeners(other, event, owner.id)
    for full_name in versions:
        await sees(other, f"{full_name}.double", owner.id)
        assert 42 == (await other.call(f"{full_name}.double", {"n": 21})).value
    found = [one for one in await other.services() if one["name"] == name]
    assert versions == {one["fullName"]: one.get("version") for one in found}

    await asyncio.gather(*(owner.withdraw(full_name) for full_name in (*versions, f"ears-{owner.id}")))
    for full_name in versions:
        await sees(other, f"{full_name}.double")
    await knows_listeners(other, event)
    assert 1 == (await other.call(f"{owner.id}.echo", 1)).value


async def test_each_waits_for_services_of_the_other(couple: Mesh, line: str) -> None:
    python, node = couple["py"], couple[SHORT[line]]

    async with asyncio.TaskGroup() as group:
        group.create_task(python.wait_for(["awaited", {"name": "awaited", "version": 2}], 5.0))
        group.create_task(node.wait_for([{"name": "awaited-py", "version": 2}, "v2.awaited-py"], 5.0))
        await node.offer("awaited")
        await node.offer("awaited", 2)
        await python.offer("awaited-py", 2)

    assert [python.id] == await node.endpoints("v2.awaited-py.double")


async def test_namespaces_do_not_see_each_other(mesh: Mesh, couple: Mesh, line: str) -> None:
    """The same ids on the same server, in another namespace."""
    await mesh.add_node(line)
    await asyncio.gather(mesh.add_python(), mesh.add_python("only-here"))
    await mesh.meet()

    for peer in mesh.peers.values():
        assert {SHORT[line], "py", "only-here"} == set(await peer.nodes())
    for peer in couple.peers.values():
        assert "only-here" not in await peer.nodes()
        assert 1 == (await peer.call(f"{SHORT[line]}.echo", 1)).value
    assert [] == await couple["py"].endpoints("only-here.echo")


async def _gone(mesh: Mesh, leaver: Peer) -> None:
    """Let it leave in good order, and wait until nobody would ask it any more."""
    del mesh.peers[leaver.id]
    leaving = asyncio.create_task(leaver.leave())
    for peer in mesh.peers.values():
        if "python" in (peer.line, leaver.line) or peer.line == leaver.line:
            await sees(peer, f"{leaver.id}.echo")
    await leaving

    async def offline() -> bool:
        views = [(await peer.nodes()).get(leaver.id, {"available": False}) for peer in mesh.peers.values()]
        return not any(view["available"] for view in views)

    await until(offline)
    await leaver.close()
