"""Rate limits at the gateway: what is counted, what a client is told, and stores that fail."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.host import Host
from tautomer.testing import FakeClock
from tautomer.web.errors import UnauthorizedError
from tautomer.web.messages.message import Request
from tautomer.web.rate_limit.redis import RedisServer as RedisClient
from tautomer.web.settings.loading import read_settings
from tautomer.web.settings.records import RateLimit
from tests.servers import RedisServer
from tests.web.conftest import OpenDoor
from tests.web.door import Answer, Door, gateway, open_door

NOW_MS = 1_700_000_000_000


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> str:
        return "Ann"


ALIASES = {"/get": "users.get", "/gone": "gone.get", "/own": lambda request: "own"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def at(clock: FakeClock) -> AsyncIterator[Callable[..., Any]]:
    """Opens a gateway whose time stands: ``await at({"limit": 2})``, or with whole routes."""
    opened: list[Door] = []

    async def make(limit: Any = None, routes: list[Any] | None = None, **settings: Any) -> Door:
        broker = Broker(f"gateway-{len(opened)}", host=Host(clock=clock, wall_ms=lambda: NOW_MS))
        routes = routes or [{"aliases": ALIASES, "rateLimit": limit}]
        opened.append(await open_door(Users, routes=routes, broker=broker, **settings))
        return opened[-1]

    yield make
    for one in opened:
        await one.broker.stop()


async def statuses(door: Door, *paths: str, **headers: str) -> list[int]:
    return [(await door.get(path, **headers)).status for path in paths]


async def test_over_the_limit_a_client_is_told_to_wait(at, clock):
    door = await at({"window": 60, "limit": 2})

    assert [200, 200, 429, 429] == await statuses(door, *["/get"] * 4)
    clock.advance(20.5)
    refused = await door.get("/get")
    assert (429, "RATE_LIMIT_EXCEEDED", "40") == (refused.status, refused.type, refused.header("Retry-After"))
    assert refused.header("X-Rate-Limit-Limit") is None

    clock.advance(39.5)
    assert [200, 200, 429] == await statuses(door, *["/get"] * 3)


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if "limit" in name or name == "retry-after"}


async def test_the_headers_tell_what_is_left_on_errors_and_refusals_too(at, clock):
    door = await at({"windowSeconds": 60, "limit": 2, "headers": True})

    first = await door.get("/get")
    clock.advance(10.2)
    failed, refused = await door.get("/gone"), await door.get("/get")

    assert [200, 503, 429] == [one.status for one in (first, failed, refused)]
    assert {
        "x-rate-limit-limit": "2",
        "x-rate-limit-remaining": "1",
        "x-rate-limit-reset": str(NOW_MS + 60_000),
        "ratelimit-policy": '"default";q=2;w=60',
        "ratelimit": '"default";r=1;t=60',
    } == told(first)
    # The window ends when it ends: no request of it is told another time.
    assert {**told(first), "x-rate-limit-remaining": "0", "ratelimit": '"default";r=0;t=50'} == told(failed)
    assert {**told(failed), "retry-after": "50"} == told(refused)


async def test_all_ways_of_a_route_are_counted_together_and_each_route_alone(at):
    limit = {"limit": 3}
    door = await at(
        routes=[
            {"path": "/a", "aliases": ALIASES, "rateLimit": limit},
            {"path": "/b", "aliases": ALIASES, "rateLimit": limit},
            {"path": "/c", "aliases": ALIASES},
        ]
    )

    assert [200, 200, 503, 429, 429] == await statuses(door, "/a/get", "/a/own", "/a/gone", "/a/get", "/a/own")
    assert [200, 200] == await statuses(door, "/b/get", "/c/get")


async def test_the_gateways_limit_holds_for_routes_without_their_own(at):
    door = await at(
        routes=[
            {"path": "/a", "aliases": ALIASES},
            {"path": "/b", "aliases": ALIASES, "rateLimit": {"limit": 2}},
            {"path": "/c", "aliases": ALIASES, "rateLimit": False},
            {"path": "/d", "aliases": ALIASES},
        ],
        rateLimit={"limit": 1},
    )

    seen = {path: await statuses(door, *[f"/{path}/get"] * 3) for path in "abcd"}

    assert {"a": [200, 429, 429], "b": [200, 200, 429], "c": [200, 200, 200], "d": [200, 429, 429]} == seen


async def test_paths_that_lead_nowhere_are_not_counted(at):
    door = await at({"limit": 1})

    assert [404, 404, 200, 429] == await statuses(door, "/none", "/none", "/get", "/get")


async def test_a_forbidden_action_looks_like_one_that_is_not_there(at):
    route = {"mappingPolicy": "all", "whitelist": ["users.*"], "rateLimit": {"limit": 9, "headers": True}}
    door = await at(routes=[route])

    forbidden, absent = await door.get("/other/action"), await door.get("/users/nothing")

    assert (404, 404) == (forbidden.status, absent.status)
    assert [name for name, _ in forbidden.headers] == [name for name, _ in absent.headers]


async def test_failed_logins_are_counted(at):
    def refuse(ctx: Any, route: Any, request: Request) -> None:
        raise UnauthorizedError("Invalid token")

    door = await at(routes=[{"aliases": ALIASES, "authentication": refuse, "rateLimit": {"limit": 2}}])

    assert [401, 401, 429] == await statuses(door, *["/get"] * 3)


async def test_forwarding_headers_of_strangers_do_not_lift_the_limit(at):
    door = await at({"limit": 1})

    seen = [
        (await door.get("/get", **{"X-Forwarded-For": f"6.6.6.{one}", "X-Real-IP": f"6.6.6.{one}"})).status
        for one in range(3)
    ]

    assert [200, 429, 429] == seen


async def test_behind_a_trusted_proxy_each_client_is_counted_alone(at):
    door = await at({"limit": 1}, trustedProxies=["127.0.0.0/8"])

    seen = [(await door.get("/get", **{"X-Forwarded-For": f"6.6.6.6, 203.0.113.{one}"})).status for one in (1, 2, 1, 2)]

    assert [200, 200, 429, 429] == seen


@pytest.mark.parametrize(
    ("one", "other", "counted_together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("203.0.113.1", "203.0.113.2", False),
        ("203.0.113.1", "::ffff:203.0.113.1", True),
    ],
)
async def test_whoever_has_a_whole_ipv6_network_is_one_client(at, one, other, counted_together):
    door = await at({"limit": 1}, trustedProxies=["127.0.0.1"])

    seen = [(await door.get("/get", **{"X-Forwarded-For": client})).status for client in (one, other)]

    assert [200, 429 if counted_together else 200] == seen


async def test_a_key_of_ones_own(at):
    async def key(request: Request) -> Any:
        return request.header("x-tenant")

    door = await at({"limit": 1, "key": key})

    for tenant in ("a", "b", "x" * 4000, "ü"):
        assert [200, 429] == await statuses(door, "/get", "/get", **{"X-Tenant": tenant})
    assert [200, 200] == await statuses(door, "/get", "/get")


async def test_a_key_that_fails_is_our_fault(at):
    def key(request: Request) -> str:
        raise KeyError("x")

    assert [500] == await statuses(await at({"key": key}), "/get")


async def test_a_limit_of_nothing_refuses_all(at):
    assert [429] == await statuses(await at({"limit": 0}), "/get")


async def test_a_route_that_is_put_in_anothers_place_counts_anew(at):
    door = await at({"limit": 1})
    assert [200, 429] == await statuses(door, "/get", "/get")

    await door.broker.call("api.addRoute", {"route": {"aliases": {"/get": "users.get"}, "rateLimit": {"limit": 2}}})

    assert [200, 200, 429] == await statuses(door, "/get", "/get", "/get")


class Shelf:
    """A store as moleculer-web's StoreFactory makes them."""

    def __init__(self, window: float, options: RateLimit, broker: Broker) -> None:
        self.made_with = (window, options.limit, broker.node_id)
        self.counts: dict[str, int] = {}
        self.reset_time = NOW_MS + 7_000

    async def inc(self, key: str) -> int:
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]


