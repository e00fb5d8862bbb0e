"""FirstSteps: what a coroutine can tell of how it is run, beside the same in a plain task."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer._steps import FirstSteps
from tautomer._tasks import TaskStarter

R = TypeVar("R")
VARIABLE: ContextVar[str] = ContextVar("tests.steps", default="unset")


async def on_loop(act: Callable[[], R]) -> R:
    """What it returns when the loop calls it, and no task runs."""
    done: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            done.set_result(act())
        except BaseException as error:
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(call)
    return await done


async def take(steps: FirstSteps, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    return await on_loop(lambda: steps.take(coro, "test"))


async def standing_by(steps: FirstSteps) -> None:
    """Until the next step can be taken at once."""

    async def nothing() -> None:
        pass

    for _ in range(3):
        task = await take(steps, nothing())
        if task is None:
            return
        await task
        await asyncio.sleep(0)
    raise AssertionError("no task stands by")


@pytest.fixture
async def steps() -> AsyncIterator[FirstSteps]:
    made = FirstSteps(TaskStarter())
    await standing_by(made)
    yield made
    await made.close()


async def test_what_never_waits_is_done_at_once(steps: FirstSteps):
    seen = []

    async def work() -> None:
        seen.append("done")

    def act() -> tuple[object, list[str]]:
        return steps.take(work(), "test"), list(seen)

    assert (None, ["done"]) == await on_loop(act)


async def test_what_waits_goes_on_in_the_task_that_its_first_step_saw(steps: FirstSteps):
    seen: list[Any] = []
    go_on = asyncio.Event()

    async def work() -> None:
        seen.append(asyncio.current_task())
        await go_on.wait()
        seen.append(asyncio.current_task())

    task = await take(steps, work())
    assert task is not None
    assert "test" == task.get_name()
    assert not task.done()
    go_on.set()
    await task

    assert [task, task] == seen


async def test_timeouts_and_groups_begun_in_the_first_step_hold_for_the_rest(steps: FirstSteps):
    seen = []

    async def work() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("late")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()
        except* ValueError:
            seen.append("failed")

    async def fail() -> None:
        raise ValueError

    task = await take(steps, work())
    assert task is not None
    await task

    assert ["late", "failed"] == seen
    assert 0 == task.cancelling()


async def test_variables_are_each_coroutine_s_own_from_its_first_step_to_its_last(steps: FirstSteps):
    seen = []

    async def work(name: str, waits: bool) -> None:
        seen.append(VARIABLE.get())
        token = VARIABLE.set(name)
        if waits:
            await asyncio.sleep(0)
            seen.append(VARIABLE.get())
            VARIABLE.reset(token)
            await asyncio.sleep(0)
            seen.append(VARIABLE.get())

    await take(steps, work("first", False))
    task = await take(steps, work("second", True))
    assert task is not None
    await task

    assert ["unset", "unset", "second", "unset"] == seen
    assert "unset" == VARIABLE.get()


KEPT: list[Any] = []


async def keep_it() -> None:
    KEPT.append(asyncio.current_task())


async def keep_it_weakly() -> None:
    KEPT.append(weakref.ref(asyncio.current_task()))  # type: ignore[arg-type]  # There is one.


async def give_it_an_attribute() -> None:
    asyncio.current_task().user = "anna"  # type: ignore[union-attr]


async def cancel_it() -> None:
    asyncio.current_task().cancel()  # type: ignore[union-attr]


@pytest.mark.parametrize("leave", [keep_it, keep_it_weakly, give_it_an_attribute, cancel_it])
async def test_a_task_with_which_something_was_left_is_nobody_else_s(
    steps: FirstSteps, leave: Callable[[], Coroutine[Any, Any, None]]
):
    KEPT.clear()
    ids = []

    async def look() -> None:
        task = asyncio.current_task()
        ids.append((id(task), getattr(task, "user", None), task.cancelling()))  # type: ignore[union-attr]

    before = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert None is await take(steps, leave())
    await standing_by(steps)
    await take(steps, look())

    assert 1 == len(before)
    assert before[0].done()
    assert [(None, 0)] == [told[1:] for told in ids]
    assert id(before[0]) != ids[0][0]


async def test_who_asks_for_the_end_of_the_task_hears_of_it(steps: FirstSteps):
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def work() -> None:
        asyncio.current_task().add_done_callback(lambda task: ended.put_nowait(task.get_name()))  # type: ignore[union-attr]

    await take(steps, work())

    async with asyncio.timeout(5):
        await ended.get()


async def test_a_task_that_nobody_kept_is_used_again(steps: FirstSteps):
    async def look() -> None:
        asyncio.current_task()

    async def work() -> None:
        async with asyncio.timeout(5):
            await look()

    before = {id(task) for task in asyncio.all_tasks()}
    for _ in range(5):
        assert None is await take(steps, work())

    assert before == {id(task) for task in asyncio.all_tasks()}


async def test_a_cancel_right_after_the_first_step_cancels_what_is_waited_for(steps: FirstSteps):
    seen = []
    waited_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await waited_for
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    def act() -> asyncio.Task[None] | None:
        task = steps.take(work(), "test")
        assert task is not None
        task.cancel()
        return task

    task = await on_loop(act)
    assert task is not None
    await asyncio.wait((task,), timeout=5)

    assert ["cancelled", "cleaned up"] == seen
    assert task.cancelled()
    assert waited_for.cancelled()


async def test_within_a_task_it_begins_at_the_next_turn(steps: FirstSteps):
    seen = []

    async def work() -> None:
        seen.append("begun")

    task = steps.take(work(), "test")
    assert task is not None
    assert [] == seen
    await task

    assert ["begun"] == seen


async def test_where_the_loop_has_a_say_in_tasks_it_is_asked_each_time():
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=loop, **options)

    async def work() -> None:
        pass

    loop.set_task_factory(factory)  # type: ignore[arg-type]  # Typeshed's protocol has more.
    steps = FirstSteps(TaskStarter())
    for _ in range(3):
        task = await take(steps, work())
        assert task is not None
        await task

    assert ["work"] * 3 == made


async def test_after_the_close_nothing_stands_by(steps: FirstSteps):
    await steps.close()
    await steps.close()

    assert {asyncio.current_task()} == asyncio.all_tasks()


PROGRAMS = st.lists(
    st.lists(st.sampled_from(["turn", "future", "task", "fail", "cancelled", "shield"]), max_size=4), max_size=5
)


async def _run(program: list[str], name: int, log: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    for at, what in enumerate(program):
        log.append((name, at, what))
        try:
            if what == "turn":
                await asyncio.sleep(0)
            elif what == "task":
                await loop.create_task(asyncio.sleep(0, "slept"))
            else:
                future: asyncio.Future[None] = loop.create_future()
                if what == "cancelled":
                    loop.call_soon(future.cancel)
                elif what == "fail":
                    loop.call_soon(future.set_exception, ValueError())
                else:
                    loop.call_soon(future.set_result, None)
                await (asyncio.shield(future) if what == "shield" else future)
        except (ValueError, asyncio.CancelledError) as error:
            log.append((name, at, type(error)))
    log.append((name, "end", asyncio.current_task() is not None))


@given(programs=PROGRAMS)
def test_whatever_it_waits_for_each_sees_what_it_would_in_a_plain_task(programs: list[list[str]]):
    async def plain() -> list[Any]:
        log: list[Any] = []
        await asyncio.gather(*(_run(program, name, log) for name, program in enumerate(programs)))
        return log

    async def stepped() -> list[Any]:
        log: list[Any] = []
        steps = FirstSteps(TaskStarter())
        await standing_by(steps)
        tasks = [await take(steps, _run(program, name, log)) for name, program in enumerate(programs)]
        async with asyncio.timeout(5):
            await asyncio.gather(*(task for task in tasks if task is not None))
        await steps.close()
        return log

    expected, found = asyncio.run(plain()), asyncio.run(stepped())

    for name in range(len(programs)):
        assert [entry for entry in expected if entry[0] == name] == [entry for entry in found if entry[0] == name]
