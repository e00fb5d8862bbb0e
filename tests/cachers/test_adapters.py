"""Every cacher by the same suite, and what each has of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from tautomer.cachers.lru import MemoryLRUCacher
from tautomer.cachers.memory import MemoryCacher
from tautomer.cachers.options import CacherOptions
from tautomer.cachers.redis import RedisCacher
from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.ports import ABSENT, Cacher
from tautomer.testing import FakeClock
from tests.cachers.suite import CacherSuite, fill, left_of, until


class TestMemory(CacherSuite):
    def make(self) -> Cacher:
        return MemoryCacher(CacherOptions(value_bytes_max=self.value_bytes_max), Host())


class TestMemoryLRU(CacherSuite):
    def make(self) -> Cacher:
        return MemoryLRUCacher(CacherOptions(value_bytes_max=self.value_bytes_max), Host())


@pytest.mark.server
class TestRedis(CacherSuite):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def make(self) -> Cacher:
        # A machine that is busy must not fail a test of what is stored.
        return RedisCacher(CacherOptions(redis=self.url, value_bytes_max=self.value_bytes_max, wait=5.0), Host())

    @pytest.fixture
    async def client(self) -> AsyncIterator[Redis]:
        client = Redis.from_url(self.url)
        yield client
        await client.aclose()

    async def test_two_share_what_has_one_prefix(self, cachers: Any) -> None:
        here, there, elsewhere = await cachers("P-"), await cachers("P-"), await cachers("P-x-")
        await here.set("a", {"x": 1}, None)
        lock = await here.lock("a", 10, 0)

        assert {"x": 1} == await there.get("a")
        assert ABSENT is await elsewhere.get("a")
        assert None is await there.lock("a", 10, 0)
        await lock()

    async def test_cleaning_stays_within_its_prefix(self, cachers: Any) -> None:
        here, elsewhere = await cachers("A?[b]-"), await cachers("Axb-")
        await fill(here, "a")
        await fill(elsewhere, "a")

        await here.clean(["**"])

        assert set() == await left_of(here, "a")
        assert {"a"} == await left_of(elsewhere, "a")

    async def test_entries_and_locks_look_as_nodes_do(self, cachers: Any, client: Redis) -> None:
        cacher = await cachers("MOL-look-")
        await cacher.set('p.get:"x"|3', {"a": None, "b": [1.5]}, 30)
        lock = await cacher.lock("p.get:1", 10, 0)

        assert b'{"a":null,"b":[1.5]}' == await client.get('MOL-look-p.get:"x"|3')
        assert 29 <= await client.ttl('MOL-look-p.get:"x"|3') <= 30
        assert 9_000 < await client.pttl("MOL-look-p.get:1-lock") <= 10_000
        await lock()
        assert 0 == await client.exists("MOL-look-p.get:1-lock")

    async def test_a_lock_whose_time_is_over_is_free_and_not_given_back_for_another(self, cachers: Any) -> None:
        cacher = await cachers()
        late = await cacher.lock("a", 0.02, 0)
        mine = await cacher.lock("a", 10, 5)
        await late()

        assert None is await cacher.lock("a", 10, 0)
        await mine()

    @pytest.mark.parametrize("stored", [b"", b"{", b"\xff", b"[" * 100_000])
    async def test_what_somebody_stored_that_is_no_json_is_absent(
        self, cachers: Any, client: Redis, stored: bytes
    ) -> None:
        cacher = await cachers("MOL-odd-")
        await client.set("MOL-odd-a", stored)

        assert ABSENT is await cacher.get("a")
        assert ABSENT is (await cacher.get_with_ttl("a"))[0]
        assert await cacher.set("a", 1, None)
        assert 1 == await cacher.get("a")

    async def test_what_json_cannot_say_is_not_kept(self, cachers: Any) -> None:
        cacher = await cachers()

        assert not await cacher.set("a", object(), None)
        assert not await cacher.set("a", "\ud800", None)


def in_memory(kind: type[MemoryCacher], clock: FakeClock | None = None, **options: Any) -> MemoryCacher:
    return kind(CacherOptions(**options), Host(clock=clock or FakeClock()))


@pytest.mark.parametrize("kind", [MemoryCacher, MemoryLRUCacher])
async def test_the_very_end_of_an_entry(kind: type[MemoryCacher]) -> None:
    clock = FakeClock()
    cacher = in_memory(kind, clock)
    await cacher.set("a", 1, 10)
    clock.advance(9.999)
    assert (1, pytest.approx(0.001)) == await cacher.get_with_ttl("a")
    clock.advance(0.001)

    assert ABSENT is await cacher.get("a")
    await cacher.close()


async def test_memory_lets_go_of_the_oldest() -> None:
    cacher = in_memory(MemoryCacher, max=3)
    await fill(cacher, "a", "b", "c")
    await cacher.get("a")
    await fill(cacher, "b", "d")

    assert {"b", "c", "d"} == await left_of(cacher, "a", "b", "c", "d")


async def test_lru_lets_go_of_what_was_not_asked_for_longest() -> None:
    cacher = in_memory(MemoryLRUCacher, max=3)
    await fill(cacher, "a", "b", "c")
    await cacher.get("a")
    await fill(cacher, "d")

    assert {"a", "c", "d"} == await left_of(cacher, "a", "b", "c", "d")


async def test_what_nobody_asks_for_goes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tautomer.cachers.memory.SWEEP", 0.001)
    clock = FakeClock()
    cacher = in_memory(MemoryCacher, clock)
    await cacher.set("a", 1, 10)
    await cacher.set("b", 1, None)
    clock.advance(10)
    await until(lambda: 1 == len(cacher))

    assert 1 == await cacher.get("b")
    await cacher.close()


async def test_without_clones_all_get_the_very_same() -> None:
    cacher = in_memory(MemoryCacher, clone=False)
    value = {"a": [1]}
    await cacher.set("a", value, None)

    assert value is await cacher.get("a")


@pytest.mark.parametrize(
    "value", [datetime(2026, 1, 1, tzinfo=UTC), (1, [2]), {1, 2}, {"a": (1, {"b"})}, b"bytes", {1: 2}], ids=repr
)
async def test_memory_keeps_what_python_has(value: Any) -> None:
    cacher = in_memory(MemoryCacher)
    await cacher.set("a", value, None)

    assert value == await cacher.get("a")
    assert type(value) is type(await cacher.get("a"))


class Row(msgspec.Struct):
    text: str


class Slotted:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass
class Plain:
    text: str


@pytest.mark.parametrize("kind", [Row, Slotted, Plain])
async def test_records_are_copied_and_weighed_too(kind: Any) -> None:
    cacher = in_memory(MemoryCacher, value_bytes_max=1_000)
    row = kind("small")
    await cacher.set("a", [row], None)
    row.text = "other"

    assert "small" == (await cacher.get("a"))[0].text
    assert not await cacher.set("b", [kind("x" * 1_001)], None)


async def test_what_cannot_be_copied_is_not_kept() -> None:
    cacher = in_memory(MemoryCacher)

    assert not await cacher.set("a", asyncio.get_running_loop(), None)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(BrokerOptionsError, match=re.escape('pip install "tautomer[redis]"')):
        RedisCacher(CacherOptions(), Host())


@pytest.mark.parametrize("url", ["redis://[", "redis://:secret@host:port/x"])
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BrokerOptionsError, match="the URL of the Redis cacher is none") as told:
        RedisCacher(CacherOptions(redis=url), Host())

    assert "secret" not in str(told.value)
    assert None is told.value.__cause__
