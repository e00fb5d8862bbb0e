"""One WebSocket on our own server, by raw frames: the handshake, what a client may not do, and what becomes of slow ones."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from tautomer import ApiGatewayService, Broker, Settings
from tautomer.web.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT
from tests.web.sockets.chat import WAIT, Room, open_client, sockets_of, until
from tests.web.websocket.masking import client_frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Line:
    """A client that says exactly what it is told to, and reads frames by another library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = Protocol(CLIENT, max_size=None)
        self._frames: list[Any] = []

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, method: str, **data: Any) -> None:
        self.send(client_frame(TEXT, json.dumps({"method": method, "data": data}).encode()))

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(WAIT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        return int(first.split(" ")[1]), {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }

    async def next(self) -> Any:
        """The next frame; None at the end of the connection."""
        async with asyncio.timeout(WAIT):
            while not self._frames:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._parser.receive_data(data)
                self._frames += self._parser.events_received()
                if self._parser.parser_exc is not None:
                    raise self._parser.parser_exc
        return self._frames.pop(0)

    async def message(self) -> Any:
        frame = await self.next()
        assert Opcode.TEXT == frame.opcode
        return json.loads(frame.data)

    async def close_code(self) -> int | None:
        """The code of the close frame, what comes before it left aside; None where there is none before the end."""
        while (frame := await self.next()) is not None:
            if frame.opcode == CLOSE:
                return int(struct.unpack("!H", frame.data[:2])[0]) if frame.data else 1005
        return None

    async def ended(self) -> None:
        """The server has ended the connection."""
        while await self.next() is not None:
            pass


Dial = Callable[..., Awaitable[Line]]


class House:
    """A node with a room, and lines to it."""

    def __init__(self) -> None:
        self.room = Room()
        self.lines: list[Line] = []
        self.broker = Broker("node", Settings(shutdown_timeout=2.0))

    async def open(self, limits: dict[str, Any] | None = None, **websocket: Any) -> None:
        await self.broker.register(self.room)
        self.gateway = ApiGatewayService(
            settings={"port": 0, "ip": "127.0.0.1", "limits": limits or {}, "websocket": websocket or True}
        )
        await self.broker.register(self.gateway)
        await self.broker.start()

    async def connect(self) -> Line:
        async with asyncio.timeout(WAIT):
            line = Line(*await asyncio.open_connection("127.0.0.1", self.gateway.port))
        self.lines.append(line)
        return line

    async def dial(self, *headers: str, rest: bytes = b"") -> Line:
        """A line whose handshake is done, and whose welcome is read."""
        line = await self.connect()
        line.send(handshake(*headers) + rest)
        status, _ = await line.head()
        assert 101 == status
        assert "connected" == (await line.message())["event"]
        return line

    @property
    def server(self) -> Any:
        return self.gateway._server

    async def close(self) -> None:
        for line in self.lines:
            line.writer.close()
        await self.broker.stop()


def handshake(*headers: str, path: str = "/ws", method: str = "GET", without: str = "") -> bytes:
    lines = [
        "Host: test",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    given = {line.partition(":")[0] for line in headers}
    kept = [line for line in lines if line.partition(":")[0] not in {*given, without}]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *kept, *headers, "", ""]).encode()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.close()


# --- the handshake ---


