"""What happens when the line is lost, or cannot be had in the first place."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tautomer.errors import BrokerDisconnectedError, TransporterError
from tests.servers import NatsServer
from tests.transporters.nats.lines import Line, RecordingLink, until

pytestmark = pytest.mark.server


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
async def test_what_is_sent_while_the_server_is_away_arrives_when_it_is_back(line: Line, server: NatsServer) -> None:
    sender, states = await line.connect(server.url)
    receiver, link = await line.connect(server.url, "MOL.REQ.a")
    await receiver.subscribe_balanced("MOL.REQB.x", "x")

    server.kill()
    await until(lambda: not sender.connected and not receiver.connected)
    sender.send("MOL.REQ.a", b"kept 1")
    sender.send("MOL.REQ.a", b"kept 2")
    server.start()
    # Whoever is back first would find nobody there yet.
    await until(lambda: receiver.connected and sender.connected)
    await receiver.subscribe(["MOL.REQ.a"])
    sender.send("MOL.REQ.a", b"later")
    sender.send("MOL.REQB.x", b"balanced")
    await until(lambda: b"balanced" in link.payloads)

    assert b"later" in link.payloads
    assert 1 == len([state for state in states.states if state.startswith("down: ")])
    assert "up" == states.states[-1]
    assert 2 == len(states.states)


async def test_subscriptions_come_before_what_waited(line: Line, server: NatsServer) -> None:
    """A node's own messages to itself show the order: they arrive only if it listens already."""
    transporter, link = await line.connect(server.url, "self")

    server.stop()
    await until(lambda: not transporter.connected)
    for number in range(3):
        transporter.send("self", b"%d" % number)
    server.start()
    await until(lambda: len(link.messages) == 3)

    assert [b"0", b"1", b"2"] == link.payloads
    assert ["down: closed by the server", "up"] == link.states


