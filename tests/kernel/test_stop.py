"""Stop: its order, and that nothing is left whatever fails or hangs on the way (ready-made property 6)."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Middleware, Service, Settings, action, errors, event
from tautomer.settings import TransitSettings
from tests.kernel.mesh import QUICK, Foreign, Mesh, service_info, until
from tests.servers import NatsServer


def fail(kind: str) -> Any:
    """Go wrong, at once or when awaited."""
    if kind == "raises":
        raise RuntimeError("broken")
    if kind == "exits":
        raise SystemExit(3)
    if kind == "cancels":
        raise asyncio.CancelledError
    return _cling() if kind == "clings" else asyncio.sleep(60)


async def _cling() -> None:
    """Does not end though it is cancelled; only a second time does it."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)


STEPS = ["broker_stopping", "stopping", "service_stopping", "stopped", "service_stopped", "broker_stopped"]
FAULTS = [(step, kind) for step in STEPS for kind in ("raises", "exits", "cancels", "hangs")]
FAULTS += [("stopped", "clings"), ("broker_stopping", "clings")]


class Faulty(Middleware):
    """Goes wrong in one hook."""

    def __init__(self, step: str, kind: str) -> None:
        self.step, self.kind = step, kind

    def broker_starting(self, broker: Broker) -> Any:
        return self._at("broker_starting")

    def service_starting(self, service: Service) -> Any:
        return self._at("service_starting")

    def service_started(self, service: Service) -> Any:
        return self._at("service_started")

    def broker_started(self, broker: Broker) -> Any:
        return self._at("broker_started")

    def broker_stopping(self, broker: Broker) -> Any:
        return self._at("broker_stopping")

    def service_stopping(self, service: Service) -> Any:
        return self._at("service_stopping")

    def service_stopped(self, service: Service) -> Any:
        return self._at("service_stopped")

    def broker_stopped(self, broker: Broker) -> Any:
        return self._at("broker_stopped")

    def _at(self, step: str) -> Any:
        return fail(self.kind) if step == self.step else None


class Files(Service):
    """Holds a file while it runs."""

    name = "files"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def started(self) -> None:
        self.file = self.path.open("w")

    def stopped(self) -> None:
        self.file.close()


class Wrong(Service):
    """Goes wrong in one of its own hooks."""

    name = "wrong"

    def __init__(self, step: str, kind: str) -> None:
        super().__init__()
        self.step, self.kind = step, kind

    def started(self) -> Any:
        return fail(self.kind) if self.step == "started" else None

    def stopping(self) -> Any:
        return fail(self.kind) if self.step == "stopping" else None

    def stopped(self) -> Any:
        return fail(self.kind) if self.step == "stopped" else None


class Door(ApiGatewayService):
    name = "door"
    settings = {"port": 0, "routes": [{"path": "/", "autoAliases": True, "whitelist": ["**"]}]}


def descriptors() -> list[str]:
    """What this process has open."""
    gc.collect()
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return sorted(found)


@pytest.fixture(scope="module")
def nats() -> Iterator[str]:
    with NatsServer() as server:
        yield server.url


def whole_node(url: str, tmp_path: Path, step: str, kind: str) -> tuple[Broker, list[Service]]:
    """A node with a line, a port and a file, of which one part goes wrong."""
    transit = TransitSettings(settle=0, stop_delay=0, announce_delay=0)
    settings = Settings(transporter=url, transit=transit, shutdown_timeout=0.05, namespace=f"stop-{os.getpid()}")
    services: list[Service] = [Files(tmp_path / "held"), Door(), Wrong(step, kind)]
    return Broker("a", settings, [Faulty(step, kind)]), services


