"""worker_factory, replace_dependencies, entrypoint_hook, entrypoint_waiter, and the tester's dependencies and doors."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from tautomer import (
    BadRequest,
    Broker,
    Context,
    DependencyProvider,
    RpcProxy,
    Service,
    WebSocketHubProvider,
    action,
    event,
    http,
    public_method,
    websocket_rpc,
)
from tautomer.errors import MoleculerClientError, RemoteError
from tautomer.testing import (
    EntrypointWaiterTimeout,
    ExtensionNotFound,
    ServiceTester,
    SharedStateWarning,
    entrypoint_hook,
    entrypoint_waiter,
    replace_dependencies,
    worker_factory,
)
from tautomer.web.messages.message import Request


class Store(DependencyProvider):
    def setup(self) -> None:
        raise AssertionError("the real one was set up")

    def get_dependency(self, ctx: Context[Any]) -> Any:
        raise AssertionError("the real one was asked")


class Conversions:
    """A plain class, as nameko's services are."""

    name = "conversions"
    maths = RpcProxy("maths")
    store = Store()

    @public_method
    def inches_to_cm(self, inches: float) -> Any:
        return self.maths.multiply(inches, 2.54)

    @public_method
    async def cm_to_inches(self, cms: float) -> Any:
        return await self.maths.divide(cms, 2.54)

    @public_method
    async def later(self, cms: float) -> Any:
        handle = self.maths.divide.call_async(cms, 2)
        return await handle.result()

    @public_method
    def kept(self, key: str) -> Any:
        return self.store.get(key)


# --- worker_factory ---


def test_a_worker_has_mocks_for_dependencies() -> None:
    service = worker_factory(Conversions)
    service.maths.multiply.side_effect = lambda x, y: x * y  # type: ignore[attr-defined]  # A mock.

    assert 762 == service.inches_to_cm(300)
    service.maths.multiply.assert_called_once_with(300, 2.54)  # type: ignore[attr-defined]  # As above.
    assert isinstance(service.store, MagicMock)
    assert isinstance(vars(Conversions)["store"], Store)


def test_a_worker_takes_what_it_is_given() -> None:
    assert 5 == worker_factory(Conversions, store={"a": 5}).kept("a")
    assert isinstance(worker_factory(Conversions, store={}).maths, MagicMock)


def test_a_worker_has_no_other_dependencies() -> None:
    with pytest.raises(ExtensionNotFound, match="no dependency 'stor'; it has: maths, store"):
        worker_factory(Conversions, stor={})


async def test_on_a_loop_calls_of_a_mocked_proxy_are_awaited_as_those_of_a_real_one() -> None:
    service: Any = worker_factory(Conversions)
    service.maths.divide.return_value = 100

    assert 100 == await service.cm_to_inches(254)
    assert 100 == await asyncio.to_thread(service.maths.divide, 254, 2.54)
    service.maths.divide.call_async.return_value.result.return_value = 50
    assert 50 == await service.later(100)
    service.maths.divide.assert_called_with(254, 2.54)
    service.maths.divide = AsyncMock(return_value=7)
    assert 7 == await service.cm_to_inches(1)


# --- replace_dependencies ---


async def test_dependencies_are_replaced_before_the_node_starts() -> None:
    broker = Broker()
    service = broker.create_service(Conversions)
    maths, store = replace_dependencies(service, "maths", "store")
    maths.multiply.return_value = 762
    store.get.return_value = 5

    async with broker:
        assert 762 == await broker.call("conversions.inches_to_cm", {"inches": 300})
        assert 5 == await broker.call("conversions.kept", {"key": "a"})
        maths.multiply.assert_called_once_with(300, 2.54)
        with pytest.raises(RuntimeError, match="has started"):
            replace_dependencies(service, "maths")


async def test_one_that_is_named_is_returned_itself_and_one_that_is_given_is_not() -> None:
    broker = Broker()
    service = broker.create_service(Conversions)

    assert isinstance(replace_dependencies(service, "maths", store={"a": 1}), MagicMock)
    assert {"a": 1} == service.store  # type: ignore[attr-defined]  # Of the plain class.
    with pytest.raises(ExtensionNotFound):
        replace_dependencies(service, "maths")  # It is no dependency any more.
    with pytest.raises(RuntimeError, match="by name alone and with a stand-in"):
        replace_dependencies(service, "x", x=1)


# --- entrypoints ---


class Tools(DependencyProvider):
    def get_dependency(self, ctx: Context[Any]) -> Any:
        return f"tools for {ctx.meta.get('user', 'nobody')}"


