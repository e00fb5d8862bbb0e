"""The table of bad input (reliability reference, section 5.1), on the wire: answer, type, and the close."""

from __future__ import annotations

import pytest

from .conftest import Dial, Serve
from .wire import get

HOST = b"GET / HTTP/1.1\r\nHost: test\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "no version": b"GET /\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: test\r\n\r\n",
    "two blanks": b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
    "blank in the target": b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
    "blank at the line's end": b"GET / HTTP/1.1 \r\nHost: test\r\n\r\n",
    "tab for a blank": b"GET\t/ HTTP/1.1\r\nHost: test\r\n\r\n",
    "lower case version": b"GET / http/1.1\r\nHost: test\r\n\r\n",
    "another protocol": b"SOURCE / ICE/1.0\r\nHost: test\r\n\r\n",
    "version of three digits": b"GET / HTTP/1.10\r\nHost: test\r\n\r\n",
    "method is no token": b"G(T / HTTP/1.1\r\nHost: test\r\n\r\n",
    "control byte in the target": b"GET /\x01 HTTP/1.1\r\nHost: test\r\n\r\n",
    "raw bytes in the target": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: test\r\n\r\n",
    "second line cut short": b"GET /\r\nX HTTP/1.1\r\nHost: test\r\n\r\n",
    "header without colon": HOST + b"nothing\r\n\r\n",
    "header without name": HOST + b": x\r\n\r\n",
    "blank before the colon": HOST + b"X : y\r\n\r\n",
    "tab before the colon": HOST + b"X\t: y\r\n\r\n",
    "blank in a name": HOST + b"X Y: z\r\n\r\n",
    "bracket in a name": HOST + b"X(: z\r\n\r\n",
    "raw byte in a name": HOST + b"X\xe9: z\r\n\r\n",
    "NUL in a value": HOST + b"X: a\x00b\r\n\r\n",
    "control byte in a value": HOST + b"X: a\x01b\r\n\r\n",
    "DEL in a value": HOST + b"X: a\x7fb\r\n\r\n",
    "bare CR in a value": HOST + b"X: a\rb\r\n\r\n",
    "folded header": HOST + b"X: a\r\n b\r\n\r\n",
    "folded header, tab": HOST + b"X: a\r\n\tb\r\n\r\n",
    "folded length": POST + b"Content-Length:\r\n 5\r\n\r\nhello",
    "folded before any header": b"GET / HTTP/1.1\r\n X: a\r\nHost: test\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: test\r\n\r\n",
    "bare LF after a header": HOST + b"X: a\nY: b\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: test\n\n",
    "bare LF at the end": HOST + b"\n",
    "two CR": HOST + b"X: a\r\r\n\r\n",
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "positive length": POST + b"Content-Length: +5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "length with blanks inside": POST + b"Content-Length: 5 5\r\n\r\nhello",
    "empty length": POST + b"Content-Length: \r\n\r\nhello",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length with underscore": POST + b"Content-Length: 1_0\r\n\r\nhellohello",
    "length in other digits": POST + b"Content-Length: \xef\xbc\x95\r\n\r\nhello",
    "length beyond any number": POST + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two headers": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked after identity": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted chunked": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked with a parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "coding before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": HOST + b"Host: test\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "chunk size is no number": CHUNKED + b"x\r\nhello\r\n0\r\n\r\n",
    "chunk size is empty": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size has a sign": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size has a prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size has an underscore": CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n",
    "chunk size has a blank": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "chunk size beyond any number": CHUNKED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk without its line end": CHUNKED + b"5\r\nhello0\r\n\r\n",
    "chunk longer than said": CHUNKED + b"5\r\nhelloo\r\n0\r\n\r\n",
    "chunk line with bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk extension with control byte": CHUNKED + b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "trailer without colon": CHUNKED + b"0\r\nnothing\r\n\r\n",
    "trailer folded": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer with bare LF": CHUNKED + b"0\r\nX: a\nY: b\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "noise": b"\xff\xfe\xfd\xfc",
    "body of another request": b'{"a": 1}\r\n\r\n',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_malformed_is_400_and_the_end(serve: Serve, dial: Dial, name: str) -> None:
    server = await serve()
    wire = await dial(server)
    wire.send(MALFORMED[name])

    answer = await wire.answer()

    assert (400, "BAD_REQUEST", True) == (answer.status, answer.type, answer.closes)
    assert {"name": "BadRequestError", "code": 400, "type": "BAD_REQUEST"}.items() <= answer.json.items()
    assert b"" == await wire.rest()


