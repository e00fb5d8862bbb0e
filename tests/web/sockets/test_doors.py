"""The promises of a WebSocket, kept by every door: our own server, and the ASGI servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tautomer import ApiGatewayService, Broker, Settings
from tautomer.web.errors import UnauthorizedError
from tests.web.asgi.hosts import SERVERS, serve
from tests.web.sockets.chat import Client, Room, open_client, sockets_of, until

Open = Callable[..., AbstractAsyncContextManager[Client]]


class Gateway(ApiGatewayService):
    async def authenticate(self, ctx: Any, route: Any, request: Any) -> Any:
        token = request.query.get("token")
        if token == "wrong":
            raise UnauthorizedError("Invalid token")
        return {"name": token} if token else None


class Door:
    """One kind of server in front of a node with a room.

    Attributes:
        open: Opens a client.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.room = Room()

    @asynccontextmanager
    async def __call__(self, settings: dict[str, Any] | None = None, **websocket: Any) -> AsyncIterator[Open]:
        own = self.kind == "own"
        self.broker = Broker("node", Settings(shutdown_timeout=2.0, **(settings or {})))
        await self.broker.register(self.room)
        gateway = Gateway(
            settings={
                "ip": "127.0.0.1",
                "port": 0,
                "server": own,
                "routes": [],
                "websocket": {"authentication": True, **websocket},
            }
        )
        await self.broker.register(gateway)
        if own:
            async with self.broker:
                yield self._opener("127.0.0.1", gateway.port)
        else:
            async with serve(gateway.app, self.kind) as (host, port):
                yield self._opener(host, port)

    @staticmethod
    def _opener(host: str, port: int) -> Open:
        return lambda path="/ws", **options: open_client(host, port, path, **options)


@pytest.fixture(params=["own", *SERVERS])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


async def test_methods_are_called_and_answered(door: Door):
    async with door() as dial, dial() as client:
        first = await client.call("room.echo", a=1, b=[None, "é"])
        bare = await client.call("echo")
        await client.line.send('{"method": "echo", "correlation_id": {"any": ["json"]}}')
        other = await client.next()

    assert {"type": "result", "success": True, "data": {"a": 1, "b": [None, "é"]}, "correlation_id": "c"} == first
    assert {} == bare["data"]
    assert {"any": ["json"]} == other["correlation_id"]


async def test_events_come_before_the_result_of_the_call_that_sent_them(door: Door):
    async with door() as dial, dial() as client:
        await client.send("join", 1, channel="x")

        assert {"type": "event", "event": "joined", "data": {"socket_id": client.socket_id}} == await client.next()
        assert {"type": "result", "success": True, "data": "ok", "correlation_id": 1} == await client.next()


async def test_a_method_in_a_thread_uses_the_hub(door: Door):
    async with door() as dial, dial() as client:
        await client.send("in_a_thread", 1, channel="x")

        told = [await client.next() for _ in range(3)]

    assert ["joined", "only_you"] == [one["event"] for one in told[:2]]
    assert ["x"] == told[2]["data"]


async def test_broadcasts_reach_who_hears_the_channel(door: Door):
    async with door() as dial, dial() as one, dial() as two, dial() as three:
        for client, channel in ((one, "x"), (two, "x"), (three, "y")):
            await client.call("join", channel=channel)
        await two.call("say", channel="x", text="hello")
        await two.call("say", channel="y", text="you")

        assert {"text": "hello"} == await one.event("said")
        assert {"text": "you"} == await three.event("said")
        await one.call("leave", channel="x")
        await three.call("say", channel="x", text="again")
        await three.call("whisper", to=one.socket_id, text="psst")
        assert {"text": "psst", "from": three.socket_id} == (await one.next())["data"]
        assert {"text": "again"} == await two.event("said")


async def test_private_messages_to_nobody_are_an_error(door: Door):
    async with door() as dial, dial() as client:
        answer = await client.call("whisper", to="nobody", text="psst")

    assert ("ConnectionNotFound", "nobody", 404) == tuple(answer["error"][key] for key in ("exc_type", "value", "code"))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (
            "expected",
            {
                "exc_type": "Expected",
                "exc_path": "tests.web.sockets.chat.Expected",
                "exc_args": ["e", {"k": "1"}, "5"],
                "value": "('e', {'k': 1}, 5)",
                "code": 400,
                "type": None,
            },
        ),
        (
            "on purpose",
            {
                "exc_type": "MoleculerClientError",
                "exc_path": "tautomer.errors.MoleculerClientError",
                "exc_args": ["no tea"],
                "value": "no tea",
                "code": 418,
                "type": "TEAPOT",
                "data": {"pot": 1},
            },
        ),
    ],
)
async def test_what_was_raised_on_purpose_is_told(door: Door, kind: str, error: dict[str, Any]):
    async with door() as dial, dial() as client:
        assert {"type": "result", "success": False, "error": error, "correlation_id": "c"} == (
            await client.call("fail", kind=kind)
        )


