from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.transporters.nats.protocol import (
    HEADER_BYTES_MAX,
    LINE_BYTES_MAX,
    NatsProtocolError,
    Parser,
    ServerInfo,
    connect_line,
    publish_line,
    publish_with_headers_line,
    status_of,
    subscribe_line,
    unsubscribe_line,
)

Call = tuple[object, ...]


class Recorder:
    """Remembers every call of a parser, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.faults: list[Exception] = []

    def on_info(self, info: ServerInfo) -> None:
        self.calls.append(("info", info.max_payload))

    def on_ping(self) -> None:
        self.calls.append(("ping",))

    def on_pong(self) -> None:
        self.calls.append(("pong",))

    def on_error(self, text: str) -> None:
        self.calls.append(("error", text))

    def on_headers(self, sid: bytes, subject: bytes, headers: bytes, payload: bytes) -> None:
        self.calls.append(("headers", sid, subject, headers, payload))

    def on_fault(self, error: Exception) -> None:
        self.faults.append(error)

    def handler(self, sid: bytes):
        return lambda payload: self.calls.append(("message", sid, payload))


def parsed(*pieces: bytes) -> list[Call]:
    recorder = Recorder()
    parser = Parser(recorder, {sid: recorder.handler(sid) for sid in (b"1", b"2")})
    for piece in pieces:
        parser.feed(piece)
    return recorder.calls


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


sids = st.sampled_from([b"1", b"2"])
subjects = st.text("abz.*-é", min_size=1, max_size=8).map(str.encode)
payloads = st.one_of(st.binary(max_size=20), st.sampled_from([b"\r\n", b"PING\r\n", b"MSG a 1 5\r\n"]))


@st.composite
def frames(draw: st.DrawFn) -> tuple[bytes, Call | None]:
    """The bytes of one thing that a server says, and the call it must lead to."""
    kind = draw(st.sampled_from(["msg", "msg", "msg", "reply", "hmsg", "ping", "pong", "ok", "err", "info", "strange"]))
    sid, subject, payload = draw(sids), draw(subjects), draw(payloads)
    if kind == "msg":
        return b"MSG %b %b %d\r\n%b\r\n" % (subject, sid, len(payload), payload), ("message", sid, payload)
    if kind == "reply":
        return b"MSG %b %b _INBOX.x.y %d\r\n%b\r\n" % (subject, sid, len(payload), payload), ("message", sid, payload)
    if kind == "hmsg":
        headers = b"NATS/1.0\r\nA: b\r\n\r\n"
        line = b"HMSG %b %b %d %d\r\n" % (subject, sid, len(headers), len(headers) + len(payload))
        return line + headers + payload + b"\r\n", ("headers", sid, subject, headers, payload)
    if kind == "strange":
        return b"MSG %b 77 %d\r\n%b\r\n" % (subject, len(payload), payload), None
    return {
        "ping": (b"PING\r\n", ("ping",)),
        "pong": (b"PONG\r\n", ("pong",)),
        "ok": (b"+OK\r\n", None),
        "err": (b"-ERR 'Slow Consumer'\r\n", ("error", "Slow Consumer")),
        "info": (b'INFO {"max_payload":4096,"new":[1]} \r\n', ("info", 4096)),
    }[kind]


@given(st.lists(frames(), max_size=12), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_of_a_stream_gives_the_same_calls(said: list[tuple[bytes, Call | None]], cuts: list[int]) -> None:
    stream = b"".join(part for part, _ in said)

    calls = parsed(*split(stream, cuts))

    assert [call for _, call in said if call is not None] == calls


def test_a_stream_that_comes_byte_by_byte_is_read() -> None:
    stream = b"MSG a 1 3\r\nabc\r\nPING\r\nHMSG b 2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"

    calls = parsed(*[stream[at : at + 1] for at in range(len(stream))])

    assert [("message", b"1", b"abc"), ("ping",), ("headers", b"2", b"b", b"NATS/1.0\r\n\r\n", b"hi")] == calls


pieces_of_protocol = st.sampled_from(
    [
        b"MSG ",
        b"HMSG ",
        b"INFO ",
        b"{",
        b"}",
        b"-ERR",
        b"+OK",
        b"PING",
        b"a 1 3",
        b"\r\n",
        b" ",
        b"99999999999",
        b"-1",
        b"\n",
    ]
)


@given(st.lists(st.one_of(st.binary(max_size=12), pieces_of_protocol), max_size=20))
def test_any_bytes_give_calls_or_one_protocol_error(pieces: list[bytes]) -> None:
    recorder = Recorder()
    parser = Parser(recorder, {b"1": recorder.handler(b"1")})
    try:
        for piece in pieces:
            parser.feed(piece)
    except NatsProtocolError:
        pass

    assert [] == recorder.faults


@pytest.mark.parametrize(
    "stream",
    [
        b"MSG a 1 -3\r\nabc\r\n",
        b"MSG a 1 +3\r\nabc\r\n",
        b"MSG a 1 1_0\r\n0123456789\r\n",
        b"MSG a 1 \xb2\r\nab\r\n",
        b"MSG a 1\r\n\r\n",
        b"MSG a b c d 3\r\nabc\r\n",
        b"MSG a 1 1048577\r\n",
        b"MSG a 1 " + b"9" * 5000 + b"\r\n",
        b"MSG a 1 3\r\nabcd\r\n",
        b"MSG a 1 3\nabc\r\n",
        b"HMSG a 1 9 3\r\nabc\r\n",
        b"HMSG a 1 3\r\nabc\r\n",
        b"HMSG a 1 3 %d\r\n" % (1024 * 1024 + HEADER_BYTES_MAX + 1),
        b"INFO {\r\n",
        b'INFO {"max_payload":"much"}\r\n',
        b'INFO {"max_payload":0}\r\n',
        b"INFO " + b"[" * 20_000 + b"\r\n",
        b'INFO {"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}\r\n",
        b'INFO {"server_id":"\xff"}\r\n',
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"x" * (LINE_BYTES_MAX + 2),
        b"x" * LINE_BYTES_MAX + b"x\r\n",
    ],
)
def test_what_is_no_nats_is_refused(stream: bytes) -> None:
    with pytest.raises(NatsProtocolError):
        parsed(stream)


def test_a_size_up_to_the_servers_bound_is_taken_and_one_more_is_not() -> None:
    info = b'INFO {"max_payload":2000000}\r\n'

    assert ("message", b"1", b"x" * 2_000_000) == parsed(info, b"MSG a 1 2000000\r\n", b"x" * 2_000_000, b"\r\n")[-1]
    with pytest.raises(NatsProtocolError):
        parsed(info, b"MSG a 1 2000001\r\n")


def test_a_line_that_repeats_means_the_same_each_time() -> None:
    message = b"MSG a 1 2\r\n%b\r\n"

    calls = parsed(*[message % b"%02d" % number for number in range(50)])

    assert [("message", b"1", b"%02d" % number) for number in range(50)] == calls


def test_more_control_lines_than_are_remembered_are_still_read() -> None:
    stream = b"".join(b"MSG subject.%d 1 1\r\nx\r\n" % number for number in range(5_000))

    assert 5_000 == len(parsed(stream))


def test_a_handler_that_raises_costs_its_own_message_only() -> None:
    recorder = Recorder()

    def handle(payload: bytes) -> None:
        if payload == b"bad":
            raise KeyError(payload)
        recorder.calls.append(("message", payload))

    parser = Parser(recorder, {b"1": handle})
    stream = b"MSG a 1 3\r\nbad\r\nMSG a 1 4\r\ngood\r\n"
    for piece in (stream, *split(stream, [13])):
        parser.feed(piece)

    assert [("message", b"good")] * 2 == recorder.calls
    assert [KeyError, KeyError] == [type(fault) for fault in recorder.faults]


def test_a_handler_that_is_added_later_gets_what_comes_later() -> None:
    recorder = Recorder()
    handlers = {}
    parser = Parser(recorder, handlers)

    parser.feed(b"MSG a 1 1\r\nx\r\n")
    handlers[b"1"] = recorder.handler(b"1")
    parser.feed(b"MSG a 1 1\r\ny\r\n")

    assert [("message", b"1", b"y")] == recorder.calls


def test_white_space_of_other_kinds_belongs_to_the_subject() -> None:
    """A peer may choose it as reply subject; it must not put the reader out of step."""
    assert [("message", b"1", b"x")] == parsed(b"MSG a 1 re\x0bply\x0c 1\r\nx\r\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"NATS/1.0 503\r\n\r\n", 503),
        (b"NATS/1.0 404 No Messages\r\n\r\n", 404),
        (b"NATS/1.0\r\nA: b\r\n\r\n", None),
        (b"NATS/1.0 x\r\n\r\n", None),
        (b"", None),
    ],
)
def test_the_status_stands_in_the_first_line(headers: bytes, status: int | None) -> None:
    assert status == status_of(headers)


def test_what_a_client_says() -> None:
    assert b'CONNECT {"verbose":false}\r\n' == connect_line({"verbose": False})
    assert b"SUB a.b 7\r\n" == subscribe_line(b"a.b", b"7")
    assert b"SUB a.b group 7\r\n" == subscribe_line(b"a.b", b"7", b"group")
    assert b"UNSUB 7\r\n" == unsubscribe_line(b"7")
    assert b"PUB a 2\r\nhi\r\n" == publish_line(b"a", b"hi")
    assert b"PUB a b 2\r\nhi\r\n" == publish_line(b"a", b"hi", b"b")
    assert b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" == publish_with_headers_line(b"a", b"NATS/1.0\r\n\r\n", b"hi")
    assert b"HPUB a b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" == publish_with_headers_line(
        b"a", b"NATS/1.0\r\n\r\n", b"hi", b"b"
    )
