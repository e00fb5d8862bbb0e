"""Every case, byte for byte, at our gateway: answered as moleculer-web does, or as the list of deviations says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import pytest
import pytest_asyncio

from tautomer.errors import ServiceSchemaError
from tests.gateway.answer import Answer, ask_all
from tests.gateway.case import Case, Gateway
from tests.gateway.cases import GATEWAYS
from tests.gateway.deviations import deviations
from tests.gateway.deviations.reasons import REASONS
from tests.gateway.doors import DOORS, Door, in_every_run
from tests.gateway.faults import FAULTS, REFUSED
from tests.gateway.normal import normal, theirs, without_reason
from tests.gateway.record import recorded

CASES_MIN = 400


class Doorway:
    """Where one gateway at a time is open. The next one closes it."""

    def __init__(self) -> None:
        self._opened: tuple[type[Door], Gateway] | None = None
        self._door: Door | None = None
        self._address = ("", 0)

    async def open(self, door: type[Door], gateway: Gateway) -> tuple[str, int]:
        """Host and port of the gateway behind the door."""
        if self._opened != (door, gateway):
            await self.close()
            self._door = door()
            self._address = await self._door.start(gateway)
            self._opened = (door, gateway)
        return self._address

    async def close(self) -> None:
        door, self._door, self._opened = self._door, None, None
        if door is not None:
            await door.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doorway() -> AsyncIterator[Doorway]:
    made = Doorway()
    yield made
    await made.close()


@cache
def wanted(gateway: Gateway) -> dict[str, list[Answer]]:
    """What counts of the answers that are right, by the names of the cases."""
    right = {name: [*map(theirs, answers)] for name, answers in recorded(gateway).items()}
    return right | {name: [*map(normal, one.answers)] for name, one in deviations(gateway).items()}


def compared() -> Iterator[Any]:
    """Every door with every gateway and case that is to be asked there."""
    for door in DOORS:
        for gateway in GATEWAYS:
            if gateway.name in REFUSED:
                continue
            for case in gateway.cases:
                if case.raw and door is not DOORS[0]:
                    continue
                fault = FAULTS.get(f"{gateway.name}: {case.name}")
                marks = [] if fault is None else [pytest.mark.xfail(reason=fault, strict=True)]
                if not in_every_run(door, gateway):
                    marks.append(pytest.mark.full)
                yield pytest.param(door, gateway, case, marks=marks, id=f"{door.name}-{gateway.name}-{case.name}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("door", "gateway", "case"), [*compared()])
async def test_a_request_is_answered_as_moleculer_web_does_or_as_listed(
    doorway: Doorway, door: type[Door], gateway: Gateway, case: Case
) -> None:
    host, port = await doorway.open(door, gateway)

    ours = await ask_all(host, port, case.requests)

    right = wanted(gateway)[case.name]
    if not door.tells_reason:
        right, ours = [*map(without_reason, right)], [*map(without_reason, ours)]
    assert right == [*map(normal, ours)]


async def started(gateway: Gateway) -> None:
    """Start it, and stop it again."""
    door = DOORS[0]()
    try:
        await door.start(gateway)
    finally:
        await door.stop()


@pytest.mark.parametrize("gateway", [one for one in GATEWAYS if one.name in REFUSED], ids=lambda one: one.name)
async def test_settings_that_are_refused_for_good(gateway: Gateway) -> None:
    with pytest.raises(ServiceSchemaError, match=REFUSED[gateway.name]):
        await started(gateway)


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda one: one.name)
def test_the_lists_name_cases_that_there_are_and_that_differ(gateway: Gateway) -> None:
    names = [case.name for case in gateway.cases]
    known, listed = recorded(gateway), deviations(gateway)

    assert names == list(known)
    assert set(listed) <= set(names)
    assert {one.reason for one in listed.values()} <= set(REASONS)
    equal = [name for name, one in listed.items() if [*map(theirs, known[name])] == [*map(normal, one.answers)]]
    assert [] == equal


def test_the_lists_name_gateways_and_cases_that_there_are() -> None:
    cases = {f"{gateway.name}: {case.name}" for gateway in GATEWAYS for case in gateway.cases}

    assert {*REFUSED} <= {gateway.name for gateway in GATEWAYS}
    assert set(FAULTS) <= cases
    assert len(cases) >= CASES_MIN


def test_every_reason_is_needed() -> None:
    assert set(REASONS) == {one.reason for gateway in GATEWAYS for one in deviations(gateway).values()}
