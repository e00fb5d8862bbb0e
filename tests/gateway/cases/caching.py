"""ETag, conditional requests, and static files."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Function, Gateway, ask, get, gets, post, several
from tests.gateway.static_files import STATIC

_ALIASES = {
    "/hello": "test.hello",
    "/json": "test.json",
    "/echo": "test.echo",
    "/bytes": "answers.bytes",
    "/noBytes": "answers.noBytes",
    "/stream": "answers.stream",
    "/nothing": "answers.nothing",
    "/empty": "answers.empty",
    "/text": "answers.text",
    "/csv": "answers.csv",
    "/missing": "nowhere.action",
    "/shaped": "answers.shaped",
    "/raise": "errors.raise",
}
_STRONG = '"7-upJ3/ExhkPuHWtj5zuhI26aZk38"'
"""Of the body ``"Hello"``, quotes included."""

_HELLO = f"W/{_STRONG}"


def _route(path: str, etag: Any) -> dict[str, Any]:
    return {"path": path, "etag": etag, "aliases": _ALIASES}


def _if_none_match(path: str, value: str, name: str = "", method: str = "GET") -> Case:
    return ask(method, path, {"If-None-Match": value}, name=name or f"{method} {path} if none match {value}")


ETAGS = Gateway(
    "etag",
    {
        "routes": [
            _route("/true", True),
            _route("/weak", "weak"),
            _route("/strong", "strong"),
            _route("/off", False),
            {"path": "/unset", "aliases": _ALIASES},
        ]
    },
    (
        *(get(f"/{path}/hello") for path in ("true", "weak", "strong", "off", "unset")),
        *gets(
            "/true/json",
            "/true/bytes",
            "/true/noBytes",
            "/true/stream",
            "/true/nothing",
            "/true/empty",
            "/true/text",
            "/true/csv",
            "/true/missing",
            "/true/nowhere",
            "/strong/bytes",
            "/strong/text",
        ),
        ask("HEAD", "/true/hello"),
        ask("POST", "/true/hello"),
        _if_none_match("/true/hello", _HELLO),
        _if_none_match("/true/hello", _STRONG, "a strong tag for a weak one"),
        _if_none_match("/strong/hello", _STRONG),
        _if_none_match("/strong/hello", _HELLO, "a weak tag for a strong one"),
        _if_none_match("/true/hello", f'"other", {_HELLO}', "a tag in a list"),
        _if_none_match("/true/hello", "*", "any tag"),
        _if_none_match("/true/hello", '"other"', "another tag"),
        _if_none_match("/true/hello", "nonsense", "a tag that is none"),
        _if_none_match("/off/hello", "*", "any tag where there are none"),
        _if_none_match("/off/hello", _HELLO, "a tag where there are none"),
        _if_none_match("/true/missing", "*", "any tag of an error"),
        _if_none_match("/true/nothing", "*", "any tag of nothing"),
        _if_none_match("/true/hello", _HELLO, "a tag with HEAD", "HEAD"),
        _if_none_match("/true/hello", _HELLO, "a tag with POST", "POST"),
        _if_none_match("/true/hello", _HELLO, "a tag with DELETE", "DELETE"),
        get("/true/hello", {"If-None-Match": _HELLO, "Cache-Control": "no-cache"}, "a tag and no-cache"),
        get("/true/hello", {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, "a date without Last-Modified"),
        *(
            ask(
                "POST",
                "/off/shaped",
                {"Content-Type": "application/json", "If-Modified-Since": since},
                b'{"meta":{"$responseHeaders":{"Last-Modified":"Tue, 14 Nov 2023 22:13:20 GMT"}},"result":"a"}',
                f"POST modified since {since}",
            )
            for since in ("Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT", "nonsense")
        ),
        *(
            ask(
                "GET",
                "/off/shaped",
                {"Content-Type": "application/json", "If-Modified-Since": since},
                b'{"meta":{"$responseHeaders":{"Last-Modified":"Tue, 14 Nov 2023 22:13:20 GMT"}},"result":"a"}',
                f"GET modified since {since}",
            )
            for since in (
                "Tue, 14 Nov 2023 22:13:20 GMT",
                "Tue, 14 Nov 2023 22:13:19 GMT",
                "Tue, 14 Nov 2023 22:13:21 GMT",
            )
        ),
        post("/true/shaped", {"meta": {"$responseHeaders": {"ETag": '"mine"'}}, "result": 1}, "an ETag of the action"),
        post("/true/shaped", {"meta": {"$statusCode": 201}, "result": 1}, "an ETag with 201"),
        post("/true/shaped", {"meta": {"$statusCode": 404}, "result": 1}, "an ETag with 404"),
        ask(
            "GET",
            "/true/shaped",
            {"Content-Type": "application/json", "If-None-Match": '"mine"'},
            b'{"meta":{"$responseHeaders":{"ETag":"\\"mine\\""}},"result":1}',
            "an ETag of the action that matches",
        ),
        ask(
            "GET",
            "/true/shaped",
            {"Content-Type": "application/json", "If-None-Match": "*"},
            b'{"meta":{"$statusCode":302,"$location":"/a"},"result":1}',
            "any tag of a redirect",
        ),
        ask(
            "GET",
            "/true/shaped",
            {"Content-Type": "application/json", "If-None-Match": "*"},
            b'{"meta":{"$responseHeaders":{"X-Kept":"1","Vary":"Accept","Cache-Control":"max-age=5"}},"result":1}',
            "headers of a 304",
        ),
    ),
)

ETAG_FUNCTION = Gateway(
    "etag_function",
    {"routes": [_route("/made", Function("etagOfLength"))]},
    (
        *gets("/made/hello", "/made/csv", "/made/empty", "/made/bytes", "/made/stream", "/made/nothing"),
        _if_none_match("/made/hello", '"len-7"'),
        _if_none_match("/made/hello", '"len-8"'),
    ),
)

ETAG_OF_GATEWAY = Gateway(
    "etag_of_gateway",
    {
        "etag": "strong",
        "routes": [{"path": "/in", "aliases": _ALIASES}, _route("/off", False), _route("/weak", "weak")],
    },
    gets("/in/hello", "/off/hello", "/weak/hello"),
)


def _range(value: str, path: str = "/digits.txt") -> Case:
    return get(path, {"Range": value}, f"{path} range {value}")


_FILES = (
    *gets(
        "/",
        "/index.html",
        "/style.css",
        "/app.js",
        "/digits.txt",
        "/data.json",
        "/a%20b.txt",
        "/noext",
        "/nothing.txt",
        "/sub",
        "/sub/",
        "/sub/index.html",
        "/empty",
        "/empty/",
        "/empty/page.txt",
        "/digits.txt/",
        "/digits.txt?v=2",
        "/DIGITS.txt",
        "/nowhere.txt",
        "/.hidden",
        "/%2ehidden",
        "/sub/../digits.txt",
        "/../case.py",
        "/%2e%2e/case.py",
        "/..%2fcase.py",
        "/..%5ccase.py",
        "/sub%2findex.html",
        "/digits.txt%00",
        "/%zz",
        "//digits.txt",
        "/sub//index.html",
        "/./digits.txt",
        "/api/hello",
        "/api/nowhere",
        "/api",
    ),
    *(ask(method, "/digits.txt") for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS")),
    ask("HEAD", "/nowhere.txt"),
    _range("bytes=0-3"),
    _range("bytes=5-"),
    _range("bytes=-3"),
    _range("bytes=0-100"),
    _range("bytes=20-30"),
    _range("bytes=3-1"),
    _range("bytes=0-1,4-5"),
    _range("nonsense"),
    _range("bytes=a-b"),
    _range("chars=0-3"),
    several(
        "a file by its tag",
        get("/digits.txt"),
        get("/digits.txt", {"If-None-Match": "{etag}"}),
        get("/digits.txt", {"If-None-Match": '"other", {etag}'}),
        get("/digits.txt", {"If-None-Match": "*"}),
        ask("HEAD", "/digits.txt", {"If-None-Match": "{etag}"}),
    ),
    several(
        "a file if its tag matches",
        get("/digits.txt"),
        get("/digits.txt", {"If-Match": "{etag}"}),
        get("/digits.txt", {"If-Match": "*"}),
    ),
    several(
        "a range if its tag matches",
        get("/digits.txt"),
        get("/digits.txt", {"If-Range": "{etag}", "Range": "bytes=0-3"}),
    ),
    get(
        "/digits.txt",
        {"If-None-Match": '"other"', "If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
        "a file by another tag and its date",
    ),
    get("/digits.txt", {"Range": "bytes=0-0,-1"}, "the first and the last byte of a file"),
    get("/digits.txt", {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(8))}, "eight ranges of a file"),
    get("/nothing.txt", {"Range": "bytes=0-0"}, "a range of an empty file"),
    ask("HEAD", "/digits.txt", {"Range": "bytes=0-3"}, name="a range with HEAD"),
    get("/digits.txt", {"If-None-Match": '"other"'}, "a file by another tag"),
    get("/digits.txt", {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, "a file by its date"),
    get("/digits.txt", {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, "a file by an earlier date"),
    get("/digits.txt", {"If-Match": '"other"'}, "a file if another tag matches"),
    get("/digits.txt", {"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, "a file if it is older"),
    get("/digits.txt", {"Range": "bytes=0-3", "If-Range": '"other"'}, "a range if another tag matches"),
    get(
        "/digits.txt",
        {"Range": "bytes=0-3", "If-Range": "Tue, 14 Nov 2023 22:13:20 GMT"},
        "a range if the date is the same",
    ),
)

ASSETS = Gateway(
    "assets",
    {
        "assets": {"folder": STATIC},
        "routes": [{"path": "/api", "aliases": {"GET hello": "test.hello"}}],
    },
    _FILES,
)
ASSETS_UNDER_ROUTE = Gateway(
    "assets_under_route",
    {
        "assets": {"folder": STATIC},
        "cors": {"origin": "http://a.test"},
        "routes": [{"path": "/", "aliases": {"GET hello": "test.hello", "GET style.css": "test.json"}}],
    },
    (
        *gets("/hello", "/style.css", "/digits.txt", "/nowhere.txt"),
        get("/digits.txt", {"Origin": "http://a.test"}, "a file of an allowed origin"),
        get("/digits.txt", {"Origin": "http://evil.test"}, "a file of a foreign origin"),
    ),
)
ASSETS_OPTIONS = Gateway(
    "assets_options",
    {
        "path": "/gw",
        "assets": {
            "folder": STATIC,
            "options": {"maxAge": 3_600_000, "index": False, "etag": False, "lastModified": False, "redirect": False},
        },
        "routes": [{"path": "/api", "aliases": {"GET hello": "test.hello"}}],
    },
    gets("/", "/digits.txt", "/sub", "/sub/", "/gw/digits.txt", "/gw/api/hello"),
)

GATEWAYS = (ETAGS, ETAG_FUNCTION, ETAG_OF_GATEWAY, ASSETS, ASSETS_UNDER_ROUTE, ASSETS_OPTIONS)
