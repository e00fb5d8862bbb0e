"""`execute`: blocking, from wherever there is no loop (resilience reference, section 16)."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tautomer import Broker, Command, component
from tautomer.commands.loops import Loops
from tautomer.errors import CommandTimeout
from tests.programs import Program


class Where(Command):
    command_key = "where"
    timeout_seconds = 10.0

    async def run(self) -> str:
        return threading.current_thread().name


class InThread(Command):
    command_key = "in thread"
    timeout_seconds = 10.0

    def run(self) -> str:
        return threading.current_thread().name


def test_outside_of_any_loop_it_runs_in_one_in_the_background() -> None:
    assert "commands-loop" == Where().execute()
    assert InThread().execute().startswith("commands-default-")


def test_errors_and_timeouts_come_back() -> None:
    class Failing(Where):
        command_key = "failing"

        async def run(self) -> str:
            raise OSError("down")

    class Hanging(Where):
        command_key = "hanging"

        async def run(self) -> str:
            await asyncio.sleep(60)
            return "late"

    with pytest.raises(OSError, match="down"):
        Failing().execute()
    with pytest.raises(CommandTimeout):
        Hanging().execute(timeout=0.05)


async def test_inside_of_a_loop_it_names_the_other_way() -> None:
    with pytest.raises(RuntimeError, match=r"await command\.queue\(\)"):
        Where().execute()


async def test_a_thread_runs_it_in_the_loop_of_the_broker() -> None:
    async with Broker("lender"):
        assert threading.current_thread().name == await asyncio.to_thread(Where().execute)
        assert "commands-loop" != await asyncio.to_thread(lambda: Where().queue().wait())
    assert "commands-loop" == await asyncio.to_thread(Where().execute)


async def test_a_command_in_a_thread_of_another_runs_in_the_loop_of_that() -> None:
    class Outer(InThread):
        command_key = "outer"

        def run(self) -> Any:
            return Where().execute(), InThread().execute()

    assert threading.current_thread().name == (await Outer())[0]


async def test_a_handle_may_be_awaited_in_another_loop_and_cancelled_from_there() -> None:
    class Hanging(Where):
        command_key = "hanging"
        timeout_seconds = 60.0

        async def run(self) -> str:
            await asyncio.sleep(60)
            return "late"

    made: list[Any] = []
    await asyncio.to_thread(lambda: made.extend([Where().queue(), Hanging().queue()]))

    assert "commands-loop" == await made[0]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await made[1]
    assert await asyncio.to_thread(_ended, made[1])


def _ended(handle: Any) -> bool:
    try:
        handle.wait()
    except BaseException as error:
        return "Cancelled" in type(error).__name__
    return False


def test_who_waits_for_a_loop_that_was_stopped_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = Loops()
    monkeypatch.setattr(component, "loops", loops)

    class Hanging(Where):
        command_key = "hanging"
        timeout_seconds = None

        async def run(self) -> str:
            begun.set()
            await asyncio.sleep(3600)
            return "late"

    begun = threading.Event()
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            Hanging().execute()
        except RuntimeError as error:
            seen.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    begun.wait(10)
    loop = loops.here()
    tasks = asyncio.all_tasks(loop)
    loops.stop()
    waiting.join(20)

    assert "was stopped before its end" in str(seen[0])
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # What was given up, was so on purpose.
        task.get_coro().close()  # type: ignore[union-attr]


PROGRAM = """
    import asyncio, atexit, threading
    from tautomer import Command

    class InLoop(Command):
        async def run(self):
            await asyncio.sleep(0)
            return "loop"

    class InThread(Command):
        def run(self):
            return "thread"

        def fallback(self):
            return "fallback"

    class Hanging(Command):
        timeout_seconds = 0.05
        def run(self):
            threading.Event().wait()
        def fallback(self):
            return "given up"

    def at_the_end():
        print(InLoop().execute(), InThread().execute())

    atexit.register(at_the_end)
    {before}
"""


@pytest.mark.parametrize("before", ["", "print(InThread().execute())", "print(Hanging().execute())"])
def test_a_handler_of_atexit_may_execute_commands_and_nothing_that_hangs_holds_the_process(
    before: str, tmp_path: Path
) -> None:
    file = tmp_path / "program.py"
    file.write_text(dedent(PROGRAM).format(before=before))

    with Program(sys.executable, "-W", "error", file) as program:
        assert 0 == program.wait(), program.output

    first = {"": [], "print(InThread().execute())": ["thread"]}.get(before, ["given up"])
    assert [*first, "loop thread"] == program.lines


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_has_pools_of_its_own() -> None:
    component.add("executor_pool", {"group_key": "default", "max_workers": 2})
    component.install()
    InThread().execute()
    answers: Any = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(
        target=lambda: answers.put((InThread().execute(), component.statistics()["pools"]["default"]["max_workers"]))
    )
    child.start()
    child.join(20)

    assert ("commands-default-1", 2) == answers.get()
    assert 0 == child.exitcode
