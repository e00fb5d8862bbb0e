"""CORS: every option, preflights, foreign origins."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Function, Gateway, ask, get

_ALIASES = {
    "GET hello": "test.hello",
    "POST echo": "test.echo",
    "GET missing": "nowhere.action",
    "GET raise": "errors.plain",
}


def _route(path: str, cors: Any, **more: Any) -> dict[str, Any]:
    return {"path": path, "cors": cors, "aliases": _ALIASES, **more}


def of(origin: str | None, path: str, method: str = "GET", name: str = "", **headers: str) -> Case:
    lines = {key.replace("_", "-"): value for key, value in headers.items()}
    if origin is not None:
        lines["Origin"] = origin
    return ask(method, path, lines, name=name or f"{method} {path} of {origin}")


def preflight(origin: str | None, path: str, method: str = "GET", wanted: str | None = None, name: str = "") -> Case:
    lines = {"Access-Control-Request-Method": method}
    if wanted is not None:
        lines["Access-Control-Request-Headers"] = wanted
    if origin is not None:
        lines["Origin"] = origin
    told = "" if wanted is None else f" with {wanted}"
    return ask("OPTIONS", path, lines, name=name or f"preflight for {method} {path} of {origin}{told}")


A = "http://a.test"

BASIC = Gateway(
    "cors",
    {
        "routes": [
            _route("/true", True),
            _route("/empty", {}),
            _route("/star", {"origin": "*"}),
            _route("/one", {"origin": A}),
            _route("/list", {"origin": [A, "https://b.test:8443"]}),
            _route("/none", {"origin": []}),
            {"path": "/without", "aliases": _ALIASES},
        ]
    },
    (
        *(
            case
            for path in ("/true", "/empty", "/star", "/one", "/list", "/none", "/without")
            for case in (of(A, f"{path}/hello"), of(None, f"{path}/hello"), preflight(A, f"{path}/hello"))
        ),
        of("http://other.test", "/one/hello"),
        of("http://other.test", "/list/hello"),
        of("https://b.test:8443", "/list/hello"),
        of("https://b.test", "/list/hello"),
        of("http://a.test:80", "/one/hello"),
        of("https://a.test", "/one/hello"),
        of("http://a.test.evil.test", "/one/hello"),
        of("http://a", "/one/hello", name="an origin that is a part of the allowed one"),
        of("http", "/one/hello", name="an origin that is a scheme only"),
        of("HTTP://A.TEST", "/one/hello", name="an origin in upper case"),
        of("null", "/one/hello"),
        of("null", "/star/hello"),
        of("", "/one/hello", name="an empty origin"),
        of(A, "/one/missing"),
        of(A, "/one/raise"),
        of(A, "/one/nowhere"),
        of("http://other.test", "/one/nowhere"),
        of("http://other.test", "/one/missing"),
        of(A, "/one/echo", "GET", name="a wrong method with an origin"),
        of(A, "/nowhere"),
        of(A, "/one/hello", "HEAD"),
        of(A, "/one/hello", "OPTIONS", name="OPTIONS with an origin that is no preflight"),
        of(None, "/one/hello", "OPTIONS", name="OPTIONS without an origin"),
        preflight(None, "/one/hello"),
        preflight("http://other.test", "/one/hello"),
        preflight(A, "/one/hello", "DELETE"),
        preflight(A, "/one/hello", "NONSENSE"),
        preflight(A, "/one/echo", "POST"),
        preflight(A, "/one/nowhere"),
        preflight(A, "/one/hello", "GET", "X-One, X-Two"),
        preflight(A, "/true/hello", "GET", "X-One"),
        preflight(A, "/nowhere"),
        ask(
            "POST",
            "/one/echo",
            {"Origin": A, "Content-Type": "application/json"},
            b"{",
            "broken JSON of an allowed origin",
        ),
        ask(
            "POST",
            "/one/echo",
            {"Origin": "http://other.test", "Content-Type": "application/json"},
            b"{",
            "broken JSON of a foreign origin",
        ),
        ask(
            "POST",
            "/one/echo",
            {"Origin": A, "Content-Type": "application/json"},
            b'{"a":1}',
            "a POST of an allowed origin",
        ),
    ),
)

WILDCARDS = Gateway(
    "cors_wildcards",
    {
        "routes": [
            _route("/host", {"origin": "https://*.c.test"}),
            _route("/list", {"origin": ["http://b.test", "http://*.c.test:8080"]}),
        ]
    },
    (
        of("https://x.c.test", "/host/hello"),
        of("https://x.y.c.test", "/host/hello"),
        of("https://c.test", "/host/hello"),
        of("https://.c.test", "/host/hello"),
        of("https://xc.test", "/host/hello"),
        of("http://x.c.test", "/host/hello"),
        of("https://X.C.TEST", "/host/hello"),
        of("https://x.c.test:443", "/host/hello"),
        of("https://x.c.test.evil.test", "/host/hello"),
        of("https://evil.test/.c.test", "/host/hello", name="a wildcard over slashes"),
        of("https://evil.test#.c.test", "/host/hello", name="a wildcard over a fragment"),
        of("http://x.c.test:8080", "/list/hello"),
        of("http://x.c.test", "/list/hello"),
        of("http://b.test", "/list/hello"),
        preflight("https://x.c.test", "/host/hello"),
        preflight("https://evil.test", "/host/hello"),
    ),
)

ODD_WILDCARDS = Gateway(
    "cors_odd_wildcards",
    {
        "routes": [
            _route("/scheme", {"origin": "http*://*.c.test"}),
            _route("/mark", {"origin": "http://?.d.test"}),
        ]
    },
    (
        of("http://x.c.test", "/scheme/hello"),
        of("https://x.c.test", "/scheme/hello"),
        of("http://evil.test/://z.c.test", "/scheme/hello"),
        of("http://x.d.test", "/mark/hello"),
        of("http://xx.d.test", "/mark/hello"),
    ),
)

BY_FUNCTION = Gateway(
    "cors_function",
    {"routes": [_route("/known", {"origin": Function("originIsKnown")})]},
    (
        of("http://known.test", "/known/hello"),
        of(A, "/known/hello"),
        of(None, "/known/hello"),
        preflight("http://known.test", "/known/hello"),
        preflight(A, "/known/hello"),
    ),
)

OPTIONS = Gateway(
    "cors_options",
    {
        "routes": [
            _route("/methods", {"origin": A, "methods": ["GET", "POST"]}),
            _route("/text", {"origin": A, "methods": "GET, PUT"}),
            _route("/headers", {"origin": A, "allowedHeaders": ["X-One", "X-Two"]}),
            _route("/headertext", {"origin": A, "allowedHeaders": "X-One"}),
            _route("/noheaders", {"origin": A, "allowedHeaders": []}),
            _route("/exposed", {"origin": A, "exposedHeaders": ["X-One", "X-Two"]}),
            _route("/exposedtext", {"origin": A, "exposedHeaders": "X-One"}),
            _route("/credentials", {"origin": A, "credentials": True}),
            _route("/nocredentials", {"origin": A, "credentials": False}),
            _route("/age", {"origin": A, "maxAge": 3600}),
            _route("/noage", {"origin": A, "maxAge": 0}),
            _route(
                "/whole",
                {
                    "origin": ["http://other.test", A],
                    "methods": ["GET"],
                    "allowedHeaders": ["X-One"],
                    "exposedHeaders": ["X-Two"],
                    "credentials": True,
                    "maxAge": 60,
                },
            ),
        ]
    },
    tuple(
        case
        for path in (
            "methods",
            "text",
            "headers",
            "headertext",
            "noheaders",
            "exposed",
            "exposedtext",
            "credentials",
            "nocredentials",
            "age",
            "noage",
            "whole",
        )
        for case in (
            of(A, f"/{path}/hello"),
            preflight(A, f"/{path}/hello"),
            preflight(A, f"/{path}/hello", "GET", "X-Asked"),
        )
    ),
)

CREDENTIALS_STAR = Gateway(
    "cors_star_credentials",
    {"routes": [_route("/star", {"origin": "*", "credentials": True})]},
    (of(A, "/star/hello"), preflight(A, "/star/hello")),
)

LEVELS = Gateway(
    "cors_levels",
    {
        "cors": {"origin": A, "exposedHeaders": "X-Gateway", "maxAge": 10},
        "routes": [
            {"path": "/inherits", "aliases": _ALIASES},
            _route("/own", {"origin": "http://b.test"}),
            _route("/more", {"maxAge": 20, "credentials": True}),
            _route("/true", True),
            _route("/auth", {"origin": A}, authentication=True),
        ],
    },
    (
        of(A, "/inherits/hello"),
        of("http://b.test", "/inherits/hello"),
        of(A, "/own/hello"),
        of("http://b.test", "/own/hello"),
        of(A, "/more/hello"),
        of(A, "/true/hello"),
        preflight(A, "/inherits/hello"),
        preflight(A, "/more/hello"),
        preflight(A, "/true/hello"),
        of(A, "/nowhere"),
        of("http://b.test", "/nowhere"),
        of(None, "/nowhere"),
        preflight(A, "/nowhere"),
        preflight("http://b.test", "/nowhere"),
        of(A, "/auth/hello", Authorization="Bearer bad"),
        preflight(A, "/auth/hello"),
        get("/inherits/hello", name="no origin"),
    ),
    methods={"authenticate": Function("authenticateByToken")},
)

GATEWAYS = (BASIC, WILDCARDS, ODD_WILDCARDS, BY_FUNCTION, OPTIONS, CREDENTIALS_STAR, LEVELS)
