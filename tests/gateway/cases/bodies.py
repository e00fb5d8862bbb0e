"""Bodies: which are read, how they are unpacked, and what is refused."""

from __future__ import annotations

import gzip
import json
import zlib

from tests.gateway.case import Case, Gateway, ask, head, post, raw, send

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
SMALL = b'{"a":"\xc3\xa9"}'
# Always the same bytes: no time in the head.
GZIP = gzip.compress(SMALL, mtime=0)


def chunked(name: str, *chunks: bytes, end: bytes = b"0\r\n\r\n", odd: bool = False, target: str = "/echo") -> Case:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    first = head("POST", target, {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    return Case(name, (first + body,), odd)


def malformed(name: str, body: bytes) -> Case:
    return send("POST", "/echo", JSON, body, name)


def long(name: str, body: bytes) -> Case:
    return send("POST", "/length", JSON, body, name)


_DEEP = b'{"a":' + b"[" * 62 + b"]" * 62 + b"}"
_DEEPER = b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"

JSON_BODIES = Gateway(
    "bodies_json",
    {"routes": [{"bodyParsers": {"json": True}, "aliases": {"/echo": "test.echo", "/length": "test.length"}}]},
    (
        post("/echo", {"a": 1}),
        send("POST", "/echo", "application/json; charset=utf-8", SMALL),
        send("POST", "/echo", "Application/JSON", SMALL),
        send("POST", "/echo", "application/json;charset=UTF-8", SMALL),
        send("POST", "/echo", 'application/json; charset="utf-8"', SMALL, "a charset in quotes"),
        send("POST", "/echo", "application/json; odd", SMALL),
        send("POST", "/echo", "application/vnd.api+json", SMALL),
        send("POST", "/echo", "text/json", SMALL),
        send("POST", "/echo", "text/plain", b"text"),
        send("POST", "/echo", "text/plain", SMALL, "JSON as text/plain"),
        send("POST", "/echo", None, SMALL, "no content type"),
        send("POST", "/echo", "", SMALL, "an empty content type"),
        send("POST", "/echo", "nonsense", SMALL),
        send("POST", "/echo", FORM, b"a=1"),
        send("POST", "/echo", "multipart/form-data; boundary=x", b"--x--\r\n", "multipart for a JSON parser"),
        send("POST", "/echo", "application/json; charset=iso-8859-1", b'{"a":1}', "charset iso-8859-1"),
        send(
            "POST", "/echo", "application/json; charset=utf-16le", '{"a":"é"}'.encode("utf-16-le"), "charset utf-16le"
        ),
        send("POST", "/echo", "application/json; charset=nonsense", b'{"a":1}', "an unknown charset"),
        send("POST", "/echo", JSON, b"\xef\xbb\xbf" + SMALL, "a byte order mark"),
        send("POST", "/echo", JSON, b"  \r\n\t" + SMALL + b" \n", "blanks around"),
        malformed("cut JSON", b'{"a":1'),
        malformed("an opening brace", b"{"),
        malformed("not JSON", b"hello"),
        malformed("trailing garbage", b'{"a":1} x'),
        malformed("two documents", b'{"a":1}{"b":2}'),
        malformed("a trailing comma", b'{"a":1,}'),
        malformed("single quotes", b"{'a':1}"),
        malformed("a comment", b'{"a":1 /* c */}'),
        malformed("NaN", b'{"a":NaN}'),
        malformed("Infinity", b'{"a":Infinity}'),
        malformed("a leading zero", b'{"a":01}'),
        malformed("1e999", b'{"a":1e999}'),
        malformed("a number at the top", b"5"),
        malformed("a text at the top", b'"text"'),
        malformed("null at the top", b"null"),
        malformed("true at the top", b"true"),
        malformed("blanks only", b"   "),
        malformed("not UTF-8", b'{"a":"\xff"}'),
        malformed("a lone surrogate", b'{"a":"\\ud800"}'),
        malformed("a control character in a text", b'{"a":"\x01"}'),
        malformed("an escaped NUL", b'{"a":"\\u0000"}'),
        malformed("63 levels", _DEEP),
        malformed("65 levels", _DEEPER),
        ask("POST", "/echo", {"Content-Type": JSON}, b"", "an empty body"),
        ask("POST", "/echo", {"Content-Type": JSON}, None, "no body at all"),
        ask("POST", "/echo", {"Content-Type": "text/plain"}, b"", "an empty body that is not JSON"),
        long("100 kB of JSON", b'{"a":"' + b"x" * (100 * 1024 - 8) + b'"}'),
        long("one byte over 100 kB of JSON", b'{"a":"' + b"x" * (100 * 1024 - 7) + b'"}'),
        long("1 MiB of JSON and more", b'{"a":"' + b"x" * (1024 * 1024) + b'"}'),
        chunked("a body in chunks", b'{"a":', b"1}"),
        chunked("no chunks but the last"),
        chunked("chunks over 100 kB", b'{"a":"', *[b"x" * 10_000] * 11, b'"}', target="/length"),
        chunked("a trailer after the chunks", b'{"a":1}', end=b"0\r\nX-Trailer: 1\r\n\r\n"),
        chunked("a chunk extension", end=b'7;ext=1\r\n{"a":1}\r\n0\r\n\r\n'),
        chunked("a chunk size that is no number", end=b"zz\r\n", odd=True),
        chunked("a chunk without its line end", end=b'7\r\n{"a":1}XX0\r\n\r\n', odd=True),
    ),
)

UNPACKED = Gateway(
    "bodies_unpacked",
    {"routes": [{"bodyParsers": {"json": True}, "aliases": {"/echo": "test.echo", "/length": "test.length"}}]},
    (
        send("POST", "/echo", JSON, GZIP, "gzip", Content_Encoding="gzip"),
        send("POST", "/echo", JSON, GZIP, "gzip in upper case", Content_Encoding="GZIP"),
        send("POST", "/echo", JSON, GZIP, "x-gzip", Content_Encoding="x-gzip"),
        send("POST", "/echo", JSON, zlib.compress(SMALL), "deflate", Content_Encoding="deflate"),
        send("POST", "/echo", JSON, zlib.compress(SMALL)[2:-4], "raw deflate", Content_Encoding="deflate"),
        send("POST", "/echo", JSON, SMALL, "identity", Content_Encoding="identity"),
        send("POST", "/echo", JSON, bytes.fromhex("8b04807b2261223a22c3a9227d03"), "br", Content_Encoding="br"),
        send("POST", "/echo", JSON, b"nonsense", "broken br", Content_Encoding="br"),
        send(
            "POST",
            "/echo",
            JSON,
            bytes.fromhex("28b52ffd200a5100007b2261223a22c3a9227d"),
            "zstd",
            Content_Encoding="zstd",
        ),
        send("POST", "/echo", JSON, SMALL, "an unknown encoding", Content_Encoding="nonsense"),
        send("POST", "/echo", JSON, GZIP, "two encodings", Content_Encoding="gzip, gzip"),
        send("POST", "/echo", JSON, b"nonsense", "broken gzip", Content_Encoding="gzip"),
        send("POST", "/echo", JSON, GZIP[:-6], "cut gzip", Content_Encoding="gzip"),
        send("POST", "/echo", JSON, GZIP + b"more", "gzip followed by other bytes", Content_Encoding="gzip"),
        send("POST", "/echo", JSON, b"nonsense", "broken deflate", Content_Encoding="deflate"),
        send("POST", "/echo", JSON, SMALL, "gzip that is none", Content_Encoding="gzip"),
        ask("POST", "/echo", {"Content-Type": JSON, "Content-Encoding": "gzip"}, b"", "an empty body in gzip"),
        ask(
            "POST",
            "/echo",
            {"Content-Type": JSON, "Content-Encoding": "nonsense"},
            b"",
            "an empty body in an unknown encoding",
        ),
        send(
            "POST",
            "/length",
            JSON,
            gzip.compress(b'{"a":"' + b"x" * 200_000 + b'"}', mtime=0),
            "gzip that grows over 100 kB",
            Content_Encoding="gzip",
        ),
        send(
            "POST",
            "/length",
            JSON,
            gzip.compress(b'{"a":"' + b"x" * 3_000_000 + b'"}', mtime=0),
            "gzip that grows over 1 MiB",
            Content_Encoding="gzip",
        ),
        send("POST", "/echo", "text/plain", b"nonsense", "broken gzip of another type", Content_Encoding="gzip"),
    ),
)

_FORMS = (
    send("POST", "/echo", FORM, b"a=1&b=2"),
    send("POST", "/echo", FORM, b"a=1&a=2"),
    send("POST", "/echo", FORM, b"a[]=1&a[]=2"),
    send("POST", "/echo", FORM, b"a[b]=1&a[c]=2"),
    send("POST", "/echo", FORM, b"a[b][c]=1"),
    send("POST", "/echo", FORM, b"a=b+c&d=%C3%A9&e=%zz"),
    send("POST", "/echo", FORM, b"a"),
    send("POST", "/echo", FORM, b"a="),
    send("POST", "/echo", FORM, b"=a"),
    send("POST", "/echo", FORM, b"&&"),
    send("POST", "/echo", FORM, b"__proto__=1&a=2"),
    send("POST", "/echo", FORM, b"a[0]=x&a[2]=y"),
    send("POST", "/echo", FORM + "; charset=utf-8", b"a=%C3%A9"),
    send("POST", "/echo", FORM + "; charset=iso-8859-1", b"a=%E9"),
    send("POST", "/echo", FORM + "; charset=nonsense", b"a=1"),
    send("POST", "/echo", FORM, b"a=\xc3\xa9", "raw UTF-8 in a form"),
    send("POST", "/echo", FORM, b"a=\xff", "no UTF-8 in a form"),
    send("POST", "/length", FORM, "&".join(f"p{n}=1" for n in range(1000)).encode(), "1000 fields"),
    send("POST", "/length", FORM, "&".join(f"p{n}=1" for n in range(1001)).encode(), "1001 fields"),
    send("POST", "/echo", FORM, b"a" + b"[b]" * 10 + b"=1", "10 brackets in a form"),
    send("POST", "/echo", FORM, b"a" + b"[b]" * 33 + b"=1", "33 brackets in a form"),
    send("POST", "/length", FORM, b"a=" + b"x" * 110_000, "a form over 100 kB"),
    send("POST", "/echo", JSON, SMALL, "JSON for a form parser"),
    send("POST", "/echo?a=query", FORM, b"a=body&b=body"),
    ask("POST", "/echo", {"Content-Type": FORM}, b"", "an empty form"),
)


def _forms(name: str, parsers: object) -> Gateway:
    return Gateway(
        name,
        {"routes": [{"bodyParsers": parsers, "aliases": {"/echo": "test.echo", "/length": "test.length"}}]},
        _FORMS,
    )


EXTENDED = _forms("bodies_form_extended", {"urlencoded": {"extended": True}})
FLAT = _forms("bodies_form_flat", {"urlencoded": {"extended": False}})
DEFAULT_FORM = Gateway(
    "bodies_form_true",
    {"routes": [{"bodyParsers": {"urlencoded": True, "json": True}, "aliases": {"/echo": "test.echo"}}]},
    (*_FORMS[:6], send("POST", "/echo", JSON, SMALL)),
)

OFF = Gateway(
    "bodies_off",
    {
        "routes": [
            {"path": "/off", "bodyParsers": False, "aliases": {"/echo": "test.echo"}},
            {"path": "/true", "bodyParsers": True, "aliases": {"/echo": "test.echo"}},
            {"path": "/none", "aliases": {"/echo": "test.echo"}},
            {"path": "/empty", "bodyParsers": {}, "aliases": {"/echo": "test.echo"}},
            {
                "path": "/partly",
                "bodyParsers": {"json": False, "urlencoded": {"extended": True}},
                "aliases": {"/echo": "test.echo"},
            },
        ]
    },
    tuple(
        send("POST", f"/{path}/echo?q=1", kind, body)
        for path in ("off", "true", "none", "empty", "partly")
        for kind, body in ((JSON, b'{"a":1}'), (FORM, b"a=1"), (JSON, b"{"))
    ),
)

LIMITS = Gateway(
    "bodies_limits",
    {
        "routes": [
            {
                "path": "/small",
                "bodyParsers": {"json": {"limit": 20}, "urlencoded": {"extended": True, "limit": "20b"}},
                "aliases": {"/echo": "test.echo"},
            },
            {"path": "/large", "bodyParsers": {"json": {"limit": "2MB"}}, "aliases": {"/length": "test.length"}},
        ]
    },
    (
        send("POST", "/small/echo", JSON, b'{"a":"1234567890ab"}', "20 bytes of 20"),
        send("POST", "/small/echo", JSON, b'{"a":"1234567890abc"}', "21 bytes of 20"),
        send("POST", "/small/echo", FORM, b"a=" + b"x" * 18, "a form of 20 bytes of 20"),
        send("POST", "/small/echo", FORM, b"a=" + b"x" * 19, "a form of 21 bytes of 20"),
        send(
            "POST",
            "/small/echo",
            JSON,
            gzip.compress(b'{"a":"1234567890abc"}', mtime=0),
            "21 bytes after inflating",
            Content_Encoding="gzip",
        ),
        send("POST", "/large/length", JSON, json.dumps({"a": "x" * 150_000}).encode(), "150 kB of 2 MB"),
    ),
)

PARSER_OPTIONS = Gateway(
    "bodies_options",
    {
        "routes": [
            {
                "path": "/loose",
                "bodyParsers": {"json": {"strict": False}},
                "mergeParams": False,
                "aliases": {"/echo": "test.echo"},
            },
            {
                "path": "/typed",
                "bodyParsers": {"json": {"type": "application/vnd.api+json"}},
                "aliases": {"/echo": "test.echo"},
            },
            {"path": "/packed", "bodyParsers": {"json": {"inflate": False}}, "aliases": {"/echo": "test.echo"}},
        ]
    },
    (
        send("POST", "/loose/echo", JSON, b"5", "a number where scalars are let in"),
        send("POST", "/loose/echo", JSON, b"null", "null where scalars are let in"),
        send("POST", "/typed/echo", "application/vnd.api+json", SMALL),
        send("POST", "/typed/echo", JSON, SMALL),
        send("POST", "/packed/echo", JSON, GZIP, "gzip where nothing is inflated", Content_Encoding="gzip"),
        send("POST", "/packed/echo", JSON, SMALL),
    ),
)

TEXT_AND_RAW = Gateway(
    "bodies_text_raw",
    {
        "routes": [
            {"path": "/text", "mergeParams": False, "bodyParsers": {"text": True}, "aliases": {"/echo": "test.echo"}},
            {"path": "/merged", "bodyParsers": {"text": True}, "aliases": {"/echo": "test.echo"}},
            {"path": "/raw", "mergeParams": False, "bodyParsers": {"raw": True}, "aliases": {"/echo": "test.echo"}},
            {
                "path": "/xml",
                "mergeParams": False,
                "bodyParsers": {"text": {"type": "text/xml"}, "json": True},
                "aliases": {"/echo": "test.echo"},
            },
        ]
    },
    (
        send("POST", "/text/echo", "text/plain", "text é".encode()),
        send("POST", "/text/echo", "text/plain; charset=iso-8859-1", b"text \xe9", "text in ISO 8859-1"),
        send("POST", "/text/echo", "text/html", b"<p>"),
        send("POST", "/text/echo", JSON, SMALL),
        ask("POST", "/text/echo", {"Content-Type": "text/plain"}, b"", "an empty text"),
        send("POST", "/merged/echo", "text/plain", b"text"),
        send("POST", "/raw/echo", "application/octet-stream", b"\x00\xff", "bytes"),
        send("POST", "/raw/echo", "image/png", b"\x00\xff", "an image"),
        send("POST", "/xml/echo", "text/xml", b"<a/>"),
        send("POST", "/xml/echo", JSON, SMALL),
        send("POST", "/xml/echo", "text/plain", b"text"),
    ),
)

FRAMING = Gateway(
    "bodies_framing",
    {"routes": [{"bodyParsers": {"json": True}, "aliases": {"/echo": "test.echo"}}]},
    (
        ask("POST", "/echo", {"Content-Type": JSON, "Expect": "100-continue"}, SMALL, "Expect: 100-continue"),
        ask("POST", "/echo", {"Content-Type": JSON, "Expect": "nonsense"}, SMALL, "Expect: nonsense", raw=True),
        raw(
            "two lengths",
            head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "9\r\nContent-Length: 8"}) + SMALL,
        ),
        raw(
            "two equal lengths",
            head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "9\r\nContent-Length: 9"}) + SMALL,
        ),
        raw("a signed length", head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "+9"}) + SMALL),
        raw("a negative length", head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "-1"}) + SMALL),
        raw("an empty length", head("POST", "/echo", {"Content-Type": JSON, "Content-Length": ""}) + SMALL),
        raw("a hexadecimal length", head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "0x9"}) + SMALL),
        raw(
            "length and chunked",
            head("POST", "/echo", {"Content-Type": JSON, "Content-Length": "9", "Transfer-Encoding": "chunked"})
            + b"0\r\n\r\n",
        ),
        raw("an unknown transfer coding", head("POST", "/echo", {"Transfer-Encoding": "gzip, chunked"}) + b"0\r\n\r\n"),
        raw("chunked twice", head("POST", "/echo", {"Transfer-Encoding": "chunked, chunked"}) + b"0\r\n\r\n"),
        raw("identity as transfer coding", head("POST", "/echo", {"Transfer-Encoding": "identity"})),
    ),
)

GATEWAYS = (JSON_BODIES, UNPACKED, EXTENDED, FLAT, DEFAULT_FORM, OFF, LIMITS, PARSER_OPTIONS, TEXT_AND_RAW, FRAMING)
