"""Events: who hears what, and what a failing listener does to the others."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tautomer import Context, Service, Settings, action, event
from tautomer.broker import Broker
from tests.cluster import Cluster


class Ear(Service):
    """Notes what it hears, with the node it is on."""

    name = "ear"

    def __init__(self, heard: list[Any], name: str | None = None) -> None:
        super().__init__(name)
        self.heard = heard

    @event("user.created")
    async def on_created(self, ctx: Context) -> None:
        self.heard.append((self.broker.id, self.name, ctx.event_name, ctx.params))

    @event("user.*", group="audit")
    def on_any(self, ctx: Context) -> None:
        self.heard.append((self.broker.id, "audit", ctx.event_name, ctx.params))


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_member_of_each_group_hears_an_emitted_event(cluster: Cluster) -> None:
    heard: list[Any] = []
    for node_id in "bc":
        await cluster.node(node_id, Ear(heard))
    here = await cluster.node("a")

    for number in range(4):
        await here.emit("user.created", {"n": number})
    await until(lambda: len(heard) == 8)

    assert [0, 0, 1, 1, 2, 2, 3, 3] == sorted(params["n"] for *_, params in heard)
    assert {"b", "c"} == {node_id for node_id, *_ in heard}
    assert 4 == sum(group == "audit" for _, group, *_ in heard)


async def test_everyone_hears_a_broadcast(cluster: Cluster) -> None:
    heard: list[Any] = []
    for node_id in "abc":
        await cluster.node(node_id, Ear(heard))

    await cluster["a"].broadcast("user.created", 1)
    await until(lambda: len(heard) == 6)

    assert [(n, g) for n in "abc" for g in ("audit", "ear")] == sorted((n, g) for n, g, *_ in heard)


async def test_a_local_broadcast_stays_on_its_node(cluster: Cluster) -> None:
    heard: list[Any] = []
    for node_id in "ab":
        await cluster.node(node_id, Ear(heard))

    await cluster["a"].broadcast_local("user.created", 1)
    await cluster["a"].call("$node.list", node_id="b")  # What was sent before would have come by now.

    assert {"a"} == {node_id for node_id, *_ in heard}


@pytest.mark.parametrize(("groups", "expected"), [("audit", ["audit"]), (["ear"], ["ear"]), (["nobody"], [])])
async def test_only_the_named_groups_hear(cluster: Cluster, groups: Any, expected: list[str]) -> None:
    heard: list[Any] = []
    await cluster.node("b", Ear(heard))
    here = await cluster.node("a")

    await here.emit("user.created", 1, groups)
    await until(lambda: len(heard) == len(expected))
    await here.call("$node.list", node_id="b")

    assert expected == [group for _, group, *_ in heard]


async def test_awaiting_an_emit_waits_for_the_own_listeners(cluster: Cluster) -> None:
    done: list[int] = []

    class Slow(Service):
        name = "slow"

        @event("go")
        async def on_go(self, ctx: Context) -> None:
            await asyncio.sleep(0.01)
            done.append(1)

    broker = await cluster.node("a", Slow)

    await broker.emit("go")

    assert [1] == done


async def test_an_emit_that_is_not_awaited_acts_all_the_same(cluster: Cluster) -> None:
    heard: list[Any] = []

    class Caller(Service):
        name = "caller"

        @action
        def go(self, ctx: Context) -> str:
            ctx.emit("user.created", {"by": "sync handler"})
            return "done"

    await cluster.node("b", Ear(heard))
    here = await cluster.node("a", Caller)

    assert "done" == await here.call("caller.go")
    await until(lambda: len(heard) == 2)


async def test_a_failing_listener_harms_nobody(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Fragile(Service):
        name = "fragile"

        @event("go")
        async def on_go(self, ctx: Context) -> None:
            raise ValueError("broken")

        @event("go")
        def on_go_too(self, ctx: Context) -> None:
            heard.append("same service")

        @event("go", group="plain")
        def on_go_plain(self, ctx: Context) -> None:
            raise ValueError("broken, too")

    class Sound(Service):
        name = "sound"

        @event("go")
        async def on_go(self, ctx: Context) -> None:
            heard.append("other service")

    broker = await cluster.node("a", Fragile, Sound)

    with caplog.at_level(logging.ERROR, "tautomer.events"):
        await broker.emit("go")

    assert ["other service", "same service"] == sorted(heard)
    assert ["go", "go"] == [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert 2 == broker.statistics()["events"]["failed"]


async def test_an_event_says_where_it_comes_from(cluster: Cluster) -> None:
    seen: list[dict[str, Any]] = []

    class Witness(Service):
        name = "witness"

        @event("told")
        async def on_told(self, ctx: Context) -> None:
            seen.append(
                {
                    "caller": ctx.caller,
                    "request_id": ctx.request_id,
                    "parent_id": ctx.parent_id,
                    "level": ctx.level,
                    "meta": dict(ctx.meta),
                    "headers": dict(ctx.headers),
                    "type": ctx.event_type,
                    "node": ctx.node_id,
                    "action": ctx.action,
                }
            )

    class Teller(Service):
        name = "teller"

        @action
        async def tell(self, ctx: Context) -> list[str]:
            await ctx.emit("told", {}, meta={"m": 1}, headers={"h": 2})
            return [ctx.request_id, ctx.id]

    await cluster.node("b", Witness)
    here = await cluster.node("a", Teller)

    request_id, parent_id = await here.call("teller.tell", meta={"root": True})
    await until(lambda: seen)

    assert {
        "caller": "teller",
        "request_id": request_id,
        "parent_id": parent_id,
        "level": 2,
        "meta": {"root": True, "m": 1},
        "headers": {"h": 2},
        "type": "emit",
        "node": "a",
        "action": None,
    } == seen[0]


async def test_wildcards_reach_other_nodes(cluster: Cluster) -> None:
    heard: list[str] = []

    class Wild(Service):
        name = "wild"

        @event("order.**")
        def on_order(self, ctx: Context) -> None:
            heard.append(str(ctx.event_name))

    await cluster.node("b", Wild)
    here = await cluster.node("a")

    for name in ("order.a", "order.a.b", "orders.a"):
        await here.emit(name)
    await here.call("$node.list", node_id="b")

    assert ["order.a", "order.a.b"] == heard


async def test_payloads_are_validated_where_a_schema_stands(cluster: Cluster) -> None:
    heard: list[Any] = []

    class Strict(Service):
        name = "strict"

        @event("paid", params={"amount": "number"})
        async def on_paid(self, ctx: Context) -> None:
            heard.append(ctx.params)

    broker = await cluster.node("a", Strict)

    await broker.emit("paid", {"amount": "much"})
    await broker.emit("paid", {"amount": 5})

    assert [{"amount": 5}] == heard
    assert 1 == broker.statistics()["events"]["failed"]


async def test_too_many_events_wait_and_then_the_oldest_goes() -> None:
    from tautomer import delivery

    release = asyncio.Event()

    class Stuck(Service):
        name = "stuck"

        @event("go")
        async def on_go(self, ctx: Context) -> None:
            await release.wait()

    async with Broker("a", Settings(shutdown_timeout=1)) as broker:
        await broker.register(Stuck)
        for _ in range(delivery.RUNNING_MAX + delivery.QUEUED_MAX + 5):
            broker.emit("go")
        statistics = broker.statistics()["events"]
        release.set()

    assert (delivery.RUNNING_MAX, delivery.QUEUED_MAX, 5) == (
        statistics["running"],
        statistics["queued"],
        statistics["dropped"],
    )


async def test_two_groups_of_one_service_hear_the_same_event_across_nodes(cluster: Cluster) -> None:
    heard: list[str] = []

    class Double(Service):
        name = "double"

        @event("go", group="one")
        def on_one(self, ctx: Context) -> None:
            heard.append("one")

        @event("go", group="two")
        def on_two(self, ctx: Context) -> None:
            heard.append("two")

    await cluster.node("b", Double)
    here = await cluster.node("a")

    await here.emit("go")
    await until(lambda: len(heard) == 2)

    assert ["one", "two"] == sorted(heard)
