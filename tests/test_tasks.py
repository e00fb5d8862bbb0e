"""Scopes end what they began; one timer looks at many deadlines."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tautomer import _tasks
from tautomer._tasks import Deadlines, Sweep, TaskScope, TaskStarter
from tautomer.testing import FakeClock


class Gate:
    """A place where tasks wait until they are let through."""

    def __init__(self) -> None:
        self.reached = 0
        self.open = asyncio.Event()
        self.cancelled: list[str] = []

    async def wait(self, name: str = "one") -> str:
        self.reached += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        return name


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class TestScope:
    async def test_runs_what_it_is_given_and_lets_go_of_it(self) -> None:
        scope, gate = TaskScope("requests"), Gate()
        task = scope.spawn(gate.wait(), "math.add")

        assert 1 == len(scope)
        assert "math.add" == task.get_name()
        gate.open.set()
        assert "one" == await task
        await until(lambda: len(scope) == 0)
        assert not scope.closed

    async def test_a_failure_is_logged_and_leaves_the_others_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        scope, gate = TaskScope("requests"), Gate()

        async def fail() -> None:
            raise ValueError("broken")

        other = scope.spawn(gate.wait(), "other")
        failing = scope.spawn(fail(), "failing")
        await asyncio.wait([failing])
        gate.open.set()

        assert "one" == await other
        (record,) = caplog.records
        assert ("task failed", logging.ERROR, "requests", "failing") == (
            record.message,
            record.levelno,
            record.__dict__["scope"],
            record.__dict__["task"],
        )
        assert "broken" in caplog.text
        await scope.close(0)

    async def test_closed_it_takes_nothing_and_leaves_nothing_unawaited(self) -> None:
        """An unawaited coroutine would be a warning, and warnings are errors here."""
        scope = TaskScope("requests")
        await scope.close(0)

        with pytest.raises(RuntimeError, match="scope 'requests' is closed, 'late' not started"):
            scope.spawn(Gate().wait(), "late")
        assert scope.closed

    async def test_close_waits_for_what_ends_in_time(self) -> None:
        scope, gate = TaskScope("requests"), Gate()
        task = scope.spawn(gate.wait(), "one")
        asyncio.get_running_loop().call_soon(gate.open.set)

        assert 0 == await scope.close(5.0)
        assert "one" == task.result()

    async def test_close_cancels_the_rest_and_says_how_many(self) -> None:
        scope, gate = TaskScope("requests"), Gate()
        tasks = [scope.spawn(gate.wait(str(n)), str(n)) for n in range(12)]
        await until(lambda: gate.reached == 12)

        assert 12 == await scope.close(0)
        assert all(task.cancelled() for task in tasks)
        assert [str(n) for n in range(12)] == gate.cancelled
        assert 0 == len(scope)

    async def test_close_waits_its_grace_before_it_cancels(self) -> None:
        scope, gate = TaskScope("requests"), Gate()
        scope.spawn(gate.wait(), "one")
        loop = asyncio.get_running_loop()
        before = loop.time()

        assert 1 == await scope.close(0.05)
        assert loop.time() - before >= 0.045

    async def test_close_twice_is_harmless(self) -> None:
        scope = TaskScope("requests")

        assert (0, 0) == (await scope.close(0), await scope.close(1.0))

    async def test_close_lets_the_cancelled_clean_up(self) -> None:
        scope, gate, cleaned = TaskScope("requests"), Gate(), list[str]()

        async def careful() -> None:
            try:
                await gate.wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append("cleaned")

        scope.spawn(careful(), "careful")
        await until(lambda: gate.reached == 1)
        await scope.close(0)

        assert ["cleaned"] == cleaned

    async def test_a_task_that_does_not_let_itself_be_cancelled_holds_nothing_up(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(_tasks, "CANCEL_WAIT", 0.01)
        scope, gate, stubborn = TaskScope("requests"), Gate(), asyncio.Event()

        async def deaf() -> None:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                await stubborn.wait()

        task = scope.spawn(deaf(), "deaf")
        await until(lambda: gate.reached == 1)

        assert 1 == await scope.close(0)
        assert ["deaf"] == [record.__dict__["task"] for record in caplog.records]
        stubborn.set()
        await task

    async def test_a_task_that_closes_its_own_scope_does_not_wait_for_itself(self) -> None:
        scope, gate = TaskScope("requests"), Gate()
        scope.spawn(gate.wait(), "other")

        closing = scope.spawn(scope.close(0), "closing")

        assert 1 == await closing

    async def test_a_task_that_is_cancelled_is_no_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        scope, gate = TaskScope("requests"), Gate()
        task = scope.spawn(gate.wait(), "one")
        await until(lambda: gate.reached == 1)
        task.cancel()
        await asyncio.wait([task])

        assert [] == caplog.records
        await scope.close(0)


async def test_a_starter_starts_named_tasks() -> None:
    starter, gate = TaskStarter(), Gate()
    gate.open.set()
    tasks = [starter.start(gate.wait(name), name) for name in ("one", "two")]

    assert ["one", "two"] == [task.get_name() for task in tasks] == await asyncio.gather(*tasks)


class Looks:
    """Says how often it was looked at, and that something is left for the first few times."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        return self.count < self.left


