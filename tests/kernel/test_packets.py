"""Packets as a strange node may send them: each kind of fault and the exact answer (reliability reference, section 5.4)."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, event
from tautomer.host import Host
from tautomer.settings import RegistrySettings
from tautomer.transit import transit
from tests.kernel.mesh import Clock, Foreign, Mesh, dropped, service_info


class Math(Service):
    name = "math"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    @action(params={"a": "number", "b": "number"})
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    async def show(self, ctx: Context) -> dict[str, Any]:
        return {"params": ctx.params, "level": ctx.level, "left": ctx.request_timeout, "meta": ctx.meta}

    @action(visibility="protected")
    async def inner(self, ctx: Context) -> str:
        return "inner"

    @action(visibility="private")
    async def hidden(self, ctx: Context) -> str:
        return "hidden"

    @event("told")
    def on_told(self, ctx: Context) -> None:
        self.heard.append(ctx.params)


@pytest.fixture
async def node(mesh: Mesh, peer: Foreign) -> Broker:
    """The node that gets the packets."""
    return await mesh.node("a", Math)


def drop_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """(reason, sender) of each line about a packet that was dropped."""
    return [(r.reason, r.sender) for r in caplog.records if r.message == "packet dropped"]  # type: ignore[attr-defined]


DEEP = b'{"id":"1","action":"math.add","event":"a","params":%b,"data":%b,"ver":"5","sender":"f"}' % (
    (b"[" * 5_000 + b"]" * 5_000,) * 2
)

UNREADABLE = {
    "empty": b"",
    "no JSON": b"\xff\x00garbage",
    "cut off": b'{"id":"1","action":"math.add","ver":"5","sen',
    "a list": b"[1,2]",
    "null": b"null",
    "a number": b"5",
    "NaN": b'{"id":"1","action":"math.show","params":NaN,"ver":"5","sender":"f"}',
    "a number without end": b'{"id":"1","action":"math.show","params":1e999,"ver":"5","sender":"f"}',
    "nested too deep": DEEP,
    "not UTF-8": b'{"id":"1","action":"math.show","params":"\xff","ver":"5","sender":"f"}',
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("command", ["REQ", "EVENT"])
async def test_what_cannot_be_read_is_dropped(node: Broker, peer: Foreign, command: str, data: bytes) -> None:
    peer.say_bytes(command, data, "a")

    assert await peer.finds_well("a")
    assert {"undecodable": 1} == dropped(node)


async def test_who_asks_with_params_that_are_too_deep_is_told(node: Broker, peer: Foreign) -> None:
    params: Any = []
    for _ in range(150):
        params = [params]

    answer = await peer.ask("a", "math.show", params)

    assert (422, "nested deeper than 100 levels") == (answer["error"]["code"], answer["error"]["data"][0]["message"])
    assert {"undecodable": 1} == dropped(node)


@pytest.mark.parametrize("version", ["3", "6", "", None, 4, ["4"]])
async def test_another_protocol_version_is_dropped(node: Broker, peer: Foreign, version: Any) -> None:
    peer.request("a", "math.show", ver=version)

    assert await peer.finds_well("a")
    assert {"version": 1} == dropped(node)
    assert 1 == len(peer.packets("RES"))


@pytest.mark.parametrize("sender", [None, 5, "", "a b", "a\r\nPUB x", "a\x00", "*", "a.>", "x" * 256, ["a"], {}])
async def test_a_sender_that_cannot_be_part_of_a_topic_is_dropped(node: Broker, peer: Foreign, sender: Any) -> None:
    for command, to in (("REQ", "a"), ("DISCOVER", None), ("PING", "a"), ("INFO", None), ("HEARTBEAT", None)):
        peer.say(command, to, id="1", action="math.show", services=[], sender=sender)

    assert await peer.finds_well("a")
    assert {"sender": 5} == dropped(node)


async def test_a_packet_without_sender_is_dropped(node: Broker, peer: Foreign) -> None:
    peer.say_bytes("DISCOVER", b'{"ver":"5"}')
    peer.say_bytes("REQ", b'{"ver":"5","id":"1","action":"math.show"}', "a")

    assert await peer.finds_well("a")
    assert {"sender": 2} == dropped(node)


MALFORMED_REQUESTS = {
    "no action": {},
    "action not a text": {"action": 5},
    "meta not an object": {"action": "math.show", "meta": [1]},
    "headers not an object": {"action": "math.show", "headers": "x"},
    "level not a number": {"action": "math.show", "level": "1"},
    "caller not a text": {"action": "math.show", "caller": {}},
    "requestID not a text": {"action": "math.show", "requestID": 7},
}


@pytest.mark.parametrize("fields", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS)
async def test_a_malformed_request_is_answered_with_a_validation_error(
    node: Broker, peer: Foreign, fields: dict[str, Any]
) -> None:
    peer.say("REQ", "a", id="r-bad", **fields)
    answer = await peer.hears("RES", id="r-bad")

    assert (False, None) == (answer["success"], answer["data"])
    assert ("ValidationError", 422, "VALIDATION_ERROR", False, "a") == tuple(
        answer["error"][key] for key in ("name", "code", "type", "retryable", "nodeID")
    )
    assert "malformed" == answer["error"]["data"][0]["type"]
    assert {"malformed": 1} == dropped(node)


@pytest.mark.parametrize("request_id", [None, 5, "", "x" * 256, {}])
async def test_a_malformed_request_without_a_usable_id_is_dropped(node: Broker, peer: Foreign, request_id: Any) -> None:
    peer.say("REQ", "a", id=request_id, action="math.show")

    assert await peer.finds_well("a")
    assert {"malformed": 1} == dropped(node)
    assert 1 == len(peer.packets("RES"))


MALFORMED: dict[str, dict[str, Any]] = {
    "RES": {"id": 5},
    "EVENT": {"id": "1", "event": None},
    "INFO": {"services": {"name": "math"}},
    "HEARTBEAT": {"cpu": "much"},
    "PING": {"time": {"deep": 1}, "id": "1"},
    "PONG": {"time": 1, "id": ["1"]},
}


@pytest.mark.parametrize("command", MALFORMED)
async def test_other_malformed_packets_are_dropped(node: Broker, peer: Foreign, command: str) -> None:
    peer.say(command, None if command in ("INFO", "HEARTBEAT") else "a", **MALFORMED[command])

    assert await peer.finds_well("a")
    assert {"malformed": 1} == dropped(node)


async def test_fields_that_are_not_known_are_ignored(node: Broker, peer: Foreign) -> None:
    answer = await peer.ask("a", "math.add", {"a": 1, "b": 2}, fromTheFuture={"x": [1]}, ack=True)

    assert 3 == answer["data"]
    assert {} == dropped(node)


async def test_a_drop_is_told_once_a_minute_for_each_reason_and_sender(
    mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    node = await mesh.node("a", Math, host=Host(clock=clock))
    other = await mesh.foreign("g")

    with caplog.at_level(logging.WARNING, "tautomer.transit"):
        for _ in range(3):
            peer.say("REQ", "a", action="math.show")
            other.say("REQ", "a", action="math.show")
            peer.say("REQ", "a", id="1", action="math.show", ver="9")
        assert await peer.finds_well("a")
        assert [("malformed", "f"), ("malformed", "g"), ("version", "f")] == drop_lines(caplog)

        clock.now += 59.9
        peer.say("REQ", "a", action="math.show")
        assert await peer.finds_well("a")
        assert 3 == len(drop_lines(caplog))

        clock.now += 0.2
        peer.say("REQ", "a", action="math.show")
        assert await peer.finds_well("a")
        assert 4 == len(drop_lines(caplog))
    assert {"malformed": 8, "version": 3} == dropped(node)


# --- REQ ---


@pytest.mark.parametrize("name", ["nobody.here", "math.inner", "math.hidden", "math", "", "$node.nothing", "told"])
async def test_an_action_that_others_may_not_call_is_not_found(node: Broker, peer: Foreign, name: str) -> None:
    answer = await peer.ask("a", name)

    error = answer["error"]
    assert (404, "SERVICE_NOT_FOUND", "ServiceNotFoundError") == (error["code"], error["type"], error["name"])
    assert {"action": name, "nodeID": "a"} == error["data"]
    assert error["retryable"]


@pytest.mark.parametrize(("level", "limit_reached"), [(1, False), (5, False), (6, True), (10**30, True), (5.5, True)])
async def test_a_level_over_the_limit_is_refused(mesh: Mesh, peer: Foreign, level: float, limit_reached: bool) -> None:
    await mesh.node("a", Math, max_call_level=5)

    answer = await peer.ask("a", "math.show", level=level)

    assert limit_reached == (not answer["success"])
    if limit_reached:
        assert (500, "MAX_CALL_LEVEL") == (answer["error"]["code"], answer["error"]["type"])
        assert {"nodeID": "a", "level": 5} == answer["error"]["data"]


@pytest.mark.parametrize("level", [None, 0, -3, 0.5])
async def test_an_odd_level_counts_as_one(node: Broker, peer: Foreign, level: Any) -> None:
    assert 1 == (await peer.ask("a", "math.show", level=level))["data"]["level"]


@pytest.mark.parametrize("timeout", [-1, -0.5, "100", True, [], {}, None, 10**15, 1e300])
async def test_an_odd_timeout_says_nothing_and_the_nodes_own_holds(mesh: Mesh, peer: Foreign, timeout: Any) -> None:
    await mesh.node("a", Math, request_timeout=7.0)

    left = (await peer.ask("a", "math.show", timeout=timeout))["data"]["left"]

    assert 6.0 < left <= 7.0


async def test_a_timeout_of_zero_means_no_end(mesh: Mesh, peer: Foreign) -> None:
    """Node's callers fill in what they have, so that a 0 is meant (protocol section 3.4)."""
    await mesh.node("a", Math, request_timeout=7.0)

    assert (await peer.ask("a", "math.show", timeout=0))["data"]["left"] is None
    assert 0.9 < (await peer.ask("a", "math.show", timeout=999.88))["data"]["left"] < 1.0


