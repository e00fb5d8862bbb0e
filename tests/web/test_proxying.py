"""Routes that are proxies, between a plain socket and an upstream that does exactly what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import errors
from tautomer.commands.component import component
from tests.commands.raw_server import Peer
from tests.web.door import chunks, parse
from tests.web.proxying import OK, proxied, until
from tests.web.uploading import Client

BIG = 300_000


def circuit(door: Any) -> Any:
    command = door.service.options.routes[0].proxy.command
    return component.runtime.keys[command.command_key]


# --- what goes up ---


async def test_the_upstream_sees_the_request_as_it_came_and_where_it_came_from() -> None:
    async with proxied() as (door, upstream):
        answer = await door.ask(
            "POST",
            "/api/v1/a%20b?q=[1]&q=2&e=%20&flag",
            headers={
                "Host": "shop.example",
                "User-Agent": "me",
                "X-Request-ID": "r-1",
                "traceparent": "00-1-2-01",
                "Accept-Encoding": "br",
                "X-Name": "caf\xe9",
            },
            body=b"abc",
        )

        assert (200, b"ok") == (answer.status, answer.body)
        expected = [
            "POST /v1/a%20b?q=[1]&q=2&e=%20&flag HTTP/1.1",
            f"Host: 127.0.0.1:{upstream.port}",
            "User-Agent: me",
            "X-Request-ID: r-1",
            "traceparent: 00-1-2-01",
            "Accept-Encoding: br",
            "X-Name: caf\xc3\xa9",  # As the client's bytes were.
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: shop.example",
            "Forwarded: for=127.0.0.1;host=shop.example;proto=http",
            "Via: 1.1 tautomer",
            "Content-Length: 3",
        ]
        assert expected == upstream.heads[0].split("\r\n")
        assert [b"abc"] == upstream.bodies


async def test_headers_of_the_connection_and_those_it_names_stay_here() -> None:
    async with proxied() as (door, upstream):
        headers = {
            "Connection": "close, X-Foo, X-Forwarded-For",
            "X-Foo": "1",
            "X-Forwarded-For": "9.9.9.9",
            "Keep-Alive": "5",
            "TE": "trailers",
            "Proxy-Authorization": "Basic eDp5",
            "Trailer": "X",
            "X-Bar": "2",
        }
        await door.ask("GET", "/api/x", headers=headers)

        head = upstream.heads[0].lower()
        assert "x-bar: 2" in head
        assert [] == [one for one in ("x-foo", "connection:", "keep-alive", "te:", "proxy-", "trailer") if one in head]
        # Nobody gets rid of what we say of him by naming it there.
        assert "x-forwarded-for: 9.9.9.9, 127.0.0.1" in head


async def test_a_trusted_proxy_is_named_behind_the_client_it_speaks_for() -> None:
    async with proxied(settings={"trustedProxies": ["127.0.0.1"]}) as (door, upstream):
        headers = {
            "X-Forwarded-For": "7.7.7.7",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "outer.example",
            "Via": "1.1 front",
        }
        await door.ask("GET", "/api/x", headers=headers)

        lines = upstream.heads[0].split("\r\n")
        assert "X-Forwarded-For: 7.7.7.7, 127.0.0.1" in lines
        assert "X-Forwarded-Proto: https" in lines
        assert "X-Forwarded-Host: outer.example" in lines
        assert "Via: 1.1 front, 1.1 tautomer" in lines


async def test_host_is_kept_where_the_proxy_says_so_and_nothing_is_told_where_not() -> None:
    async with proxied(attributes={"preserve_host": True, "forwarded": False}) as (door, upstream):
        await door.ask("GET", "/api/x", headers={"Host": "shop.example"})

        assert ["GET /x HTTP/1.1", "Host: shop.example"] == upstream.heads[0].split("\r\n")


async def test_a_hook_changes_what_goes_up_and_what_comes_down() -> None:
    async def before_request(self: Any) -> None:
        request = self.request
        assert ("v1/users",) == request.path_args
        request.url = f"{origin}/other?fixed=1"
        request.params["page"] = ["2"]
        request.headers["X-User"] = self.ctx.user["name"]
        del request.headers["user-agent"]
        request.data = request.data.upper()

    def after_response(self: Any) -> None:
        self.response.headers["Set-Cookie"] = ["a=1", "b=2"]
        self.response.status_code = 201
        self.response.content += b"!"

    attributes = {"before_request": before_request, "after_response": after_response, "forwarded": False}
    async with proxied(attributes=attributes, authentication=_ada) as (door, upstream):
        origin = upstream.url
        answer = await door.ask("POST", "/api/v1/users?page=1&q=x+y", headers={"User-Agent": "me"}, body=b"abc")

        assert (201, b"ok!") == (answer.status, answer.body)
        assert [("set-cookie", "a=1"), ("set-cookie", "b=2")] == [
            line for line in answer.headers if line[0] == "set-cookie"
        ]
        assert "POST /other?fixed=1&page=2&q=x+y HTTP/1.1" == upstream.heads[0].split("\r\n")[0]
        assert "X-User: ada" in upstream.heads[0]
        assert [b"ABC"] == upstream.bodies


async def _ada(ctx: Any, route: Any, request: Any) -> Any:
    return {"name": "ada"}


async def test_a_hook_may_answer_itself() -> None:
    def before_request(self: Any) -> None:
        self.response = {"status_code": 202, "content": {"queued": True}}

    async with proxied(attributes={"before_request": before_request}) as (door, upstream):
        answer = await door.get("/api/x")

        assert (202, {"queued": True}) == (answer.status, answer.json)
        assert "application/json; charset=utf-8" == answer.header("content-type")
        assert 0 == upstream.connections


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_is_passed_on(method: str) -> None:
    async with proxied() as (door, upstream):
        assert 200 == (await door.ask(method, "/api/x")).status
        assert upstream.heads[0].startswith(f"{method} /x ")


# --- what comes down ---


async def test_the_answer_comes_as_it_was_sent() -> None:
    raw = (
        b"HTTP/1.1 203 So So\r\nServer: up\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Name: caf\xe9\r\n"
        b'Connection: X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=1\r\nETag: "1"\r\nContent-Encoding: gzip\r\n'
        b"Content-Length: 3\r\n\r\n\x1f\x8b\x00"
    )
    async with proxied(raw) as (door, _):
        answer = await door.get("/api/x")

        assert (203, "So So", b"\x1f\x8b\x00") == (answer.status, answer.reason, answer.body)
        ours = ("date", "x-request-id", "connection", "content-length")
        expected = [
            ("server", "up"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-name", "caf\xe9"),
            ("etag", '"1"'),
            ("content-encoding", "gzip"),
        ]
        assert expected == [line for line in answer.headers if line[0] not in ours]
        assert "close" == answer.header("connection")


async def test_redirects_are_passed_on() -> None:
    raw = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with proxied(raw) as (door, upstream):
        answer = await door.get("/api/x")

        assert (302, "/elsewhere") == (answer.status, answer.header("location"))
        assert 1 == len(upstream.heads)


@pytest.mark.parametrize(
    ("method", "raw", "status", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200, "1000"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 200, "1000000"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\n', 304, None),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "0"),
    ],
)
async def test_answers_without_a_body_have_none_and_leave_the_connection(
    method: str, raw: bytes, status: int, length: str | None
) -> None:
    async with proxied(raw) as (door, upstream):
        for _ in range(2):
            answer = await door.ask(method, "/api/x")

            assert (status, length, b"") == (answer.status, answer.header("content-length"), answer.body)
        assert 1 == upstream.connections


async def test_a_long_answer_passes_as_it_comes() -> None:
    went_on = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await went_on.wait()
        await peer.write(b"4\r\nlast\r\n0\r\n\r\n")

    async with proxied(behave) as (door, _):
        client = await Client.begin(door.port, "GET /api/x", "Connection: close")
        async with asyncio.timeout(20):
            head = await client.reader.readuntil(b"first\r\n")
        went_on.set()
        answer = parse(head + await client.rest())

        assert b"firstlast" == chunks(answer)
        await client.close()


async def test_the_length_of_a_long_answer_is_told() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + BIG * b"x"
    async with proxied(raw) as (door, _):
        answer = await door.get("/api/x")

        assert (str(BIG), BIG * b"x") == (answer.header("content-length"), answer.body)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + 1000 * b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + 1000 * b"x" + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + 1000 * b"x" + b"\r\nnonsense",
    ],
    ids=["length", "chunked", "nonsense"],
)
async def test_an_upstream_that_breaks_off_leaves_a_broken_answer_and_not_a_short_one(raw: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(raw)
        peer.close()

    async with proxied(behave) as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        async with asyncio.timeout(20):
            try:
                while piece := await reader.read(65536):
                    got += piece
            except ConnectionResetError:
                pass
        writer.close()

        assert got.startswith(b"HTTP/1.1 200 OK")
        head, _, body = got.partition(b"\r\n\r\n")
        assert not (b"chunked" in head and body.endswith(b"0\r\n\r\n"))
        assert len(body) < BIG


async def test_a_short_answer_that_breaks_off_is_a_502() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.close()

    async with proxied(behave) as (door, _):
        answer = await door.get("/api/x")

        assert (502, "UPSTREAM_FAILED") == (answer.status, answer.type)


# --- what goes wrong ---


async def test_an_upstream_that_is_not_there_is_a_502_that_names_no_host() -> None:
    async with proxied() as (door, upstream):
        await upstream.stop()
        answer = await door.get("/api/x")

        assert (502, "UPSTREAM_FAILED") == (answer.status, answer.type)
        assert b"127.0.0.1" not in answer.body
        assert "FAILURE" in circuit(door).measures.events.ever
        await upstream.start()


async def test_garbage_is_a_502() -> None:
    async with proxied(b"SSH-2.0-OpenSSH_9.2\r\n") as (door, _):
        assert 502 == (await door.get("/api/x")).status


async def test_an_upstream_that_does_not_answer_is_a_504() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        assert await peer.gone()

    async with proxied(behave, attributes={"request_timeout_seconds": 0.1}) as (door, _):
        assert 504 == (await door.get("/api/x")).status
    async with proxied(behave, attributes={"timeout_seconds": 0.1}) as (door, _):
        answer = await door.get("/api/x")
        assert (504, "COMMAND_TIMEOUT") == (answer.status, answer.type)


async def test_a_route_whose_time_is_over_is_a_504() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        assert await peer.gone()

    async with proxied(behave, callOptions={"timeout": 0.1}) as (door, _):
        assert 504 == (await door.get("/api/x")).status


async def test_answers_of_500_and_more_are_passed_on_and_open_the_circuit() -> None:
    raw = b"HTTP/1.1 500 Oh No\r\nContent-Length: 4\r\n\r\noops"
    async with proxied(raw, attributes={"circuit_breaker": {"request_volume_threshold": 3}}) as (door, upstream):
        seen = [await door.get("/api/x") for _ in range(4)]

        assert [(500, b"oops")] * 3 == [(one.status, one.body) for one in seen[:3]]
        assert (503, "CIRCUIT_OPEN") == (seen[3].status, seen[3].type)
        assert seen[3].header("retry-after") is not None
        assert 3 == len(upstream.heads)


async def test_answers_under_500_do_not() -> None:
    raw = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with proxied(raw, attributes={"circuit_breaker": {"request_volume_threshold": 3}}) as (door, _):
        assert {404} == {(await door.get("/api/x")).status for _ in range(6)}


async def test_a_full_pool_is_a_503() -> None:
    held = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await held.wait()
        await peer.write(OK)

    async with proxied(behave) as (door, _):
        command = door.service.options.routes[0].proxy.command
        component.add("executor_pool", {"group_key": command.group_key, "max_workers": 1, "max_queue": 0})
        component.install()
        first = asyncio.create_task(door.get("/api/x"))
        await until(lambda: component.runtime.pools[command.group_key].statistics()["running"])
        second = await door.get("/api/x")
        held.set()

        assert (503, "COMMAND_REJECTED") == (second.status, second.type)
        assert 200 == (await first).status


async def test_a_fallback_answers_for_an_upstream_that_fails() -> None:
    def fallback(self: Any) -> dict[str, Any]:
        assert isinstance(self.execution.exception, errors.MoleculerError)
        return {
            "status_code": 500,
            "reason": "Internal Server Error",
            "headers": {},
            "content": json.dumps({"code": 500}),
        }

    async with proxied(attributes={"fallback": fallback}) as (door, upstream):
        await upstream.stop()
        answer = await door.get("/api/x")
        await upstream.start()

        assert (500, {"code": 500}) == (answer.status, answer.json)
        assert "application/json; charset=utf-8" == answer.header("content-type")


@pytest.mark.parametrize(
    ("made", "status", "content_type", "body"),
    [
        ({"status_code": 503, "content": "later"}, 503, "text/plain; charset=utf-8", b"later"),
        ({"status_code": 200, "headers": {"Content-Type": "text/html"}, "content": b"<p>"}, 200, "text/html", b"<p>"),
        (({"a": 1}, 418), 418, "application/json; charset=utf-8", b'{"a":1}'),
        ((None, 503, {"Retry-After": "9"}), 503, None, b""),
        ({"a": 1}, 200, "application/json; charset=utf-8", b'{"a":1}'),
    ],
)
async def test_what_a_fallback_gives(made: Any, status: int, content_type: str | None, body: bytes) -> None:
    async with proxied(b"nonsense", attributes={"fallback_value": made}) as (door, _):
        answer = await door.get("/api/x")

        assert (status, content_type, body) == (answer.status, answer.header("content-type"), answer.body)


@pytest.mark.parametrize(("statuses", "expected"), [((), (503, b"busy")), ((503,), (200, b'{"stale":true}'))])
async def test_a_fallback_answers_for_statuses_only_where_asked_to(statuses: Any, expected: Any) -> None:
    raw = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
    attributes = {"fallback_value": {"stale": True}, "fallback_statuses": statuses}
    async with proxied(raw, attributes=attributes) as (door, upstream):
        for _ in range(2):
            answer = await door.get("/api/x")
            assert expected == (answer.status, answer.body)
        assert 1 == upstream.connections


async def test_a_mistake_in_a_hook_is_a_500_that_tells_nothing(caplog: Any) -> None:
    def before_request(self: Any) -> None:
        pass

    async with proxied(attributes={"before_request": before_request}) as (door, _):
        answer = await door.get("/api/x")

        assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)
        assert "must set request['url']" in caplog.text


async def test_a_mistake_in_the_second_hook_lets_go_of_the_connection() -> None:
    def after_response(self: Any) -> None:
        raise KeyError("oops")

    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG
    async with proxied(raw, attributes={"after_response": after_response}) as (door, _upstream):
        assert 500 == (await door.get("/api/x")).status
        proxy = door.service.options.routes[0].proxy.command
        await until(lambda: not proxy._client().pool.statistics()["open"])


async def test_attempts_are_repeated_where_that_does_no_harm() -> None:
    count = 0

    async def behave(peer: Peer) -> None:
        nonlocal count
        count += 1
        await peer.head()
        if count % 2:
            peer.close()
        else:
            await peer.write(OK)

    async with proxied(behave, attributes={"retry": {"retries": 2, "delay": 0.001}}) as (door, _):
        assert 200 == (await door.get("/api/x")).status
        assert 2 == count
        # It may have done something before it broke off.
        assert 502 == (await door.ask("POST", "/api/x", body=b"x")).status
        assert 3 == count


async def test_a_body_that_is_partly_gone_is_not_sent_again() -> None:
    count = 0

    async def behave(peer: Peer) -> None:
        nonlocal count
        count += 1
        await peer.head()
        await peer.reader.readexactly(10)
        peer.close()

    async with proxied(behave, attributes={"retry": {"retries": 2, "delay": 0.001}}) as (door, _):
        answer = await door.ask("PUT", "/api/x", body=BIG * b"x")
        assert 502 == answer.status
        assert 1 == count


# --- bodies on their way up ---


async def test_a_body_goes_up_as_it_comes() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for chunk in peer.chunks():
            await peer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk.upper()))
        await peer.write(b"0\r\n\r\n")

    async with proxied(behave) as (door, _):
        client = await Client.begin(door.port, "POST /api/x", "Transfer-Encoding: chunked", "Connection: close")
        for word in (b"one", b"two"):
            await client.send(b"3\r\n" + word + b"\r\n")
            async with asyncio.timeout(20):
                await client.reader.readuntil(word.upper())
        await client.send(b"0\r\n\r\n")

        assert (await client.rest()).endswith(b"0\r\n\r\n")
        await client.close()


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_is_too_long_is_a_413_and_breaks_the_request_to_the_upstream(framing: str) -> None:
    seen: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.head()
        seen.append(await peer.reader.read())

    async with proxied(behave, attributes={"max_body": 100_000}) as (door, _):
        if framing == "length":
            answer = await door.ask("POST", "/api/x", body=100_001 * b"x")
        else:
            client = await Client.begin(door.port, "POST /api/x", "Transfer-Encoding: chunked", "Connection: close")
            await client.send(b"ffff\r\n" + 0xFFFF * b"x" + b"\r\n", b"ffff\r\n")
            answer = parse(await client.rest())
            await client.close()

        assert 413 == answer.status
        await until(lambda: framing == "length" or seen)
        assert not any(one.endswith(b"0\r\n\r\n") for one in seen)
        if framing == "chunked":
            assert "FAILURE" not in circuit(door).measures.events.ever


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_a_broken_request() -> None:
    seen: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.head()
        try:
            while piece := await peer.reader.read(1000):
                seen.append(piece)
        except ConnectionError:
            pass
        seen.append(b"gone")

    async with proxied(behave) as (door, _):
        client = await Client.begin(door.port, "POST /api/x", "Transfer-Encoding: chunked")
        await client.send(b"3\r\nabc\r\n")
        await until(lambda: b"abc" in b"".join(seen))
        await client.close()
        await until(lambda: seen[-1] == b"gone")

        assert b"3\r\nabc\r\ngone" == b"".join(seen)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_ends_the_request_to_the_upstream(method: str) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        head = await peer.head()
        await peer.body(head)
        asked.set()
        assert await peer.gone()
        gone.set()

    async with proxied(behave) as (door, _):
        client = await Client.begin(door.port, f"{method} /api/x", "Content-Length: 3")
        await client.send(b"abc")
        async with asyncio.timeout(20):
            await asked.wait()
            await client.close()
            await gone.wait()


async def test_a_client_that_leaves_in_the_middle_of_an_answer_ends_it() -> None:
    gone = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert await peer.gone()
        gone.set()

    async with proxied(behave) as (door, _):
        client = await Client.begin(door.port, "GET /api/x")
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"abc")
            await client.close()
            await gone.wait()


async def test_a_client_that_asks_first_is_answered_by_the_upstream() -> None:
    async def behave(peer: Peer) -> None:
        head = await peer.head()
        assert "Expect: 100-continue" in head
        await peer.write(b"HTTP/1.1 417 No Way\r\nContent-Length: 0\r\n\r\n")

    async with proxied(behave) as (door, _):
        client = await Client.begin(
            door.port, "POST /api/x", "Content-Length: 200000", "Expect: 100-continue", "Connection: close"
        )
        assert b"HTTP/1.1 417 No Way" == (await client.rest())[:19]
        await client.close()


async def test_short_bodies_are_bytes_and_long_ones_iterators() -> None:
    seen: list[str] = []

    def before_request(self: Any) -> None:
        seen.append(type(self.request["data"]).__name__)
        self.request["url"] = url

    attributes = {"before_request": before_request}
    for stream, expected in ((None, "bytes IncomingBody"), (True, "IncomingBody IncomingBody"), (False, "bytes bytes")):
        seen.clear()
        async with proxied(attributes={**attributes, "stream": stream}) as (door, upstream):
            url = upstream.url
            await door.ask("POST", "/api/x", body=b"abc")
            await door.ask("POST", "/api/x", body=BIG * b"x")
            assert [b"abc", BIG * b"x"] == upstream.bodies
        assert expected == " ".join(seen)


# --- where it does not go ---


@pytest.mark.parametrize(
    "target",
    ["//evil.example/x", "/api//evil.example", "/api/../secret", "/api/%2e%2e/secret", "/api/a%2fb", "/api/a\\b"],
)
async def test_paths_that_two_programs_may_read_differently_do_not_get_through(target: str) -> None:
    async with proxied() as (door, upstream):
        answer = await door.ask("GET", target)

        assert answer.status in (400, 404)
        assert 0 == upstream.connections


@pytest.mark.parametrize("trick", ["/api.evil.example/x", "/api@evil.example/x", "/api:80@evil.example/x"])
async def test_a_path_cannot_change_the_host(trick: str) -> None:
    """The hook of blackgate's own document takes ``/api`` out wherever it stands, which leaves a text without a slash."""

    def before_request(self: Any) -> None:
        self.request["url"] = f"http://127.0.0.1{self.request['path'].replace('/api', '')}"

    async with proxied(attributes={"before_request": before_request}) as (door, _):
        answer = await door.ask("GET", f"/api{trick}")

        assert (403, "PROXY_REFUSED") == (answer.status, answer.type)
        assert "BAD_REQUEST" in circuit(door).measures.events.ever


