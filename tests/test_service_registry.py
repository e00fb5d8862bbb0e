"""ServiceRegistry and those that ping it; and what a MicroService has beside its methods."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import (
    ApiGatewayService,
    Broker,
    MicroService,
    Service,
    ServiceRegistry,
    Settings,
    event,
    private_api_method,
    public_method,
)
from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.microservice import ServiceConfigurationError
from tautomer.service_registry import AnnouncedPlaces
from tests.web.door import Door, open_door

WAIT = 20.0


class Hello(MicroService):
    name = "hello.there"
    accessible_at = "http://10.0.0.1:80/api"
    service_registry_ping_interval = 0.05

    @public_method
    def say_hello(self, name: str) -> str:
        return f"hello {name}"


class Registry(ServiceRegistry):
    service_registry_ping_interval = 0.05
    ping_interval = 0.1

    def api_token_is_valid(self, api_token: str | None) -> Any:
        return api_token == "good"


@asynccontextmanager
async def registry(service: ServiceRegistry) -> AsyncIterator[tuple[Door, str]]:
    """One that knows nobody of the mesh, and its URL."""
    door = await open_door(service, routes=[{"path": "/api", "jsonrpc": True}])
    try:
        yield door, f"http://127.0.0.1:{door.port}/api"
    finally:
        await door.broker.stop()


async def located(door: Door, name: str = "*") -> list[str]:
    return await door.broker.call("service.registry.locate_service", {"name": name})  # type: ignore[no-any-return]


async def until_located(door: Door, urls: list[str], name: str = "hello.*") -> None:
    async with asyncio.timeout(WAIT):
        while urls != await located(door, name):
            await asyncio.sleep(0.005)


async def test_a_service_of_another_mesh_is_located_while_it_pings_and_forgotten_when_it_leaves() -> None:
    class Private(Hello):
        service_registry_options = {"auth_type": "header", "auth_token": "good"}

    async with registry(Registry()) as (door, url):
        there = Private()
        there.service_registry_urls = [url]
        broker = Broker("there")
        await broker.register(there)
        async with broker:
            await until_located(door, ["http://10.0.0.1:80/api"])
            await asyncio.sleep(0.4)  # Longer than one of its pings is believed.
            await until_located(door, ["http://10.0.0.1:80/api"])
            assert [] == await located(door, "HELLO.*")
        assert [] == await located(door, "hello.*")


async def test_who_shows_no_token_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    async with registry(Registry()) as (door, url):
        there = Hello()
        there.service_registry_urls = [url]
        async with Broker("there") as broker:
            await broker.register(there)
            async with asyncio.timeout(WAIT):
                while "registry was not told" not in caplog.text:
                    await asyncio.sleep(0.005)

            assert [] == await located(door, "hello.*")


async def test_a_registry_that_is_open_to_all() -> None:
    class Open(ServiceRegistry):
        open_to_all = True

    async with registry(Open()) as (door, url):
        there = Hello()
        there.service_registry_urls = [url]
        async with Broker("there") as broker:
            await broker.register(there)
            await until_located(door, ["http://10.0.0.1:80/api"])


async def test_a_registry_that_comes_later_is_told_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    class Open(ServiceRegistry):
        open_to_all = True

    async with registry(Open()) as (_door, url):
        pass
    there = Hello()
    there.service_registry_urls = [url]
    async with Broker("there") as broker:
        await broker.register(there)
        async with asyncio.timeout(WAIT):
            while "registry was not told" not in caplog.text:
                await asyncio.sleep(0.005)
        later = Broker("later")
        await later.register(Open())
        port = int(url.rpartition(":")[2].partition("/")[0])
        gateway = ApiGatewayService(
            settings={"port": port, "ip": "127.0.0.1", "routes": [{"path": "/api", "jsonrpc": True}]}
        )
        await later.register(gateway)
        async with later:
            await until_located(Door(later, gateway), ["http://10.0.0.1:80/api"])
    assert 1 == caplog.text.count("registry was not told")


async def test_an_old_registry_gets_host_and_port() -> None:
    """As those of gemstone up to 0.3.1 take it."""
    heard: asyncio.Queue[Any] = asyncio.Queue()

    class Old(Service):
        name = "old"

        @public_method
        async def ping(self, name: str, host: str, port: int) -> None:
            heard.put_nowait((name, host, port))

    door = await open_door(Old(), routes=[{"path": "/api", "jsonrpc": True}])
    there = Hello()
    there.port = 81
    there.service_registry_urls = [f"http://127.0.0.1:{door.port}/api"]
    try:
        async with Broker("there") as broker:
            await broker.register(there)
            async with asyncio.timeout(WAIT):
                told = [await heard.get() for _ in range(2)]
    finally:
        await door.broker.stop()

    assert [("hello.there", "127.0.0.1", 81)] * 2 == told


@pytest.mark.parametrize(
    "ping",
    [
        {"name": "x"},
        {"name": "", "url": "http://a/"},
        {"name": "x", "url": "javascript:alert(1)"},
        {"name": "x", "url": "http://a b/"},
        {"name": "x" * 201, "url": "http://a/"},
        {"name": "x", "url": "http://" + "a" * 3000},
    ],
)
async def test_places_that_cannot_be_are_refused(ping: Any) -> None:
    async with Broker() as broker:
        await broker.register(Registry())
        with pytest.raises(MoleculerClientError):
            await broker.call("service.registry.ping", ping)

        assert ["http://127.0.0.1:8001/api"] == await broker.call("service.registry.locate_service", {"name": "*"})


@given(
    told=st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 5)), max_size=40),
    lifetime=st.floats(0.5, 10),
)
def test_a_place_is_known_as_long_as_it_is_told(told: list[tuple[str, bool, float]], lifetime: float) -> None:
    places, now = AnnouncedPlaces(lifetime), 0.0
    last: dict[str, float] = {}
    for name, leaves, passed in told:
        now += passed
        if leaves:
            places.leave(name, f"http://{name}/")
            last.pop(name, None)
        else:
            assert places.announce(name, f"http://{name}/", now)
            last[name] = now

        known = {f"http://{one}/" for one, at in last.items() if now - at <= lifetime}
        assert known == set(places.fitting("*", now))


def test_places_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnnouncedPlaces, "MOST", 2)
    places = AnnouncedPlaces(10)

    assert [True, True, False, True] == [places.announce(name, "http://a/", 1.0) for name in "abca"]
    assert places.announce("c", "http://a/", 20.0)


async def test_get_service_asks_the_registries() -> None:
    class Asks(MicroService):
        name = "asks"

        @public_method
        def ask(self, name: str) -> str:
            with self.get_service(name) as service:
                return service.methods.say_hello("x")  # type: ignore[no-any-return]

    class Open(ServiceRegistry):
        open_to_all = True

    asks = Asks()
    route = {"path": "/api", "jsonrpc": {"services": ["hello.near"]}}
    async with registry(Open()) as (known, url):
        near = Hello()
        near.name = "hello.near"
        door = await open_door(asks, near, routes=[route])
        try:
            # Without a registry it is the mesh that is asked.
            assert "hello x" == await door.broker.call("asks.ask", {"name": "hello.*"})
            with pytest.raises(ValueError, match=r"Service could not be located: the mesh has none named 'nobody\.\*'"):
                await door.broker.call("asks.ask", {"name": "nobody.*"})
            asks.service_registry_urls = ["http://127.0.0.1:1/api", url]
            with pytest.raises(ValueError, match="Service could not be located"):
                await asyncio.to_thread(asks.get_service, "hello.*")
            told = {"name": "hello.near", "url": f"http://127.0.0.1:{door.port}/api"}
            await known.broker.call("service.registry.ping", told)

            assert "hello x" == await door.broker.call("asks.ask", {"name": "hello.*"})
        finally:
            await door.broker.stop()


# --- what else a MicroService has ---


class Greetings:
    """A module."""

    microservice: MicroService

    @public_method
    def greet(self, name: str) -> str:
        return f"{self.microservice.name} greets {name}"

    @private_api_method
    async def secret(self) -> str:
        return "secret"


async def test_the_methods_of_its_modules_are_its_own() -> None:
    class Whole(Hello):
        modules = (Greetings(),)

    door = await open_door(Whole(), routes=[{"path": "/api", "jsonrpc": True}])
    try:
        body = json.dumps({"jsonrpc": "2.0", "method": "greet", "params": ["x"], "id": 1}).encode()
        assert "hello.there greets x" == (await door.ask("POST", "/api", body=body)).json["result"]
        specs = await door.broker.call("hello.there.get_service_specs")
        assert {"say_hello", "greet", "secret", "get_service_specs"} == set(specs["methods"])
        assert ["secret"] == specs["private"]
    finally:
        await door.broker.stop()


def test_a_name_of_a_module_that_is_taken_is_told() -> None:
    class Same:
        @public_method
        def say_hello(self) -> None: ...

    for modules in ([Same()], [Greetings(), type("Again", (Greetings,), {})()]):
        with pytest.raises(ServiceSchemaError, match=r"more than one method '(say_hello|greet)'"):
            Broker().create_service(type("Wrong", (Hello,), {"modules": modules}))


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_events_reach_every_service_that_listens(kind: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    class Ears(Service):
        name = "ears"

        @event("said")
        async def note(self, ctx: Any) -> None:
            heard.put_nowait(ctx.params)

    class Says(MicroService):
        name = "says"

        @public_method
        def say(self, text: str) -> None:
            self.emit_event("said", {"text": text})

        @public_method
        async def say_at_once(self, text: str) -> None:
            self.emit_event("said", {"text": text}, broadcast=False)

    async with Broker(settings=Settings()) as broker:
        for service in (Ears, Says):
            await broker.register(service)
        await broker.call("says.say" if kind == "def" else "says.say_at_once", {"text": "x"})
        async with asyncio.timeout(WAIT):
            assert {"text": "x"} == await heard.get()


def test_its_logger() -> None:
    service = Broker().create_service(Hello)

    assert isinstance(service, Hello)
    assert "hello.there" in service.get_logger().name


@pytest.mark.parametrize(
    "attributes", [{"service_registry_urls": "http://x/"}, {"service_registry_ping_interval": 0}, {"port": "80"}]
)
def test_what_is_written_wrong_is_told(attributes: Any) -> None:
    with pytest.raises(ServiceConfigurationError):
        Broker().create_service(type("Wrong", (Hello,), attributes))
