"""Discovery: registries of one's own, and what is remembered of what they say."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import pytest

from tautomer import Broker, MicroService, RemoteClient, ServiceRegistry, public_method
from tautomer.client import BaseDiscoveryStrategy, DummyCache, HttpDiscoveryStrategy, ServiceDiscoveryCache
from tests.web.door import Door, open_door

ROUTES = [{"path": "/api", "jsonrpc": True}]
WAIT = 20.0


class Shelf(BaseDiscoveryStrategy):
    """A registry in a dict."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}
        self.asked = 0
        self.threads: set[int] = set()
        self.pings: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def ping(self, name: str, location: str, **kwargs: Any) -> None:
        self.threads.add(threading.get_ident())
        self.pings.put((name, location))

    def locate(self, name: str) -> list[str] | None:
        self.asked += 1
        return self.places.get(name)

    def leave(self, name: str, location: str) -> None:
        self.pings.put((name, "left"))


class Broken(BaseDiscoveryStrategy):
    def locate(self, name: str) -> list[str]:
        raise OSError("the disc is gone")


class Hello(MicroService):
    name = "hello"
    accessible_at = "http://10.0.0.1:80/api"

    @public_method
    def say_hello(self, name: str) -> str:
        return f"hello {name}"


def url_of(door: Door) -> str:
    return f"http://127.0.0.1:{door.port}/api"


def say(service: MicroService, name: str = "hello") -> str:
    with service.get_service(name) as found:
        return found.methods.say_hello("x")  # type: ignore[no-any-return]


async def test_a_strategy_is_told_where_the_service_is_again_and_again_and_when_it_leaves() -> None:
    shelf, service = Shelf(), Hello()
    service.discovery_strategies = [shelf]
    service.service_registry_ping_interval = 0.01
    broker = Broker()
    await broker.register(service)
    await broker.start()

    for _ in range(3):
        assert ("hello", "http://10.0.0.1:80/api") == await asyncio.to_thread(shelf.pings.get, timeout=WAIT)
    await broker.stop()

    told = [shelf.pings.get_nowait() for _ in range(shelf.pings.qsize())]
    assert ("hello", "left") == told[-1]
    assert threading.get_ident() not in shelf.threads


async def test_services_are_looked_for_in_each_registry_and_the_dead_are_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf, service = Shelf(), Hello()
    service.discovery_strategies = [Broken(), shelf]
    service.remote_service_cache = DummyCache()
    door = await open_door(service, routes=ROUTES)
    try:
        with pytest.raises(ValueError, match="Service could not be located"):
            await asyncio.to_thread(say, service)
        shelf.places["hello"] = ["http://127.0.0.1:1/api", url_of(door), "http://127.0.0.1:1/api"]

        assert ["hello x"] * 3 == [await asyncio.to_thread(say, service) for _ in range(3)]
    finally:
        await door.broker.stop()
    assert 4 == shelf.asked
    assert "a registry was not asked for a service" in caplog.text


async def test_what_was_found_is_remembered_as_long_as_it_answers() -> None:
    shelf, asks = Shelf(), Hello()
    asks.discovery_strategies = [shelf]
    first = await open_door(asks, routes=ROUTES)
    second = await open_door(Hello(), routes=ROUTES)
    try:
        shelf.places["hello"] = [url_of(second)]
        assert ["hello x"] * 2 == [await asyncio.to_thread(say, asks) for _ in range(2)]
        assert 1 == shelf.asked
        await second.broker.stop()
        shelf.places["hello"] = [url_of(first)]

        assert "hello x" == await asyncio.to_thread(say, asks)
        assert 2 == shelf.asked
    finally:
        await first.broker.stop()
        await second.broker.stop()


async def test_a_registry_by_json_rpc() -> None:
    class Open(ServiceRegistry):
        open_to_all = True

    door = await open_door(Open(), routes=ROUTES)
    strategy = HttpDiscoveryStrategy(url_of(door), timeout=WAIT)
    try:
        await asyncio.to_thread(strategy.ping, "far", "http://10.0.0.9/api")
        found = await asyncio.to_thread(strategy.locate, "f*")
        await asyncio.to_thread(strategy.leave, "far", "http://10.0.0.9/api")
        left = await asyncio.to_thread(strategy.locate, "f*")
    finally:
        await door.broker.stop()

    assert "HttpDiscoveryStrategy('http://registry/api')" == repr(HttpDiscoveryStrategy("http://registry/api"))
    assert ["http://10.0.0.9/api"] == found
    assert [] == left


def test_a_cache_forgets_in_time_and_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    cache = ServiceDiscoveryCache(10, lambda: now[0])
    one, two = RemoteClient("http://one/"), RemoteClient("http://two/")
    monkeypatch.setattr(ServiceDiscoveryCache, "MOST", 2)

    cache.add_entry("a", one)
    now[0] = 10
    assert one is cache.get_entry("a")
    now[0] = 10.1
    assert None is cache.get_entry("a")
    for name in "abc":
        cache.add_entry(name, two)
    assert [None, two, two] == [cache.get_entry(name) for name in "abc"]
    cache.drop_entry("b")
    assert None is cache.get_entry("b")
    assert None is DummyCache().get_entry("a")