async def test_a_websocket_is_not_passed_on() -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with proxied() as (door, upstream):
        answer = await door.ask("GET", "/api/x", headers=headers)
        elsewhere = await door.ask("GET", "/other", headers=headers)

        assert (501, "NOT_IMPLEMENTED") == (answer.status, answer.type)
        assert (400, "UPGRADE_REFUSED") == (elsewhere.status, elsewhere.type)
        assert 0 == upstream.connections


# --- the route around it ---


async def test_guards_stand_before_the_upstream() -> None:
    async def nobody(ctx: Any, route: Any, request: Any) -> None:
        raise errors.UnAuthorizedError("NO_TOKEN")

    async with proxied(authentication=nobody) as (door, upstream):
        assert 401 == (await door.get("/api/x")).status
        assert 0 == upstream.connections
    async with proxied(rateLimit={"limit": 1}) as (door, upstream):
        assert [200, 429] == [(await door.get("/api/x")).status for _ in range(2)]
        assert 1 == len(upstream.heads)


async def test_cors_is_the_gateways() -> None:
    raw = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nok"
    async with proxied(raw, cors={"origin": "https://a.example"}) as (door, upstream):
        answer = await door.get("/api/x", Origin="https://a.example")
        preflight = await door.ask(
            "OPTIONS", "/api/x", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
        )

        assert "https://a.example" == answer.header("access-control-allow-origin")
        assert 204 == preflight.status
        assert 1 == len(upstream.heads)


