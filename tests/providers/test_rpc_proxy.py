"""RpcProxy: other services as objects, on the loop and in threads, at this node and at others."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any

import pytest

from tautomer import (
    AuthToken,
    Broker,
    Config,
    Context,
    EventDispatcher,
    Language,
    RpcProxy,
    Service,
    UserAgent,
    UserId,
    action,
    event,
    public_method,
)
from tautomer.errors import (
    MoleculerClientError,
    MoleculerError,
    RemoteError,
    RequestTimeoutError,
    ServiceNotFoundError,
    ServiceSchemaError,
    UnknownService,
    ValidationError,
)
from tautomer.providers.pending import Pending
from tautomer.providers.shapes import params_of
from tautomer.settings import Settings
from tautomer.web.errors import ConflictError, NotFound
from tests.cluster import Cluster


class NoSuchUser(MoleculerClientError):
    code = 404


class Odd(Exception):
    pass


class Users(Service):
    name = "user_service"

    @action(params={"user_id": "number", "part": {"type": "string", "optional": True}})
    async def get(self, ctx: Context[Any]) -> Any:
        ctx.meta["seen"] = True
        ctx.meta["told"] = ctx.meta.get("told", 0) + 1
        return {"id": ctx.params["user_id"], "part": ctx.params.get("part"), "level": ctx.level, "of": ctx.request_id}

    @action
    async def echo(self, ctx: Context[Any]) -> Any:
        return ctx.params

    @action(name="deep.er")
    async def deeper(self, ctx: Context[Any]) -> Any:
        return "deep"

    @public_method
    async def create(self, data: dict[str, Any]) -> Any:
        return data

    @action
    async def fail(self, ctx: Context[Any]) -> Any:
        raise {
            "no such user": NoSuchUser("no user 7", data={"id": 7}),
            "not found": NotFound("no house"),
            "conflict": ConflictError("twice"),
            "odd": Odd("how odd"),
            "value": ValueError("no value"),
            "nested": ServiceNotFoundError("elsewhere.get"),
        }[ctx.params["kind"]]

    @action
    async def hang(self, ctx: Context[Any]) -> None:
        await asyncio.Event().wait()


class Front(Service):
    name = "front"
    users = RpcProxy("user_service", errors=(NoSuchUser, Odd))
    quick = RpcProxy("user_service", timeout=0.05, meta={"by": "front"})
    nobody = RpcProxy("nobody")
    dispatch = EventDispatcher()
    config = Config()
    language, user_id, user_agent, auth_token = Language(), UserId(), UserAgent(), AuthToken()

    @action
    async def on_loop(self, ctx: Context[Any]) -> Any:
        proxy, method, args, kwargs = asked(self, ctx)
        return await getattr(proxy, method)(*args, **kwargs)

    @action(blocking=True)
    def in_thread(self, ctx: Context[Any]) -> Any:
        proxy, method, args, kwargs = asked(self, ctx)
        return getattr(proxy, method)(*args, **kwargs)

    @action
    async def both(self, ctx: Context[Any]) -> Any:
        handles = [self.users.get.call_async(number) for number in range(3)]
        return [(await handle.result())["id"] for handle in handles] + [(await handles[0])["id"]]

    @action(blocking=True)
    def both_in_thread(self, ctx: Context[Any]) -> Any:
        handles = [self.users.get.call_async(number) for number in range(3)]
        return [handle.result()["id"] for handle in [*handles, handles[0]]]

    @action
    async def from_another_thread(self, ctx: Context[Any]) -> Any:
        return await asyncio.to_thread(lambda: self.users.get(5)["id"])

    @action
    async def gathered(self, ctx: Context[Any]) -> Any:
        one, two = await asyncio.gather(self.users.get(1), asyncio.create_task(self.users.get(2)))
        async with asyncio.timeout(10):
            three = await self.users["deep.er"]()
        return [one["id"], two["id"], three]

    @action
    def returned(self, ctx: Context[Any]) -> Any:
        return self.users.get(5)

    @action(blocking=True)
    def meta_in_thread(self, ctx: Context[Any]) -> Any:
        ctx.meta["told"] = 10
        self.users.get(5)
        return ctx.meta["told"]

    @action(blocking=True)
    def tell_in_thread(self, ctx: Context[Any]) -> None:
        self.dispatch("told", {"by": "thread"})

    @action
    async def tell(self, ctx: Context[Any]) -> None:
        await self.dispatch("told", {"by": "loop"})  # type: ignore[misc]  # On the loop it can be awaited.

    @action
    async def who(self, ctx: Context[Any]) -> Any:
        return [self.language, self.user_id, self.user_agent, self.auth_token, self.config]


def asked(front: Front, ctx: Context[Any]) -> tuple[Any, str, list[Any], dict[str, Any]]:
    given = ctx.params
    return getattr(front, given.get("proxy", "users")), given["method"], given.get("args", []), given.get("kwargs", {})


BOTH = pytest.mark.parametrize("handler", ["front.on_loop", "front.in_thread"])
NEAR_AND_FAR = pytest.mark.parametrize("far", [False, True], ids=["here", "elsewhere"])


async def mesh(cluster: Cluster, far: bool) -> Broker:
    """The node with `front`; the other service is there, too, or at another one."""
    if not far:
        return await cluster.node("a", Front(), Users())
    await cluster.node("b", Users())
    broker = await cluster.node("a", Front())
    await broker.wait_for_services("user_service", 10)
    return broker


@BOTH
@NEAR_AND_FAR
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([5, "x"], {}), ([5], {"part": "x"}), ([], {"user_id": 5, "part": "x"}), ([{"user_id": 5, "part": "x"}], {})],
)
async def test_arguments_become_params(
    cluster: Cluster, handler: str, far: bool, args: list[Any], kwargs: dict[str, Any]
) -> None:
    broker = await mesh(cluster, far)

    got = await broker.call(handler, {"method": "get", "args": args, "kwargs": kwargs}, request_id="r-1")
    assert {"id": 5, "part": "x", "level": 2, "of": "r-1"} == got


@NEAR_AND_FAR
async def test_arguments_without_names_are_sent_as_a_list(cluster: Cluster, far: bool) -> None:
    broker = await mesh(cluster, far)

    got = await broker.call("front.on_loop", {"method": "echo", "args": [5, {"a": 1}], "kwargs": {"b": 2}})
    assert {"$args": [5, {"a": 1}], "b": 2} == got


@NEAR_AND_FAR
async def test_a_dict_is_the_argument_of_a_method_that_takes_one(cluster: Cluster, far: bool) -> None:
    broker = await mesh(cluster, far)

    for given in ({"email": "a@x.org"}, {"data": {"email": "a@x.org"}}):
        assert {"email": "a@x.org"} == await broker.call("front.on_loop", {"method": "create", "args": [given]})


@pytest.mark.parametrize(
    ("args", "kwargs", "entry", "params"),
    [
        ([], {}, None, {}),
        ([{"a": 1}], {}, None, {"a": 1}),
        ([1], {}, None, {"$args": [1]}),
        ([1], {}, {"params": {"$$strict": True, "a": "any"}}, {"a": 1}),
        ([{"b": 1}], {}, {"params": {"a": "any"}}, {"b": 1}),
        ([{"b": 1}], {}, {"positional": ["a"], "params": {"a": {"type": "any"}}}, {"a": {"b": 1}}),
        ([{}], {}, {"positional": ["a"], "params": {"a": {"type": "any"}}}, {"a": {}}),
        ([{}], {}, {"positional": ["a"], "params": {"a": {"type": "any", "optional": True}}}, {}),
        ([{"c": 1}], {}, {"positional": ["a"], "params": {"a": {"type": "any"}, "c": {"type": "any"}}}, {"c": 1}),
        ([{"b": 1}], {}, {"positional": ["*rest"], "params": {"rest": {"type": "array"}}}, {"b": 1}),
        ([1, 2, 3], {}, {"positional": ["a", "*rest"]}, {"a": 1, "rest": [2, 3]}),
        ([1], {}, {"positional": "nonsense", "params": 5}, {"$args": [1]}),
    ],
)
def test_shapes(args: list[Any], kwargs: dict[str, Any], entry: Any, params: Any) -> None:
    assert params == params_of(args, kwargs, entry)


@pytest.mark.parametrize(("args", "kwargs"), [([1, 2], {}), ([1], {"a": 2})])
def test_what_has_no_place_is_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params_of(args, kwargs, {"positional": ["a"]})


@BOTH
@NEAR_AND_FAR
async def test_errors_come_as_what_they_are(cluster: Cluster, handler: str, far: bool) -> None:
    broker = await mesh(cluster, far)

    async def fail(kind: str, proxy: str = "users") -> None:
        await broker.call(handler, {"proxy": proxy, "method": "fail", "args": [{"kind": kind}]})

    with pytest.raises(NoSuchUser, match="no user 7") as caught:
        await fail("no such user")
    assert (404, {"id": 7}) == (caught.value.code, caught.value.data)
    with pytest.raises(NotFound, match="no house"):
        await fail("not found")
    with pytest.raises(ConflictError, match="twice"):
        await fail("conflict")
    with pytest.raises(Odd, match="how odd"):
        await fail("odd")
    with pytest.raises(ServiceNotFoundError) as nested:
        await fail("nested")
    assert not isinstance(nested.value, UnknownService)
    with pytest.raises((ValueError, RemoteError), match="no value") as unknown:
        await fail("value")
    if far:
        assert isinstance(unknown.value, RemoteError)
        assert ("ValueError", "no value") == (unknown.value.exc_type, unknown.value.value)
    # A proxy that was not told of a class does not know it.
    with pytest.raises(MoleculerError, match="no user 7") as other:
        await fail("no such user", "quick")
    assert far is isinstance(other.value, RemoteError)


@BOTH
async def test_a_service_that_nobody_has_is_unknown(cluster: Cluster, handler: str) -> None:
    broker = await mesh(cluster, False)

    with pytest.raises(UnknownService, match="Unknown service 'nobody'") as caught:
        await broker.call(handler, {"proxy": "nobody", "method": "get", "args": [5]})
    assert isinstance(caught.value, ServiceNotFoundError)
    assert (503, "not run") == (caught.value.code, caught.value.outcome)
    with pytest.raises(ServiceNotFoundError, match=r"user_service\.nothing") as method:
        await broker.call(handler, {"method": "nothing"})
    assert not isinstance(method.value, UnknownService)


@BOTH
async def test_options_are_those_of_the_calls(cluster: Cluster, handler: str) -> None:
    broker = await mesh(cluster, True)

    with pytest.raises(RequestTimeoutError):
        await broker.call(handler, {"proxy": "quick", "method": "hang"})
    ctx = broker.context()
    await ctx.call(handler, {"proxy": "quick", "method": "get", "args": [1]})
    assert "front" == ctx.meta["by"]


@BOTH
@NEAR_AND_FAR
async def test_meta_travels_there_and_back(cluster: Cluster, handler: str, far: bool) -> None:
    broker = await mesh(cluster, far)
    ctx = broker.context(meta={"told": 4})

    await ctx.call(handler, {"method": "get", "args": [5]})
    assert (True, 5) == (ctx.meta["seen"], ctx.meta["told"])
    ctx = broker.context()
    assert 11 == await ctx.call("front.meta_in_thread")
    assert 11 == ctx.meta["told"]


@pytest.mark.parametrize(
    ("handler", "result"),
    [
        ("both", [0, 1, 2, 0]),
        ("both_in_thread", [0, 1, 2, 0]),
        ("from_another_thread", 5),
        ("gathered", [1, 2, "deep"]),
    ],
)
async def test_calls_may_run_beside_each_other(cluster: Cluster, handler: str, result: Any) -> None:
    broker = await mesh(cluster, True)

    assert result == await broker.call(f"front.{handler}")


async def test_a_plain_handler_may_give_it_on_and_the_node_awaits_it(cluster: Cluster) -> None:
    broker = await mesh(cluster, False)

    assert 5 == (await broker.call("front.returned"))["id"]


async def test_outside_of_a_call_it_has_no_call_to_belong_to(cluster: Cluster) -> None:
    broker = await mesh(cluster, False)
    front: Any = broker.get_local_service("front")

    assert 1 == (await front.users.get(5))["level"]
    assert 1 == (await asyncio.to_thread(lambda: front.users.get(5)))["level"]
    assert front.language is None
    assert "<RpcProxy user_service.get>" == repr(front.users.get)
    assert not hasattr(front.users, "__iter__")


async def test_a_call_that_is_abandoned_ends(cluster: Cluster) -> None:
    """A thread that waits for another service hears of it that nobody waits for itself."""
    broker = await mesh(cluster, True)

    with pytest.raises(RequestTimeoutError):
        await broker.call("front.in_thread", {"method": "hang"}, timeout=0.05)
    async with asyncio.timeout(10):
        while broker.pools.statistics()["threads"]["running"]:  # type: ignore[index]  # There are some.
            await asyncio.sleep(0.001)


async def test_what_call_async_began_ends_with_the_node() -> None:
    async with Broker() as broker:
        await broker.register(Users)
        front: Any = await broker.register(Front)
        handle = front.users.hang.call_async()
    with pytest.raises(asyncio.CancelledError):
        await handle


async def test_before_and_after_the_node_runs_a_thread_hears_that_it_does_not() -> None:
    broker = Broker()
    front: Any = broker.create_service(Front)

    with pytest.raises(RuntimeError, match="the node does not run"):
        await asyncio.to_thread(lambda: front.users.get(5))


# --- what is not awaited ---


async def never() -> Any:
    raise AssertionError("it was made")


@pytest.mark.parametrize(
    "use",
    [bool, iter, len, int, str, json.dumps, lambda one: one[0], lambda one: one.email, lambda one: f"{one}"],
    ids=["bool", "iter", "len", "int", "str", "json", "item", "attribute", "format"],
)
async def test_what_is_not_awaited_cannot_be_taken_for_its_result(use: Any) -> None:
    pending = Pending(never, "call of users.get")

    with pytest.raises((TypeError, AttributeError), match=r"not awaited|Pending is not JSON"):
        use(pending)
    with pytest.warns(RuntimeWarning, match=r"call of users\.get was never awaited"):
        del pending


async def test_a_handler_that_forgets_to_await_is_told_where_its_result_is_written(cluster: Cluster) -> None:
    class Forgets(Service):
        name = "forgets"
        users = RpcProxy("user_service")

        @action
        async def get(self, ctx: Context[Any]) -> Any:
            return {"user": self.users.get(5)}

    await cluster.node("b", Users(), Forgets())
    broker = await cluster.node("a")
    await broker.wait_for_services("forgets", 10)

    async def forget() -> None:
        with pytest.raises(MoleculerError, match=r"call of user_service\.get is not awaited yet"):
            await broker.call("forgets.get")
        gc.collect()

    with pytest.warns(RuntimeWarning, match="never awaited"):
        await forget()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: RpcProxy(""), "name of a service"),
        (lambda: RpcProxy("users", timout=5), "did you mean 'timeout'"),
        (lambda: RpcProxy("users", errors=("NoSuchUser",)), "exception classes"),  # type: ignore[arg-type]  # That is the mistake.
    ],
)
def test_a_proxy_that_is_written_wrong_says_so(make: Any, text: str) -> None:
    with pytest.raises(ServiceSchemaError, match=text):
        make()


# --- the small ones ---


@pytest.mark.parametrize("handler", ["tell", "tell_in_thread"])
async def test_events_of_ones_own(handler: str) -> None:
    heard: list[Any] = []

    class Hearing(Service):
        name = "hearing"

        @event("front.told")
        def told(self, ctx: Context[Any]) -> None:
            heard.append((ctx.params, ctx.request_id, threading.current_thread() is threading.main_thread()))

    async with Broker() as broker:
        await broker.register(Hearing)
        front: Any = await broker.register(Front)
        await broker.call(f"front.{handler}", request_id="r-1")
        assert [({"by": "thread" if "thread" in handler else "loop"}, "r-1", True)] == heard

        front.dispatch("told")
        assert 2 == len(heard)


async def test_what_is_known_of_who_asks_and_of_the_configuration() -> None:
    async with Broker(settings=Settings(config={"a": [1]})) as broker:
        front: Any = await broker.register(Front)
        meta = {"language": "fr", "user_id": 5, "user_agent": "x", "auth_token": "t"}

        got = await broker.call("front.who", meta=meta)
        assert ["fr", 5, "x", "t", {"a": [1]}] == got
        got[-1]["b"] = 2
        assert {"a": [1]} == front.config
