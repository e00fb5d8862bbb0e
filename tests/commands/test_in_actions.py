"""Commands inside of actions: time, meta, request, caches, the gateway's answers, circuits as events."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from tautomer import Broker, Command, Context, Service, Settings, action, component, event, request_context
from tautomer.errors import BrokerOptionsError, CommandTimeout
from tautomer.settings import CommandSettings
from tautomer.testing import Simulation
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor, door

from .conftest import settled

__all__ = ["door"]


class Look(Command):
    """Tells where it is."""

    command_key = "look"
    runs = 0

    def cache_key(self) -> str:
        return "look"

    async def run(self) -> Any:
        Look.runs += 1
        assert self.ctx is not None
        return [self.ctx.request_id, self.ctx.meta.get("tenant"), self.ctx.action and self.ctx.action.name]


class LookInThread(Look):
    command_key = "look in thread"

    def run(self) -> Any:  # type: ignore[override]  # Of the other kind.
        return asyncio.run(super().run())


class Hanging(Command):
    command_key = "hanging"
    timeout_seconds = 60.0

    async def run(self) -> None:
        await asyncio.sleep(60)


class Spare(Command):
    command_key = "spare"

    async def run(self) -> str:
        raise OSError("down")

    fallback_value = "spare"


class Shop(Service):
    name = "shop"
    asked = 0
    seen_in: Any = None

    @action
    async def look(self, ctx: Context) -> Any:
        return [await Look(), await Look(), await ctx.call("shop.inner")]

    @action
    async def inner(self, ctx: Context) -> Any:
        return await Look()

    @action
    async def thread(self, ctx: Context) -> Any:
        return await LookInThread()

    @action(cache=True)
    async def spare(self, ctx: Context) -> Any:
        Shop.asked += 1
        return await Spare()

    @action(cache=True)
    async def outer(self, ctx: Context) -> Any:
        Shop.asked += 1
        return await ctx.call("shop.spare")

    @event("shop.seen")
    async def seen(self, ctx: Context) -> None:
        assert Look().ctx is None
        with request_context(ctx):
            seen = await Look(), Look().ctx
        assert ctx is seen[1]
        Shop.seen_in = seen[0][0]

    @action
    async def fail(self, ctx: Context) -> Any:
        how = ctx.params["how"]
        if how == "timeout":
            component.configure("hanging", timeout_seconds=0.05)
            await Hanging()
        elif how == "open":
            component.configure("spare", fallback_enabled=False, circuit_breaker={"request_volume_threshold": 1})
            await settled(Spare())
            await Spare()
        else:
            component.add("executor_pool", {"group_key": "default", "max_workers": 1, "max_queue": 0})
            component.install()
            handle = Hanging().queue()
            await until(lambda: component.statistics()["pools"]["default"]["running"] == 1)
            try:
                await Hanging()
            finally:
                handle.cancel()


@pytest.fixture(autouse=True)
def no_runs() -> None:
    Look.runs = Shop.asked = 0


async def test_a_command_knows_its_context_and_a_request_asks_once() -> None:
    async with Broker("n") as broker:
        await broker.register(Shop())
        first, second, inner = await broker.call("shop.look", meta={"tenant": "acme"}, request_id="r-1")
        await broker.call("shop.look")
        await broker.emit("shop.seen")
        await until(lambda: Shop.seen_in is not None)

    assert ["r-1", "acme", "shop.look"] == first
    assert first is second is inner
    assert 3 == Look.runs


async def test_in_a_thread_it_does_too() -> None:
    async with Broker("n") as broker:
        await broker.register(Shop())

        assert ["r-2", None, "shop.thread"] == await broker.call("shop.thread", request_id="r-2")


async def test_outside_of_an_action_there_is_no_context() -> None:
    async with Broker("n") as broker:
        await broker.register(Shop())
        await broker.call("shop.inner")

        assert None is Look().ctx


async def test_it_has_no_more_time_than_its_caller() -> None:
    class Own(Service):
        name = "own"

        @action
        async def ask(self, ctx: Context) -> Any:
            seen.extend(await settled(Hanging()))

    seen: list[Any] = []
    async with Broker("n") as broker:
        await broker.register(Own())
        ctx = broker.context(timeout=0.1)
        await settled(ctx.call("own.ask"))
        await until(lambda: bool(seen))

    assert isinstance(seen[0], CommandTimeout)


async def test_what_a_fallback_gave_is_in_no_cache() -> None:
    async with Broker("n", Settings(cacher=True)) as broker:
        await broker.register(Shop())
        ctx = broker.context()
        for _ in range(2):
            assert "spare" == await ctx.call("shop.spare")
            assert "spare" == await broker.call("shop.outer")

    assert 6 == Shop.asked
    assert True is ctx.meta["$fallback"]


@pytest.mark.parametrize(
    ("how", "status", "kind", "after"),
    [
        ("timeout", 504, "COMMAND_TIMEOUT", None),
        ("open", 503, "CIRCUIT_OPEN", "5"),
        ("full", 503, "COMMAND_REJECTED", "1"),
    ],
)
async def test_the_gateway_tells_what_happened_and_when_to_come_again(
    door: OpenDoor, how: str, status: int, kind: str, after: str | None
) -> None:
    opened = await door(Shop, routes=[{"aliases": {"GET /fail": "shop.fail"}}])

    answer = await opened.get(f"/fail?how={how}")

    assert (status, kind) == (answer.status, answer.json["type"])
    assert after == answer.header("retry-after")


async def test_circuits_are_local_events_of_the_broker() -> None:
    class Watch(Service):
        name = "watch"

        @event("$circuit.*")
        def changed(self, ctx: Context) -> None:
            seen.append((ctx.event_name, ctx.params["key"], threading.current_thread().name))

    class Bad(Command):
        command_key = "bad"
        circuit_breaker = {"request_volume_threshold": 1}

        def run(self) -> None:
            raise OSError

    seen: list[Any] = []
    async with Broker("n") as broker:
        await broker.register(Watch())
        await asyncio.to_thread(lambda: settled_in_thread(Bad()))
        await until(lambda: bool(seen))

    assert [("$circuit.opened", "bad", threading.current_thread().name)] == seen


def settled_in_thread(made: Command) -> None:
    try:
        made.execute()
    except OSError:
        pass


async def test_settings_of_a_broker_make_pools() -> None:
    settings = Settings(
        commands={  # type: ignore[arg-type]  # A mapping will do.
            "executor_pool": [{"group_key": "service.session", "max_workers": 3}],
            "circuit_breaker_options": {"sleep_window": 2},
            "defaults": {"timeout_seconds": 4.0},
        }
    )
    Broker("a", settings)
    Broker("b", Settings(commands=CommandSettings(executor_pool=[{"group_key": "service.session", "max_workers": 5}])))

    assert [5] == [pool["max_workers"] for pool in component.statistics()["pools"].values()]
    assert {"timeout_seconds": 4.0} == component.configurations["defaults"]
    with pytest.raises(BrokerOptionsError, match="did you mean 'executor_pool'"):
        Settings(commands={"executor_pols": []})  # type: ignore[arg-type]  # As above.
    with pytest.raises(BrokerOptionsError, match="commands is a mapping"):
        Settings(commands=5)  # type: ignore[arg-type]  # As above.


async def test_settings_that_switch_circuits_off_do_so() -> None:
    Broker("a", Settings(commands=CommandSettings(circuit_breaker_enabled=False)))
    await settled(Spare())

    assert None is component.circuit("spare")


def test_in_a_simulation_time_is_the_simulations() -> None:
    class Down(Command):
        command_key = "down"
        circuit_breaker = {"request_volume_threshold": 1, "sleep_window": 25}

        async def run(self) -> str:
            if sim.now - began < 10:
                raise OSError
            return "up"

        def fallback(self) -> str:
            return "cached"

    class Edge(Service):
        name = "edge"

        @action
        async def ask(self, ctx: Context) -> list[Any]:
            made = Down()
            return [await made, made.execution.events[0]]

    async def asking() -> list[Any]:
        got = []
        for _ in range(4):
            got.append(await sim["far"].call("edge.ask"))
            await asyncio.sleep(10)
        return got

    with Simulation(1) as sim, component.testing(lambda: sim.now):
        sim.node("near", Edge)
        sim.node("far")
        sim.run_until(sim.settled())
        began = sim.now
        got = sim.run_until(asking())

    assert [["cached", "FAILURE"], *[["cached", "SHORT_CIRCUITED"]] * 2, ["up", "SUCCESS"]] == got


def test_a_process_without_commands_pays_nothing_for_them() -> None:
    code = """
import asyncio, sys
from tautomer import Broker, Service, action

class Plain(Service):
    name = "plain"

    @action
    async def it(self, ctx): ...

async def main():
    async with Broker() as broker:
        for _ in range(2):
            service = Plain(f"plain{_}")
            await broker.register(service)
            endpoint = broker.registry.actions[f"plain{_}.it"].all[0]
            print(endpoint.handler == service.it)
            import tautomer.commands

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert ["True", "False"] == done.stdout.split()
