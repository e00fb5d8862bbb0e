"""Errors: of every class, from actions, hooks and the gateway itself; and who may word them."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Function, Gateway, ask, get, post, send


def raised(name: str, kind: str, **params: Any) -> Case:
    return post("/raise", {"kind": kind, **params}, name)


_CODES = (
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    412,
    413,
    415,
    418,
    422,
    423,
    428,
    429,
    451,
    500,
    501,
    502,
    503,
    504,
    598,
)
_ODD_CODES = (0, 99, 100, 200, 201, 204, 299, 301, 304, 399, 599, 600, 999, 1000, -1, "404", "ABC", None, True)

CLASSES = Gateway(
    "error_classes",
    {
        "routes": [
            {
                "aliases": {
                    "/raise": "errors.raise",
                    "/plain": "errors.plain",
                    "/type": "errors.type",
                    "/slow": "test.slow",
                }
            }
        ]
    },
    (
        *(
            raised(f"code {code}", "MoleculerError", message="wrong", code=code, type="SOME", data={"a": 1})
            for code in _CODES
        ),
        *(
            raised(f"odd code {code!r}", "MoleculerError", message="wrong", code=code, type="SOME")
            for code in _ODD_CODES
        ),
        raised("MoleculerError bare", "MoleculerError", message="wrong"),
        raised("MoleculerClientError bare", "MoleculerClientError", message="wrong"),
        raised("MoleculerServerError bare", "MoleculerServerError", message="wrong"),
        raised("MoleculerRetryableError bare", "MoleculerRetryableError", message="wrong"),
        raised(
            "MoleculerClientError whole", "MoleculerClientError", message="no", code=409, type="TAKEN", data={"x": [1]}
        ),
        raised(
            "a class of its own", "custom", message="short and stout", code=418, type="TEAPOT", data={"spout": True}
        ),
        raised("an empty message", "MoleculerError", message="", code=400),
        raised("markup in a message", "MoleculerError", message="<script>é</script>", code=400),
        raised("data that is a text", "MoleculerError", message="m", code=400, type="T", data="text"),
        raised("data that is a list", "MoleculerError", message="m", code=400, type="T", data=[1, 2]),
        raised("data that is a number", "MoleculerError", message="m", code=400, type="T", data=5),
        raised("data that is null", "MoleculerError", message="m", code=400, type="T", data=None),
        raised("data that is empty", "MoleculerError", message="m", code=400, type="T", data={}),
        raised("data that is false", "MoleculerError", message="m", code=400, type="T", data=False),
        raised(
            "ValidationError",
            "ValidationError",
            message="not valid",
            type="SOME",
            data=[{"type": "required", "field": "a"}],
        ),
        raised("ValidationError bare", "ValidationError", message="not valid"),
        raised("UnAuthorizedError", "UnAuthorizedError", type="NO_TOKEN", data={"a": 1}),
        raised("UnAuthorizedError bare", "UnAuthorizedError"),
        raised("ForbiddenError", "ForbiddenError", type="NO", data={"a": 1}),
        raised("ForbiddenError bare", "ForbiddenError"),
        raised("BadRequestError", "BadRequestError", type="NO", data={"a": 1}),
        raised("BadRequestError bare", "BadRequestError"),
        raised("NotFoundError", "NotFoundError", type="NO", data={"a": 1}),
        raised("NotFoundError bare", "NotFoundError"),
        raised("RateLimitExceeded", "RateLimitExceeded", type="NO", data={"a": 1}),
        raised("RateLimitExceeded bare", "RateLimitExceeded"),
        raised("ServiceUnavailableError", "ServiceUnavailableError", type="NO", data={"a": 1}),
        raised("ServiceUnavailableError bare", "ServiceUnavailableError"),
        raised("PayloadTooLarge", "PayloadTooLarge", data={"a": 1}),
        raised("ServiceNotFoundError", "ServiceNotFoundError", data={"action": "some.action"}),
        raised("ServiceNotAvailableError", "ServiceNotAvailableError", data={"action": "some.action"}),
        raised("RequestTimeoutError", "RequestTimeoutError", data={"action": "some.action"}),
        raised("RequestSkippedError", "RequestSkippedError", data={"action": "some.action"}),
        raised("RequestRejectedError", "RequestRejectedError", data={"action": "some.action"}),
        raised("QueueIsFullError", "QueueIsFullError", data={"action": "some.action"}),
        raised("MaxCallLevelError", "MaxCallLevelError", data={"level": 7}),
        raised("a plain error", "Error", message="internal details"),
        raised("a plain error with a code", "Error", message="internal details", fields={"code": 404}),
        raised("a plain error with a status", "Error", message="internal details", fields={"status": 404}),
        raised(
            "a plain error with a type", "Error", message="internal details", fields={"type": "T", "data": {"a": 1}}
        ),
        raised("a plain error with a code as text", "Error", message="internal details", fields={"code": "ENOENT"}),
        get("/plain"),
        get("/type"),
        ask("HEAD", "/plain"),
        post(
            "/raise",
            {"kind": "MoleculerError", "code": 400, "message": "m", "meta": {"$responseHeaders": {"X-Kept": "1"}}},
            "headers of the meta with an error",
        ),
        post(
            "/raise",
            {
                "kind": "MoleculerError",
                "code": 400,
                "message": "m",
                "meta": {"$statusCode": 201, "$statusMessage": "Fine"},
            },
            "a status of the meta with an error",
        ),
        post(
            "/raise",
            {"kind": "MoleculerError", "code": 400, "message": "m", "meta": {"$responseType": "text/plain"}},
            "a type of the meta with an error",
        ),
        post(
            "/raise",
            {"kind": "Error", "message": "m", "meta": {"$responseHeaders": {"X-Kept": "1"}}},
            "headers of the meta with a plain error",
        ),
        get("/nowhere"),
    ),
)

_RAISE = {"/raise": "errors.raise", "/hello": "test.hello", "/missing": "nowhere.action", "/greet": "test.greet"}
_BODIES = (
    post("/raise", {"kind": "MoleculerClientError", "message": "m", "code": 409, "type": "T"}, "a client error"),
    post("/raise", {"kind": "Error", "message": "internal details"}, "a plain error"),
    get("/missing"),
    get("/nowhere"),
    get("/greet"),
    get("/hello"),
    send("POST", "/hello", "application/json", b"{", "broken JSON"),
    ask("POST", "/nowhere/at/all"),
)

ON_ERROR = Gateway(
    "on_error",
    {"onError": Function("errorAsText"), "routes": [{"aliases": _RAISE}]},
    _BODIES,
)
ON_ERROR_OF_ROUTE = Gateway(
    "on_error_of_route",
    {
        "onError": Function("errorAsText"),
        "routes": [{"path": "/", "onError": Function("errorAsTextOfRoute"), "aliases": _RAISE}],
    },
    _BODIES,
)
ON_ERROR_FAILS = Gateway(
    "on_error_fails",
    {"routes": [{"onError": Function("errorThrows"), "aliases": _RAISE}]},
    _BODIES[:1],
)
REFORMAT = Gateway(
    "reformat_error", {"routes": [{"aliases": _RAISE}]}, _BODIES, methods={"reformatError": Function("reformat")}
)
REFORMAT_NOTHING = Gateway(
    "reformat_error_nothing",
    {"routes": [{"aliases": _RAISE}]},
    _BODIES[:3],
    methods={"reformatError": Function("reformatToNothing")},
)

TIMEOUTS = Gateway(
    "call_options",
    {
        "routes": [
            {
                "path": "/short",
                "callOptions": {"timeout": 100, "meta": {"from": "route", "nested": {"a": 1}}},
                "aliases": {"GET slow": "test.slow", "GET meta": "test.meta", "GET hello": "test.hello"},
            },
        ]
    },
    (get("/short/slow"), get("/short/meta"), get("/short/hello")),
)

RETRIES = Gateway(
    "call_options_retries",
    {
        "routes": [
            {
                "path": "/fallback",
                "callOptions": {"timeout": 100, "fallbackResponse": {"fallback": True}},
                "aliases": {"GET slow": "test.slow", "POST raise": "errors.raise", "GET missing": "nowhere.action"},
            },
            {
                "path": "/retries",
                "callOptions": {"retries": 2},
                "aliases": {"POST raise": "errors.raise", "GET hello": "test.hello"},
            },
        ]
    },
    (
        get("/fallback/slow"),
        get("/fallback/missing"),
        post("/fallback/raise", {"kind": "MoleculerError", "message": "m", "code": 500}),
        post("/retries/raise", {"kind": "MoleculerRetryableError", "message": "m", "code": 503}),
        get("/retries/hello"),
    ),
)

ROOT_OPTIONS = Gateway(
    "root_call_options",
    {"rootCallOptions": {"meta": {"root": 1}}, "routes": [{"aliases": {"GET meta": "test.meta"}}]},
    (get("/meta"),),
)

GATEWAYS = (
    CLASSES,
    ON_ERROR,
    ON_ERROR_OF_ROUTE,
    ON_ERROR_FAILS,
    REFORMAT,
    REFORMAT_NOTHING,
    TIMEOUTS,
    RETRIES,
    ROOT_OPTIONS,
)
