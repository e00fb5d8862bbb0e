"""Floods of INFOs: what they may cost (reliability reference, section 1)."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tautomer import Context, Service, event
from tautomer.settings import RegistrySettings
from tests.kernel.mesh import Foreign, Mesh, dropped, service_info, until

NODES = 2_000
ACTIONS = 50


def told(node: int) -> bytes:
    """INFO of a node that nobody has heard of, with actions that nobody else has."""
    services = [service_info(f"s{node}", *(f"a{number}" for number in range(ACTIONS)))]
    said = {"services": services, "instanceID": "i", "seq": 1, "ver": "5", "sender": f"n{node}"}
    return json.dumps(said).encode()


class Turns:
    """Counts the turns of the loop while something goes on."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1

    def stop(self) -> None:
        self._task.cancel()


@pytest.mark.slow
async def test_infos_of_made_up_nodes_are_bounded_in_number_and_let_others_work(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a", registry=RegistrySettings(nodes_max=200))
    infos = [told(number) for number in range(NODES)]
    turns = Turns()
    begin = time.process_time()

    for data in infos:
        peer.say_bytes("INFO", data)
    assert await peer.finds_well("a")

    assert 201 == len(node.registry.nodes)
    assert 200 * ACTIONS + 7 == len(node.registry.actions)
    assert {"nodes": NODES - 200} == dropped(node)
    assert turns.count >= NODES / 50
    # About 0.1 s of work; on a busy machine five times that, and as much again.
    assert time.process_time() - begin < 1.5
    turns.stop()


@pytest.mark.slow
async def test_all_nodes_together_are_bounded_in_what_they_offer(
    mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    node = await mesh.node("a", registry=RegistrySettings(mesh_actions_max=1_000))

    for number in range(200):
        peer.say_bytes("INFO", told(number))
    assert await peer.finds_well("a")

    assert 1_007 == len(node.registry.actions)
    assert {"info": 180} == dropped(node)
    assert 1 == caplog.text.count("packet dropped")
    peer.say("DISCONNECT", sender="n0")
    await until(lambda: not node.registry.has_service("s0"))
    peer.say_bytes("INFO", told(500))
    await until(lambda: node.registry.has_service("s500"))


async def test_an_info_that_changes_nothing_is_told_to_nobody_and_keeps_every_endpoint(
    mesh: Mesh, peer: Foreign
) -> None:
    told: list[str] = []

    class Watcher(Service):
        name = "watcher"

        @event("$**")
        def on_any(self, ctx: Context) -> None:
            told.append(str(ctx.event_name))

    node = await mesh.node("a", Watcher)
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    before = node.registry.actions["far.do"].only
    told.clear()

    peer.introduce(service_info("far", "do"), seq=2)
    assert await peer.finds_well("a")
    assert ["$node.updated"] == told
    assert before is node.registry.actions["far.do"].only

    peer.introduce(service_info("far", "do", "more"), seq=3)
    assert await peer.finds_well("a")
    assert ["$node.updated", "$node.updated", "$services.changed"] == told
    assert before is node.registry.actions["far.do"].only
