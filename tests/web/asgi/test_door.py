"""What a door asks of a request that another server has read: scopes by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tautomer.web.asgi.door import AsgiDoor
from tautomer.web.asgi.types import Message, Scope
from tautomer.web.messages.limits import BodyPlan, HttpLimits
from tautomer.web.messages.message import Reply, Request
from tests.web.door import Answer

HOST = (b"host", b"test")


class Asked:
    """One request to a door: what it sends is kept."""

    def __init__(self, *pieces: bytes, ends: bool = True, **scope: Any) -> None:
        self.scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [HOST],
            **scope,
        }
        self._pieces = list(pieces)
        self._ends = ends
        self.left = asyncio.Event()
        self.told: list[Message] = []
        self.blocked = asyncio.Event()
        self.blocked.set()

    async def receive(self) -> Message:
        if self._pieces or self._ends:
            piece = self._pieces.pop(0) if self._pieces else b""
            more = bool(self._pieces) or not self._ends
            if not more:
                self._ends = False
            return {"type": "http.request", "body": piece, "more_body": more}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.blocked.wait()
        self.told.append(message)

    @property
    def answer(self) -> Answer:
        head, *pieces = self.told
        assert not pieces[-1]["more_body"]
        headers = [(name.decode(), value.decode()) for name, value in head["headers"]]
        return Answer(head["status"], "", headers, b"".join(piece["body"] for piece in pieces))


async def echo(request: Request) -> Reply:
    return Reply(200, [("X-Path", request.path), ("X-Query", request.query_string)], request.raw_body)


def door(handle: Any = echo, **limits: Any) -> AsgiDoor:
    made = HttpLimits(**{"linger": 0, **limits})
    return AsgiDoor(
        handle,
        limits=made,
        clock=asyncio.get_running_loop().time,
        wall_ms=lambda: 0,
        body_plan=lambda request: BodyPlan(made.body_bytes_max),
    )


async def answer(asked: Asked, handle: Any = echo, **limits: Any) -> Answer:
    await door(handle, **limits).serve(asked.scope, asked.receive, asked.send)
    return asked.answer


LONG = [HOST, (b"content-length", b"10")]


@pytest.mark.parametrize(
    ("scope", "status", "type"),
    [
        ({"headers": []}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, HOST]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"x", b"a\r\nb: c")]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"x: y", b"a")]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"", b"a")]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"x", b"\x00")]}, 400, "BAD_REQUEST"),
        ({"headers": [*LONG, (b"transfer-encoding", b"chunked")]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"transfer-encoding", b"gzip, chunked")]}, 400, "BAD_REQUEST"),
        ({"headers": [HOST, (b"expect", b"tea")]}, 417, "EXPECTATION_FAILED"),
        ({"headers": [HOST, (b"x", b"a" * 9000)]}, 431, "HEADERS_TOO_LARGE"),
        ({"headers": [HOST] + [(b"x%d" % at, b"") for at in range(100)]}, 431, "HEADERS_TOO_LARGE"),
        ({"raw_path": b"/" + b"a" * 9000}, 414, "URI_TOO_LONG"),
        ({"raw_path": b"/\xff"}, 400, "BAD_REQUEST"),
        ({"raw_path": b"/a b"}, 400, "BAD_REQUEST"),
        ({"raw_path": b"/a/../b"}, 400, "INVALID_PATH"),
        ({"raw_path": b"x"}, 400, "INVALID_PATH"),
        ({"path": "/a\x00"}, 400, "INVALID_PATH"),
        ({"method": "GET /x"}, 400, "BAD_REQUEST"),
        ({"method": "TRACE"}, 405, "METHOD_NOT_ALLOWED"),
        ({"http_version": "2", "headers": [(b"x", b"a\nb")]}, 400, "BAD_REQUEST"),
    ],
)
async def test_what_our_own_server_refuses_is_refused_here(scope: dict[str, Any], status: int, type: str):
    seen = await answer(Asked(**scope))

    assert (status, type) == (seen.status, seen.type)


@pytest.mark.parametrize(
    ("scope", "status"),
    [({"raw_path": b"/a/../b"}, 400), ({"method": "TRACE"}, 405), ({"method": "POST", "headers": LONG}, 413)],
)
async def test_what_is_refused_has_the_id_of_its_request(scope: dict[str, Any], status: int):
    asked = Asked(**scope)
    limits = HttpLimits(linger=0, body_bytes_max=5)

    def plan(request: Request) -> BodyPlan:
        request.id = "r1"  # As the gateway does, which looks at the request for this.
        return BodyPlan(limits.body_bytes_max)

    at = AsgiDoor(
        echo,
        limits=limits,
        clock=asyncio.get_running_loop().time,
        wall_ms=int,
        body_plan=plan,
        request_id=lambda _: "r1",
    )
    await at.serve(asked.scope, asked.receive, asked.send)

    assert (status, "r1") == (asked.answer.status, asked.answer.header("x-request-id"))


async def test_a_path_and_a_query_come_as_they_were_sent():
    seen = await answer(Asked(raw_path=b"/caf%C3%A9?left=in", path="/cafe", query_string=b"a=%26&b=1"))

    assert ("/caf%C3%A9", "a=%26&b=1") == (seen.header("x-path"), seen.header("x-query"))


async def test_a_server_that_keeps_the_raw_path_to_itself_is_served_too():
    assert "/a%25 b" == (await answer(Asked(path="/a%25 b"))).header("x-path")


async def test_a_body_in_pieces_is_one_body():
    seen = await answer(Asked(b"ab", b"", b"cd", method="POST", headers=[HOST, (b"transfer-encoding", b"chunked")]))

    assert b"abcd" == seen.body


async def test_in_http_2_a_body_needs_no_header():
    assert b"ab" == (await answer(Asked(b"ab", http_version="2", method="POST", headers=[]))).body


@pytest.mark.parametrize("limits", [{"body_grace": 0.0, "body_rate_bytes": 1000}, {"request_time": 0.05}])
async def test_a_body_that_is_too_slow_is_refused(limits: dict[str, Any]):
    seen = await answer(Asked(b"ab", ends=False, method="POST", headers=LONG), **limits)

    assert (408, "REQUEST_TIMEOUT", "close") == (seen.status, seen.type, seen.header("connection"))


async def test_a_body_that_is_announced_too_long_is_not_asked_for():
    asked = Asked(b"x" * 10, method="POST", headers=LONG)

    assert 413 == (await answer(asked, body_bytes_max=9)).status
    assert b"x" * 10 == (await asked.receive())["body"]


async def test_a_refused_client_gets_a_little_time_to_send_what_is_on_its_way():
    asked = Asked(*[b"x" * 10] * 5, method="POST", headers=[HOST, (b"content-length", b"50")])

    assert 413 == (await answer(asked, body_bytes_max=9, linger=1.0)).status
    asked.left.set()
    assert "http.disconnect" == (await asked.receive())["type"]


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_told_nothing():
    asked = Asked(b"ab", ends=False, method="POST", headers=LONG)
    asked.left.set()

    await door().serve(asked.scope, asked.receive, asked.send)

    assert [] == asked.told


async def test_a_long_body_goes_out_in_pieces():
    async def handle(request: Request) -> Reply:
        return Reply(200, [], b"x" * 200_000)

    asked = Asked()

    assert b"x" * 200_000 == (await answer(asked, handle)).body
    assert 5 == len(asked.told)


async def test_a_client_that_does_not_read_is_cut_off(caplog: pytest.LogCaptureFixture):
    asked = Asked()
    asked.blocked.clear()

    with pytest.raises(TimeoutError):
        await door(write_stall=0.05).serve(asked.scope, asked.receive, asked.send)


@pytest.mark.parametrize(
    ("reply", "status", "length"),
    [
        (Reply(204, [], b"x"), 204, None),
        (Reply(304, [], b"x"), 304, None),
        (Reply(205, [], b"x"), 205, "0"),
        (Reply(200, [], b""), 200, "0"),
        (Reply(99, [], b"x"), 500, "100"),
        (Reply(200, [], "text"), 500, "100"),  # type: ignore[arg-type]
    ],
)
async def test_the_length_of_a_body_is_told_where_there_may_be_one(reply: Reply, status: int, length: str | None):
    async def handle(request: Request) -> Reply:
        return reply

    seen = await answer(Asked(), handle)

    assert (status, length) == (seen.status, seen.header("content-length"))
    assert (b"" if status < 400 else seen.body) == seen.body


async def test_headers_that_must_not_go_out_do_not():
    async def handle(request: Request) -> Reply:
        return Reply(
            200, [("X-Ok", "é"), ("Connection", "x"), ("X-Bad", "a\r\nb"), ("Bad Name", "x"), ("Content-Length", "9")]
        )

    seen = await answer(Asked(), handle)

    assert [("x-ok", "%C3%A9"), ("content-length", "0")] == seen.headers


async def test_what_a_gateway_raises_is_answered_with_500(caplog: pytest.LogCaptureFixture):
    async def handle(request: Request) -> Reply:
        raise SystemExit(3)

    seen = await answer(Asked(), handle)

    assert (500, "INTERNAL_ERROR") == (seen.status, seen.type)


@pytest.mark.parametrize("length", [3, 5])
async def test_a_stream_that_is_not_as_long_as_it_said_is_cut(length: int, caplog: pytest.LogCaptureFixture):
    class Stream:
        def __init__(self) -> None:
            self.length = length
            self._pieces = iter([b"ab", b"cd"])

        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> bytes:
            for piece in self._pieces:
                return piece
            raise StopAsyncIteration

    async def handle(request: Request) -> Reply:
        return Reply(200, [], Stream())  # type: ignore[arg-type]

    asked = Asked()
    with pytest.raises(ValueError, match="than it said"):
        await door(handle).serve(asked.scope, asked.receive, asked.send)

    assert asked.told[-1]["more_body"]


async def test_a_server_that_wants_no_more_ends_the_request():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handle(request: Request) -> Reply:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        raise AssertionError

    asked = Asked(method="POST", ends=False)
    made = door(handle)
    task = asyncio.create_task(made.serve(asked.scope, asked.receive, asked.send))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
    assert 0 == made.statistics()["requests_running"]


async def test_a_stop_waits_for_what_runs_and_takes_no_more(caplog: pytest.LogCaptureFixture):
    go = asyncio.Event()
    begun = asyncio.Event()

    async def handle(request: Request) -> Reply:
        begun.set()
        await go.wait()
        return Reply()

    made = door(handle)
    first, second, third = Asked(method="POST"), Asked(), Asked(method="POST")
    running = asyncio.create_task(made.serve(first.scope, first.receive, first.send))
    await begun.wait()
    stopping = asyncio.create_task(made.stop(5))
    await asyncio.sleep(0)
    await made.serve(second.scope, second.receive, second.send)
    go.set()
    await asyncio.gather(running, stopping)
    await made.serve(third.scope, third.receive, third.send)

    assert (200, 503, 503) == (first.answer.status, second.answer.status, third.answer.status)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "raw_path": st.binary(max_size=30),
            "query_string": st.binary(max_size=20),
            "headers": st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=4),
            "method": st.text(max_size=5),
            "http_version": st.sampled_from(["1.0", "1.1", "2"]),
        }
    ),
    st.lists(st.binary(max_size=10), max_size=3),
)
def test_whatever_comes_gets_one_whole_answer(scope: dict[str, Any], pieces: list[bytes]):
    async def run() -> None:
        seen = await answer(Asked(*pieces, **scope))
        assert 200 <= seen.status < 500

    asyncio.run(run())
