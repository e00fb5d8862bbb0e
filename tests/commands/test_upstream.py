"""The upstream client against servers that do what they should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tautomer.commands.upstream.answer import Answer
from tautomer.commands.upstream.client import UpstreamClient
from tautomer.commands.upstream.destination import AllowedHosts, destination
from tautomer.commands.upstream.errors import UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from tautomer.commands.upstream.question import Question

from .raw_server import Peer, RawServer, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(AllowedHosts(None), **{"connect_time": 5.0, **options})
    try:
        yield made
    finally:
        await made.close()


def question(server: RawServer, method: str = "GET", path: str = "/x", **more: Any) -> Question:
    return Question(method, destination(server.url + path), more.pop("headers", ()), **more)


async def whole(answer: Answer) -> bytes:
    async with asyncio.timeout(30):
        found = await answer.body.whole(0)
    assert found is not None
    return found


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_question_goes_out_byte_for_byte() -> None:
    async with raw_server(OK) as server, client() as asking:
        headers = [("X-B", "2"), ("x-a", "1"), ("X-B", "caf\xe9\tau lait")]
        answer = await asking.ask(question(server, "POST", "/a%2Fb?q=[1]&q=%20", headers=headers, body=b"abc"))

        assert b"ok" == await whole(answer)
        expected = (
            f"POST /a%2Fb?q=[1]&q=%20 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            "X-B: 2\r\nx-a: 1\r\nX-B: caf\xe9\tau lait\r\nContent-Length: 3"
        )
        assert [expected] == server.heads
        assert [b"abc"] == server.bodies


async def test_an_answer_comes_in_as_it_was_sent() -> None:
    raw = b"HTTP/1.1 203 So So\r\nb: 1\r\nSet-Cookie: a=1\r\nB: \xe9\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(raw) as server, client() as asking:
        answer = await asking.ask(question(server))

        assert (203, "So So") == (answer.status, answer.reason)
        lines = [("b", "1"), ("Set-Cookie", "a=1"), ("B", "\xe9"), ("set-cookie", "b=2"), ("Content-Length", "0")]
        assert lines == answer.headers
        assert b"" == await whole(answer)


async def test_a_connection_is_used_again_when_all_has_come() -> None:
    async with raw_server(OK) as server, client() as asking:
        for _ in range(5):
            assert b"ok" == await whole(await asking.ask(question(server)))

        assert 1 == server.connections
        assert {"open": 1, "idle": 1, "waiting": 0} == asking.pool.statistics()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        OK + b"\r\n\r\ngarbage",
    ],
    ids=["says close", "HTTP/1.0", "one answer more", "garbage behind it"],
)
async def test_a_connection_is_not_used_again_if_it_is_to_be_closed_or_more_came_than_was_asked_for(
    answer: bytes,
) -> None:
    """What came too much would be taken for the answer to the next question, maybe somebody else's."""
    async with raw_server(answer) as server, client() as asking:
        for _ in range(3):
            assert b"ok" == await whole(await asking.ask(question(server)))

        assert 3 == server.connections


