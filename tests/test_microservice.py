"""MicroService: its tokens, its life, its command line; and how the mesh sees it."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tautomer import (
    BaseValidationStrategy,
    BasicCookieStrategy,
    Broker,
    HeaderValidationStrategy,
    MicroService,
    Middleware,
    ServiceRegistry,
    private_api_method,
    public_method,
)
from tautomer.errors import ServiceSchemaError
from tautomer.web.listening import gateways_of
from tests.programs import Program
from tests.web.door import Door, ask, open_door


class Hello(MicroService):
    name = "hello.world"
    port = 0

    @public_method
    def say_hello(self, name: str) -> str:
        """Greet.

        Nobody else.
        """
        return f"hello {name}"

    @private_api_method
    async def secret(self) -> str:
        return "secret"


async def opened(service: MicroService) -> Door:
    return await open_door(service, routes=[{"path": "/api", "jsonrpc": True}])


async def code_of(door: Door, method: str = "secret", **headers: str) -> int | None:
    """Code of the error of a call, None where it went well."""
    body = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode()
    answer = await door.ask("POST", "/api", headers={"Content-Type": "application/json", **headers}, body=body)
    return answer.json.get("error", {}).get("code")  # type: ignore[no-any-return]


class Place(BaseValidationStrategy):
    def extract_api_token(self, request: Any) -> str | None:
        return request.query.get("token")  # type: ignore[no-any-return]


def bearer(value: str) -> str:
    return value.removeprefix("Bearer ")


@pytest.mark.parametrize(
    ("strategies", "headers", "granted"),
    [
        ((HeaderValidationStrategy(),), {"x-api-token": "good"}, True),
        ((HeaderValidationStrategy(),), {"X-Api-Token": "bad"}, False),
        ((HeaderValidationStrategy(),), {}, False),
        ((HeaderValidationStrategy("Authorization", bearer),), {"Authorization": "Bearer good"}, True),
        ((HeaderValidationStrategy("Authorization", bearer),), {}, False),
        ((BasicCookieStrategy(),), {"Cookie": "a=b; AuthToken=good"}, True),
        ((BasicCookieStrategy("T"),), {"Cookie": "AuthToken=good"}, False),
        ((BasicCookieStrategy(), HeaderValidationStrategy()), {"X-Api-Token": "good"}, True),
        (
            (BasicCookieStrategy(), HeaderValidationStrategy()),
            {"X-Api-Token": "good", "Cookie": "AuthToken=bad"},
            False,
        ),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_where_the_token_is_found(strategies: Any, headers: dict[str, str], granted: bool, kind: str) -> None:
    asked: list[str] = []

    def check(_self: Any, api_token: str | None) -> bool:
        asked.append(threading.current_thread().name)
        return api_token == "good"

    async def check_on_loop(_self: Any, api_token: str | None) -> bool:
        return check(_self, api_token)

    checked = {"api_token_is_valid": check if kind == "def" else check_on_loop, "validation_strategies": strategies}
    door = await opened(type("Checked", (Hello,), checked)())
    try:
        assert (None if granted else -32001) == await code_of(door, **headers)
        # A slow check in a thread lets all others go on.
        assert (kind == "def") == (asked[0] != threading.current_thread().name)
    finally:
        await door.broker.stop()


async def test_a_place_of_ones_own() -> None:
    class Own(Hello):
        validation_strategies = (Place(),)

        def api_token_is_valid(self, api_token: str | None) -> Any:
            return api_token == "good"

    door = await opened(Own())
    try:
        body = b'{"jsonrpc":"2.0","method":"secret","id":1}'
        assert "secret" == (await door.ask("POST", "/api?token=good", body=body)).json["result"]
    finally:
        await door.broker.stop()


async def test_a_check_that_raises_refuses() -> None:
    class Broken(Hello):
        def api_token_is_valid(self, api_token: str | None) -> Any:
            raise KeyError(api_token)

    door = await opened(Broken())
    try:
        assert -32001 == await code_of(door, **{"X-Api-Token": "x"})
    finally:
        await door.broker.stop()


async def test_authenticate_request_goes_before_the_token() -> None:
    class Own(Hello):
        async def authenticate_request(self, request: Any) -> bool:
            return bool(request.headers.get("x-me") == "1")

        def api_token_is_valid(self, api_token: str | None) -> Any:
            return True

    door = await opened(Own())
    try:
        assert -32001 == await code_of(door, **{"X-Api-Token": "x"})
        assert None is await code_of(door, **{"X-Me": "1"})
    finally:
        await door.broker.stop()


async def test_without_a_check_nobody_gets_in_and_that_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        door = await opened(Hello())
    try:
        assert -32001 == await code_of(door, **{"X-Api-Token": "x"})
        assert any("nobody may call its private methods" in one.message for one in caplog.records)
    finally:
        await door.broker.stop()


async def test_the_mesh_calls_it_as_any_other_service() -> None:
    async with Broker() as broker:
        await broker.register(Hello)

        assert "hello x" == await broker.call("hello.world.say_hello", {"name": "x"})
        assert "secret" == await broker.call("hello.world.secret")


async def test_its_specs() -> None:
    async with Broker() as broker:
        await broker.register(Hello)
        specs = await broker.call("hello.world.get_service_specs")

    assert "Greet.\n\nNobody else." == specs["methods"]["say_hello"]
    assert None is specs["methods"]["secret"]
    assert ["secret"] == specs["private"]


async def test_services_of_one_address_share_a_port_and_those_of_one_path_an_endpoint() -> None:
    class Other(Hello):
        name = "other"

    class Away(Hello):
        name = "away"
        endpoint = "/away"

    broker = Broker()
    services = [broker.create_service(one) for one in (Hello, Other, Away)]
    (gateway,) = gateways_of(services)
    await broker.register(gateway)
    async with broker:
        body = b'{"jsonrpc":"2.0","method":"say_hello","params":["x"],"id":1}'
        away = await ask(gateway.port, "POST", "/away", body=body)
        both = await ask(gateway.port, "POST", "/api", body=body)

    assert "hello x" == away.json["result"]
    assert ["hello.world.say_hello", "other.say_hello"] == both.json["error"]["data"]["candidates"]


async def test_periodic_tasks_and_the_hook_at_the_start() -> None:
    told: list[str] = []
    twice = asyncio.Event()

    async def tick() -> None:
        told.append("tick")
        if len(told) == 3:
            twice.set()
        raise ValueError("one that fails is tried again")

    class Busy(Hello):
        periodic_tasks = ((tick, 0.001),)

        async def on_service_start(self) -> None:
            told.append("start")

    async with Broker() as broker:
        await broker.register(Busy)
        async with asyncio.timeout(10):
            await twice.wait()

    assert ["start", "tick", "tick"] == told[:3]


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"max_parallel_blocking_tasks": 0}, "max_parallel_blocking_tasks"),
        ({"port": "80"}, "port of 'hello.world' is int"),
        ({"name": ""}, "has no name"),
    ],
)
def test_what_is_written_wrong_is_told(attributes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ServiceSchemaError, match=fault):
        Broker().create_service(type("Wrong", (Hello,), attributes))


def test_one_without_methods_is_told() -> None:
    class Empty(MicroService):
        name = "empty"

    with pytest.raises(ServiceSchemaError, match="has no method for clients"):
        Broker().create_service(Empty)


async def test_start_inside_a_loop_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"await broker.register\(Hello\(\)\)"):
        Hello().start()


async def test_a_registry_tells_where_the_services_of_the_mesh_are() -> None:
    class There(Hello):
        name = "hello.there"
        accessible_at = ("10.0.0.1", 80)

    async with Broker() as broker:
        for service in (Hello, There, ServiceRegistry):
            await broker.register(service)

        assert ["http://10.0.0.1:80/api", "http://127.0.0.1:0/api"] == await broker.call(
            "service.registry.locate_service", {"name": "hello.*"}
        )
        assert [] == await broker.call("service.registry.locate_service", {"name": "HELLO.*"})


CLI = """
    from tautomer import MicroService, public_method


    class Hello(MicroService):
        '''Greets.'''

        name = "hello"

        @public_method
        async def say_hello(self, name):
            return name


    if __name__ == "__main__":
        Hello.get_cli()()