async def test_the_answer_to_a_handshake(house: House):
    await house.open()
    line = await house.connect()
    line.send(handshake("X-Request-ID: r1"))

    status, headers = await line.head()

    assert 101 == status
    assert ("websocket", "Upgrade") == (headers["upgrade"], headers["connection"])
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == headers["sec-websocket-accept"]
    assert "r1" == headers["x-request-id"]
    assert not {"content-length", "sec-websocket-extensions", "sec-websocket-protocol"} & headers.keys()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (handshake(method="POST"), 405),
        (handshake("Sec-WebSocket-Version: 12"), 426),
        (handshake(without="Sec-WebSocket-Version"), 426),
        (handshake(without="Sec-WebSocket-Key"), 400),
        (handshake("Sec-WebSocket-Key: short"), 400),
        (handshake("Sec-WebSocket-Key: AAAA\x80AAAAAAAAAAAAAAAAA==".replace("\x80", "*")), 400),
        (handshake("Upgrade: other"), 426),
        (handshake(without="Upgrade"), 426),
        (handshake(path="/elsewhere"), 400),
        (handshake(path="/openapi.json"), 400),
        (handshake("Content-Length: 1") + b"x", 400),
        (handshake("Origin: https://evil.example"), 403),
        (handshake("Origin: http://test:81"), 403),
    ],
)
async def test_a_handshake_that_is_none(house: House, data: bytes, status: int):
    await house.open()
    line = await house.connect()
    line.send(data)

    answered, headers = await line.head()

    assert status == answered
    if status == 426:
        assert ("websocket", "13") == (headers["upgrade"], headers["sec-websocket-version"])
    assert {} == sockets_of(house.broker).open


@pytest.mark.parametrize("origin", ["http://test", "https://test", "HTTP://TEST"])
async def test_a_page_of_the_same_host_gets_a_socket(house: House, origin: str):
    """Whether the scheme is the same, nobody knows behind a proxy."""
    await house.open()

    await house.dial(f"Origin: {origin}")


async def test_what_comes_with_the_handshake_is_read_after_it(house: House):
    await house.open()

    line = await house.dial(rest=client_frame(TEXT, b'{"method": "echo", "correlation_id": 1}'))

    assert 1 == (await line.message())["correlation_id"]


async def test_a_subprotocol_that_is_spoken_is_taken(house: House):
    await house.open(protocols=["b", "a"])

    line = await house.connect()
    line.send(handshake("Sec-WebSocket-Protocol: x, a, b"))

    assert "a" == (await line.head())[1]["sec-websocket-protocol"]


async def test_a_gateway_without_methods_has_no_sockets_unless_asked():
    plain, asked, never = (
        ApiGatewayService(name, settings={"port": 0, "ip": "127.0.0.1", **more})
        for name, more in (("plain", {}), ("asked", {"websocket": True}), ("never", {"websocket": False}))
    )
    async with Broker("node") as broker:
        for one in (plain, asked, never):
            await broker.register(one)
        assert [400, 101, 400] == [await answered(one.port) for one in (plain, asked, never)]

        await broker.register(Room())
        await until(lambda: plain.gateway is not None and plain.gateway._socket_path is not None)
        assert [101, 101, 400] == [await answered(one.port) for one in (plain, asked, never)]


async def answered(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake())
    async with asyncio.timeout(WAIT):
        status = int((await reader.readline()).split(b" ")[1])
    writer.close()
    return status


# --- the protocol ---


async def test_a_ping_is_answered_also_while_a_call_runs(house: House):
    await house.open()
    line = await house.dial()

    line.say("wait")
    await house.room.begun.get()
    line.send(client_frame(PING, b"are you there?"))

    frame = await line.next()
    assert (PONG, b"are you there?") == (frame.opcode, frame.data)


async def test_a_pong_that_nobody_asked_for_is_no_harm(house: House):
    await house.open()
    line = await house.dial()

    line.send(client_frame(PONG, b"x"))
    line.say("echo", a=1)

    assert {"a": 1} == (await line.message())["data"]


@pytest.mark.parametrize(("payload", "code"), [(b"", 1005), (b"\x03\xe8", 1000), (b"\x0f\xa1bye", 4001)])
async def test_a_close_is_answered_alike_and_the_server_ends_the_connection(house: House, payload: bytes, code: int):
    await house.open()
    line = await house.dial()

    line.send(client_frame(CLOSE, payload))
    line.say("echo")

    assert code == await line.close_code()
    await line.ended()
    await until(lambda: 0 == house.server.statistics()["connections"])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02{}", 1002),
        (client_frame(3), 1002),
        (client_frame(TEXT, b"\xff"), 1007),
        (client_frame(BINARY, b"{}"), 1003),
        (client_frame(CLOSE, b"\x00"), 1002),
        (client_frame(CLOSE, b"\x03\xee"), 1002),
        (b"\x81\xff" + (2**40).to_bytes(8, "big") + b"mask", 1009),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
