"""Presence: who is there, in the eyes of this node, and this node in the eyes of the others."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, errors, event
from tautomer.host import Host
from tautomer.protocol.losses import GRACE
from tautomer.transit import presence
from tests.kernel.mesh import Clock, Foreign, Mesh, service_info, until


class Watcher(Service):
    """Notes what the node tells its own listeners, oldest first."""

    name = "watcher"

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, dict[str, Any]]] = []

    @event("$**")
    def on_any(self, ctx: Context) -> None:
        self.notes.append((str(ctx.event_name), ctx.params))

    @action
    def ready(self, ctx: Context) -> bool:
        return True

    def taken(self, *prefixes: str) -> list[tuple[str, dict[str, Any]]]:
        """The notes so far whose event begins so; they are gone then."""
        notes, self.notes = self.notes, []
        return [(name, payload) for name, payload in notes if name.startswith(prefixes)]


@pytest.fixture(autouse=True)
def _quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often: time is the clock's, and the clock stands until a test moves it."""
    monkeypatch.setattr(presence, "SWEEP", 0.005)


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def node(mesh: Mesh, watcher: Watcher, clock: Clock) -> Broker:
    broker = await mesh.node("a", watcher, host=Host(clock=clock))
    watcher.notes.clear()
    return broker


def online(node: Broker) -> set[str]:
    return {other.id for other in node.registry.nodes.values() if other.available and not other.local}


# --- coming and going, as the node's own listeners hear of it ---