async def test_a_subscription_made_while_away_stands_when_the_line_does(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(server.url)
    server.kill()
    await until(lambda: not transporter.connected)

    async with asyncio.TaskGroup() as group:
        group.create_task(transporter.subscribe(["late"]))
        server.start()
    transporter.send("late", b"x")
    await until(lambda: bool(link.messages))

    assert [("late", b"x")] == link.messages


@pytest.mark.parametrize(
    ("bounds", "taken"),
    [({"pending_messages_max": 10}, 10), ({"pending_bytes_max": 1_200}, 10)],
)
async def test_the_buffer_takes_messages_up_to_its_bound_while_away(
    line: Line, server: NatsServer, bounds: dict[str, int], taken: int
) -> None:
    transporter, link = await line.connect(server.url, "a", **bounds)
    server.kill()
    await until(lambda: not transporter.connected)

    for _ in range(taken):
        transporter.send("a", b"x" * 99)
    with pytest.raises(BrokerDisconnectedError, match="not sent"):
        transporter.send("a", b"x" * 99)
    server.start()
    await until(lambda: len(link.messages) == taken)
    for _ in range(3 * taken):
        transporter.send("a", b"x" * 9)
    await until(lambda: len(link.messages) == 4 * taken)


@pytest.mark.slow
async def test_a_frozen_server_is_noticed_by_pings(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(server.url, "a", ping_interval=0.05, connect_timeout=0.2)

    server.freeze()
    await until(lambda: bool(link.states))
    transporter.send("a", b"x")
    server.thaw()
    await until(lambda: bool(link.messages))

    assert ["down: no answer to 2 pings", "up"] == link.states
    assert [("a", b"x")] == link.messages


async def test_what_a_lost_line_had_not_taken_is_told_by_its_token(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(server.url, "a", ping_interval=0.05, connect_timeout=0.2)

    server.freeze()
    for number in range(400):  # More than the socket takes.
        transporter.send("b", b"x" * 100_000, f"t-{number}")
        await asyncio.sleep(0)
    await until(lambda: bool(link.states))
    server.thaw()
    await until(lambda: "up" in link.states)

    assert link.states[0].startswith("down: ")
    unsent = [state for state in link.states if state.startswith("unsent: ")]
    assert 0 < len(unsent) < 400
    assert f"unsent: t-{400 - len(unsent)}" == unsent[0]
    assert "unsent: t-399" == unsent[-1]


@pytest.mark.slow
async def test_an_idle_line_stays(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(server.url, ping_interval=0.01)

    await asyncio.sleep(0.4)

    assert transporter.connected
    assert [] == link.states


@pytest.mark.slow
async def test_a_server_that_takes_nothing_fills_a_bounded_buffer(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(server.url, "a", out_bytes_max=2_000_000)
    sent = 0

    server.freeze()
    refused: BrokerDisconnectedError | None = None
    while refused is None and sent < 100:
        try:
            transporter.send("a", b"x" * 500_000)
            sent += 1
        except BrokerDisconnectedError as error:
            refused = error
        await asyncio.sleep(0)
    draining = asyncio.ensure_future(transporter.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    server.thaw()
    await draining
    await until(lambda: len(link.messages) == sent)

    assert "too slowly" in str(refused)
    assert 4 <= sent < 100
    assert {b"x" * 500_000} == set(link.payloads)


async def test_the_next_server_is_tried_when_one_is_dead(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect(f"nats://127.0.0.1:{free_port()},{server.url}", "a")

    transporter.send("a", b"x")
    await until(lambda: bool(link.messages))

    assert transporter.connected


async def test_the_other_server_takes_over_when_one_dies(line: Line, server: NatsServer) -> None:
    with NatsServer() as second:
        transporter, link = await line.connect([server.url, second.url], "a")

        server.kill()
        await until(lambda: link.states[-1:] == ["up"])
        transporter.send("a", b"x")
        await until(lambda: bool(link.messages))


def clustered(routes: str = "") -> NatsServer:
    return NatsServer(config=f"cluster {{ name: c, listen: '127.0.0.1:-1', routes: [{routes}] }}")


@pytest.mark.slow
@pytest.mark.parametrize("discover", [True, False])
async def test_a_server_of_the_cluster_that_was_never_named_takes_over(line: Line, discover: bool) -> None:
    with clustered() as first, clustered(first.cluster_url) as second:
        transporter, link = await line.connect(first.url, "a", discover_servers=discover)
        await until(
            lambda: transporter._client.info is not None and second.address in transporter._client.info.connect_urls
        )

        first.kill()
        await until(lambda: bool(link.states))
        if discover:
            await until(lambda: transporter.connected)
        else:
            await asyncio.sleep(0.3)

        assert discover == transporter.connected


@pytest.mark.slow
async def test_a_server_in_lame_duck_mode_is_left_for_another(line: Line) -> None:
    with clustered() as first, clustered(first.cluster_url) as second:
        transporter, link = await line.connect([first.url, second.url], "a")
        sender, _ = await line.connect(second.url)
        first_id = transporter._client.info.server_id

        first.signal(signal.SIGUSR2)
        await until(lambda: link.states[-1:] == ["up"])
        await transporter.subscribe(["a"])
        sender.send("a", b"x")
        transporter.send("a", b"y")
        await until(lambda: len(link.messages) == 2)

        assert first.process is not None
        assert first.process.poll() is None
        first.kill()  # In good order it would take its time.
        assert first_id != transporter._client.info.server_id
        assert ["down: the server is about to go; moving to another", "up"] == link.states


async def test_a_lone_server_in_lame_duck_mode_is_kept_as_long_as_it_lasts(line: Line) -> None:
    with NatsServer(config="lame_duck_duration: '30s'\nlame_duck_grace_period: '10s'") as server:
        transporter, link = await line.connect(server.url, "a")

        server.signal(signal.SIGUSR2)
        await until(lambda: transporter._client.info.ldm)
        transporter.send("a", b"x")
        await until(lambda: bool(link.messages))
        server.kill()  # In good order it would take its time.

        assert [] == link.states


@pytest.mark.slow
async def test_a_server_in_lame_duck_mode_is_kept_while_no_other_answers(line: Line, server: NatsServer) -> None:
    transporter, link = await line.connect([server.url, f"nats://127.0.0.1:{free_port()}"], "a")
    tries = transporter._client._backoff

    server.signal(signal.SIGUSR2)
    await until(lambda: tries._following > 0.04)  # It has tried more than once.
    transporter.send("a", b"x")
    await until(lambda: bool(link.messages))
    assert [] == link.states
    server.kill()
    await until(lambda: bool(link.states))
    server.start()
    await until(lambda: transporter.connected)


async def test_the_same_server_by_another_name_is_no_other(line: Line) -> None:
    """A fake one: a real one in lame-duck mode takes no newcomers."""
    greeted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        writer.write(b'INFO {"server_id":"S","ldm":true}\r\n')
        while await reader.read(1000):
            writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as fake:
        port = fake.sockets[0].getsockname()[1]
        transporter, link = await line.connect([f"nats://127.0.0.1:{port}", f"nats://localhost:{port}"])
        await until(lambda: greeted >= 3)
        await transporter.close()

    assert [] == link.states


async def test_close_while_moving_to_another_server_leaves_nothing(line: Line, server: NatsServer) -> None:
    tasks = asyncio.all_tasks()
    reached = asyncio.Event()
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        transporter, _ = await line.connect([server.url, f"nats://127.0.0.1:{port}"])
        server.signal(signal.SIGUSR2)
        await reached.wait()

        await transporter.close()
        await hung_up.wait()
        server.kill()

    await until(lambda: asyncio.all_tasks() <= tasks)


async def test_no_server_at_the_start_is_waited_for_and_said_once(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    transporter, link = line.make(f"nats://u:secret@127.0.0.1:{port}"), RecordingLink()

    connecting = asyncio.ensure_future(transporter.connect(link))
    await until(lambda: bool(warnings_of(caplog)))
    await asyncio.sleep(0.2)  # Several tries.
    assert not connecting.done()
    with NatsServer(port=port):
        await asyncio.wait_for(connecting, 10)
        (warning,) = warnings_of(caplog)
        await transporter.close()

    assert (
        f"no connection to NATS (nats://127.0.0.1:{port}: connection refused); trying again. "
        "Start a server with `nats-server`, or set `transporter` to where one is"
    ) == warning
    assert [] == link.states


def open_sockets() -> list[str]:
    links = [
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if Path(f"/proc/self/fd/{name}").is_symlink()
    ]
    return sorted(link for link in links if link.startswith("socket:"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open sockets in /proc")
@pytest.mark.parametrize("listener", ["nobody", "silent", "half a handshake", "never a PONG"])
async def test_a_cancelled_connect_leaves_nothing(line: Line, listener: str) -> None:
    said = {
        "nobody": b"",
        "silent": b"",
        "half a handshake": b'INFO {"tls_required":true}\r\n',
        "never a PONG": b"INFO {}\r\n",
    }[listener]
    reached = asyncio.Event()
    connections: list[asyncio.StreamWriter] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(said)
        await writer.drain()
        reached.set()

    fake = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = free_port() if listener == "nobody" else fake.sockets[0].getsockname()[1]
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    transporter = line.make(f"nats://127.0.0.1:{port}")

    connecting = asyncio.ensure_future(transporter.connect(RecordingLink()))
    if listener == "nobody":
        await asyncio.sleep(0.05)
    else:
        await reached.wait()
        await asyncio.sleep(0.02)  # So that the client has read it, too.
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    for writer in connections:
        writer.close()
    fake.close()
    await until(lambda: asyncio.all_tasks() <= tasks)
    gc.collect()
    await until(lambda: len(open_sockets()) <= len(sockets))

    timers = [handle for handle in getattr(asyncio.get_running_loop(), "_scheduled", []) if not handle.cancelled()]
    assert [] == [timer for timer in timers if "transporters/nats" in repr(timer)]


async def test_close_ends_a_connect_that_waits(line: Line) -> None:
    transporter = line.make(f"nats://127.0.0.1:{free_port()}")
    connecting = asyncio.ensure_future(transporter.connect(RecordingLink()))
    await asyncio.sleep(0.02)

    await transporter.close()

    with pytest.raises(TransporterError, match="closed while"):
        await asyncio.wait_for(connecting, 10)


async def test_close_while_the_line_is_away_ends_at_once_and_says_what_was_lost(
    line: Line, server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = asyncio.all_tasks()
    transporter, _ = await line.connect(server.url, pause=5.0, pause_max=5.0)
    server.kill()
    await until(lambda: not transporter.connected)
    transporter.send("a", b"x")

    async with asyncio.timeout(1):
        await transporter.close()

    assert tasks == asyncio.all_tasks()
    assert any("1 messages were not sent" in warning for warning in warnings_of(caplog))


@pytest.mark.slow
async def test_close_does_not_wait_for_ever_for_a_frozen_server(
    line: Line, server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    transporter, _ = await line.connect(server.url, close_timeout=0.1)
    server.freeze()

    async with asyncio.timeout(5):
        await transporter.close()

    assert any("took too long" in warning for warning in warnings_of(caplog))


async def test_a_line_lost_while_closing_ends_the_close(
    line: Line, server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    transporter, link = await line.connect(server.url)
    server.freeze()
    closing = asyncio.ensure_future(transporter.close())
    await asyncio.sleep(0.01)

    server.kill()
    await asyncio.wait_for(closing, 10)

    assert [] == link.states
    assert any("was lost while it was closed" in warning for warning in warnings_of(caplog))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"-ERR 'Stale Connection'\r\n", "the server said 'Stale Connection'"),
        (b"-ERR 'Slow Consumer'\r\n", "the server said 'Slow Consumer'"),
        (b"MSG a 1 99999999\r\n", "it speaks no NATS, or bytes were lost"),
        (b"garbage\r\n", "it speaks no NATS, or bytes were lost"),
    ],
)
async def test_a_line_that_went_wrong_is_made_anew(line: Line, said: bytes, reason: str) -> None:
    greeted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greeted
        greeted += 1
        first = greeted == 1
        writer.write(b'INFO {"headers":true}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.readuntil(b"SUB ")
        if first:
            writer.write(said)
        while await reader.read(1000):
            writer.write(b"PONG\r\n")  # To whatever is asked: close() asks, too.
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as fake:
        transporter, link = await line.connect(f"nats://127.0.0.1:{fake.sockets[0].getsockname()[1]}")
        await until(lambda: link.states[-1:] == ["up"])
        await transporter.close()

    assert link.states[0].startswith(f"down: {reason}")
    assert 2 == greeted


class LossyProxy:
    """Passes bytes both ways, and on demand loses some of those that come from the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lose = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def lose(self, count: int) -> None:
        self._lose = count

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for task in (self._pass(reader, far_writer, False), self._pass(far_reader, writer, True)):
            self._tasks.add(asyncio.ensure_future(task))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_server: bool) -> None:
        try:
            while data := await reader.read(65536):
                if from_server and self._lose and len(data) > 1_000:
                    data, self._lose = data[:500] + data[500 + self._lose :], 0
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("lost", [1, 7, 130])
async def test_bytes_that_are_lost_cost_the_line_and_never_mix_up_messages(
    line: Line, server: NatsServer, lost: int
) -> None:
    proxy = LossyProxy(server.port)
    async with proxy as url:
        transporter, link = await line.connect(url, "a")
        sender, _ = await line.connect(server.url)
        sent = [b"%06d" % number * 20 for number in range(200)]

        proxy.lose(lost)
        for data in sent:
            sender.send("a", data)
        await until(lambda: link.states[-1:] == ["up"])
        await transporter.subscribe(["a"])
        sender.send("a", b"after")
        await until(lambda: b"after" in link.payloads)

        assert link.states[0].startswith("down: it speaks no NATS, or bytes were lost")
        assert set(link.payloads) <= {*sent, b"after"}
        await transporter.close()


async def test_a_server_that_talks_and_never_listens_is_left(
    line: Line, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could make our answers to its pings grow without end."""
    transporter, link = await line.connect(server.url)
    connection = transporter._client._connection
    assert connection is not None
    monkeypatch.setattr("tautomer.transporters.nats.connection._UNREAD_BYTES_MAX", -1_000_000)

    connection.data_received(b"PING\r\n")

    assert ["down: the server sends but does not read"] == link.states
