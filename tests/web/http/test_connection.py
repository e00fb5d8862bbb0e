"""What happens on one connection: order, keep-alive, bodies, HEAD, disconnects."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tautomer.web.http.refusal import NO_UPGRADE
from tautomer.web.messages.limits import BodyPlan
from tautomer.web.messages.message import Reply, Request
from tautomer.web.websocket.frames import TEXT
from tautomer.web.websocket.handshake import Agreement
from tautomer.web.websocket.line import Line, LineLimits, OutgoingText, Takeover
from tests.web.websocket.masking import client_frame

from .conftest import Dial, Serve, echo, until
from .wire import get, post


async def test_pipelined_requests_are_answered_in_their_order(serve: Serve, dial: Dial) -> None:
    """The first one takes longest."""
    order = []

    async def handle(request: Request) -> Reply:
        for _ in range(20 - int(request.path[1:])):
            await asyncio.sleep(0)
        order.append(request.path)
        return Reply(200, [], request.path.encode() + request.body)

    wire = await dial(await serve(handle))
    wire.send(b"".join(get(f"/{n}") if n % 2 else post(b"body", path=f"/{n}") for n in range(20)))

    answers = [(await wire.answer()).body for _ in range(20)]

    assert [f"/{n}{'' if n % 2 else 'body'}".encode() for n in range(20)] == answers
    assert [f"/{n}" for n in range(20)] == order


@pytest.mark.slow
async def test_thousands_of_pipelined_requests_are_all_answered(serve: Serve, dial: Dial) -> None:
    """Among them such that the server answers itself; and more than is read ahead."""
    server = await serve()
    wire = await dial(server)
    sent = [get(f"/{n}") if n % 3 else get("/%2e") for n in range(5000)]
    wire.send(b"".join(sent))

    statuses = [(await wire.answer()).status for _ in range(5000)]

    assert [200 if n % 3 else 400 for n in range(5000)] == statuses
    assert 5000 == server.statistics()["requests_total"]


async def test_what_is_read_ahead_is_bounded(serve: Serve, dial: Dial) -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> Reply:
        await go_on.wait()
        return Reply(200)

    server = await serve(handle, read_ahead_bytes=1000)
    wire = await dial(server)
    wire.send(get("/") * 200_000)
    (connection,) = server._state.connections
    await until(lambda: bool(connection._reading_paused))

    assert len(connection._part) < 1_000_000
    wire.writer.transport.abort()
    go_on.set()


async def test_a_reply_leaves_in_one_piece(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(200, [("Content-Type", "application/json; charset=utf-8")], b'{"a":1}')

    wire = await dial(await serve(handle, wall_ms=lambda: 784_111_777_000))
    wire.send(get())
    await asyncio.sleep(0)

    raw = await wire.reader.read(65536)

    assert (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b'Content-Type: application/json; charset=utf-8\r\nContent-Length: 7\r\n\r\n{"a":1}'
    ) == raw


async def test_connection_close_is_obeyed(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/1", "Connection: foo, Close") + get("/2"))

    answer = await wire.answer()

    assert (200, True) == (answer.status, answer.closes)
    assert b"" == await wire.rest()


async def test_http_1_0_is_closed_after_its_reply(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/1", version="1.0"))

    answer = await wire.answer()

    assert (200, True) == (answer.status, answer.closes)
    assert b"" == await wire.rest()


async def test_http_1_0_needs_no_host(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(b"GET / HTTP/1.0\r\n\r\n")

    assert 200 == (await wire.answer()).status


async def test_http_1_0_keeps_the_connection_that_asks_for_it(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    for n in range(3):
        wire.send(get(f"/{n}", "Connection: Keep-Alive", version="1.0"))

        answer = await wire.answer()

        assert (200, "keep-alive", f"GET /{n}? ") == (
            answer.status,
            answer.headers["connection"],
            answer.body.decode(),
        )


async def test_the_last_request_of_a_connection_says_so(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(keep_alive_requests_max=2))
    wire.send(get("/1") + get("/2") + get("/3"))

    assert [False, True] == [(await wire.answer()).closes for _ in range(2)]
    assert b"" == await wire.rest()


async def test_blank_lines_before_a_request_are_skipped(serve: Serve, dial: Dial) -> None:
    """Even where one comes in two pieces."""
    server = await serve()
    wire = await dial(server)
    wire.send(b"\r\n\r\n\r\n" + get("/1") + b"\r\n")
    assert b"GET /1? " == (await wire.answer()).body
    wire.send(b"\r")
    await until(lambda: b"\r" == next(iter(server._state.connections))._part)
    wire.send(b"\n" + get("/2"))

    assert b"GET /2? " == (await wire.answer()).body


async def test_head_has_the_length_and_no_body(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/a", method="HEAD") + get("/a"))

    head, whole = await wire.answer("HEAD"), await wire.answer()

    assert str(len(b"HEAD /a? ")) == head.headers["content-length"]
    assert b"GET /a? " == whole.body


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_body_has_neither_body_nor_length(serve: Serve, dial: Dial, status: int) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(status, [("ETag", '"a"')], b"never sent")

    wire = await dial(await serve(handle))
    wire.send(get() + get())

    for _ in range(2):
        answer = await wire.answer()
        assert status == answer.status
        assert not {"content-length", "transfer-encoding"} & set(answer.headers)


async def test_205_says_that_it_is_empty(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(205, [], b"never sent")

    wire = await dial(await serve(handle))
    wire.send(get())

    answer = await wire.answer()

    assert ("0", b"") == (answer.headers["content-length"], answer.body)


@pytest.mark.parametrize("pieces", [1, 7, 64, 100_000])
async def test_a_body_comes_in_any_pieces(serve: Serve, dial: Dial, pieces: int) -> None:
    wire = await dial(await serve())
    body = bytes(range(256)) * 8
    chunks = b"".join(b"%X;a=b\r\n%b\r\n" % (len(part), part) for part in (body[:1], body[1:700], body[700:]))
    data = (
        post(body)
        + get("/chunked", "Transfer-Encoding: Chunked", method="PUT")
        + chunks
        + b"000\r\nTrailer: x\r\n\r\n"
        + get("/after")
    )
    for start in range(0, len(data), pieces):
        wire.send(data[start : start + pieces])
        if pieces > 1:
            await asyncio.sleep(0)

    assert b"POST /? " + body == (await wire.answer()).body
    assert b"PUT /chunked? " + body == (await wire.answer()).body
    assert b"GET /after? " == (await wire.answer()).body


async def test_a_body_of_length_0_is_none(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(post(b"") + get("/2"))

    assert b"POST /? " == (await wire.answer()).body
    assert b"GET /2? " == (await wire.answer()).body


async def test_a_get_may_have_a_body(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/", "Content-Length: 5") + b"hello" + get("/2"))

    assert b"GET /? hello" == (await wire.answer()).body
    assert b"GET /2? " == (await wire.answer()).body


async def test_who_expects_100_is_told_to_continue(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/", "Expect: 100-Continue", "Content-Length: 5", method="POST"))

    assert 100 == (await wire.answer()).status
    wire.send(b"hello")
    assert b"POST /? hello" == (await wire.answer()).body


@pytest.mark.parametrize(
    "data",
    [
        get("/", "Expect: 100-continue", "Content-Length: 5", method="POST") + b"hello",
        get("/", "Expect: 100-continue", "Content-Length: 5", method="POST", version="1.0") + b"hello",
        get("/", "Expect: whatever", "Content-Length: 5", method="POST", version="1.0") + b"hello",
    ],
    ids=["body is there", "1.0", "1.0, unknown"],
)
async def test_who_need_not_wait_is_told_nothing(serve: Serve, dial: Dial, data: bytes) -> None:
    wire = await dial(await serve())
    wire.send(data)

    assert b"POST /? hello" == (await wire.answer()).body


async def test_an_expectation_without_body_is_met(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/", "Expect: 100-continue"))

    assert 200 == (await wire.answer()).status


@pytest.mark.parametrize("error", [KeyError("secret"), SystemExit(3), KeyboardInterrupt("secret")])
async def test_a_handler_that_raises_is_a_500_and_no_more(
    serve: Serve, dial: Dial, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(request: Request) -> Reply:
        if request.path == "/bad":
            raise error
        return Reply(200)

    wire = await dial(await serve(handle))
    wire.send(get("/bad") + get("/good"))

    answer = await wire.answer()

    assert (500, "INTERNAL_ERROR", False) == (answer.status, answer.type, answer.closes)
    assert b"secret" not in answer.body
    assert 200 == (await wire.answer()).status
    assert ["request failed"] == [record.message for record in caplog.records if record.name == "tautomer.web"]


@pytest.mark.parametrize("reply", [None, Reply(99), Reply(1000), Reply(101), Reply(200, [], "text"), Reply("200")])  # type: ignore[arg-type]
async def test_what_is_no_reply_is_a_500(serve: Serve, dial: Dial, reply: Reply) -> None:
    async def handle(request: Request) -> Reply:
        return reply

    wire = await dial(await serve(handle))
    wire.send(get())

    answer = await wire.answer()

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)


async def test_a_reply_that_is_there_at_once_needs_no_task(serve: Serve, dial: Dial) -> None:
    """What raises there, or is no reply, is a 500 as ever."""

    def at_once(request: Request) -> Reply | None:
        if request.path == "/raises":
            raise KeyError("secret")
        return {
            "/now": Reply(404, [], b"now"),
            "/status": Reply(99),
            "/text": Reply(200, [], "text"),  # type: ignore[arg-type]  # That is the point.
        }.get(request.path)

    paths = ["/now", "/later", "/status", "/text", "/raises", "/later", "/now"]
    wire = await dial(await serve(at_once=at_once))
    wire.send(b"".join(map(get, paths)))

    answers = [await wire.answer() for _ in paths]

    assert [404, 200, 500, 500, 500, 200, 404] == [answer.status for answer in answers]
    assert [b"now", b"GET /later? "] == [answer.body for answer in answers[:2]]
    wire.send(get("/now"))
    assert b"now" == (await wire.answer()).body


@pytest.mark.slow
async def test_thousands_of_replies_that_are_there_at_once_are_all_sent(serve: Serve, dial: Dial) -> None:
    server = await serve(at_once=lambda request: Reply(200, [], request.path.encode()))
    wire = await dial(server)
    wire.send(b"".join(get(f"/{n}") for n in range(5000)))

    assert [f"/{n}".encode() for n in range(5000)] == [(await wire.answer()).body for _ in range(5000)]


async def test_a_client_that_leaves_cancels_its_get(serve: Serve, dial: Dial) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Reply:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Reply(200)

    server = await serve(handle)
    wire = await dial(server)
    wire.send(get())
    await started.wait()
    await wire.close()

    async with asyncio.timeout(5):
        await cancelled.wait()
    await until(lambda: 0 == server.statistics()["requests_running"])
    assert 0 == server.statistics()["connections"]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_post_finishes_though_its_client_left(serve: Serve, dial: Dial, how: str) -> None:
    started, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Reply:
        started.set()
        await go_on.wait()
        finished.set()
        return Reply(200)

    server = await serve(handle)
    wire = await dial(server)
    wire.send(post(b"hello"))
    await started.wait()
    if how == "close":
        await wire.close()
    else:
        wire.reset()
        await until(lambda: 0 == server.statistics()["connections"])
    go_on.set()

    async with asyncio.timeout(5):
        await finished.wait()
    await until(lambda: {0} == {server.statistics()["requests_running"], server.statistics()["connections"]})


async def test_the_gateway_may_make_a_post_end_with_its_client(serve: Serve, dial: Dial) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Reply:
        request.cancellable = True
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Reply(200)

    wire = await dial(await serve(handle))
    wire.send(post(b"hello"))
    await started.wait()
    await wire.close()

    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_a_post_of_a_client_that_only_ended_its_half_is_answered(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(post(b"hello"))
    wire.writer.write_eof()

    assert b"POST /? hello" == (await wire.answer()).body
    assert b"" == await wire.rest()


async def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing(serve: Serve, dial: Dial) -> None:
    server = await serve()
    for data in (b"", b"GET / HT", get("/", "Content-Length: 5") + b"he", get("/", "Transfer-Encoding: chunked")):
        wire = await dial(server)
        wire.send(data)
        await until(lambda: 1 == server.statistics()["connections"])
        await wire.close()
        await until(lambda: 0 == server.statistics()["connections"])

    assert {} == server.statistics()["refused"]


async def test_a_413_of_the_gateway_closes(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(413)

    wire = await dial(await serve(handle))
    wire.send(post(b"hello"))

    assert (await wire.answer()).closes
    assert b"" == await wire.rest()


@pytest.mark.slow
async def test_a_big_reply_arrives_whole(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(200, [], b"0123456789" * 300_000)

    wire = await dial(await serve(handle))
    wire.send(get() + get() + get(method="HEAD"))

    for _ in range(2):
        assert b"0123456789" * 300_000 == (await wire.answer()).body
    assert "3000000" == (await wire.answer("HEAD")).headers["content-length"]


async def test_a_client_that_reads_nothing_gets_no_further_replies(serve: Serve, dial: Dial) -> None:
    """It may send thousands of requests ahead; their replies must not pile up in memory."""
    handled = 0

    async def handle(request: Request) -> Reply:
        nonlocal handled
        handled += 1
        return Reply(200, [], b"a" * 500_000)

    wire = await dial(await serve(handle))
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # A read transport, too.
    wire.send(get() * 1000)
    await until(lambda: handled > 0)
    before = -1
    while before != handled:
        before = handled
        await asyncio.sleep(0.05)

    assert handled < 100
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(handled + 3):
        assert 500_000 == len((await wire.answer()).body)


async def test_headers_that_must_not_go_out_are_dropped_and_logged(
    serve: Serve, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(
            200,
            [
                ("X-Good", "a\tb"),
                ("X-Bad", "a\r\nX-Smuggled: b"),
                ("X-Bad", "a\nb"),
                ("X-Bad", "a\x00b"),
                ("X Bad", "a"),
                ("X-Bad:", "a"),
                ("X-Bad\r\nX-Smuggled", "a"),
                ("", "a"),
                ("Transfer-Encoding", "chunked"),
                ("content-length", "1000"),
                ("Connection", "keep-alive"),
                ("Keep-Alive", "timeout=5"),
                ("Upgrade", "h2c"),
                ("Date", "yesterday"),
                ("X-Text", "é☃ 100%"),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
            ],
            b"body",
        )

    wire = await dial(await serve(handle))
    with caplog.at_level(logging.WARNING, "tautomer.web"):
        wire.send(get())
        answer = await wire.answer()

    assert {
        "date": answer.headers["date"],
        "x-good": "a\tb",
        "x-text": "%C3%A9%E2%98%83 100%",
        "set-cookie": "a=1, b=2",
        "content-length": "4",
    } == answer.headers
    assert answer.headers["date"].endswith(" GMT")
    assert 12 == len(caplog.records)


async def test_a_reason_of_its_own_is_sent_if_it_can_be(serve: Serve, dial: Dial) -> None:
    reasons = iter(["Just Fine", "a\r\nX: b", "é", None])

    async def handle(request: Request) -> Reply:
        return Reply(200, [], b"", next(reasons))

    wire = await dial(await serve(handle))
    wire.send(get() * 4)

    assert ["Just Fine", "OK", "OK", "OK"] == [(await wire.answer()).reason for _ in range(4)]


async def test_a_status_without_a_name_is_sent(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(299)

    wire = await dial(await serve(handle))
    wire.send(get())

    assert (299, "") == ((answer := await wire.answer()).status, answer.reason)


async def test_the_gateway_sees_the_peer(serve: Serve, dial: Dial) -> None:
    async def handle(request: Request) -> Reply:
        return Reply(200, [], f"{request.client} {request.scheme} {request.http_version}".encode())

    wire = await dial(await serve(handle))
    wire.send(get("/", "X-Forwarded-For: 1.2.3.4"))

    assert b"127.0.0.1 http 1.1" == (await wire.answer()).body


async def test_a_request_may_have_a_body_limit_of_its_own(serve: Serve, dial: Dial) -> None:
    server = await serve(body_plan=lambda request: BodyPlan(20 if request.path == "/big" else 3))
    wire = await dial(server)
    wire.send(post(b"0123456789", path="/big") + post(b"0123456789", path="/small"))

    assert 200 == (await wire.answer()).status
    assert 413 == (await wire.answer()).status


class Shout:
    """A session that says everything louder."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def opened(self, line: Line) -> None:
        self.line = line

    def on_text(self, message: bytes, alone: bool = False) -> None:
        self.line.send(OutgoingText(message.upper()))

    def on_binary(self, message: bytes) -> None:
        raise AssertionError(message)

    def look(self, now: float) -> None:
        pass

    def retire(self) -> None:
        self.line.close(1001)

    def closed(self, code: int) -> None:
        self.over.set()


