"""MeshClient: the client's surface over the broker, on the loop and in threads, at this node and at others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Broker, Context, MicroService, Service, action, private_api_method, public_method
from tautomer.client import (
    AsyncCall,
    CalledServiceError,
    InvalidParams,
    MeshClient,
    MethodCall,
    MethodNotFound,
    Notification,
    RequestTimeout,
    ServiceUnreachable,
    as_completed,
)
from tautomer.client import mesh as mesh_module
from tautomer.errors import JsonRpcError, MoleculerClientError, MoleculerError, QueueIsFullError
from tests.cluster import Cluster

NAME = "hello.world.service"


class Hello(MicroService):
    name = NAME
    accessible_at = "http://hello:5000/api"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.told = asyncio.Event()
        self.go = asyncio.Event()

    @public_method
    def say_hello(self, name: str = "nobody") -> str:
        return f"hello {name}"

    @public_method(name="deep.sum")
    async def sum(self, *numbers: float) -> float:
        return sum(numbers)

    @public_method
    async def note(self, what: Any, ctx: Context[Any]) -> None:
        self.heard.append((what, ctx.level, ctx.meta.get("by")))
        self.told.set()

    @public_method
    async def hang(self) -> str:
        self.told.set()
        await self.go.wait()
        return "went"

    @private_api_method
    async def secret(self) -> str:
        return "secret"

    @public_method(expected_exceptions=LookupError)
    async def fail(self, kind: str) -> None:
        raise {
            "odd": ZeroDivisionError("how odd"),
            "own": JsonRpcError(7, "seven", {"n": 7}),
            "expected": KeyError("k"),
            "on purpose": MoleculerClientError("no house", 404, "NO_HOUSE", {"id": 7}),
            "full": QueueIsFullError("elsewhere.get"),
        }[kind]

    @action
    async def plain(self, ctx: Context[Any]) -> Any:
        return ctx.params

    @action(visibility="private")
    async def inner(self, ctx: Context[Any]) -> None:
        pass


class Front(Service):
    name = "front"

    @action
    async def on_loop(self, ctx: Context[Any]) -> Any:
        made = ctx.params(self.broker.remote(NAME, timeout=5))
        return await made if hasattr(made, "__await__") else made

    @action(blocking=True)
    def in_thread(self, ctx: Context[Any]) -> Any:
        return ctx.params(self.broker.remote(NAME, timeout=5))


@pytest.fixture(params=["local", "remote"])
async def mesh(request: pytest.FixtureRequest, cluster: Cluster) -> tuple[Broker, Hello]:
    """A node that asks, and the service: at the same node or at another."""
    hello = Hello()
    if request.param == "local":
        return await cluster.node("one", Front, hello), hello
    asks = await cluster.node("one", Front)
    await cluster.node("two", hello)
    return asks, hello


Ask = Callable[[MeshClient], Any]


@pytest.mark.parametrize("where", ["on_loop", "in_thread"])
@pytest.mark.parametrize(
    ("expected", "ask"),
    [
        ("hello x", lambda one: one.methods.say_hello("x")),
        ("hello x", lambda one: one.methods.say_hello(name="x")),
        ("hello nobody", lambda one: one.methods.say_hello()),
        (6, lambda one: one.methods.deep.sum(1, 2, 3)),
        (6, lambda one: one.methods["deep.sum"](1, 2, 3)),
        ("secret", lambda one: one.methods.secret()),
        ({"a": 1}, lambda one: one.methods.plain(a=1)),
        (NAME, lambda one: one.methods.get_service_specs()["name"] if on_thread() else one.name),
        (NAME, lambda one: one.name),
        (
            ["deep.sum", "fail", "get_service_specs", "hang", "note", "plain", "say_hello", "secret"],
            lambda one: one.get_available_methods(),
        ),
        ("http://hello:5000/api", lambda one: one.url),
        (None, lambda one: one.close()),
    ],
)
async def test_its_surface_is_the_clients(mesh: tuple[Broker, Hello], where: str, expected: Any, ask: Ask) -> None:
    asks, _hello = mesh

    assert expected == await asks.call(f"front.{where}", ask)


def on_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


async def test_calls_as_objects_and_batches(mesh: tuple[Broker, Hello]) -> None:
    asks, hello = mesh
    client = asks.remote(NAME)
    first, broken = MethodCall("say_hello", ["a"], id=0), MethodCall("no_such")

    one = await client.call_method("say_hello", {"name": "x"})
    failed = await client.call_method("say_hello", [1, 2])
    batch = await client.call_batch(first, Notification("note", {"what": "n"}), broken, MethodCall("deep.sum", [2, 2]))
    await hello.told.wait()

    assert ("hello x", None) == (one.result, one.error)
    assert -32602 == failed.error["code"]
    assert ["hello a", None, 4] == [result.result for result in batch]
    assert {"code": -32601, "message": "Method not found", "data": {"method": "no_such"}} == batch.responses[1].error
    assert "hello a" == batch.get_response_for_call(first).result  # type: ignore[union-attr]
    assert [0, 3] == [first.id, batch.responses[1].id]
    assert "n" == hello.heard[0][0]
    assert 0 == len(await client.call_batch(Notification("note", ["m"])))
    with pytest.raises(TypeError, match="a batch holds MethodCall and Notification"):
        client.call_batch("say_hello")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "code", "message", "data"),
    [
        ("odd", -32603, "Internal error", {"class": "ZeroDivisionError", "info": "how odd"}),
        ("own", 7, "seven", {"n": 7}),
        ("expected", -32000, "'k'", {"class": "KeyError", "info": "'k'"}),
        (
            "on purpose",
            -32000,
            "no house",
            {"name": "MoleculerClientError", "type": "NO_HOUSE", "code": 404, "data": {"id": 7}},
        ),
        ("full", -32003, "Service overloaded", None),
    ],
)
async def test_what_a_method_raises_has_the_code_of_an_endpoint(
    mesh: tuple[Broker, Hello], kind: str, code: int, message: str, data: Any
) -> None:
    asks, _hello = mesh
    client = asks.remote(NAME)

    with pytest.raises(CalledServiceError) as caught:
        await client.methods.fail(kind)
    result = await client.call_method("fail", [kind])

    assert (code, message, data) == (caught.value.code, caught.value.message, caught.value.data)
    assert caught.value.args[0] == result.error
    assert isinstance(caught.value.__cause__, Exception)


async def test_what_cannot_be_asked(mesh: tuple[Broker, Hello]) -> None:
    asks, _hello = mesh
    client, nobody = asks.remote(NAME), asks.remote("nobody")

    with pytest.raises(ValueError, match="Cannot have positional arguments and keyword arguments"):
        client.methods.say_hello("x", name="x")
    with pytest.raises(AttributeError, match="the service has no method 'no_such'"):
        client.methods.no_such  # noqa: B018  # The look-up is what fails.
    with pytest.raises(MethodNotFound):
        await client.methods["rpc.discover"]()
    with pytest.raises(InvalidParams) as caught:
        await client.methods.plain(1)
    assert "use named params: their order is not known" == caught.value.data["reason"]
    for call in (
        lambda: nobody.methods.anything(),
        lambda: nobody.call_method("anything"),
        lambda: nobody.notifications.anything(),
        lambda: nobody.call_batch(MethodCall("anything")),
    ):
        with pytest.raises(ServiceUnreachable, match="nobody in the mesh offers the service 'nobody'"):
            await call()
    with pytest.raises(ConnectionError):
        await nobody.methods.anything()
    for wrong in ("", 5):
        with pytest.raises(ValueError, match="a client is given the full name of a service"):
            asks.remote(wrong)  # type: ignore[arg-type]


async def test_a_call_has_its_time_and_its_meta(mesh: tuple[Broker, Hello]) -> None:
    asks, hello = mesh

    with pytest.raises(RequestTimeout, match=r"hello\.world\.service\.hang gave no answer in time"):
        await asks.remote(NAME, timeout=0.05).methods.hang()
    batch = await asks.remote(NAME, timeout=0.05).call_batch(MethodCall("hang"), MethodCall("say_hello"))
    assert [-32002, None] == [one.error and one.error["code"] for one in batch]
    assert "hello nobody" == batch.responses[1].result
    root = asks.context(meta={"by": "root"})
    await asks.remote(NAME, parent=root).methods.note("x")
    assert ("x", 2, "root") == hello.heard[-1]


async def test_a_notification_does_not_wait_and_hears_nothing(
    mesh: tuple[Broker, Hello], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks, hello = mesh
    client = asks.remote(NAME)

    assert None is await client.notifications.fail("odd")
    assert None is await client.notify("no_such")
    assert None is await client.notifications.hang()
    await hello.told.wait()  # It runs, and nobody waits for it.
    monkeypatch.setattr(mesh_module, "NOTIFICATIONS_MAX", 1)
    with pytest.raises(CalledServiceError, match="-32003: Service overloaded"):
        await client.notifications.note("one too many")
    hello.go.set()


async def test_handles_in_a_thread(mesh: tuple[Broker, Hello]) -> None:
    asks, hello = mesh

    def ask(client: MeshClient) -> Any:
        beside = [client.call_method_async("say_hello", [name]) for name in "ab"]
        slow = client.methods.hang(__async=True)
        failed = client.call_method_async("fail", ["own"])
        assert isinstance(slow, AsyncCall)
        done = sorted(one.result().result for one in as_completed(*beside))
        running = slow.finished()
        client.methods.note("go")
        self_go()
        return done, running, slow.wait(), failed.result(wait=True).error["code"]

    loop = asyncio.get_running_loop()

    def self_go() -> None:
        loop.call_soon_threadsafe(hello.go.set)

    assert (["hello a", "hello b"], False, "went", 7) == await asks.call("front.in_thread", ask)
    # And in a thread that the node knows nothing of.
    assert "hello t" == await asyncio.to_thread(lambda: asks.remote(NAME).methods.say_hello("t"))
    with pytest.raises(RuntimeError, match="a handle would block the event loop"):
        asks.remote(NAME).call_method_async("say_hello")


async def test_a_handle_ends_with_its_node(cluster: Cluster) -> None:
    hello = Hello()
    asks = await cluster.node("one", hello)
    handle = await asyncio.to_thread(lambda: asks.remote(NAME).call_method_async("hang"))
    await hello.told.wait()

    await asks.stop()

    assert handle.finished()
    assert not handle.successful()


async def test_services_are_found_by_a_pattern(cluster: Cluster) -> None:
    asks = await cluster.node("one", Front)
    await cluster.node("two", Hello())

    assert "MeshClient('hello.world.service')" == repr(MeshClient.get_service_by_name(asks, "hello.*"))
    assert "MeshClient('hello.world.service')" == repr(MeshClient.get_service_by_name(asks, "[!f]*"))
    with MeshClient.get_service_by_name(asks, "front", timeout=3) as front:
        assert ["in_thread", "on_loop"] == await front.refresh_service_info()
    async with MeshClient.get_service_by_name(asks, NAME) as client:
        assert "hello x" == await client.methods.say_hello("x")
    for pattern in ("Hello.*", "$node", "nobody"):
        with pytest.raises(CalledServiceError, match="Unable to locate service"):
            MeshClient.get_service_by_name(asks, pattern)
    with pytest.raises(ValueError, match="choose_algorithm is 'random'"):
        MeshClient.get_service_by_name(asks, "*", "first")
    await cluster["two"].stop()
    with pytest.raises(ServiceUnreachable):
        await client.methods.say_hello("x")
    with pytest.raises(CalledServiceError, match="Unable to locate service"):
        MeshClient.get_service_by_name(asks, "hello.*")


async def test_errors_of_the_broker_are_the_cause(cluster: Cluster) -> None:
    asks = await cluster.node("one", Hello())

    with pytest.raises(CalledServiceError) as caught:
        await asks.remote(NAME).methods.fail("on purpose")

    assert isinstance(caught.value.__cause__, MoleculerError)
