"""Who asks, and whether they may: of a route, of an alias, by function or by method of the service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import ApiGatewayService, Broker, Context, Service, action, errors
from tautomer.errors import ServiceSchemaError
from tautomer.web.errors import ERR_NO_TOKEN, ForbiddenError, GatewayError, UnAuthorizedError, UnauthorizedError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor
from tests.web.door import Door, open_door

TOKENS = {"ann": {"name": "Ann", "role": "admin"}, "bob": {"name": "Bob", "role": "user"}}


class Stats(Service):
    name = "stats"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @action
    def read(self, ctx: Context) -> Any:
        self.calls += 1
        return {"user": ctx.user}

    @action
    def expired(self, ctx: Context) -> None:
        ctx.meta["$responseHeaders"] = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise errors.UnAuthorizedError("EXPIRED")


ALIASES = {"GET /read": "stats.read", "GET /expired": "stats.expired"}


async def authenticate(ctx: Any, route: Any, request: Request) -> Any:
    """As the document of moleculerpy-web shows it."""
    token = request.headers.get("authorization", "")[7:]
    if not token:
        return None
    user = TOKENS.get(token)
    if not user:
        raise UnauthorizedError("Invalid token")
    return user


async def authorize_admin(ctx: Any, route: Any, request: Request) -> None:
    if not ctx.user or ctx.user.get("role") != "admin":
        raise ForbiddenError("Admin required")


async def test_the_example_of_moleculerpy_web(door: OpenDoor):
    stats = Stats()
    route = {"path": "/admin", "aliases": ALIASES, "authentication": authenticate, "authorization": authorize_admin}
    at = await door(stats, routes=[route])

    ann, bob, wrong, nobody = [
        await at.get("/admin/read", **({"Authorization": f"Bearer {token}"} if token else {}))
        for token in ("ann", "bob", "eve", "")
    ]

    assert (200, {"user": TOKENS["ann"]}) == (ann.status, ann.json)
    assert (401, "UNAUTHORIZED", "Invalid token", "Bearer") == (
        wrong.status,
        wrong.type,
        wrong.json["message"],
        wrong.header("WWW-Authenticate"),
    )
    for refused in (bob, nobody):
        assert (403, "FORBIDDEN", "Admin required", None) == (
            refused.status,
            refused.type,
            refused.json["message"],
            refused.header("WWW-Authenticate"),
        )
    assert 1 == stats.calls


@pytest.mark.parametrize("nothing", [None, False, 0, "", {}])
async def test_whatever_is_falsy_is_somebody_unknown(door: OpenDoor, nothing):
    def nobody(ctx: Any, route: Any, request: Request) -> Any:
        return nothing

    at = await door(Stats(), routes=[{"aliases": ALIASES, "authentication": nobody}])

    assert {"user": None} == (await at.get("/read")).json


class Box(dict):  # type: ignore[type-arg]
    """Has any attribute that somebody asks for."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


async def test_a_user_with_any_attribute_is_not_awaited(door: OpenDoor):
    def boxed(ctx: Any, route: Any, request: Request) -> Any:
        return Box(id=1)

    at = await door(Stats(), routes=[{"aliases": ALIASES, "authentication": boxed, "authorization": boxed}])

    assert {"user": {"id": 1}} == (await at.get("/read")).json