@pytest.mark.parametrize("params", [None, 5, "x", [1], {"a": "x"}])
async def test_params_of_any_type_are_handed_to_validation(node: Broker, peer: Foreign, params: Any) -> None:
    answer = await peer.ask("a", "math.add", params)

    assert ("ValidationError", 422) == (answer["error"]["name"], answer["error"]["code"])


async def test_a_request_with_nothing_but_id_and_action_runs(node: Broker, peer: Foreign) -> None:
    peer.say("REQ", "a", id="r-1", action="math.show")

    answer = await peer.hears("RES", id="r-1")

    assert {"params": None, "level": 1, "meta": {}} == {k: v for k, v in answer["data"].items() if k != "left"}


@pytest.fixture
async def caller(mesh: Mesh, peer: Foreign) -> Broker:
    """A node that knows an action of the foreign one."""
    broker = await mesh.node("a", Math)
    peer.introduce(service_info("far", "do"))
    await broker.wait_for_services("far", 5)
    return broker


async def called(caller: Broker, peer: Foreign, **options: Any) -> tuple[asyncio.Task[Any], dict[str, Any]]:
    """A call that has reached the foreign node: its task, and the REQ."""
    peer.heard.clear()
    task = asyncio.ensure_future(caller.call("far.do", **options))
    return task, await peer.hears("REQ")


