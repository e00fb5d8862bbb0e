"""Clients that listen to events of the mesh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import ApiGatewayService
from tautomer.errors import ForbiddenError
from tautomer.web.errors import IncorrectSignature
from tautomer.web.sockets.mesh_events import MeshEvents
from tests.cluster import Cluster
from tests.web.sockets.chat import open_client, sockets_of, until


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.stop()


async def gateway_node(cluster: Cluster, name: str) -> int:
    gateway = ApiGatewayService(
        settings={"port": 0, "ip": "127.0.0.1", "websocket": {"events": ["order.*", "order.**", "chat.said", "**"]}}
    )
    await cluster.node(name, gateway)
    return gateway.port


@pytest.mark.parametrize("verb", ["emit", "broadcast"])
async def test_each_listener_at_each_gateway_hears_an_event_once(cluster: Cluster, verb: str):
    here, there = await gateway_node(cluster, "a"), await gateway_node(cluster, "b")
    shop = await cluster.node("shop")
    await until(lambda: 2 == len([one for one in shop.registry.services if one.full_name == "api"]))

    async with open_client("127.0.0.1", here) as one, open_client("127.0.0.1", there) as two:
        assert {"events": ["order.*"]} == (await one.call("$subscribe", event="order.*"))["data"]
        assert {"events": ["order.*", "order.new"]} == (await one.call("$subscribe", event="order.new"))["data"]
        await two.call("$subscribe", event="order.new")
        for name, data in (("order.new", {"id": 1}), ("order.gone", 2), ("order.new", {"id": 3})):
            getattr(shop, verb)(name, data)

        assert [("order.new", {"id": 1}), ("order.gone", 2), ("order.new", {"id": 3})] == [
            (told["event"], told["data"]) for told in [await one.next() for _ in range(3)]
        ]
        assert [{"id": 1}, {"id": 3}] == [(await two.next())["data"] for _ in range(2)]
        assert {"events": ["order.*"]} == (await one.call("$unsubscribe", event="order.new"))["data"]


async def test_a_socket_that_is_gone_listens_no_more(cluster: Cluster):
    port = await gateway_node(cluster, "a")
    async with open_client("127.0.0.1", port) as client:
        await client.call("$subscribe", event="order.new")
    sockets = sockets_of(cluster["a"])
    await until(lambda: not sockets.open)

    assert [] == sockets.events.listeners("order.new", "order.*")


@pytest.mark.parametrize(
    "event", ["user.made", "order", "order.*.x", "**", "*", "order.?", "$node.connected", "$services.changed"]
)
def test_what_the_list_does_not_allow_is_refused(event: str):
    events = MeshEvents(["order.*", "chat.said"])

    with pytest.raises(ForbiddenError):
        events.answer("a", "$subscribe", {"event": event})


@pytest.mark.parametrize("data", [{}, {"event": 5}, {"event": "order.new", "more": 1}])
def test_it_takes_the_name_and_nothing_else(data: dict[str, Any]):
    with pytest.raises(IncorrectSignature):
        MeshEvents(["order.*"]).answer("a", "$subscribe", data)


def test_events_of_the_framework_are_never_told():
    events = MeshEvents(["**"])
    events.answer("a", "$subscribe", {"event": "**"})

    assert [] == events.listeners("$services.changed", "**")
    assert ["a"] == events.listeners("user.made", "**")


def test_without_a_list_there_is_no_such_method():
    assert MeshEvents([]).answer("a", "$subscribe", {"event": "x"}) is None