@pytest.mark.parametrize("name", MALFORMED)
async def test_nothing_after_a_refusal_is_read_as_a_request(serve: Serve, dial: Dial, name: str) -> None:
    """Neither what came with the refused bytes, nor what comes after them."""
    server = await serve()
    wire = await dial(server)
    wire.send(MALFORMED[name] + get("/smuggled"))
    await wire.answer()
    wire.send(get("/smuggled"))

    assert b"" == await wire.rest()
    assert 1 == sum(dict_of(server.statistics()["refused"]).values())


def dict_of(value: object) -> dict[str, int]:
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0", "9.9"])
async def test_another_version_is_505(serve: Serve, dial: Dial, version: str) -> None:
    wire = await dial(await serve())
    wire.send(get(version=version))

    answer = await wire.answer()

    assert (505, "HTTP_VERSION", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_an_http2_preface_is_505(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert 505 == (await wire.answer()).status
    assert b"" == await wire.rest()


async def test_a_request_line_over_the_limit_is_414(serve: Serve, dial: Dial) -> None:
    server = await serve(request_line_bytes_max=64)
    fits, over = "/" + "a" * 50, "/" + "a" * 51
    wire = await dial(server)
    wire.send(get(fits) + get(over))

    assert 64 == len(f"GET {fits} HTTP/1.1")
    assert 200 == (await wire.answer()).status
    answer = await wire.answer()
    assert (414, "URI_TOO_LONG", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_an_endless_request_line_is_414(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(b"GET /" + b"a" * 9000)

    answer = await wire.answer()

    assert (414, "URI_TOO_LONG", True) == (answer.status, answer.type, answer.closes)


@pytest.mark.parametrize(
    "headers",
    [
        ["X: " + "a" * 62],
        [f"X-{number}: {'a' * 30}" for number in range(6)],
        [f"X-{number}: a" for number in range(10)],
        ["a:"] * 10,
    ],
    ids=["one", "all", "number", "number, short"],
)
async def test_headers_over_the_limits_are_431(serve: Serve, dial: Dial, headers: list[str]) -> None:
    wire = await dial(await serve(header_bytes_max=64, headers_bytes_max=200, headers_max=10))
    wire.send(get("/", *headers))

    answer = await wire.answer()

    assert (431, "HEADERS_TOO_LARGE", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.parametrize("headers", [["X: " + "a" * 61], [f"X-{number}: a" for number in range(9)]])
async def test_headers_at_the_limits_are_let_in(serve: Serve, dial: Dial, headers: list[str]) -> None:
    wire = await dial(await serve(header_bytes_max=64, headers_bytes_max=200, headers_max=10))
    wire.send(get("/", *headers))

    assert 200 == (await wire.answer()).status


@pytest.mark.parametrize("line", [b"X: " + b"a" * 100 + b"\r\n", b"a:\r\n"], ids=["bytes", "number"])
async def test_headers_without_an_end_are_431(serve: Serve, dial: Dial, line: bytes) -> None:
    wire = await dial(await serve())
    wire.send(b"GET / HTTP/1.1\r\n" + line * 400)

    answer = await wire.answer()

    assert (431, "HEADERS_TOO_LARGE", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.parametrize(
    "path",
    [
        "/%", "/%2", "/%zz", "/%2x", "/a%", "/%ff", "/%c3", "/%ed%a0%80", "/%c0%af", "/%00", "/a%00b", "/%0a", "/%0d%0a",
        "/%7f", "/%C2%85", "/\\", "/a\\b", "/%5c", "/%5Cx", "/%2f", "/a%2Fb", "/.", "/..", "/./a", "/a/..", "/a/../b",
        "/%2e", "/%2E%2e", "/.%2e/a", "/a/%2e%2e/b", "/#a", "//a/..", "http://test/../a", "http://test/%2f",
        "*", "a", "test:80", "ftp://test/", "http:/a", "?a=1",
    ],
)  # fmt: skip
async def test_a_path_that_can_be_read_in_two_ways_is_400(serve: Serve, dial: Dial, path: str) -> None:
    """Some forms llhttp refuses as malformed; either way the gateway never sees them."""
    wire = await dial(await serve())
    wire.send(get(path))

    answer = await wire.answer()

    assert 400 == answer.status
    assert answer.type in ("INVALID_PATH", "BAD_REQUEST")
    assert answer.type == "INVALID_PATH" or answer.closes


async def test_a_connection_outlives_an_invalid_path(serve: Serve, dial: Dial) -> None:
    """Its framing was sound, and a proxy may send other clients' requests over the same connection."""
    wire = await dial(await serve())
    wire.send(get("/%2e") + get("/good"))

    first, second = await wire.answer(), await wire.answer()

    assert (400, "INVALID_PATH", False) == (first.status, first.type, first.closes)
    assert b"GET /good? " == second.body


async def test_the_body_of_a_request_with_an_invalid_path_is_not_read_as_a_request(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    smuggled = get("/smuggled")
    wire.send(get("/%2e", f"Content-Length: {len(smuggled)}", method="POST") + smuggled)

    answer = await wire.answer()

    assert (400, True) == (answer.status, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a%20b", "/a b"),
        ("/%C3%A9", "/é"),
        ("/%252e", "/%2e"),
        ("/a+b", "/a+b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a.b;c=d", "/a.b;c=d"),
        ("//evil.example", "//evil.example"),
        ("http://other/a", "/a"),
        ("HTTPS://other:1/a", "/a"),
        ("http://other", "/"),
        ("http://user@other/a", "/a"),
    ],
)
async def test_a_path_is_decoded_once(serve: Serve, dial: Dial, target: str, path: str) -> None:
    wire = await dial(await serve())
    wire.send(get(target))

    assert f"GET {path}? ".encode() == (await wire.answer()).body


async def test_an_absolute_target_without_path_may_have_a_query(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("http://other?a=1"))

    assert b"GET /?a=1 " == (await wire.answer()).body


@pytest.mark.parametrize("method", ["PROPFIND", "FOO", "get", "DESCRIBE", "M-SEARCH", "X!#$%&'*+-.^_`|~1"])
async def test_an_unknown_method_is_the_gateways_business(serve: Serve, dial: Dial, method: str) -> None:
    wire = await dial(await serve())
    wire.send(get("/a", method=method))

    assert f"{method} /a? ".encode() == (await wire.answer()).body


async def test_trace_is_405_and_the_connection_stays(serve: Serve, dial: Dial) -> None:
    """Also where the path is known."""
    wire = await dial(await serve())
    wire.send(get("/a") + get("/a", method="TRACE") + get("/a"))

    assert 200 == (await wire.answer()).status
    answer = await wire.answer()
    assert (405, "METHOD_NOT_ALLOWED", False) == (answer.status, answer.type, answer.closes)
    assert "GET" in answer.headers["allow"]
    assert 200 == (await wire.answer()).status


async def test_connect_is_405_and_the_end(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("other:443", method="CONNECT") + get("/tunnelled"))

    answer = await wire.answer()

    assert (405, "METHOD_NOT_ALLOWED", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_options_of_the_server_are_answered_without_the_gateway(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("*", method="OPTIONS") + get("/a", method="OPTIONS"))

    first, second = await wire.answer(), await wire.answer()

    assert 204 == first.status
    assert "DELETE" in first.headers["allow"]
    assert b"OPTIONS /a? " == second.body


@pytest.mark.parametrize("expectation", ["200-ok", "100-continue, x", ""])
async def test_another_expectation_is_417(serve: Serve, dial: Dial, expectation: str) -> None:
    wire = await dial(await serve())
    wire.send(get("/", f"Expect: {expectation}", "Content-Length: 5", method="POST"))

    answer = await wire.answer()

    assert (417, "EXPECTATION_FAILED", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.parametrize("headers", [["Content-Length: 11"], ["Content-Length: 11", "Expect: 100-continue"]])
async def test_a_body_announced_over_the_limit_is_413_unread(serve: Serve, dial: Dial, headers: list[str]) -> None:
    wire = await dial(await serve(body_bytes_max=10))
    wire.send(get("/", *headers, method="POST"))

    answer = await wire.answer()

    assert (413, "PAYLOAD_TOO_LARGE", True) == (answer.status, answer.type, answer.closes)
    assert {"name": "PayloadTooLarge", "code": 413}.items() <= answer.json.items()
    assert b"" == await wire.rest()


@pytest.mark.parametrize("chunks", [b"b\r\n", b"5\r\nhello\r\n6\r\n", b"ffffffffffffffff\r\n"])
async def test_chunks_over_the_limit_are_413_when_announced(serve: Serve, dial: Dial, chunks: bytes) -> None:
    wire = await dial(await serve(body_bytes_max=10))
    wire.send(CHUNKED + chunks)

    answer = await wire.answer()

    assert (413, "PAYLOAD_TOO_LARGE", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_a_body_at_the_limit_is_let_in(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve(body_bytes_max=10))
    wire.send(get("/", "Content-Length: 10", method="POST") + b"0123456789" + CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n")

    assert b"POST /? 0123456789" == (await wire.answer()).body
    assert b"POST /? 0123456789" == (await wire.answer()).body


async def test_a_413_reaches_a_client_that_is_still_sending(serve: Serve, dial: Dial) -> None:
    """A reset of the connection would take the answer from it."""
    wire = await dial(await serve(body_bytes_max=10))
    wire.send(get("/", "Content-Length: 500000", method="POST") + b"a" * 500_000)

    assert 413 == (await wire.answer()).status


@pytest.mark.parametrize(
    "body",
    [b"5;" + b"a" * 200 + b"\r\nhello\r\n", b"1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 20, b"0\r\n" + b"X: a\r\n" * 60],
    ids=["one extension", "all extensions", "trailers"],
)
async def test_chunk_extensions_and_trailers_over_the_header_limits_are_400(
    serve: Serve, dial: Dial, body: bytes
) -> None:
    wire = await dial(await serve(header_bytes_max=100, headers_bytes_max=300))
    wire.send(CHUNKED + body)

    answer = await wire.answer()

    assert (400, "BAD_REQUEST", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_a_websocket_is_refused_where_nobody_takes_it(serve: Serve, dial: Dial) -> None:
    wire = await dial(await serve())
    wire.send(get("/", "Connection: keep-alive, Upgrade", "Upgrade: websocket"))

    answer = await wire.answer()

    assert (400, "UPGRADE_REFUSED", True) == (answer.status, answer.type, answer.closes)
    assert b"" == await wire.rest()


async def test_another_upgrade_is_ignored(serve: Serve, dial: Dial) -> None:
    """RFC 9110 section 7.8: curl asks for h2c and goes on in HTTP/1.1."""
    wire = await dial(await serve())
    wire.send(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk") + get("/2"))

    assert b"GET /? " == (await wire.answer()).body
    assert b"GET /2? " == (await wire.answer()).body
