"""Life of services and nodes: order, failure, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, Settings, action, errors, event
from tests.cluster import Cluster


class Noted(Service):
    name = "noted"

    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self.notes = notes

    def created(self) -> None:
        self.notes.append("created")

    async def started(self) -> None:
        self.notes.append("started")

    async def stopping(self) -> None:
        self.notes.append("stopping")

    async def stopped(self) -> None:
        self.notes.append("stopped")


class Watching(Middleware):
    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def broker_created(self, broker: Broker) -> None:
        self.notes.append("broker_created")

    async def broker_starting(self, broker: Broker) -> None:
        self.notes.append("broker_starting")

    async def broker_started(self, broker: Broker) -> None:
        self.notes.append("broker_started")

    async def broker_stopping(self, broker: Broker) -> None:
        self.notes.append("broker_stopping")

    async def broker_stopped(self, broker: Broker) -> None:
        self.notes.append("broker_stopped")

    async def service_creating(self, service: Service) -> None:
        self._note("service_creating", service)

    async def service_created(self, service: Service) -> None:
        self._note("service_created", service)

    async def service_starting(self, service: Service) -> None:
        self._note("service_starting", service)

    async def service_started(self, service: Service) -> None:
        self._note("service_started", service)

    async def service_stopping(self, service: Service) -> None:
        self._note("service_stopping", service)

    async def service_stopped(self, service: Service) -> None:
        self._note("service_stopped", service)

    def _note(self, hook: str, service: Service) -> None:
        if service.name != "$node":
            self.notes.append(hook)


async def test_hooks_run_in_moleculers_order() -> None:
    notes: list[str] = []
    broker = Broker("a", Settings(middlewares=[Watching(notes)]))
    await broker.register(Noted(notes))
    await broker.start()
    await broker.stop()

    assert [
        "broker_created",
        "created",
        "service_creating",
        "service_created",
        "broker_starting",
        "service_starting",
        "started",
        "service_started",
        "broker_started",
        "broker_stopping",
        "stopping",
        "service_stopping",
        "stopped",
        "service_stopped",
        "broker_stopped",
    ] == notes


async def test_a_service_that_fails_to_start_fails_the_broker_and_the_others_stop() -> None:
    notes: list[str] = []

    class Broken(Service):
        name = "broken"

        async def started(self) -> None:
            await asyncio.sleep(0.01)
            raise RuntimeError("no database")

    broker = Broker("a")
    await broker.register(Noted(notes))
    await broker.register(Broken)

    with pytest.raises(RuntimeError, match="no database"):
        await broker.start()

    assert ["created", "started", "stopped"] == notes
    assert not broker.started


@pytest.mark.slow
async def test_a_service_that_does_not_stop_is_left_behind() -> None:
    class Clinging(Service):
        name = "clinging"

        async def stopped(self) -> None:
            await asyncio.sleep(60)

    broker = Broker("a", Settings(shutdown_timeout=0.1))
    await broker.register(Clinging)
    await broker.start()
    began = time.monotonic()

    await broker.stop()

    assert time.monotonic() - began < 2


async def test_services_wait_for_their_dependencies() -> None:
    order: list[str] = []

    class Base(Service):
        name = "base"
        version = 2

        async def started(self) -> None:
            await asyncio.sleep(0.02)
            order.append("base")

    class Upper(Service):
        name = "upper"
        dependencies = [{"name": "base", "version": [1, 2]}]

        async def started(self) -> None:
            order.append("upper")

    broker = Broker("a")
    await broker.register(Upper)
    await broker.register(Base)
    async with broker:
        assert ["base", "upper"] == order


async def test_a_dependency_on_another_node_is_waited_for(cluster: Cluster) -> None:
    class Base(Service):
        name = "base"

    class Upper(Service):
        name = "upper"
        dependencies = "base"

    here = await cluster.node("a")
    upper = here.create_service(Upper)
    await cluster.node("b", Base)

    await here.wait_for_services("upper", 5)

    assert upper in here.services


async def test_who_waits_is_told_what_came(cluster: Cluster) -> None:
    class Base(Service):
        name = "base"
        version = 2

    here = await cluster.node("a")
    await cluster.node("b", Base)

    told = await here.wait_for_services(["v2.base", {"name": "base", "version": [1, 2]}, "$node"], 5)

    assert {
        "services": ["v2.base", "v1.base", "$node"],
        "statuses": [
            {"name": "v2.base", "available": True},
            {"name": "v1.base", "available": False},
            {"name": "$node", "available": True},
        ],
    } == told
    assert {"services": [], "statuses": []} == await here.wait_for_services([])


async def test_a_wait_ends_with_the_nodes_own_time_or_the_services(cluster: Cluster) -> None:
    class Impatient(Service):
        name = "impatient"
        dependencies = [{"name": "nobody", "version": [1, "beta"]}]
        settings = {"$dependencyTimeout": 50}

    here = await cluster.node("a", dependency_timeout=0.05)

    with pytest.raises(errors.MoleculerServerError, match=r"within 0\.05 s: nobody") as caught:
        await here.wait_for_services("nobody")
    assert "WAITFOR_SERVICES" == caught.value.type
    with pytest.raises(errors.MoleculerServerError, match=r"v1\.nobody or beta\.nobody"):
        await here.register(Impatient)


async def test_dependencies_on_versions_elsewhere_are_waited_for(cluster: Cluster) -> None:
    class Users(Service):
        name = "users"

    class Upper(Service):
        name = "upper"
        dependencies = ["v2.users", {"name": "users", "version": "beta"}]

    here = await cluster.node("a")
    there = await cluster.node("b")
    here.create_service(Upper)
    await there.register(Users(version=2))
    await here.wait_for_services("v2.users", 5)
    assert not here.registry.has_service("upper")

    await there.register(Users(version="beta"))
    await here.wait_for_services("upper", 5)


async def test_dependencies_that_do_not_come_fail_the_start() -> None:
    class Upper(Service):
        name = "upper"
        dependencies = ["nobody"]

    broker = Broker("a", Settings(dependency_timeout=0.05))
    await broker.register(Upper)

    with pytest.raises(errors.MoleculerServerError) as caught:
        await broker.start()

    assert "WAITFOR_SERVICES" == caught.value.type
    assert [{"name": "nobody", "available": False}] == caught.value.data["statuses"]


async def test_services_come_and_go_at_run_time(cluster: Cluster) -> None:
    changes: list[Any] = []

    class Guest(Service):
        name = "guest"

        @action
        def hello(self, ctx: Context) -> str:
            return "hello"

    class Watcher(Service):
        name = "watcher"

        @event("$services.changed")
        def on_change(self, ctx: Context) -> None:
            changes.append(ctx.params["localService"])

    there = await cluster.node("b")
    here = await cluster.node("a", Watcher)
    changes.clear()

    await there.register(Guest)
    await here.wait_for_services("guest", 5)
    assert "hello" == await here.call("guest.hello")
    assert [False] == changes

    await there.destroy_service("guest")
    async with asyncio.timeout(5):
        while here.registry.has_service("guest"):
            await asyncio.sleep(0.005)
    with pytest.raises(errors.ServiceNotAvailableError):
        await here.call("guest.hello")
    with pytest.raises(errors.ServiceNotFoundError):
        await there.destroy_service("guest")


@pytest.mark.parametrize(
    ("service", "complaint"),
    [
        (type("Nameless", (Service,), {}), "has no name"),
        (type("Blank", (Service,), {"name": "a b"}), "not a service name"),
        (42, "subclass of Service"),
    ],
)
async def test_a_service_that_is_written_wrong_is_refused(service: Any, complaint: str) -> None:
    with pytest.raises(errors.ServiceSchemaError, match=complaint):
        await Broker("a").register(service)


async def test_two_actions_of_one_name_are_refused() -> None:
    class Twice(Service):
        name = "twice"

        @action(name="go")
        def first(self, ctx: Context) -> None: ...

        @action(name="go")
        def second(self, ctx: Context) -> None: ...

    with pytest.raises(errors.ServiceSchemaError, match="two actions named 'go'"):
        await Broker("a").register(Twice)


async def test_two_services_of_one_name_are_refused() -> None:
    broker = Broker("a")
    await broker.register(Noted([]))

    with pytest.raises(errors.ServiceSchemaError, match="on this node already"):
        await broker.register(Noted([]))


async def test_stop_finishes_what_runs(cluster: Cluster) -> None:
    class Slow(Service):
        name = "slow"

        @action
        async def go(self, ctx: Context) -> str:
            await asyncio.sleep(0.1)
            return "done"

    there = await cluster.node("b", Slow, shutdown_timeout=5)
    here = await cluster.node("a")

    call = asyncio.ensure_future(here.call("slow.go"))
    await asyncio.sleep(0.02)
    await there.stop()

    assert "done" == await call
    with pytest.raises(errors.ServiceNotAvailableError):
        await here.call("slow.go")
    assert not here.registry.nodes["b"].available


async def test_stop_twice_is_harmless(cluster: Cluster) -> None:
    broker = await cluster.node("a")

    await asyncio.gather(broker.stop(), broker.stop())
    await broker.stop()


async def test_a_signal_ends_the_wait_and_stops_the_node(cluster: Cluster) -> None:
    broker = await cluster.node("a")

    waiting = asyncio.ensure_future(broker.wait_for_shutdown())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(waiting, 5)

    assert not broker.started


async def test_nodes_of_other_namespaces_are_not_seen(cluster: Cluster) -> None:
    await cluster.node("a", namespace="one")
    await cluster.node("b", namespace="two")

    assert {"a"} == set(cluster["a"].registry.nodes)


async def test_no_task_is_left_after_stop() -> None:
    before = asyncio.all_tasks()
    cluster = Cluster()
    await cluster.node("a", Noted([]))
    await cluster.node("b")

    await cluster.stop()
    await asyncio.sleep(0)

    assert before == asyncio.all_tasks()