@pytest.mark.parametrize("name", ["StoreFactory", "store"])
async def test_a_store_of_ones_own(at, name):
    made: list[Shelf] = []

    def factory(*arguments: Any) -> Shelf:
        made.append(Shelf(*arguments))
        return made[-1]

    door = await at({"windowSeconds": 30, "limit": 1, name: factory})

    assert [200] == await statuses(door, "/get")
    refused = await door.get("/get")
    assert (429, "7") == (refused.status, refused.header("Retry-After"))
    assert ((30.0, 1, "gateway-0"), {"127.0.0.1": 2}) == (made[0].made_with, made[0].counts)


class Stuck:
    def __init__(self, *_: Any) -> None:
        self.asked = 0

    async def inc(self, key: str) -> int:
        self.asked += 1
        await asyncio.Event().wait()
        return 1


class Broken:
    def __init__(self, *_: Any) -> None:
        self.asked = 0

    def inc(self, key: str) -> int:
        self.asked += 1
        raise OSError("redis://:secret@store")


@pytest.mark.parametrize("kind", [Stuck, Broken])
@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 503)])
async def test_a_store_that_cannot_be_asked_is_left_alone_for_a_while(at, clock, caplog, kind, fail_open, status):
    stores: list[Any] = []

    def factory(*arguments: Any) -> Any:
        stores.append(kind())
        return stores[-1]

    door = await at({"store": factory, "failOpen": fail_open})

    assert [status] * 3 == await statuses(door, *["/get"] * 3)
    assert 1 == stores[0].asked
    clock.advance(2)
    assert [status] == await statuses(door, "/get")
    assert 2 == stores[0].asked

    warnings = [one for one in caplog.records if one.message.startswith("rate limit store failed")]
    assert 1 == len(warnings)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("window", "seconds", "doubtful"),
    [(60, 60, False), (0.5, 0.5, False), (60_000, 60, True), (10_000, 10, True), (1_000, 1, True), (999, 999, False)],
)
def test_a_window_means_what_the_authors_of_both_gateways_meant(window, seconds, doubtful):
    settings, warnings = read_settings({"rateLimit": {"window": window}, "routes": [{}]}, {})

    limit = settings.routes[0].guards.rate_limit
    assert limit is not None
    assert seconds == limit.window
    assert doubtful == any("is read as milliseconds" in one for one in warnings)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"window": 3600}, "settings.rateLimit.window 3600 may be seconds or milliseconds: write 'windowSeconds': 3600, or 'windowSeconds': 3.6"),
        ({"window": 0}, "settings.rateLimit.window is a number over 0"),
        ({"windowSeconds": "60"}, "settings.rateLimit.windowSeconds is a number"),
        ({"limit": -1}, "settings.rateLimit.limit is a whole number"),
        ({"limti": 1}, "did you mean 'limit'"),
        ({"key": "client"}, "settings.rateLimit.key names the method 'client'"),
        ({"store": "http://:secret@x"}, "is a URL that begins with redis://, rediss://, unix://, or a function"),
        (True, "settings.rateLimit is a mapping"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_told_at_start(limit, told):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings({"rateLimit": limit}, {})

    assert told in raised.value.message
    assert "secret" not in raised.value.message


async def test_the_password_of_a_store_stays_on_its_node():
    broker = Broker("gateway-node")
    limit = {"limit": 5, "store": "redis://:secret@127.0.0.1"}
    await broker.register(gateway({"rateLimit": limit}, rate_limit=limit))

    async with broker:
        (told,) = [one for one in await broker.call("$node.services") if one["name"] == "api"]

    assert "secret" not in str(told)
    assert ({"limit": 5}, [{"rateLimit": {"limit": 5}}]) == (told["settings"]["rate_limit"], told["settings"]["routes"])


# --- Redis ---


@pytest.fixture
def redis() -> Any:
    with RedisServer() as server:
        yield server


@pytest.mark.server
@pytest.mark.slow
async def test_gateways_count_together_in_redis(door: OpenDoor, redis: RedisServer):
    routes = [{"aliases": ALIASES, "rateLimit": {"window": 60, "limit": 3, "headers": True, "store": redis.url}}]
    one = await door(Users, routes=routes, broker=Broker("one"))
    other = await door(Users, routes=routes, broker=Broker("other"))

    assert [200, 200, 200, 429] == [(await at.get("/get")).status for at in (one, other, one, other)]
    refused = await one.get("/get")
    assert 0 < int(refused.header("Retry-After") or "") <= 60
    assert "0" == refused.header("X-Rate-Limit-Remaining")


@pytest.mark.server
@pytest.mark.slow
async def test_a_window_in_redis_ends(door: OpenDoor, redis: RedisServer):
    at = await door(Users, routes=[{"aliases": ALIASES, "rateLimit": {"window": 1, "limit": 1, "store": redis.url}}])

    assert [200, 429] == await statuses(at, "/get", "/get")
    async with asyncio.timeout(10):
        while 429 == (await at.get("/get")).status:
            await asyncio.sleep(0.05)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "freeze"])
