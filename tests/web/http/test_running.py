"""Requests in tasks: what is late is cancelled and nothing else, and whatever ends leaves the table."""

from __future__ import annotations

import asyncio

import pytest

from tautomer.web.http.running import RunningRequests
from tautomer.web.messages.message import Request


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(clock: Clock) -> RunningRequests:
    return RunningRequests(clock, pytest.fail)


class Work:
    """What runs for one request, and how it ended."""

    def __init__(self, running: RunningRequests, ends: float | None = None) -> None:
        self.request = Request.build()
        self.request.ends = ends
        self.outcome = ""
        self.task = running.start(self._run(running), self.request)

    async def _run(self, running: RunningRequests) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.outcome = "late" if self.request.late else "cancelled"
            raise
        finally:
            running.tasks.pop(self.task)

    async def over(self) -> str:
        await asyncio.wait([self.task])
        return self.outcome


async def test_what_is_late_is_cancelled_once_and_nothing_else(clock: Clock, running: RunningRequests) -> None:
    early, other, endless = Work(running, 10.0), Work(running, 20.0), Work(running)
    await asyncio.sleep(0)

    clock.now = 9.9
    assert running._look()
    assert 0 == early.task.cancelling()
    clock.now = 10.0
    assert running._look()
    assert running._look()

    assert [1, 0, 0] == [work.task.cancelling() for work in (early, other, endless)]
    assert "late" == await early.over()
    running.cancel(other.task)
    running.cancel(endless.task)
    assert ["cancelled", "cancelled"] == [await other.over(), await endless.over()]
    assert 0 == len(running.tasks)
    assert not running._look()


async def test_one_that_goes_on_all_the_same_is_told_of_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Request] = []
    running = RunningRequests(clock, told.append)
    stubborn = Request.build()
    stubborn.ends = 10.0
    enough = asyncio.Event()

    async def run() -> None:
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                pass
        del running.tasks[task]

    task = running.start(run(), stubborn)
    await asyncio.sleep(0)
    for clock.now in (10.0, 10.9, 11.0, 12.0, 20.0):
        running._look()
        await asyncio.sleep(0)
        assert (clock.now >= 11.0) == len(told)

    assert [stubborn] == told
    assert ["request does not end though its time is over"] == [record.message for record in caplog.records]
    enough.set()
    await task


async def test_a_request_that_is_late_is_found_without_being_asked(clock: Clock, running: RunningRequests) -> None:
    work = Work(running, 1.0)
    clock.now = 2.0

    async with asyncio.timeout(2):
        assert "late" == await work.over()


async def test_one_that_is_cancelled_before_it_begins_leaves_the_table_too(running: RunningRequests) -> None:
    work = Work(running)

    running.cancel(work.task)
    assert "" == await work.over()

    assert 0 == len(running.tasks)


async def test_closing_cancels_all_even_what_had_not_begun_and_takes_no_more(running: RunningRequests) -> None:
    begun = Work(running)
    await asyncio.sleep(0)
    fresh = Work(running)

    assert 2 == await running.close()

    assert ["cancelled", ""] == [begun.outcome, fresh.outcome]
    assert 0 == len(running.tasks) == await running.close()
    with pytest.raises(RuntimeError, match="stopped"):
        Work(running)


async def test_a_request_that_closes_its_own_server_is_left_out(running: RunningRequests) -> None:
    async def closing() -> None:
        cut.append(await running.close())

    cut: list[int] = []
    task = running.start(closing(), Request.build())
    await task

    assert [0] == cut


async def test_one_that_does_not_end_is_named_and_left_behind(
    running: RunningRequests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                pass

    monkeypatch.setattr("tautomer.web.http.running.CANCEL_WAIT", 0.01)
    gate = asyncio.Event()
    task = running.start(stubborn(), Request.build("GET", "/stuck"))
    await asyncio.sleep(0)

    assert 1 == await running.close()

    assert ["/stuck"] == [record.path for record in caplog.records]  # type: ignore[attr-defined]  # Of the log's extra.
    assert 0 == len(running.tasks)
    gate.set()
    await task
