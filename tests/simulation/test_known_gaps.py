"""What the kernel does not keep yet, each shown. Whoever closes a gap takes it out of `KNOWN_GAPS`, and keeps the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Context, Service, action, event
from tautomer.errors import RequestTimeoutError
from tautomer.testing import Conditions, Simulation
from tautomer.testing.checkers import KNOWN_GAPS


class Counting(Service):
    """Counts what runs."""

    name = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    @action
    async def count(self, ctx: Context[Any]) -> int:
        self.ran.append(ctx.id)
        return len(self.ran)

    @event("thing")
    async def on_thing(self, ctx: Context[Any]) -> None:
        self.ran.append(ctx.id)


def doubling_mesh(service: Service) -> Simulation:
    """Two nodes; each message comes twice."""
    sim = Simulation(1, conditions=Conditions(duplication=1.0))
    sim.node("a", service)
    sim.node("b")
    sim.run_until(sim.settled())
    return sim


def a_request_that_comes_twice_runs_once() -> None:
    service = Counting()
    with doubling_mesh(service) as sim:
        sim.run_until(sim["b"].call("counting.count"))
        sim.run(1)

    assert 1 == len(service.ran)


def an_event_that_comes_twice_is_heard_once() -> None:
    service = Counting()
    with doubling_mesh(service) as sim:
        sim.run_until(sim["b"].emit("thing"))
        sim.run(1)

    assert 1 == len(service.ran)


def word_that_nobody_listens_counts_also_when_it_comes_late() -> None:
    with Simulation(1, conditions=Conditions(delay=0.0, delay_least=0.1)) as sim:
        sim.node("a", Counting)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.crash("a")
        with pytest.raises(RequestTimeoutError):
            sim.run_until(sim["b"].call("counting.count", timeout=0.05))
        sim.run(1)

        assert not sim["b"].takes_for_living("a")


SHOWN: dict[str, Callable[[], None]] = {
    "doubled requests": a_request_that_comes_twice_runs_once,
    "doubled events": an_event_that_comes_twice_is_heard_once,
    "late undelivered": word_that_nobody_listens_counts_also_when_it_comes_late,
}


def _closed_or_not(gap: str) -> Any:
    if gap not in KNOWN_GAPS:
        return gap
    return pytest.param(gap, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=KNOWN_GAPS[gap]))


@pytest.mark.parametrize("gap", [_closed_or_not(gap) for gap in SHOWN])
def test_a_gap_is_closed(gap: str) -> None:
    SHOWN[gap]()


def test_every_known_gap_is_shown() -> None:
    assert set(KNOWN_GAPS) <= set(SHOWN)


def test_the_same_service_counts_once_where_nothing_is_doubled() -> None:
    """Else the tests above would fail for another reason than they say."""
    service = Counting()

    with Simulation(1) as sim:
        sim.node("a", service)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.run_until(sim["b"].call("counting.count"))
        sim.run_until(sim["b"].emit("thing"))

    assert 2 == len(service.ran)
