"""Answers: from results, `ctx.meta` and action settings to status, headers and body."""

from __future__ import annotations

from typing import Any

from tests.gateway.case import Case, Gateway, ask, get, post

_RESULTS = (
    "nothing",
    "undefined",
    "text",
    "empty",
    "number",
    "zero",
    "float",
    "true",
    "false",
    "list",
    "object",
    "none",
    "bytes",
    "noBytes",
    "bufferObject",
    "badBuffer",
    "stream",
    "emptyStream",
    "brokenStream",
    "csv",
    "csvNothing",
    "typed",
    "typedLower",
    "many",
)
_ALIASES = {
    f"/{name}": f"answers.{name}" for name in (*_RESULTS, "shaped", "shapedBytes", "shapedStream", "typedShaped")
}


def shaped(name: str, meta: dict[str, Any], result: Any = "text", path: str = "/shaped") -> Case:
    return post(path, {"meta": meta, "result": result}, name)


RESULTS = Gateway(
    "results",
    {"routes": [{"aliases": _ALIASES}]},
    (
        *(get(f"/{name}") for name in _RESULTS),
        *(ask("HEAD", f"/{name}") for name in ("text", "nothing", "bytes", "object", "stream", "csv", "many")),
        *(ask("DELETE", f"/{name}") for name in ("nothing", "text")),
    ),
)

