"""The line of a WebSocket client, against servers that do as they please."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from tautomer import AsyncRemoteClient, RemoteClient
from tautomer.client import (
    AccessDeniedError,
    CalledServiceError,
    MethodCall,
    Notification,
    RequestTimeout,
    ServiceUnreachable,
)
from tautomer.client.line import IN_FLIGHT_MAX, pause

Talk = Callable[[ServerConnection], Awaitable[None]]

WAIT = 20.0


class Server:
    """One that talks as the test says, to each client.

    Attributes:
        opened: Connections so far.
        heard: Messages so far.
    """

    def __init__(self, talk: Talk | None = None, **options: Any) -> None:
        self._talk = talk or self.echo
        self._options = options
        self.opened = 0
        self.heard: list[Any] = []
        self.port = 0

    async def echo(self, line: ServerConnection) -> None:
        """Answer each call with its params."""
        while True:
            await self.say(line, await self.next(line))

    async def next(self, line: ServerConnection) -> Any:
        self.heard.append(json.loads(await line.recv()))
        return self.heard[-1]

    async def say(self, line: ServerConnection, asked: Any) -> None:
        many = asked if isinstance(asked, list) else [asked]
        answers = [
            {"jsonrpc": "2.0", "result": one.get("params"), "id": one["id"]} for one in reversed(many) if "id" in one
        ]
        if answers:
            await line.send(json.dumps(answers if many is asked else answers[0]))

    async def _serve(self, line: ServerConnection) -> None:
        self.opened += 1
        with suppress(ConnectionClosed):
            await self._talk(line)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[str]:
        async with serve(self._serve, "127.0.0.1", self.port, **self._options) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield f"ws://127.0.0.1:{self.port}/rpc"


async def test_answers_in_another_order_come_to_those_who_asked() -> None:
    async def backwards(line: ServerConnection) -> None:
        asked = [await server.next(line) for _ in range(20)]
        for one in reversed(asked):
            await server.say(line, one)
        await line.wait_closed()

    server = Server(backwards)
    async with server() as url, AsyncRemoteClient(url) as client:
        told = await asyncio.gather(*[client.methods.f(number) for number in range(20)])

    assert [[number] for number in range(20)] == told
    assert 1 == server.opened


async def test_calls_may_have_the_same_id() -> None:
    server = Server()
    async with server() as url, AsyncRemoteClient(url) as client:
        first, second = MethodCall("f", [1], id=0), MethodCall("f", [2], id=0)
        told = await asyncio.gather(client.call_method(first), client.call_method(second))
        batch = await client.call_batch(MethodCall("g", [1], id="x"), MethodCall("g", [2], id="x"))

    assert [("x", [1]), ("x", [2])] == [(one.id, one.result) for one in batch]
    assert [(0, [1]), (0, [2])] == [(one.id, one.result) for one in told]
    assert 4 == len({one["id"] for asked in server.heard for one in (asked if isinstance(asked, list) else [asked])})


async def test_what_may_have_run_is_sent_again_only_where_that_does_no_harm() -> None:
    async def drop_the_first(line: ServerConnection) -> None:
        asked = await server.next(line)
        if server.opened > 1:
            await server.say(line, asked)
            await line.wait_closed()

    server = Server(drop_the_first)
    async with server() as url, AsyncRemoteClient(url) as client:
        with pytest.raises(ServiceUnreachable, match="broke"):
            await client.methods.f()
        assert 1 == len(server.heard)

    server.opened = 0
    async with server() as url, AsyncRemoteClient(url, idempotent=True) as client:
        assert [1] == await client.methods.f(1)
    assert 2 == server.opened


async def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    async def one_answer(line: ServerConnection) -> None:
        await server.say(line, await server.next(line))

    server = Server(one_answer)
    async with server() as url, AsyncRemoteClient(url, retries=0) as client:
        for number in range(3):
            assert [number] == await client.methods.f(number)
            assert client._line is not None
            link = client._line._link
            assert link is not None
            async with asyncio.timeout(WAIT):
                await link.connection.wait_closed()

    assert 3 == server.opened


async def test_a_server_that_comes_back_is_found_again() -> None:
    server = Server()
    async with server() as url:
        client = AsyncRemoteClient(url, timeout=WAIT)
        assert [1] == await client.methods.f(1)
    with pytest.raises(ServiceUnreachable):
        await client.methods.f(2)
    async with server(), client:
        assert [3] == await client.methods.f(3)


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_pauses_grow_are_bounded_and_not_the_same_for_all(failures: int, chance: float) -> None:
    assert 0.05 <= pause(failures, chance) <= 7.5
    assert pause(failures, chance) <= pause(failures + 1, chance)
    assert pause(failures, 0.0) < pause(failures, 1.0)


async def test_all_who_wait_for_the_line_share_one_try() -> None:
    server = Server()
    async with server() as url:
        pass
    async with AsyncRemoteClient(url, retries=0) as client:
        told = await asyncio.gather(*[client.methods.f() for _ in range(50)], return_exceptions=True)
        assert client._line is not None
        assert 1 == client._line._failures

    assert {ServiceUnreachable} == {type(one) for one in told}


async def test_a_late_answer_is_nobody_else_s() -> None:
    go_on = asyncio.Event()

    async def late(line: ServerConnection) -> None:
        first = await server.next(line)
        await go_on.wait()
        await server.say(line, first)
        await server.echo(line)

    server = Server(late)
    async with server() as url, AsyncRemoteClient(url, timeout=0.2) as client:
        with pytest.raises(RequestTimeout, match=r"no answer in 0\.2 s"):
            await client.methods.f("late")
        go_on.set()
        assert ["soon"] == await client.methods.f("soon")

    assert 1 == server.opened


async def test_so_many_are_on_their_way_at_once() -> None:
    go_on = asyncio.Event()

    async def later(line: ServerConnection) -> None:
        asked = [await server.next(line) for _ in range(IN_FLIGHT_MAX)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await server.next(line)
        for one in asked:
            await server.say(line, one)
        await server.echo(line)

    server = Server(later)
    async with server() as url, AsyncRemoteClient(url, timeout=WAIT) as client:
        told = await asyncio.gather(*[client.methods.f(number) for number in range(IN_FLIGHT_MAX + 20)])
        go_on.set()

    assert [[number] for number in range(IN_FLIGHT_MAX + 20)] == told


async def test_what_the_server_says_of_itself() -> None:
    heard: list[Any] = []

    async def speak(line: ServerConnection) -> None:
        asked = await server.next(line)
        for text in (
            '{"jsonrpc":"2.0","method":"event","params":{"n":1}}',
            '[{"jsonrpc":"2.0","method":"event","params":[2]},{"jsonrpc":"2.0","method":"boom"}]',
            '{"jsonrpc":"2.0","method":"do_something","id":"s1"}',
            "no json",
            "5",
            '{"jsonrpc":"2.0","result":1,"id":[]}',
            '{"jsonrpc":"2.0","result":1,"id":99}',
        ):
            await line.send(text)
        refused = await server.next(line)
        assert ("s1", -32601) == (refused["id"], refused["error"]["code"])
        await server.say(line, asked)
        await line.wait_closed()

    def hear(method: str, params: Any) -> None:
        heard.append((method, params))
        if method == "boom":
            raise ValueError("what hears must not end what reads")

    server = Server(speak)
    async with server() as url, AsyncRemoteClient(url, on_notification=hear) as client:
        assert ["x"] == await client.methods.f("x")

    assert [("event", {"n": 1}), ("event", [2]), ("boom", None)] == heard


def test_only_a_socket_can_speak_for_itself() -> None:
    with pytest.raises(ValueError, match="ws://"):
        RemoteClient("http://127.0.0.1/", on_notification=print)


async def test_closing_fails_what_waits_and_the_next_call_opens_another() -> None:
    async def never(line: ServerConnection) -> None:
        asked = await server.next(line)
        if asked["method"] == "g":
            await server.say(line, asked)
        await line.wait_closed()

    server = Server(never)
    async with server() as url, AsyncRemoteClient(url, timeout=WAIT) as client:
        waiting = asyncio.gather(*[client.methods.f() for _ in range(3)], return_exceptions=True)
        while not server.heard:
            await asyncio.sleep(0.005)
        await client.close()

        assert {ServiceUnreachable} == {type(one) for one in await waiting}
        assert [] == (await client.methods.g() or [])


async def test_a_refused_handshake_says_why() -> None:
    def refuse(_line: ServerConnection, request: Any) -> Response:
        if request.path == "/page":
            return Response(502, "Bad Gateway", Headers(), b"<html>")
        if request.path == "/moved":
            return Response(307, "Moved", Headers(Location="ws://127.0.0.1:1/"), b"")
        body = b'{"jsonrpc":"2.0","error":{"code":-32001,"message":"Access denied"},"id":null}'
        return Response(HTTPStatus.UNAUTHORIZED, "Unauthorized", Headers(), body)

    async with Server(process_request=refuse)() as url:
        async with AsyncRemoteClient(url) as client:
            with pytest.raises(AccessDeniedError):
                await client.methods.f()
        for path, told in (("page", "HTTP status 502: <html>"), ("moved", "not a JSON-RPC response")):
            async with AsyncRemoteClient(url.replace("rpc", path)) as client:
                with pytest.raises(CalledServiceError, match=told):
                    await client.methods.f()


async def test_the_handshake_shows_the_token_and_nobody_is_followed_elsewhere() -> None:
    seen: list[Any] = []

    def note(_line: ServerConnection, request: Any) -> None:
        seen.append((request.headers.get("X-Api-Token"), request.headers.get("Cookie"), request.headers.get("X-More")))

    async with Server(process_request=note)() as url:
        for kind in ("header", "cookie"):
            options = {"auth_type": kind, "auth_token": "good"}
            async with AsyncRemoteClient(url, options=options, headers={"X-More": "1"}) as client:
                await client.methods.f()

    assert [("good", None, "1"), (None, "AuthToken=good", "1")] == seen


async def test_a_batch_that_is_refused_as_a_whole() -> None:
    async def refuse(line: ServerConnection) -> None:
        while True:
            asked = await server.next(line)
            if isinstance(asked, list):
                error = {"code": -32600, "message": "Invalid Request", "data": {"reason": "batch too large"}}
                await line.send(json.dumps({"jsonrpc": "2.0", "error": error, "id": None}))

    server = Server(refuse)
    async with server() as url, AsyncRemoteClient(url, timeout=WAIT) as client:
        hanging = asyncio.ensure_future(client.methods.f())
        while not server.heard:
            await asyncio.sleep(0.005)
        with pytest.raises(CalledServiceError, match="Invalid Request"):
            await client.call_batch(MethodCall("g"), Notification("h"), MethodCall("g"))
        hanging.cancel()


async def test_threads_share_one_connection_which_ends_with_the_client() -> None:
    server = Server()
    before = threading.active_count()
    async with server() as url:
        client = RemoteClient(url)
        told = await asyncio.gather(*[asyncio.to_thread(client.methods.f, number) for number in range(20)])
        assert 1 == server.opened
        await asyncio.to_thread(client.close)
        assert "json-rpc client" not in {one.name for one in threading.enumerate()}
        assert [1] == await asyncio.to_thread(client.methods.f, 1)
        await asyncio.to_thread(client.close)

    assert [[number] for number in range(20)] == told
    assert 2 == server.opened
    assert threading.active_count() - before <= 40  # Those of `to_thread`.


async def test_one_that_is_forgotten_leaves_no_thread_behind() -> None:
    server = Server()
    async with server() as url:

        def forget() -> None:
            RemoteClient(url).methods.f()

        await asyncio.to_thread(forget)
        async with asyncio.timeout(WAIT):
            while "json-rpc client" in {one.name for one in threading.enumerate()}:
                await asyncio.sleep(0.01)


async def test_a_blocking_client_that_is_closed_by_another_thread_does_not_hang() -> None:
    async def never(line: ServerConnection) -> None:
        await server.next(line)
        await line.wait_closed()

    server = Server(never)
    async with server() as url:
        client = RemoteClient(url, timeout=WAIT)
        waiting = asyncio.ensure_future(asyncio.to_thread(client.methods.f))
        while not server.heard:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(client.close)

        with pytest.raises(ServiceUnreachable):
            await waiting


async def test_a_url_that_is_none() -> None:
    async with AsyncRemoteClient("ws://") as client:
        with pytest.raises(ValueError, match="no URL"):
            await client.methods.f()
