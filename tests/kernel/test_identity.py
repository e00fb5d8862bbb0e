"""Identity: a node id is one node's. The newcomer gives way; a running node outlives a namesake (promise M5)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors
from tautomer.settings import RegistrySettings, TransitSettings
from tautomer.transit import presence, transit
from tautomer.transporters.memory import MemoryTransporter
from tests.kernel.mesh import QUICK, Foreign, Mesh, service_info, until


class Math(Service):
    name = "math"

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]


class Deaf(MemoryTransporter):
    """A line whose broker cannot tell that nobody listens."""

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        super().send(topic, data)


async def test_a_newcomer_with_a_taken_id_does_not_start(mesh: Mesh, peer: Foreign) -> None:
    first = await mesh.node("a", Math)
    peer.heard.clear()

    with pytest.raises(errors.NodeIdTakenError) as caught:
        await mesh.node("a")

    node = first.registry.local_node
    assert {"nodeID": "a", "instanceID": node.instance_id, "hostname": node.hostname} == caught.value.data
    assert f"node id 'a' is already in use by instance '{node.instance_id}' on host '{node.hostname}'" in str(
        caught.value
    )
    assert [] == peer.heard  # Nobody learnt of it: no INFO, and no DISCONNECT in the other's name.
    assert (await peer.ask("a", "math.add", {"a": 1, "b": 2}))["data"] == 3


@pytest.mark.parametrize("version", ["4", "5"])
async def test_it_asks_under_another_name_in_both_versions(mesh: Mesh, version: str) -> None:
    """Node drops what bears its own id; and it must hear nothing for which it would stop."""
    incumbent = await mesh.foreign("a", version)
    starting = asyncio.ensure_future(mesh.node("a"))

    asked = await incumbent.hears("DISCOVER", ver=version)
    incumbent.introduce(to=asked["sender"], instanceID="other", hostname="box")

    with pytest.raises(errors.NodeIdTakenError, match="instance 'other' on host 'box'"):
        await starting
    assert {"4", "5"} == {packet["ver"] for packet in incumbent.packets("DISCOVER")}
    assert ["DISCOVER", "DISCOVER"] == [command for command, _, alone in incumbent.heard if alone]
    assert 2 == len(incumbent.heard)
    assert "a" != asked["sender"]


async def test_requests_to_the_incumbent_are_not_answered_by_the_newcomer(mesh: Mesh, peer: Foreign) -> None:
    """It would say "not found", and might be the quicker one."""
    incumbent = await mesh.foreign("a")
    starting = asyncio.ensure_future(mesh.node("a"))
    await incumbent.hears("DISCOVER")

    request_id = peer.request("a", "math.add")
    await incumbent.hears("REQ", id=request_id)
    incumbent.introduce(to=incumbent.packets("DISCOVER")[0]["sender"])
    with pytest.raises(errors.NodeIdTakenError):
        await starting

    assert [] == peer.packets("RES")


async def test_a_free_id_costs_no_time_where_the_broker_can_tell(mesh: Mesh) -> None:
    began = time.monotonic()

    await mesh.node("a")

    assert time.monotonic() - began < presence.CLAIM / 2


async def test_where_it_cannot_a_silent_namesake_is_none(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CLAIM", 0.05)
    began = time.monotonic()

    node = await mesh.node("a", transporter=Deaf(mesh.url))

    assert 0.05 <= time.monotonic() - began
    assert node.started
    with pytest.raises(errors.NodeIdTakenError):
        await mesh.node("a", transporter=Deaf(mesh.url))


async def test_a_line_that_breaks_while_it_asks_is_asked_again(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking(Deaf):
        """The first question is lost with the line."""

        questions = 0
        standing = True

        @property
        def connected(self) -> bool:
            return self.standing

        async def subscribe(self, topics: Any) -> None:
            self.standing = True
            await super().subscribe(topics)

        def send(self, topic: str, data: bytes, token: str | None = None) -> None:
            self.questions += 1
            if self.questions <= 2:
                self.standing = False
            else:
                super().send(topic, data, token)

    monkeypatch.setattr(presence, "CLAIM", 0.02)
    await mesh.node("a")

    with pytest.raises(errors.NodeIdTakenError):
        await mesh.node("a", transporter=Breaking(mesh.url))


async def test_of_two_that_start_at_once_one_gives_way(mesh: Mesh) -> None:
    """Both find the id free; the one that is done first tells, and the other is still looking round."""
    slow = TransitSettings(settle=5, settle_quiet=5, stop_delay=0)
    second = Broker("a", Settings(transporter=mesh.url, transit=slow))
    starting = asyncio.ensure_future(second.start())
    first_peer = await mesh.foreign("x")
    await first_peer.hears("DISCOVER")

    first = await mesh.foreign("a")
    first.introduce(instanceID="first", hostname="box")
    asked = await first.hears("PING")
    first.say("PONG", asked["sender"], time=asked["time"], id=asked["id"], arrived=asked["time"])

    with pytest.raises(errors.NodeIdTakenError, match="'first'"):
        await starting
    assert [] == first_peer.packets("DISCONNECT")


async def test_the_last_word_of_a_former_run_does_not_stop_a_newcomer(
    mesh: Mesh, peer: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that died may have said something that arrives when the next of its id is starting (promise M5)."""
    monkeypatch.setattr(transit, "CLAIM", 0.05)
    slow = TransitSettings(settle=5, settle_quiet=5, stop_delay=0)
    node = Broker("a", Settings(transporter=mesh.url, transit=slow))
    starting = asyncio.ensure_future(node.start())
    await peer.hears("DISCOVER")

    for _ in range(2):
        peer.introduce(sender="a", instanceID="former", hostname="box")
    await starting

    assert await peer.finds_well("a")
    await node.stop()


