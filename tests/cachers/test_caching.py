"""Calls of cached actions on real brokers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, event
from tautomer.errors import BrokerOptionsError, MoleculerError, RequestSkippedError, RequestTimeoutError
from tautomer.testing import FakeClock
from tests.cachers.suite import until
from tests.kernel.mesh import nodes

Make = Callable[..., Awaitable[Broker]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def make(clock: FakeClock) -> AsyncIterator[Make]:
    async with nodes(clock) as start:

        async def start_caching(*services: Service | type[Service], cacher: Any = True, **told: Any) -> Broker:
            return await start(*services, cacher=cacher, **told)

        yield start_caching


class Users(Service):
    """Says how often it was asked."""

    name = "users"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def _answer(self, ctx: Context[Any]) -> dict[str, Any]:
        self.asked += 1
        number = self.asked
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {"asked": number, "cached": ctx.cached_result, "rows": [{"x": 1}]}

    @action
    async def uncached(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache=False)
    async def off(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache=True)
    async def all(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keys": ["id"], "ttl": 30}, params={"id": "number"})
    async def get(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keys": ["id", "#user.id"]})
    async def mine(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"enabled": lambda ctx: ctx.params.get("page", 1) == 1})
    async def paged(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keygen": lambda ctx: ctx.params.get("key")})
    async def own(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keys": ["id"]})
    async def nothing(self, ctx: Context) -> None:
        self.asked += 1

    @action(cache={"keys": ["id"]})
    async def stream(self, ctx: Context) -> AsyncIterator[bytes]:
        self.asked += 1
        yield b"a"

    @action(cache={"keys": ["id"], "lock": True})
    async def locked(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keys": ["id"], "lock": {"ttl": 0.05}})
    async def shortly(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @action(cache={"keys": ["id"], "ttl": 30, "lock": {"staleTime": 10}})
    async def stale(self, ctx: Context) -> Any:
        return await self._answer(ctx)

    @event("cache.clean.users")
    async def clean(self, ctx: Context) -> None:
        await self.broker.cacher.clean("users.**")


async def asked(call: Awaitable[dict[str, Any]]) -> int:
    return int((await call)["asked"])


async def test_the_second_call_is_answered_from_the_cache(make: Make) -> None:
    broker = await make(Users)

    assert 1 == await asked(broker.call("users.get", {"id": 5}))
    assert 1 == await asked(broker.call("users.get", {"id": 5, "more": "x"}))
    assert 2 == await asked(broker.call("users.get", {"id": 6}))
    assert {"hits": 1, "misses": 2} == {name: broker.statistics()["cacher"][name] for name in ("hits", "misses")}


@pytest.mark.parametrize("name", ["users.uncached", "users.off"])
async def test_what_does_not_ask_for_it_is_not_cached(make: Make, name: str) -> None:
    broker = await make(Users)

    assert [1, 2] == [await asked(broker.call(name)) for _ in range(2)]


async def test_without_a_cacher_nothing_is_cached_and_nothing_is_in_the_chain(make: Make) -> None:
    broker = await make(Users, cacher=None)

    assert [1, 2] == [await asked(broker.call("users.all")) for _ in range(2)]
    assert None is broker.cacher
    assert None is broker.statistics()["cacher"]
    endpoint = broker.registry.actions["users.all"].only
    assert endpoint is not None
    assert endpoint.handler == endpoint.definition.method


async def test_no_keys_means_all_params(make: Make) -> None:
    broker = await make(Users)

    calls = [{"a": 1}, {"a": 1}, {"a": 1, "b": 2}, {}, None]
    assert [1, 1, 2, 3, 3] == [await asked(broker.call("users.all", params)) for params in calls]


async def test_a_hit_says_so_to_those_around_the_call(make: Make) -> None:
    broker = await make(Users)
    endpoint = broker.registry.actions["users.get"].only
    assert endpoint is not None
    seen = []
    for _ in range(2):
        ctx: Context[Any] = Context(broker, {"id": 5}, endpoint)
        await endpoint.handler(ctx)
        seen.append(ctx.cached_result)

    assert [False, True] == seen


async def test_an_entry_lives_for_its_ttl(make: Make, clock: FakeClock) -> None:
    broker = await make(Users)
    await broker.call("users.get", {"id": 5})
    clock.advance(29.9)
    assert 1 == await asked(broker.call("users.get", {"id": 5}))
    clock.advance(0.1)

    assert 2 == await asked(broker.call("users.get", {"id": 5}))


async def test_the_cachers_ttl_holds_where_the_action_says_nothing(make: Make, clock: FakeClock) -> None:
    broker = await make(Users, cacher={"type": "Memory", "options": {"ttl": 5}})
    await broker.call("users.all")
    await broker.call("users.get", {"id": 1})
    clock.advance(5)

    assert 3 == await asked(broker.call("users.all"))
    assert 2 == await asked(broker.call("users.get", {"id": 1}))


async def test_whoever_changes_his_result_changes_nothing_for_others(make: Make) -> None:
    broker = await make(Users)
    first = await broker.call("users.get", {"id": 5})
    first["rows"][0]["x"] = 2
    second = await broker.call("users.get", {"id": 5})
    second["rows"].append(3)

    assert [{"x": 1}] == (await broker.call("users.get", {"id": 5}))["rows"]


async def test_none_is_a_result_like_any_other(make: Make) -> None:
    users = Users()
    broker = await make(users)

    assert [None, None] == [await broker.call("users.nothing", {"id": 1}) for _ in range(2)]
    assert 1 == users.asked


async def test_errors_are_not_cached(make: Make) -> None:
    users = Users()
    broker = await make(users)
    users.error = MoleculerError("no")
    for _ in range(2):
        with pytest.raises(MoleculerError):
            await broker.call("users.get", {"id": 5})
    users.error = None

    assert 3 == await asked(broker.call("users.get", {"id": 5}))


async def test_streams_are_not_cached(make: Make) -> None:
    users = Users()
    broker = await make(users)
    for _ in range(2):
        assert [b"a"] == [chunk async for chunk in await broker.call("users.stream", {"id": 1})]

    assert 2 == users.asked


async def test_a_call_that_brings_a_stream_is_not_cached(make: Make) -> None:
    broker = await make(Users)

    async def items() -> AsyncIterator[bytes]:
        yield b"a"

    assert [1, 2] == [await asked(broker.call("users.get", {"id": 1}, stream=items())) for _ in range(2)]


async def test_users_never_get_each_others_answer(make: Make) -> None:
    broker = await make(Users)

    async def ask(meta: dict[str, Any]) -> int:
        return await asked(broker.call("users.mine", {"id": 5}, meta=meta))

    ann, bob = {"user": {"id": "ann"}}, {"user": {"id": "bob"}}
    assert [1, 2, 1, 2] == [await ask(meta) for meta in (ann, bob, ann, bob)]


@pytest.mark.parametrize("meta", [{}, {"user": None}, {"user": {"id": None}}, {"user": {}}])
async def test_without_the_meta_value_a_call_is_not_cached(make: Make, meta: dict[str, Any]) -> None:
    broker = await make(Users)

    assert [1, 2] == [await asked(broker.call("users.mine", {"id": 5}, meta=meta)) for _ in range(2)]


async def test_meta_can_ask_to_go_round_the_cache(make: Make) -> None:
    broker = await make(Users)
    await broker.call("users.get", {"id": 5})

    assert 2 == await asked(broker.call("users.get", {"id": 5}, meta={"$cache": False}))
    assert 1 == await asked(broker.call("users.get", {"id": 5}, meta={"$cache": True}))


async def test_a_function_says_which_calls_are_cached(make: Make) -> None:
    broker = await make(Users)

    pages = [1, 1, 2, 2, 1]
    assert [1, 1, 2, 3, 1] == [await asked(broker.call("users.paged", {"page": page})) for page in pages]


async def test_an_action_may_make_its_own_keys(make: Make) -> None:
    broker = await make(Users)
    keys = ["a", "a", None, None, 5, "b", "a"]

    assert [1, 1, 2, 3, 4, 5, 1] == [await asked(broker.call("users.own", {"key": key})) for key in keys]
    assert {"asked": 5} == {"asked": (await broker.cacher.get("b"))["asked"]}
    await broker.call("users.own", {"key": "x" * 600})
    assert [] == [key for key in broker.cacher._cacher._kept if len(key) > 512]


async def test_the_broker_may_make_the_keys(make: Make) -> None:
    broker = await make(Users, cacher={"options": {"keygen": lambda ctx: f"mine:{ctx.action.name}"}})
    await broker.call("users.all", {"a": 1})

    assert 1 == await asked(broker.call("users.all", {"a": 2}))
    assert 1 == (await broker.cacher.get("mine:users.all"))["asked"]


async def test_nodes_very_keys_are_to_be_had(make: Make) -> None:
    params = {"a": {"b": 1}, "c": 2}
    marked, exact = await make(Users), await make(Users, id="exact", cacher={"options": {"exactKeys": True}})
    for broker in (marked, exact):
        await broker.call("users.all", params)

    assert None is await marked.cacher.get("users.all:a|b|1|c|2")
    assert 1 == (await exact.cacher.get("users.all:a|b|1|c|2"))["asked"]


async def test_a_service_may_say_it_for_all_of_its_actions(make: Make) -> None:
    class Cached(Users):
        settings = {"$cache": {"keys": ["id"]}}

    broker = await make(Cached)

    assert [1, 1] == [await asked(broker.call("users.uncached", {"id": 1, "x": x})) for x in range(2)]
    assert [2, 3] == [await asked(broker.call("users.off", {"id": 1})) for x in range(2)]


async def test_a_hit_takes_no_place_in_the_bulkhead_and_is_not_validated(make: Make) -> None:
    users = Users()
    broker = await make(users, bulkhead={"enabled": True, "concurrency": 1, "max_queue_size": 0})
    await broker.call("users.get", {"id": 5})
    users.gate = asyncio.Event()
    running = asyncio.create_task(_run(broker.call("users.get", {"id": 6})))
    await until(lambda: 2 == users.asked)

    assert 1 == await asked(broker.call("users.get", {"id": 5}))
    users.gate.set()
    await running
    await broker.cacher.set('users.get:"x"', {"asked": 99})
    assert 99 == await asked(broker.call("users.get", {"id": "x"}))


async def test_what_is_too_large_is_given_and_not_cached(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    broker = await make(Users, cacher={"options": {"valueBytesMax": 10}})

    assert [1, 2] == [await asked(broker.call("users.get", {"id": 5})) for _ in range(2)]
    assert 2 == broker.statistics()["cacher"]["refused"]
    assert 1 == len([one for one in caplog.records if one.message.startswith("not cached")])


# --- cleaning ---


async def test_services_can_read_and_write_the_cache(make: Make) -> None:
    broker = await make()
    cacher = broker.cacher
    await cacher.set("a", 1)
    await cacher.set("b", None, ttl=10)

    assert (1, None, "x") == (await cacher.get("a"), await cacher.get("b", "x"), await cacher.get("c", "x"))
    assert (None, 10.0) == await cacher.get_with_ttl("b")
    assert ("x", None) == await cacher.get_with_ttl("c", "x")
    await cacher.delete("a")
    await cacher.delete(["b"])
    assert (None, "x") == (await cacher.get("a"), await cacher.get("b", "x"))
    await cacher.set("a", 1)
    await cacher.clean()
    assert None is await cacher.get("a")


async def test_what_began_before_a_clean_is_not_kept_after_it(make: Make) -> None:
    """It may have read what was changed since."""
    users = Users()
    broker = await make(users)
    for clean in (lambda: broker.cacher.clean("users.**"), lambda: broker.cacher.delete("users.get:5")):
        users.gate = asyncio.Event()
        before = users.asked
        running = asyncio.create_task(_run(broker.call("users.get", {"id": 5})))
        other = asyncio.create_task(_run(broker.call("users.all", {})))
        await until(lambda before=before: before + 2 == users.asked)
        await clean()
        users.gate.set()
        await asyncio.gather(running, other)

        assert None is await broker.cacher.get("users.get:5")
    assert None is not await broker.cacher.get("users.all:")


async def test_an_event_cleans_the_cache_of_another_node(make: Make, request: pytest.FixtureRequest) -> None:
    url = f"memory://{request.node.name}"
    here = await make(Users, id="here", url=url)
    there = await make(Users, id="there", url=url)
    await until(lambda: 2 == len(here.registry.actions["users.get"].all))
    for broker in (here, there):
        await broker.call("users.get", {"id": 5}, node_id=broker.id)

    await here.broadcast("cache.clean.users")
    await until(lambda: all(not broker.cacher._cacher._kept for broker in (here, there)))

    assert 2 == await asked(there.call("users.get", {"id": 5}, node_id="there"))


async def test_the_callee_caches_and_nobody_else(make: Make, request: pytest.FixtureRequest) -> None:
    url = f"memory://{request.node.name}"
    there = await make(Users, id="there", url=url)
    here = await make(id="here", url=url)
    await here.wait_for_services("users", 5)

    assert [1, 1] == [await asked(here.call("users.get", {"id": 5})) for _ in range(2)]
    assert (0, 1) == (here.cacher.hits, there.cacher.hits)


async def test_memory_is_emptied_when_the_node_was_apart_from_the_others(make: Make) -> None:
    broker = await make()
    await broker.cacher.set("a", 1)
    await broker.broadcast_local("$transporter.connected", {"wasReconnect": True})

    assert None is await broker.cacher.get("a")


# --- locks ---


async def _run(call: Awaitable[Any]) -> Any:
    return await call


async def test_of_many_at_once_one_runs(make: Make) -> None:
    users = Users()
    broker = await make(users)
    users.gate = asyncio.Event()
    calls = [asyncio.create_task(asked(broker.call("users.locked", {"id": 5}))) for _ in range(50)]
    other = asyncio.create_task(asked(broker.call("users.locked", {"id": 6})))
    await until(lambda: 2 == users.asked)
    users.gate.set()

    assert {1} == set(await asyncio.gather(*calls))
    assert 2 == await other
    assert 2 == users.asked
    assert not broker.cacher._cacher.locks


async def test_if_the_one_fails_the_next_runs(make: Make) -> None:
    gate = asyncio.Event()

    class BadStart(Users):
        async def _answer(self, ctx: Context[Any]) -> dict[str, Any]:
            if not self.asked:
                self.asked = 1
                await gate.wait()
                raise MoleculerError("no")
            return await super()._answer(ctx)

    users = BadStart()
    broker = await make(users)
    calls = [asyncio.create_task(_run(broker.call("users.locked", {"id": 5}))) for _ in range(5)]
    await until(lambda: 1 == users.asked)
    gate.set()
    first, *others = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(first, MoleculerError)
    assert [2, 2, 2, 2] == [one["asked"] for one in others]


async def test_if_the_one_is_cancelled_the_next_runs(make: Make) -> None:
    users = Users()
    broker = await make(users)
    users.gate = asyncio.Event()
    first = asyncio.create_task(_run(broker.call("users.locked", {"id": 5})))
    await until(lambda: 1 == users.asked)
    second = asyncio.create_task(asked(broker.call("users.locked", {"id": 5})))
    await asyncio.sleep(0)
    first.cancel()
    await until(lambda: 2 == users.asked)
    users.gate.set()

    assert 2 == await second


async def test_who_waits_for_longer_than_the_lock_lasts_runs(make: Make) -> None:
    users = Users()
    broker = await make(users)
    users.gate = asyncio.Event()
    calls = [asyncio.create_task(asked(broker.call("users.shortly", {"id": 5}))) for _ in range(2)]
    await until(lambda: 2 == users.asked)
    users.gate.set()

    assert [1, 2] == sorted(await asyncio.gather(*calls))


async def test_who_waits_has_no_more_time_than_its_caller() -> None:
    """On real time: waiting for a lock is a wait of the event loop."""
    users = Users()
    users.gate = asyncio.Event()
    async with Broker(settings=Settings(cacher=True)) as broker:
        await broker.register(users)
        first = asyncio.create_task(_run(broker.call("users.locked", {"id": 5})))
        await until(lambda: 1 == users.asked)
        with pytest.raises(RequestTimeoutError):
            await broker.call("users.locked", {"id": 5}, timeout=0.03)
        parent = broker.context(timeout=0.03)
        with pytest.raises((RequestSkippedError, RequestTimeoutError)):
            await parent.call("users.locked", {"id": 5})
        users.gate.set()
        await first

        assert 1 == users.asked


async def test_a_stale_result_is_given_once_more_and_made_anew(make: Make, clock: FakeClock) -> None:
    users = Users()
    broker = await make(users)
    await broker.call("users.stale", {"id": 5})
    clock.advance(19.9)
    assert 1 == await asked(broker.call("users.stale", {"id": 5}))
    assert 1 == users.asked
    clock.advance(0.2)
    users.gate = asyncio.Event()

    assert [1, 1, 1] == [await asked(broker.call("users.stale", {"id": 5})) for _ in range(3)]
    await until(lambda: 2 == users.asked)
    users.gate.set()
    await until(lambda: not broker.cacher._cacher.locks)
    assert 2 == await asked(broker.call("users.stale", {"id": 5}))
    assert 2 == users.asked


async def test_a_stale_result_that_cannot_be_made_anew_goes(make: Make, clock: FakeClock) -> None:
    users = Users()
    broker = await make(users)
    await broker.call("users.stale", {"id": 5})
    clock.advance(25)
    users.error = MoleculerError("no")
    assert 1 == await asked(broker.call("users.stale", {"id": 5}))
    await until(lambda: not broker.cacher._cacher.locks)

    with pytest.raises(MoleculerError):
        await broker.call("users.stale", {"id": 5})


async def test_a_stop_ends_what_is_made_anew(make: Make, clock: FakeClock) -> None:
    users = Users()
    broker = await make(users)
    await broker.call("users.stale", {"id": 5})
    clock.advance(25)
    users.gate = asyncio.Event()
    await broker.call("users.stale", {"id": 5})
    await until(lambda: 2 == users.asked)

    await broker.stop()

    assert 1 == len(asyncio.all_tasks())


# --- settings ---


@pytest.mark.parametrize(
    ("cacher", "name"),
    [
        (True, "Memory"),
        ("memory", "Memory"),
        ("MemoryLRU", "MemoryLRU"),
        ("Redis", "Redis"),
        ("redis://127.0.0.1:1/0", "Redis"),
        ("rediss://127.0.0.1:1/0", "Redis"),
        ({"type": "redis://127.0.0.1:1"}, "Redis"),
        ({"type": "Redis", "options": {"redis": "redis://127.0.0.1:1", "maxParamsLength": 60}}, "Redis"),
        ({"options": {"ttl": 5}}, "Memory"),
    ],
)
def test_cachers_by_name(cacher: Any, name: str) -> None:
    broker = Broker(settings=Settings(cacher=cacher))

    assert name == broker.statistics()["cacher"]["name"]


@pytest.mark.parametrize("cacher", [None, False])
def test_no_cacher(cacher: Any) -> None:
    assert None is Broker(settings=Settings(cacher=cacher)).cacher


@pytest.mark.parametrize(
    ("cacher", "told"),
    [
        ("memcached://:secret@host", "cacher 'memcached' is not known; known: Memory, MemoryLRU, Redis, redis://…"),
        (
            {"type": "Memory", "options": {"tll": 5}},
            "cacher: CacherOptions: unknown setting 'tll'; did you mean 'ttl'?",
        ),
        ({"type": "Memory", "ttl": 5}, "cacher: unknown setting 'ttl'; known: options, type"),
        ({"options": 5}, "cacher: options is a mapping, not 5"),
        ({"options": {"ttl": -1}}, "cacher: ttl is a number from 0 up, not -1"),
        ({"options": {"max": 0}}, "cacher: max is a number from 1 up, not 0"),
        ({"options": {"keyFormat": "1"}}, "cacher: key_format is '0.15' or '0.14', not '1'"),
        ({"options": {"keygen": "x"}}, "cacher: keygen is a function, not 'x'"),
        ({"type": "Redis", "options": {"redis": {}}}, "cacher: redis is a URL, not a dict"),
        (5, "cacher is a name, a URL, a mapping or a Cacher, not 5"),
    ],
)
def test_what_cannot_be_a_cacher_is_told_at_once(cacher: Any, told: str) -> None:
    with pytest.raises(BrokerOptionsError) as error:
        Broker(settings=Settings(cacher=cacher))

    assert told == error.value.message


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        (5, "cache of 'x.a' is true, false or a mapping, not 5"),
        ({"key": ["id"]}, "cache of 'x.a': CacheSettings: unknown setting 'key'; did you mean 'keys'?"),
        ({"keys": "id"}, "cache of 'x.a': keys is a list of texts, not 'id'"),
        ({"ttl": "5"}, "cache of 'x.a': ttl is a number from 0 up, not '5'"),
        ({"lock": {"ttl": 0}}, "cache of 'x.a': lock: ttl is a number from 0.001 up, not 0"),
        ({"lock": 5}, "cache of 'x.a': lock is true, false or a mapping, not 5"),
    ],
)
async def test_what_cannot_be_an_actions_cache_is_told_at_start(make: Make, cache: Any, told: str) -> None:
    class Odd(Service):
        name = "x"

        @action(cache=cache)
        def a(self, ctx: Context) -> None: ...

    broker = await make()
    with pytest.raises(BrokerOptionsError) as error:
        await broker.register(Odd)

    assert told == error.value.message


def test_settings_do_not_show_a_password() -> None:
    assert "secret" not in repr(Settings(cacher="redis://:secret@host"))


class Shelf:
    """A cacher of one's own."""

    name = "Shelf"

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.broken = False

    async def open(self, prefix: str) -> None:
        self.prefix = prefix

    async def get(self, key: str) -> Any:
        from tautomer.ports import ABSENT

        if self.broken:
            raise OSError("fell down")
        return self.kept.get(key, ABSENT)

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        return await self.get(key), None

    async def set(self, key: str, value: Any, ttl: float | None) -> bool:
        self.kept[key] = value
        return True

    async def delete(self, keys: Any) -> None: ...

    async def clean(self, masks: Any) -> None:
        if self.broken:
            raise OSError("fell down")
        self.kept.clear()

    async def lock(self, key: str, ttl: float, wait: float) -> Any:
        raise OSError("no locks here")

    async def close(self) -> None:
        raise OSError("does not close")