"""


@pytest.mark.slow
def test_its_own_command_line(tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    file.write_text(dedent(CLI))

    with Program(sys.executable, file) as alone:
        assert 2 == alone.wait()
        assert "start" in alone.output
    registry = ("--service_registry", "http://127.0.0.1:1/api", "http://127.0.0.1:2/api")
    with Program(sys.executable, file, "start", "--port", "0", "--name", "mine", *registry) as started:
        line = started.wait_for("gateway listening")
        assert "port=0" not in line
        assert "service started service=mine" in started.output or started.wait_for("service started service=mine")
        for url in registry[1:]:
            assert url in started.output or started.wait_for(url)
        assert 0 == started.end()


async def test_plugins_are_middlewares_found_by_name() -> None:
    class Counting(Middleware):
        name = "counting"

    class Nameless(Middleware):
        pass

    counting, service = Counting(), Hello()
    async with Broker(middlewares=[counting, Nameless]) as broker:
        await broker.register(service)

        assert counting is service.get_plugin("counting")
        assert isinstance(service.get_plugin("Nameless"), Nameless)
        with pytest.raises(ValueError, match="this node has no middleware named 'other'"):
            service.get_plugin("other")


def test_start_gives_its_plugins_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugged(Hello):
        plugins = (Middleware,)

    given: list[Any] = []
    monkeypatch.setattr("tautomer.microservice.run", lambda *_, middlewares, **__: given.extend(middlewares) or 0)

    assert 0 == Plugged().start()
    assert [Middleware] == given
