"""Serving: the requests of other nodes, each answered, and nothing left of any of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

import pytest

from tautomer import Broker, Context, Middleware, Service, action, errors
from tautomer.errors import MoleculerError, PayloadTooLargeError
from tautomer.host import Host
from tautomer.settings import TransitSettings
from tautomer.transit.shift import OWN_TASKS
from tautomer.transporters.memory import MemoryTransporter
from tests.kernel.mesh import Clock, Foreign, Mesh, dropped, until


class Worded(MoleculerError):
    """An error of a user who did not read how one is made."""

    def __init__(self) -> None:
        super().__init__("worded")
        self.message = object()  # type: ignore[assignment]  # That is what he did.
        self.type = object()  # type: ignore[assignment]  # And that.


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Work(Service):
    name = "work"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.release = asyncio.Event()

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    async def wait(self, ctx: Context) -> str:
        self.seen.append("began")
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        return "released"

    @action
    async def tidy(self, ctx: Context) -> None:
        """Takes its time over cleaning up."""
        try:
            await asyncio.sleep(30)
        finally:
            self.seen.append("tidying")
            await self.release.wait()
            self.seen.append("tidy")

    @action
    async def cling(self, ctx: Context) -> str:
        """Does not hear that it is cancelled."""
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.seen.append("ignored")
        return "released"

    @action
    async def cancels_itself(self, ctx: Context) -> None:
        raise asyncio.CancelledError

    @action
    async def large(self, ctx: Context) -> str:
        return "x" * int(ctx.params["chars"])

    @action
    async def fail(self, ctx: Context) -> None:
        raise ERRORS[ctx.params["kind"]]

    @action
    async def spoil(self, ctx: Context) -> str:
        """Leaves what cannot be sent in everything that goes back."""
        ctx.meta["x"] = object()
        ctx.response_headers["x"] = object()
        if ctx.params.get("fail"):
            raise errors.MoleculerClientError("spoilt", 418, "TEAPOT")
        return "done"


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
ERRORS: dict[str, BaseException] = {
    "data without a wire form": errors.ValidationError("bad", "T", [{"x": object()}]),
    "object as data": errors.MoleculerClientError("bad", 418, "TEAPOT", object()),
    "circle as data": errors.MoleculerError("bad", 500, None, CIRCLE),
    "data of a class that Node makes its words of": errors.RequestTimeoutError("x.y", "n", more=object()),
    "no words": Speechless(),
    "words that are none": Worded(),
    "words too long": errors.MoleculerServerError("x" * 100_000),
    "data too large": errors.MoleculerServerError("bad", 503, "BUSY", "x" * 100_000),
}


class Narrow(MemoryTransporter):
    """Takes small messages only, as a message broker does."""

    message_bytes_max = 4_000

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        if len(data) > self.message_bytes_max:
            raise PayloadTooLargeError(f"{len(data)} bytes, at most {self.message_bytes_max} are taken")
        super().send(topic, data, token)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def node(mesh: Mesh, work: Work) -> Broker:
    return await mesh.node("a", work)


def in_flight(node: Broker) -> int:
    found = node.statistics()["transit"]["in_flight"]
    assert isinstance(found, int)
    return found


# --- life of a request ---


async def test_requests_in_flight_are_counted_and_return_to_zero(node: Broker, peer: Foreign, work: Work) -> None:
    for _ in range(3):
        peer.request("a", "work.wait")
    await until(lambda: in_flight(node) == 3)

    work.release.set()
    await until(lambda: len(peer.packets("RES", success=True)) == 3)

    assert 0 == in_flight(node)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("add", {"params": {"a": 1, "b": 2}}),
        ("add", {"params": {}}),
        ("fail", {"params": {"kind": "no words"}}),
        ("cancels_itself", {}),
        ("wait", {"timeout": 1}),
        ("nothing", {}),
    ],
)
async def test_nothing_is_left_of_a_request_whatever_its_end(
    node: Broker, peer: Foreign, name: str, fields: dict[str, Any]
) -> None:
    tasks = asyncio.all_tasks()

    answer = await peer.ask("a", f"work.{name}", **fields)
    await until(lambda: in_flight(node) == 0 and asyncio.all_tasks() <= tasks)

    assert 1 == len(peer.packets("RES", id=answer["id"]))


async def test_an_overdue_handler_is_cancelled_and_answered_as_timed_out(
    node: Broker, peer: Foreign, work: Work
) -> None:
    answer = await peer.ask("a", "work.wait", timeout=20)

    assert ["began", "cancelled"] == work.seen
    assert (504, "REQUEST_TIMEOUT", {"action": "work.wait", "nodeID": "a"}) == tuple(
        answer["error"][key] for key in ("code", "type", "data")
    )


async def test_a_request_without_a_time_is_held_to_the_nodes_own(mesh: Mesh, peer: Foreign, work: Work) -> None:
    await mesh.node("a", work, request_timeout=0.02)

    answer = await peer.ask("a", "work.wait", timeout=None)

    assert "REQUEST_TIMEOUT" == answer["error"]["type"]
    assert ["began", "cancelled"] == work.seen


async def test_a_handler_that_cancels_itself_is_answered(node: Broker, peer: Foreign) -> None:
    answer = await peer.ask("a", "work.cancels_itself")

    assert (503, "REQUEST_REJECTED") == (answer["error"]["code"], answer["error"]["type"])


async def test_a_handler_that_tidies_up_counts_until_it_has_done_so(node: Broker, peer: Foreign, work: Work) -> None:
    peer.request("a", "work.tidy", timeout=1)
    await until(lambda: "tidying" in work.seen)

    await asyncio.sleep(0.12)  # More than two looks at the deadlines: it must not be disturbed again.
    assert 1 == in_flight(node)
    work.release.set()
    await until(lambda: in_flight(node) == 0)
    assert ["tidying", "tidy"] == work.seen


async def test_a_request_cut_off_at_stop_is_answered_as_rejected(mesh: Mesh, peer: Foreign, work: Work) -> None:
    node = await mesh.node("a", work, shutdown_timeout=0.02)
    request = peer.request("a", "work.wait")
    await until(lambda: work.seen)

    await node.stop()

    answer = await peer.hears("RES", id=request)
    assert (503, "REQUEST_REJECTED", True) == tuple(answer["error"][key] for key in ("code", "type", "retryable"))
    assert ["began", "cancelled"] == work.seen


@pytest.mark.slow
async def test_a_handler_that_does_not_end_does_not_hold_up_the_stop(
    mesh: Mesh, peer: Foreign, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    node = await mesh.node("a", work, shutdown_timeout=0.02)
    peer.request("a", "work.cling")
    await until(lambda: in_flight(node) == 1)

    async with asyncio.timeout(3):
        await node.stop()

    assert ["ignored"] == work.seen
    assert any("does not end" in record.message for record in caplog.records)
    work.release.set()


async def test_too_many_at_once_are_refused_as_not_run(mesh: Mesh, peer: Foreign, work: Work) -> None:
    tight = TransitSettings(in_flight_max=2, settle=0, stop_delay=0, announce_delay=0)
    await mesh.node("a", work, transit=tight)
    for _ in range(2):
        peer.request("a", "work.wait")

    answer = await peer.ask("a", "work.wait")

    error = answer["error"]
    assert (429, "QUEUE_FULL", True) == (error["code"], error["type"], error["retryable"])
    assert {"action": "work.wait", "nodeID": "a", "size": 2, "limit": 2} == error["data"]
    work.release.set()
    await until(lambda: len(peer.packets("RES", success=True)) == 2)


# --- requests that come twice, or too late ---


async def test_a_request_that_comes_five_times_runs_once(node: Broker, peer: Foreign, work: Work) -> None:
    for _ in range(5):
        peer.request("a", "work.wait", id="same")
    await until(lambda: work.seen)
    work.release.set()
    await peer.hears("RES", id="same")
    peer.request("a", "work.wait", id="same")
    assert await peer.finds_well("a")

    assert ["began"] == work.seen
    assert 1 == len(peer.packets("RES", id="same"))
    assert 5 == dropped(node)["duplicate"]


async def test_the_same_id_from_another_node_is_another_request(
    node: Broker, peer: Foreign, mesh: Mesh, work: Work
) -> None:
    other = await mesh.foreign("g")
    work.release.set()

    first = await peer.ask("a", "work.wait", id="same")
    second = await other.ask("a", "work.wait", id="same")

    assert ["released", "released"] == [first["data"], second["data"]]


async def test_a_request_whose_time_is_over_before_its_turn_is_not_run(mesh: Mesh, peer: Foreign) -> None:
    clock = Clock()

    class Stalling(Service):
        name = "stalling"
        seen: ClassVar[list[str]] = []

        @action
        async def stall(self, ctx: Context) -> None:
            """Holds up the loop, as far as the clock can tell."""
            clock.now += 8.0

        @action
        async def late(self, ctx: Context) -> None:
            self.seen.append("late")

    await mesh.node("a", Stalling, host=Host(clock=clock))
    peer.request("a", "stalling.stall")
    late = peer.request("a", "stalling.late", timeout=5_000)

    answer = await peer.hears("RES", id=late)

    assert ("REQUEST_TIMEOUT", 504) == (answer["error"]["type"], answer["error"]["code"])
    assert [] == Stalling.seen


# --- what cannot be sent ---


@pytest.mark.parametrize("kind", ERRORS)
async def test_every_error_is_answered(mesh: Mesh, peer: Foreign, work: Work, kind: str) -> None:
    await mesh.node("a", work, transporter=Narrow(mesh.url), internal_services=False)

    answer = await peer.ask("a", "work.fail", {"kind": kind})

    error = answer["error"]
    assert not answer["success"]
    assert type(ERRORS[kind]).__name__ == error["name"]
    assert isinstance(error["message"], str)
    assert isinstance(error["retryable"], bool)
    assert "a" == error["nodeID"]


async def test_an_error_keeps_its_name_code_and_type_when_its_data_cannot_be_sent(node: Broker, peer: Foreign) -> None:
    answer = await peer.ask("a", "work.fail", {"kind": "object as data"})

    assert {
        "name": "MoleculerClientError",
        "message": "bad",
        "code": 418,
        "type": "TEAPOT",
        "retryable": False,
        "nodeID": "a",
    } == answer["error"]


async def test_an_error_whose_words_node_makes_of_its_data_always_has_some(node: Broker, peer: Foreign) -> None:
    """A Node caller would hang otherwise (protocol section 8.3)."""
    answer = await peer.ask("a", "work.fail", {"kind": "data of a class that Node makes its words of"})

    assert {} == answer["error"]["data"]


@pytest.mark.parametrize("fail", [False, True])
async def test_meta_and_headers_that_cannot_be_sent_do_not_keep_the_answer_back(
    node: Broker, peer: Foreign, fail: bool
) -> None:
    answer = await peer.ask("a", "work.spoil", {"fail": fail})

    assert not answer["success"]
    assert ({}, {}) == (answer["meta"], answer["headers"])
    assert ("TEAPOT" if fail else "SERIALIZATION_ERROR") == answer["error"]["type"]


async def test_a_result_that_is_too_large_is_an_error_of_the_call(mesh: Mesh, work: Work) -> None:
    await mesh.node("a", work, transporter=Narrow(mesh.url), internal_services=False)
    caller = await mesh.node("b", internal_services=False)
    await caller.wait_for_services("work", 5)

    with pytest.raises(PayloadTooLargeError, match=r"result of 'work\.large' cannot be sent") as caught:
        await caller.call("work.large", {"chars": 5_000}, timeout=5)

    assert (413, "PAYLOAD_TOO_LARGE", "a") == (caught.value.code, caught.value.type, caught.value.node_id)
    assert "x" * 1_000 == await caller.call("work.large", {"chars": 1_000}, timeout=5)


async def test_params_that_are_too_large_are_not_sent(mesh: Mesh, work: Work) -> None:
    await mesh.node("a", work, internal_services=False)
    caller = await mesh.node("b", transporter=Narrow(mesh.url), internal_services=False)
    await caller.wait_for_services("work", 5)

    with pytest.raises(PayloadTooLargeError):
        await caller.call("work.add", {"a": "x" * 5_000, "b": ""}, timeout=5)

    assert 0 == caller.statistics()["transit"]["pending"]


async def test_a_middleware_that_fails_to_send_keeps_the_node_well(
    mesh: Mesh, peer: Foreign, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Middleware):
        def transit_publish(self, next_publish: Any) -> Any:
            def publish(command: str, packet: Any, *rest: Any) -> None:
                if command == "RES" and packet.id.startswith("bad"):
                    raise ValueError("broken")
                next_publish(command, packet, *rest)

            return publish

    node = await mesh.node("a", work, middlewares=[Failing()])
    with caplog.at_level(logging.ERROR, "tautomer.transit"):
        peer.request("a", "work.add", {"a": 1, "b": 2}, id="bad-1")
        peer.request("a", "work.nothing", id="bad-2")
        answer = await peer.ask("a", "work.add", {"a": 1, "b": 2})

    assert 3 == answer["data"]
    assert 0 == in_flight(node)
    assert 2 == node.statistics()["transit"]["unsent"]
    assert 2 == len([record for record in caplog.records if record.message == "answer not sent"])


# --- errors on their way (ready-made property 2) ---

WITH_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "NodeIdTakenError": ("a",),
    "MaxCallLevelError": ("n", 5),
    "ProtocolVersionMismatchError": ("n", "5", "4"),
    "InvalidPacketDataError": ({"x": 1},),
    "JsonRpcError": (1, "no"),
}
LOCAL_ONLY = {"TautomerError", "RemoteError", "BrokerDisconnectedError", "DependencyError"}


@pytest.mark.parametrize(
    "name", sorted(n for n in errors.__all__ if n.endswith(("Error", "Exceeded", "Large")) and n not in LOCAL_ONLY)
)
async def test_every_error_class_arrives_as_itself(mesh: Mesh, name: str) -> None:
    raised = getattr(errors, name)(*WITH_ARGUMENTS.get(name, ()))

    class Failing(Service):
        name = "failing"

        @action
        async def go(self, ctx: Context) -> None:
            raise raised

    await mesh.node("a", Failing)
    caller = await mesh.node("b")
    await caller.wait_for_services("failing", 5)

    with pytest.raises(MoleculerError) as caught:
        await caller.call("failing.go", timeout=5)

    got = caught.value
    assert type(raised) is type(got)
    assert (raised.message, raised.code, raised.type, raised.retryable, "a") == (
        got.message,
        got.code,
        got.type,
        got.retryable,
        got.node_id,
    )
    assert raised.data == got.data


async def test_an_error_of_a_class_that_is_the_users_keeps_its_name(mesh: Mesh) -> None:
    class NoMoney(errors.MoleculerClientError):
        code = 402
        type = "NO_MONEY"

    class Shop(Service):
        name = "shop"

        @action
        async def buy(self, ctx: Context) -> None:
            raise NoMoney("five are missing", data={"missing": 5})

    await mesh.node("a", Shop)
    caller = await mesh.node("b")
    await caller.wait_for_services("shop", 5)

    with pytest.raises(errors.RemoteError) as caught:
        await caller.call("shop.buy", timeout=5)

    error = caught.value
    assert ("NoMoney", "five are missing", 402, "NO_MONEY", {"missing": 5}) == (
        error.name,
        error.message,
        error.code,
        error.type,
        error.data,
    )


async def test_an_action_that_waited_gets_a_task_for_each_request_and_is_tried_again(mesh: Mesh) -> None:
    class Moody(Service):
        name = "moody"

        @action
        async def run(self, ctx: Context) -> int:
            if ctx.params.get("wait"):
                await asyncio.sleep(0.01)
            return id(asyncio.current_task())

    there = await mesh.node("b", Moody)
    here = await mesh.node("a")
    await here.wait_for_services("moody", 5)
    endpoint = there.registry.actions["moody.run"].local
    assert endpoint is not None

    async def tasks(wait: bool) -> int:
        return len(set(await asyncio.gather(*[here.call("moody.run", {"wait": wait}) for _ in range(3)])))

    assert 1 == await tasks(wait=False)
    assert 3 == await tasks(wait=True)
    assert OWN_TASKS == endpoint.own_tasks
    assert 3 == await tasks(wait=False)
    assert OWN_TASKS - 3 == endpoint.own_tasks
    endpoint.own_tasks = 0
    assert 1 == await tasks(wait=False)