class TestSweep:
    async def test_looks_until_nothing_is_left(self) -> None:
        looks = Looks(3)
        sweep = Sweep(0.001, looks)
        running = [sweep.running]
        sweep.wake()
        running.append(sweep.running)
        await until(lambda: not sweep.running)

        assert 3 == looks.count
        assert [False, True] == running

    async def test_sets_one_timer_however_often_it_is_woken(self) -> None:
        looks = Looks(1)
        sweep = Sweep(0.001, looks)
        for _ in range(100):
            sweep.wake()
        await until(lambda: not sweep.running)

        assert 1 == looks.count

    async def test_looks_again_when_it_is_woken_again(self) -> None:
        looks = Looks(0)
        sweep = Sweep(0.001, looks)
        for _ in range(2):
            sweep.wake()
            await until(lambda: not sweep.running)

        assert 2 == looks.count

    async def test_may_be_woken_by_its_own_look(self) -> None:
        seen = list[int]()

        def look() -> bool:
            seen.append(1)
            if len(seen) == 1:
                sweep.wake()
            return False

        sweep = Sweep(0.001, look)
        sweep.wake()
        await until(lambda: not sweep.running)

        assert 2 == len(seen)

    async def test_stopped_it_looks_no_more(self) -> None:
        looks = Looks(5)
        sweep = Sweep(0.001, looks)
        sweep.wake()
        sweep.stop()
        sweep.stop()
        await asyncio.sleep(0.005)

        assert (0, False) == (looks.count, sweep.running)

    async def test_a_look_that_fails_is_logged_and_does_not_end_it(self, caplog: pytest.LogCaptureFixture) -> None:
        """Else every other deadline would go unwatched (promise C1)."""
        looks = Looks(2)

        def look() -> bool:
            again = looks()
            if again:
                raise ValueError("broken")
            return again

        sweep = Sweep(0.001, look)
        sweep.wake()
        await until(lambda: not sweep.running)

        assert 2 == looks.count
        assert ["sweep failed"] == [record.message for record in caplog.records]


class TestDeadlines:
    """As `asyncio.timeout`, but on the clock of the host, with one timer for all."""

    def _made(self) -> tuple[FakeClock, Deadlines]:
        clock = FakeClock()
        return clock, Deadlines(clock)

    async def test_a_task_whose_time_is_over_is_cancelled_and_knows_why(self) -> None:
        clock, deadlines = self._made()
        gate = Gate()

        async def work() -> str:
            watch = deadlines.watch(clock.now + 5)
            try:
                return await gate.wait()
            except asyncio.CancelledError:
                return "late" if deadlines.over(watch) else "cancelled"

        task = asyncio.get_running_loop().create_task(work())
        await until(lambda: gate.reached)
        clock.advance(4.9)
        await asyncio.sleep(3 * _tasks.GRAIN)
        assert not task.done()

        clock.advance(0.1)

        assert "late" == await task
        assert 0 == task.cancelling()

    async def test_closed_it_leaves_no_timer_behind_its_last_task(self) -> None:
        clock, deadlines = self._made()
        gate = Gate()

        async def work() -> None:
            watch = deadlines.watch(clock.now + 5)
            await gate.wait()
            deadlines.over(watch)

        task = asyncio.get_running_loop().create_task(work())
        await until(lambda: gate.reached)
        deadlines.close()
        assert deadlines._sweep.running  # It still counts for whoever runs.
        gate.open.set()
        await task

        assert not deadlines._sweep.running

    async def test_who_is_cancelled_by_others_is_not_late(self) -> None:
        clock, deadlines = self._made()
        gate = Gate()

        async def work() -> None:
            watch = deadlines.watch(clock.now + 5)
            try:
                await gate.wait()
            finally:
                assert not deadlines.over(watch)

        task = asyncio.get_running_loop().create_task(work())
        await until(lambda: gate.reached)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_who_is_cancelled_by_others_and_late_is_cancelled(self) -> None:
        clock, deadlines = self._made()
        gate = Gate()
        late: list[bool] = []

        async def work() -> None:
            watch = deadlines.watch(clock.now + 5)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                clock.advance(5)
                deadlines._look()
                late.append(deadlines.over(watch))
                raise

        task = asyncio.get_running_loop().create_task(work())
        await until(lambda: gate.reached)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [False] == late

    async def test_of_two_in_one_task_the_one_that_is_over_fires(self) -> None:
        clock, deadlines = self._made()
        gate = Gate()
        told: list[tuple[str, bool]] = []

        async def inner() -> None:
            watch = deadlines.watch(clock.now + 1)
            try:
                await gate.wait()
            except asyncio.CancelledError:
                told.append(("inner", deadlines.over(watch)))

        outer = deadlines.watch(clock.now + 100)
        asyncio.get_running_loop().call_later(0.01, clock.advance, 2)
        await inner()
        told.append(("outer", deadlines.over(outer)))

        assert [("inner", True), ("outer", False)] == told

    async def test_it_looks_only_while_somebody_runs(self) -> None:
        clock, deadlines = self._made()
        watch = deadlines.watch(clock.now + 5)
        assert deadlines._sweep.running
        deadlines.over(watch)

        await until(lambda: not deadlines._sweep.running)