async def test_a_cacher_of_ones_own(make: Make) -> None:
    shelf = Shelf()
    broker = await make(Users, cacher=shelf, namespace="ns")

    assert [1, 1] == [await asked(broker.call("users.get", {"id": 5})) for _ in range(2)]
    assert "MOL-ns-" == shelf.prefix
    assert ["users.get:5"] == list(shelf.kept)


async def test_whatever_fails_there_the_call_is_made(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """And what was to be cleaned meanwhile is, before it is used again."""
    caplog.set_level(logging.INFO, "tautomer.cacher")
    shelf = Shelf()
    broker = await make(Users, cacher=shelf)
    await broker.call("users.get", {"id": 5})
    shelf.broken = True

    assert [2, 3] == [await asked(broker.call("users.get", {"id": 5})) for _ in range(2)]
    assert not broker.cacher.connected
    await broker.cacher.clean("users.**")
    assert ["users.get:5"] == list(shelf.kept)
    shelf.broken = False
    await until(lambda: broker.cacher.connected)
    assert {} == shelf.kept
    assert 4 == await asked(broker.call("users.locked", {"id": 5}))  # Its locks never work.
    texts = [one.message for one in caplog.records]
    assert 1 == texts.count("cacher out of reach: calls run uncached until it is back")
    assert 1 == texts.count("cacher is back")
