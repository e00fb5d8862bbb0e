"""The server as a whole: start, stop, limits on numbers, TLS, Unix sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tautomer.errors import BrokerOptionsError
from tautomer.web.http.server import HttpServer
from tautomer.web.messages.message import Reply, Request

from .conftest import Dial, Serve, echo, until
from .wire import WAIT, Wire, get, post


async def test_port_0_is_any_free_port(serve: Serve, dial: Dial) -> None:
    server = await serve()

    assert server.port > 0
    assert f"http://127.0.0.1:{server.port}" == server.address
    assert [server.port] == [sock.getsockname()[1] for sock in server.sockets]


async def test_a_taken_port_is_an_error_that_says_what_to_do(serve: Serve) -> None:
    port = (await serve()).port

    with pytest.raises(BrokerOptionsError, match=rf"port {port} on 127\.0\.0\.1 is already in use: stop the other"):
        await serve(port=port)


async def test_an_address_of_another_machine_is_an_error(serve: Serve) -> None:
    with pytest.raises(BrokerOptionsError, match=r"'192\.0\.2\.1' is no address of this machine"):
        await serve(host="192.0.2.1")


async def test_a_unix_path_that_cannot_be_is_an_error(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(BrokerOptionsError, match="cannot listen on the Unix socket"):
        await serve(path=str(tmp_path / "no" / "such" / "folder"))


async def test_several_servers_may_share_a_port(serve: Serve, dial: Dial) -> None:
    first = await serve(reuse_port=True)
    second = await serve(reuse_port=True, port=first.port)

    assert first.port == second.port


async def test_a_unix_socket_is_served_and_removed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await serve(path=str(path))
    wire = Wire(*await asyncio.open_unix_connection(str(path)))
    wire.send(get("/a"))

    assert b"GET /a? " == (await wire.answer()).body
    assert f"unix:{path}" == server.address
    assert 0 == server.port
    await wire.close()
    await server.stop(1)
    assert not path.exists()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def test_tls_is_served(serve: Serve, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    async def handle(request: Request) -> Reply:
        return Reply(200, [], request.scheme.encode() + request.body)

    server = await serve(handle, ssl_context=context, body_bytes_max=10, linger=0.05)
    wire = Wire(*await asyncio.open_connection("127.0.0.1", server.port, ssl=client))
    wire.send(post(b"hello") + post(b"hello world"))

    assert server.address.startswith("https://")
    assert b"httpshello" == (await wire.answer()).body
    assert 413 == (await wire.answer()).status
    assert b"" == await wire.rest()
    await wire.close()


async def test_too_many_connections_are_503(serve: Serve, dial: Dial) -> None:
    server = await serve(connections_max=2)
    first, _second = await dial(server), await dial(server)
    first.send(get())
    await first.answer()
    await until(lambda: 2 == server.statistics()["connections"])
    third = await dial(server)

    answer = await third.answer()

    assert (503, "TOO_MANY_CONNECTIONS", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await third.rest()
    await first.close()
    await third.close()
    await until(lambda: 1 == server.statistics()["connections"])
    fourth = await dial(server)
    fourth.send(get())
    assert 200 == (await fourth.answer()).status


async def test_too_many_connections_of_one_peer_are_503_but_not_of_a_trusted_one(serve: Serve, dial: Dial) -> None:
    for trusted, status in ((False, 503), (True, 200)):
        server = await serve(connections_per_peer_max=1, trusted_peer=lambda client, trusted=trusted: trusted)
        await dial(server)
        await until(lambda server=server: 1 == server.statistics()["connections"])  # type: ignore[misc]
        second = await dial(server)
        second.send(get())

        assert status == (await second.answer()).status


async def test_far_too_many_connections_are_cut_without_a_word(serve: Serve, dial: Dial) -> None:
    server = await serve(connections_max=1)
    await dial(server)
    # All at once: those that were told are let go after a moment, and make room.
    wires = await asyncio.gather(*(dial(server) for _ in range(149)))
    await until(lambda: 150 == server.statistics()["connections_total"])

    answered = [await wire.rest() for wire in wires]

    assert 100 == len([data for data in answered if data.startswith(b"HTTP/1.1 503 ")])
    assert 49 == answered.count(b"")


async def test_too_many_requests_at_once_are_503_with_retry_after(serve: Serve, dial: Dial) -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> Reply:
        await go_on.wait()
        return Reply(200)

    server = await serve(handle, requests_max=2)
    wires = [await dial(server) for _ in range(2)]
    for wire in wires:
        wire.send(get())
    await until(lambda: 2 == server.statistics()["requests_running"])
    late = await dial(server)
    late.send(get())

    answer = await late.answer()

    assert (503, "SERVICE_UNAVAILABLE", "1", False) == (
        answer.status,
        answer.type,
        answer.headers["retry-after"],
        answer.closes,
    )
    go_on.set()
    assert [200, 200] == [(await wire.answer()).status for wire in wires]
    late.send(get())
    assert 200 == (await late.answer()).status


async def test_stop_lets_a_running_request_end_and_closes_the_rest(serve: Serve, dial: Dial) -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> Reply:
        if request.path == "/slow":
            await go_on.wait()
        return Reply(200, [], b"done")

    server = await serve(handle)
    port = server.port
    idle, running = await dial(server), await dial(server)
    idle.send(get())
    await idle.answer()
    running.send(get("/slow") + get("/never"))
    await until(lambda: 1 == server.statistics()["requests_running"])
    stopping = asyncio.ensure_future(server.stop(WAIT))

    assert b"" == await idle.rest()
    assert not stopping.done()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    go_on.set()
    answer = await running.answer()
    assert (b"done", True) == (answer.body, answer.closes)
    assert b"" == await running.rest()
    await stopping
    assert () == server.sockets
    assert 2 == server.statistics()["requests_total"]


async def test_stop_lets_a_request_come_in_whole(serve: Serve, dial: Dial) -> None:
    server = await serve()
    wire = await dial(server)
    wire.send(post(b"hello")[:-3])
    await until(lambda: 1 == server.statistics()["requests_total"])
    stopping = asyncio.ensure_future(server.stop(WAIT))
    await until(lambda: () == server.sockets)
    wire.send(b"llo")

    answer = await wire.answer()

    assert (b"POST /? hello", True) == (answer.body, answer.closes)
    await stopping


async def test_stop_cuts_what_does_not_end_in_time(serve: Serve, dial: Dial, caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def handle(request: Request) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Reply(200)

    server = await serve(handle)
    wire = await dial(server)
    wire.send(post(b"hello"))
    await until(lambda: 1 == server.statistics()["requests_running"])

    await server.stop(0.05)

    assert cancelled.is_set()
    assert b"" == await wire.rest()
    assert {0} == {server.statistics()["connections"], server.statistics()["requests_running"]}
    assert ["http requests cut at stop"] == [record.message for record in caplog.records]


async def test_stop_twice_and_without_start_is_harmless() -> None:
    server = HttpServer(echo)
    await server.stop(0)
    await server.stop(0)

    assert 0 == server.port


@pytest.mark.slow
async def test_stop_waits_for_a_new_connection_only_for_a_moment(serve: Serve, dial: Dial) -> None:
    server = await serve(linger=0.1)
    wire = await dial(server)
    await until(lambda: 1 == server.statistics()["connections"])

    await server.stop(WAIT)

    assert b"" == await wire.rest()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_whom_the_system_has_let_in_is_served_though_the_server_stops(serve: Serve, turns: int) -> None:
    """They are connected as far as they know; closing the listening socket would reset them."""
    server = await serve()
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping = asyncio.ensure_future(server.stop(WAIT))
    wires = [Wire(*await asyncio.open_connection(sock=client)) for client in clients]
    for wire in wires:
        wire.send(get())

    answers = [await wire.answer() for wire in wires]

    assert [(200, True)] * 20 == [(answer.status, answer.closes) for answer in answers]
    await stopping
    for wire in wires:
        await wire.close()


async def test_statistics_say_what_there_is_and_was(serve: Serve, dial: Dial) -> None:
    server = await serve()
    wire = await dial(server)
    wire.send(get() + b"\n")
    await wire.rest()
    await wire.close()
    await until(lambda: 0 == server.statistics()["connections"])

    assert {
        "connections": 0,
        "requests_running": 0,
        "connections_total": 1,
        "requests_total": 1,
        "refused": {"BAD_REQUEST": 1},
    } == server.statistics()


async def test_a_sweep_goes_on_when_one_connection_cannot_be_looked_at(
    serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve(keep_alive_idle=0.2)
    broken, fine = await dial(server), await dial(server)
    await until(lambda: 2 == server.statistics()["connections"])
    first = next(iter(server._state.connections))
    monkeypatch.setattr(first, "_transport", None)
    monkeypatch.setattr(type(first), "abort", lambda self: None)

    assert b"" == await fine.rest()
    assert "connection check failed" in {record.message for record in caplog.records}
    await broken.close()


async def test_no_descriptor_is_left(serve: Serve, dial: Dial) -> None:
    server = await serve()
    free = socket.socket()
    free.close()
    for _ in range(20):
        wire = await dial(server)
        wire.send(get("/", "Connection: close"))
        await wire.answer()
        await wire.close()

    await until(lambda: 0 == server.statistics()["connections"])