# --- EVENT ---


async def test_an_event_that_nobody_listens_to_is_ignored(node: Broker, peer: Foreign) -> None:
    peer.say("EVENT", "a", id="1", event="nobody.listens", data={})
    peer.say("EVENT", "a", id="2", event="x" * 10_000, data={})
    peer.say("EVENT", "a", id="3", event="told", data={"n": 1}, groups=["math"], broadcast=False)

    assert await peer.finds_well("a")
    assert {} == dropped(node)
    assert [{"n": 1}] == node.get_local_service("math").heard  # type: ignore[union-attr]  # It is there.


async def test_a_flood_of_bad_packets_in_ever_new_names_is_no_flood_of_lines(
    mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transit, "WARNED_MAX", 20)
    clock = Clock()
    node = await mesh.node("a", Math, host=Host(clock=clock))

    with caplog.at_level(logging.WARNING, "tautomer"):
        for minute in range(1, 4):
            for number in range(100):
                peer.say("EVENT", "a", id=5, event="told", sender=f"n{minute}-{number}")
            assert await peer.finds_well("a")
            assert 20 * minute == len(drop_lines(caplog))
            clock.now += 60

    assert {"malformed": 300} == dropped(node)


# --- INFO ---


BAD_SERVICES = {
    "name with a blank": {"name": "a b"},
    "empty name": {"name": ""},
    "name with a line end": {"name": "a\r\nb"},
    "name over 255": {"name": "x" * 256},
    "action with a blank": service_info("far", "do it"),
    "action over 255": service_info("far", "x" * 256),
    "event with a control": {**service_info("far", "do"), "events": {"e": {"name": "e\x07"}}},
    "full name with a blank": service_info("far", "do", fullName="v 2.far"),
}