async def test_a_client_is_told_of_a_channel_that_cannot_be(door: Door, caplog: pytest.LogCaptureFixture):
    """Its name is made of what the client has sent, so it is the client's fault."""
    async with door() as dial, dial() as client:
        error = (await client.call("join", channel="x" * 201))["error"]

    assert ("ChannelError", 400, "CHANNEL_REFUSED") == (error["exc_type"], error["code"], error["type"])
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


async def test_rules_of_the_mark_hold_for_the_data(door: Door):
    async with door() as dial, dial() as client:
        assert {"count": 5} == (await client.call("ruled", count="5"))["data"]
        error = (await client.call("ruled", count="many"))["error"]

    assert ("ValidationError", 422, "count") == (error["exc_type"], error["code"], error["data"][0]["field"])


@pytest.mark.parametrize("kind", ["unexpected", "cancelled", "exit"])
async def test_of_other_errors_the_client_learns_nothing(door: Door, kind: str):
    async with door() as dial, dial() as client:
        answer = await client.call("fail", kind=kind)

        assert {"data": {}} == {"data": (await client.call("echo"))["data"]}
    assert ("InternalServerError", "Internal server error", []) == tuple(
        answer["error"][key] for key in ("exc_type", "value", "exc_args")
    )
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("message", "kind", "value"),
    [
        ({"method": "nope", "correlation_id": 1}, "MethodNotFound", "nope"),
        ({"method": "room.nope", "correlation_id": 1}, "MethodNotFound", "room.nope"),
        ({"method": "$hub.send", "correlation_id": 1}, "MethodNotFound", "$hub.send"),
        ({"method": "$node.list", "correlation_id": 1}, "MethodNotFound", "$node.list"),
        ({"method": "join", "correlation_id": 1}, "IncorrectSignature", "argument 'channel' is missing"),
        ({"method": "join", "data": {"x": 1}, "correlation_id": 1}, "IncorrectSignature", "unknown argument 'x'"),
        (
            {"method": "join", "data": {"channel": "x", "socket_id": "y"}, "correlation_id": 1},
            "IncorrectSignature",
            "unknown argument 'socket_id'",
        ),
        ({"method": "who", "data": {"ctx": 1}, "correlation_id": 1}, "IncorrectSignature", "unknown argument 'ctx'"),
        ({"data": {}, "correlation_id": 1}, "MalformedRequest", "a message has a 'method', which is a text"),
        ({"method": "fail", "data": {"kind": "result"}, "correlation_id": 1}, "UnserializableValueError", None),
        ({"method": "join", "data": {"channel": ""}, "correlation_id": 1}, "ChannelError", None),
    ],
)
async def test_a_bad_call_has_its_error_and_harms_nobody(door: Door, message: Any, kind: str, value: str | None):
    async with door() as dial, dial() as client:
        await client.line.send(json.dumps(message))
        answer = await client.next()

        assert (False, 1, kind) == (answer["success"], answer["correlation_id"], answer["error"]["exc_type"])
        assert value in (None, answer["error"]["value"])
        assert {} == (await client.call("echo"))["data"]


async def test_calls_of_one_socket_run_in_order_by_default(door: Door):
    async with door() as dial, dial() as client:
        await client.send("wait", 1, name="a")
        await client.send("wait", 2, name="b")
        await client.send("echo", 3)
        assert "a" == await door.room.begun.get()
        await asyncio.sleep(0.05)
        assert door.room.begun.empty()
        door.room.go_on.set()

        assert [1, 2, 3] == [(await client.next())["correlation_id"] for _ in range(3)]


async def test_more_of_them_may_run_at_once(door: Door):
    async with door(max_in_flight=2) as dial, dial() as client:
        await client.send("wait", 1, name="a")
        await client.send("echo", 2)

        assert 2 == (await client.next())["correlation_id"]
        door.room.go_on.set()
        assert 1 == (await client.next())["correlation_id"]


async def test_a_call_whose_time_is_over_is_an_error(door: Door):
    async with door({"request_timeout": 0.2}) as dial, dial() as client:
        answer = await client.call("wait")

        assert ("RequestTimeoutError", 504) == (answer["error"]["exc_type"], answer["error"]["code"])
        assert "cancelled" == await door.room.ended.get()
        assert {} == (await client.call("echo"))["data"]


async def test_a_binary_message_closes(door: Door):
    async with door() as dial, dial() as client:
        await client.line.send(b"{}")

        assert 1003 == await client.closed()


async def test_ten_malformed_messages_in_a_row_close(door: Door):
    async with door() as dial, dial() as client:
        for _ in range(9):
            await client.line.send("no json")
            assert "MalformedRequest" == (await client.next())["error"]["exc_type"]
        await client.call("echo")
        for _ in range(10):
            await client.line.send("[]")

        assert 1008 == await client.closed()


