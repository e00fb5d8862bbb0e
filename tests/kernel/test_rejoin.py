"""After an outage all nodes agree again on who offers what, by themselves (promise M3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action
from tautomer.settings import TransitSettings
from tests.kernel.mesh import until
from tests.servers import NatsServer

pytestmark = [pytest.mark.server, pytest.mark.slow]

BEAT = 0.5
AGREED = BEAT + 2.0
"""Seconds from the return of the line."""


class Echo(Service):
    def __init__(self, name: str) -> None:
        super().__init__(name)

    @action
    async def say(self, ctx: Context) -> Any:
        return ctx.params


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with NatsServer() as server:
        yield server


@pytest.fixture
async def pair(server: NatsServer) -> AsyncIterator[tuple[Broker, Broker]]:
    transit = TransitSettings(settle=0.2, settle_quiet=0.02, announce_delay=0, stop_delay=0)
    nodes = []
    for name in ("a", "b"):
        settings = Settings(
            transporter=server.url,
            heartbeat_interval=BEAT,
            heartbeat_timeout=1.0,
            transit=transit,
            shutdown_timeout=0.2,
        )
        node = Broker(name, settings)
        await node.register(Echo(f"of-{name}"))
        await node.start()
        nodes.append(node)
    first, second = nodes
    await first.wait_for_services("of-b", 5)
    yield first, second
    for node in nodes:
        await node.stop()


def offered(node: Broker) -> set[tuple[str, str]]:
    return {(service.node_id, service.name) for service in node.registry.services if service.name != "$node"}


@pytest.mark.parametrize("outage", [0.0, 1.5])
async def test_they_agree_again_after_the_message_broker_was_away(
    server: NatsServer, pair: tuple[Broker, Broker], outage: float
) -> None:
    """Shorter or longer than it takes to declare each other lost; and what changed meanwhile is known."""
    first, second = pair
    server.kill()
    await until(lambda: not first.connected and not second.connected)
    await first.register(Echo("new"))
    await second.destroy_service("of-b")
    if outage:
        await until(lambda: offered(first) == {("a", "of-a"), ("a", "new")}, 5)
        await asyncio.sleep(outage - 1.0)

    server.start()
    await until(lambda: first.connected and second.connected, 10)
    began = time.monotonic()
    await until(lambda: offered(first) == offered(second) == {("a", "of-a"), ("a", "new")}, 10)

    assert time.monotonic() - began < AGREED
    assert 5 == await second.call("new.say", 5, timeout=2)


async def test_calls_go_on_as_soon_as_the_line_stands(server: NatsServer, pair: tuple[Broker, Broker]) -> None:
    first, second = pair
    server.kill()
    await until(lambda: not first.connected and not second.connected)

    server.start()
    await until(lambda: first.connected and second.connected, 10)

    assert 1 == await first.call("of-b.say", 1, timeout=2)
    assert 2 == await second.call("of-a.say", 2, timeout=2)


async def test_after_a_frozen_line_all_is_as_before(server: NatsServer, pair: tuple[Broker, Broker]) -> None:
    """Nobody hears anybody for longer than the heartbeat_timeout."""
    first, second = pair
    server.freeze()
    await asyncio.sleep(1.5)
    server.thaw()
    began = time.monotonic()
    await until(lambda: len(offered(first)) == 2 and offered(first) == offered(second), 10)

    assert time.monotonic() - began < AGREED
    assert 1 == await first.call("of-b.say", 1, timeout=2)