async def test_a_node_that_joins_is_told_of(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    peer.introduce(
        service_info("far", "do"),
        hostname="box",
        ipList=["192.0.2.7"],
        client={"type": "nodejs", "version": "0.15.2"},
        metadata={"zone": 1},
        seq=3,
    )
    assert await peer.finds_well("a")

    (connected, payload), services_changed = watcher.taken("$")
    assert ("$node.connected", False) == (connected, payload["reconnected"])
    assert ("$services.changed", {"localService": False}) == services_changed
    told = payload["node"]
    assert {"node", "reconnected"} == set(payload)
    assert {
        "id": "f",
        "instanceID": "i-f",
        "available": True,
        "local": False,
        "hostname": "box",
        "ipList": ["192.0.2.7"],
        "client": {"type": "nodejs", "version": "0.15.2"},
        "metadata": {"zone": 1},
        "config": {},
        "seq": 3,
        "offlineSince": None,
    } == {key: told[key] for key in told if key not in NOT_COMPARED}


NOT_COMPARED = {"lastHeartbeatTime", "port", "udpAddress", "cpu", "cpuSeq"}


async def test_a_node_whose_services_change_is_told_of(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    peer.introduce(service_info("far", "do"))
    peer.introduce(service_info("far", "do", "more"), seq=2)
    assert await peer.finds_well("a")

    notes = watcher.taken("$")
    assert ["$node.connected", "$services.changed", "$node.updated", "$services.changed"] == [name for name, _ in notes]
    assert {"node"} == set(notes[2][1])
    assert 2 == notes[2][1]["node"]["seq"]


async def test_a_node_that_leaves_is_told_of(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    peer.introduce(service_info("far", "do"))
    peer.say("DISCONNECT")
    peer.say("DISCONNECT")
    assert await peer.finds_well("a")

    (name, payload), services_changed = watcher.taken("$")[2:]
    assert ("$node.disconnected", False, False) == (name, payload["unexpected"], payload["node"]["available"])
    assert {"node", "unexpected"} == set(payload)
    assert ("$services.changed", {"localService": False}) == services_changed


async def test_a_node_without_services_changes_none(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    peer.introduce()
    peer.say("DISCONNECT")
    assert await peer.finds_well("a")

    assert ["$node.connected", "$node.disconnected"] == [name for name, _ in watcher.taken("$")]


async def test_own_services_are_told_of(node: Broker, watcher: Watcher) -> None:
    class Guest(Service):
        name = "guest"

    await node.register(Guest)
    await node.destroy_service("guest")

    assert [("$services.changed", {"localService": True})] * 2 == watcher.taken("$")


async def test_calls_in_flight_to_a_node_that_leaves_are_rejected(node: Broker, peer: Foreign, clock: Clock) -> None:
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    call = asyncio.ensure_future(node.call("far.do"))
    await peer.hears("REQ")

    peer.say("DISCONNECT")
    await until(lambda: "f" not in online(node))
    clock.now += GRACE

    with pytest.raises(errors.RequestRejectedError) as caught:
        await call
    assert (503, True, {"action": "far.do", "nodeID": "f"}) == (
        caught.value.code,
        caught.value.retryable,
        caught.value.data,
    )
    with pytest.raises(errors.ServiceNotAvailableError):
        await node.call("far.do")


async def test_services_withdrawn_by_a_node_that_stays_are_not_asked(node: Broker, peer: Foreign) -> None:
    peer.introduce(service_info("far", "do"))
    peer.introduce(seq=2)
    assert await peer.finds_well("a")

    assert {"f"} == online(node)
    with pytest.raises(errors.ServiceNotAvailableError):
        await node.call("far.do")


async def test_a_restarted_node_is_taken_in_at_once(node: Broker, peer: Foreign) -> None:
    """Its seq begins anew, but its instance is another."""
    peer.introduce(service_info("far", "do"), seq=9, instanceID="first")
    peer.introduce(service_info("far", "other"), seq=1, instanceID="second")
    assert await peer.finds_well("a")

    assert "far.other" in node.registry.actions
    assert not node.registry.actions["far.do"].all
    assert "second" == node.registry.nodes["f"].instance_id


# --- silence ---


async def test_a_silent_node_is_lost_after_the_timeout_and_not_before(
    node: Broker, mesh: Mesh, clock: Clock, watcher: Watcher
) -> None:
    first, second = await mesh.foreign("first"), await mesh.foreign("second")
    first.introduce(service_info("one", "do"))
    assert await first.finds_well("a")
    clock.now += 1.0
    second.introduce(service_info("two", "do"))
    assert await second.finds_well("a")
    watcher.notes.clear()

    clock.now += 29.5
    await until(lambda: online(node) == {"second"})
    (name, payload), _ = watcher.taken("$")
    assert ("$node.disconnected", "first", True) == (name, payload["node"]["id"], payload["unexpected"])

    clock.now += 1.0
    await until(lambda: online(node) == set())


async def test_a_heartbeat_keeps_a_node(node: Broker, mesh: Mesh, clock: Clock) -> None:
    beating, silent = await mesh.foreign("beating"), await mesh.foreign("silent")
    beating.introduce()
    silent.introduce()
    assert await beating.finds_well("a")
    for _ in range(2):
        clock.now += 20
        beating.say("HEARTBEAT", cpu=7)
        assert await beating.finds_well("a")

    await until(lambda: "silent" not in online(node))
    assert {"beating"} == online(node)
    assert 7 == node.registry.nodes["beating"].cpu


async def test_a_node_that_stood_still_reads_before_it_judges(
    node: Broker, mesh: Mesh, clock: Clock, watcher: Watcher
) -> None:
    """Promise M2: on waking, the signs of life of the others still lie unread."""
    alive, dead = await mesh.foreign("alive"), await mesh.foreign("dead")
    alive.introduce()
    dead.introduce()
    assert await alive.finds_well("a")
    watcher.notes.clear()

    clock.now += 3_600
    clock.on_read = lambda: alive.say("HEARTBEAT", cpu=1)  # It is looked first, and read in the turn after.
    await until(lambda: "dead" not in online(node))

    assert ["dead"] == [payload["node"]["id"] for _, payload in watcher.taken("$node.disconnected")]


async def test_of_many_that_are_lost_one_that_comes_back_meanwhile_is_kept(
    node: Broker, mesh: Mesh, clock: Clock
) -> None:
    others = [await mesh.foreign(f"n{number}") for number in range(3)]
    for other in others:
        other.introduce(service_info("far", "do"))
    assert await others[0].finds_well("a")
    watcher = node.transit.presence._watcher  # type: ignore[union-attr]  # It has no public face.
    tell = watcher.node_lost

    def lost(gone: Any, unexpected: bool) -> None:
        tell(gone, unexpected)
        others[2].introduce(service_info("far", "do"))

    watcher.node_lost = lost  # type: ignore[method-assign]  # To be there between two of them.
    clock.now += 31
    await until(lambda: online(node) == {"n2"})

    assert ["n2"] == [endpoint.node_id for endpoint in node.registry.actions["far.do"].all]


async def test_a_node_that_is_always_late_judges_all_the_same(node: Broker, peer: Foreign, clock: Clock) -> None:
    peer.introduce()
    assert await peer.finds_well("a")

    def move() -> None:
        clock.now += 10
        clock.on_read = move

    clock.on_read = move
    await until(lambda: not online(node))
    clock.on_read = None


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000])
async def test_a_jump_of_the_wall_clock_changes_nothing(mesh: Mesh, jump: int) -> None:
    now = 1_700_000_000_000
    node = await mesh.node("a", host=Host(wall_ms=lambda: now), heartbeat_interval=0.01, heartbeat_timeout=5)
    other = await mesh.node("b", Watcher, host=Host(wall_ms=lambda: now), heartbeat_interval=0.01, heartbeat_timeout=5)
    await node.wait_for_services("watcher", 5)
    before = node.registry.nodes["b"].last_heartbeat

    now += jump
    await until(lambda: node.registry.nodes["b"].last_heartbeat > before)

    assert {"b"} == online(node)
    assert await node.call("watcher.ready", timeout=1)
    with pytest.raises(errors.ServiceNotFoundError):
        await other.call("far.away", timeout=1)
    pong = await node.ping("b")
    assert 0 <= pong["elapsedTime"] < 5_000


async def test_a_lost_node_is_back_by_its_next_heartbeat(
    node: Broker, peer: Foreign, clock: Clock, watcher: Watcher
) -> None:
    peer.introduce(service_info("far", "do"))
    assert await peer.finds_well("a")
    clock.now += 31
    await until(lambda: not online(node))
    watcher.notes.clear()
    peer.heard.clear()

    peer.say("HEARTBEAT", cpu=1)
    await peer.hears("DISCOVER")
    assert not online(node)
    peer.introduce(service_info("far", "do"), to="a")
    assert await peer.finds_well("a")

    _, payload = watcher.taken("$node.connected")[0]
    assert ("f", True) == (payload["node"]["id"], payload["reconnected"])
    assert node.registry.actions["far.do"].all


async def test_a_long_lost_node_is_forgotten(node: Broker, peer: Foreign, clock: Clock) -> None:
    peer.introduce(service_info("far", "do"))
    peer.say("DISCONNECT")
    assert await peer.finds_well("a")
    assert "f" in node.registry.nodes

    clock.now += 600.1
    await until(lambda: "f" not in node.registry.nodes)


@pytest.mark.parametrize("beat", [{"seq": 2}, {"instanceID": "other"}])
async def test_a_heartbeat_of_a_node_that_changed_asks_for_its_info(
    node: Broker, peer: Foreign, beat: dict[str, Any]
) -> None:
    peer.introduce(instanceID="i-1234", seq=1)
    peer.say("HEARTBEAT", cpu=1, seq=1, instanceID="i-12")
    assert await peer.finds_well("a")
    assert [] == peer.packets("DISCOVER")

    peer.say("HEARTBEAT", cpu=1, **beat)
    assert await peer.finds_well("a")
    assert 1 == len(peer.packets("DISCOVER"))


# --- what nobody should be able to do to us ---


async def test_a_node_that_did_not_leave_is_back_within_a_second(
    node: Broker, peer: Foreign, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody on the bus can say DISCONNECT in its name: so it is asked whether it is there."""
    monkeypatch.setattr(presence, "PROBE", 0.01)
    peer.introduce(service_info("far", "do"))
    stranger = await mesh.foreign("stranger")
    stranger.say("DISCONNECT", sender="f")
    stranger.say("DISCONNECT", sender="f")
    assert await stranger.finds_well("a")
    assert not online(node)

    await peer.hears("DISCOVER")
    peer.introduce(service_info("far", "do"), to="a")
    await node.wait_for_services("far", 5)

    assert {"f"} == online(node)
    assert 1 == len(peer.packets("DISCOVER"))
    assert presence.PROBE < 1


async def test_a_node_that_came_back_by_itself_is_not_asked(
    node: Broker, peer: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PROBE", 0.005)
    peer.introduce(service_info("far", "do"))
    peer.say("DISCONNECT")
    peer.introduce(service_info("far", "do"))
    assert await peer.finds_well("a")
    assert node.transit is not None

    await until(lambda: not node.transit.presence._probed)  # type: ignore[union-attr]  # It has no public face.
    assert await peer.finds_well("a")
    assert [] == peer.packets("DISCOVER")


async def test_a_namesake_never_stops_us(
    node: Broker, peer: Foreign, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "tautomer.presence"):
        for instance in ("i-1", "i-2", "i-1", None, None):
            peer.introduce(service_info("far", "do"), sender="a", instanceID=instance, hostname="box")
        assert await peer.finds_well("a")

    assert [
        ("$node.conflict", {"nodeID": "a", "instanceID": "i-1", "hostname": "box"}),
        ("$node.conflict", {"nodeID": "a", "instanceID": "i-2", "hostname": "box"}),
        ("$node.conflict", {"nodeID": "a", "instanceID": None, "hostname": "box"}),
    ] == watcher.taken("$")
    assert 3 == len(caplog.records)
    assert node.started
    assert not node.registry.has_service("far")


async def test_namesakes_without_end_are_not_told_of_without_end(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    for number in range(3 * presence.CONFLICTS_TOLD):
        peer.introduce(sender="a", instanceID=f"i-{number}")
    assert await peer.finds_well("a")

    assert presence.CONFLICTS_TOLD == len(watcher.taken("$node.conflict"))


async def test_our_own_info_that_comes_back_is_no_conflict(node: Broker, peer: Foreign, watcher: Watcher) -> None:
    peer.introduce(sender="a", instanceID=node.registry.local_node.instance_id)
    assert await peer.finds_well("a")

    assert [] == watcher.taken("$")


async def test_a_call_that_nobody_listened_to_fails_at_once_and_the_node_is_gone(
    node: Broker, mesh: Mesh, watcher: Watcher
) -> None:
    peer, silent = await mesh.foreign("peer"), await mesh.foreign("silent")
    silent.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    await silent.close()  # Without a word.

    with pytest.raises(errors.ServiceNotAvailableError) as caught:
        await node.call("far.do", timeout=5)
    assert {"action": "far.do", "nodeID": "silent"} == caught.value.data
    assert set() == online(node)
    _, payload = watcher.taken("$node.disconnected")[0]
    assert ("silent", True) == (payload["node"]["id"], payload["unexpected"])
    with pytest.raises(errors.ServiceNotAvailableError):
        await node.call("far.do", timeout=5)

    peer.introduce(service_info("far", "do"), sender="silent", instanceID="i-silent", seq=1)
    assert await peer.finds_well("a")
    assert {"silent"} == online(node)


async def test_other_calls_to_a_node_that_nobody_hears_have_an_unknown_outcome(
    node: Broker, mesh: Mesh, clock: Clock
) -> None:
    silent = await mesh.foreign("silent")
    silent.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    before = asyncio.ensure_future(node.call("far.do", timeout=5))
    await silent.hears("REQ")
    await silent.close()

    with pytest.raises(errors.ServiceNotAvailableError):
        await node.call("far.do", timeout=5)
    clock.now += GRACE
    with pytest.raises(errors.RequestRejectedError) as caught:
        await before
    assert "unknown" == caught.value.outcome


# --- this node in the eyes of the others ---


async def test_a_question_is_answered_to_the_one_who_asks(node: Broker, peer: Foreign, mesh: Mesh) -> None:
    other = await mesh.foreign("other")

    peer.say("DISCOVER", "a")
    peer.say("DISCOVER")
    assert await peer.finds_well("a")

    assert 2 == len(peer.packets("INFO"))
    assert [] == other.packets("INFO")


async def test_an_info_says_all_that_node_says(node: Broker, peer: Foreign) -> None:
    peer.say("DISCOVER")

    info = await peer.hears("INFO")

    assert {
        "services",
        "ipList",
        "hostname",
        "client",
        "config",
        "instanceID",
        "metadata",
        "seq",
        "ver",
        "sender",
    } == set(info)
    assert "python" == info["client"]["type"]
    assert {} == info["config"]
    services = {service["name"]: service for service in info["services"]}
    assert {"$node", "watcher"} == set(services)
    assert {"name": "watcher.ready", "rawName": "ready"} == services["watcher"]["actions"]["watcher.ready"]
    assert {"name": "$**"} == services["watcher"]["events"]["$**"]
    assert 7 == len(services["$node"]["actions"])


async def test_it_says_that_it_lives(mesh: Mesh, peer: Foreign) -> None:
    await mesh.node("a", heartbeat_interval=0.01, host=Host(cpu_percent=lambda: 42))

    await until(lambda: len(peer.packets("HEARTBEAT", ver="5", cpu=42)) >= 3)


async def test_a_heartbeat_tells_by_what_a_missed_info_is_noticed(mesh: Mesh) -> None:
    """Else a lost INFO would be missed until the next change (promise M3)."""
    foreign = await mesh.foreign()
    broker = await mesh.node("a", heartbeat_interval=0.01)

    beat = await foreign.hears("HEARTBEAT", sender="a")
    info = await foreign.hears("INFO", sender="a")

    assert (info["instanceID"], broker.registry.local_node.seq) == (beat["instanceID"], beat["seq"])


async def test_a_change_of_services_is_told_with_a_higher_seq_and_many_at_once(node: Broker, peer: Foreign) -> None:
    peer.introduce()
    assert await peer.finds_well("a")
    before = node.registry.local_node.seq

    for name in ("one", "two", "three"):
        await node.register(type("Made", (Service,), {"name": name}))
    await until(lambda: peer.packets("INFO"))

    assert [before + 3] == [info["seq"] for info in peer.packets("INFO")]
    assert {"$node", "watcher", "one", "two", "three"} == {
        service["name"] for service in peer.packets("INFO")[0]["services"]
    }


async def test_it_leaves_in_good_order(mesh: Mesh, peer: Foreign) -> None:
    class Slow(Service):
        name = "slow"

        @action
        async def go(self, ctx: Context) -> str:
            await asyncio.sleep(0.05)
            return "done"

    node = await mesh.node("a", Slow, shutdown_timeout=5)
    peer.introduce()
    before = await peer.ask("a", "$node.options")
    running = peer.request("a", "slow.go")
    await until(lambda: node.statistics()["transit"]["in_flight"])
    peer.heard.clear()

    await node.stop()

    assert before["success"]
    assert ["INFO", "RES", "DISCONNECT"] == [command for command, _, _ in peer.heard]
    info, answer, _ = (packet for _, packet, _ in peer.heard)
    assert [] == info["services"]
    assert (running, "done") == (answer["id"], answer["data"])


async def test_the_info_of_leaving_has_a_higher_seq_and_is_not_taken_back(mesh: Mesh, peer: Foreign) -> None:
    class Slow(Service):
        name = "slow"

        async def stopped(self) -> None:
            peer.say("DISCOVER")
            await asyncio.sleep(0.01)

    node = await mesh.node("a", Slow)
    peer.introduce()
    await peer.ask("a", "$node.options")
    seq = node.registry.local_node.seq
    peer.heard.clear()

    await node.stop()

    infos = peer.packets("INFO")
    assert 2 == len(infos)
    assert seq < infos[0]["seq"] <= infos[1]["seq"]
    assert [[], []] == [info["services"] for info in infos]


async def test_requests_while_leaving_are_refused_as_not_run(mesh: Mesh, peer: Foreign) -> None:
    ran: list[str] = []

    class Slow(Service):
        name = "slow"

        @action
        async def go(self, ctx: Context) -> None:
            ran.append("go")

        @event("told")
        def on_told(self, ctx: Context) -> None:
            ran.append("told")

        async def stopped(self) -> None:
            peer.say("EVENT", "a", id="1", event="told")
            answer = await peer.ask("a", "$node.options")
            assert (404, "SERVICE_NOT_AVAILABLE", True) == tuple(
                answer["error"][key] for key in ("code", "type", "retryable")
            )

    node = await mesh.node("a", Slow)
    await node.stop()

    assert [] == ran
    assert peer.packets("RES")
