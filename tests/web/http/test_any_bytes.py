"""Whatever comes over a connection: no exception leaves it, and it ends in answers or a close."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tautomer.web.http.connection import Connection
from tautomer.web.http.server import HttpServer
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Reply, Request

from .conftest import echo
from .wire import get, post


class FakeTransport(asyncio.Transport):
    """Keeps what is written. Closing is told to the connection in the loop's next turn, as by a real one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.written = b""
        self.closing = self.paused = self.eof = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.1", 1234) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        assert isinstance(data, bytes)
        assert not self.eof
        if not self.closing:
            self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


async def turns(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to rest")


async def talk(pieces: list[bytes], **limits: Any) -> tuple[list[tuple[str, str, bytes]], bytes, bool]:
    """Requests that were handled, bytes that came back, and whether the connection was ended."""
    handled: list[tuple[str, str, bytes]] = []
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))

    async def handle(request: Request) -> Reply:
        handled.append((request.method, request.path, request.raw_body))
        return await echo(request) if not request.header("content-encoding") else Reply(200)

    server = HttpServer(handle, limits=HttpLimits(**limits))
    connection = Connection(server._state)
    transport = FakeTransport(connection)
    connection.connection_made(transport)
    for piece in pieces:
        if piece and not transport.closing:
            connection.data_received(piece)
            await turns(lambda: not transport.paused)
    await turns(
        lambda: 0 == len(server._state.running.tasks) and (transport.closing or "RUNNING" != connection._phase.name)
    )
    ended = transport.closing or transport.eof
    if not transport.closing:
        connection.connection_lost(None)
    await server.stop(0)
    assert [] == errors
    return handled, transport.written, ended


ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def statuses(data: bytes) -> list[int]:
    """Statuses of all replies; fails where the bytes are anything else than whole replies."""
    found = []
    while data:
        match = ANSWER.match(data)
        assert match is not None
        status = int(match[1])
        length = re.search(rb"Content-Length: (\d+)", match[2])
        found.append(status)
        data = data[match.end() + (int(length[1]) if length else 0) :]
    return found


fragments = st.sampled_from(
    [
        b"GET ", b"POST ", b"/", b"/a%20b", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: a\r\n", b"\r\n", b"\r", b"\n",
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"hello", b"5\r\n",
        b"0\r\n\r\n", b": ", b"X", b" ", b"\0", b"\xff", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"\r\n\r\n", b"*", b"OPTIONS ",
        get("/x"), get("/x", "Content-Length: 3", method="POST"), b"Content-Encoding: gzip\r\n",
    ]
)  # fmt: skip
anything = st.lists(fragments | st.binary(max_size=30), max_size=12)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(anything)
@example([b"\r", b"\n", get()])
@example([b"\r\n\r\n\r"])
def test_any_bytes_end_in_answers_or_a_close(pieces: list[bytes]) -> None:
    handled, written, ended = asyncio.run(talk(pieces, header_bytes_max=200, headers_bytes_max=400, body_bytes_max=50))

    answered = [status for status in statuses(written) if status != 100]
    assert len(handled) <= len(answered)
    if any(status in (408, 413, 414, 417, 431, 505) for status in answered):
        assert ended
    if b"Connection: close" in written:
        assert ended


requests = st.lists(
    st.one_of(
        st.sampled_from(["/a", "/b?c=d", "/%C3%A9"]).map(lambda path: get(path)),
        st.sampled_from(["/a", "/b"]).map(lambda path: get(path, "Connection: keep-alive", version="1.0")),
        st.binary(max_size=40).map(post),
        st.binary(min_size=1, max_size=40).map(
            lambda body: (
                get("/c", "Transfer-Encoding: chunked", method="PUT")
                + b"%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(body), body)
            )
        ),
        st.just(b"\r\n" + get("/after-a-blank-line")),
        st.just(get("/%2e")),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(requests, st.lists(st.integers(0, 10_000), max_size=10))
def test_the_same_requests_come_out_however_the_bytes_are_cut(sent: list[bytes], places: list[int]) -> None:
    data = b"".join(sent)
    edges = [0, *sorted(place % len(data) for place in places), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]

    whole = asyncio.run(talk([data]))
    cut = asyncio.run(talk(pieces))
    single = asyncio.run(talk([bytes([byte]) for byte in data]))

    assert len(sent) == len(statuses(whole[1]))
    assert whole[0] == cut[0] == single[0]
    assert statuses(whole[1]) == statuses(cut[1]) == statuses(single[1])
