"""ThreadPool: bounds, waiting, giving up, asking the loop, closing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from tautomer.errors import QueueIsFullError, RequestRejectedError, RequestSkippedError
from tautomer.threads import Job, ThreadPool

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")

MakePool = Callable[..., ThreadPool]


@pytest.fixture
async def make() -> AsyncIterator[MakePool]:
    """Makes pools; they are closed at the end."""
    made: list[ThreadPool] = []

    def one(threads: int = 2, queue_max: int = 2, **more: Any) -> ThreadPool:
        made.append(ThreadPool("test", "n1", threads, queue_max, time.monotonic, **more))
        return made[-1]

    yield one
    for pool in made:
        await pool.close()


class Gate:
    """A function that waits in its thread until it is let through."""

    def __init__(self) -> None:
        self.begun = 0
        self._open = threading.Event()

    def __call__(self, _job: Job) -> str:
        self.begun += 1
        assert self._open.wait(20)
        return "through"

    def open(self) -> None:
        self._open.set()


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.001)


async def test_a_function_runs_in_another_thread_with_the_callers_context_variables(make: MakePool) -> None:
    WHO.set("ann")

    def function(_job: Job) -> tuple[str, bool]:
        return WHO.get(), threading.current_thread() is threading.main_thread()

    assert ("ann", False) == await make().run("f", function)


async def test_what_it_raises_is_raised(make: MakePool) -> None:
    def function(_job: Job) -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        await make().run("f", function)


@pytest.mark.parametrize("error", [StopIteration, SystemExit])
async def test_what_would_end_something_else_is_an_error_of_that_call_only(
    make: MakePool, error: type[BaseException]
) -> None:
    """A bare `next()` at the end, say: in a coroutine, too, that is a RuntimeError."""
    pool = make()

    def function(_job: Job) -> None:
        raise error

    with pytest.raises((RuntimeError, SystemExit)):
        await pool.run("f", function)
    assert 1 == await pool.run("f", lambda _job: 1)


async def test_so_many_run_so_many_wait_and_the_rest_is_refused(make: MakePool) -> None:
    pool, gate = make(threads=2, queue_max=1), Gate()
    calls = [asyncio.create_task(pool.run("f", gate)) for _ in range(3)]
    await until(lambda: gate.begun == 2)

    with pytest.raises(QueueIsFullError) as refused:
        await pool.run("f", gate)

    assert (True, "not run") == (refused.value.retryable, refused.value.outcome)
    shown = pool.statistics()
    assert (2, 2, 1, 1) == (shown["threads"], shown["running"], shown["waiting"], shown["refused"])
    gate.open()
    assert ["through"] * 3 == await asyncio.gather(*calls)
    assert 3 == gate.begun


async def test_threads_are_made_when_they_are_needed_and_used_again(make: MakePool) -> None:
    pool = make(threads=8)
    assert 0 == pool.statistics()["threads"]

    for _ in range(5):
        await pool.run("f", lambda _job: None)

    assert 1 == pool.statistics()["threads"]


async def test_who_is_patient_waits_though_the_queue_is_full_and_comes_after_the_others(make: MakePool) -> None:
    pool, gate = make(threads=1, queue_max=1), Gate()
    order: list[str] = []
    running = asyncio.create_task(pool.run("f", gate))
    await until(lambda: gate.begun == 1)
    patient = [
        asyncio.create_task(pool.run("p", lambda _job, n=n: order.append(f"patient {n}"), patient=True))
        for n in range(3)
    ]
    await asyncio.sleep(0)
    other = asyncio.create_task(pool.run("f", lambda _job: order.append("other")))
    await asyncio.sleep(0)

    gate.open()
    await asyncio.gather(running, other, *patient)

    assert ["other", "patient 0", "patient 1", "patient 2"] == order


async def test_a_patient_one_that_is_cancelled_leaves_its_place_to_the_next(make: MakePool) -> None:
    pool, gate = make(threads=1), Gate()
    running = asyncio.create_task(pool.run("f", gate))
    await until(lambda: gate.begun == 1)
    first, second = (asyncio.create_task(pool.run("p", lambda _job: "done", patient=True)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    gate.open()

    assert "done" == await second
    await running
    assert (True, 0) == (first.cancelled(), len(pool))


async def test_who_waits_for_longer_than_it_has_time_is_not_run(make: MakePool) -> None:
    pool, gate = make(threads=1), Gate()
    running = asyncio.create_task(pool.run("f", gate))
    await until(lambda: gate.begun == 1)
    late = asyncio.create_task(pool.run("late", gate, deadline=time.monotonic() + 0.01))
    await asyncio.sleep(0.02)

    gate.open()
    with pytest.raises(RequestSkippedError):
        await late

    await running
    assert (1, 1) == (gate.begun, pool.statistics()["expired"])


async def test_a_thread_whose_caller_gave_up_keeps_its_place_until_it_ends(make: MakePool) -> None:
    pool, gate = make(threads=1, queue_max=0), Gate()
    call = asyncio.create_task(pool.run("f", gate))
    await until(lambda: gate.begun == 1)

    call.cancel()
    await asyncio.wait([call])

    shown = pool.statistics()
    assert (True, 1, 1, 1) == (call.cancelled(), shown["running"], shown["abandoned"], shown["abandoned_total"])
    with pytest.raises(QueueIsFullError):
        await pool.run("f", gate)
    gate.open()
    await until(lambda: len(pool) == 0)
    assert "through" == await pool.run("f", gate)
    assert (0, 1) == (pool.statistics()["abandoned"], pool.statistics()["abandoned_total"])


@pytest.mark.parametrize("beside", [True, False])
class TestAsking:
    async def test_a_coroutine_runs_on_the_loop_while_the_thread_waits(self, make: MakePool, beside: bool) -> None:
        WHO.set("ann")
        loop_thread = threading.get_ident()

        async def on_loop() -> tuple[bool, str]:
            await asyncio.sleep(0.001)
            return threading.get_ident() == loop_thread, WHO.get()

        def function(job: Job) -> list[tuple[bool, str]]:
            first = job.ask(on_loop)
            WHO.set("bob")
            return [first, job.ask(on_loop)]

        assert [(True, "ann"), (True, "bob")] == await make(beside=beside).run("f", function)
        assert "ann" == WHO.get()

    async def test_its_error_is_raised_in_the_thread(self, make: MakePool, beside: bool) -> None:
        async def on_loop() -> None:
            raise KeyError("x")

        def function(job: Job) -> str:
            try:
                job.ask(on_loop)
            except KeyError as error:
                return repr(error)
            return "nothing"

        assert "KeyError('x')" == await make(beside=beside).run("f", function)

    async def test_it_is_cancelled_when_the_caller_gives_up_and_the_thread_hears_of_it(
        self, make: MakePool, beside: bool
    ) -> None:
        pool = make(beside=beside)
        seen: list[str] = []

        async def on_loop() -> None:
            seen.append("asked")
            try:
                await asyncio.sleep(60)
            finally:
                seen.append("cancelled")

        def function(job: Job) -> None:
            try:
                job.ask(on_loop)
            finally:
                seen.append("cleaned up")

        call = asyncio.create_task(pool.run("f", function))
        await until(lambda: seen)
        call.cancel()
        await until(lambda: len(pool) == 0)

        assert ["asked", "cancelled", "cleaned up"] == seen

    async def test_one_whose_caller_gave_up_asks_in_vain(self, make: MakePool, beside: bool) -> None:
        pool = make(beside=beside)
        asked: list[int] = []

        async def on_loop(number: int) -> None:
            asked.append(number)
            await asyncio.sleep(60)

        def function(job: Job) -> None:
            for number in range(3):
                try:
                    job.ask(lambda number=number: on_loop(number))
                except asyncio.CancelledError:
                    continue

        call = asyncio.create_task(pool.run("f", function))
        await until(lambda: asked)
        call.cancel()
        await until(lambda: len(pool) == 0)

        assert [0] == asked


async def test_where_nothing_runs_beside_the_loop_it_stands_still_meanwhile(make: MakePool) -> None:
    pool = make(beside=False)
    ticks: list[int] = []

    async def tick() -> None:
        for number in range(1000):
            ticks.append(number)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    before = len(ticks)
    during = await pool.run("f", lambda _job: (time.sleep(0.02), len(ticks))[1])

    assert before == during
    ticking.cancel()


class TestClosing:
    async def test_finish_waits_for_what_runs_and_waits(self, make: MakePool) -> None:
        pool, gate = make(threads=1), Gate()
        calls = [asyncio.create_task(pool.run("f", gate)) for _ in range(2)]
        await until(lambda: gate.begun == 1)

        assert 2 == await pool.finish(0.02)
        gate.open()
        assert 0 == await pool.finish(20)
        assert ["through"] * 2 == await asyncio.gather(*calls)

    async def test_who_waits_is_refused_and_who_hangs_is_left_behind(self, make: MakePool) -> None:
        pool, gate = make(threads=1), Gate()
        running = asyncio.create_task(pool.run("f", gate))
        await until(lambda: gate.begun == 1)
        waiting = [asyncio.create_task(pool.run("f", gate, patient=patient)) for patient in (False, True)]
        await asyncio.sleep(0)

        await pool.close()
        await pool.close()

        for one in waiting:
            with pytest.raises(RequestRejectedError) as refused:
                await one
            assert "not run" == refused.value.outcome
        with pytest.raises(RequestRejectedError):
            await pool.run("f", gate)
        gate.open()
        assert "through" == await running
        await until(lambda: len(pool) == 0)

    async def test_its_threads_end(self, make: MakePool) -> None:
        pool = make()
        await pool.run("f", lambda _job: None)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("tautomer test")]

        await pool.close()

        assert threads
        await until(lambda: not any(thread.is_alive() for thread in threads))