async def nothing_is_left(tasks: set[asyncio.Task[Any]], before: list[str], kind: str) -> None:
    def left() -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - tasks - {asyncio.current_task()}  # type: ignore[arg-type]  # There is one.

    if kind == "clings":  # It alone stays; it is a user's, and was told of.
        assert 1 == len(left())
        for task in left():
            task.cancel()
    await until(lambda: not left())
    await until(lambda: descriptors() == before)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(("step", "kind"), FAULTS)
async def test_whatever_goes_wrong_at_stop_nothing_is_left(nats: str, tmp_path: Path, step: str, kind: str) -> None:
    node, services = whole_node(nats, tmp_path, step, kind)
    tasks, before = asyncio.all_tasks(), descriptors()
    for service in services:
        await node.register(service)
    await node.start()
    assert before != descriptors()
    began = time.monotonic()

    await node.stop()

    assert time.monotonic() - began < 12
    assert not node.connected
    await nothing_is_left(tasks, before, kind)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("kind", ["raises", "cancels"])
@pytest.mark.parametrize(
    "step", ["broker_starting", "service_starting", "started", "service_started", "broker_started"]
)
async def test_whatever_goes_wrong_at_start_nothing_is_left(nats: str, tmp_path: Path, step: str, kind: str) -> None:
    node, services = whole_node(nats, tmp_path, step, kind)
    tasks, before = asyncio.all_tasks(), descriptors()
    for service in services:
        await node.register(service)

    with pytest.raises((RuntimeError, asyncio.CancelledError, errors.MoleculerServerError)):
        await node.start()

    assert not node.started
    await nothing_is_left(tasks, before, kind)


