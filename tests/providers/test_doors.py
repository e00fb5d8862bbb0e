"""Dependencies of methods that a gateway leads to, of a mesh, and of a simulation; and where there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import (
    BadRequest,
    Context,
    DependencyProvider,
    RpcProxy,
    Service,
    action,
    http,
    public_method,
    websocket_rpc,
)
from tautomer.errors import RemoteError, ServiceSchemaError
from tautomer.testing import ServiceTester, Simulation
from tests.cluster import Cluster


class Session(DependencyProvider):
    """Fails where the test says so, and knows how each call ended."""

    def __init__(self) -> None:
        self.fails_in = ""
        self.ended: list[Any] = []

    def _may_fail(self, hook: str) -> None:
        if self.fails_in == hook:
            raise ValueError("a secret")

    async def get_dependency(self, ctx: Context[Any]) -> Any:
        await asyncio.sleep(0)
        self._may_fail("get_dependency")
        return self

    def worker_setup(self, ctx: Context[Any]) -> None:
        self._may_fail("worker_setup")

    async def worker_result(self, ctx: Context[Any], result: Any, exc_info: Any) -> None:
        await asyncio.sleep(0)
        self.ended.append(None if exc_info is None else exc_info[0])
        self._may_fail("worker_result")

    def worker_teardown(self, ctx: Context[Any]) -> None:
        self.ended.append("gone")


class Doors(Service):
    name = "doors"
    session = Session()

    @http("GET", "/thread")
    def thread(self, request: Any) -> str:
        return type(self.session).__name__

    @http("GET", "/loop", expected_exceptions=(KeyError, ValueError))
    async def loop(self, request: Any) -> str:
        if request.args.get("bad"):
            raise BadRequest("bad")
        return type(self.session).__name__

    @http("GET", "/pieces")
    def pieces(self, request: Any) -> Any:
        return (str(type(self.session).__name__) for _ in range(2))

    @http("GET", "/later")
    async def later(self, request: Any) -> AsyncIterator[str]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield type(self.session).__name__

    @websocket_rpc
    def by_socket(self, socket_id: str) -> str:
        return type(self.session).__name__

    @public_method
    def method(self) -> str:
        return type(self.session).__name__

    @action
    async def stream(self, ctx: Context[Any]) -> AsyncIterator[Any]:
        for _ in range(3):
            yield type(self.session).__name__


def session_of(service: Any) -> Session:
    found: Session = service._bound_providers["session"]
    return found


@pytest.mark.parametrize("path", ["/thread", "/loop", "/pieces", "/later"])
async def test_methods_with_http_have_dependencies(path: str) -> None:
    async with ServiceTester(Doors) as tester:
        answer = await tester.http("GET", path)

        assert (200, "Session" if path in ("/thread", "/loop") else "SessionSession") == (
            answer.status,
            answer.body.decode(),
        )
        assert [None, "gone"] == session_of(tester.service).ended


@pytest.mark.parametrize("path", ["/thread", "/loop"])
@pytest.mark.parametrize("hook", ["get_dependency", "worker_setup", "worker_result"])
async def test_what_fails_around_a_request_is_500_and_nobody_is_told_why(path: str, hook: str) -> None:
    """Also where the method expects such an exception: it is not the method's own."""
    async with ServiceTester(Doors) as tester:
        session_of(tester.service).fails_in = hook
        answer = await tester.http("GET", path)

        assert (500, "Internal server error") == (answer.status, answer.json["message"])
        assert "secret" not in answer.body.decode()


async def test_a_method_that_refuses_is_told() -> None:
    async with ServiceTester(Doors) as tester:
        assert 400 == (await tester.http("GET", "/loop?bad=1")).status
        assert [BadRequest, "gone"] == session_of(tester.service).ended


async def test_methods_of_sockets_and_of_json_rpc_have_dependencies() -> None:
    async with ServiceTester(Doors) as tester:
        async with tester.websocket() as socket:
            assert "Session" == await socket.rpc("by_socket")
            session_of(tester.service).fails_in = "worker_result"
            with pytest.raises(RemoteError, match="Internal server error"):
                await socket.rpc("by_socket")
        session_of(tester.service).fails_in = ""
        assert "Session" == await tester.call("doors.method")


async def test_over_the_mesh_a_stream_ends_the_call_and_a_fault_has_no_inner_words(cluster: Cluster) -> None:
    doors = Doors()
    await cluster.node("b", doors)
    broker = await cluster.node("a")

    assert ["Session"] * 3 == [one async for one in await broker.call("doors.stream")]
    async with asyncio.timeout(10):
        while session_of(doors).ended != [None, "gone"]:
            await asyncio.sleep(0.001)
    session_of(doors).fails_in = "worker_setup"
    with pytest.raises(RemoteError, match="'session' of service 'doors' failed in worker_setup") as caught:
        await broker.call("doors.method")
    assert ("DependencyError", 500) == (caught.value.exc_type, caught.value.code)


class Asking(Service):
    name = "asking"
    session = Session()
    doors = RpcProxy("doors")

    @action(blocking=True)
    def ask(self, ctx: Context[Any]) -> Any:
        handle = self.doors.method.call_async()
        return [type(self.session).__name__, self.doors.method(), handle.result()]


def test_in_a_simulation_each_run_is_the_same() -> None:
    hashes = []
    for _ in range(2):
        with Simulation(5) as sim:
            sim.node("a", Asking)
            sim.node("b", Doors)
            sim.run_until(sim.settled())
            assert ["Session"] * 3 == sim.run_until(sim["a"].call("asking.ask"))
            hashes.append(sim.trace.hash)
    assert hashes[0] == hashes[1]


async def test_a_mixin_cannot_bring_one_and_says_what_to_do() -> None:
    class Mixin:
        session = Session()

    class Mixed(Service):
        name = "mixed"
        mixins = (Mixin,)

    with pytest.raises(ServiceSchemaError, match=r"Mixin\.session .*; let Mixed inherit from Mixin instead"):
        async with ServiceTester(Mixed):
            pass