async def test_requests_do_not_wait_for_a_redis_that_is_away(door: OpenDoor, redis: RedisServer, how, caplog):
    at = await door(Users, routes=[{"aliases": ALIASES, "rateLimit": {"limit": 1, "store": redis.url}}])
    assert [200, 429] == await statuses(at, "/get", "/get")

    getattr(redis, how)()
    loop = asyncio.get_running_loop()
    begun = loop.time()

    assert [200, 200, 200] == await statuses(at, "/get", "/get", "/get")
    assert loop.time() - begun < 0.9  # One of them waited a tenth of a second.
    assert 1 == sum(one.message.startswith("rate limit store failed") for one in caplog.records)


async def test_a_url_that_cannot_be_used_is_told_without_its_password(door: OpenDoor):
    routes = [{"aliases": ALIASES, "rateLimit": {"store": "redis://:sec/ret@host"}}]

    with pytest.raises(BrokerOptionsError, match=r"rateLimit\.store is redis://") as raised:
        await door(Users, routes=routes)

    assert "sec" not in raised.value.message


async def test_a_library_that_is_not_there_is_named_at_start(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without_limits(name: str, *arguments: Any) -> Any:
        if name.startswith("limits"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="limits")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_limits)

    with pytest.raises(BrokerOptionsError, match=r"needs 'limits': pip install 'tautomer\[ratelimit,redis\]'"):
        RedisClient("redis://127.0.0.1")
