"""A Redis server that dies, stands still, and comes back, under a broker that uses it (reliability reference, section 4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action
from tautomer.testing import FakeClock
from tests.cachers.suite import until
from tests.servers import RedisServer, free_port

pytestmark = pytest.mark.server

WAIT = 0.1
SLACK = 0.4
"""Seconds that a busy machine may take for what takes none."""


class Posts(Service):
    name = "posts"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.gate: asyncio.Event | None = None

    @action(cache={"keys": ["id"]})
    async def get(self, ctx: Context) -> int:
        self.asked += 1
        return self.asked

    @action(cache={"keys": ["id"], "lock": {"ttl": 10}})
    async def locked(self, ctx: Context) -> int:
        self.asked += 1
        asked = self.asked
        if self.gate is not None:
            await self.gate.wait()
        return asked


@asynccontextmanager
async def node(url: str, posts: Posts | None = None, **options: Any) -> AsyncIterator[Broker]:
    broker = Broker(settings=Settings(cacher={"type": "Redis", "options": {"redis": url, **options}}))
    await broker.register(posts or Posts())
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def timed(call: Any) -> tuple[Any, float]:
    began = time.monotonic()
    return await call, time.monotonic() - began


async def test_results_are_shared_by_nodes_and_outlive_them(redis_url: str) -> None:
    async with node(redis_url, prefix="share") as one, node(redis_url, prefix="share") as other:
        assert 1 == await one.call("posts.get", {"id": 5})
        assert 1 == await other.call("posts.get", {"id": 5})
        assert (0, 1) == (one.cacher.hits, other.cacher.hits)
    async with node(redis_url, prefix="share") as later:
        assert 1 == await later.call("posts.get", {"id": 5})


async def test_a_server_that_is_not_there_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    async with node(f"redis://:secret@127.0.0.1:{free_port()}/0") as broker:
        answers = [await timed(broker.call("posts.get", {"id": 5})) for _ in range(20)]

        assert list(range(1, 21)) == [value for value, _ in answers]
        assert sum(seconds for _, seconds in answers) < SLACK
        assert not broker.cacher.connected
    warnings = [one for one in caplog.records if one.name == "tautomer.cacher"]
    assert ["cacher out of reach: calls run uncached until it is back"] == [one.message for one in warnings]
    assert "secret" not in str(warnings[0].__dict__)


async def test_a_server_that_stands_still_costs_one_wait_and_is_used_again_when_it_goes_on(
    redis_server: RedisServer,
) -> None:
    async with node(redis_server.url) as broker:
        await broker.call("posts.get", {"id": 5})
        redis_server.freeze()
        value, seconds = await timed(broker.call("posts.get", {"id": 5}))
        answers = [await timed(broker.call("posts.get", {"id": 5})) for _ in range(20)]
        assert 2 == value
        assert WAIT * 0.9 <= seconds < WAIT + SLACK
        assert sum(seconds for _, seconds in answers) < SLACK

        redis_server.thaw()
        await until(lambda: broker.cacher.connected)
        assert 1 == await broker.call("posts.get", {"id": 5})


async def test_many_calls_at_once_wait_together(redis_server: RedisServer) -> None:
    async with node(redis_server.url) as broker:
        redis_server.freeze()
        calls = (broker.call("posts.get", {"id": number}) for number in range(200))
        _, seconds = await timed(asyncio.gather(*calls))

        assert seconds < WAIT + 2 * SLACK
        assert 1 == broker.statistics()["cacher"]["outages"]


async def test_who_waits_for_a_lock_when_the_server_stands_still_runs_soon(redis_server: RedisServer) -> None:
    posts = Posts()
    posts.gate = asyncio.Event()
    async with node(redis_server.url, posts) as one, node(redis_server.url, other := Posts()) as second:
        first = asyncio.create_task(timed(one.call("posts.locked", {"id": 5})))
        await until(lambda: 1 == posts.asked)
        waiting = asyncio.create_task(timed(second.call("posts.locked", {"id": 5})))
        await asyncio.sleep(0.05)
        assert 0 == other.asked
        redis_server.freeze()
        _, seconds = await waiting
        assert seconds < 0.05 + 0.2 + WAIT + 2 * SLACK
        posts.gate.set()
        await first


async def test_one_of_all_nodes_runs(redis_url: str) -> None:
    all_posts = [Posts() for _ in range(3)]
    for posts in all_posts:
        posts.gate = asyncio.Event()
    async with (
        node(redis_url, all_posts[0], prefix="one", wait=5) as a,
        node(redis_url, all_posts[1], prefix="one", wait=5) as b,
        node(redis_url, all_posts[2], prefix="one", wait=5) as c,
    ):
        calls = [asyncio.create_task(timed(one.call("posts.locked", {"id": 5}))) for one in (a, b, c) for _ in range(4)]
        await until(lambda: 1 == sum(posts.asked for posts in all_posts))
        await asyncio.sleep(0.05)
        for posts in all_posts:
            assert posts.gate is not None
            posts.gate.set()
        answers = await asyncio.gather(*calls)

    assert {1} == {value for value, _ in answers}
    assert 1 == sum(posts.asked for posts in all_posts)


async def test_many_that_waited_for_one_do_not_wait_for_each_other(redis_url: str) -> None:
    posts = Posts()
    posts.gate = asyncio.Event()
    async with node(redis_url, posts, prefix="many", wait=5) as broker:
        calls = [asyncio.create_task(timed(broker.call("posts.locked", {"id": 5}))) for _ in range(300)]
        await until(lambda: 1 == posts.asked)
        posts.gate.set()
        answers, seconds = await timed(asyncio.gather(*calls))

    assert {1} == {value for value, _ in answers}
    # It takes 0.2 s; one after the other, each with a pause of its own, 300 would take 3 s at least.
    assert seconds < 2.5


async def test_a_server_that_died_is_used_again_when_it_is_back(redis_server: RedisServer) -> None:
    async with node(redis_server.url) as broker:
        await broker.call("posts.get", {"id": 5})
        redis_server.stop()
        assert 2 == await broker.call("posts.get", {"id": 5})
        redis_server.start()
        await until(lambda: broker.cacher.connected)

        assert 3 == await broker.call("posts.get", {"id": 5})
        assert 3 == await broker.call("posts.get", {"id": 5})


async def test_what_was_to_be_cleaned_meanwhile_is_cleaned_first(redis_server: RedisServer) -> None:
    async with node(redis_server.url) as broker:
        for number in range(3):
            await broker.call("posts.get", {"id": number})
        redis_server.freeze()
        _, seconds = await timed(broker.cacher.clean("posts.get:1*"))
        await broker.cacher.delete("posts.get:0")
        assert seconds < WAIT + SLACK
        redis_server.thaw()
        await until(lambda: broker.cacher.connected)

        assert [4, 5, 3] == [await broker.call("posts.get", {"id": number}) for number in range(3)]


async def test_what_is_cleaned_before_the_start_is_cleaned_at_the_start(redis_url: str) -> None:
    async with node(redis_url, prefix="early") as broker:
        await broker.call("posts.get", {"id": 5})
    later = Broker(settings=Settings(cacher={"type": redis_url, "options": {"prefix": "early"}}))
    assert None is await later.cacher.get("posts.get:5")
    await later.cacher.clean("nothing.*")
    await later.start()
    assert 1 == await later.cacher.get("posts.get:5")
    await later.stop()
    again = Broker(settings=Settings(cacher={"type": redis_url, "options": {"prefix": "early"}}))
    await again.cacher.clean("posts.*")
    await again.start()
    assert None is await again.cacher.get("posts.get:5")
    await again.stop()


async def test_a_lock_that_was_just_had_is_given_back_by_who_is_cancelled(redis_url: str) -> None:
    async with node(redis_url, prefix="cancelled") as broker:
        for turns in range(1, 12):
            taking = asyncio.create_task(broker.cacher.lock("a", 30, 0))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            taking.cancel()
            release = (await asyncio.gather(taking, return_exceptions=True))[0]
            if callable(release):
                await release()

            held = await broker.cacher.lock("a", 30, 2)
            assert held is not None
            await held()


async def test_a_long_outage_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tautomer.cachers.cache._PROBE_FIRST", 0.001)
    monkeypatch.setattr("tautomer.cachers.cache._PROBE_MOST", 0.001)
    from tautomer.host import Host

    clock = FakeClock()
    broker = Broker(settings=Settings(cacher=f"redis://127.0.0.1:{free_port()}"), host=Host(clock=clock))
    await broker.start()

    def told() -> list[str]:
        return [one.message for one in caplog.records if one.name == "tautomer.cacher"]

    assert 1 == len(told())
    clock.advance(59)
    await asyncio.sleep(0.05)
    assert 1 == len(told())
    clock.advance(1)
    await until(lambda: 2 == len(told()))
    await broker.stop()

    assert "cacher still out of reach" == told()[-1]


async def test_after_too_much_was_missed_everything_is_cleaned(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tautomer.cachers.cache.MISSED_MAX", 3)
    async with node(redis_server.url) as broker:
        await broker.call("posts.get", {"id": 5})
        redis_server.freeze()
        for number in range(5):
            await broker.cacher.delete(f"x{number}")
        redis_server.thaw()
        await until(lambda: broker.cacher.connected)

        assert 2 == await broker.call("posts.get", {"id": 5})