async def test_what_comes_unasked_on_an_idle_connection_ends_it() -> None:
    unasked = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(OK)
        await unasked.wait()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        assert await peer.gone()

    async with raw_server(behave) as server, client() as asking:
        assert b"ok" == await whole(await asking.ask(question(server)))
        unasked.set()
        async with asyncio.timeout(10):
            while asking.pool.statistics()["open"]:
                await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + 100_000 * b"x",
        b"HTTP/1.1 200 OK\r\n" + 100_000 * b"A: b\r\n",
    ],
    ids=[
        "two lengths",
        "a list of lengths",
        "length and chunks",
        "unasked transfer coding",
        "folded line",
        "bare line ends",
        "NUL",
        "another protocol",
        "status 999",
        "no HTTP",
        "endless header",
        "endless headers",
    ],
)
async def test_an_answer_that_is_not_sound_is_an_error(raw: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(raw)
        await peer.gone()

    async with raw_server(behave) as server, client() as asking:
        with pytest.raises(UpstreamError) as raised:
            await asking.ask(question(server))

        assert 502 == raised.value.code
        assert 0 == asking.pool.statistics()["open"] or await _gone(asking)


async def _gone(asking: UpstreamClient) -> bool:
    async with asyncio.timeout(10):
        while asking.pool.statistics()["open"]:
            await asyncio.sleep(0.001)
    return True


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfXX",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n2;" + 100_000 * b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n" + 20_000 * b"T: r\r\n",
    ],
    ids=["length", "chunks", "last chunk without its end", "bad chunk", "endless extension", "endless trailers"],
)
async def test_a_body_that_breaks_off_is_an_error_and_not_a_short_body(raw: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(raw)
        peer.close()

    async with raw_server(behave) as server, client() as asking:
        with pytest.raises(UpstreamError):
            await whole(await asking.ask(question(server)))


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\n", b"until ", b"the end")
        peer.close()

    async with raw_server(behave) as server, client() as asking:
        assert b"until the end" == await whole(await asking.ask(question(server)))


async def test_but_not_with_a_reset() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil")
        await first.wait()
        import socket
        import struct

        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.reset()

    first = asyncio.Event()
    async with raw_server(behave) as server, client() as asking:
        answer = await asking.ask(question(server))
        assert b"until" == await anext(answer.body)
        first.set()

        with pytest.raises(UpstreamError):
            await anext(answer.body)


@pytest.mark.parametrize(
    ("method", "raw", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 1000),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", None),
    ],
)
async def test_answers_without_a_body_keep_the_connection(method: str, raw: bytes, length: int | None) -> None:
    async with raw_server(raw) as server, client() as asking:
        for _ in range(2):
            answer = await asking.ask(question(server, method))
            assert b"" == await whole(answer)
            assert length == answer.body.length

        assert 1 == server.connections


async def test_trailers_and_words_in_between_are_passed_over() -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    async with raw_server(raw) as server, client() as asking:
        for _ in range(2):
            answer = await asking.ask(question(server))
            assert b"abc" == await whole(answer)
            assert [("Transfer-Encoding", "chunked")] == answer.headers
        assert 1 == server.connections


async def test_question_and_answer_flow_at_the_same_time() -> None:
    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for chunk in peer.chunks():
            await peer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk.upper()))
        await peer.write(b"0\r\n\r\n")

    heard = asyncio.Queue[bytes]()

    async def body() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two", b"three"):
            yield piece
            assert piece.upper() == await heard.get()  # It comes back before the next one is sent.

    async with raw_server(echo) as server, client() as asking:
        answer = await asking.ask(question(server, "POST", body=body()))
        async with asyncio.timeout(20):
            async for piece in answer.body:
                heard.put_nowait(piece)
        assert {"open": 1, "idle": 1, "waiting": 0} == asking.pool.statistics()


async def test_an_answer_before_the_end_of_the_question_is_heard_at_once() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await peer.gone()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield 1000 * b"x"
            await asyncio.sleep(0)

    async with raw_server(behave) as server, client() as asking:
        async with asyncio.timeout(20):
            answer = await asking.ask(question(server, "POST", body=endless()))
            assert (413, b"big") == (answer.status, await whole(answer))
        assert await _gone(asking)


@pytest.mark.parametrize(("length", "said"), [(None, "chunked"), (6, "length: 6")])
async def test_a_body_in_pieces_is_framed_by_its_length_or_by_chunks(length: int | None, said: str) -> None:
    async with raw_server(OK) as server, client() as asking:
        asked = question(server, "PUT", body=pieces(b"abc", b"def"), length=length)
        assert b"ok" == await whole(await asking.ask(asked))

        assert said in server.heads[0].lower()
        assert [b"abcdef"] == server.bodies


@pytest.mark.parametrize("parts", [(b"abc",), (b"abc", b"defg")], ids=["shorter", "longer"])
async def test_a_body_that_is_not_as_long_as_it_said_breaks_the_connection(parts: tuple[bytes, ...]) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        assert await peer.gone()

    async with raw_server(behave) as server, client() as asking:
        with pytest.raises(UpstreamError, match="than it said"):
            await asking.ask(question(server, "PUT", body=pieces(*parts), length=6))


