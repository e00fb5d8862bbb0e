"""The hub: who may be told what, on one node and across a mesh."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import ApiGatewayService, ConnectionNotFound, Service, WebSocketHub, WebSocketHubProvider, action
from tautomer.web.errors import BadRequestError, UnserializableValueError
from tests.cluster import Cluster
from tests.web.sockets.chat import Room, open_client, sockets_of, until


class Notifier(Service):
    """A service of a node without a gateway."""

    name = "notifier"
    hub = WebSocketHubProvider()

    @action(blocking=True)
    def tell(self, ctx: Any) -> Any:
        return bool(self.hub.unicast(ctx.params["to"], "told", 1))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.stop()


async def gateway_node(cluster: Cluster, name: str, *services: Any) -> tuple[Room, int]:
    """A node with a room and a gateway: the room, and the gateway's port."""
    room = Room()
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1"})
    await cluster.node(name, room, gateway, *services)
    return room, gateway.port


async def connected(*nodes: Any) -> None:
    """All of them know the hubs of the others."""
    await until(
        lambda: all(
            len([one for one in node.registry.services if one.full_name == "$hub"])
            == len([one for one in nodes if one.get_local_service("$hub")])
            for node in nodes
        )
    )


async def test_a_room_is_one_across_all_gateways(cluster: Cluster):
    _, here = await gateway_node(cluster, "a")
    _, there = await gateway_node(cluster, "b")
    await connected(cluster["a"], cluster["b"])

    async with open_client("127.0.0.1", here) as one, open_client("127.0.0.1", there) as two:
        await one.call("join", channel="lobby")
        await two.call("join", channel="lobby")
        assert {"socket_id": two.socket_id} == await one.event("joined")
        await one.call("say", channel="lobby", text="hello")
        assert {"text": "hello"} == await two.event("said")
        # Nobody gets anything twice, nor the one that is excluded.
        await two.call("say", channel="lobby", text="and you")
        assert {"text": "and you"} == (await one.next())["data"]


async def test_a_private_message_finds_its_socket_at_any_gateway(cluster: Cluster):
    _, here = await gateway_node(cluster, "a")
    _, there = await gateway_node(cluster, "b")
    await connected(cluster["a"], cluster["b"])

    async with open_client("127.0.0.1", here) as one, open_client("127.0.0.1", there) as two:
        assert (await one.call("whisper", to=two.socket_id, text="psst"))["data"] is True
        assert {"text": "psst", "from": one.socket_id} == await two.event("whispered")

        gone = two.socket_id
    await until(lambda: not sockets_of(cluster["b"]).open)
    async with open_client("127.0.0.1", here) as one:
        assert "ConnectionNotFound" == (await one.call("whisper", to=gone, text="psst"))["error"]["exc_type"]


async def test_a_service_without_a_gateway_reaches_sockets(cluster: Cluster):
    _, port = await gateway_node(cluster, "a")
    notifier = Notifier()
    worker = await cluster.node("worker", notifier)
    await until(lambda: any(one.full_name == "$hub" for one in worker.registry.services))

    async with open_client("127.0.0.1", port) as client:
        await client.call("join", channel="lobby")
        notifier.hub.broadcast("lobby", "news", {"a": 1})
        assert {"a": 1} == await client.event("news")
        assert await notifier.hub.unicast(client.socket_id, "told", 2)
        assert 2 == await client.event("told")
        assert await worker.call("notifier.tell", {"to": client.socket_id})
        assert 1 == await client.event("told")
        await notifier.hub.disconnect(client.socket_id, 4000, "bye")
        assert 4000 == await client.closed()


async def test_a_broadcast_may_stay_on_its_node(cluster: Cluster):
    room, here = await gateway_node(cluster, "a")
    _, there = await gateway_node(cluster, "b")
    await connected(cluster["a"], cluster["b"])

    async with open_client("127.0.0.1", here) as one, open_client("127.0.0.1", there) as two:
        for client in (one, two):
            await client.call("join", channel="lobby")
        room.hub.broadcast("lobby", "near", 1, scope="local")
        room.hub.broadcast("lobby", "far", 2)

        assert 1 == await one.event("near")
        while (event := await two.next())["event"] != "far":
            assert "near" != event["event"]


async def test_what_is_fired_and_forgotten_is_nobodys_error(cluster: Cluster, caplog: pytest.LogCaptureFixture):
    room, _ = await gateway_node(cluster, "a")
    _, there = await gateway_node(cluster, "b")
    await connected(cluster["a"], cluster["b"])
    async with open_client("127.0.0.1", there) as client:
        gone = client.socket_id
    await until(lambda: not sockets_of(cluster["b"]).open)

    sent = room.hub.unicast(gone, "x", 1)
    await until(lambda: not len(room.hub._scope))

    assert sent
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]
    with pytest.raises(ConnectionNotFound):
        await sent


async def test_what_another_node_says_is_looked_at(cluster: Cluster):
    """Whatever it broadcasts, nobody is harmed."""
    _, port = await gateway_node(cluster, "a")
    other = await cluster.node("other")
    await until(lambda: any(one.full_name == "$hub" for one in other.registry.services))

    async with open_client("127.0.0.1", port) as client:
        await client.call("join", channel="lobby")
        for odd in (None, [], "x", {"channel": 1}, {"channel": "lobby"}, {"channel": "lobby", "text": 5}):
            other.broadcast("$hub.broadcast", odd)
        other.broadcast("$hub.broadcast", {"channel": "lobby", "text": '{"type":"event","event":"last","data":1}'})

        assert 1 == await client.event("last")


