"""Pools: who runs, who waits, who is refused, and threads that do not come back (resilience reference, 4 and 5)."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import threading
import time
from typing import Any

import pytest

from tautomer import Command, component
from tautomer.commands.options import PoolOptions
from tautomer.commands.pools import Entry, Pool
from tautomer.commands.threads import Threads
from tautomer.errors import BrokerOptionsError, CommandRejected, CommandTimeout
from tests.kernel.mesh import until

from .conftest import Virtually, settled

VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="none")


class Sleeping(Command):
    """Sleeps in a thread until it is let go."""

    group_key = "sleepers"
    command_key = "sleeping"
    timeout_seconds: Any = 10.0

    def __init__(self, until_set: threading.Event) -> None:
        self.until_set = until_set

    def run(self) -> str:
        self.until_set.wait(10)
        return threading.current_thread().name


class Waiting(Command):
    """The same in the loop."""

    group_key = "sleepers"
    command_key = "waiting"

    async def run(self) -> int:
        await asyncio.sleep(0.3)
        return 1


def pool(**options: Any) -> None:
    component.add("executor_pool", {"group_key": "sleepers", **options})
    component.install()


def figures(*names: str) -> list[int]:
    found = component.statistics()["pools"]["sleepers"]
    return [found[name] for name in names]


# --- checklist 1 ---


@pytest.mark.parametrize(("queue", "run", "seconds"), [({}, 20, 0.6), ({"max_queue": 0}, 10, 0.3)])
def test_of_25_ten_run_ten_wait_and_the_rest_is_refused_at_once(
    queue: dict[str, int], run: int, seconds: float, virtually: Virtually
) -> None:
    async def crowd(_testing: Any) -> tuple[list[Any], float]:
        pool(max_workers=10, **queue)
        began = asyncio.get_running_loop().time()
        refused_at = []

        async def one() -> Any:
            try:
                return await Waiting()
            except CommandRejected as error:
                refused_at.append(asyncio.get_running_loop().time() - began)
                return error

        got = await asyncio.gather(*(one() for _ in range(25)))
        assert {0.0} == set(refused_at)
        return got, asyncio.get_running_loop().time() - began

    got, took = virtually(crowd)

    assert run == got.count(1)
    assert 25 - run == sum(isinstance(one, CommandRejected) for one in got)
    assert seconds == pytest.approx(took)


async def test_of_25_in_threads_ten_run_ten_wait_and_the_rest_is_refused() -> None:
    pool(max_workers=10)
    go = threading.Event()
    handles = [Sleeping(go).queue() for _ in range(25)]
    await until(lambda: sum(handle.done() for handle in handles) == 5)
    in_the_middle = figures("running", "waiting", "rejected")
    go.set()
    got = await settled(*handles)

    assert [10, 10, 5] == in_the_middle
    assert 5 == sum(isinstance(one, CommandRejected) for one in got)
    assert 10 >= len({one for one in got if isinstance(one, str)})
    assert [0, 0, 10] == figures("running", "waiting", "largest")


# --- checklist 2 ---


async def test_one_that_waits_for_too_long_is_not_run() -> None:
    pool(max_workers=1)
    go = threading.Event()
    first = Sleeping(go).queue()
    impatient = Sleeping(go)

    with pytest.raises(CommandTimeout):
        await impatient.queue(timeout=0.05)
    assert (0, [1, 0]) == (impatient.execution.attempts, figures("running", "waiting"))
    go.set()
    assert (await first).startswith("commands-sleepers-")


async def test_a_thread_that_hangs_keeps_its_place_until_it_ends() -> None:
    pool(max_workers=1, max_queue=0)
    go = threading.Event()

    with pytest.raises(CommandTimeout):
        await Sleeping(go).queue(timeout=0.05)
    while_it_hangs = figures("running", "abandoned")
    with pytest.raises(CommandRejected):
        await Sleeping(go)
    go.set()
    await until(lambda: figures("running", "abandoned") == [0, 0])
    again = await Sleeping(go)

    assert [1, 1] == while_it_hangs
    assert again.startswith("commands-sleepers-")


async def test_what_hangs_fills_its_own_pool_and_no_other() -> None:
    pool(max_workers=1, max_queue=0)
    go = threading.Event()
    handle = Sleeping(go).queue()

    class Elsewhere(Command):
        def run(self) -> int:
            return 7

    assert 7 == await Elsewhere()
    go.set()
    await handle


async def test_one_that_does_not_let_itself_be_cancelled_keeps_its_place() -> None:
    pool(max_workers=1, max_queue=0)
    go = asyncio.Event()

    class Stubborn(Command):
        group_key = "sleepers"
        timeout_seconds = 0.05

        async def run(self) -> None:
            try:
                await asyncio.sleep(10)
            finally:
                await go.wait()

    with pytest.raises(CommandTimeout):
        await Stubborn()
    with pytest.raises(CommandRejected):
        await Stubborn()
    go.set()
    await until(lambda: figures("running") == [0])


async def test_errors_that_nobody_waited_for_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tautomer.commands")
    pool()
    go = threading.Event()

    class Late(Sleeping):
        command_key = "late"

        def run(self) -> str:
            super().run()
            raise OSError("too late")

    await settled(*(Late(go).queue(timeout=0.05) for _ in range(3)))
    go.set()
    await until(lambda: figures("running", "abandoned") == [0, 0])

    assert 1 == sum("nobody waited" in record.message for record in caplog.records)


async def test_who_was_called_at_the_moment_when_it_gave_up_passes_its_place_on() -> None:
    now = 0.0
    places = Pool(PoolOptions(group_key="g", max_workers=1, max_queue=4), lambda: now)
    assert Entry.IN is await places.enter(9.0)
    waiting = asyncio.gather(places.enter(9.0))
    third = asyncio.gather(places.enter(9.0))
    await asyncio.sleep(0)
    waiting.cancel()
    places.leave()  # It is called before it has heard that it is cancelled.
    await settled(waiting)

    assert [Entry.IN] == await third
    places.leave()
    assert 0 == places.statistics()["running"]


def test_a_waiter_whose_loop_is_gone_does_not_keep_the_place() -> None:
    places = Pool(PoolOptions(group_key="g", max_workers=1), time.monotonic)

    async def leave_somebody_behind() -> None:
        assert Entry.IN is await places.enter(1e9)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        coro = places.enter(1e9)
        left.append(coro)
        coro.send(None)  # It waits, and nobody will ever look after it.

    left: list[Any] = []
    asyncio.run(leave_somebody_behind())
    places.leave()

    assert 0 == places.statistics()["running"]
    left[0].close()


# --- threads ---


async def test_the_callers_variables_are_seen_in_the_thread() -> None:
    class Looking(Command):
        def run(self) -> str:
            return VALUE.get()

    token = VALUE.set("mine")
    try:
        assert "mine" == await Looking()
    finally:
        VALUE.reset(token)


def test_an_idle_thread_is_taken_again_and_ends_when_it_has_been_idle_for_long() -> None:
    threads = Threads("t", keep_alive=0.05)
    names: list[str] = []
    for _ in range(3):
        done = threading.Event()
        threads.start(lambda: names.append(threading.current_thread().name), done.set)
        assert done.wait(5)
    ends = time.monotonic() + 5
    while threads.size and time.monotonic() < ends:
        time.sleep(0.005)

    assert 0 == threads.size
    assert threads.largest == 1


def test_what_a_thread_has_done_is_told_when_it_is_free_for_more() -> None:
    threads = Threads("t")
    done = threading.Event()

    def once_more(left: int) -> None:
        if left:
            threads.start(lambda: None, lambda: once_more(left - 1))
        else:
            done.set()

    once_more(2000)

    assert done.wait(10)
    assert threads.largest == 1


def test_work_is_never_lost_between_a_thread_that_gives_up_and_one_that_counts_on_it() -> None:
    threads = Threads("t", keep_alive=0.0)
    done = threading.Semaphore(0)
    for _ in range(2000):
        threads.start(lambda: None, done.release)
    for _ in range(2000):
        assert done.acquire(timeout=10)


async def test_no_thread_to_be_had_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_self: object, _work: object, _then: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Threads, "start", none)

    class Simple(Command):
        group_key = "sleepers"

        def run(self) -> int:
            return 7

    made = Simple()
    with pytest.raises(CommandRejected):
        await made
    assert (["THREAD_POOL_REJECTED", "FALLBACK_MISSING"], [0]) == (made.execution.events, figures("running"))


# --- configuration ---


async def test_installed_again_a_pool_is_resized_and_who_waits_comes_in() -> None:
    pool(max_workers=1)
    go = threading.Event()
    handles = [Sleeping(go).queue() for _ in range(2)]
    await until(lambda: figures("running", "waiting") == [1, 1])
    pool(max_workers=3)
    await until(lambda: figures("running", "waiting") == [2, 0])
    pool(max_workers=1, max_queue=0)
    with pytest.raises(CommandRejected):
        await Sleeping(go)
    go.set()

    assert 2 == len(await settled(*handles))
    assert [0, 1] == figures("running", "max_workers")


async def test_a_pool_may_have_another_name_than_its_group() -> None:
    class Apart(Waiting):
        pool = "apart"
        command_key = "apart"

    await Apart()

    assert ["apart"] == list(component.statistics()["pools"])


async def test_a_plain_run_may_be_run_in_the_loop() -> None:
    class Quick(Command):
        isolation = "loop"

        def run(self) -> str:
            return threading.current_thread().name

    assert threading.current_thread().name == await Quick()


def test_add_set_and_delete_keep_a_mapping() -> None:
    component.set("defaults", {"timeout_seconds": 2})
    component.add("executor_pool", {"group_key": "a"})
    component.add("executor_pool", {"group_key": "b"})
    assert {"defaults": {"timeout_seconds": 2}, "executor_pool": [{"group_key": "a"}, {"group_key": "b"}]} == (
        component.configurations
    )

    component.delete("defaults")
    with pytest.raises(KeyError):
        component.delete("defaults")
    component.set("defaults", 5)
    with pytest.raises(TypeError, match="no list to add to"):
        component.add("defaults", 6)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("executor_pol", [], "did you mean 'executor_pool'"),
        ("executor_pool", [{"max_workers": 3}], "needs a group_key"),
        ("executor_pool", [{"group_key": "a", "workers": 3}], "unknown setting 'workers'"),
        ("executor_pool", [{"group_key": "a", "max_workers": 0}], "at least 1"),
        ("executor_pool", [{"group_key": "a", "max_queue": -1}], "at least 0"),
        ("executor_pool", ["a"], "is a dict"),
        ("defaults", {"timeout": 3}, "did you mean 'timeout_seconds'"),
        ("defaults", 5, "is a mapping"),
        ("circuit_breaker_options", {"sleep": -1}, "sleep is over 0"),
        ("circuit_breaker_enabled", "yes", "true or false"),
        ("circuit_breaker_impl", "no.such.thing", "there is no circuit_breaker_impl"),
        ("circuit_breaker_impl", dict, "is a class of circuit breakers"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_whole(key: str, value: Any, told: str) -> None:
    component.set(key, value)

    with pytest.raises(BrokerOptionsError) as error:
        component.install()
    assert told in str(error.value)
    assert {} == component.statistics()["pools"]


async def test_blackgates_spelling_is_taken_for_what_it_means(caplog: pytest.LogCaptureFixture) -> None:
    component.set("circuit_beaker_enabled", False)
    component.install()
    await Waiting()

    assert "misspelt" in caplog.text
    assert None is component.circuit("waiting")


async def test_defaults_hold_for_all_that_say_nothing_else() -> None:
    component.set("defaults", {"timeout_seconds": 3.0, "group_key": "sleepers"})
    component.set("circuit_breaker_options", {"sleep_window": 9})
    component.install()

    class Plain(Command):
        circuit_breaker = {"request_volume_threshold": 3}

        async def run(self) -> None: ...

    await Plain()

    options = component.runtime.keys[Plain.__qualname__].options
    assert (3.0, "sleepers") == (options.timeout_seconds, options.group_key)
    assert (9, 3) == (options.circuit_breaker.options.sleep, options.circuit_breaker.options.min_count)


def test_the_last_of_two_pools_for_one_group_counts(caplog: pytest.LogCaptureFixture) -> None:
    pool(max_workers=3)
    pool(max_workers=4)

    assert [4] == figures("max_workers")
    assert "two pools for one group" in caplog.text


@pytest.mark.slow
def test_whatever_mixture_of_threads_loops_timeouts_and_cancels_leaves_nothing_behind() -> None:
    pool(max_workers=3, max_queue=4)
    ended: list[str] = []

    class Mixed(Command):
        group_key = "sleepers"
        circuit_breaker = False

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

    class InThread(Mixed):
        def run(self) -> None:
            time.sleep(self.seconds)

    class InLoop(Mixed):
        async def run(self) -> None:
            await asyncio.sleep(self.seconds)

    def drawn(chance: random.Random) -> tuple[Mixed, float]:
        return chance.choice([InThread, InLoop])(chance.random() / 50), chance.choice([0.001, 0.01, 0.05, 1.0])

    def blocking(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            made, timeout = drawn(chance)
            try:
                made.execute(timeout)
            except (CommandTimeout, CommandRejected):
                pass
            ended.append("blocking")

    async def queueing(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            made, timeout = drawn(chance)
            handle = made.queue(timeout)
            await asyncio.sleep(chance.random() / 100)
            if chance.random() < 0.4:
                handle.cancel()
            await settled(handle)
            ended.append("queueing")

    async def several(seed: int) -> None:
        await asyncio.gather(*(queueing(seed + number) for number in range(3)))

    threads = [threading.Thread(target=blocking, args=(seed,)) for seed in range(4)]
    threads += [threading.Thread(target=lambda seed=seed: asyncio.run(several(seed))) for seed in (10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    limit = time.monotonic() + 10
    while figures("running") != [0] and time.monotonic() < limit:
        time.sleep(0.01)

    assert (4 * 60, 6 * 60) == (ended.count("blocking"), ended.count("queueing"))
    assert [0, 0, 0, 3] == figures("running", "waiting", "abandoned", "largest")
    assert [0, 0] == [one["running"] for one in component.statistics()["commands"].values()]
