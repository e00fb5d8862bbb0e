"""Whole programs with threads and processes: signals, ends of all kinds, and where handlers are found."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.programs import Program

pytestmark = pytest.mark.slow

SERVICE = """
    import asyncio, os, sys, threading, time

    from tautomer import Broker, Context, Service, Settings, action, run


    def say(*words):
        print(*words, flush=True)


    class Work(Service):
        name = "work"

        @action(process=True)
        def pid(self, ctx: Context) -> int:
            return os.getpid()

        @action(process=True)
        def burn(self, ctx: Context) -> None:
            say("burning", os.getpid())
            until = time.monotonic() + 600
            while time.monotonic() < until:
                pass

        @action(blocking=True)
        def hang(self, ctx: Context) -> None:
            say("hanging")
            threading.Event().wait()
"""


def program(folder: Path, rest: str, name: str = "app.py") -> Program:
    file = folder / name
    file.write_text(textwrap.dedent(SERVICE) + textwrap.dedent(rest))
    return Program(sys.executable, "-W", "error", file, cwd=folder)


def gone(pid: int, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


STARTED = """
    class Starter(Service):
        name = "starter"

        async def started(self):
            self.task = asyncio.get_running_loop().create_task(self.begin())

        async def begin(self):
            await self.broker.wait_for_services("work")
            try:
                await self.broker.call("work.{what}")
            except Exception as error:
                say("ended", type(error).__name__)


    if __name__ == "__main__":
        sys.exit(run(Work, Starter, settings=Settings(shutdown_timeout=0.3)))
"""


def test_a_signal_to_all_processes_ends_them_without_a_word(tmp_path: Path) -> None:
    """As of Ctrl-C in a terminal, or of a system that stops a service with all its processes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with program(tmp_path, STARTED.format(what="burn")) as running:
            child = int(running.wait_for("burning").split()[1])

            os.kill(child, number)
            code = running.end(number)

            assert 0 == code, running.output
            assert "Traceback" not in running.output
            assert gone(child)


def test_a_signal_while_a_process_starts_ends_it_without_a_word(tmp_path: Path) -> None:
    slow = "\n    time.sleep(0.3)\n"  # The process, too, imports this.
    with program(tmp_path, slow + STARTED.format(what="pid")) as running:
        child = spawned_by(running.process.pid)
        os.kill(child, signal.SIGINT)

        assert 0 == running.end(signal.SIGINT), running.output
        assert "Traceback" not in running.output
        assert "KeyboardInterrupt" not in running.output
        assert gone(child)


def spawned_by(pid: int) -> int:
    """The first process of a pool, as soon as it is there."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for one in (thread / "children").read_text().split():
                if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                    return int(one)
        time.sleep(0.005)
    raise AssertionError("no process was spawned")


def test_a_thread_that_hangs_keeps_no_program_from_ending(tmp_path: Path) -> None:
    with program(tmp_path, STARTED.format(what="hang")) as running:
        running.wait_for("hanging")
        began = time.monotonic()

        code = running.end(signal.SIGTERM)

        assert (0, True) == (code, time.monotonic() - began < 10), running.output
        assert "functions in threads do not end; they are left behind" in running.output


def test_a_process_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, STARTED.format(what="burn")) as running:
        child = int(running.wait_for("burning").split()[1])

        running.end(signal.SIGKILL)

        assert gone(child)


def test_a_program_that_ends_without_stopping_its_node_leaves_no_process(tmp_path: Path) -> None:
    rest = """
        async def main():
            broker = Broker("n1")
            await broker.register(Work)
            await broker.start()
            say("pid", await broker.call("work.pid"))


        if __name__ == "__main__":
            asyncio.run(main())
            say("ends")
    """
    with program(tmp_path, rest) as running:
        child = int(running.wait_for("pid").split()[1])

        assert 0 == running.wait(), running.output
        assert gone(child)


def test_a_main_module_that_starts_at_import_is_told_what_to_do(tmp_path: Path) -> None:
    rest = """
        async def main():
            async with Broker("n1") as broker:
                await broker.register(Work)
                try:
                    await broker.call("work.pid")
                except Exception as error:
                    say("CAUGHT", error.type, error)


        asyncio.run(main())
    """
    with program(tmp_path, rest) as running:
        line = running.wait_for("CAUGHT")

        assert 0 == running.wait(), running.output
    assert "PROCESS_START The process that was to run 'work.pid' did not start (exit code 1" in line
    assert 'belongs under `if __name__ == "__main__":`' in line
    assert "imports the program's main module, and that starts a node" in running.output


def test_a_service_that_the_command_line_loaded_from_a_file_is_found_there(tmp_path: Path) -> None:
    services = tmp_path / "services"
    services.mkdir()
    (services / "work.py").write_text(textwrap.dedent(SERVICE))
    (services / "asking.py").write_text(
        textwrap.dedent(
            """
            import asyncio, os

            from tautomer import Service


            class Asking(Service):
                name = "asking"
                dependencies = "work"

                async def started(self):
                    print("OTHER", os.getpid() != await self.broker.call("work.pid"), flush=True)
            """
        )
    )
    with Program(sys.executable, "-m", "tautomer", "run", services, cwd=tmp_path) as running:
        line = running.wait_for("OTHER")

        assert 0 == running.end(signal.SIGTERM), running.output
    assert "OTHER True" == line
