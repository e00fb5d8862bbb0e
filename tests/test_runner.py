"""run(): from the start to the signal that ends the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import tautomer
from tautomer import Service, Settings, event, run
from tautomer.errors import ServiceSchemaError
from tautomer.protocol.packets import Info
from tautomer.settings import RegistrySettings
from tests.programs import Program


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    logger = logging.getLogger("tautomer")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before
    logger.setLevel(before[1])


class Short(Service):
    """Ends its own process's run as soon as the node has started."""

    name = "short"
    number = signal.SIGTERM

    def created(self) -> None:
        self.seen: list[str] = []

    @event("$broker.started")
    def on_start(self) -> None:
        self.seen.append(type(asyncio.get_running_loop()).__module__)
        os.kill(os.getpid(), self.number)

    def stopped(self) -> None:
        self.seen.append("stopped")


QUIET = Settings(log_level="ERROR")


class Haunted(Short):
    """Hears of a namesake as soon as the node has started."""

    @event("$broker.started")
    def on_start(self) -> None:
        namesake = Info(services=[], instance_id="other", ver="5", sender=self.broker.id)
        assert self.broker.transit is not None
        self.broker.transit.presence.on_own_info(namesake)


def test_a_node_that_gives_way_to_a_namesake_stops_and_gives_exit_code_1() -> None:
    settings = Settings(
        log_level="CRITICAL", transporter="memory://haunted", registry=RegistrySettings(on_conflict="stop")
    )
    service = Haunted()

    assert 1 == run(service, settings=settings)
    assert ["stopped"] == service.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_services_and_gives_exit_code_0(number: signal.Signals) -> None:
    service = Short()
    service.number = number

    assert 0 == run(service, settings=QUIET)
    assert "stopped" == service.seen[-1]


def test_it_runs_on_uvloop_where_that_is_installed() -> None:
    pytest.importorskip("uvloop")
    service = Short()

    run(service, settings=QUIET)

    assert service.seen[0].startswith("uvloop")


def test_it_runs_on_plain_asyncio_where_uvloop_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    service = Short()

    assert 0 == run(service, settings=QUIET)
    assert service.seen[0].startswith("asyncio")


def test_what_makes_the_start_fail_is_raised_and_everything_undone() -> None:
    class Failing(Service):
        name = "failing"

        def started(self) -> None:
            raise KeyError("no such thing")

    other = Short()

    with pytest.raises(KeyError, match="no such thing"):
        run(other, Failing, settings=QUIET)
    assert "stopped" == other.seen[-1]


def test_a_service_without_a_name_is_refused() -> None:
    class Nameless(Service):
        pass

    with pytest.raises(ServiceSchemaError, match="Nameless has no name"):
        run(Nameless, settings=QUIET)


async def test_inside_a_running_loop_it_names_the_other_way() -> None:
    with pytest.raises(RuntimeError, match="async with Broker"):
        run(Short)


def test_the_name_in_the_package_is_the_function() -> None:
    assert callable(tautomer.run)


# --- signals at other times, in a process of its own ---

HEAD = """
    import asyncio
    from tautomer import Service, run

    def say(text):
        print(text, flush=True)
"""


def program(folder: Path, text: str) -> Program:
    file = folder / "program.py"
    file.write_text(dedent(HEAD) + dedent(text))
    return Program(file)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_undoes_it(tmp_path: Path, number: signal.Signals) -> None:
    text = """
        class Slow(Service):
            name = "slow"

            async def started(self):
                say("starting")
                try:
                    await asyncio.sleep(60)
                finally:
                    say("cut off")

        code = run(Slow)
        say(f"returned {code}")
    """
    with program(tmp_path, text) as slow:
        slow.wait_for("starting")

        assert 0 == slow.end(number)
        assert "cut off" in slow.lines
        assert "returned 0" == slow.lines[-1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, number: signal.Signals) -> None:
    text = """
        class Hanging(Service):
            name = "hanging"

            async def stopped(self):
                say("hanging")
                await asyncio.sleep(60)

        run(Hanging)
        say("returned")
    """
    with program(tmp_path, text) as hanging:
        hanging.wait_for("node started")
        hanging.send(number)
        hanging.wait_for("hanging")

        assert 128 + number == hanging.end(number, seconds=2)
        assert "returned" not in hanging.lines


@pytest.mark.slow
def test_a_second_signal_also_ends_a_process_whose_thread_hangs(tmp_path: Path) -> None:
    text = """
        import threading

        class Hanging(Service):
            name = "hanging"

            async def started(self):
                self.thread = asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)

            async def stopped(self):
                say("stopped")

        run(Hanging)
    """
    with program(tmp_path, text) as hanging:
        hanging.wait_for("node started")
        hanging.send(signal.SIGTERM)
        hanging.wait_for("node stopped")

        assert 128 + signal.SIGTERM == hanging.end(signal.SIGTERM, seconds=2)