async def test_a_user_that_came_some_other_way_does_not_outlive_authentication(door: OpenDoor):
    def before(ctx: Any, route: Any, request: Request) -> None:
        ctx.meta["user"] = "set by the hook"

    at = await door(
        Stats(),
        routes=[{"aliases": ALIASES, "onBeforeCall": before, "authentication": lambda ctx, route, request: None}],
    )

    assert {"user": None} == (await at.get("/read?user=ann")).json


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (UnAuthorizedError(ERR_NO_TOKEN, {"hint": 1}), 401, "NO_TOKEN"),
        (UnAuthorizedError(), 401, "INVALID_TOKEN"),
        (errors.ForbiddenError("NOT_YOURS"), 403, "NOT_YOURS"),
        (UnauthorizedError("x", type="NO_TOKEN"), 401, "NO_TOKEN"),
        (GatewayError("slow down", 420, "CALM"), 420, "CALM"),
        (RuntimeError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
@pytest.mark.parametrize("guard", ["authentication", "authorization"])
async def test_what_a_guard_raises_is_the_answer_and_no_action_runs(door: OpenDoor, guard, error, status, kind):
    def refuse(ctx: Any, route: Any, request: Request) -> None:
        raise error

    stats = Stats()
    at = await door(stats, routes=[{"aliases": ALIASES, guard: refuse}])

    answer = await at.get("/read")

    assert (status, kind, 0) == (answer.status, answer.type, stats.calls)
    assert b"secret" not in answer.body


async def test_a_challenge_of_ones_own_stands_alone(door: OpenDoor):
    at = await door(Stats(), routes=[{"aliases": ALIASES, "authentication": authenticate}])

    answer = await at.get("/expired")

    assert ['Bearer error="invalid_token"'] == [value for name, value in answer.headers if name == "www-authenticate"]


async def test_a_reply_with_401_is_challenged_too(door: OpenDoor):
    at = await door(
        Stats(),
        routes=[
            {
                "aliases": ALIASES,
                "authentication": authenticate,
                "onError": lambda request, error: Reply(401, [("X-Own", "1")], b"who?"),
            }
        ],
    )

    answer = await at.get("/read", Authorization="Bearer eve")

    assert (401, "1", "Bearer") == (answer.status, answer.header("X-Own"), answer.header("WWW-Authenticate"))


async def test_404_and_503_are_known_before_authentication_runs(door: OpenDoor):
    at = await door(Stats(), routes=[{"aliases": {**ALIASES, "/gone": "gone.action"}, "authentication": authenticate}])

    answers = [await at.get(path, Authorization="Bearer eve") for path in ("/gone", "/none", "/read")]

    assert [503, 404, 401] == [one.status for one in answers]


async def test_authentication_sees_what_is_asked_for(door: OpenDoor):
    seen: list[Any] = []

    def look(ctx: Any, route: Any, request: Request, alias: Any) -> str:
        seen.append((route.path, request.params, alias.action, ctx.params is request.params))
        return "x"

    at = await door(Stats(), routes=[{"path": "/v1", "aliases": {"/read/:id": "stats.read"}, "authentication": look}])

    assert {"user": "x"} == (await at.get("/v1/read/7")).json
    assert [("/v1", {"id": "7"}, "stats.read", True)] == seen


async def test_authentication_that_never_ends_ends_with_the_request(door: OpenDoor):
    ended: list[bool] = []

    async def waits(ctx: Any, route: Any, request: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    stats = Stats()
    at = await door(stats, routes=[{"aliases": ALIASES, "authentication": waits, "callOptions": {"timeout": 0.1}}])

    answer = await at.get("/read")

    assert (504, "REQUEST_TIMEOUT", [True], 0) == (answer.status, answer.type, ended, stats.calls)


async def test_a_client_that_leaves_during_authentication_cancels_it(door: OpenDoor):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(ctx: Any, route: Any, request: Request) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    stats = Stats()
    at = await door(stats, routes=[{"aliases": ALIASES, "authentication": waits}])
    _reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /read HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await begun.wait()
        writer.close()
        await ended.wait()

    assert 0 == stats.calls


class Gateway(ApiGatewayService):
    settings = {
        "port": 0,
        "ip": "127.0.0.1",
        "routes": [
            {
                "authentication": True,
                "authorization": True,
                "aliases": {
                    "GET /read": "stats.read",
                    "GET /open": {"action": "stats.read", "authentication": False, "authorization": False},
                    "GET /admin": {"action": "stats.read", "authorization": "require_admin"},
                    "REST /all": {"action": "stats", "only": ["list"], "authorization": "requireAdmin"},
                },
            }
        ],
    }

    def authenticate(self, ctx: Any, route: Any, request: Request) -> Any:
        return TOKENS.get(request.header("x-token") or "")

    async def authorize(self, ctx: Any, route: Any, request: Request) -> None:
        if ctx.user is None:
            raise UnauthorizedError()

    def require_admin(self, ctx: Any, route: Any, request: Request) -> None:
        if ctx.user is None or ctx.user["role"] != "admin":
            raise ForbiddenError()


async def test_methods_of_the_service_and_guards_of_single_aliases(caplog):
    broker, service = Broker("gateway-node"), Gateway()
    await broker.register(Stats())
    await broker.register(service)
    async with broker:
        at = Door(broker, service)
        seen = {
            (path, token): (await at.get(path, **({"X-Token": token} if token else {}))).status
            for path in ("/read", "/open", "/admin")
            for token in ("ann", "bob", "")
        }

    assert {
        ("/read", "ann"): 200,
        ("/read", "bob"): 200,
        ("/read", ""): 401,
        ("/open", "ann"): 200,
        ("/open", "bob"): 200,
        ("/open", ""): 200,
        ("/admin", "ann"): 200,
        ("/admin", "bob"): 403,
        ("/admin", ""): 403,
    } == seen
    (warning,) = [one for one in caplog.records if one.message == "guarded actions can be reached by an open route"]
    assert ("stats.read", "/", "/") == (warning.actions, warning.guarded, warning.open)


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        (
            [{"authentication": True}],
            "settings.routes[0].authentication names the method 'authenticate', which the gateway's service does not have",
        ),
        ([{"authorization": "require_admni"}], "did you mean 'require_admin'?"),
        (
            [{"aliases": {"GET /a": {"action": "a.b", "authorization": "nobody"}}}],
            "settings.routes[0].aliases['GET /a'].authorization names the method 'nobody'",
        ),
        (
            [{"aliases": {"GET /a": {"action": "a.b", "authorisation": True}}}],
            "settings.routes[0].aliases['GET /a'].authorisation is not a setting; did you mean 'authorization'?",
        ),
        (
            [{"aliases": {"GET /a": {"action": "a.b", "Authentication": True}}}],
            "settings.routes[0].aliases['GET /a'].Authentication is not a setting; did you mean 'authentication'?",
        ),
        ([{"authentication": 5}], "settings.routes[0].authentication is true, the name of a method or a function"),
        ([{"authentication": lambda ctx: 1}], "settings.routes[0].authentication takes (ctx, route, request)"),
        # Neither what every service has, nor what its author keeps to himself.
        ([{"authentication": "stopped"}], "names the method 'stopped'"),
        ([{"authentication": "_secret"}], "names the method '_secret'"),
        ([{"authentication": "__init__"}], "names the method '__init__'"),
    ],
)
def test_a_guard_that_is_not_there_stops_the_start(routes, told):
    class Own(ApiGatewayService):
        def require_admin(self, ctx: Any, route: Any, request: Request) -> None: ...

        def _secret(self, ctx: Any, route: Any, request: Request) -> None: ...

        async def stopped(self) -> None: ...

    with pytest.raises(ServiceSchemaError) as raised:
        Broker("n").create_service(Own(settings={"routes": routes}))

    assert told in raised.value.message
    assert 1 == len(raised.value.data["faults"])


