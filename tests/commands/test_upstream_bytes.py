"""Answers in whatever pieces they come, and bytes that are none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from tautomer.commands.upstream.connection import UpstreamConnection
from tautomer.commands.upstream.errors import UpstreamError

Seen = tuple[int, str, list[tuple[str, str]], bytes] | str


class Line:
    """A transport that takes everything and tells whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None: ...

    def set_write_buffer_limits(self, high: int) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


async def seen(pieces: list[bytes], method: str) -> tuple[Seen, bool]:
    """What became of an answer in these pieces, and whether the connection could be used again."""
    idle: list[UpstreamConnection] = []
    line, connection = Line(), UpstreamConnection(idle.append, lambda _: None)
    connection.connection_made(cast(Any, line))
    awaited = connection.begin(method, b"", 5.0, sent=True)
    for piece in pieces:
        if not line.closed:
            connection.data_received(piece)
    usable = bool(idle) and not line.closed
    if not line.closed:
        connection.eof_received()
    connection.connection_lost(None)
    try:
        answer = await awaited
        return (answer.status, answer.reason, answer.headers, await answer.body.whole(0) or b""), usable
    except UpstreamError:
        return "error", usable


RAW = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nabcde",
    b"HTTP/1.1 200 Fine By Me\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nA: \r\nA: 2\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nless",
]


@given(raw=st.sampled_from(RAW), cuts=st.lists(st.integers(1, 80), max_size=6), method=st.sampled_from(["GET", "HEAD"]))
def test_it_makes_no_difference_in_which_pieces_an_answer_comes(raw: bytes, cuts: list[int], method: str) -> None:
    if method == "HEAD" and raw in (RAW[0], RAW[1], RAW[4], RAW[5], RAW[6]):
        raw = raw[: raw.index(b"\r\n\r\n") + 4]
    edges = [0, *sorted({cut for cut in cuts if cut < len(raw)}), len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(edges)]

    assert asyncio.run(seen([raw], method)) == asyncio.run(seen(pieces, method))


@given(st.lists(st.binary(min_size=1, max_size=60) | st.sampled_from(RAW), min_size=1, max_size=4))
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"])
def test_whatever_comes_is_an_answer_or_an_error_and_only_one_answer_keeps_the_connection(pieces: list[bytes]) -> None:
    found, usable = asyncio.run(seen(pieces, "GET"))

    assert "error" == found or found[0] in range(200, 1000)
    if usable:
        assert found == asyncio.run(seen([b"".join(pieces)], "GET"))[0]
        # Not a byte more than the one answer.
        assert "error" == asyncio.run(seen([b"".join(pieces)[:-1]], "GET"))[0]


def test_without_the_web_extra_the_error_names_it() -> None:
    code = """
import sys
sys.modules["httptools"] = None
from tautomer import HTTPProxyCommand

class Proxy(HTTPProxyCommand):
    def before_request(self):
        self.request["url"] = "http://127.0.0.1/"

try:
    Proxy({"path": "/"}).execute()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)

    assert "BrokerOptionsError HTTPProxyCommand needs 'httptools': pip install 'tautomer[web]'" == done.stdout.strip()