# --- on one node ---


@pytest.fixture
async def room(cluster: Cluster) -> Room:
    made, made.port = await gateway_node(cluster, "a")  # type: ignore[attr-defined]  # For these tests.
    return made


async def test_sockets_that_are_not_there(room: Room):
    hub = room.hub

    for ask in (
        lambda: hub.subscribe("nobody", "x"),
        lambda: hub.unicast("nobody", "x", 1),
        lambda: hub.disconnect("nobody"),
        lambda: hub.data("nobody"),
    ):
        with pytest.raises(ConnectionNotFound) as told:
            ask()
        assert ("nobody", ("nobody",), "nobody") == (told.value.socket_id, told.value.args, str(told.value))
    assert [] == hub.get_subscriptions("nobody")
    assert hub.unsubscribe("nobody", "x")
    assert hub.broadcast("nobody hears it", "x", 1)
    assert issubclass(ConnectionNotFound, BadRequestError)


async def test_what_can_be_asked_of_the_hub(room: Room):
    async with open_client("127.0.0.1", room.port) as one, open_client("127.0.0.1", room.port) as two:  # type: ignore[attr-defined]
        hub = room.hub
        hub.subscribe(one.socket_id, "b")
        hub.subscribe(one.socket_id, "a")
        hub.subscribe(one.socket_id, "a")
        hub.subscribe(two.socket_id, "a")
        hub.data(one.socket_id)["name"] = "ann"

        assert ["a", "b"] == hub.get_subscriptions(one.socket_id)
        assert [one.socket_id, two.socket_id] == hub.connections() == hub.members("a")
        assert {"name": "ann"} == hub.data(one.socket_id)
        hub.unsubscribe(one.socket_id, "a")
        hub.unsubscribe(one.socket_id, "a")
        assert [two.socket_id] == hub.members("a")


async def test_data_without_a_json_form_reaches_nobody(room: Room):
    async with open_client("127.0.0.1", room.port) as client:  # type: ignore[attr-defined]
        room.hub.subscribe(client.socket_id, "x")

        with pytest.raises(UnserializableValueError):
            room.hub.broadcast("x", "bad", object())
        with pytest.raises(UnserializableValueError):
            room.hub.unicast(client.socket_id, "bad", object())
        room.hub.broadcast("x", "good", 1)

        assert "good" == (await client.next())["event"]


@pytest.mark.parametrize("code", [0, 999, 1001, 1006, 5000])
async def test_a_close_code_is_one_that_may_be_sent(room: Room, code: int):
    with pytest.raises(ValueError, match="a close code is 1000"):
        room.hub.disconnect("x", code)


async def test_a_broadcast_while_others_join_and_leave(room: Room):
    port = room.port  # type: ignore[attr-defined]

    async def come_and_go() -> None:
        for _ in range(5):
            async with open_client("127.0.0.1", port) as client:
                await client.call("join", channel="x")

    async with open_client("127.0.0.1", port) as steady:
        await steady.call("join", channel="x")
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(come_and_go())
            for index in range(100):
                room.hub.broadcast("x", "count", index)
                await asyncio.sleep(0)
        counted = [await steady.event("count") for _ in range(100)]

    assert list(range(100)) == counted


async def test_any_thread_may_use_the_hub(room: Room):
    async with open_client("127.0.0.1", room.port) as client:  # type: ignore[attr-defined]
        told: list[Any] = []

        def in_thread() -> None:
            room.hub.subscribe(client.socket_id, "x")
            room.hub.broadcast("x", "hi", 1)
            told.append(room.hub.get_subscriptions(client.socket_id))
            try:
                room.hub.unicast("nobody", "x")
            except ConnectionNotFound as error:
                told.append(error.socket_id)

        thread = threading.Thread(target=in_thread)
        thread.start()

        assert 1 == await client.event("hi")
        await asyncio.to_thread(thread.join)
        assert [["x"], "nobody"] == told


async def test_a_provider_is_the_hub_of_its_node(room: Room):
    assert isinstance(room.hub, WebSocketHub)
    assert room.hub is room.hub
    assert isinstance(Room.hub, WebSocketHubProvider)


async def test_methods_are_called_through_whatever_stands_around_calls(cluster: Cluster):
    """With a middleware around the broker's `call`, the short way past it is not taken."""
    from tautomer import Middleware

    class Noted(Middleware):
        called: list[str] = []

        def call(self, next_verb: Any) -> Any:
            async def call(action: str, params: Any, options: Any) -> Any:
                self.called.append(action)
                return await next_verb(action, params, options)

            return call

    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1"})
    await cluster.node("a", Room(), gateway, middlewares=[Noted()])

    async with open_client("127.0.0.1", gateway.port) as client:
        assert {"a": 1} == (await client.call("echo", a=1))["data"]
        assert {"user": None, "socket": True} == (await client.call("who"))["data"]
    assert ["room.echo", "room.who"] == Noted.called