async def test_a_hook_that_hangs_is_left_behind_with_its_name_in_the_log(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    node = await mesh.node("a", Wrong("stopped", "hangs"), shutdown_timeout=0.05)

    with caplog.at_level(logging.ERROR, "tautomer"):
        await node.stop()

    assert ["Service 'wrong' did not stop in time."] == [record.getMessage() for record in caplog.records]
    assert ["stopped"] == [record.hook for record in caplog.records]  # type: ignore[attr-defined]  # It was given.


async def test_services_stop_in_the_reverse_order_of_their_coming(mesh: Mesh) -> None:
    order: list[str] = []

    class Noted(Service):
        def stopped(self) -> None:
            order.append(self.name)

    node = await mesh.node("a", *(Noted(name) for name in ("one", "two", "three")))
    await node.stop()

    assert ["three", "two", "one"] == order


# --- who is still served ---


class Slow(Service):
    name = "slow"

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    @action
    async def go(self, ctx: Context) -> str:
        await self.go_on.wait()
        return "done"

    @action
    async def quick(self, ctx: Context) -> str:
        return "done"


async def test_a_leaving_node_serves_on_while_requests_still_come(mesh: Mesh, peer: Foreign) -> None:
    """Who asks has not read the INFO yet; Node tries nothing again that was refused."""
    transit = TransitSettings(settle=0, announce_delay=0, stop_delay=0.05)
    node = await mesh.node("a", Slow(), transit=transit)
    peer.introduce()
    assert await peer.finds_well("a")
    stopping = asyncio.ensure_future(node.stop())
    await until(lambda: peer.packets("INFO", services=[]))

    for _ in range(8):
        assert (await peer.ask("a", "slow.quick"))["success"]
        await asyncio.sleep(0.02)
    await stopping

    assert peer.packets("DISCONNECT")


async def test_but_not_for_ever(mesh: Mesh, peer: Foreign) -> None:
    transit = TransitSettings(settle=0, announce_delay=0, stop_delay=0.01)
    node = await mesh.node("a", Slow(), transit=transit)
    peer.introduce()
    assert await peer.finds_well("a")
    stopping = asyncio.ensure_future(node.stop())
    began = time.monotonic()

    while not stopping.done():
        peer.request("a", "slow.quick")
        await asyncio.sleep(0.001)

    assert time.monotonic() - began < 2


class Ears(Service):
    name = "ears"

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    @event("told")
    async def on_told(self, ctx: Context) -> None:
        self.notes.append("begun")
        await asyncio.sleep(0.05)
        self.notes.append("done")

    @event("enough")
    async def on_enough(self, ctx: Context) -> None:
        await self.broker.stop()

    @action
    async def enough(self, ctx: Context) -> None:
        await self.broker.stop()

    def stopped(self) -> None:
        self.notes.append("stopped")


@pytest.mark.parametrize("transporter", [None, "memory://listeners"])
async def test_a_listener_that_runs_is_waited_for_before_its_service_stops(transporter: str | None) -> None:
    ears = Ears()
    node = Broker("a", Settings(transporter=transporter, shutdown_timeout=5))
    await node.register(ears)
    await node.start()

    node.emit("told")
    await until(lambda: ears.notes)
    await node.stop()

    assert ["begun", "done", "stopped"] == ears.notes


@pytest.mark.parametrize("by", ["event", "action"])
async def test_a_handler_that_stops_its_own_node_is_not_waited_for(mesh: Mesh, peer: Foreign, by: str) -> None:
    node = await mesh.node("a", ears := Ears(), shutdown_timeout=30)
    peer.introduce()
    if by == "event":
        node.emit("enough")
    else:
        peer.request("a", "ears.enough")

    await until(lambda: "stopped" in ears.notes)
    await peer.hears("DISCONNECT")


async def test_what_still_runs_after_its_time_is_cut_answered_and_counted(
    mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    node = await mesh.node("a", Slow(), shutdown_timeout=0.05)
    peer.introduce(service_info("far"))
    requests = [peer.request("a", "slow.go") for _ in range(3)]
    await until(lambda: node.statistics()["transit"]["in_flight"] == 3)

    with caplog.at_level(logging.WARNING, "tautomer"):
        await node.stop()

    assert [3] == [r.count for r in caplog.records if r.getMessage() == "requests cut off at stop"]  # type: ignore[attr-defined]  # It was given.
    answers = [packet for request_id in requests for packet in peer.packets("RES", id=request_id)]
    assert ["RequestRejectedError"] * 3 == [answer["error"]["name"] for answer in answers]


async def test_a_node_whose_line_is_gone_stops_all_the_same(mesh: Mesh) -> None:
    node = await mesh.node("a", Slow())
    assert node.transit is not None
    await node.transit._transporter.close()

    await node.stop()

    with pytest.raises(errors.MoleculerError):
        await node.call("far.away")


@pytest.mark.server
async def test_what_the_broker_has_handed_over_is_answered(nats: str) -> None:
    """The subscription is drained: a request that comes while the node hangs up is not lost, the asker hears at once."""
    transit = TransitSettings(settle=0.05, announce_delay=0, stop_delay=0)
    namespace = f"drain-{os.getpid()}"
    worker = Broker("w", Settings(transporter=nats, namespace=namespace, transit=transit))
    await worker.register(Slow())
    asker = Broker("q", Settings(transporter=nats, namespace=namespace, transit=QUICK))
    await worker.start()
    await asker.start()
    await asker.wait_for_services("slow", 5)
    endpoint = asker.registry.actions["slow.quick"].all[0]

    stopping = asyncio.ensure_future(worker.stop())
    outcomes: list[BaseException | str] = []
    while not stopping.done():
        # Past the registry, as one that has not read the INFO yet.
        told = await asyncio.gather(
            endpoint.handler(_call(asker, endpoint)),
            return_exceptions=True,
        )
        outcomes += told
    await stopping
    await asker.stop()

    assert outcomes
    for outcome in outcomes:
        assert outcome == "done" or isinstance(
            outcome, errors.ServiceNotAvailableError | errors.RequestRejectedError
        ), outcome


def _call(asker: Broker, endpoint: Any) -> Context[Any]:
    ctx: Context[Any] = Context(asker, {}, endpoint)
    ctx.deadline = asker.clock() + 5
    return ctx
