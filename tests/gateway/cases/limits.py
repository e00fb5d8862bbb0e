"""Rate limits."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Function, Gateway, ask, get, post, several

_ALIASES = {"/hello": "test.hello", "/missing": "nowhere.action", "/raise": "errors.raise", "/echo": "test.echo"}
_KEY = Function("keyOfHeader")


def _route(path: str, **limit: Any) -> dict[str, Any]:
    # A window that no run of the suite outlives.
    return {"path": path, "rateLimit": {"window": 600_000, "key": _KEY, **limit}, "aliases": _ALIASES}


def _of(key: str | None, path: str, times: int, name: str) -> Case:
    return get(path, None if key is None else {"X-Key": key}, name, times)


BY_KEY = Gateway(
    "rate_limit",
    {
        "routes": [
            _route("/three", limit=3, headers=True),
            _route("/silent", limit=1),
            _route("/zero", limit=0, headers=True),
            {**_route("/auth", limit=1, headers=True), "authentication": True},
            {**_route("/cors", limit=1, headers=True), "cors": {"origin": "http://a.test"}},
            {**_route("/white", limit=1, headers=True), "whitelist": ["test.hello"]},
        ]
    },
    (
        _of("one", "/three/hello", 5, "five requests of three"),
        several("keys are counted apart", _of("a", "/three/hello", 1, "a"), _of("b", "/three/hello", 1, "b")),
        several(
            "aliases are counted together",
            _of("together", "/three/hello", 1, "a"),
            _of("together", "/three/echo", 1, "b"),
            _of("together", "/three/hello", 2, "c"),
        ),
        _of(None, "/three/hello", 5, "without a key nothing is counted"),
        _of("404", "/three/nowhere", 5, "paths that lead nowhere are not counted"),
        _of("503", "/three/missing", 5, "missing actions are counted"),
        _of("silent", "/silent/hello", 2, "no headers"),
        _of("zero", "/zero/hello", 1, "a limit of 0"),
        several(
            "errors carry the headers",
            *(
                post("/three/raise", {"kind": "MoleculerError", "code": 409, "message": "m"}, X_Key="raise")
                for _ in range(4)
            ),
        ),
        ask(
            "GET",
            "/auth/hello",
            {"X-Key": "login", "Authorization": "Bearer bad"},
            name="failed logins are counted",
            times=2,
        ),
        several(
            "preflights are not counted",
            ask(
                "OPTIONS",
                "/cors/hello",
                {"X-Key": "cors", "Origin": "http://a.test", "Access-Control-Request-Method": "GET"},
                times=2,
            ),
            ask("GET", "/cors/hello", {"X-Key": "cors", "Origin": "http://a.test"}, times=2),
        ),
        ask(
            "GET",
            "/cors/hello",
            {"X-Key": "evil", "Origin": "http://evil.test"},
            name="foreign origins are not counted",
            times=2,
        ),
        _of("white", "/white/echo", 2, "refused actions are not counted"),
        several(
            "methods are counted together",
            ask("HEAD", "/silent/hello", {"X-Key": "m"}),
            ask("POST", "/silent/hello", {"X-Key": "m"}),
        ),
    ),
    methods={"authenticate": Function("authenticateByToken")},
)

DEFAULT_KEY = Gateway(
    "rate_limit_default_key",
    {"routes": [{"path": "/", "rateLimit": {"window": 600_000, "limit": 2, "headers": True}, "aliases": _ALIASES}]},
    (
        several(
            "another address in X-Forwarded-For",
            *(get("/hello", {"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)),
        ),
    ),
)

OF_GATEWAY = Gateway(
    "rate_limit_of_gateway",
    {
        "rateLimit": {"window": 600_000, "limit": 1, "headers": True, "key": _KEY},
        "routes": [
            {"path": "/one", "aliases": _ALIASES},
            {"path": "/two", "aliases": _ALIASES},
            {"path": "/own", "rateLimit": {"limit": 2, "window": 600_000, "key": _KEY}, "aliases": _ALIASES},
        ],
    },
    (
        several(
            "each route counts for itself",
            _of("a", "/one/hello", 2, "a"),
            _of("a", "/two/hello", 2, "b"),
            _of("a", "/own/hello", 3, "c"),
        ),
        _of("b", "/nowhere", 3, "unrouted requests are not counted"),
    ),
)

GATEWAYS = (BY_KEY, DEFAULT_KEY, OF_GATEWAY)
