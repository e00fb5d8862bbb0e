"""Hooks, authentication, authorization and middlewares: what they may change, and what stops a request."""

from __future__ import annotations

from tests.gateway.case import Case, Function, Gateway, ask, get, gets, post, send

F = Function


def _one(path: str, **more: object) -> dict[str, object]:
    aliases = {"/both": "test.both", "/hello": "test.hello", "/missing": "nowhere.action", "/raise": "errors.raise"}
    return {"path": path, "aliases": aliases, **more}


HOOKS = Gateway(
    "hooks",
    {
        "routes": [
            _one("/meta", onBeforeCall=F("beforeSetsMeta")),
            _one("/params", onBeforeCall=F("beforeChangesParams")),
            _one("/throws", onBeforeCall=F("beforeThrows")),
            _one("/plain", onBeforeCall=F("beforeThrowsPlain")),
            _one("/text", onBeforeCall=F("beforeThrowsText")),
            _one("/headers", onBeforeCall=F("beforeSetsHeaders")),
            _one("/wraps", onAfterCall=F("afterWraps")),
            _one("/later", onAfterCall=F("afterWrapsLater")),
            _one("/keeps", onAfterCall=F("afterKeeps")),
            _one("/nothing", onAfterCall=F("afterReturnsNothing")),
            _one("/fails", onAfterCall=F("afterThrows")),
            _one("/status", onAfterCall=F("afterSetsMeta")),
            _one(
                "/all", onBeforeCall=F("beforeSetsMeta"), onAfterCall=F("afterWraps"), onError=F("errorAsTextOfRoute")
            ),
        ]
    },
    (
        get("/meta/both", {"User-Agent": "conformance"}),
        get("/params/both?removed=1&kept=2"),
        post("/params/both", {"added": "no", "removed": 1}),
        *gets(
            "/throws/both",
            "/throws/missing",
            "/plain/both",
            "/text/both",
            "/headers/both",
            "/wraps/hello",
            "/wraps/missing",
            "/later/hello",
            "/keeps/hello",
            "/nothing/hello",
            "/fails/hello",
            "/status/hello",
            "/all/both",
            "/all/missing",
            "/throws/nowhere",
        ),
        post("/wraps/raise", {"kind": "MoleculerError", "code": 409, "message": "m"}),
        post("/headers/raise", {"kind": "MoleculerError", "code": 409, "message": "m"}),
        post("/all/raise", {"kind": "MoleculerError", "code": 409, "message": "m"}),
    ),
)


def _with(path: str, token: str | None) -> Case:
    return get(path, None if token is None else {"Authorization": f"Bearer {token}"}, f"{path} with {token}")


_AUTH_CASES = tuple(
    _with(path, token)
    for path in ("/a/both", "/a/missing", "/a/hidden")
    for token in (None, "good", "weak", "bad", "plain")
)


def _auth(**settings: object) -> dict[str, object]:
    aliases = {"GET both": "test.both", "GET missing": "nowhere.action", "GET hidden": "guarded.public"}
    return {"path": "/a", "aliases": aliases, **settings}


AUTHENTICATION = Gateway(
    "authentication",
    {"routes": [_auth(authentication=True)]},
    (*_AUTH_CASES, _with("/a/nowhere", None), ask("OPTIONS", "/a/both"), ask("POST", "/a/both")),
    methods={"authenticate": F("authenticateByToken")},
)
AUTHORIZATION = Gateway(
    "authorization",
    {"routes": [_auth(authentication=True, authorization=True)]},
    _AUTH_CASES,
    methods={"authenticate": F("authenticateByToken"), "authorize": F("authorizeGood")},
)
NAMED_AUTH = Gateway(
    "authentication_named",
    {
        "routes": [
            _auth(authentication="strictly", authorization="falsely"),
            {"path": "/n", "authorization": "nobody", "aliases": {"GET hello": "test.hello"}, "mappingPolicy": "all"},
            {"path": "/o", "aliases": {"GET hello": "test.hello"}},
        ]
    },
    (
        _with("/a/both", None),
        _with("/a/both", "any"),
        *gets("/n/hello", "/n/test/hello", "/n/nowhere/action", "/n/guarded/public", "/o/hello"),
    ),
    methods={
        "strictly": F("authenticateStrictly"),
        "falsely": F("authorizeFalsely"),
        "nobody": F("authorizeNobody"),
    },
)
MISSING_AUTH = Gateway(
    "authentication_missing",
    {"routes": [_auth(authentication=True)]},
    (_with("/a/both", None), _with("/a/both", "good")),
)
AUTH_AND_HOOKS = Gateway(
    "authentication_and_hooks",
    {
        "routes": [
            _auth(authentication=True, onBeforeCall=F("beforeSetsMeta"), onError=F("errorAsTextOfRoute")),
        ]
    },
    (_with("/a/both", "good"), _with("/a/both", None), _with("/a/both", "bad"), _with("/a/missing", "bad")),
    methods={"authenticate": F("authenticateByToken")},
)

STAGES = Gateway(
    "middlewares",
    {
        "use": [F("stageTags")],
        "routes": [
            {
                "path": "/own",
                "use": [F("stageTagsToo")],
                "aliases": {"/hello": "test.hello", "/gone": "nowhere.action"},
            },
            {"path": "/ends", "use": [F("stageEnds")], "aliases": {"/hello": "test.hello"}},
            {"path": "/some", "use": [F("stageEndsSome")], "aliases": {"/hello": "test.hello"}},
            {"path": "/fails", "use": [F("stageFails")], "aliases": {"/hello": "test.hello"}},
            {"path": "/coded", "use": [F("stageFailsWithCode")], "aliases": {"/hello": "test.hello"}},
            {"path": "/throws", "use": [F("stageThrows")], "aliases": {"/hello": "test.hello"}},
            {"path": "/auth", "use": [F("stageTags")], "authentication": True, "aliases": {"/hello": "test.hello"}},
            {"path": "/plain", "aliases": {"/hello": "test.hello"}},
        ],
    },
    (
        *gets(
            "/own/hello",
            "/own/gone",
            "/own/nowhere",
            "/ends/hello",
            "/ends/nowhere",
            "/some/hello",
            "/fails/hello",
            "/fails/nowhere",
            "/coded/hello",
            "/throws/hello",
            "/plain/hello",
            "/nowhere",
            "/auth/hello",
        ),
        get("/some/hello", {"X-End": "1"}, "a middleware ends a request"),
        get("/auth/hello", {"Authorization": "Bearer bad"}, "a middleware runs before authentication"),
        ask("HEAD", "/own/hello"),
        send("POST", "/own/hello", "application/json", b"{", "middlewares and broken JSON"),
    ),
    methods={"authenticate": F("authenticateByToken")},
)

GATEWAYS = (HOOKS, AUTHENTICATION, AUTHORIZATION, NAMED_AUTH, MISSING_AUTH, AUTH_AND_HOOKS, STAGES)
