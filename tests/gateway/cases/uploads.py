"""Uploads: multipart forms and raw streams."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Gateway, ask, get, send

_KIND = "multipart/form-data; boundary=XX"


def field(name: str, value: str) -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file(name: str, filename: str, content: bytes, kind: str | None = "text/plain", more: str = "") -> bytes:
    typed = "" if kind is None else f"Content-Type: {kind}\r\n"
    return (
        f'--XX\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n{typed}{more}\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(
    name: str, target: str, *parts: bytes, kind: str = _KIND, end: bytes = b"--XX--\r\n", method: str = "POST"
) -> Case:
    return send(method, target, kind, b"".join(parts) + end, name)


_ONE = file("f", "a.txt", b"content")


def _limited(**options: Any) -> dict[str, Any]:
    return {"type": "multipart", "action": "files.save", "busboyConfig": options}


_ALIASES: dict[str, Any] = {
    "POST upload": "multipart:files.save",
    "POST upload/:id": "multipart:files.save",
    "PUT upload": {"type": "multipart", "action": "files.save"},
    "POST fail": "multipart:files.fail",
    "POST refuse": "multipart:files.refuse",
    "POST missing": "multipart:nowhere.action",
    "POST plain": "test.echo",
}

MULTIPART = Gateway(
    "multipart",
    {
        "routes": [
            {"path": "/", "bodyParsers": False, "aliases": _ALIASES},
            {"path": "/parsed", "bodyParsers": {"json": True, "urlencoded": True}, "aliases": _ALIASES},
        ]
    },
    (
        form("one file", "/upload", _ONE),
        form("one file with PUT", "/upload", _ONE, method="PUT"),
        form("one file and path and query", "/upload/7?q=1", _ONE),
        form("a field before a file", "/upload", field("a", "1"), _ONE),
        form("a field after a file", "/upload", _ONE, field("a", "1")),
        form("a field between two files", "/upload", _ONE, field("a", "1"), file("g", "b.txt", b"more")),
        form("a field twice", "/upload", field("a", "1"), field("a", "2"), _ONE),
        form("a field over a path value", "/upload/7", field("id", "8"), _ONE),
        form("a field with a $ name", "/upload", field("$filename", "evil"), field("$meta", "x"), _ONE),
        form("a field named __proto__", "/upload", field("__proto__", "x"), _ONE),
        form("an empty field", "/upload", field("a", ""), _ONE),
        form("a field in brackets", "/upload", field("a[b]", "1"), _ONE),
        form("two files", "/upload", _ONE, file("g", "b.txt", b"more")),
        form("two files of one name", "/upload", _ONE, file("f", "b.txt", b"more")),
        form("an empty file", "/upload", file("f", "a.txt", b"")),
        form("a file of another type", "/upload", file("f", "a.png", b"\x00\xff\x89", "image/png")),
        form("a file without a type", "/upload", file("f", "a.bin", b"x", None)),
        form(
            "a file of an odd encoding",
            "/upload",
            file("f", "a.txt", b"eA==", more="Content-Transfer-Encoding: base64\r\n"),
        ),
        form("a file name with a path", "/upload", file("f", "../../etc/passwd", b"x")),
        form("a file name with backslashes", "/upload", file("f", "C:\\\\dir\\\\a.txt", b"x")),
        form("a file name of dots", "/upload", file("f", "..", b"x")),
        form("an empty file name", "/upload", file("f", "", b"x")),
        form("a file name in UTF-8", "/upload", file("f", "é😀.txt", b"x")),
        form("a file name with quotes", "/upload", file("f", 'a\\"b.txt', b"x")),
        form("no file", "/upload", field("a", "1")),
        form("nothing at all", "/upload"),
        form("an action that fails", "/fail", _ONE),
        form("an action that refuses", "/refuse", _ONE),
        form("an action that is missing", "/missing", _ONE),
        form("a boundary in quotes", "/upload", _ONE, kind='multipart/form-data; boundary="XX"'),
        form("no boundary", "/upload", _ONE, kind="multipart/form-data"),
        form("another boundary", "/upload", _ONE, kind="multipart/form-data; boundary=YY"),
        form("no end", "/upload", _ONE, end=b""),
        form("cut in a head", "/upload", _ONE[:40], end=b""),
        form("cut in a file", "/upload", _ONE[:-4], end=b""),
        form("a preamble and an epilogue", "/upload", b"before\r\n", _ONE, end=b"--XX--\r\nafter"),
        form("a part without a disposition", "/upload", b"--XX\r\n\r\nx\r\n", _ONE),
        form("a part without a name", "/upload", b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n", _ONE),
        send("POST", "/upload", "application/json", b'{"a":1}', "JSON to a multipart alias"),
        send("POST", "/upload", "application/x-www-form-urlencoded", b"a=1", "a form to a multipart alias"),
        send("POST", "/upload", "multipart/mixed; boundary=XX", _ONE + b"--XX--\r\n", "multipart/mixed"),
        send("POST", "/upload", None, b"x", "no content type"),
        ask("POST", "/upload", None, b"", "no body"),
        ask("POST", "/upload", {"Content-Type": _KIND}, b"", "an empty body"),
        form("multipart beside parsers", "/parsed/upload", field("a", "1"), _ONE),
        form("multipart to an ordinary alias", "/plain", _ONE),
        form("multipart to an ordinary alias with parsers", "/parsed/plain", _ONE),
        get("/upload"),
    ),
)

LIMITS = Gateway(
    "multipart_limits",
    {
        "routes": [
            {
                "path": "/",
                "bodyParsers": False,
                "aliases": {
                    "POST one": _limited(limits={"files": 1}),
                    "POST two": _limited(limits={"files": 2}),
                    "POST small": _limited(limits={"fileSize": 5}),
                    "POST fields": _limited(limits={"fields": 1}),
                    "POST parts": _limited(limits={"parts": 2}),
                    "POST fieldsize": _limited(limits={"fieldSize": 3}),
                },
            },
            {
                "path": "/route",
                "bodyParsers": False,
                "busboyConfig": {"limits": {"files": 1, "fileSize": 5}},
                "aliases": {
                    "POST upload": "multipart:files.save",
                    "POST more": _limited(limits={"fileSize": 10}),
                },
            },
        ]
    },
    (
        form("one file of one", "/one", _ONE),
        form("two files of one", "/one", _ONE, file("g", "b.txt", b"more")),
        form("three files of two", "/two", _ONE, _ONE, _ONE),
        form("a file within its limit", "/small", file("f", "a.txt", b"12345")),
        form("a file over its limit", "/small", file("f", "a.txt", b"123456")),
        form("two fields of one", "/fields", field("a", "1"), field("b", "2"), _ONE),
        form("three parts of two", "/parts", field("a", "1"), field("b", "2"), _ONE),
        form("a field over its limit", "/fieldsize", field("a", "12345"), _ONE),
        form("the limits of the route", "/route/upload", _ONE),
        form("the limits of an alias over the route's", "/route/more", _ONE),
        form("two files where an alias says nothing of them", "/route/more", _ONE, file("g", "b.txt", b"more")),
    ),
)

EMPTY = Gateway(
    "multipart_empty",
    {"routes": [{"path": "/", "bodyParsers": False, "aliases": {"POST empty": _limited(empty=True)}}]},
    (
        form("no file where none is needed", "/empty", field("a", "1"), field("b", "2")),
        form("nothing where none is needed", "/empty"),
        form("a file where none is needed", "/empty", field("a", "1"), _ONE),
    ),
)

PATHS = Gateway(
    "multipart_preserve_path",
    {"routes": [{"path": "/", "bodyParsers": False, "aliases": {"POST paths": _limited(preservePath=True)}}]},
    (form("a path kept", "/paths", file("f", "dir/a.txt", b"x")),),
)

_STREAMS: dict[str, Any] = {
    "PUT stream": "stream:files.save",
    "PUT stream/:id": "stream:files.save",
    "POST object": {"type": "stream", "action": "files.save"},
    "PUT streamfail": "stream:files.fail",
    "PUT streammissing": "stream:nowhere.action",
}

STREAMS = Gateway(
    "stream_uploads",
    {
        "routes": [
            {"path": "/", "bodyParsers": False, "aliases": _STREAMS},
            {"path": "/parsed", "bodyParsers": {"json": True}, "aliases": _STREAMS},
        ]
    },
    (
        send("PUT", "/stream", "application/octet-stream", b"raw bytes"),
        send("PUT", "/stream/7?q=1", "text/plain", b"raw bytes"),
        send("POST", "/object", "text/plain", b"raw bytes"),
        send("PUT", "/stream", None, b"raw bytes", "a stream without a content type"),
        send("PUT", "/stream", "application/json", b'{"a":1}', "JSON as a stream"),
        ask("PUT", "/stream", None, b"", "an empty stream"),
        ask("PUT", "/stream", name="no body as a stream"),
        send("PUT", "/stream", "text/plain", b"x" * 200_000, "200 kB as a stream"),
        send("PUT", "/streamfail", "text/plain", b"x", "a stream to an action that fails"),
        send("PUT", "/streammissing", "text/plain", b"x", "a stream to a missing action"),
        send("PUT", "/parsed/stream", "text/plain", b"raw bytes", "a stream beside parsers"),
        Case(
            "a stream in chunks",
            (
                b"PUT /stream HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n5\r\n five\r\n0\r\n\r\n",
            ),
        ),
    ),
)

GATEWAYS = (MULTIPART, LIMITS, EMPTY, PATHS, STREAMS)
