"""`disable_balancer`: the message broker chooses who is asked (protocol reference, section 2.3)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors, event
from tautomer.settings import RegistrySettings, TransitSettings
from tautomer.transporters.memory import MemoryTransporter
from tests.cluster import Cluster
from tests.kernel.mesh import Foreign, Mesh, dropped, service_info, until
from tests.servers import NatsServer


class Where(Service):
    name = "where"

    @action
    async def am_i(self, ctx: Context) -> str:
        return self.broker.id

    @action(visibility="protected")
    async def inside(self, ctx: Context) -> str:
        return self.broker.id

    @action
    async def asked_by(self, ctx: Context) -> Any:
        return [ctx.node_id, ctx.level, ctx.meta]


class Ears(Service):
    name = "ears"

    def created(self) -> None:
        self.heard: list[tuple[str, Any, Any]] = []

    @event("user.*")
    def on_user(self, ctx: Context) -> None:
        self.heard.append(("user.*", ctx.event_name, ctx.params))

    @event("user.made")
    async def on_made(self, ctx: Context) -> None:
        self.heard.append(("user.made", ctx.event_name, ctx.params))

    @event("user.made", group="audit")
    async def on_audit(self, ctx: Context) -> None:
        self.heard.append(("audit", ctx.event_name, ctx.event_groups))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.stop()


async def two(cluster: Cluster, *services: type[Service]) -> tuple[Broker, Broker]:
    a = await cluster.node("a", *services, disable_balancer=True)
    b = await cluster.node("b", *services, disable_balancer=True)
    for node in (a, b):
        for service in services:
            await until(lambda node=node, service=service: 2 == _offering(node, service.name))
    return a, b


def _offering(node: Broker, service: str) -> int:
    return sum(known.full_name == service for known in node.registry.services)


async def test_calls_go_round_among_all_who_offer_the_action_this_node_too(cluster: Cluster) -> None:
    a, _ = await two(cluster, Where)

    answers = Counter([await a.call("where.am_i") for _ in range(20)])

    assert {"a": 10, "b": 10} == answers


async def test_a_call_to_a_named_node_goes_there(cluster: Cluster) -> None:
    a, _ = await two(cluster, Where)

    assert ["b", "a"] == [await a.call("where.am_i", node_id=node) for node in ("b", "a")]
    with pytest.raises(errors.ServiceNotFoundError):
        await a.call("where.am_i", node_id="nobody")


async def test_meta_and_the_rest_of_the_context_travel(cluster: Cluster) -> None:
    a = await cluster.node("a", Where, disable_balancer=True)

    assert ["a", 1, {"m": 1}] == await a.call("where.asked_by", meta={"m": 1})


async def test_what_nobody_offers_is_not_found_and_what_nobody_offers_any_more_not_available(cluster: Cluster) -> None:
    a, b = await two(cluster)
    await b.register(Where())
    await a.wait_for_services("where", 5)
    await b.destroy_service("where")
    await until(lambda: not a.registry.has_service("where"))

    with pytest.raises(errors.ServiceNotAvailableError):
        await a.call("where.am_i")
    with pytest.raises(errors.ServiceNotFoundError):
        await a.call("where.never")


async def test_a_service_that_comes_later_is_found_by_whoever_hears_of_it(cluster: Cluster) -> None:
    """No message is lost between its INFO and its subscription."""
    a, b = await two(cluster)

    for _ in range(5):
        service = await b.register(Where())
        await a.wait_for_services("where", 5)
        assert "b" == await a.call("where.am_i", timeout=1.0)
        await b.destroy_service(service)
        await until(lambda: not a.registry.has_service("where"))


async def test_who_withdrew_a_service_is_asked_no_more(cluster: Cluster) -> None:
    a, b = await two(cluster, Where)
    await b.destroy_service("where")

    assert {"a": 6} == Counter([await a.call("where.am_i") for _ in range(6)])


async def test_who_leaves_is_asked_no_more(cluster: Cluster) -> None:
    a, b = await two(cluster, Where)
    await b.stop()

    assert {"a": 6} == Counter([await a.call("where.am_i") for _ in range(6)])


async def test_no_call_is_lost_while_nodes_come_and_go(cluster: Cluster) -> None:
    a, b = await two(cluster, Where)
    stopping = asyncio.create_task(b.stop())
    answers = [await a.call("where.am_i", timeout=2.0) for _ in range(200)]
    await stopping

    assert 200 == len(answers)
    assert "a" == answers[-1]


async def test_protected_and_internal_actions_stay_on_their_node(cluster: Cluster) -> None:
    a, b = await two(cluster, Where)

    assert {"a"} == {await a.call("where.inside") for _ in range(4)}
    assert {"b"} == {(await b.call("$node.options"))["nodeID"] for _ in range(4)}


async def test_an_event_reaches_one_node_of_each_group_and_all_its_patterns_there(cluster: Cluster) -> None:
    a, b = await two(cluster, Ears)
    ears = [node.get_local_service("ears") for node in (a, b)]

    for number in range(10):
        await a.emit("user.made", number)
    await until(lambda: 30 == sum(len(one.heard) for one in ears))

    counted = Counter(kind for one in ears for kind, _, _ in one.heard)
    assert {"user.*": 10, "user.made": 10, "audit": 10} == counted
    assert all(one.heard for one in ears)
    assert {("audit", "user.made", ("audit",))} == {
        (kind, name, tuple(groups)) for one in ears for kind, name, groups in one.heard if kind == "audit"
    }


async def test_an_event_reaches_the_groups_that_are_named(cluster: Cluster) -> None:
    a, b = await two(cluster, Ears)
    ears = [node.get_local_service("ears") for node in (a, b)]

    await a.emit("user.made", 1, groups="audit")
    await a.emit("user.gone", 1, groups=["audit"])
    await a.emit("user.gone", 2)
    await until(lambda: 2 == sum(len(one.heard) for one in ears))

    assert {("audit", "user.made"), ("user.*", "user.gone")} == {
        (kind, name) for one in ears for kind, name, _ in one.heard
    }


async def test_an_event_that_nobody_hears_is_no_error(cluster: Cluster) -> None:
    a, _ = await two(cluster, Ears)

    await a.emit("nobody.hears")
    await a.emit("user.made", 1, groups=["nobody"])


async def test_a_broadcast_reaches_everyone(cluster: Cluster) -> None:
    a, b = await two(cluster, Ears)
    ears = [node.get_local_service("ears") for node in (a, b)]

    await a.broadcast("user.gone", 5)
    await until(lambda: all(one.heard for one in ears))

    assert [[("user.*", "user.gone", 5)]] * 2 == [one.heard for one in ears]


async def test_local_events_stay_local(cluster: Cluster) -> None:
    a, b = await two(cluster, Ears)
    ears = [node.get_local_service("ears") for node in (a, b)]

    await a.broadcast_local("user.gone", 5)

    assert [1, 0] == [len(one.heard) for one in ears]


async def test_a_pattern_that_no_message_broker_knows_is_told_of(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Service):
        name = "odd"

        @event("user?")
        def one(self, ctx: Context) -> None: ...

        @event("fine.**", group="not fine")
        def two(self, ctx: Context) -> None: ...

    with caplog.at_level(logging.WARNING, "tautomer.transit"):
        await cluster.node("a", Odd, disable_balancer=True)

    told = [record for record in caplog.records if record.message.startswith("not heard with disable_balancer")]
    assert ["odd", "not fine"] == [record.group for record in told]  # type: ignore[attr-defined]  # An extra field.


async def test_it_has_no_effect_where_the_transporter_cannot_choose(caplog: pytest.LogCaptureFixture) -> None:
    class Plain(MemoryTransporter):
        balances = False

    node = Broker("a", Settings(transporter=Plain("memory://plain"), disable_balancer=True))
    await node.register(Where())
    async with node:
        assert "a" == await node.call("where.am_i")
    alone = Broker("b", Settings(disable_balancer=True))
    await alone.register(Where())
    async with alone:
        assert "b" == await alone.call("where.am_i")

    assert 1 == caplog.text.count("disable_balancer has no effect")


# --- a foreign node ---


async def balanced(mesh: Mesh, **settings: Any) -> Broker:
    return await mesh.node("a", disable_balancer=True, **settings)


@pytest.fixture
async def asking(mesh: Mesh, peer: Foreign) -> Broker:
    """Knows of one who offers "far.do"."""
    node = await balanced(mesh)
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    return node


async def test_the_first_known_node_to_answer_is_believed_and_a_stranger_is_not(asking: Broker, peer: Foreign) -> None:
    await peer.listen_balanced("far.do")
    asked = asyncio.create_task(asking.call("far.do", timeout=5.0))
    request = await peer.hears("REQ", action="far.do")

    peer.answer(request, data="wrong", sender="stranger")
    peer.answer(request, data="right")
    peer.answer(request, data="late")

    assert "right" == await asked
    assert await peer.finds_well("a")
    assert 2 == dropped(asking)["orphan"]


async def test_an_answer_of_this_very_node_to_a_call_to_another_is_not_believed(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a")
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    asked = asyncio.create_task(node.call("far.do", timeout=5.0))
    request = await peer.hears("REQ", action="far.do")

    peer.answer(request, data="wrong", sender="a")
    peer.answer(request, data="right")

    assert "right" == await asked


async def test_nobody_there_is_told_at_once(asking: Broker) -> None:
    with pytest.raises(errors.ServiceNotAvailableError) as raised:
        await asking.call("far.do", timeout=5.0)

    assert {"action": "far.do"} == raised.value.data
    assert asking.registry.nodes["f"].available


async def test_no_answer_is_a_timeout_of_no_node_in_particular(asking: Broker, peer: Foreign) -> None:
    await peer.listen_balanced("far.do")

    with pytest.raises(errors.RequestTimeoutError) as raised:
        await asking.call("far.do", timeout=0.1)

    assert {"action": "far.do"} == raised.value.data


async def test_it_is_asked_in_the_version_that_those_who_offer_it_speak(mesh: Mesh) -> None:
    node, old, new = await balanced(mesh), await mesh.foreign("old", "4"), await mesh.foreign("new", "5")
    old.introduce(service_info("far", "do"))
    new.introduce(service_info("other", "do"))
    await node.wait_for_services(["far", "other"], 5)
    for peer, name in ((old, "far.do"), (new, "other.do")):
        await peer.listen_balanced(name)
        asked = asyncio.create_task(node.call(name, timeout=5.0))
        request = await peer.hears("REQ", action=name)
        peer.answer(request, data=request["ver"])

        assert peer.version == await asked


async def test_the_version_is_found_anew_when_others_come_to_offer_it(mesh: Mesh) -> None:
    """The list of an action that nobody offered for a while counts its changes from the beginning."""
    node, old, new = await balanced(mesh), await mesh.foreign("old", "4"), await mesh.foreign("new", "5")
    new.introduce(service_info("far", "do"))
    old.introduce()
    await until(lambda: 1 == _offering(node, "far"))
    with pytest.raises(errors.MoleculerError):
        await node.call("far.do")
    new.introduce(seq=2)
    await until(lambda: "far.do" not in node.registry.actions or not node.registry.actions["far.do"].all)
    old.introduce(service_info("far", "do"), seq=2)
    await until(lambda: 1 == _offering(node, "far"))
    await old.listen_balanced("far.do")

    asked = asyncio.create_task(node.call("far.do", timeout=5.0))
    request = await old.hears("REQ", action="far.do")
    old.answer(request, data=request["ver"])

    assert "4" == await asked


async def test_a_stream_is_taken_from_whoever_was_chosen(cluster: Cluster) -> None:
    class Counting(Service):
        name = "counting"

        @action
        async def up(self, ctx: Context) -> AsyncIterator[int]:
            for number in range(3):
                yield number

    await cluster.node("b", Counting, disable_balancer=True)
    caller = await cluster.node("a", disable_balancer=True)

    assert [0, 1, 2] == [number async for number in await caller.call("counting.up")]


async def test_a_node_that_joins_late_shares_the_requests_as_others_do() -> None:
    """It offers its services before it has its line; what is to reach one of them must not reach it beside another."""

    class Late(MemoryTransporter):
        async def subscribe(self, topics: Any) -> None:
            await release.wait()
            await super().subscribe(topics)

    ran: list[str] = []

    class Noting(Service):
        name = "noting"

        @action
        async def note(self, ctx: Context) -> None:
            ran.append(ctx.broker.id)

    release, url = asyncio.Event(), "memory://late"
    transit = TransitSettings(connect_wait=0.01, settle=0.0, stop_delay=0.0)
    lines = {"a": Late(url), "b": MemoryTransporter(url), "c": MemoryTransporter(url)}
    nodes = [
        Broker(name, Settings(transporter=line, disable_balancer=True, transit=transit)) for name, line in lines.items()
    ]
    for node in nodes[:2]:
        node.create_service(Noting())
    try:
        for node in nodes:
            await node.start()
        release.set()
        await until(lambda: 2 == _offering(nodes[2], "noting"))
        for _ in range(10):
            await nodes[2].call("noting.note", timeout=5.0)
    finally:
        for node in nodes:
            await node.stop()

    assert 10 == len(ran)


async def test_what_both_lines_offer_is_refused_with_what_to_do(mesh: Mesh) -> None:
    node, old, new = await balanced(mesh), await mesh.foreign("old", "4"), await mesh.foreign("new", "5")
    for peer in (old, new):
        peer.introduce(service_info("far", "do", events={"x": {"name": "x"}}))
    await until(lambda: 2 == _offering(node, "far"))

    with pytest.raises(errors.BrokerOptionsError, match="set `protocol`"):
        await node.call("far.do")
    with pytest.raises(errors.BrokerOptionsError, match="event 'x' of group 'far'"):
        node.emit("x")
    old.introduce(seq=2)
    await until(lambda: 1 == _offering(node, "far"))
    with pytest.raises(errors.ServiceNotAvailableError):
        await node.call("far.do")


async def test_settings_of_the_balancer_do_not_matter(cluster: Cluster) -> None:
    a = await cluster.node("a", Where, disable_balancer=True, registry=RegistrySettings(strategy="Random"))

    assert "a" == await a.call("where.am_i")


@pytest.mark.slow
@pytest.mark.server
async def test_what_was_offered_and_withdrawn_while_the_line_was_away_is_made_good() -> None:
    with NatsServer() as server:
        nodes = [Broker(name, Settings(transporter=server.url, disable_balancer=True)) for name in ("a", "b")]
        a, b = nodes
        await b.register(Where())
        async with a, b:
            await a.wait_for_services("where", 5)
            assert "b" == await a.call("where.am_i")
            server.stop()
            await until(lambda: not a.connected and not b.connected)
            await a.register(Where())
            await b.destroy_service("where")
            server.start()
            await until(lambda: a.connected and b.connected, 10)
            await until(lambda: 1 == _offering(b, "where") and "a" in b.registry.actions["where.am_i"]._all, 10)

            assert {"a"} == {await b.call("where.am_i", timeout=5.0) for _ in range(4)}
            assert {"a"} == {await a.call("where.am_i", timeout=5.0) for _ in range(4)}
