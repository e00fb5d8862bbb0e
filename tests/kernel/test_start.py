"""Start: without a message broker at hand, cut off half way, set up wrong; and nothing is left of it."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, Settings, action, errors
from tautomer.settings import RegistrySettings, TransitSettings
from tautomer.transporters.memory import MemoryTransporter
from tests.kernel.mesh import QUICK, Foreign, Mesh, until
from tests.servers import NatsServer


class Math(Service):
    name = "math"

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]


class Noted(Service):
    """Notes its life, and can be held up or made to fail in `started`."""

    name = "noted"

    def __init__(self, *, hold: bool = False, fail: bool = False, **fields: Any) -> None:
        super().__init__(fields.get("name"))
        self.dependencies = fields.get("dependencies", ())
        self.notes: list[str] = []
        self.hold, self.fail = hold, fail

    async def started(self) -> None:
        self.notes.append("started")
        if self.hold:
            await asyncio.sleep(30)
        if self.fail:
            raise RuntimeError("no database")

    async def stopping(self) -> None:
        self.notes.append("stopping")

    async def stopped(self) -> None:
        self.notes.append("stopped")


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    """No test here leaves a task behind, whatever went wrong in it."""
    before = asyncio.all_tasks()
    yield
    await until(lambda: asyncio.all_tasks() <= {*before, asyncio.current_task()})


@pytest.fixture
def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- no message broker at hand ---

ALONE = TransitSettings(connect_wait=0.1, settle=0.2, settle_quiet=0, stop_delay=0, announce_delay=0)


async def test_a_node_starts_without_its_message_broker_says_so_once_and_works(
    free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    node = Broker("a", Settings(transporter=f"nats://127.0.0.1:{free_port}", transit=ALONE))
    await node.register(Math)
    began = time.monotonic()

    with caplog.at_level(logging.WARNING, "tautomer"):
        await node.start()
        assert 0.09 < time.monotonic() - began < 2
        assert 3 == await node.call("math.add", {"a": 1, "b": 2})
        await node.emit("nobody.listens")
        assert (True, False) == (node.started, node.connected)
        with pytest.raises(errors.ServiceNotFoundError):
            await node.call("far.away")
        began = time.monotonic()
        await node.stop()

    assert time.monotonic() - began < 3
    whole = [record.getMessage() for record in caplog.records]
    assert 1 == len([line for line in whole if "starting without the mesh" in line])
    assert 1 == len([line for line in whole if f"127.0.0.1:{free_port}" in line and "nats-server" in line])
    assert 2 == len(whole)


@pytest.mark.server
async def test_a_node_that_started_alone_joins_when_the_line_comes_up(free_port: int) -> None:
    url = f"nats://127.0.0.1:{free_port}"
    alone = Broker("a", Settings(transporter=url, transit=ALONE))
    await alone.register(Math)
    await alone.start()
    assert not alone.connected

    with NatsServer(port=free_port):
        async with Broker("b", Settings(transporter=url, transit=ALONE)) as other:
            await other.wait_for_services("math", 10)

            await until(lambda: alone.connected)
            assert 3 == await other.call("math.add", {"a": 1, "b": 2}, timeout=5)
        await alone.stop()


class Line(MemoryTransporter):
    """A line that is away, refused, or breaks, as a test wants it."""

    def __init__(self, url: str, *, away: bool = False, refused: bool = False, broken: bool = False) -> None:
        super().__init__(url)
        self.away, self.refused, self.broken = away, refused, broken
        self.closed = 0

    async def connect(self, link: Any) -> None:
        if self.away:
            await asyncio.sleep(30)
        if self.refused:
            raise errors.TransporterError("the broker refuses this password")
        await super().connect(link)

    async def subscribe(self, topics: Any) -> None:
        if self.broken:
            raise OSError("reset by peer")
        await super().subscribe(topics)

    async def close(self) -> None:
        self.closed += 1
        await super().close()


async def test_a_line_that_no_retry_gets_fails_the_start(mesh: Mesh) -> None:
    line, noted = Line(mesh.url, refused=True), Noted()

    with pytest.raises(errors.TransporterError, match="refuses this password"):
        await mesh.node("a", noted, transporter=line)

    assert ([], 1) == (noted.notes, line.closed)


async def test_a_line_that_is_refused_after_the_start_is_told_of(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    class Late(Line):
        async def connect(self, link: Any) -> None:
            await release.wait()
            await super().connect(link)

    release = asyncio.Event()
    node = await mesh.node("a", Math, transporter=Late(mesh.url, refused=True), transit=ALONE)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "tautomer"):
        release.set()
        await until(lambda: caplog.records)

    assert ["the mesh cannot be joined: the broker refuses this password"] == [r.getMessage() for r in caplog.records]
    assert 3 == await node.call("math.add", {"a": 1, "b": 2})


async def test_a_line_that_breaks_while_joining_fails_the_start(mesh: Mesh) -> None:
    line = Line(mesh.url, broken=True)

    with pytest.raises(OSError, match="reset by peer"):
        await mesh.node("a", Noted(), transporter=line)

    assert 1 == line.closed


# --- cut off half way ---


class Held(Middleware):
    """Holds up the start at one of its steps, or makes it fail there."""

    def __init__(self, step: str, *, fail: bool = False) -> None:
        self.step, self.fail = step, fail
        self.notes: list[str] = []

    async def broker_starting(self, broker: Broker) -> None:
        await self._at("broker_starting")

    async def service_starting(self, service: Service) -> None:
        await self._at("service_starting")

    async def service_started(self, service: Service) -> None:
        await self._at("service_started")

    async def broker_started(self, broker: Broker) -> None:
        await self._at("broker_started")

    async def broker_stopped(self, broker: Broker) -> None:
        self.notes.append("broker_stopped")

    async def _at(self, step: str) -> None:
        self.notes.append(step)
        if step == self.step:
            if self.fail:
                raise RuntimeError(f"failed at {step}")
            await asyncio.sleep(30)


Case = tuple[dict[str, Any], list[Noted], Callable[[], bool]]
"""Settings, services, and when the start is where it is to be cut off."""


def held_by_middleware(step: str, _url: str) -> Case:
    middleware = Held(step)
    return {"middlewares": [middleware]}, [Noted()], lambda: step in middleware.notes


def held_by_line(url: str) -> Case:
    return {"transporter": Line(url, away=True)}, [Noted()], lambda: True


def held_by_service(_url: str) -> Case:
    held = Noted(hold=True, name="held")
    return {}, [Noted(), held], lambda: "started" in held.notes


def held_by_dependency(_url: str) -> Case:
    first = Noted()
    return {}, [first, Noted(name="waiting", dependencies=["nobody"])], lambda: "started" in first.notes


STEPS = ["broker_starting", "service_starting", "service_started", "broker_started"]
HOLDS: dict[str, Callable[[str], Case]] = {
    "line": held_by_line,
    "service": held_by_service,
    "dependency": held_by_dependency,
    **{step: partial(held_by_middleware, step) for step in STEPS},
}


@pytest.mark.parametrize("way", ["cancel", "stop"])
@pytest.mark.parametrize("hold", HOLDS)
async def test_a_start_that_is_cut_off_undoes_itself(mesh: Mesh, peer: Foreign, hold: str, way: str) -> None:
    """Ready-made property 6: whatever the step, no task, service or line is left."""
    options, services, is_held = HOLDS[hold](mesh.url)
    middlewares = options.pop("middlewares", ())
    settings = Settings(**{"transporter": mesh.url, "transit": QUICK, "shutdown_timeout": 0.2, **options})
    node = Broker("a", settings, middlewares)
    for service in services:
        await node.register(service)
    starting = asyncio.ensure_future(node.start())
    await until(is_held)
    await asyncio.sleep(0)

    if way == "cancel":
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    else:
        await node.stop()
        with pytest.raises(errors.MoleculerServerError) as caught:
            await starting
        assert "BROKER_STOPPED" == caught.value.type

    assert not node.started
    assert not node.connected
    for service in services:
        begun = ["started"] if "started" in service.notes else []
        assert begun + [note.replace("started", "stopped") for note in begun] == service.notes
    for middleware in middlewares:
        assert "broker_stopped" == middleware.notes[-1]
    said = {command for command, _, _ in peer.heard}
    assert ("DISCONNECT" in said) == ("DISCOVER" in said)
    await node.stop()
    with pytest.raises(errors.BrokerOptionsError, match="once"):
        await node.start()


@pytest.mark.parametrize("step", STEPS)
async def test_a_start_that_fails_undoes_itself(mesh: Mesh, peer: Foreign, step: str) -> None:
    middleware, noted = Held(step, fail=True), Noted()

    with pytest.raises(RuntimeError, match=f"failed at {step}"):
        await mesh.node("a", noted, middlewares=[middleware])

    assert (["started", "stopped"] if step in STEPS[2:] else []) == noted.notes
    assert "broker_stopped" == middleware.notes[-1]
    said = {command for command, _, _ in peer.heard}
    assert ("DISCONNECT" in said) == ("DISCOVER" in said) == (step != "broker_starting")


async def test_services_that_did_not_begin_to_start_are_not_stopped(mesh: Mesh) -> None:
    fine, broken, waiting = Noted(), Noted(name="broken", fail=True), Noted(name="waiting", dependencies="nobody")

    with pytest.raises(RuntimeError, match="no database"):
        await mesh.node("a", fine, broken, waiting)

    assert (["started", "stopped"], ["started", "stopped"], []) == (fine.notes, broken.notes, waiting.notes)


async def test_a_node_whose_start_failed_says_goodbye(mesh: Mesh, peer: Foreign) -> None:
    with pytest.raises(RuntimeError, match="no database"):
        await mesh.node("a", Noted(fail=True))

    await peer.hears("DISCONNECT")


@pytest.mark.parametrize("transporter", [None, "memory://never-started"])
async def test_stop_without_start_is_harmless(transporter: str | None) -> None:
    noted = Noted()
    node = Broker("a", Settings(transporter=transporter))
    await node.register(noted)

    await node.stop()
    await node.stop()

    assert [] == noted.notes
    with pytest.raises(errors.BrokerOptionsError, match="once"):
        await node.start()


async def test_a_node_is_started_once(mesh: Mesh) -> None:
    node = await mesh.node("a")

    with pytest.raises(errors.BrokerOptionsError, match="once"):
        await node.start()
    await node.stop()
    with pytest.raises(errors.BrokerOptionsError, match="once"):
        await node.start()


async def test_a_service_may_stop_the_node_that_is_starting() -> None:
    class Fatal(Service):
        name = "fatal"

        async def started(self) -> None:
            await self.broker.stop()

    node = Broker("a")
    await node.register(Fatal)

    with pytest.raises(errors.MoleculerServerError) as caught:
        await node.start()
    assert "BROKER_STOPPED" == caught.value.type


async def test_a_line_that_cannot_be_closed_does_not_hold_up_the_stop(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Line):
        async def close(self) -> None:
            await super().close()
            raise OSError("bad file descriptor")

    noted = Noted()
    node = await mesh.node("a", noted, transporter=Stuck(mesh.url))
    await node.stop()

    assert ["started", "stopping", "stopped"] == noted.notes
    assert any("not closed in good order" in record.message for record in caplog.records)


# --- services that come while it starts, or too late ---


async def test_a_service_may_bring_another_while_it_starts() -> None:
    guest = Noted(name="guest")

    class Host(Service):
        name = "host"

        async def started(self) -> None:
            await self.broker.register(guest)

    node = Broker("a")
    await node.register(Host)
    async with node:
        assert {"$node", "host", "guest"} == {service.name for service in node.registry.services}
    assert ["started", "stopping", "stopped"] == guest.notes


async def test_a_service_that_fails_to_start_at_run_time_leaves_nothing(mesh: Mesh) -> None:
    node = await mesh.node("a")

    with pytest.raises(RuntimeError, match="no database"):
        await node.register(broken := Noted(fail=True))
    assert ["started", "stopped"] == broken.notes
    assert ["$node"] == [service.name for service in node.services]

    await node.register(Noted())
    assert node.registry.has_service("noted")


# --- what is set up wrong ---


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        (Settings, "transportr", "did you mean 'transporter'"),
        (Settings, "requestTimeout", "did you mean 'request_timeout'"),
        (Settings, "nodeID", "known: "),
        (Settings, "logLevel", "did you mean 'log_level'"),
        (TransitSettings, "connect_wiat", "did you mean 'connect_wait'"),
        (RegistrySettings, "preferLocal", "did you mean 'prefer_local'"),
        (RegistrySettings, "xyz", "known: actions_max"),
    ],
)
def test_an_unknown_setting_names_the_nearest(kind: Any, name: str, hint: str) -> None:
    with pytest.raises(errors.BrokerOptionsError, match=re.escape(hint)) as caught:
        kind(**{name: 1})

    assert f"{kind.__name__}: unknown setting '{name}'" in caught.value.message
    assert {"unknown": [name]} == caught.value.data


def test_all_unknown_settings_are_told_at_once() -> None:
    with pytest.raises(errors.BrokerOptionsError, match=r"namespce.*heartbeatInterval") as caught:
        Settings(namespce="x", heartbeatInterval=5)  # type: ignore[call-arg]  # That is what is tested.

    assert {"unknown": ["namespce", "heartbeatInterval"]} == caught.value.data


@pytest.mark.parametrize(
    "values",
    [
        {"protocol": "3"},
        {"protocol": 5},
        {"request_timeout": -1},
        {"request_timeout": "5"},
        {"max_call_level": True},
        {"heartbeat_interval": 0},
        {"heartbeat_interval": 30, "heartbeat_timeout": 30},
        {"namespace": 5},
        {"metadata": [1]},
        {"middlewares": Middleware},
        {"registry": {"prefer_local": True}},
        {"transit": None},
        {"log_format": "XML"},
    ],
    ids=str,
)
def test_a_setting_of_no_use_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(errors.BrokerOptionsError):
        Settings(**values)


@pytest.mark.parametrize("node_id", ["", "a b", "a*", "a>", "a\n", "\x00", "x" * 256, 5, ["a"]])
def test_a_node_id_that_cannot_be_part_of_a_topic_is_refused(node_id: Any) -> None:
    with pytest.raises(errors.BrokerOptionsError, match="cannot be a node id"):
        Broker(node_id)


@pytest.mark.parametrize("namespace", ["a b", "a*", "a>", "a\r\nPUB x", "x" * 256])
def test_a_namespace_that_cannot_be_part_of_a_topic_is_refused(namespace: str) -> None:
    with pytest.raises(errors.BrokerOptionsError, match="cannot be a namespace"):
        Broker("a", Settings(namespace=namespace))


def test_brokers_without_an_id_have_different_ones() -> None:
    first, second = Broker(), Broker()

    assert first.id != second.id
    assert re.fullmatch(r"\S+-\d+(-\d+)?", first.id)


@pytest.mark.parametrize(
    "values",
    [
        {"transporter": "carrier-pigeon://loft"},
        {"transporter": "nats://[broken"},
        {"serializer": "Pickle"},
        {"registry": RegistrySettings(strategy="Fastest")},
        {"log_level": "LOUD"},
    ],
    ids=str,
)
def test_what_is_not_known_is_refused_when_the_broker_is_built(values: dict[str, Any]) -> None:
    with pytest.raises((errors.BrokerOptionsError, errors.TransporterError)) as caught:
        Broker("a", Settings(**values))

    assert caught.value.message


def test_an_unknown_transporter_names_the_known() -> None:
    with pytest.raises(errors.BrokerOptionsError, match=r"'kafka' is not known; known: memory://, nats://"):
        Broker("a", Settings(transporter="kafka://host:9092"))
