"""Calls that are dealt with in the turn in which they are read: nobody can tell, but by the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Service, Settings, WebSocketHubProvider, websocket_rpc
from tautomer.web.websocket.frames import TEXT
from tests.web.sockets.chat import WAIT, open_client, sockets_of
from tests.web.sockets.test_line import House
from tests.web.websocket.masking import client_frame

WHO: ContextVar[str] = ContextVar("tests.sockets.who", default="nobody")


class Steps(Service):
    name = "steps"
    hub = WebSocketHubProvider()

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.go_on = asyncio.Event()

    @websocket_rpc
    async def note(self, socket_id: str, name: str) -> str:
        self.order.append(name)
        return name

    @websocket_rpc
    async def wait(self, socket_id: str, name: str) -> str:
        self.order.append(name)
        await self.go_on.wait()
        return name

    @websocket_rpc
    async def release(self, socket_id: str) -> None:
        self.go_on.set()

    @websocket_rpc
    async def leave(self, socket_id: str) -> str:
        self.hub.disconnect(socket_id, 3001, "enough")
        return "never told"

    @websocket_rpc
    async def who(self, socket_id: str, name: str) -> str:
        before = WHO.get()
        WHO.set(name)
        return before

    @websocket_rpc
    async def keep(self, socket_id: str) -> None:
        self.tasks.append(asyncio.current_task())

    @websocket_rpc
    async def cancel_kept(self, socket_id: str) -> None:
        for task in self.tasks:
            assert task is not None
            task.cancel()

    @websocket_rpc(timeout=0.05)
    async def late(self, socket_id: str) -> None:
        await asyncio.Event().wait()

    @websocket_rpc
    async def timed(self, socket_id: str) -> str:
        async with asyncio.timeout(WAIT):
            return await self._at_once()

    async def _at_once(self) -> str:
        return "in time"


class Node(House):
    """A house whose room counts steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = Steps()
        self.broker = Broker("node", Settings(shutdown_timeout=2.0))

    async def open(self, limits: dict[str, Any] | None = None, **websocket: Any) -> None:
        await self.broker.register(self.steps)
        await super().open(limits, messages_per_second=0, **websocket)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    yield made
    await made.close()


def said(method: str, **data: Any) -> bytes:
    return client_frame(TEXT, json.dumps({"method": f"steps.{method}", "data": data}).encode())


async def test_calls_that_do_not_wait_need_no_task(node: Node):
    await node.open()
    async with open_client("127.0.0.1", node.gateway.port) as client:
        for number in range(3):
            await client.call("steps.note", name=str(number))
        before = {id(task) for task in asyncio.all_tasks()}
        told = [(await client.call("steps.timed"))["data"] for _ in range(20)]

        assert ["in time"] * 20 == told
        assert before == {id(task) for task in asyncio.all_tasks()}


async def test_of_many_messages_in_one_packet_none_keeps_other_clients_waiting(node: Node):
    """A client may send thousands ahead; to deal with them all before anything else would stop the node."""
    await node.open()
    greedy, other = await node.dial(), await node.dial()
    for _ in range(3):
        other.send(said("note", name="first"))
        await other.message()
    node.steps.order.clear()
    ahead = [said("note", name=str(number)) for number in range(90)]
    greedy.send(b"".join(ahead))
    other.send(said("note", name="other"))
    await other.message()

    assert node.steps.order.index("other") < 89
    assert [str(number) for number in range(90)] == [(await greedy.message())["data"] for _ in range(90)]


async def test_with_two_at_a_time_they_begin_in_their_order(node: Node):
    await node.open(max_in_flight=2)
    line = await node.dial()
    for _ in range(3):
        line.send(said("note", name="first"))
        await line.message()
    node.steps.order.clear()

    line.send(said("wait", name="slow"))
    line.send(said("note", name="quick"))
    quick = await line.message()
    line.send(said("release"))
    others = {(await line.message())["data"] for _ in range(2)}

    assert "quick" == quick["data"]
    assert {None, "slow"} == others
    assert ["slow", "quick"] == node.steps.order


async def test_one_at_a_time_nothing_overtakes_a_call_that_waits(node: Node):
    await node.open()
    async with open_client("127.0.0.1", node.gateway.port) as client:
        for _ in range(3):
            await client.call("steps.note", name="first")
        node.steps.order.clear()
        await client.send("steps.wait", name="slow")
        await client.send("steps.note", name="after")
        async with open_client("127.0.0.1", node.gateway.port) as other:
            await other.call("steps.release")
        told = [(await client.next())["data"] for _ in range(2)]

        assert ["slow", "after"] == told
        assert ["slow", "after"] == node.steps.order


async def test_a_call_that_closes_its_own_socket_at_once_is_not_answered(node: Node):
    await node.open()
    line = await node.dial()
    for _ in range(3):
        line.send(said("note", name="first"))
        await line.message()

    line.send(said("leave"))
    first = await line.next()

    assert (3001, b"enough") == (int.from_bytes(first.data[:2], "big"), first.data[2:])


async def test_what_a_call_sets_is_not_there_for_the_next(node: Node):
    await node.open()
    async with open_client("127.0.0.1", node.gateway.port) as client:
        told = [(await client.call("steps.who", name=f"caller {number}"))["data"] for number in range(4)]

        assert ["nobody"] * 4 == told


async def test_whoever_cancels_the_task_of_a_call_that_is_over_cancels_nothing_else(node: Node):
    await node.open()
    async with (
        open_client("127.0.0.1", node.gateway.port) as client,
        open_client("127.0.0.1", node.gateway.port) as other,
    ):
        for _ in range(3):
            await client.call("steps.keep")
        await other.send("steps.wait", name="other")
        await client.call("steps.cancel_kept")
        await client.call("steps.release")

        assert "other" == (await other.next())["data"]


async def test_a_call_begun_at_once_has_no_more_time_than_others(node: Node):
    await node.open()
    async with open_client("127.0.0.1", node.gateway.port) as client:
        for _ in range(3):
            await client.call("steps.note", name="first")

        assert "RequestTimeoutError" == (await client.call("steps.late"))["error"]["exc_type"]
        assert 0 == sockets_of(node.broker).statistics()["calls"]


async def test_a_stopped_gateway_leaves_no_task(node: Node):
    before = {id(task) for task in asyncio.all_tasks()}
    await node.open()
    assert isinstance(node.gateway, ApiGatewayService)
    async with open_client("127.0.0.1", node.gateway.port) as client:
        for _ in range(3):
            await client.call("steps.note", name="first")
    await node.broker.stop()

    assert [] == [task.get_name() for task in asyncio.all_tasks() if id(task) not in before]
