"""`tautomer run --workers N`: real processes that find each other, die, come back and stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import pytest

from tautomer.cli.workers import Pauses, Supervisor, Workers
from tests.programs import Program, clean_environment

T = TypeVar("T")

TAUTOMER = (sys.executable, "-m", "tautomer")

WHO = """
    import os
    from tautomer import Service, action

    class Who(Service):
        name = "who"

        @action(rest="GET /")
        def me(self, ctx):
            return {"node": self.broker.id, "pid": os.getpid()}

        @action(rest="GET /of")
        async def of(self, ctx):
            return await ctx.call("who.me", node_id=ctx.params["id"], timeout=5.0)

        @action(rest="GET /die")
        def die(self, ctx):
            os._exit(3)
"""

GATEWAY = """
    from tautomer import ApiGatewayService

    class Door(ApiGatewayService):
        name = "api"
        settings = {"port": PORT, "ip": "127.0.0.1", "routes": [{"autoAliases": True, "mapping_policy": "restrict"}]}
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for yet is no process any more.
    return not re.search(r"\) Z ", Path(f"/proc/{pid}/stat").read_text()) if Path("/proc").exists() else True


def until(claim: Callable[[], T], seconds: float = 20.0) -> T:
    """Wait until the claim holds; what it said then."""
    end = time.monotonic() + seconds
    while not (said := claim()):
        assert time.monotonic() < end, "not so in time"
        time.sleep(0.02)
    return said


class Crew:
    """A supervised crew with a gateway in each worker, all on one port."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.port = free_port()
        write(folder, "who.py", WHO)
        write(folder, "door.py", GATEWAY.replace("PORT", str(self.port)))
        self.program = Program(*TAUTOMER, "run", folder, "-b", "crew", *more, cwd=folder)

    def get(self, path: str) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer: dict[str, object] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def of(self, node_id: str) -> dict[str, object] | None:
        """What that node says of itself, asked through whichever gateway; None if it is not there."""
        try:
            said = self.get(f"/who/of?id={node_id}")
        except (OSError, ValueError, http.client.HTTPException):
            return None
        return said if said.get("node") == node_id else None

    def pid(self, node_id: str) -> int:
        """Its process, once the gateway that happens to be asked knows it."""
        return int(str((until(lambda: self.of(node_id)) or {})["pid"]))


@pytest.mark.slow
def test_workers_form_a_mesh_share_the_port_come_back_and_stop(tmp_path: Path) -> None:
    crew = Crew(tmp_path / "services", "--workers", "3")
    ids = ["crew-1", "crew-2", "crew-3"]
    with crew.program as program:
        # Each is found from several gateways, since the system deals out the connections.
        until(lambda: all(crew.of(id) for id in ids for _ in range(4)))
        pids = {id: crew.pid(id) for id in ids}
        assert 3 == len(set(pids.values()))
        assert program.process.pid not in pids.values()

        os.kill(pids["crew-2"], signal.SIGKILL)
        program.wait_for("worker died; it is started again")
        until(lambda: crew.pid("crew-2") != pids["crew-2"])
        pids["crew-2"] = crew.pid("crew-2")

        assert 0 == program.end()
        until(lambda: not any(map(alive, pids.values())))
    for id in ids:
        assert re.search(rf"node stopped .*worker={id}", program.output)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_stops_all_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, "who.py", WHO)
    with Program(*TAUTOMER, "run", tmp_path / "who.py", "--workers", "2", cwd=tmp_path) as program:
        for _ in range(2):
            program.wait_for("node started")

        assert 0 == program.end(number)

    assert 2 == program.output.count("node stopped")


@pytest.mark.slow
def test_workers_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    crew = Crew(tmp_path / "services", "--workers", "2")
    with crew.program as program:
        pids = [crew.pid(id) for id in ("crew-1", "crew-2")]

        program.process.kill()
        program.process.wait()

        until(lambda: not any(map(alive, pids)))


@pytest.mark.slow
def test_workers_do_not_listen_to_the_network(tmp_path: Path) -> None:
    """Without -t nothing of them is to be reached from other machines, and no datagram leaves."""
    write(tmp_path, "who.py", WHO)
    with Program(*TAUTOMER, "run", tmp_path / "who.py", "--workers", "2", "-b", "w", cwd=tmp_path) as program:
        for _ in range(2):
            line = program.wait_for("listening for other nodes")
            assert "host=127.0.0.1" in line
        for _ in range(2):
            program.wait_for("node joined")
        assert 0 == program.end()


@pytest.mark.slow
def test_what_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    text = """
        import os
        from tautomer import Service

        class Bad(Service):
            name = "bad"

            async def started(self):
                os._exit(7)
    """
    command = [*TAUTOMER, "run", str(write(tmp_path, "bad.py", text))]

    async def supervise() -> tuple[int, int]:
        supervisor = Supervisor({"one": command}, clean_environment(), Pauses(first=0.01, quick_deaths_max=3))
        return await supervisor.run(), supervisor.restarts

    assert (7, 2) == asyncio.run(supervise())


@pytest.mark.slow
def test_a_wrong_use_is_told_once_by_the_parent(tmp_path: Path) -> None:
    write(tmp_path, "nothing.py", "x = 1")

    ended = subprocess.run(
        [*TAUTOMER, "run", str(tmp_path), "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(),
        check=False,
    )

    assert 2 == ended.returncode
    assert 1 == ended.stderr.count("no service found")


async def test_one_that_does_not_end_is_killed_in_the_end(tmp_path: Path) -> None:
    mark = tmp_path / "deaf"
    code = "import pathlib, signal, sys; signal.signal(15, signal.SIG_IGN); pathlib.Path(sys.argv[1]).touch(); signal.pause()"
    command = [sys.executable, "-c", code, str(mark)]
    supervisor = Supervisor({"deaf": command}, clean_environment(), Pauses(stop_wait=0.1))
    running = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(20):
        while not mark.exists():
            await asyncio.sleep(0.01)
        supervisor.stop()

        assert 128 + signal.SIGKILL == await running


@pytest.mark.parametrize(("deaths", "pause"), [(1, 0.5), (2, 1.0), (3, 2.0), (10, 30.0)])
def test_pauses_grow_up_to_a_bound(deaths: int, pause: float) -> None:
    assert pause == Pauses().before(deaths)


def test_workers_without_a_transporter_name_each_other_on_this_machine() -> None:
    workers = Workers("w", 2, None)

    found = re.fullmatch(
        r"tcp://127\.0\.0\.1:(\d+)/w-1,127\.0\.0\.1:(\d+)/w-2\?host=127\.0\.0\.1&udp_discovery=false&reuse_port=true",
        str(workers.transporter),
    )
    assert found
    assert found[1] != found[2]
    workers.close()


def test_workers_over_tcp_keep_the_users_peers_and_options() -> None:
    workers = Workers("w", 1, "tcp://10.0.0.1:4000/a?udp_port=5000")

    assert re.fullmatch(
        r"tcp://10\.0\.0\.1:4000/a,127\.0\.0\.1:\d+/w-1\?udp_port=5000&reuse_port=true", str(workers.transporter)
    )
    workers.close()


@pytest.mark.parametrize("transporter", ["nats://localhost:4222", ""])
def test_another_transporter_is_left_as_it_is(transporter: str) -> None:
    workers = Workers("w", 2, transporter)

    assert transporter == workers.transporter
    assert ["-t", transporter] == workers.command("w-1", ["services"], [])[6:8]
