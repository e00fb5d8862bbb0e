"""Thousands of connections that say nothing: what each costs, and that nobody else notices them."""

from __future__ import annotations

import asyncio
import itertools
import resource
import socket
import statistics
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.faults.gauges import memory
from tests.programs import Program
from tests.web.conftest import OpenDoor
from tests.web.http.wire import get

from .test_slow_clients import ROUTES, Work, counts

HERE = Path(__file__).parent
BYTES_MAX = 12 * 1024
"""What an idle connection may cost in this process. What the system keeps for its socket is not in it."""

SPARE_FILES = 100


def gateway(loop: str) -> tuple[Program, int]:
    program = Program(HERE / "idle_gateway.py", loop, "any")
    return program, int(program.wait_for("port").split()[1])


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return str(request.param)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (1_000, "used"),
        (1_000, "half"),
        *(pytest.param(10_000, kind, marks=pytest.mark.full) for kind in ("new", "used", "posted", "half")),
    ],
)
def test_an_idle_connection_costs_little_and_slows_nobody(loop: str, count: int, kind: str) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= most < count + SPARE_FILES:
        pytest.skip(f"a process may have {most} files open here, not {count + SPARE_FILES}")
    program, port = gateway(loop)
    with program:
        with Program(HERE / "idle_crowd.py", str(port), "200", kind) as first:
            first.wait_for("ready")
        # What the first of them needed once, the others do not need again.
        served(port)
        before = memory(program.process.pid)
        with Program(HERE / "idle_crowd.py", str(port), str(count), kind) as crowd:
            crowd.wait_for("ready", 120)
            each = (memory(program.process.pid) - before) / count
            took = served(port)
        served(port)

    print(
        f"{count} {kind} connections, {loop}: {each:.0f} bytes each; "
        f"others served in {statistics.median(took) * 1000:.2f} ms, at most {max(took) * 1000:.1f} ms"
    )
    assert each < BYTES_MAX
    assert statistics.median(took) < 0.1


@pytest.mark.slow
def test_where_few_files_may_be_open_as_many_connections_are_taken_and_no_more(loop: str) -> None:
    """Who is one too many is told so; nobody is left waiting, and the log is not filled."""
    gateway = f"exec {sys.executable} {HERE / 'idle_gateway.py'} {loop} usual"
    with Program("bash", "-c", f"ulimit -n 700; {gateway}") as program:
        port = int(program.wait_for("port").split()[1])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as known:
            crowd = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(900)]
            said = [heard(one) for one in crowd[-50:]]
            known.sendall(get("/echo"))
            assert known.recv(65_536).startswith(b"HTTP/1.1 200 ")
            for one in crowd:
                one.close()
        took = served(port)
        program.end()

    assert set(said) <= {b"", b"HTTP/1.1 503"}
    assert statistics.median(took) < 0.1
    assert "out of system resource" not in program.output


def heard(client: socket.socket) -> bytes:
    """How a server's word begins that comes unasked, until the end or a reset."""
    try:
        return client.recv(65_536)[:12]
    except ConnectionError:
        return b""


async def test_a_crowd_that_comes_at_once_is_let_in_bit_by_bit(door: OpenDoor) -> None:
    """All of them by the system, while the loop does something else; and then not all in one turn of the loop."""
    opened = await door(Work(), routes=ROUTES)
    crowd = [socket.create_connection(("127.0.0.1", opened.port), timeout=5) for _ in range(300)]
    seen = [counts(opened)["connections"]]
    while seen[-1] < len(crowd):
        await asyncio.sleep(0)
        seen.append(counts(opened)["connections"])
    for one in crowd:
        one.close()

    # uvloop takes what there is, but a connection costs it much less.
    if isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        assert max(later - earlier for earlier, later in itertools.pairwise(seen)) < 50


def served(port: int) -> list[float]:
    """How long others wait for an answer, in seconds."""
    took = []
    for _ in range(50):
        begun = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/echo?a=1", timeout=10) as answer:
            assert b'{"a":"1"}' == answer.read()
        took.append(time.perf_counter() - begun)
    return took
