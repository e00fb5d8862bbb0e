"""Handlers in threads and in processes: what they are given, what comes back, and what becomes of bounds and time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, event
from tautomer.errors import (
    MoleculerServerError,
    QueueIsFullError,
    RemoteError,
    RequestTimeoutError,
    SerializationError,
    ServiceNotFoundError,
    ServiceSchemaError,
)
from tautomer.settings import PoolSettings
from tautomer.testing import Simulation
from tests.cluster import Cluster

from .computing import Listening, Processed, Tally, TeapotError, Threaded, Verbs, chunks

pytestmark = pytest.mark.slow

KINDS = pytest.mark.parametrize("service", [Threaded, Processed])


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.002)


@KINDS
async def test_a_handler_has_its_context_and_the_verbs_of_it_block(cluster: Cluster, service: type[Service]) -> None:
    verbs = Verbs()
    node = await cluster.node("a", service, verbs)
    ctx = node.context(meta={"user": "ann", "seen": ["caller"]}, timeout=30.0)

    found = await ctx.call("v2.work.given", {"id": 7})

    pid, is_main = found["place"]
    assert (service is Processed, service is Threaded) == (pid != os.getpid(), not is_main)
    expected = {
        "params": {"id": 7},
        "user": "ann",
        "action": "v2.work.given",
        "service": "v2.work",
        "settings": {"color": "red"},
        "both": [1, 2],
        "failure": (418, {"spout": "right"}),
    }
    assert expected == {key: found[key] for key in expected}
    assert ctx.request_id == found["ids"][1] != found["ids"][0]
    assert {"params": {"n": 1}, "caller": "v2.work", "level": 3, "request_id": ctx.request_id} == found["echoed"]
    assert 0 < found["left"] <= 30.0
    await until(lambda: verbs.told)
    assert [({"n": 1}, "v2.work")] == verbs.told
    assert {"user": "ann", "seen": ["caller", "handler"], "echoed": True} == ctx.meta


@KINDS
async def test_it_is_the_same_for_a_caller_at_another_node(cluster: Cluster, service: type[Service]) -> None:
    await cluster.node("a", service, Verbs)
    caller = await cluster.node("b")

    found = await caller.call("v2.work.given", {"id": 7}, meta={"seen": []})

    assert ("v2.work", 2) == (found["echoed"]["caller"], found["echoed"]["level"])


@KINDS
async def test_a_method_without_context_is_called_without(cluster: Cluster, service: type[Service]) -> None:
    node = await cluster.node("a", service)

    assert 5 == await node.call("v2.work.plain")


@KINDS
async def test_a_stream_is_read_with_for(cluster: Cluster, service: type[Service]) -> None:
    await cluster.node("a", service)
    caller = await cluster.node("b")

    assert 12 == await caller.call("v2.work.count", {}, stream=chunks())


async def test_what_a_handler_in_a_thread_hands_on_is_awaited(cluster: Cluster) -> None:
    node = await cluster.node("a", Threaded, Verbs)

    assert 7 == (await node.call("v2.work.later"))["params"]


@KINDS
@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("key", KeyError, "'x'"),
        ("os", FileNotFoundError, "[Errno 2] No such file: 'a.txt'"),
        ("unicode", UnicodeDecodeError, "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("teapot", TeapotError, "short and stout"),
        ("not found", ServiceNotFoundError, "Service 'x.y' is not found on node 'n9'."),
        ("exit", SystemExit, "3"),
    ],
)
async def test_an_error_is_raised_as_itself(
    cluster: Cluster, service: type[Service], kind: str, error: type[BaseException], text: str
) -> None:
    node = await cluster.node("a", service)

    with pytest.raises(error) as raised:
        await node.call("v2.work.fail", {"kind": kind})

    assert (error, text) == (type(raised.value), str(raised.value))
    if isinstance(raised.value, TeapotError):
        assert (418, "TEAPOT", {"spout": "left"}, "left") == (
            raised.value.code,
            raised.value.type,
            raised.value.data,
            raised.value.spout,
        )


class TestInProcesses:
    async def test_an_error_that_cannot_be_pickled_keeps_its_name_and_words(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed)

        with pytest.raises(RemoteError, match="words") as raised:
            await node.call("v2.work.fail", {"kind": "unpicklable"})

        assert "Unpicklable" == raised.value.name

    async def test_the_stack_of_the_process_stands_with_the_error(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed)

        with pytest.raises(KeyError) as raised:
            await node.call("v2.work.fail", {"kind": "key"})

        assert "computing.py" in str(raised.value.__cause__)

    async def test_what_cannot_be_pickled_is_told_on_the_way_there_and_back(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed)

        with pytest.raises(SerializationError, match=r"params or meta of 'v2\.work\.plain' cannot go to a process"):
            await node.call("v2.work.plain", {"function": lambda: None})
        with pytest.raises(SerializationError, match="the result of 'odd' cannot leave its process"):
            await node.call("v2.work.odd")
        assert 5 == await node.call("v2.work.plain")

    async def test_a_service_has_no_broker_there_and_says_what_to_use(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed)

        with pytest.raises(AttributeError, match=r"no broker in a process .*`ctx`"):
            await node.call("v2.work.broker_of")

    async def test_one_that_dies_is_an_error_for_its_call_only(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed, pools=PoolSettings(processes=2))
        other = asyncio.create_task(node.call("v2.work.burn", {"seconds": 1.5}))
        await asyncio.sleep(0)

        with pytest.raises(MoleculerServerError, match=r"exit code 3") as died:
            await node.call("v2.work.die")

        assert ("PROCESS_DIED", True, "unknown") == (died.value.type, died.value.retryable, died.value.outcome)
        assert os.getpid() != await other
        assert 5 == await node.call("v2.work.plain")
        assert 1 == node.statistics()["pools"]["processes"]["died"]

    async def test_one_that_died_while_it_was_idle_costs_no_call(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed)
        pid = await node.call("v2.work.burn", {"seconds": 0})
        os.kill(pid, 9)
        await until(lambda: not alive(pid))

        assert pid != await node.call("v2.work.burn", {"seconds": 0})

    async def test_one_whose_caller_gave_up_is_ended_and_the_next_call_has_another(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed, pools=PoolSettings(processes=1))
        pid = await node.call("v2.work.burn", {"seconds": 0})

        with pytest.raises(RequestTimeoutError):
            await node.call("v2.work.burn", {"seconds": 600}, timeout=0.1)

        assert 1 == node.statistics()["pools"]["processes"]["abandoned"]
        assert pid != await node.call("v2.work.burn", {"seconds": 0})
        assert not alive(pid)

    async def test_one_that_ends_soon_after_its_caller_gave_up_is_kept(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed, pools=PoolSettings(processes=1))
        pid = await node.call("v2.work.burn", {"seconds": 0})

        with pytest.raises(RequestTimeoutError):
            await node.call("v2.work.burn", {"seconds": 0.2}, timeout=0.1)

        assert pid == await node.call("v2.work.burn", {"seconds": 0})

    async def test_one_that_waits_for_the_node_is_told_when_its_caller_gave_up(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed, Verbs, pools=PoolSettings(processes=1))
        pid = await node.call("v2.work.burn", {"seconds": 0})

        with pytest.raises(RequestTimeoutError):
            await node.call("v2.work.waits", timeout=0.2)

        assert pid == await node.call("v2.work.burn", {"seconds": 0})

    async def test_processes_end_with_the_node(self, cluster: Cluster) -> None:
        node = await cluster.node("a", Processed, pools=PoolSettings(processes=2))
        pids = set(await asyncio.gather(*(node.call("v2.work.burn", {"seconds": 0.5}) for _ in range(2))))
        busy = asyncio.create_task(node.call("v2.work.burn", {"seconds": 600}))
        await until(lambda: node.statistics()["pools"]["processes"]["running"])

        await node.stop()

        assert 2 == len(pids)
        assert [] == [pid for pid in pids if alive(pid)]
        with pytest.raises(MoleculerServerError):
            await busy


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Gated(Service):
    name = "gated"

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun = 0

    @action(blocking=True)
    def wait(self, ctx: Context) -> int:
        self.begun += 1
        assert self.gate.wait(20)
        return self.begun


async def test_over_the_bound_a_call_is_refused_as_not_run_also_for_other_nodes(cluster: Cluster) -> None:
    gated = Gated()
    node = await cluster.node("a", gated, pools=PoolSettings(threads=1, thread_queue_max=1))
    caller = await cluster.node("b")
    calls = [asyncio.create_task(node.call("gated.wait")) for _ in range(2)]
    await until(lambda: gated.begun)

    for who in (node, caller):
        with pytest.raises(QueueIsFullError) as refused:
            await who.call("gated.wait")
        assert (True, "not run") == (refused.value.retryable, refused.value.outcome)

    gated.gate.set()
    await asyncio.gather(*calls)


async def test_the_caller_has_its_timeout_while_the_thread_keeps_its_place(cluster: Cluster) -> None:
    gated = Gated()
    await cluster.node("a", gated, pools=PoolSettings(threads=1, thread_queue_max=0))
    caller = await cluster.node("b")

    with pytest.raises(RequestTimeoutError):
        await caller.call("gated.wait", timeout=0.1)

    with pytest.raises(QueueIsFullError):
        await caller.call("gated.wait", timeout=5.0)
    node = cluster["a"]
    assert 1 == node.statistics()["pools"]["threads"]["abandoned"]
    gated.gate.set()
    await until(lambda: 0 == node.statistics()["pools"]["threads"]["running"])
    assert 2 == await caller.call("gated.wait", timeout=5.0)


async def test_a_node_that_stops_lets_threads_end_for_as_long_as_it_has_time(cluster: Cluster) -> None:
    gated = Gated()
    await cluster.node("a", gated, shutdown_timeout=20.0)
    caller = await cluster.node("b")
    call = asyncio.create_task(caller.call("gated.wait"))
    await until(lambda: gated.begun)

    stopping = asyncio.create_task(cluster["a"].stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    gated.gate.set()

    assert 1 == await call
    await stopping


async def test_listeners_wait_for_a_thread_as_long_as_it_takes(cluster: Cluster) -> None:
    tally = Tally()
    pools = PoolSettings(threads=1, thread_queue_max=0, processes=1, process_queue_max=0)
    node = await cluster.node("a", Listening, tally, pools=pools)

    await asyncio.gather(*(node.emit("crowd", {"n": n}) for n in range(30)))
    await asyncio.gather(*(node.emit("crowd.far", {"n": n}) for n in range(3)))

    assert {*range(30)} == {one["n"] for one in tally.heard if "main" in one}
    assert {False} == {one["main"] for one in tally.heard if "main" in one}
    assert {0, 1, 2} == {one["n"] for one in tally.heard if "pid" in one}
    assert os.getpid() not in {one.get("pid") for one in tally.heard}
    assert 0 == node.statistics()["events"]["failed"]


async def test_a_pool_that_nobody_needed_is_not_there(cluster: Cluster) -> None:
    node = await cluster.node("a", Threaded)

    assert {"threads": None, "processes": None} == node.statistics()["pools"]


async def test_it_is_the_nodes_own_matter_and_not_told_to_others(cluster: Cluster) -> None:
    node = await cluster.node("a", Threaded, Listening)

    entry = node.registry.actions["v2.work.given"].all[0].entry
    assert {"name": "v2.work.given", "rawName": "given"} == entry


def marked(**mark: Any) -> type[Service]:
    class Made(Service):
        name = "made"

        @action(**mark)
        async def coroutine(self, ctx: Context) -> None: ...

    return Made


def generating() -> type[Service]:
    class Made(Service):
        name = "made"

        @event("x", blocking=True)
        def items(self, ctx: Context) -> Any:
            yield 1

    return Made


def within_a_function() -> type[Service]:
    class Hidden(Service):
        name = "hidden"

        @action(process=True)
        def work(self, ctx: Context) -> None: ...

    return Hidden


class Needy(Service):
    name = "needy"

    def __init__(self, needs: str) -> None:
        super().__init__()

    @action(process=True)
    def work(self, ctx: Context) -> None: ...


class Secretive(Service):
    name = "secretive"
    settings = {"make": lambda: None}

    @action(process=True)
    def work(self, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (marked(blocking=True), r"'made\.coroutine' is marked blocking=True, but is an `async def`.*plain `def`"),
        (marked(process=True), r"'made\.coroutine' is marked process=True, but is an `async def`"),
        (generating(), r"'x' is marked blocking=True, but is a generator"),
        (within_a_function(), r"'hidden\.work' is marked process=True.*top level of a module"),
        (lambda: Needy("x"), r"without arguments, which its constructor does not take \(missing .* 'needs'\)"),
        (Secretive, r"settings and metadata must go there, and cannot be pickled"),
    ],
)
async def test_what_cannot_run_there_is_told_at_the_start(make: Callable[[], Service], words: str) -> None:
    async with Broker("n", Settings()) as broker:
        with pytest.raises(ServiceSchemaError, match=words):
            await broker.register(make())


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ({"blocking": 1}, "blocking of an action is True or False, not 1"),
        ({"process": "yes"}, "process of an action is True or False, not 'yes'"),
        ({"blocking": True, "process": True}, "in a thread .* or in a process .*, not in both"),
    ],
)
def test_what_makes_no_sense_is_refused(mark: dict[str, Any], words: str) -> None:
    with pytest.raises(ServiceSchemaError, match=words):
        action(**mark)


class Mixin:
    @action(blocking=True)
    def one(self, ctx: Context) -> bool:
        return threading.current_thread() is threading.main_thread()

    @action(blocking=True)
    def two(self, ctx: Context) -> bool:
        return threading.current_thread() is threading.main_thread()


class Mixed(Service):
    name = "mixed"
    mixins = [Mixin]

    @action
    def one(self, ctx: Context) -> bool:
        return threading.current_thread() is threading.main_thread()

    @action(blocking=False)
    def two(self, ctx: Context) -> bool:
        return threading.current_thread() is threading.main_thread()


async def test_a_mixins_mark_holds_until_the_service_says_otherwise(cluster: Cluster) -> None:
    node = await cluster.node("a", Mixed)

    assert (False, True) == (await node.call("mixed.one"), await node.call("mixed.two"))


class TestSimulated:
    """No thread runs beside a simulated loop: it stands still while a handler runs, and goes on while that asks it."""

    @KINDS
    def test_a_handler_asks_the_loop_and_goes_on(self, service: type[Service]) -> None:
        with Simulation(7) as sim:
            sim.node("a", service)
            sim.node("b", Verbs)
            sim.run_until(sim.settled())

            found = sim.run_until(sim["b"].call("v2.work.given", {"id": 1}))

        assert ("v2.work", os.getpid()) == (found["echoed"]["caller"], found["place"][0])

    def test_two_runs_of_a_seed_are_the_same(self) -> None:
        def trace() -> str:
            with Simulation(7) as sim:
                sim.node("a", Threaded)
                sim.node("b", Verbs)
                sim.run_until(sim.settled())

                async def crowd() -> None:
                    await asyncio.gather(*(sim["b"].call("v2.work.given", {"id": n}) for n in range(5)))

                sim.run_until(crowd())
                return sim.trace.hash

        assert trace() == trace()

    def test_a_timeout_of_the_caller_reaches_a_handler_that_waits(self) -> None:
        with Simulation(7) as sim:
            sim.node("a", Waiting)
            sim.node("b", Verbs)
            sim.run_until(sim.settled())

            with pytest.raises(RequestTimeoutError):
                sim.run_until(sim["b"].call("waiting.wait", timeout=1.0))

            sim.run(1)
            assert 0 == sim["a"].broker.statistics()["pools"]["threads"]["running"]


class Waiting(Service):
    name = "waiting"

    @action(blocking=True)
    def wait(self, ctx: Context) -> Any:
        return ctx.call("verbs.hang")


class Held(Service):
    name = "held"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.begun = 0

    @action(bulkhead={"concurrency": 1, "max_queue_size": 0})
    async def wait(self, ctx: Context) -> None:
        self.begun += 1
        await self.gate.wait()


async def test_what_a_bulkhead_refused_was_surely_not_run_for_a_caller_elsewhere_too(cluster: Cluster) -> None:
    held = Held()
    await cluster.node("a", held)
    caller = await cluster.node("b")
    first = asyncio.create_task(caller.call("held.wait"))
    await until(lambda: held.begun)

    with pytest.raises(QueueIsFullError) as refused:
        await caller.call("held.wait")

    assert ("not run", 1) == (refused.value.outcome, held.begun)
    held.gate.set()
    await first