class Many(Service):
    name = "many"
    tools = Tools()

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    @action(params={"a": "number", "b": "number"})
    async def add(self, ctx: Context[Any]) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action(visibility="private")
    async def hidden(self, ctx: Context[Any]) -> Any:
        return self.tools

    @public_method
    def greet(self, name: str, *others: str) -> Any:
        return [name, *others]

    @http("GET", "/things/<int:number>/<part>")
    def thing(self, request: Any, number: int, part: str) -> Any:
        return [request.args.get("q"), number, part]

    @websocket_rpc
    def follow(self, socket_id: str, what: str) -> Any:
        return [socket_id, what]

    @event("many.told")
    def on_told(self, ctx: Context[Any]) -> Any:
        self.heard.append((ctx.event_name, ctx.params))
        if ctx.params == "fail":
            raise MoleculerClientError("no")
        return len(self.heard)

    @event("many.later")
    async def on_later(self, ctx: Context[Any]) -> Any:
        await asyncio.sleep(0)
        self.heard.append((ctx.event_name, ctx.params))
        return self.tools

    @action
    async def hang(self, ctx: Context[Any]) -> None:
        await asyncio.Event().wait()

    def no_mark(self) -> None: ...


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "result"),
    [
        ("add", (1, 2), {}, 3),
        ("add", ({"a": 1, "b": 2},), {}, 3),
        ("hidden", (), {}, "tools for Ann"),
        ("greet", ("Ann", "Bob"), {}, ["Ann", "Bob"]),
        ("greet", (), {"name": "Ann"}, ["Ann"]),
        ("thing", (Request.build("GET", "/?q=1"), 5), {"part": "x"}, ["1", 5, "x"]),
        ("follow", ("s-1",), {"what": "x"}, ["s-1", "x"]),
        ("on_told", ({"id": 1},), {}, 1),
        ("on_later", (), {"id": 1}, "tools for Ann"),
    ],
)
async def test_methods_are_called_as_they_are_written(
    method: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> None:
    async with Broker() as broker:
        service = await broker.register(Many)

        with entrypoint_hook(service, method, {"user": "Ann"}) as call:
            assert result == await call(*args, **kwargs)
        async with entrypoint_hook(service, "add") as add:
            assert 3 == await asyncio.to_thread(add, 1, 2)
            assert 3 == await add(broker.context(params={"a": 1, "b": 2}))


async def test_a_call_of_a_method_has_its_time() -> None:
    async with Broker() as broker:
        service = await broker.register(Many)

        with entrypoint_hook(service, "hang", timeout=0.01) as call, pytest.raises(TimeoutError):
            await call()
        with pytest.raises(ExtensionNotFound, match="no method 'no_mark' with a mark"):
            entrypoint_hook(service, "no_mark")


@pytest.mark.parametrize(("method", "name"), [("on_told", "many.told"), ("on_later", "many.later")])
async def test_a_method_is_waited_for(method: str, name: str) -> None:
    async with Broker() as broker:
        service: Any = await broker.register(Many)
        async with entrypoint_waiter(service, method) as result:
            broker.emit(name, {"id": 1})
        assert [(name, {"id": 1})] == service.heard
        assert (1 if method == "on_told" else "tools for nobody") == result.get()

        def wait_in_a_thread() -> Any:
            with entrypoint_waiter(service, method) as again:
                asyncio.run_coroutine_threadsafe(emit(broker, name), loop).result(10)
            return again.get()

        loop = asyncio.get_running_loop()
        assert (2 if method == "on_told" else "tools for nobody") == await asyncio.to_thread(wait_in_a_thread)


async def emit(broker: Broker, name: str) -> None:
    broker.emit(name)


async def test_a_method_that_fails_is_waited_for_and_so_is_the_one_that_is_meant() -> None:
    async with Broker() as broker:
        service: Any = await broker.register(Many)
        async with entrypoint_waiter(service, "on_told") as failed:
            broker.emit("many.told", "fail")
        with pytest.raises(MoleculerClientError):
            failed.get()

        async with entrypoint_waiter(service, "add", callback=lambda _ctx, sum, _exc_info: sum > 5) as result:
            with pytest.raises(RuntimeError, match="has not ended"):
                result.get()
            for number in range(8):
                await broker.call("many.add", {"a": number, "b": 0})
        assert 6 == result.get()
        handler = broker.registry.actions["many.add"].all[0].handler
        assert "entrypoint_waiter" not in repr(handler)


async def test_what_does_not_happen_is_not_waited_for_without_end() -> None:
    async with Broker() as broker:
        service = await broker.register(Many)

        with pytest.raises(EntrypointWaiterTimeout, match="'add' of 'many' was not called"):
            async with entrypoint_waiter(service, "add", timeout=0.01):
                pass
        with pytest.raises(RuntimeError, match="async with"), entrypoint_waiter(service, "add"):
            pass


# --- the tester ---


class UserAPI:
    name = "user_api"
    users = RpcProxy("user_service")
    hub = WebSocketHubProvider()

    @http("GET", "/users/<int:user_id>")
    def get_user(self, request: Any, user_id: int) -> Any:
        return self.users.get_user(user_id)

    @http("POST", "/users", expected_exceptions=BadRequest)
    async def create_user(self, request: Any) -> Any:
        data = request.get_json()
        if not data.get("email"):
            raise BadRequest("Email is required")
        user = await self.users.create_user(data)
        self.hub.broadcast("users", "created", user)
        return user, 201, {"Location": "/users/5"}

    @http("GET", "/stream")
    async def stream(self, request: Any) -> Any:
        yield "a"
        yield "b"

    @websocket_rpc
    def follow(self, socket_id: str) -> Any:
        self.hub.subscribe(socket_id, "users")
        return {"status": "following"}

    @websocket_rpc
    async def leave(self, socket_id: str) -> None:
        self.hub.disconnect(socket_id, 4000)


class Stub:
    def get_user(self, user_id: int) -> Any:
        return {"id": user_id}

    async def create_user(self, data: dict[str, Any]) -> Any:
        return {"id": 5, **data}


async def test_a_service_is_tested_with_its_dependencies_replaced() -> None:
    async with ServiceTester(UserAPI, users=Stub(), request_timeout=5.0) as tester:
        assert 5.0 == tester.broker.settings.request_timeout
        assert {"id": 1} == tester.service.get_user(None, 1)  # type: ignore[attr-defined]  # Of the plain class.

        answer = await tester.http("GET", "/users/1")
        assert (200, {"id": 1}) == (answer.status, answer.json)
        assert 404 == (await tester.http("GET", "/users/x")).status
        assert b"ab" == (await tester.http("GET", "/stream")).body
        answer = await tester.http("POST", "/users", json={})
        assert (400, "Email is required") == (answer.status, answer.json["message"])


async def test_a_service_is_asked_by_websocket() -> None:
    async with ServiceTester(UserAPI, users=Stub()) as tester:
        async with tester.websocket() as socket, tester.websocket() as other:
            assert {"status": "following"} == await socket.rpc("follow")
            assert 2 == len({socket.id, other.id})
            made = await tester.http("POST", "/users", json={"email": "a@x.org"})
            assert (201, "/users/5") == (made.status, made.headers["location"])

            assert {"id": 5, "email": "a@x.org"} == await socket.wait_for_event("created")
            assert [] == socket.events() == other.events()
            with pytest.raises(RemoteError, match="nothing") as caught:
                await socket.rpc("nothing")
            assert "MethodNotFound" == caught.value.exc_type
            with pytest.raises(TimeoutError, match="no event 'created' came in 0"):
                await socket.wait_for_event("created", 0.01)
            await other.rpc("leave")
            with pytest.raises(ConnectionResetError, match="4000"):
                await other.wait_for_event("created")
        hub: Any = tester.service.hub  # type: ignore[attr-defined]  # Of the plain class.
        assert [] == hub.connections()
        with pytest.raises(ConnectionRefusedError, match="404"):
            async with tester.websocket("/other"):
                pass


class Counting(Service):
    name = "counting"
    count = 0

    async def started(self) -> None:
        self.count = 0  # No call.

    @action
    async def up(self, ctx: Context[Any]) -> int:
        self._add()
        return self.count

    @action(blocking=True)
    def up_in_thread(self, ctx: Context[Any]) -> int:
        self._add()
        return self.count

    def _add(self) -> None:
        self.count += 1


@pytest.mark.parametrize("handler", ["up", "up_in_thread"])
async def test_who_sets_an_attribute_in_a_call_is_warned(handler: str) -> None:
    service = Counting()
    async with ServiceTester(service) as tester:
        service.count = 5  # The test may.
        with pytest.warns(SharedStateWarning, match=r"'Counting\.count' is set during a call"):
            assert 6 == await tester.call(f"counting.{handler}")
    assert type(service) is Counting


@pytest.mark.parametrize("handler", ["up", "up_in_thread"])
async def test_who_says_that_its_state_is_shared_is_not(handler: str) -> None:
    class Said(Counting):
        state = "shared"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with ServiceTester(Said) as tester:
            assert 1 == await tester.call(f"counting.{handler}")
    assert inspect.isclass(Said)
