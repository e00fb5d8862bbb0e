"""Health probes, at a gateway and on a port of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, Service, Settings
from tautomer.errors import BrokerOptionsError
from tautomer.web.probes import Probes
from tests.web.conftest import OpenDoor
from tests.web.door import Answer, ask

PATHS = ("/livez", "/readyz", "/startupz")


async def test_a_gateway_answers_them_under_no_prefix(door: OpenDoor):
    at = await door(routes=[], path="/api")

    answers = [await at.get(path) for path in PATHS]

    assert [200, 200, 200] == [one.status for one in answers]
    assert [{"status": "ok"}, {"status": "ok", "checks": {"started": True}}] == [one.json for one in answers[:2]]
    assert {"no-store"} == {one.header("Cache-Control") for one in answers}


async def test_only_get_and_head_are_answered(door: OpenDoor):
    at = await door(routes=[])

    assert [200, 405] == [(await at.ask(method, "/livez")).status for method in ("HEAD", "POST")]


class Slow(Service):
    """Takes its time to start."""

    name = "slow"

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def started(self) -> None:
        self.asked.set()
        await self.go_on.wait()


async def test_a_node_without_a_gateway_answers_from_before_its_start_until_after_its_stop():
    probes, slow = Probes(0, "127.0.0.1"), Slow()
    seen: list[list[int]] = []

    class Watch(Service):
        name = "watch"

        async def stopped(self) -> None:
            seen.append(await statuses(probes.port))

    broker = Broker("node", middlewares=[probes])
    await broker.register(slow)
    await broker.register(Watch)
    starting = asyncio.get_running_loop().create_task(broker.start())
    await slow.asked.wait()
    seen.append(await statuses(probes.port))
    slow.go_on.set()
    await starting
    seen.append(await statuses(probes.port))
    port = probes.port
    await broker.stop()

    assert [[200, 503, 503], [200, 200, 200], [200, 503, 503]] == seen
    with pytest.raises(OSError):
        await ask(port, "GET", "/livez")


async def test_a_node_that_has_lost_the_mesh_lives_but_is_not_ready(monkeypatch):
    probes = Probes(0, "127.0.0.1")
    broker = Broker("node", settings=Settings(transporter="memory://"), middlewares=[probes])
    await broker.start()
    try:
        well = await statuses(probes.port)
        monkeypatch.setattr(type(broker.transit), "connected", property(lambda self: False))
        answer = await probe(probes.port, "/readyz")
        lost = await statuses(probes.port)
    finally:
        monkeypatch.undo()
        await broker.stop()

    assert ([200, 200, 200], [200, 503, 200]) == (well, lost)
    assert {"status": "unavailable", "checks": {"started": True, "connected": False}} == answer.json


async def test_other_paths_and_methods_lead_nowhere():
    probes = Probes(0, "127.0.0.1")
    async with Broker("node", middlewares=[probes]):
        answers = [await ask(probes.port, *request) for request in (("GET", "/"), ("POST", "/livez"))]

    assert [404, 404] == [one.status for one in answers]


async def test_a_taken_port_is_told_at_start(door: OpenDoor):
    at = await door(routes=[])
    broker = Broker("node", middlewares=[Probes(at.port, "127.0.0.1")])

    with pytest.raises(BrokerOptionsError, match="already in use"):
        await broker.start()


async def test_a_start_that_fails_closes_the_port():
    class Broken(Service):
        name = "broken"

        async def started(self) -> None:
            seen.append(probes.port)
            raise OSError("no disk")

    seen: list[int] = []
    probes = Probes(0, "127.0.0.1")
    broker = Broker("node", middlewares=[probes])
    await broker.register(Broken)
    with pytest.raises(OSError, match="no disk"):
        await broker.start()

    with pytest.raises(OSError):
        await ask(seen[0], "GET", "/livez")


async def probe(port: int, path: str) -> Answer:
    return await ask(port, "GET", path)


async def statuses(port: int) -> list[Any]:
    return [(await probe(port, path)).status for path in PATHS]
