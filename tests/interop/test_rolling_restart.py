"""Workers restarted one after the other while requests come in at a steady rate: none fails (promise M6)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from tests.web import door

from .mesh import Mesh
from .npm import ROOT
from .peers import until
from .program import Program

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

RATE = 200
"""Requests a second, begun whether or not those before were answered."""


async def start(mesh: Mesh, *words: str, **settings: Any) -> Program:
    arguments = [*words, mesh.namespace, mesh.url, json.dumps(settings)]
    return await Program.start(words[-1], [sys.executable, "-m", "tests.interop.worker_program", *arguments], cwd=ROOT)


Serves = Callable[[str], Coroutine[Any, Any, bool]]
"""Whether the gateway asks this worker."""


class Load:
    """Requests at a steady rate from now on; `answers` counts how they ended."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[object] = Counter()
        self._begun: list[asyncio.Task[None]] = []
        self._pacer = asyncio.create_task(self._pace())

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / RATE
            await asyncio.sleep(due - loop.time())
            self._begun.append(asyncio.create_task(self._one()))

    async def _one(self) -> None:
        try:
            answer = await door.ask(self.port, "GET", "/worker/work")
        except Exception as error:
            self.answers[repr(error)] += 1
        else:
            self.answers[answer.body.decode() if answer.status == 200 else (answer.status, answer.body)] += 1

    def count(self, id: str) -> int:
        """How many this worker answered so far."""
        return self.answers[f'"{id}"']

    async def answered(self, id: str, wanted: int) -> bool:
        return self.count(id) >= wanted

    async def end(self) -> None:
        """Begin no more, and wait for the last answers."""
        self._pacer.cancel()
        await asyncio.gather(*self._begun)


async def roll(mesh: Mesh, port: int, serves: Serves, **settings: Any) -> Counter[object]:
    """Restart each of two workers twice under load. How many requests each answered, and what else came."""
    first, second = await asyncio.gather(start(mesh, "w1", **settings), start(mesh, "w2", **settings))
    workers = {"w1": first, "w2": second}
    try:
        for id in workers:
            await until(partial(serves, id))
        load = Load(port)
        try:
            for id in ("w1", "w2", "w1", "w2"):
                await until(partial(load.answered, id, load.count(id) + 20))
                await workers[id].terminate()
                assert 0 == workers[id].exit_code
                await workers[id].close()
                workers[id] = await start(mesh, id, **settings)
                await until(partial(load.answered, id, load.count(id) + 20))
        finally:
            await load.end()
    finally:
        await asyncio.gather(*(worker.close() for worker in workers.values()))
    return load.answers


def whoever_answers(port: int) -> Serves:
    async def serves(id: str) -> bool:
        return (await door.ask(port, "GET", "/worker/work")).body.decode() == f'"{id}"'

    return serves


async def test_none_fails_behind_a_python_gateway(mesh: Mesh) -> None:
    gateway = await start(mesh, "gateway", "door")
    try:
        port = gateway.ready["port"]
        answers = await roll(mesh, port, whoever_answers(port))
    finally:
        await gateway.close()

    assert {'"w1"', '"w2"'} == set(answers)


async def test_none_fails_behind_a_node_js_gateway(mesh: Mesh) -> None:
    """It asks a leaving worker until it has read the INFO without services, and tries nothing again that is refused:
    with a `stop_delay` of 0 one in some thousand fails.
    """
    gateway = await mesh.add_node("0.15", services=[{"kind": "gateway", "name": "api"}])
    port = (await gateway.program.ask("port", name="api"))["value"]

    answers = await roll(mesh, port, whoever_answers(port))

    assert {'"w1"', '"w2"'} == set(answers)
