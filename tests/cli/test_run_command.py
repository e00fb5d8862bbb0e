"""`tautomer run`: what it loads, what it tells, and its exit codes."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner, Result

from tautomer import __version__
from tautomer.cli.main import main
from tautomer.cli.run import transporter_url
from tests.programs import Program, clean_environment
from tests.servers import NatsServer

TAUTOMER = (sys.executable, "-m", "tautomer")

USERS = """
    from tautomer import Service, action

    class Users(Service):
        name = "users"

        @action
        def get(self, ctx):
            return {"id": 5}
"""


@pytest.fixture(autouse=True)
def _process_state() -> Iterator[None]:
    path = list(sys.path)
    logger = logging.getLogger("tautomer")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    sys.path[:] = path
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture
def services(tmp_path: Path) -> Path:
    folder = tmp_path / "services"
    write(folder, "users.py", USERS)
    return folder


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def tautomer(*args: str | Path) -> Result:
    """The command in this process: for what ends before anything runs."""
    return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="tautomer", terminal_width=200)


def one_line(result: Result) -> str:
    """What was printed, without the frame and its line breaks."""
    return " ".join(result.output.replace("│", " ").split())


# --- what it says without running anything ---


def test_version_tells_the_package_and_the_python() -> None:
    result = tautomer("--version")

    assert 0 == result.exit_code
    assert result.output.startswith(f"tautomer {__version__} (CPython 3.")


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["run", "--help"]])
def test_help_is_no_failure(args: list[str]) -> None:
    assert 0 == tautomer(*args).exit_code


def test_help_of_run_names_every_option() -> None:
    result = tautomer("run", "-h")

    for option in ("--broker-id", "--transporter", "--log-level", "--log-format", "--namespace"):
        assert option in result.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["services", "--transportr", "x"], "No such option '--transportr'. Did you mean '--transporter'?"),
        (["--log-levl", "x", "services"], "No such option '--log-levl'. Did you mean '--log-level'?"),
        (["services", "-f", "XML"], "'XML' is not one of"),
        (["services", "-l", "LOUD"], "'LOUD' is not one of"),
        (["run"], "Missing argument"),
        (["nowhere"], "there is no folder, file or command 'nowhere'"),
    ],
)
def test_a_wrong_use_is_told_and_ends_with_2(args: list[str], said: str) -> None:
    result = tautomer(*args)

    assert 2 == result.exit_code
    assert said in one_line(result)


def test_no_service_found_ends_with_2(tmp_path: Path) -> None:
    write(tmp_path, "nothing.py", "x = 1")

    result = tautomer(tmp_path)

    assert 2 == result.exit_code
    assert f"no service found in {tmp_path}" in result.output


def test_a_broken_file_ends_with_1_and_its_place(services: Path) -> None:
    file = write(services, "broken.py", "import os\n\nmissing\n")

    result = tautomer(services)

    assert 1 == result.exit_code
    assert result.output.startswith(f"tautomer: {file}, line 3: NameError: name 'missing' is not defined")
    assert "importlib" not in result.output


def test_a_broken_file_shows_the_whole_traceback_to_those_who_asked_for_debug(services: Path) -> None:
    write(services, "broken.py", "missing\n")

    result = tautomer(services, "-l", "debug")

    assert "Traceback (most recent call last):" in result.output
    assert "importlib" in result.output


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {}, None),
        (None, {"NATS_URL": "nats://b"}, "nats://b"),
        (None, {"NATS_URL": "nats://b", "TRANSPORTER": "nats://a"}, "nats://a"),
        (None, {"TRANSPORTER": "", "NATS_URL": "nats://b"}, "nats://b"),
        ("nats://c", {"TRANSPORTER": "nats://a"}, "nats://c"),
        ("", {"TRANSPORTER": "nats://a"}, None),
    ],
)
def test_the_transporter_is_the_options_else_the_environments(
    monkeypatch: pytest.MonkeyPatch, option: str | None, environment: dict[str, str], expected: str | None
) -> None:
    for name in ("TRANSPORTER", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert expected == transporter_url(option)


# --- starts that fail ---


def failing(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TAUTOMER, *map(str, args)], capture_output=True, text=True, timeout=30, env=clean_environment(), check=False
    )


@pytest.mark.slow
def test_a_taken_port_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"""
            import asyncio
            from tautomer import Service

            class Door(Service):
                name = "door"

                async def started(self):
                    await asyncio.start_server(print, "127.0.0.1", {port})
        """

        ended = failing(write(tmp_path, "door.py", text))

    assert 1 == ended.returncode
    assert "tautomer: start failed: " in ended.stderr
    assert str(port) in ended.stderr.splitlines()[-1]
    assert "address already in use" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_fault_in_started_is_named_with_its_place(tmp_path: Path) -> None:
    text = """
        import json
        from tautomer import Service

        class Reading(Service):
            name = "reading"

            def started(self):
                json.loads("{")
    """
    file = write(tmp_path, "reading.py", text)

    ended = failing(file)

    assert 1 == ended.returncode
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("tautomer: start failed: JSONDecodeError: ")
    assert f"({file}, line 9; -l DEBUG shows more)" in last
    assert "Traceback" not in ended.stderr
    assert "Traceback" in failing(file, "-l", "DEBUG").stderr


@pytest.mark.slow
@pytest.mark.server
def test_refused_credentials_are_one_clear_message(services: Path) -> None:
    with NatsServer("--user", "anna", "--pass", "secret") as server:
        ended = failing(services, "-t", server.url.replace("://", "://anna:wrong@"))

    assert 1 == ended.returncode
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("tautomer: start failed: ")
    assert server.address in last
    assert "wrong" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_transporter_that_is_not_known_is_one_clear_message(services: Path) -> None:
    ended = failing(services, "-t", "carrier-pigeon://home")

    assert 1 == ended.returncode
    assert "carrier-pigeon" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


# --- running ---


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_folder_runs_until_a_signal_and_ends_with_0(services: Path, number: signal.Signals) -> None:
    with Program(*TAUTOMER, services) as node:
        node.wait_for("service started service=users")
        node.wait_for("node started")

        assert 0 == node.end(number)
        assert "node stopped" in node.output


@pytest.mark.slow
def test_run_is_the_same_and_takes_files_and_classes_too(services: Path, tmp_path: Path) -> None:
    write(tmp_path, "posts.py", USERS.replace("Users", "Posts").replace("users", "posts"))
    write(tmp_path, "shop/__init__.py", USERS.replace("Users", "Orders").replace("users", "orders"))

    with Program(*TAUTOMER, "run", services, tmp_path / "posts.py", "shop:Orders", cwd=tmp_path) as node:
        node.wait_for("node started")

        assert 0 == node.end()
        for name in ("users", "posts", "orders"):
            assert f"service started service={name}" in node.output


@pytest.mark.slow
def test_options_reach_the_broker(tmp_path: Path) -> None:
    text = """
        from tautomer import Service, event

        class Shown(Service):
            name = "shown"

            @event("$broker.started")
            def show(self):
                print(f"shown {self.broker.id} {self.broker.settings.namespace}", flush=True)
    """
    write(tmp_path, "shown.py", text)

    with Program(*TAUTOMER, "-l", "WARN", "-b", "node-7", tmp_path, "-n", "shop") as node:
        assert "shown node-7 shop" == node.wait_for("shown")
        assert 0 == node.end()
        assert ["shown node-7 shop"] == node.lines


@pytest.mark.slow
def test_json_logs_are_one_object_a_line(services: Path) -> None:
    with Program(*TAUTOMER, services, "-f", "json") as node:
        node.wait_for("node started")
        assert 0 == node.end()

    assert "node started" in [json.loads(line)["msg"] for line in node.lines]


@pytest.mark.slow
@pytest.mark.server
def test_two_processes_are_one_mesh(services: Path, tmp_path: Path) -> None:
    text = """
        from tautomer import Service

        class Asking(Service):
            name = "asking"
            dependencies = "users"

            async def started(self):
                print("got", await self.broker.call("users.get"), flush=True)
    """
    asking = write(tmp_path, "asking.py", text)

    with (
        NatsServer() as server,
        Program(*TAUTOMER, services, "-t", server.url) as users,
        Program(*TAUTOMER, asking, env={"NATS_URL": server.url}) as caller,
    ):
        caller.wait_for("got {'id': 5}")

        assert 0 == caller.end()
        assert 0 == users.end()


@pytest.mark.slow
def test_the_installed_command_is_the_module(services: Path) -> None:
    command = Path(sys.executable).with_name("tautomer")
    if not os.access(command, os.X_OK):
        pytest.skip("the package is not installed, so there is no command")

    ended = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout.startswith(f"tautomer {__version__} ")


def test_a_node_without_a_gateway_answers_probes_where_it_is_told(services: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with Program(*TAUTOMER, services, "--probe-port", str(port)) as node:
        node.wait_for("node started")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            assert {"status": "ok", "checks": {"started": True}} == json.loads(answer.read())
        assert 0 == node.end()


def test_one_probe_port_is_not_for_several_workers(services: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(services), "--probe-port", "1", "--workers", "2"])

    assert (2, True) == (result.exit_code, "--probe-port is for one node" in result.output)