async def test_an_upgraded_connection_belongs_to_its_protocol(serve: Serve, dial: Dial) -> None:
    shout = Shout()

    async def handle(request: Request) -> Reply:
        if request.path == "/chat":
            return Takeover.of(Agreement(None, (("X-Own", "1"),)), LineLimits(), lambda: shout)
        return await echo(request)

    server = await serve(handle, on_upgrade=lambda request: None, keep_alive_idle=0.05)
    wire = await dial(server)
    upgrade = ["Connection: Upgrade", "Upgrade: WebSocket"]
    wire.send(get("/other", *upgrade) + get("/chat", *upgrade) + client_frame(TEXT, b"first"))

    assert b"GET /other? " == (await wire.answer()).body
    head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nDate: ")
    assert b"\r\nX-Own: 1\r\n" in head
    assert b"\x81\x05FIRST" == await wire.reader.readexactly(7)
    await asyncio.sleep(0.15)  # Longer than an idle connection of ours may last.
    wire.send(client_frame(TEXT, b"second"))
    assert b"\x81\x06SECOND" == await wire.reader.readexactly(8)
    await wire.close()
    async with asyncio.timeout(5):
        await shout.over.wait()
    assert 0 == server.statistics()["connections"]


async def test_an_upgrade_where_none_is_taken_is_refused(serve: Serve, dial: Dial) -> None:
    server = await serve(on_upgrade=lambda request: NO_UPGRADE)
    wire = await dial(server)

    wire.send(get("/never", "Connection: Upgrade", "Upgrade: WebSocket"))

    assert "UPGRADE_REFUSED" == (await wire.answer()).type
