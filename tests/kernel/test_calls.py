"""Calls, on one node and between nodes, as a user sees them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors
from tautomer.context import RawResult
from tests.cluster import Cluster


class Math(Service):
    name = "math"

    @action(params={"a": "number", "b": "number"})
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    def plain(self, ctx: Context) -> Any:
        return {"plain": True, "params": ctx.params}

    @action
    async def slow(self, ctx: Context) -> str:
        await asyncio.sleep(ctx.params.get("seconds", 0.2))
        return "done"

    @action
    async def fails(self, ctx: Context) -> None:
        ctx.meta["touched"] = True
        raise errors.MoleculerClientError("teapot", 418, "TEAPOT", {"a": 1})

    @action
    async def breaks(self, ctx: Context) -> None:
        raise KeyError("secret")

    @action
    async def exits(self, ctx: Context) -> None:
        raise SystemExit(3)

    @action
    async def unsendable(self, ctx: Context) -> object:
        return {"x": object()}

    @action
    async def show(self, ctx: Context) -> dict[str, Any]:
        return {
            "level": ctx.level,
            "caller": ctx.caller,
            "request_id": ctx.request_id,
            "parent_id": ctx.parent_id,
            "id": ctx.id,
            "node_id": ctx.node_id,
            "headers": ctx.headers,
            "meta": dict(ctx.meta),
            "left": ctx.request_timeout,
        }

    @action
    async def sign(self, ctx: Context) -> None:
        ctx.meta["signed"] = ctx.meta.get("who")

    @action(visibility="protected")
    async def inner(self, ctx: Context) -> str:
        return "inner"

    @action(visibility="private")
    async def hidden(self, ctx: Context) -> str:
        return "hidden"

    @action
    async def reveal(self, ctx: Context) -> Any:
        return await self.actions.hidden()


class Front(Service):
    name = "front"
    version = 2

    @action
    async def show(self, ctx: Context) -> dict[str, Any]:
        own = {"id": ctx.id, "request_id": ctx.request_id, "level": ctx.level}
        return {"own": own, "inner": await ctx.call("math.show", meta={"from": "front"}, headers={"h": 1})}

    @action
    async def sign(self, ctx: Context) -> Any:
        await ctx.call("math.sign")
        return ctx.meta["signed"]

    @action
    async def fails(self, ctx: Context) -> Any:
        try:
            await ctx.call("math.fails")
        except errors.MoleculerError:
            return ctx.meta.get("touched")

    @action
    async def again(self, ctx: Context) -> Any:
        return await ctx.call("v2.front.again")

    @action
    async def relay(self, ctx: Context) -> Any:
        """Calls down the list of nodes in its params."""
        first, *rest = ctx.params["path"]
        if not rest:
            return [first]
        return [first, *await ctx.call("v2.front.relay", {"path": rest}, node_id=rest[0])]


@pytest.fixture(params=["one node", "two nodes"])
async def broker(request: pytest.FixtureRequest, cluster: Cluster) -> Broker:
    """The caller: with the services at hand, or at another node. What a user sees is the same."""
    if request.param == "one node":
        return await cluster.node("a", Math, Front)
    await cluster.node("b", Math)
    return await cluster.node("a", Front)


async def test_a_call_gives_the_result(broker: Broker) -> None:
    assert 8 == await broker.call("math.add", {"a": 5, "b": 3})


async def test_params_left_out_are_an_empty_dict(broker: Broker) -> None:
    assert {"plain": True, "params": {}} == await broker.call("math.plain")


async def test_wrong_params_are_refused_with_every_fault(broker: Broker) -> None:
    with pytest.raises(errors.ValidationError) as caught:
        await broker.call("math.add", {"a": "x"})

    assert {"a", "b"} == {fault["field"] for fault in caught.value.data}
    assert {("a", "math.add")} == {(fault["nodeID"], fault["action"]) for fault in caught.value.data}


async def test_an_error_raised_on_purpose_arrives_whole(broker: Broker) -> None:
    with pytest.raises(errors.MoleculerClientError) as caught:
        await broker.call("math.fails")

    error = caught.value
    assert ("teapot", 418, "TEAPOT", {"a": 1}, False) == (
        error.message,
        error.code,
        error.type,
        error.data,
        error.retryable,
    )


async def test_an_unexpected_exception_reaches_the_caller(broker: Broker) -> None:
    with pytest.raises((KeyError, errors.RemoteError)) as caught:
        await broker.call("math.breaks")

    assert "secret" in str(caught.value)


async def test_an_unknown_action_is_not_found(broker: Broker) -> None:
    with pytest.raises(errors.ServiceNotFoundError) as caught:
        await broker.call("nobody.here")

    assert {"action": "nobody.here"} == caught.value.data


async def test_a_call_does_not_raise_before_it_is_awaited(broker: Broker) -> None:
    calls = [broker.call("nobody.here"), broker.call("math.add", {}), broker.call("math.add", {"a": 1, "b": 2})]

    first, second, third = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(first, errors.ServiceNotFoundError)
    assert isinstance(second, errors.ValidationError)
    assert 3 == third


async def test_every_call_fits_a_task_group(broker: Broker) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(broker.call("math.add", {"a": n, "b": 1})) for n in range(3)]

    assert [1, 2, 3] == [task.result() for task in tasks]


@pytest.mark.slow
async def test_ten_slow_calls_run_at_once(broker: Broker) -> None:
    started = time.monotonic()

    await asyncio.gather(*(broker.call("math.slow") for _ in range(10)))

    assert time.monotonic() - started < 1.9


async def test_a_timeout_ends_the_call(broker: Broker) -> None:
    started = time.monotonic()

    with pytest.raises(errors.RequestTimeoutError) as caught:
        await broker.call("math.slow", {"seconds": 30}, timeout=0.05)

    assert time.monotonic() - started < 3.0
    assert (504, "REQUEST_TIMEOUT", True) == (caught.value.code, caught.value.type, caught.value.retryable)


async def test_a_nested_call_says_where_it_comes_from(broker: Broker) -> None:
    shown = await broker.call("v2.front.show", meta={"root": 1})
    own, inner = shown["own"], shown["inner"]

    assert (1, 2) == (own["level"], inner["level"])
    assert "v2.front" == inner["caller"]
    assert own["request_id"] == own["id"] == inner["request_id"] == inner["parent_id"]
    assert own["id"] != inner["id"]
    assert {"root": 1, "from": "front"} == inner["meta"]
    assert {"h": 1} == inner["headers"]


async def test_a_given_request_id_is_that_of_the_whole_chain(broker: Broker) -> None:
    shown = await broker.call("v2.front.show", request_id="r-1")

    assert "r-1" == shown["own"]["request_id"] == shown["inner"]["request_id"]


async def test_meta_comes_back_on_success_and_on_error(broker: Broker) -> None:
    assert "me" == await broker.call("v2.front.sign", meta={"who": "me"})
    assert await broker.call("v2.front.fails")


async def test_the_time_of_a_nested_call_is_what_its_parent_has_left(broker: Broker) -> None:
    ctx = broker.context(timeout=5.0)

    shown = await ctx.call("math.show", timeout=60.0)

    assert 4.0 < shown["left"] <= 5.0


async def test_a_call_whose_parent_has_no_time_left_is_skipped(broker: Broker) -> None:
    ctx = broker.context(timeout=1.0)
    ctx.deadline = broker.clock() - 0.001

    with pytest.raises(errors.RequestSkippedError) as caught:
        await ctx.call("math.show")

    assert 514 == caught.value.code


async def test_a_circle_of_calls_ends_at_the_limit(cluster: Cluster) -> None:
    broker = await cluster.node("a", Front, max_call_level=5)

    with pytest.raises(errors.MaxCallLevelError) as caught:
        await broker.call("v2.front.again")

    assert {"nodeID": "a", "level": 5} == caught.value.data


async def test_mcall_gives_results_in_the_shape_of_the_calls(broker: Broker) -> None:
    one = {"action": "math.add", "params": {"a": 1, "b": 2}}
    bad = {"action": "math.fails"}

    assert [3, 3] == await broker.mcall([one, one])
    assert {"x": 3} == await broker.mcall({"x": one})
    assert {"x": 3} == await broker.mcall({"x": one, "y": bad}, settled=True)
    first, second = await broker.mcall([one, bad], settled=True)
    assert {"status": "fulfilled", "value": 3} == first
    assert ("rejected", 418) == (second["status"], second["reason"].code)
    with pytest.raises(errors.MoleculerClientError):
        await broker.mcall([one, bad])
    with pytest.raises(errors.MoleculerServerError):
        await broker.mcall("math.add")  # type: ignore[arg-type]


async def test_a_private_action_is_reached_by_its_own_service_only(broker: Broker) -> None:
    assert "hidden" == await broker.call("math.reveal")
    with pytest.raises(errors.ServiceNotFoundError):
        await broker.call("math.hidden")


# --- between nodes only ---


async def test_a_protected_action_stays_on_its_node(cluster: Cluster) -> None:
    there = await cluster.node("b", Math)
    here = await cluster.node("a")

    assert "inner" == await there.call("math.inner")
    with pytest.raises(errors.ServiceNotFoundError):
        await here.call("math.inner")


async def test_a_call_to_one_node_goes_there(cluster: Cluster) -> None:
    await cluster.node("b", Math)
    await cluster.node("c", Math)
    here = await cluster.node("a")

    assert {"b", "c"} == {(await here.call("$node.options", node_id=node_id))["nodeID"] for node_id in ("b", "c")}
    with pytest.raises(errors.ServiceNotFoundError) as caught:
        await here.call("math.add", {"a": 1, "b": 2}, node_id="nowhere")
    assert "nowhere" == caught.value.data["nodeID"]


async def test_calls_take_turns_among_nodes(cluster: Cluster) -> None:
    class Who(Service):
        name = "who"

        @action
        async def am_i(self, ctx: Context) -> str:
            return self.broker.id

    await cluster.node("b", Who)
    await cluster.node("c", Who)
    here = await cluster.node("a")

    assert ["b", "c", "b", "c"] == [await here.call("who.am_i") for _ in range(4)]


async def test_the_own_node_comes_first(cluster: Cluster) -> None:
    class Who(Service):
        name = "who"

        @action
        async def am_i(self, ctx: Context) -> str:
            return self.broker.id

    await cluster.node("b", Who)
    here = await cluster.node("a", Who)

    assert ["a", "a"] == [await here.call("who.am_i") for _ in range(2)]


async def test_a_chain_back_and_forth_does_not_deadlock(cluster: Cluster) -> None:
    await cluster.node("a", Front)
    await cluster.node("b", Front)

    path = ["a", "b", "a", "b"]

    assert path == await cluster["a"].call("v2.front.relay", {"path": path}, timeout=5)


async def test_a_raw_result_is_the_json_that_came(cluster: Cluster) -> None:
    await cluster.node("b", Math)
    here = await cluster.node("a")

    result = await here.call("math.add", {"a": 1, "b": 2}, raw=True)

    assert isinstance(result, RawResult)
    assert b"3" == result.data


async def test_what_cannot_be_sent_is_an_error_of_the_call(cluster: Cluster) -> None:
    await cluster.node("b", Math)
    here = await cluster.node("a")

    with pytest.raises(errors.SerializationError, match=r"math\.unsendable"):
        await here.call("math.unsendable")
    with pytest.raises(errors.SerializationError):
        await here.call("math.plain", {"x": object()})


async def test_an_exit_in_a_handler_is_an_error_of_that_call(cluster: Cluster) -> None:
    await cluster.node("b", Math)
    here = await cluster.node("a")

    with pytest.raises(errors.RemoteError, match="3"):
        await here.call("math.exits")
    assert 3 == await here.call("math.add", {"a": 1, "b": 2})


async def test_a_handler_is_cancelled_when_its_time_is_over(cluster: Cluster) -> None:
    seen: list[str] = []

    class Patient(Service):
        name = "patient"

        @action
        async def wait(self, ctx: Context) -> None:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

    there = await cluster.node("b", Patient)
    here = await cluster.node("a")

    with pytest.raises(errors.RequestTimeoutError):
        await here.call("patient.wait", timeout=0.1)
    async with asyncio.timeout(2):
        while not seen:
            await asyncio.sleep(0.01)

    assert ["cancelled"] == seen
    assert 0 == there.statistics()["transit"]["in_flight"]


async def test_nothing_stays_behind_whatever_the_end(cluster: Cluster) -> None:
    await cluster.node("b", Math)
    here = await cluster.node("a")

    task = asyncio.ensure_future(here.call("math.slow", {"seconds": 30}))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(
        task,
        here.call("math.fails"),
        here.call("math.slow", {"seconds": 30}, timeout=0.01),
        here.call("math.plain", {"x": object()}),
        return_exceptions=True,
    )

    assert 0 == here.statistics()["transit"]["pending"]
    assert not here.transit.requesting._tokens  # type: ignore[union-attr]  # The table has no public face.


async def test_too_many_waiting_calls_are_refused(cluster: Cluster) -> None:
    from tautomer.settings import TransitSettings

    await cluster.node("b", Math)
    here = await cluster.node("a", transit=TransitSettings(pending_max=2, settle=0.2, settle_quiet=0.01, stop_delay=0))

    waiting = [asyncio.ensure_future(here.call("math.slow", {"seconds": 0.1})) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.QueueIsFullError):
        await here.call("math.plain")

    assert ["done", "done"] == await asyncio.gather(*waiting)


async def test_too_many_requests_of_others_are_refused_as_retryable(cluster: Cluster) -> None:
    from tautomer.settings import TransitSettings

    tight = TransitSettings(in_flight_max=2, settle=0.2, settle_quiet=0.01, stop_delay=0, announce_delay=0.01)
    await cluster.node("b", Math, transit=tight)
    here = await cluster.node("a")

    results = await asyncio.gather(
        *(here.call("math.slow", {"seconds": 0.05}) for _ in range(5)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, errors.QueueIsFullError)]
    assert 3 == len(refused)
    assert all(error.retryable for error in refused)


async def test_without_transporter_everything_local_works() -> None:
    async with Broker("alone", Settings()) as broker:
        await broker.register(Math)

        assert 3 == await broker.call("math.add", {"a": 1, "b": 2})
        assert {} == await broker.ping()
        assert await broker.ping("x") is None
