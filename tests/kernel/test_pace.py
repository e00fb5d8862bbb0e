"""Throttle and debounce around real listeners, in the simulation: seconds are exact, and each run is the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, event
from tautomer.errors import ServiceSchemaError
from tautomer.testing import Simulation

Heard = list[tuple[float, Any]]


class Ears(Service):
    """Notes what it hears, and when."""

    name = "ears"

    def __init__(self) -> None:
        super().__init__()
        self.heard: Heard = []
        self.slow = 0.0
        self.ended: list[float] = []

    async def _note(self, ctx: Context) -> None:
        self.heard.append((round(self.broker.clock(), 3), ctx.params))
        if ctx.params == "bad":
            raise ValueError("bad")
        await asyncio.sleep(self.slow)
        self.ended.append(round(self.broker.clock(), 3))

    @event("throttled", throttle=2)
    async def on_throttled(self, ctx: Context) -> None:
        await self._note(ctx)

    @event("debounced", debounce=2)
    async def on_debounced(self, ctx: Context) -> None:
        await self._note(ctx)

    @event("both", throttle=1, debounce=1.5)
    def on_both(self, ctx: Context) -> Any:
        return self._note(ctx)

    @event("plain", throttle=0, debounce=0)
    async def on_plain(self, ctx: Context) -> None:
        await self._note(ctx)

    async def stopped(self) -> None:
        self.heard.append((round(self.broker.clock(), 3), "stopped"))


async def tell(broker: Broker, name: str, *at: float) -> None:
    """Emit its number at each of these seconds from now."""
    began = broker.clock()
    for number, second in enumerate(at):
        await asyncio.sleep(began + second - broker.clock())
        await broker.emit(name, number)


async def say(broker: Broker, name: str, data: Any) -> None:
    await broker.emit(name, data)


@pytest.mark.parametrize("sender", ["here", "there"], ids=["on its own node", "on another"])
@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("throttled", (0, 0.5, 1.9, 2.1, 2.2, 9), [(0, 0), (2.1, 3), (9, 5)]),
        ("debounced", (0, 0.5, 1.9, 2.1, 9), [(4.1, 3), (11, 4)]),
        ("both", (0, 0.5, 1.1, 1.2, 9), [(2.6, 2), (10.5, 4)]),
        ("plain", (0, 0.5), [(0, 0), (0.5, 1)]),
    ],
)
def test_what_a_listener_hears_and_when(
    sender: str, name: str, at: tuple[float, ...], expected: list[tuple[float, int]]
) -> None:
    ears = Ears()
    with Simulation(1) as sim:
        sim.node("here", ears)
        sim.node("there")
        sim.run_until(sim.settled())
        began = sim.now
        sim.run_until(tell(sim[sender].broker, name, *at))
        sim.run(5)

        # A message takes milliseconds on its way.
        assert [number for _, number in expected] == [number for _, number in ears.heard]
        late = [now - began - second for (now, _), (second, _) in zip(ears.heard, expected, strict=True)]
        assert all(0 <= seconds < 0.1 for seconds in [round(one, 2) for one in late]), late


def test_whoever_tells_of_it_does_not_wait_for_the_silence() -> None:
    with Simulation(1) as sim:
        sim.node("here", Ears)
        sim.run_until(sim.settled())
        began = sim.now
        sim.run_until(tell(sim["here"].broker, "debounced", 0))

        assert began == sim.now


def test_what_fails_after_the_silence_is_logged_as_any_listener() -> None:
    ears = Ears()
    with Simulation(1, expected_errors=["event handler failed"]) as sim:
        sim.node("here", ears)
        sim.run_until(sim.settled())
        broker = sim["here"].broker
        sim.run_until(say(broker, "debounced", "bad"))
        sim.run(3)
        sim.run_until(say(broker, "debounced", "good"))
        sim.run(3)

        assert ["bad", "good"] == [what for _, what in ears.heard]
        assert 1 == broker.statistics()["events"]["failed"]


def test_what_is_held_back_when_the_service_stops_is_heard_before_that() -> None:
    ears = Ears()
    ears.slow = 0.5
    with Simulation(1) as sim:
        sim.node("here", ears)
        sim.run_until(sim.settled())
        broker = sim["here"].broker
        sim.run_until(say(broker, "debounced", 1))
        sim.run(1)
        began = sim.now
        sim.run_until(broker.destroy_service("ears"))

        assert [(round(began, 3), 1), (round(began + 0.5, 3), "stopped")] == ears.heard
        sim.run(9)
        assert 2 == len(ears.heard)


def test_at_the_end_of_the_node_a_listener_that_runs_may_finish() -> None:
    """It was held back before, and so is no task of whoever told of it."""
    ears = Ears()
    ears.slow = 3
    with Simulation(1) as sim:
        sim.node("here", ears)
        sim.run_until(sim.settled())
        sim.run_until(say(sim["here"].broker, "debounced", 1))
        sim.run(2.5)

    ((began, _), (stopped, _)) = ears.heard
    assert [began + 3] == ears.ended
    assert stopped >= began + 3


def test_a_service_that_comes_again_is_debounced_again() -> None:
    first, second = Ears(), Ears()
    with Simulation(1) as sim:
        sim.node("here", first)
        sim.run_until(sim.settled())
        broker = sim["here"].broker
        sim.run_until(broker.destroy_service("ears"))
        sim.run_until(broker.register(second))
        began = sim.now
        sim.run_until(tell(broker, "debounced", 0, 1))
        sim.run(5)

        assert [(round(began + 3, 3), 1)] == second.heard


async def test_they_are_announced_in_nodes_units() -> None:
    async with Broker("a") as broker:
        await broker.register(Ears)
        entries = broker.registry.services[-1].events

    assert (2000, 2000) == (entries["throttled"]["throttle"], entries["debounced"]["debounce"])


async def test_who_has_neither_has_nothing_around_it() -> None:
    ears = Ears()
    async with Broker("a") as broker:
        await broker.register(ears)

        (heard,) = broker.registry.events.everyone("plain", None)
        assert ears.on_plain == heard.handler


async def test_they_stand_outside_of_the_users_own() -> None:
    """So an event that is not heard costs nothing: Node's order (protocol section 9.1)."""
    seen: list[Any] = []

    class Seeing(Middleware):
        def local_event(self, next_handler: Any, endpoint: Any) -> Any:
            async def handle(ctx: Context) -> None:
                seen.append(ctx.params)
                await next_handler(ctx)

            return handle if endpoint.name == "throttled" else next_handler

    async with Broker("a", middlewares=[Seeing()]) as broker:
        await broker.register(Ears)
        for number in range(3):
            await broker.emit("throttled", number)

    assert [0] == seen


def test_a_mixins_pace_is_its_services_unless_that_has_one() -> None:
    class Mixin:
        @event("throttled", throttle=5, debounce=1)
        def hears(self, ctx: Context) -> None: ...

    class Mixed(Service):
        name = "mixed"
        mixins = [Mixin]

        @event("throttled", throttle=7)
        def hears_too(self, ctx: Context) -> None: ...

    (found,) = Mixed().event_defs()
    assert (7, 1) == (found.throttle, found.debounce)


@pytest.mark.parametrize("option", ["throttle", "debounce"])
@pytest.mark.parametrize("odd", [-1, "5", True, float("inf")])
def test_what_is_no_number_of_seconds_is_refused_where_it_is_written(option: str, odd: Any) -> None:
    with pytest.raises(ServiceSchemaError, match=f"event {option} is a number of seconds"):
        event("name", **{option: odd})
