"""Each test has pools, circuits and counters of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import pytest

from tautomer import component
from tautomer.commands.component import Testing
from tautomer.commands.runtime import Runtime
from tautomer.host import Host
from tautomer.testing import SimLoop

Virtually: TypeAlias = Callable[[Callable[[Testing], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, threads and all, without what other tests have left in it."""
    monkeypatch.setattr(component, "_runtime", Runtime(Host(hostname="", ip_list=()), component._listeners))
    monkeypatch.setattr(component, "configurations", {})
    monkeypatch.setattr(component, "_uncached", set())


@pytest.fixture
def virtually() -> Iterator[Virtually]:
    """Run a coroutine function on a virtual clock; threads are run inline."""
    loop = SimLoop()

    def run(of: Callable[[Testing], Coroutine[Any, Any, Any]]) -> Any:
        with component.testing(loop.time) as testing:
            return loop.run_until_complete(of(testing))

    yield run
    for task in loop.tasks():
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0, None))
    loop.close()


async def settled(*awaitables: Any) -> list[Any]:
    """What became of each: its value or its exception."""
    return await asyncio.gather(*awaitables, return_exceptions=True)


async def items_of(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]
