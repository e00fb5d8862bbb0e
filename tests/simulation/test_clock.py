"""SimLoop, SimHost and FakeClock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from tautomer.testing import DeadlockError, FakeClock, LivelockError, SimHost, SimLoop, SimulationError


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    made = SimLoop()
    yield made
    for task in made.tasks():
        task.cancel()
    made.run_until_complete(asyncio.sleep(0))
    made.close()


def test_a_year_passes_at_once(loop: SimLoop) -> None:
    began = loop.time()

    loop.run_until_complete(asyncio.sleep(365 * 86_400))

    assert 365 * 86_400 == loop.time() - began


def test_short_waits_end_also_after_a_year(loop: SimLoop) -> None:
    """Where a float's step is larger than what is added, a loop that computes its waits would spin."""
    loop.run_until_complete(asyncio.sleep(10 * 365 * 86_400))

    async def tick() -> None:
        for _ in range(100):
            await asyncio.sleep(1e-9)

    loop.run_until_complete(tick())


def test_timers_run_in_the_order_of_their_times(loop: SimLoop) -> None:
    ran: list[str] = []
    loop.call_later(2, ran.append, "second")
    loop.call_later(1, ran.append, "first")
    loop.call_later(1.5, ran.append, "never").cancel()

    loop.run_until_complete(asyncio.sleep(3))

    assert ["first", "second"] == ran


def test_a_deadlock_is_told_with_where_everybody_waits(loop: SimLoop) -> None:
    async def wait_for_ever() -> None:
        await loop.create_future()

    with pytest.raises(DeadlockError, match="wait_for_ever"):
        loop.run_until_complete(wait_for_ever())


def test_a_loop_that_runs_in_circles_is_told(loop: SimLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(LivelockError, match="spin"):
        loop.run_until_complete(spin())


@pytest.mark.parametrize(
    ("what", "ask"),
    [
        ("a thread", lambda: asyncio.to_thread(print)),
        ("a real socket", lambda: asyncio.open_connection("127.0.0.1", 1)),
        ("another process", lambda: asyncio.create_subprocess_exec("true")),
        ("a name server", lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1)),
        ("only a node", lambda: asyncio.start_server(print, "127.0.0.1", 0)),
    ],
)
def test_the_world_outside_is_refused(loop: SimLoop, what: str, ask: Callable[[], object]) -> None:
    async def go() -> None:
        await ask()  # type: ignore[misc]  # Each is something to await.

    with pytest.raises(SimulationError, match=what):
        loop.run_until_complete(go())


def test_another_thread_cannot_call_in(loop: SimLoop) -> None:
    raised: list[BaseException] = []

    def call_in() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except SimulationError as error:
            raised.append(error)

    thread = threading.Thread(target=call_in)
    thread.start()
    thread.join()

    assert "another thread" in str(raised[0])


def test_the_own_thread_may(loop: SimLoop) -> None:
    ran: list[int] = []
    loop.call_soon_threadsafe(ran.append, 1)

    loop.run_until_complete(asyncio.sleep(0))

    assert [1] == ran


def test_sets_of_tasks_have_an_order(loop: SimLoop) -> None:
    """A TaskGroup cancels its tasks in the order of a set."""
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(number)

    async def go() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(wait(number))
            await asyncio.sleep(1)
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        loop.run_until_complete(go())

    again = SimLoop()
    first, ended[:] = list(ended), []
    with pytest.raises(ExceptionGroup):
        again.run_until_complete(go())
    again.close()

    assert first == ended


def test_a_host_has_counted_ids_and_drawn_chance(loop: SimLoop) -> None:
    one, same, other = SimHost.at(loop, "a", 1), SimHost.at(loop, "a", 1), SimHost.at(loop, "b", 1)

    assert ["a-1", "a-2", "b-1"] == [one.new_id(), one.new_id(), other.new_id()]
    assert one.random.random() == same.random.random() != other.random.random()


def test_the_wall_clock_of_a_host_jumps_and_its_clock_does_not(loop: SimLoop) -> None:
    host = SimHost.at(loop, "a", 1)
    clock, wall = host.clock(), host.wall_ms()

    host.jump(-3600)

    assert clock == host.clock()
    assert -3_600_000 == host.wall_ms() - wall


def test_a_fake_clock_moves_when_it_is_moved() -> None:
    clock = FakeClock(5.0)

    assert 7.5 == clock.advance(2.5) == clock() == clock.now


def test_a_fake_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)