META = Gateway(
    "meta",
    {"routes": [{"aliases": _ALIASES}]},
    (
        *(
            shaped(f"$statusCode {code!r}", {"$statusCode": code}, {"a": 1})
            for code in (200, 201, 202, 203, 204, 205, 206, 299, 304, 400, 404, 418, 500, 503, 599, "201", "abc", None)
        ),
        shaped("$statusCode 99", {"$statusCode": 99}),
        shaped("$statusCode 999", {"$statusCode": 999}),
        shaped("$statusCode 200.5", {"$statusCode": 200.5}),
        shaped("$statusCode 0", {"$statusCode": 0}),
        shaped("$statusCode true", {"$statusCode": True}),
        shaped("$statusCode 301 without a location", {"$statusCode": 301}, None),
        *(
            shaped(f"$location with {code}", {"$statusCode": code, "$location": "/there?a=1"}, None)
            for code in (200, 201, 204, 300, 301, 302, 303, 304, 307, 308, 400)
        ),
        shaped("$location without a status", {"$location": "/there"}),
        shaped("$location to another host", {"$statusCode": 302, "$location": "https://other.test/a"}, None),
        shaped("$location with a line end", {"$statusCode": 302, "$location": "/a\r\nX-Evil: 1"}, None),
        shaped("$location that is not ASCII", {"$statusCode": 302, "$location": "/é"}, None),
        shaped("$location with a body", {"$statusCode": 302, "$location": "/a"}, {"a": 1}),
        shaped("$statusMessage", {"$statusMessage": "Fine"}),
        shaped("$statusMessage and code", {"$statusCode": 201, "$statusMessage": "Built it"}),
        shaped("$statusMessage with a line end", {"$statusMessage": "a\r\nX-Evil: 1"}),
        shaped("$responseType of a text", {"$responseType": "text/plain"}, "a text"),
        shaped("$responseType of an empty text", {"$responseType": "text/plain"}, ""),
        shaped("$responseType of a number", {"$responseType": "text/plain"}, 42),
        shaped("$responseType of true", {"$responseType": "text/plain"}, True),
        shaped("$responseType of an object", {"$responseType": "text/plain"}, {"a": 1}),
        shaped("$responseType of a list", {"$responseType": "text/plain"}, [1]),
        shaped("$responseType of nothing", {"$responseType": "text/plain"}, None),
        shaped("$responseType JSON of a text", {"$responseType": "application/json"}, "a text"),
        shaped("$responseType with a charset", {"$responseType": "text/html; charset=utf-8"}, "<p>é</p>"),
        shaped("$responseType with a line end", {"$responseType": "text/plain\r\nX-Evil: 1"}),
        shaped("$responseType of bytes", {"$responseType": "image/png"}, path="/shapedBytes"),
        shaped("$responseType of a stream", {"$responseType": "text/plain"}, path="/shapedStream"),
        shaped("$statusCode of a stream", {"$statusCode": 203}, path="/shapedStream"),
        shaped("$statusCode of bytes", {"$statusCode": 203}, path="/shapedBytes"),
        shaped("$responseHeaders", {"$responseHeaders": {"X-One": "1", "x-two": "2"}}),
        shaped("$responseHeaders of a number", {"$responseHeaders": {"X-N": 5}}),
        shaped("$responseHeaders of a list", {"$responseHeaders": {"X-L": ["a", "b"]}}),
        shaped("$responseHeaders with cookies", {"$responseHeaders": {"Set-Cookie": ["a=1", "b=2; Path=/"]}}),
        shaped("$responseHeaders with a type", {"$responseHeaders": {"Content-Type": "text/css"}}, "a {}"),
        shaped(
            "$responseHeaders with a type in lower case", {"$responseHeaders": {"content-type": "text/css"}}, "a {}"
        ),
        shaped(
            "$responseHeaders and $responseType",
            {"$responseType": "text/html", "$responseHeaders": {"Content-Type": "text/css"}},
        ),
        shaped("$responseHeaders of a stream", {"$responseHeaders": {"X-One": "1"}}, path="/shapedStream"),
        shaped(
            "a download",
            {
                "$responseType": "application/pdf",
                "$responseHeaders": {"Content-Disposition": 'attachment; filename="a.pdf"'},
            },
            path="/shapedStream",
        ),
        shaped("$responseHeaders with a line end", {"$responseHeaders": {"X-One": "a\r\nX-Evil: 1"}}),
        shaped("$responseHeaders with a NUL", {"$responseHeaders": {"X-One": "a\x00b"}}),
        shaped("$responseHeaders that are not ASCII", {"$responseHeaders": {"X-One": "é", "X-Two": "日本"}}),
        shaped("$responseHeaders with a forbidden name", {"$responseHeaders": {"X One": "1"}}),
        shaped("$responseHeaders with an empty name", {"$responseHeaders": {"": "1"}}),
        shaped("$responseHeaders with a colon in a name", {"$responseHeaders": {"a:b": "1"}}),
        shaped("$responseHeaders with an empty value", {"$responseHeaders": {"X-One": ""}}),
        shaped("$responseHeaders of null", {"$responseHeaders": {"X-One": None}}),
        shaped("$responseHeaders with a length", {"$responseHeaders": {"Content-Length": "2"}}),
        shaped("$responseHeaders with a request id", {"$responseHeaders": {"X-Request-ID": "mine"}}),
        shaped("$responseHeaders that are a text", {"$responseHeaders": "X-One: 1"}),
        shaped("$responseHeaders with an ETag", {"$responseHeaders": {"ETag": '"v1"'}}),
        shaped("meta over the action's headers", {"$responseHeaders": {"X-Own": "meta"}}, path="/typedShaped"),
        shaped("meta over the action's type", {"$responseType": "text/html"}, path="/typedShaped"),
        shaped("the action's type and headers", {}, path="/typedShaped"),
        shaped("other meta stays inside", {"user": {"id": 1}, "$other": "x"}),
        shaped("a result of bytes and a status 204", {"$statusCode": 204}, path="/shapedBytes"),
        shaped("a stream and a status 204", {"$statusCode": 204}, path="/shapedStream"),
        shaped("a result null and a status 404", {"$statusCode": 404}, None),
    ),
)

IDS = Gateway(
    "request_ids",
    {"routes": [{"aliases": {"GET /hello": "test.hello", "GET /missing": "nowhere.action"}}]},
    (
        get("/hello"),
        get("/missing"),
        get("/nowhere"),
        get("/hello", {"X-Request-ID": "abc-123"}, "an X-Request-ID"),
        get("/hello", {"X-Correlation-ID": "cor-1"}, "an X-Correlation-ID"),
        get("/hello", {"X-Correlation-ID": "cor-1", "X-Request-ID": "req-1"}, "both ids"),
        get("/nowhere", {"X-Request-ID": "abc-123"}, "an id where nothing is"),
        get("/hello", {"X-Request-ID": "a b"}, "an id with a blank"),
        get("/hello", {"X-Request-ID": "<script>"}, "an id with markup"),
        get("/hello", {"X-Request-ID": ""}, "an empty id"),
        get("/hello", {"X-Request-ID": "x" * 200}, "an id of 200 characters"),
    ),
)

GATEWAYS = (RESULTS, META, IDS)