def test_a_guard_may_come_from_a_mixin():
    class Guarding:
        def authenticate(self, ctx: Any, route: Any, request: Request) -> str:
            return f"for {self.name}"  # type: ignore[attr-defined]

    class Own(ApiGatewayService):
        mixins = [Guarding]
        settings = {"routes": [{"authentication": True}]}

    service = Own()
    Broker("n").create_service(service)

    guard = service.options.routes[0].guards.authentication
    assert guard is not None
    assert "for api" == guard(None, None, None, None)


async def test_a_route_added_later_is_guarded_by_methods_too():
    broker, service = Broker("gateway-node"), Gateway()
    await broker.register(Stats())
    await broker.register(service)
    async with broker:
        await broker.call(
            "api.addRoute", {"route": {"path": "/late", "aliases": ALIASES, "authorization": "require_admin"}}
        )
        with pytest.raises(errors.ValidationError, match="names the method 'nobody'"):
            await broker.call("api.addRoute", {"route": {"path": "/x", "authorization": "nobody"}})

        assert 403 == (await Door(broker, service).get("/late/read")).status


async def test_a_guarded_action_that_an_open_route_reaches_is_warned_of_once(door: OpenDoor, caplog):
    guarded = {"path": "/admin", "aliases": ALIASES, "authentication": authenticate}
    at = await door(Stats(), routes=[guarded, {"path": "/all", "mappingPolicy": "all", "blacklist": ["stats.expired"]}])
    assert at.service.gateway is not None
    at.service.gateway.refresh()

    (warning,) = [one for one in caplog.records if one.message == "guarded actions can be reached by an open route"]
    assert ("stats.read", "/admin", "/all") == (warning.actions, warning.guarded, warning.open)


SEGMENT = st.sampled_from(["admin", "stats", "7", "read", "ADMIN", "%61dmin", "adm%49n", "stats.read", "~stats", "..", ".", "", ";x", "%2e%2e", "open", "hello", "x%00"])  # fmt: skip


def test_no_spelling_of_a_path_leads_past_the_guards():
    """Reliability reference, section 9, property 3: the same guards, or 400, 404, 405."""

    def refuse(ctx: Any, route: Any, request: Request) -> None:
        raise UnauthorizedError()

    class Open(Service):
        name = "open"

        @action
        def hello(self, ctx: Context) -> str:
            return "hello"

    stats = Stats()
    routes = [
        {"path": "/admin", "aliases": {"GET /stats/:id": "stats.read", "/": "stats.read"}, "authentication": refuse},
        {"path": "/admin/read", "mappingPolicy": "all", "authorization": refuse},
        {"path": "/", "mappingPolicy": "all", "whitelist": ["open.*"]},
    ]

    with asyncio.Runner() as runner:
        at = runner.run(open_door(stats, Open, routes=routes))
        gateway = at.service.gateway
        assert gateway is not None

        async def status(target: str, method: str) -> int:
            try:
                return (await gateway.handle(Request.build(method, target))).status
            except errors.BadRequestError:
                return 400  # The server says so before the gateway hears of it.

        @given(
            st.lists(SEGMENT, max_size=5).map(lambda parts: "/" + "/".join(parts)),
            st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "get"]),
        )
        def ask(target: str, method: str) -> None:
            answer = runner.run(status(target, method))

            assert 0 == stats.calls
            assert answer in (400, 401, 404, 405, 204) or "hello" in target

        ask()
        assert 401 == runner.run(status("/ADMIN/stats/7/", "GET"))
        assert 200 == runner.run(status("/open/hello", "GET"))
        runner.run(at.broker.stop())


def test_the_default_is_open_and_said_so_by_the_settings():
    settings, _ = read_settings({"routes": [{"aliases": ALIASES}]}, {})

    assert not settings.routes[0].guards.any