async def test_who_sends_too_much_is_told_and_then_closed(door: Door):
    async with door(messages_per_second=3) as dial, dial() as client:
        for index in range(20):
            await client.send("echo", index)
        answers = [await client.next() for _ in range(13)]

        assert 1008 == await client.closed()
    # A second may have ended between two of them.
    assert 429 == answers[-1]["error"]["code"]
    assert [0, 1, 2] == [one["correlation_id"] for one in answers if one["success"]][:3]


async def test_a_long_message_closes(door: Door):
    async with door(max_message=1000) as dial, dial() as client:
        await client.send("echo", x="x" * 2000)

        assert 1009 == await client.closed()


async def test_the_user_of_the_handshake_is_the_user_of_its_calls(door: Door):
    async with door() as dial, dial("/ws?token=ann") as client:
        answers = [(await client.call("who"))["data"] for _ in range(2)]

    assert [{"user": {"name": "ann"}, "socket": True}] * 2 == answers


async def test_whom_authentication_refuses_gets_no_socket(door: Door):
    async with door() as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial("/ws?token=wrong"):
                pass

        assert {} == sockets_of(door.broker).open
    # Not every server can say why (ASGI's extension for that).
    assert refused.value.response.status_code in (401, 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_sites_get_no_socket(door: Door, origin: str):
    async with door() as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial(origin=origin):
                pass

    assert 403 == refused.value.response.status_code


async def test_pages_of_listed_sites_do(door: Door):
    async with door(origins=["https://*.example"]) as dial, dial(origin="https://a.example") as client:
        assert {} == (await client.call("echo"))["data"]


async def test_a_place_without_sockets_refuses(door: Door):
    async with door() as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial("/elsewhere"):
                pass

    assert refused.value.response.status_code in (400, 403)


async def test_over_the_limit_there_is_no_socket_until_one_leaves(door: Door):
    async with door(max_connections=1) as dial:
        async with dial():
            with pytest.raises(InvalidStatus) as refused:
                async with dial():
                    pass
        await until(lambda: not sockets_of(door.broker).open)
        async with dial() as client:
            assert {} == (await client.call("echo"))["data"]

    assert refused.value.response.status_code in (503, 403)


async def test_who_leaves_hears_nothing_any_more(door: Door):
    async with door() as dial:
        async with dial() as client:
            await client.call("join", channel="x")
            sockets = sockets_of(door.broker)
            assert 1 == sockets.statistics()["channels"]
        await until(lambda: not sockets.open)

        assert 0 == sockets.statistics()["channels"]


async def test_a_call_whose_client_leaves_runs_to_its_end(door: Door):
    async with door() as dial:
        async with dial() as client:
            await client.send("wait", 1, name="a")
            await client.send("wait", 2, name="never begun")
            await door.room.begun.get()
        await until(lambda: not sockets_of(door.broker).open)
        door.room.go_on.set()

        assert "a" == await door.room.ended.get()
        await until(lambda: not sockets_of(door.broker).running.tasks)
    assert door.room.begun.empty()


async def test_a_service_may_close_a_socket(door: Door):
    async with door() as dial, dial() as client:
        door.room.hub.unicast(client.socket_id, "last", None)
        door.room.hub.disconnect(client.socket_id, 4001, "enough")

        assert await client.event("last") is None
        assert 4001 == await client.closed()
        assert "enough" == client.line.close_reason


async def test_at_the_end_of_the_node_running_calls_are_answered_and_sockets_closed(door: Door):
    async with door() as dial, dial() as idle, dial() as busy:
        await busy.send("wait", 1, name="a")
        await door.room.begun.get()
        stopping = asyncio.create_task(door.broker.stop())

        assert 1001 == await idle.closed()
        door.room.go_on.set()
        assert "a" == (await busy.next())["data"]
        assert 1001 == await busy.closed()
        async with asyncio.timeout(20):
            await stopping


async def test_local_listeners_are_told_who_comes_and_goes(door: Door):
    from tautomer import Service, event

    class Presence(Service):
        name = "presence"
        told: list[Any] = []

        @event("$socket.*")
        def note(self, ctx: Any) -> None:
            self.told.append((ctx.event_name, ctx.params))

    async with door() as dial:
        await door.broker.register(Presence)
        async with dial() as client:
            await client.call("join", channel="x")
        await until(lambda: len(Presence.told) == 2)

    # Hypercorn does not hand on the client's code.
    code = 1006 if door.kind == "hypercorn" else 1000
    assert [
        ("$socket.connected", {"socket_id": client.socket_id}),
        ("$socket.disconnected", {"socket_id": client.socket_id, "code": code, "channels": ["x"]}),
    ] == Presence.told


async def test_the_ids_of_sockets_say_nothing_of_the_node(door: Door):
    async with door() as dial, dial() as one, dial() as two:
        pass

    assert one.socket_id != two.socket_id
    assert "node" not in one.socket_id