async def test_an_answer_of_its_own_is_no_namesake(mesh: Mesh) -> None:
    incumbent = await mesh.foreign("a")
    node = Broker("a", Settings(transporter=mesh.url, transit=QUICK))
    starting = asyncio.ensure_future(node.start())

    asked = await incumbent.hears("DISCOVER")
    incumbent.introduce(to=asked["sender"], instanceID=node.registry.local_node.instance_id)

    await starting
    await node.stop()


async def test_an_id_that_is_taken_is_told_of_by_one_that_joins_late(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(MemoryTransporter):
        async def connect(self, link: Any) -> None:
            await release.wait()
            await super().connect(link)

    release = asyncio.Event()
    first = await mesh.node("a", Math)
    alone = await mesh.node("a", transporter=Late(mesh.url), transit=TransitSettings(connect_wait=0.01, settle=0))
    release.set()
    await until(
        lambda: any("cannot be joined: node id 'a' is already in use" in r.getMessage() for r in caplog.records)
    )

    assert (True, False) == (alone.started, alone.connected)
    assert first.started


async def test_one_that_gave_way_late_does_not_answer_for_the_other(mesh: Mesh, peer: Foreign) -> None:
    slow = TransitSettings(connect_wait=0.01, settle=5, settle_quiet=5, stop_delay=0)
    alone = await mesh.node("a", Math, transit=slow)
    assert await peer.finds_well("a")

    rival = await mesh.foreign("a")
    rival.introduce(instanceID="other")
    asked = await rival.hears("PING")
    rival.say("PONG", asked["sender"], time=asked["time"], id=asked["id"], arrived=asked["time"])
    await until(lambda: not alone.transit._transporter.connected)  # type: ignore[union-attr]  # It has one.
    request_id = peer.request("a", "math.add", {"a": 1, "b": 2})
    rival.answer(await rival.hears("REQ", id=request_id), data="mine")
    await peer.hears("RES", id=request_id)

    assert ["mine"] == [packet["data"] for packet in peer.packets("RES", id=request_id)]
    assert 3 == await alone.call("math.add", {"a": 1, "b": 2})


@pytest.mark.parametrize("way", ["cancel", "stop"])
async def test_a_start_that_is_cut_off_while_it_asks_says_nothing(mesh: Mesh, peer: Foreign, way: str) -> None:
    silent = await mesh.foreign("a")
    node = Broker("a", Settings(transporter=mesh.url, transit=QUICK, shutdown_timeout=0.2))
    starting = asyncio.ensure_future(node.start())
    await silent.hears("DISCOVER")

    if way == "cancel":
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    else:
        await node.stop()
        with pytest.raises(errors.MoleculerServerError):
            await starting

    assert [] == peer.heard
    assert not node.connected


# --- a namesake that turns up later ---


async def test_whoever_took_a_namesakes_info_for_ours_is_told_better_once(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a", Math)
    asker = await mesh.node("b")
    await until(lambda: asker.registry.has_service("math"))
    assert await peer.finds_well("a")
    peer.heard.clear()

    peer.introduce(service_info("forged", "do"), sender="a", instanceID="other", seq=99)
    assert await peer.finds_well("a")
    await until(lambda: asker.registry.has_service("math"))

    assert not asker.registry.has_service("forged")
    assert 3 == await asker.call("math.add", {"a": 1, "b": 2}, timeout=5)
    # Two namesakes that answer each other's every INFO would do so for ever.
    peer.introduce(service_info("forged", "do"), sender="a", instanceID="other", seq=100)
    await node.stop()
    ours = node.registry.local_node.instance_id
    told = [packet for packet in peer.packets("INFO", instanceID=ours) if packet["services"]]
    assert ["4", "5"] == [packet["ver"] for packet in told]


async def test_it_may_be_told_to_give_way(mesh: Mesh, peer: Foreign) -> None:
    """Without a word: a goodbye would be taken for the namesake's."""
    node = await mesh.node("a", Math, registry=RegistrySettings(on_conflict="stop"))
    assert await peer.finds_well("a")
    peer.heard.clear()

    peer.introduce(service_info("other", "do"), sender="a", instanceID="other")
    async with asyncio.timeout(5):
        await node.ending.wait()
        await node.stop()

    assert (False, True) == (node.started, node.gave_way)
    assert [] == peer.packets("INFO", instanceID=node.registry.local_node.instance_id)
    assert [] == peer.packets("DISCONNECT")


def test_what_to_do_about_a_namesake_is_stay_or_stop() -> None:
    with pytest.raises(errors.BrokerOptionsError, match=re.escape("'stay' or 'stop', not 'exit'")):
        RegistrySettings(on_conflict="exit")  # type: ignore[arg-type]  # That is what is tested.