async def test_a_body_that_fails_breaks_the_question_off_with_its_own_error() -> None:
    seen: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.head()
        seen.append(await peer.reader.read())

    async def failing() -> AsyncIterator[bytes]:
        yield b"abc"
        raise KeyError("gone")

    async with raw_server(behave) as server, client() as asking:
        with pytest.raises(KeyError):
            await asking.ask(question(server, "PUT", body=failing()))
        assert await _gone(asking)
    assert not any(one.endswith(b"0\r\n\r\n") for one in seen)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_the_server_is_asked_before_a_body_is_sent(goes_on: bool) -> None:
    async def behave(peer: Peer) -> None:
        head = await peer.head()
        assert "\r\nExpect: 100-continue" in head
        if goes_on:
            await peer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert b"abc" == await peer.body(head)
            await peer.write(OK)
        else:
            await peer.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            assert b"" == await peer.reader.read()

    async with raw_server(behave) as server, client() as asking:
        asked = question(server, "POST", body=pieces(b"abc"), length=3, asks_first=True)
        answer = await asking.ask(asked)

        assert (200 if goes_on else 417) == answer.status
        await whole(answer)


async def test_a_server_that_does_not_know_the_question_gets_the_body_after_a_second() -> None:
    async with raw_server(OK) as server, client() as asking:
        asked = question(server, "POST", body=pieces(b"abc"), length=3, asks_first=True)
        assert b"ok" == await whole(await asking.ask(asked))
        assert [b"abc"] == server.bodies


async def test_who_does_not_listen_is_found_out_in_time() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        assert await peer.gone()

    async with raw_server(behave) as server, client(answer_time=0.05) as asking:
        with pytest.raises(UpstreamTimeoutError) as raised:
            await asking.ask(question(server))
        assert 504 == raised.value.code


async def test_the_time_for_an_answer_begins_when_the_question_is_out() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"
            await asyncio.sleep(0.05)

    async with raw_server(OK) as server, client(answer_time=0.15) as asking:
        assert b"ok" == await whole(await asking.ask(question(server, "POST", body=slowly())))


async def test_a_body_that_stands_still_is_an_error() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        assert await peer.gone()

    async with raw_server(behave) as server, client(idle_time=0.05) as asking:
        answer = await asking.ask(question(server))
        with pytest.raises(UpstreamTimeoutError, match="stood still"):
            await whole(answer)


async def test_who_takes_nothing_of_a_body_is_found_out() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await stop.wait()

    stop = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield 100_000 * b"x"

    async with raw_server(behave) as server, client(idle_time=0.2) as asking:
        with pytest.raises(UpstreamTimeoutError, match="took nothing"):
            await asking.ask(question(server, "POST", body=endless()))
        stop.set()


async def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """The server's FIN may be on its way while the next question is sent: it surely has not been read."""
    count = 0

    async def behave(peer: Peer) -> None:
        nonlocal count
        count += 1
        await peer.head()
        await peer.write(OK)
        await peer.head()
        if count == 1:
            peer.close()
            return
        await peer.write(OK)

    async with raw_server(behave) as server, client() as asking:
        await whole(await asking.ask(question(server)))
        assert b"ok" == await whole(await asking.ask(question(server)))
        assert 2 == server.connections


async def test_but_a_post_is_not_sent_twice() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(OK)
        await peer.head()
        peer.close()

    async with raw_server(behave) as server, client() as asking:
        await whole(await asking.ask(question(server)))
        with pytest.raises(UpstreamError):
            await asking.ask(question(server, "POST", body=b"x"))
        assert 1 == server.connections


async def test_there_are_no_more_connections_than_allowed_and_one_that_waits_gets_the_next() -> None:
    go_on = asyncio.Event()

    async def behave(peer: Peer) -> None:
        while True:
            await peer.head()
            await go_on.wait()
            await peer.write(OK)

    async with raw_server(behave) as server, client(size=2) as asking:

        async def one() -> bytes:
            return await whole(await asking.ask(question(server)))

        asked = [asyncio.create_task(one()) for _ in range(4)]
        async with asyncio.timeout(10):
            while asking.pool.statistics()["waiting"] < 2:
                await asyncio.sleep(0.001)
        with pytest.raises(UpstreamBusyError) as raised:
            await asking.ask(question(server))
        asked[2].cancel()  # Who gives up leaves the line.
        go_on.set()
        done = await asyncio.gather(*asked, return_exceptions=True)

        assert 503 == raised.value.code
        assert [b"ok", b"ok", b"ok"] == [one for one in done if isinstance(one, bytes)]
        assert 2 == server.connections