@pytest.mark.parametrize("service", BAD_SERVICES.values(), ids=BAD_SERVICES)
async def test_a_bad_info_is_refused_whole_and_the_last_good_one_stays(
    caller: Broker, peer: Foreign, service: dict[str, Any]
) -> None:
    peer.introduce(service_info("other", "do"), service, seq=2)
    assert await peer.finds_well("a")

    assert {"info": 1} == dropped(caller)
    assert not caller.registry.has_service("other")
    task, request = await called(caller, peer)
    peer.answer(request, data="still here")
    assert "still here" == await task


async def test_an_info_over_the_counts_is_refused_whole(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a", Math, registry=RegistrySettings(services_max=2, actions_max=3))

    peer.introduce(*(service_info(f"s{n}") for n in range(3)))
    peer.introduce(service_info("s", *(f"a{n}" for n in range(4))))
    assert await peer.finds_well("a")

    assert {"info": 2} == dropped(node)
    assert {"a"} == set(node.registry.nodes)

    peer.introduce(service_info("s", "a1"), service_info("t", "a1"))
    assert await peer.finds_well("a")
    assert {"a", "f"} == set(node.registry.nodes)


async def test_refused_infos_are_told_once_a_minute(
    node: Broker, peer: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tautomer"):
        for _ in range(20):
            peer.introduce({"name": "a b"})
        assert await peer.finds_well("a")

    assert {"info": 20} == dropped(node)
    assert [("info", "f")] == drop_lines(caplog)
    assert 1 == len(caplog.records)


@pytest.mark.parametrize(("seq", "taken"), [(4, False), (5, False), (6, True)])
async def test_an_info_that_is_not_newer_is_ignored(node: Broker, peer: Foreign, seq: int, taken: bool) -> None:
    peer.introduce(service_info("before", "do"), seq=5)
    peer.introduce(service_info("after", "do"), seq=seq)
    assert await peer.finds_well("a")

    assert taken == node.registry.has_service("after")
    assert taken != node.registry.has_service("before")


async def test_what_others_say_in_our_name_is_never_obeyed(node: Broker, peer: Foreign) -> None:
    node.registry.local_node.metadata = {"ours": True}
    for _ in range(2):
        peer.introduce(service_info("math", "evil"), sender="a", seq=99)
        peer.say("HEARTBEAT", cpu=99, sender="a", seq=7)
        peer.say("DISCONNECT", sender="a")
    assert await peer.finds_well("a")

    assert node.started
    assert node.registry.local_node.available
    assert "math.evil" not in node.registry.actions
    assert {"ours": True} == node.registry.local_node.metadata
    assert 3 == await node.call("math.add", {"a": 1, "b": 2})


# --- PING ---


@pytest.mark.parametrize(
    ("time", "ping_id"), [(1, "1"), (None, None), ("soon", 5), (-1.5, ""), (2**64 + 1, "x" * 1_000)]
)
async def test_a_ping_is_echoed(node: Broker, peer: Foreign, time: Any, ping_id: Any) -> None:
    peer.say("PING", "a", time=time, id=ping_id)

    pong = await peer.hears("PONG")

    assert (time, ping_id, "5", "a") == (pong["time"], pong["id"], pong["ver"], pong["sender"])
    assert isinstance(pong["arrived"], int)


@pytest.mark.parametrize("arrived", ["now", None, 10**400], ids=["text", "null", "huge"])
@pytest.mark.parametrize("time", ["then", None, 10**400, -(10**400)], ids=["text", "null", "huge", "huge, negative"])
async def test_a_pong_without_usable_numbers_is_no_answer(
    caller: Broker, peer: Foreign, time: Any, arrived: Any, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.ensure_future(caller.ping("f", timeout=0.03))
    ping = await peer.hears("PING")

    peer.say("PONG", "a", time=time, id=ping["id"], arrived=arrived)

    assert await task is None
    assert [] == [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_pong_counts_only_from_the_node_that_was_pinged(caller: Broker, peer: Foreign, mesh: Mesh) -> None:
    stranger = await mesh.foreign("g")
    task = asyncio.ensure_future(caller.ping("f", timeout=5))
    ping = await peer.hears("PING")

    stranger.say("PONG", "a", time=ping["time"], id=ping["id"], arrived=ping["time"])
    assert await stranger.finds_well("a")
    peer.say("PONG", "a", time=ping["time"], id=ping["id"], arrived=ping["time"])

    assert "f" == (await task)["nodeID"]


# --- floods ---


async def test_heartbeats_of_unknown_nodes_lead_to_few_questions(mesh: Mesh, peer: Foreign) -> None:
    clock = Clock()
    await mesh.node("a", Math, host=Host(clock=clock))
    stranger = await mesh.foreign("stranger-1")

    def asked() -> int:
        return len(stranger.packets("DISCOVER", sender="a"))

    for _ in range(20):
        stranger.say("HEARTBEAT", cpu=1)
    assert await peer.finds_well("a")
    assert 1 == asked()

    clock.now += 1.0
    stranger.say("HEARTBEAT", cpu=1)
    assert await peer.finds_well("a")
    assert 2 == asked()


async def test_at_most_fifty_nodes_are_asked_in_a_second(mesh: Mesh, peer: Foreign) -> None:
    clock = Clock()
    node = await mesh.node("a", Math, host=Host(clock=clock))
    asked: list[str] = []
    send = node.transit._transporter.send  # type: ignore[union-attr]  # Nobody listens where these go.

    def listen(topic: str, data: bytes, token: str | None = None) -> None:
        if topic.startswith("MOL.DISCOVER."):
            asked.append(topic)
        send(topic, data, token)

    node.transit._send = listen  # type: ignore[union-attr]  # As above.
    for number in range(500):
        peer.say("HEARTBEAT", cpu=1, sender=f"n{number}")
    assert await peer.finds_well("a")
    assert 50 == len(asked)

    clock.now += 1.0
    for number in range(500):
        peer.say("HEARTBEAT", cpu=1, sender=f"n{number}")
    assert await peer.finds_well("a")
    assert 100 == len(asked)


async def test_nodes_over_the_limit_are_refused(mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture) -> None:
    node = await mesh.node("a", Math, registry=RegistrySettings(nodes_max=10))

    with caplog.at_level(logging.WARNING, "tautomer"):
        for number in range(200):
            peer.introduce(service_info(f"s{number}", "do"), sender=f"n{number}")
        assert await peer.finds_well("a")

    assert 11 == len(node.registry.nodes)
    assert 11 == len({service.node_id for service in node.registry.services})
    assert {"nodes": 190} == dropped(node)
    assert 1 == len(drop_lines(caplog))


async def test_a_node_that_is_known_is_heard_though_the_limit_is_reached(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a", Math, registry=RegistrySettings(nodes_max=1))
    peer.introduce(service_info("far", "do"))
    peer.introduce(service_info("far", "do", "more"), seq=2)
    assert await peer.finds_well("a")

    assert "far.more" in node.registry.actions


# --- what is answered is JSON that anybody reads ---


async def test_an_answer_has_every_field_that_node_sends(node: Broker, peer: Foreign) -> None:
    answer = await peer.ask("a", "math.add", {"a": 1, "b": 2}, meta={"who": "f"})

    assert {
        "id": answer["id"],
        "meta": {"who": "f"},
        "headers": {},
        "success": True,
        "data": 3,
        "ver": "5",
        "sender": "a",
    } == answer
    assert json.dumps(answer)
