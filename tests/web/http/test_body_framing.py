"""Where a body ends. llhttp is the oracle for chunks."""

from __future__ import annotations

import itertools
import time

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tautomer.web.http.body_framing import ChunkedBody, LengthBody
from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits

LIMITS = HttpLimits()
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"


class Oracle:
    """What llhttp makes of the same bytes."""

    def __init__(self) -> None:
        self.body = b""
        self.done = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done = True


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=20), st.lists(st.integers(0, 100), max_size=5))
def test_a_body_of_known_length_ends_there(content: bytes, after: bytes, places: list[int]) -> None:
    body = LengthBody(len(content))
    rest = None
    for piece in cut(content + after, places):
        rest = body.feed(piece) if rest is None else rest + piece

    assert (content, after) == (bytes(body.body), rest)


extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b c"'])


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions, st.booleans()), max_size=5),
    st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"]),
    st.binary(max_size=20),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_chunks_come_out_whole_however_they_are_cut(
    chunks: list[tuple[bytes, bytes, bool]], trailers: bytes, after: bytes, places: list[int]
) -> None:
    data = b"".join(
        (b"%X" if upper else b"0%x") % len(chunk) + extension + b"\r\n" + chunk + b"\r\n"
        for chunk, extension, upper in chunks
    )
    body = ChunkedBody(LIMITS, 1000)
    rest = None
    for piece in cut(data + b"0\r\n" + trailers + b"\r\n" + after, places):
        rest = body.feed(piece) if rest is None else rest + piece

    assert (b"".join(chunk for chunk, _, _ in chunks), after) == (bytes(body.body), rest)


pieces = st.sampled_from(
    [
        b"0",
        b"1",
        b"5",
        b"a",
        b"F",
        b"\r\n",
        b"\r",
        b"\n",
        b"x",
        b"hello",
        b";",
        b";a=b",
        b" ",
        b"\t",
        b":",
        b"X: y",
        b"\0",
    ]
)


@given(st.lists(pieces, max_size=12).map(b"".join))
@example(b"0\r\n\r\n")
@example(b"1\r\nx\r\n0\r\nX: y\r\n\r\n")
@example(b"0\r\n X: y\r\n\r\n")
def test_what_is_let_in_is_what_llhttp_lets_in(data: bytes) -> None:
    """Never more than it: what it refuses, or reads as another body, is refused here, or still incomplete."""
    body = ChunkedBody(LIMITS, 1000)
    try:
        rest = body.feed(data)
    except Refusal:
        return
    oracle = Oracle()
    parser = httptools.HttpRequestParser(oracle)
    parser.feed_data(HEAD)
    if rest is None:
        return
    parser.feed_data(data[: len(data) - len(rest)])

    assert (oracle.body, oracle.done) == (bytes(body.body), True)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_the_cuts_never_decide(data: bytes, places: list[int]) -> None:
    def outcome(parts: list[bytes]) -> object:
        body = ChunkedBody(LIMITS, 1000)
        rest = None
        try:
            for part in parts:
                rest = body.feed(part) if rest is None else rest + part
        except Refusal as refusal:
            return refusal.type
        return bytes(body.body), rest

    assert outcome([data]) == outcome(cut(data, places))


def test_a_chunk_over_the_limit_is_refused_when_announced() -> None:
    body = ChunkedBody(LIMITS, 10)
    body.feed(b"5\r\nhello\r\n")
    with pytest.raises(Refusal) as caught:
        body.feed(b"6\r\n")

    assert (413, "PAYLOAD_TOO_LARGE") == (caught.value.status, caught.value.type)


@pytest.mark.parametrize("line", [b"1", b"1;" + b"a" * 200, b"0\r\nX: " + b"a" * 200])
def test_a_line_without_end_is_refused(line: bytes) -> None:
    body = ChunkedBody(HttpLimits(header_bytes_max=100), 10)
    with pytest.raises(Refusal):
        body.feed(line * 200)
    body = ChunkedBody(HttpLimits(header_bytes_max=100), 10)
    with pytest.raises(Refusal):
        list(map(body.feed, [line[n : n + 1] for n in range(len(line))] + [b"1"] * 200))


def test_a_megabyte_in_chunks_of_one_byte_does_not_hold_up_the_loop() -> None:
    body = ChunkedBody(LIMITS, 1024 * 1024)
    piece = b"1\r\na\r\n" * 40_000
    start = time.process_time()
    body.feed(piece)

    assert 40_000 == len(body.body)
    assert time.process_time() - start < 0.5


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_a_body_that_is_taken_as_it_comes_is_the_same_however_it_is_cut(chunks: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(chunks)
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\nnext"
    edges = sorted(min(cut, len(framed)) for cut in cuts)
    body = ChunkedBody(HttpLimits(), len(whole) or 1)
    taken, rest = b"", b""
    ended = False

    for start, end in zip([0, *edges], [*edges, len(framed)], strict=True):
        if ended:
            rest += framed[start:end]
            continue
        after = body.feed(framed[start:end])
        taken += body.take()
        if after is not None:
            ended, rest = True, after

    assert (whole, b"next") == (taken, rest)
