"""Heads: one does not leave anything behind for the next, and in pieces they are refused as early as can be."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tautomer.web.http.head import CHUNKED, PLAIN, Framing, HeadReader, LastHead
from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits

from .test_refusals import MALFORMED
from .wire import get

GOOD = get("/good")

VARIED = [
    *(data[: data.find(b"\r\n\r\n") + 4] for data in MALFORMED.values() if b"\r\n\r\n" in data),
    get("/", "Connection: close"),
    get("/", "Connection: keep-alive", version="1.0"),
    get("/", version="1.0"),
    get("/", "Proxy-Connection: close"),
    get("/", "Content-Length: 5"),
    get("/", "Content-Length: 0"),
    get("/", "Transfer-Encoding: chunked"),
    get("/", "Connection: Upgrade", "Upgrade: websocket"),
    get("/", "Connection: Upgrade"),
    get("/", "Upgrade: h2c"),
    get("/", "Expect: 100-continue"),
    get("other:1", method="CONNECT"),
    get("/", method="PROPFIND"),
    get("/", method="TRACE"),
    get("*", method="OPTIONS"),
    get("http://other/"),
    get("/..", "Content-Length: 5"),
    b"GET / HTTP/1.1\r\nHost: a\r\n",
]


@given(st.lists(st.sampled_from(VARIED), max_size=6))
def test_a_good_head_is_good_whatever_came_before(before: list[bytes]) -> None:
    reader = HeadReader(HttpLimits(), "http")
    for raw in before:
        try:
            reader.read(raw, "")
        except Refusal:
            pass

    request, framing, fixed = reader.read(GOOD, "1.2.3.4")

    assert ("GET", "/good", "test", "1.2.3.4") == (request.method, request.path, request.header("host"), request.client)
    assert framing is PLAIN
    assert fixed is None


def outcome(reader: HeadReader, raw: bytes, lasts: list[LastHead] | None = None) -> object:
    """What a connection gets of a head: it asks whether it is known, and else has it read.

    Args:
        lasts: What earlier heads of the connection left; this one's is added.
    """
    known = reader.known(raw, "", lasts[-1] if lasts else None)
    try:
        request, framing, fixed = reader.read(raw, "") if known is None else (known[0], Framing(known[1]), None)
    except Refusal as refusal:
        return refusal.status, refusal.type, refusal.message
    if framing is PLAIN and lasts is not None and (last := reader.last(raw, request)) is not None:
        lasts.append(last)
    parts = (request.method, request.target, request.path, request.fields, request.http_version, request.cancellable)
    return parts, framing.keep_alive, framing.length, framing.upgrade, None if fixed is None else fixed.status


LEAN = [
    get("/a"),
    get("/a", method="HEAD"),
    get("/a", method="PUT"),
    get("/a", method="TRACE"),
    get("/a", method="FOO"),
    get("/a", method="GETGET"),
    get("/a", version="1.0"),
    get("/%2e"),
    get("/a?b"),
    get("/a", "Cookie: a=b"),
    get("/b", "Cookie: a=b"),
    get("/a", "Cookie: a=b", method="DELETE"),
    get("/a", "Cookie: a=b", version="1.0"),
    get("/a", "Cookie: a=b", "Connection: keep-alive", version="1.0"),
    get("/a", "Cookie: a=b", "Connection: close"),
    get("/a", "Cookie: a=b", "Content-Length: 5"),
    get("/a", "Accept: x"),
]


@given(st.lists(st.sampled_from(LEAN + VARIED), max_size=12))
def test_what_is_kept_of_a_head_is_what_reading_it_gives(heads: list[bytes]) -> None:
    reader = HeadReader(HttpLimits(), "http")
    lasts: list[LastHead] = []
    for raw in heads:
        assert outcome(HeadReader(HttpLimits(), "http"), raw) == outcome(reader, raw, lasts)


def test_what_is_personal_is_known_again_only_by_its_connection() -> None:
    reader = HeadReader(HttpLimits(), "http")
    raw = get("/a", "Authorization: Bearer x")
    request, _, _ = reader.read(raw, "1.2.3.4")
    last = reader.last(raw, request)

    assert None is reader.known(get("/b", "Authorization: Bearer x"), "1.2.3.4")
    assert None is reader.known(get("/b", "Authorization: Bearer y"), "1.2.3.4", last)
    known = reader.known(get("/b", "Authorization: Bearer x"), "1.2.3.4", last)
    assert known is not None
    assert ("/b", "Bearer x", True) == (known[0].path, known[0].header("authorization"), known[1])


@pytest.mark.parametrize("raw", [get("/a"), get("/a", method="PROPFIND"), get("/a", "Cookie: " + "a" * 2000)], ids=len)
def test_a_connection_keeps_nothing_that_all_know_or_that_is_large_or_odd(raw: bytes) -> None:
    reader = HeadReader(HttpLimits(), "http")
    request, _, _ = reader.read(raw, "")

    assert None is reader.last(raw, request)


def test_what_is_kept_is_bounded_and_holds_nothing_personal() -> None:
    reader = HeadReader(HttpLimits(), "http")
    for n in range(1000):
        reader.read(get("/", f"Accept: {n}"), "")
    assert 512 == len(reader._kept)

    reader = HeadReader(HttpLimits(), "http")
    for header in ("Cookie: a=b", "Authorization: x", "X-Api-Key: x", "Accept: " + "a" * 600):
        reader.read(get("/", header), "")
    assert 0 == len(reader._kept)

    reader.read(get("/?token=x"), "")
    assert b"token" not in b"".join(reader._kept)


@given(
    target=st.text(st.characters(codec="latin-1"), max_size=12).map("/".__add__),
    method=st.sampled_from(["GET", "get", "TRACE", "POST"]),
)
@example(target="/a%zz", method="GET")
@example(target="/a b", method="GET")
@example(target="/a\x00", method="GET")
@example(target="*", method="GET")
def test_lines_that_are_known_change_nothing_for_any_request_line(target: str, method: str) -> None:
    raw = f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1")
    knowing = HeadReader(HttpLimits(), "http")
    knowing.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "")

    assert outcome(HeadReader(HttpLimits(), "http"), raw) == outcome(knowing, raw)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_head_is_known_the_second_time_with_another_target_and_method(version: str) -> None:
    reader = HeadReader(HttpLimits(), "http")
    assert None is reader.known(get("/a", "Accept: */*", version=version), "")
    reader.read(get("/a", "Accept: */*", version=version), "")

    known = reader.known(get("/b?c=d", "Accept: */*", method="DELETE", version=version), "1.2.3.4")

    assert known is not None
    request, keep_alive = known
    assert ("DELETE", "/b", "c=d", "*/*", "1.2.3.4", version == "1.1") == (
        request.method,
        request.path,
        request.query_string,
        request.header("accept"),
        request.client,
        keep_alive,
    )
    assert (version, False) == (request.http_version, request.cancellable)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"\r\n" + GOOD,
        GOOD + GOOD,
        GOOD + b"G",
        GOOD[:-1],
        GOOD[4:],
        GOOD.replace(b"GET ", b"GET  "),
        GOOD.replace(b"GET ", b"get "),
        GOOD.replace(b"/good", b""),
        GOOD.replace(b"/good", b"good"),
        GOOD.replace(b"/good", b"/./good"),
        GOOD.replace(b"/good", b"/g%20od"),
        GOOD.replace(b"/good", b"/g\x00od"),
        GOOD.replace(b"/good", b"/g\xffod"),
        GOOD.replace(b"/good", b"/g\r\nod"),
        GOOD.replace(b"/good", b"/" + b"a" * 10_000),
    ],
    ids=repr,
)
def test_nothing_doubtful_is_known(raw: bytes) -> None:
    reader = HeadReader(HttpLimits(), "http")
    reader.read(GOOD, "")
    assert reader.known(GOOD, "") is not None

    assert None is reader.known(raw, "")


def test_a_request_line_over_its_limit_is_not_known() -> None:
    reader = HeadReader(HttpLimits(request_line_bytes_max=len(GOOD)), "http")
    reader.read(GOOD, "")

    assert reader.known(GOOD, "") is not None
    assert None is reader.known(GOOD.replace(b"/good", b"/good1"), "")


def test_a_request_does_not_share_what_the_gateway_changes() -> None:
    reader = HeadReader(HttpLimits(), "http")
    first, second = (reader.read(GOOD, client)[0] for client in ("a", "b"))
    first.id = "1"
    first.cancellable = False

    assert ("a", "b", "", True) == (first.client, second.client, second.id, second.cancellable)


@pytest.mark.parametrize(
    ("raw", "framing"),
    [
        (get("/", "Content-Length: 007"), Framing(length=7)),
        (get("/", "Content-Length:\t7 "), Framing(length=7)),
        (get("/", "content-length: 7", "CONNECTION: Close"), Framing(keep_alive=False, length=7)),
        (get("/", "Transfer-Encoding: CHUNKED"), Framing(length=CHUNKED)),
        (get("/", "Connection: a,, b ,close"), Framing(keep_alive=False)),
        (get("/", "Connection: a", "Connection: close"), Framing(keep_alive=False)),
        (get("/", "Connection: closed"), Framing()),
        (get("/", "X-Connection: close", "X: Connection: close"), Framing()),
        (get("/", "Connection: upgrade", "Upgrade: WebSocket, other"), Framing(upgrade="websocket")),
        (get("/", "Upgrade: websocket"), Framing()),
        (get("/", "Connection: upgrade"), Framing()),
        (get("/", "Expect: 100-continue", "Content-Length: 1"), Framing(length=1, expects_continue=True)),
        (get("/", version="1.0"), Framing(keep_alive=False)),
        (get("/", "Connection: Keep-Alive", version="1.0"), Framing()),
        (get("/", "Connection: keep-alive, close", version="1.0"), Framing(keep_alive=False)),
        (get("/", "Connection: upgrade", "Upgrade: websocket", version="1.0"), Framing(keep_alive=False)),
        (get("/", "Expect: x", "Content-Length: 1", version="1.0"), Framing(keep_alive=False, length=1)),
    ],
)
def test_framing_is_read(raw: bytes, framing: Framing) -> None:
    found = HeadReader(HttpLimits(), "http").read(raw, "")[1]

    assert (framing.keep_alive, framing.length, framing.expects_continue, framing.upgrade) == (
        found.keep_alive,
        found.length,
        found.expects_continue,
        found.upgrade,
    )


def refusal_of_parts(reader: HeadReader, data: bytes, size: int) -> str:
    """The type by which a head is refused that comes in pieces and never ends."""
    part = bytearray()
    for start in range(0, len(data), size):
        seen = len(part)
        part += data[start : start + size]
        try:
            reader.check_part(part, seen)
        except Refusal as refusal:
            return refusal.type
    return ""


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("data", "type_"),
    [
        (b"\x16\x03\x01", "BAD_REQUEST"),
        (b"GET / HTTP/1.1\nHost", "BAD_REQUEST"),
        (b"GET / HTTP/1.1\r\nHost: a\nX", "BAD_REQUEST"),
        (b"GET /\r\nHost", "BAD_REQUEST"),
        (b"GET / HTTP/3.0\r\nHost", "HTTP_VERSION"),
        (b"GET /" + b"a" * 100, "URI_TOO_LONG"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 30, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200, "HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", ""),
        (b"GET /" + b"a" * 45 + b" HTTP/1.1\r", ""),
    ],
)
def test_a_part_that_cannot_become_right_is_refused(size: int, data: bytes, type_: str) -> None:
    limits = HttpLimits(request_line_bytes_max=59, header_bytes_max=80, headers_bytes_max=150, headers_max=20)

    assert type_ == refusal_of_parts(HeadReader(limits, "http"), data, size)


@given(st.sampled_from([*VARIED, GOOD]), st.integers(1, 200))
def test_no_part_of_a_good_head_is_refused(raw: bytes, end: int) -> None:
    reader = HeadReader(HttpLimits(), "http")
    part = raw[: min(end, len(raw) - 1)]
    try:
        reader.read(raw, "")
    except Refusal:
        return

    reader.check_part(bytearray(part), 0)
