"""Heads: what an HTTP server makes of odd and malformed ones."""

from __future__ import annotations

from tests.gateway.case import Gateway, get, head, raw

_GET = head("GET", "/hello")
_END = b"\r\n\r\n"


def lines(*given: bytes) -> bytes:
    return b"\r\n".join(given) + _END


HEADS = Gateway(
    "heads",
    {"routes": [{"aliases": {"GET hello": "test.hello", "GET echo": "test.echo"}}]},
    (
        raw("no Host", lines(b"GET /hello HTTP/1.1", b"Connection: close")),
        raw("two Hosts", lines(b"GET /hello HTTP/1.1", b"Host: a", b"Host: b", b"Connection: close")),
        raw("an empty Host", lines(b"GET /hello HTTP/1.1", b"Host:", b"Connection: close")),
        raw("HTTP/1.0 without a Host", lines(b"GET /hello HTTP/1.0")),
        raw("HTTP/2.0 in the request line", lines(b"GET /hello HTTP/2.0", b"Host: a")),
        raw("HTTP/1.2", lines(b"GET /hello HTTP/1.2", b"Host: a", b"Connection: close")),
        raw("HTTP/0.9", b"GET /hello\r\n\r\n"),
        raw("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        raw("a blank in the target", lines(b"GET /hello you HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("two blanks in the request line", lines(b"GET  /hello HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("a tab in the request line", lines(b"GET\t/hello HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("no target", lines(b"GET HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("a NUL in the target", lines(b"GET /hel\x00lo HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("UTF-8 in the target", lines("GET /é HTTP/1.1".encode(), b"Host: a", b"Connection: close")),
        raw("a header without a colon", lines(b"GET /hello HTTP/1.1", b"Host: a", b"nonsense", b"Connection: close")),
        raw("a blank before a colon", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A : 1", b"Connection: close")),
        raw("a blank in a name", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X A: 1", b"Connection: close")),
        raw("an empty name", lines(b"GET /hello HTTP/1.1", b"Host: a", b": 1", b"Connection: close")),
        raw("a folded header", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A: 1", b" 2", b"Connection: close")),
        raw(
            "a control character in a value",
            lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A: \x01", b"Connection: close"),
        ),
        raw("a NUL in a value", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A: a\x00b", b"Connection: close")),
        raw("a bare CR in a value", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A: a\rb", b"Connection: close")),
        raw("bare line feeds", b"GET /hello HTTP/1.1\nHost: a\nConnection: close\n\n"),
        raw("a bare line feed after the request line", b"GET /hello HTTP/1.1\nHost: a\r\nConnection: close\r\n\r\n"),
        raw("ISO 8859-1 in a value", lines(b"GET /hello HTTP/1.1", b"Host: a", b"X-A: \xe9", b"Connection: close")),
        raw("blank lines before the request", b"\r\n\r\n" + _GET),
        raw("an asterisk with OPTIONS", lines(b"OPTIONS * HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("an asterisk with GET", lines(b"GET * HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("CONNECT", lines(b"CONNECT a:80 HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("absolute form", lines(b"GET http://other/hello?a=1 HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("no leading slash", lines(b"GET hello HTTP/1.1", b"Host: a", b"Connection: close")),
        raw("a target of 70 kB", head("GET", "/" + "x" * 70_000)),
        raw("a header of 70 kB", head("GET", "/hello", {"X-A": "x" * 70_000})),
        raw("120 headers", head("GET", "/hello", {f"X-{n}": "1" for n in range(120)})),
        raw("a method of 70 characters", head("A" * 70, "/hello")),
        raw("a method that is no token", head("GE(T", "/hello")),
        raw("two requests on one connection", head("GET", "/hello", {"Connection": None}) + head("GET", "/echo?a=1")),
        raw(
            "an upgrade that nobody offers",
            head("GET", "/hello", {"Upgrade": "websocket", "Connection": "Upgrade, close"}),
        ),
        get("/hello", {"Accept": "text/html"}, "an Accept that does not fit"),
        get("/hello", {"Accept-Encoding": "gzip, br"}, "an Accept-Encoding"),
        get("/hello", {"TE": "trailers"}, "a TE header"),
    ),
)

GATEWAYS = (HEADS,)
