"""Strategies as users choose them: by settings, by marks, by services; and what they need of the mesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors, event
from tautomer.balancing import Latency, Random, RoundRobin, Shard
from tautomer.settings import RegistrySettings
from tests.cluster import Cluster
from tests.kernel.mesh import Foreign, Mesh, service_info, until


class Where(Service):
    name = "where"

    @action
    async def plain(self, ctx: Context) -> str:
        return self.broker.id

    @action(strategy="Shard", strategy_options={"shard_key": "user.id"})
    async def by_user(self, ctx: Context) -> str:
        return self.broker.id

    @action(strategy="shard", strategyOptions={"shardKey": "#tenant"})
    async def by_tenant(self, ctx: Context) -> str:
        return self.broker.id

    @event("user.*", strategy="Shard", strategy_options={"shard_key": "id"})
    async def on_user(self, ctx: Context) -> None:
        self.heard = [*getattr(self, "heard", ()), ctx.params["id"]]


class Sharded(Service):
    name = "sharded"
    settings = {"$strategy": "Shard", "$strategyOptions": {"shardKey": "id"}}

    @action
    async def get(self, ctx: Context) -> str:
        return self.broker.id

    @action(strategy="Random")
    async def any(self, ctx: Context) -> str:
        return self.broker.id


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Three nodes that offer all, and one that asks."""
    made = Cluster()
    for node in ("node-1", "node-2", "node-3"):
        await made.node(node, Where, Sharded)
    await made.node("caller", registry=RegistrySettings(prefer_local=False))
    yield made
    await made.stop()


async def test_a_key_goes_to_the_node_that_nodes_own_strategy_chooses(cluster: Cluster) -> None:
    expected = {"1": "node-3", "2": "node-3", "user-5": "node-1", "abc": "node-2", "hello": "node-2"}
    caller = cluster["caller"]

    assert expected == {key: await caller.call("where.by_user", {"user": {"id": key}}) for key in expected}
    assert expected == {key: await caller.call("where.by_tenant", meta={"tenant": key}) for key in expected}
    assert expected == {key: await caller.call("sharded.get", {"id": key}) for key in expected}


async def test_an_event_goes_by_its_payload(cluster: Cluster) -> None:
    for _ in range(3):
        for key in ("1", "user-5", "abc"):
            await cluster["caller"].emit("user.made", {"id": key})
    listeners = {node: cluster[node].get_local_service("where") for node in ("node-1", "node-2", "node-3")}
    await until(lambda: 9 == sum(len(getattr(one, "heard", ())) for one in listeners.values()))

    assert {"node-1": {"user-5"}, "node-2": {"abc"}, "node-3": {"1"}} == {
        node: set(one.heard) for node, one in listeners.items()
    }


async def test_other_actions_keep_the_nodes_own_strategy(cluster: Cluster) -> None:
    counted = Counter([await cluster["caller"].call("where.plain") for _ in range(9)])

    assert {"node-1": 3, "node-2": 3, "node-3": 3} == counted
    actions = cluster["caller"].registry.actions
    assert [RoundRobin, Shard, Random] == [
        type(actions[name]._strategy) for name in ("where.plain", "where.by_user", "sharded.any")
    ]


async def test_a_node_that_goes_gives_its_keys_to_others(cluster: Cluster) -> None:
    caller = cluster["caller"]
    await cluster["node-3"].stop()
    await until(lambda: 2 == len(caller.registry.actions["where.by_user"]))

    for key in ("1", "2", "abc"):
        first = await caller.call("where.by_user", {"user": {"id": key}})
        assert first in ("node-1", "node-2")
        assert first == await caller.call("where.by_user", {"user": {"id": key}})


async def test_it_is_announced_as_node_spells_it(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a", Where)
    peer.say("DISCOVER")
    services = (await peer.hears("INFO"))["services"]
    await until(lambda: node)

    (where,) = [one for one in services if one["name"] == "where"]
    entry: dict[str, Any] = where["actions"]["where.by_user"]
    assert ("Shard", {"shardKey": "user.id"}) == (entry["strategy"], entry["strategyOptions"])
    assert "strategy_options" not in entry
    assert "strategy" not in where["actions"]["where.plain"]
    assert "Shard" == where["events"]["user.*"]["strategy"]


@pytest.mark.parametrize(
    "registry",
    [
        {"strategy": "Shrad"},
        {"strategy": "Shard", "strategy_options": {"key": "id"}},
        {"strategy_options": 5},
    ],
)
def test_what_is_set_up_wrong_is_told_when_the_node_is_made(registry: dict[str, Any]) -> None:
    with pytest.raises(errors.BrokerOptionsError):
        Broker("a", Settings(registry=RegistrySettings(**registry)))


def test_what_is_marked_wrong_is_told_when_the_service_is_taken_in() -> None:
    class Wrong(Service):
        name = "wrong"

        @action(strategy="Shard", strategy_options={"vnode": 5})
        async def get(self, ctx: Context) -> None: ...

    with pytest.raises(errors.BrokerOptionsError, match="unknown option 'vnode'; did you mean 'vnodes'"):
        Broker("a").create_service(Wrong)


# --- latencies ---


class Slow(Foreign):
    """Answers pings only when it is told to."""

    def received(self, topic: str, data: bytes) -> None:
        super().received(topic, data)
        for ping in [packet for name, packet, _ in self.heard if name == "PING" and self.answers]:
            self.say("PONG", ping["sender"], time=ping["time"], id=ping["id"], arrived=ping["time"])

    answers = True


async def test_latencies_are_measured_while_a_list_wants_them_and_until_the_node_stops(mesh: Mesh) -> None:
    peer = Slow(mesh.url, "f", "5")
    await peer.join()
    mesh._open.append(peer)
    options = {"ping_interval": 0.1}
    node = await mesh.node("a", registry=RegistrySettings(strategy="Latency", strategy_options=options))
    assert [] == peer.packets("PING")
    peer.introduce(service_info("far", "do"), hostname="far-host")
    latencies = node.registry.strategies.latencies
    await until(lambda: "far-host" in latencies.averages)

    assert isinstance(node.registry.actions["far.do"]._strategy, Latency)
    assert 0 < latencies.averages["far-host"] < 1
    await until(lambda: 3 <= len(peer.packets("PING")))
    peer.say("DISCONNECT")
    await until(lambda: {} == latencies.averages)
    await node.stop()
    assert not len(node._pinging._scope)  # type: ignore[union-attr]  # It has a transporter.


async def test_nobody_is_pinged_where_no_list_wants_it(mesh: Mesh, peer: Foreign) -> None:
    node = await mesh.node("a")
    peer.introduce(service_info("far", "do"), hostname="far-host")
    await node.wait_for_services("far", 5)

    assert await peer.finds_well("a")
    assert [] == peer.packets("PING")