async def test_on_after_call_gets_the_reply() -> None:
    async def after(ctx: Any, route: Any, request: Any, reply: Any) -> Any:
        reply.headers.append(("X-After", "1"))
        return {"changed": True} if request.path.endswith("/y") else None

    async with proxied(onAfterCall=after) as (door, _):
        kept, changed = await door.get("/api/x"), await door.get("/api/y")

        assert (b"ok", "1") == (kept.body, kept.header("x-after"))
        assert {"changed": True} == changed.json


async def test_aliases_of_the_route_come_first() -> None:
    def own(request: Any) -> dict[str, bool]:
        return {"own": True}

    async with proxied(aliases={"GET /own": own}) as (door, upstream):
        assert {"own": True} == (await door.get("/api/own")).json
        assert b"ok" == (await door.get("/api/")).body
        assert "GET / HTTP/1.1" == upstream.heads[0].split("\r\n")[0]


async def test_stopping_closes_the_connections() -> None:
    ended = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(OK)
        assert await peer.gone()
        ended.set()

    async with proxied(behave) as (door, _):
        assert 200 == (await door.get("/api/x")).status
    async with asyncio.timeout(5):
        await ended.wait()


# --- settings ---


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ({"proxy": 5}, "proxy is a subclass of HTTPProxyCommand"),
        ({"proxxy": 5}, "did you mean 'proxy'"),
    ],
)
async def test_what_is_no_proxy_is_told(route: dict[str, Any], fault: str) -> None:
    from tests.web.door import open_door

    with pytest.raises(errors.ServiceSchemaError, match=fault):
        await open_door(routes=[{"path": "/api", **route}])


async def test_faults_of_a_proxy_are_told() -> None:
    from tautomer.web.settings.loading import read_settings
    from tests.web.proxying import proxy_to

    proxy = proxy_to("http://x", allowed_hosts=("http://intra",))

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    route = {"path": "/api", "proxy": proxy, "app": app, "mappingPolicy": "all"}
    with pytest.raises(errors.ServiceSchemaError) as raised:
        read_settings({"routes": [route]}, {})

    text = str(raised.value)
    assert "both want all below the path" in text
    assert "leaves nothing to mappingPolicy 'all'" in text
    assert "allowed_hosts holds 'http://intra'" in text


async def test_a_proxy_without_allowed_hosts_is_doubtful() -> None:
    from tautomer.web.settings.loading import read_settings
    from tests.web.proxying import proxy_to

    _, warnings = read_settings({"routes": [{"path": "/api", "proxy": proxy_to("http://x", allowed_hosts=None)}]}, {})

    assert any("has no allowed_hosts" in one for one in warnings)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