async def test_who_breaks_the_rules_is_told_and_the_others_are_not_hurt(house: House, data: bytes, code: int):
    await house.open(close_time=0.5)
    line, other = await house.dial(), await house.dial()

    # What follows must not overtake the answer by a reset.
    line.send(data + bytes(100_000))

    assert code == await line.close_code()
    await line.ended()
    await until(lambda: 1 == len(sockets_of(house.broker).open))
    other.say("echo", a=1)
    assert {"a": 1} == (await other.message())["data"]


async def test_compression_is_agreed_upon_where_it_is_on(house: House):
    await house.open(compression=True)

    async with open_client("127.0.0.1", house.gateway.port, compression="deflate") as client:
        assert client.line.protocol.extensions
        text = "x" * 10_000
        assert {"text": text} == (await client.call("echo", text=text))["data"]


async def test_sockets_work_over_tls_too(tmp_path: Any):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    certificate.private_key_pem.write_to_path(str(tmp_path / "key"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    gateway = ApiGatewayService(
        settings={"port": 0, "ip": "127.0.0.1", "https": {"key": str(tmp_path / "key"), "cert": str(tmp_path / "cert")}}
    )
    async with Broker("node") as broker:
        await broker.register(Room())
        await broker.register(gateway)
        async with open_client("127.0.0.1", gateway.port, ssl=trusting) as client:
            assert {"a": 1} == (await client.call("echo", a=1))["data"]
            await client.line.send(b"binary")
            assert 1003 == await client.closed()


# --- slow and silent clients ---


async def test_who_does_not_read_is_closed_and_nothing_piles_up(house: House):
    await house.open(send_queue=50, send_queue_bytes="10mb", close_time=0.5)
    line, other = await house.dial(), await house.dial()
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    line.say("flood", count=500, size=100_000)
    other.say("echo")
    assert (await other.message())["success"]
    await until(lambda: house.server.statistics()["refused"].get("SLOW_CONSUMER"))

    # It is cut off, as it does not read the close either.
    await until(lambda: 1 == len(sockets_of(house.broker).open))


async def test_who_reads_in_the_end_is_told_why_it_was_closed(house: House):
    await house.open(send_queue_bytes="100kb", close_time=20)
    line = await house.dial()

    line.say("flood", count=200, size=100_000)
    await until(lambda: house.server.statistics()["refused"].get("SLOW_CONSUMER"))

    assert 1013 == await line.close_code()


async def test_who_reads_slowly_but_reads_gets_all_of_it_in_order(house: House):
    await house.open(send_queue=0, send_queue_bytes=0)
    line = await house.dial()

    line.say("flood", count=300, size=20_000)
    await until(lambda: not sockets_of(house.broker).running.tasks)
    for _ in range(300):
        assert "drop" == (await line.message())["event"]

    assert "result" == (await line.message())["type"]


async def test_a_flood_of_pings_that_nobody_reads_the_answers_of_has_a_bound(house: House):
    await house.open(send_queue=100, close_time=0.2)
    line = await house.dial()
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    async with asyncio.timeout(WAIT):
        while not house.server.statistics()["refused"].get("SLOW_CONSUMER"):
            line.send(client_frame(PING, b"x" * 125) * 1000)
            await asyncio.sleep(0)


async def test_ten_thousand_frames_at_once_are_held_back(house: House):
    """Nothing is read from a client whose messages wait."""
    await house.open(messages_per_second=0)
    line, other = await house.dial(), await house.dial()

    line.say("wait")
    await house.room.begun.get()
    line.send(client_frame(TEXT, b'{"method": "echo"}') * 10_000)
    other.say("echo")
    assert (await other.message())["success"]
    (socket_,) = [one for one in sockets_of(house.broker).open.values() if one._waiting]
    await until(lambda: socket_._held)
    assert 101 >= len(socket_._waiting)

    house.room.go_on.set()
    for _ in range(10_001):
        assert (await line.message())["success"]


async def test_a_silent_client_is_pinged_and_then_closed(house: House):
    await house.open(limits={"linger": 0.05}, heartbeat_interval=0.2, close_time=0.2)
    line = await house.dial()

    frame = await line.next()
    assert PING == frame.opcode
    line.send(client_frame(PONG))
    frame = await line.next()
    assert PING == frame.opcode

    assert 1011 == await line.close_code()
    await until(lambda: not sockets_of(house.broker).open)


async def test_any_frame_counts_as_a_sign_of_life(house: House):
    await house.open(limits={"linger": 0.05}, heartbeat_interval=0.3)
    line = await house.dial()

    for _ in range(8):
        await asyncio.sleep(0.1)
        line.say("echo")
        assert "result" == (await line.message())["type"]


async def test_who_asks_for_nothing_is_closed_after_a_while(house: House):
    await house.open(limits={"linger": 0.05}, idle_timeout=0.2)
    line = await house.dial()

    assert 1000 == await line.close_code()


async def test_a_close_that_is_not_answered_does_not_hold_the_connection(house: House):
    await house.open(limits={"linger": 0.05}, close_time=0.2)
    line = await house.dial()
    (socket_id,) = house.room.hub.connections()

    house.room.hub.disconnect(socket_id)
    assert 1000 == await line.close_code()

    await line.ended()
    await until(lambda: 0 == house.server.statistics()["connections"])


async def test_a_stop_does_not_wait_for_clients_that_do_not_answer(house: House):
    await house.open(close_time=0.3)
    lines = [await house.dial() for _ in range(3)]

    async with asyncio.timeout(WAIT):
        await house.broker.stop()

    assert [1001] * 3 == [await line.close_code() for line in lines]
    assert {} == house.gateway.gateway.sockets.open  # type: ignore[union-attr]


async def test_many_sockets_are_closed_in_turns(house: House):
    await house.open(close_time=0.3)
    for _ in range(250):
        await house.dial()

    async with asyncio.timeout(WAIT):
        await house.broker.stop()

    assert [1001] * 250 == [await line.close_code() for line in house.lines]


async def test_a_client_that_is_gone_without_a_word(house: House):
    await house.open()
    line = await house.dial()
    line.say("join", channel="x")
    await line.message()

    sock = line.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.writer.transport.abort()

    await until(lambda: not sockets_of(house.broker).open)
    assert 0 == sockets_of(house.broker).statistics()["channels"]


async def test_a_failure_of_ours_closes_one_socket_only(house: House, monkeypatch: pytest.MonkeyPatch):
    await house.open(close_time=0.5)
    line, other = await house.dial(), await house.dial()
    find = sockets_of(house.broker).methods.find

    def broken(_self: Any, name: str) -> Any:
        if name == "break":
            raise RuntimeError("a bug")
        return find(name)

    monkeypatch.setattr(type(sockets_of(house.broker).methods), "find", broken)
    line.say("break")

    assert 1011 == await line.close_code()
    other.say("echo")
    assert (await other.message())["success"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_harm_the_node(pieces: list[bytes]):
    async def whole() -> None:
        house = House()
        await house.open(close_time=0.05)
        line, other = await house.dial(), await house.dial()
        try:
            for piece in pieces:
                line.send(piece)
            other.say("echo", a=1)
            assert {"a": 1} == (await other.message())["data"]
        finally:
            await house.close()

    asyncio.run(whole())