async def test_who_waits_too_long_for_a_connection_is_told() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.gone()

    async with raw_server(behave) as server, client(size=1, connect_time=0.1) as asking:
        first = asyncio.create_task(asking.ask(question(server)))
        async with asyncio.timeout(10):
            while not asking.pool.statistics()["open"]:
                await asyncio.sleep(0.001)
        with pytest.raises(UpstreamBusyError):
            await asking.ask(question(server))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await _gone(asking)


async def test_nobody_there_is_an_error_that_surely_reached_nobody() -> None:
    async with raw_server(OK) as server:
        url = server.url
    async with client() as asking:
        with pytest.raises(UpstreamError) as raised:
            await asking.ask(Question("GET", destination(url), ()))
        assert raised.value.repeatable
        with pytest.raises(UpstreamError, match="resolved"):
            await asking.ask(Question("GET", destination("http://no-such-host.invalid/"), ()))


async def test_a_name_that_leads_to_a_forbidden_address_is_not_connected_to() -> None:
    from tautomer.commands.upstream.errors import ProxyRefusedError

    async with raw_server(OK) as server:
        asking = UpstreamClient(AllowedHosts(["localhost", "192.0.2.0/24"]))
        with pytest.raises(ProxyRefusedError, match="none of the networks"):
            await asking.ask(Question("GET", destination(f"http://localhost:{server.port}/"), ()))
        await asking.close()
        assert 0 == server.connections


async def test_a_reader_that_is_behind_holds_the_server_back() -> None:
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            await peer.write(100_000 * b"x")
            sent += 100_000

    async with raw_server(behave) as server, client() as asking:
        answer = await asking.ask(question(server))
        before = -1
        async with asyncio.timeout(20):
            while sent != before:  # Until it stands still.
                before = sent
                await asyncio.sleep(0.1)
        assert sent < 20_000_000
        await answer.body.aclose()
        assert await _gone(asking)


async def test_closing_breaks_off_what_is_under_way() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        assert await peer.gone()

    async with raw_server(behave) as server:
        async with client() as asking:
            task = asyncio.create_task(asking.ask(question(server)))
            async with asyncio.timeout(10):
                while not asking.pool.statistics()["open"]:
                    await asyncio.sleep(0.001)
        with pytest.raises(UpstreamError):
            await task


async def test_tls_is_spoken_and_the_name_is_checked() -> None:
    import ssl

    import trustme

    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async with raw_server(OK, served) as server, client(tls=trusting) as asking, client() as doubting:
        for _ in range(2):
            answer = await asking.ask(Question("GET", destination(f"https://localhost:{server.port}/"), ()))
            assert b"ok" == await whole(answer)
        for wrong, host in ((asking, "127.0.0.1"), (doubting, "localhost")):
            with pytest.raises(UpstreamError, match="no connection"):
                await wrong.ask(Question("GET", destination(f"https://{host}:{server.port}/"), ()))


async def test_an_answer_that_nobody_takes_does_not_hold_its_connection() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        assert await peer.gone()

    async with raw_server(behave) as server, client(idle_time=0.05) as asking:
        await asking.ask(question(server))

        assert await _gone(asking)


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    from tautomer.commands.upstream import pool

    monkeypatch.setattr(pool, "IDLE_TIME", 0.01)
    async with raw_server(OK) as server, client() as asking:
        await whole(await asking.ask(question(server)))

        assert await _gone(asking)
        assert {} == asking.pool._origins


async def test_who_gives_up_just_when_the_answer_is_there_leaves_the_connection_to_the_next() -> None:
    """The next one may have it already when the first learns that it was cancelled."""
    async with raw_server(OK) as server, client() as asking:
        await whole(await asking.ask(question(server)))
        connection = asking.pool._origins[("http", "127.0.0.1", server.port)].idle[0]

        first = asyncio.create_task(asking.ask(question(server)))
        second: list[asyncio.Task[Answer]] = []
        received = connection.data_received

        def data_received(data: bytes) -> None:
            connection.data_received = received  # type: ignore[method-assign]  # For this once only.
            second.append(asyncio.create_task(asking.ask(question(server))))  # Its turn comes before the first's.
            received(data)
            first.cancel()

        connection.data_received = data_received  # type: ignore[method-assign]  # As above.
        with pytest.raises(asyncio.CancelledError):
            await first

        assert b"ok" == await whole(await second[0])
        assert 1 == server.connections
