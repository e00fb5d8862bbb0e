"""Protocol versions "4" and "5" side by side: each node is answered in its own (architecture, section 15.1)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Context, Service, action, event
from tests.kernel.mesh import Foreign, Mesh, dropped, service_info, until


class Math(Service):
    name = "math"

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    async def fail(self, ctx: Context) -> None:
        raise ValueError("no")

    @event("told")
    def on_told(self, ctx: Context) -> None: ...


def versions_heard(peer: Foreign, command: str) -> list[str]:
    """The `ver` of each packet that went to everybody."""
    return [packet["ver"] for name, packet, alone in peer.heard if name == command and not alone]


def listening(name: str) -> dict[str, Any]:
    return service_info(name, "do", events={"told": {"name": "told"}})


@pytest.mark.parametrize("version", ["4", "5"])
async def test_a_node_is_answered_in_its_own_version(mesh: Mesh, version: str) -> None:
    await mesh.node("a", Math)
    peer = await mesh.foreign("f", version)

    good = await peer.ask("a", "math.add", {"a": 1, "b": 2})
    bad = await peer.ask("a", "math.fail")
    peer.say("REQ", "a", id="r-bad")
    malformed = await peer.hears("RES", id="r-bad")
    peer.say("DISCOVER")
    info = await peer.hears("INFO")
    peer.say("PING", "a", time=1, id="p")
    pong = await peer.hears("PONG")

    assert {version} == {packet["ver"] for packet in (good, bad, malformed, info, pong)}
    assert {version == "5"} == {"headers" in packet for packet in (good, bad, malformed)}


@pytest.mark.parametrize("version", ["4", "5"])
async def test_a_node_is_asked_and_told_in_its_own_version(mesh: Mesh, version: str) -> None:
    node = await mesh.node("a", Math)
    peer = await mesh.foreign("f", version)
    peer.introduce(listening("far"))
    await node.wait_for_services("far", 5)

    task = asyncio.ensure_future(node.call("far.do", headers={"h": 1}, timeout=5))
    request = await peer.hears("REQ")
    peer.answer(request, data="done")
    await node.emit("told", 1, headers={"h": 1})
    told = await peer.hears("EVENT")
    pinging = asyncio.ensure_future(node.ping("f", timeout=0.01))
    ping = await peer.hears("PING")

    assert "done" == await task
    assert {version} == {packet["ver"] for packet in (request, told, ping)}
    assert {version == "5"} == {"headers" in packet for packet in (request, told)}
    assert await pinging is None


async def test_the_first_question_and_info_go_out_in_both(mesh: Mesh, peer: Foreign) -> None:
    await mesh.node("a", Math)
    await peer.hears("INFO")

    assert ["4", "5"] == versions_heard(peer, "DISCOVER")
    assert ["4", "5"] == versions_heard(peer, "INFO")


@pytest.mark.parametrize("present", [["4"], ["5"], ["4", "5"]], ids="+".join)
async def test_broadcasts_go_out_in_the_versions_present(mesh: Mesh, present: list[str]) -> None:
    node = await mesh.node("a", Math, heartbeat_interval=0.02)
    peers = [await mesh.foreign(f"f{version}", version) for version in present]
    for peer in peers:
        peer.introduce(listening(f"far{peer.version}"))
        await node.wait_for_services(f"far{peer.version}", 5)
    ear = peers[0]
    assert await ear.finds_well("a")
    ear.heard.clear()

    await until(lambda: len(versions_heard(ear, "HEARTBEAT")) >= 2)
    await node.destroy_service("math")
    await until(lambda: versions_heard(ear, "INFO"))

    assert present == versions_heard(ear, "HEARTBEAT")[: len(present)]
    assert set(present) == set(versions_heard(ear, "HEARTBEAT"))
    assert present == versions_heard(ear, "INFO")


async def test_a_version_that_leaves_is_no_longer_spoken(mesh: Mesh) -> None:
    node = await mesh.node("a", Math)
    old, new = await mesh.foreign("old", "4"), await mesh.foreign("new", "5")
    old.introduce(service_info("old", "do"))
    new.introduce(service_info("new", "do"))
    await node.wait_for_services(["old", "new"], 5)
    old.say("DISCONNECT")
    assert await old.finds_well("a")
    new.heard.clear()

    await node.destroy_service("math")
    await until(lambda: versions_heard(new, "INFO"))

    assert ["5"] == versions_heard(new, "INFO")


async def test_an_old_node_that_joins_a_new_mesh_learns_of_us_at_once(mesh: Mesh) -> None:
    """Our broadcasts were not in its version so far, and the next may be far away."""
    node = await mesh.node("a", Math)
    new = await mesh.foreign("new", "5")
    new.introduce(service_info("new", "do"))
    await node.wait_for_services("new", 5)

    old = await mesh.foreign("old", "4")
    old.introduce(service_info("old", "do"))
    info = await old.hears("INFO", sender="a")

    assert "4" == info["ver"]
    assert {"math", "$node"} == {service["name"] for service in info["services"]}


async def test_an_old_node_is_found_by_its_heartbeat(mesh: Mesh) -> None:
    node = await mesh.node("a", Math)
    new = await mesh.foreign("new", "5")
    new.introduce(service_info("new", "do"))
    await node.wait_for_services("new", 5)

    old = await mesh.foreign("old", "4")
    old.say("HEARTBEAT", cpu=1)

    assert "4" == (await old.hears("DISCOVER"))["ver"]


async def test_a_node_that_speaks_both_counts_as_new(mesh: Mesh) -> None:
    node = await mesh.node("a", Math)
    peer = await mesh.foreign("f", "4")
    peer.introduce(service_info("far", "do"))
    peer.introduce(service_info("far", "do"), ver="5")
    await node.wait_for_services("far", 5)
    assert await peer.finds_well("a")

    task = asyncio.ensure_future(node.call("far.do"))
    request = await peer.hears("REQ")
    peer.answer(request, ver="5")

    assert await task is None
    assert "5" == request["ver"]


async def test_a_node_that_comes_back_older_is_spoken_to_as_old(mesh: Mesh) -> None:
    node = await mesh.node("a", Math)
    peer = await mesh.foreign("f", "5")
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    peer.introduce(service_info("far", "do", "more"), ver="4", instanceID="restarted")
    await until(lambda: "far.more" in node.registry.actions)

    task = asyncio.ensure_future(node.call("far.do", timeout=5))
    request = await peer.hears("REQ")
    peer.answer(request)

    assert await task is None
    assert "4" == request["ver"]


@pytest.mark.parametrize(("spoken", "other"), [("5", "4"), ("4", "5")])
async def test_a_version_that_was_not_chosen_is_dropped(mesh: Mesh, spoken: str, other: str) -> None:
    node = await mesh.node("a", Math, protocol=spoken)
    right, wrong = await mesh.foreign("right", spoken), await mesh.foreign("wrong", other)

    wrong.introduce(service_info("far", "do"))
    wrong.say("HEARTBEAT", cpu=1)
    wrong.say("DISCOVER")
    wrong.request("a", "math.add", {"a": 1, "b": 2})
    wrong.say("REQ", "a", id="malformed")
    wrong.say("PING", "a", time=1, id="p")
    assert await right.finds_well("a")

    assert [] == wrong.heard
    assert {"a"} == set(node.registry.nodes)
    assert {"version": 5, "malformed": 1} == dropped(node)


async def test_only_the_chosen_version_is_spoken(mesh: Mesh, peer: Foreign) -> None:
    await mesh.node("a", Math, protocol="5")
    await peer.hears("INFO")

    assert {"5"} == {packet["ver"] for _, packet, _ in peer.heard}
