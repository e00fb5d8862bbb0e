"""Nodes that die, come back, leave under load; and a message broker that goes away for a while."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

import nats
from tautomer.error_wire import from_wire
from tautomer.protocol.refusals import is_refusal
from tests.servers import NatsServer

from .mesh import SHORT, Mesh, sees
from .peers import Answer, NodePeer, Peer, until
from .probe import Calculator

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Seconds, for both sides.
BEAT, SILENCE = 0.3, 1.0
NODE_BEATS = {"heartbeatInterval": BEAT, "heartbeatTimeout": SILENCE}
PYTHON_BEATS: dict[str, Any] = {"heartbeat_interval": BEAT, "heartbeat_timeout": SILENCE}


async def test_a_killed_node_that_comes_back_under_its_name_is_taken_at_once(mesh: Mesh) -> None:
    """Its `seq` is lower than before; the new instance id says that it is another run of it."""
    await _askers_and_victims(mesh)
    before = {id: (await asker.nodes())[id]["instanceID"] for asker, id in _askings(mesh)}

    await _kill_victims(mesh)
    await asyncio.gather(mesh.add_program("victim-py"), *(mesh.add_node(line, f"victim-{line}") for line in SHORT))

    for asker, id in _askings(mesh):

        async def renewed(asker: Peer = asker, id: str = id) -> bool:
            seen = (await asker.nodes())[id]
            return bool(seen["available"]) and seen["instanceID"] != before[id]

        assert await until(renewed) < 2.0
        assert {"n": 1} == (await asker.call(f"{id}.echo", {"n": 1}, timeout=2.0)).value


async def test_calls_to_a_node_that_dies_are_rejected_when_it_falls_silent(mesh: Mesh) -> None:
    await _askers_and_victims(mesh, NODE_BEATS, PYTHON_BEATS)
    calls = [
        asyncio.create_task(asker.call(f"{id}.sleep", {"ms": 60_000}, timeout=15.0)) for asker, id in _askings(mesh)
    ]
    # All calls run on the victims: what was sent after them is answered.
    assert [1, 1, 1, 1] == [(await asker.call(f"{id}.echo", 1)).value for asker, id in _askings(mesh)]

    await _kill_victims(mesh)
    answers: list[Answer] = await asyncio.gather(*calls)

    for answer in answers:
        assert answer.error is not None
        assert ("RequestRejectedError", 503, True) == tuple(answer.error[key] for key in ("name", "code", "retryable"))
    for asker, id in _askings(mesh):

        async def was_told(asker: Peer = asker, id: str = id) -> bool:
            return {"node": id, "unexpected": True} in [one["about"] for one in asker.heard("$node.disconnected")]

        await until(was_told)


def _askings(mesh: Mesh) -> list[tuple[Peer, str]]:
    """Who asks which victim: Python those of Node.js, and both lines of Node.js that of Python."""
    return [
        (mesh["py"], "victim-0.14"),
        (mesh["py"], "victim-0.15"),
        (mesh["asker-0.14"], "victim-py"),
        (mesh["asker-0.15"], "victim-py"),
    ]


async def _askers_and_victims(
    mesh: Mesh, node_options: dict[str, Any] | None = None, python_settings: dict[str, Any] | None = None
) -> None:
    """Start them all at once, askers with a listener, and wait until they see each other."""
    watch = {"watch": {"$node.disconnected": None}}
    settings = python_settings or {}
    await asyncio.gather(
        mesh.add_program("victim-py", **settings),
        mesh.add_python(listeners=watch, **settings),
        *(mesh.add_node(line, f"victim-{line}", broker=node_options) for line in SHORT),
        *(mesh.add_node(line, f"asker-{line}", listeners=watch, broker=node_options) for line in SHORT),
    )
    for asker, id in _askings(mesh):
        await sees(asker, f"{id}.echo", id)


async def _kill_victims(mesh: Mesh) -> None:
    programs = [mesh.programs["victim-py"], *(mesh[f"victim-{line}"].program for line in SHORT)]
    await asyncio.gather(*(program.kill() for program in programs))
    await asyncio.gather(*(program.close() for program in programs))


async def test_a_call_to_a_killed_node_fails_at_once_in_python(mesh: Mesh, line: str) -> None:
    """The message broker says that nobody listens there; Node.js has to wait for the heartbeats to miss."""
    await mesh.add_node(line, "victim")
    python = await mesh.add_python()
    await sees(python, "victim.echo", "victim")
    await mesh.kill("victim")
    begin = time.monotonic()

    answer = await python.call("victim.echo", {}, timeout=10.0)

    assert answer.error is not None
    assert ("ServiceNotAvailableError", 404, True) == tuple(answer.error[key] for key in ("name", "code", "retryable"))
    assert time.monotonic() - begin < 3.0
    assert [] == await python.endpoints("victim.echo")


async def test_calls_that_a_killed_node_would_have_had_go_to_another(mesh: Mesh, line: str) -> None:
    shared = {"kind": "calculator", "name": "shared"}
    await mesh.add_node(line, "victim", services=[shared])
    python, _ = await asyncio.gather(mesh.add_python(), mesh.add_python("living", services=[Calculator("shared")]))
    await sees(python, "shared.double", "victim", "living")
    await mesh.kill("victim")

    answers = await asyncio.gather(*(python.call("shared.double", {"n": 4}, timeout=5.0) for _ in range(20)))

    assert [8] * 20 == [answer.value for answer in answers]


@pytest.mark.parametrize("action", ["no.such", "$node.no"])
async def test_what_a_node_does_not_run_is_known_as_not_run(mesh: Mesh, line: str, action: str) -> None:
    """A node that has just withdrawn a service answers so; to catch one at it, it is asked past the registry."""
    node = await mesh.add_node(line, "n")
    version = {"0.14": "4", "0.15": "5"}[line]
    client = await nats.connect(mesh.url)
    try:
        answers = await client.subscribe(f"MOL-{mesh.namespace}.RES.by-hand")
        request = {"id": "q-1", "action": action, "params": {}, "meta": {}, "timeout": 0, "level": 1, "stream": False}
        packet = {**request, "requestID": "q-1", "ver": version, "sender": "by-hand"}
        await client.publish(f"MOL-{mesh.namespace}.REQ.{node.id}", json.dumps(packet).encode())
        answer = json.loads((await answers.next_msg(timeout=5)).data)
    finally:
        await client.close()

    assert is_refusal(from_wire(answer["error"], node.id), action, node.id, "q-1")


async def test_a_python_node_that_leaves_says_so_in_words_that_node_takes_up(mesh: Mesh, line: str) -> None:
    """Node.js rebuilds the error by its name: code, type and that it may be tried again arrive."""
    python, node = await asyncio.gather(mesh.add_python(), mesh.add_node(line, "n"))
    await sees(node, "py.echo", "py")
    assert python.broker.transit is not None
    python.broker.transit.refuse()

    answer = await node.call("py.echo", 1, timeout=5.0)

    assert answer.error is not None
    assert ("RequestRejectedError", 503, "REQUEST_REJECTED", True) == tuple(
        answer.error[key] for key in ("name", "code", "type", "retryable")
    )


async def test_no_call_fails_while_nodes_leave_under_load(mesh: Mesh, line: str) -> None:
    shared = {"kind": "calculator", "name": "shared"}
    await asyncio.gather(
        mesh.add_node(line, "n2"),
        mesh.add_node(line, "n-leaver", services=[shared]),
        mesh.add_python("py2"),
        mesh.add_python("py-leaver", services=[Calculator("shared")]),
        mesh.add_python("stays", services=[Calculator("shared")]),
    )
    await mesh.meet()
    for id in ("n2", "py2"):
        await sees(mesh[id], "shared.double", "n-leaver", "py-leaver", "stays")
    answers: list[Answer] = []
    stopped = asyncio.Event()

    async def load(peer: Peer) -> None:
        while not stopped.is_set():
            answers.append(await peer.call("shared.double", {"n": 4}, timeout=5.0))

    loads = [asyncio.create_task(load(mesh[id])) for id in ("n2", "py2") for _ in range(3)]
    for id in ("n-leaver", "py-leaver"):
        await mesh[id].leave()
    for id in ("n2", "py2"):
        await sees(mesh[id], "shared.double", "stays")
    stopped.set()
    await asyncio.gather(*loads)

    assert [] == [answer for answer in answers if 8 != answer.value]
    assert len(answers) > 30


async def test_the_mesh_heals_when_the_message_broker_comes_back(node: str, line: str) -> None:
    with NatsServer() as server:
        async with Mesh(server.url, node) as mesh:
            peer: NodePeer = await mesh.add_node(line, broker=NODE_BEATS)
            python = await mesh.add_python(**PYTHON_BEATS)
            await mesh.meet()

            server.stop()
            server.start()

            async def both_answer() -> bool:
                there = await python.call(f"{SHORT[line]}.echo", 1, timeout=0.5)
                back = await peer.call("py.echo", 1, timeout=0.5)
                return [1, 1] == [there.value, back.value]

            await until(both_answer, timeout=15.0)
            await mesh.meet()
