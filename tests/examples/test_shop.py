"""The shop of examples/shop, and scripts/demo, as a newcomer runs them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.programs import Program, clean_environment

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"
TAUTOMER = (sys.executable, "-m", "tautomer")
SERVICES = ("users", "products", "orders", "mailer", "api")

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def shop(port: int, data: Path) -> Program:
    return Program(*TAUTOMER, SHOP, env={"PORT": str(port), "SHOP_DATA": str(data)})


def test_the_whole_shop_runs_in_one_process_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with shop(port, tmp_path) as first:
        first.wait_for("node started")
        tour = subprocess.run(
            [sys.executable, SHOP / "_tour.py", "--url", url, "--check"], capture_output=True, text=True, timeout=50
        )
        assert (0, "") == (tour.returncode, tour.stderr), tour.stdout
        assert "FAIL" not in tour.stdout
        assert 0 == first.end()
    assert [] == [name for name in SERVICES if f"service started service={name}" not in first.output]

    with shop(port, tmp_path) as second:
        second.wait_for("node started")
        # Without --check the tour only waits until all is ready, and prints its requests.
        assert 0 == subprocess.run([sys.executable, SHOP / "_tour.py", "--url", url], timeout=50).returncode
        with urllib.request.urlopen(f"{url}/api/users", timeout=5) as answer:
            users = json.loads(answer.read())
        assert 0 == second.end()
    assert ["Anna"] == [user["name"] for user in users]


def test_the_tour_fails_when_an_answer_is_wrong(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    tour = [sys.executable, str(SHOP / "_tour.py"), "--url", url, "--check"]
    with shop(port, tmp_path) as running:
        running.wait_for("node started")
        assert 0 == subprocess.run(tour, capture_output=True, timeout=50).returncode
        # Anna exists already, so the first answer is another one now.
        again = subprocess.run(tour, capture_output=True, text=True, timeout=50)

    assert 1 == again.returncode
    assert "FAIL POST /api/users" in again.stdout


# --- scripts/demo ---


@pytest.fixture
def demo() -> Path:
    if not list(ROOT.glob(".venv/installed-*")):
        pytest.skip("scripts/demo would install into .venv, which only scripts/test and scripts/install are to do")
    return ROOT / "scripts" / "demo"


@pytest.mark.server
def test_the_demo_checks_itself_and_leaves_nothing_behind(demo: Path) -> None:
    done = subprocess.run([demo, "--check"], capture_output=True, text=True, timeout=55, env=clean_environment())

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "demo: all is well" in done.stdout
    if shutil.which("node") and shutil.which("npm"):
        assert "13 of 13 answers are right" in done.stdout


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_demo_and_everything_it_started(demo: Path, number: signal.Signals) -> None:
    port = free_port()
    with Program(demo, "--port", str(port)) as running:
        running.wait_for("Ctrl-C stops everything.", seconds=50)
        (nats,) = re.findall(r"NATS server +nats://(\S+)", running.output)
        (kept,) = re.findall(r"logs, data +(\S+)", running.output)
        gateway = f"127.0.0.1:{port}"
        assert f"curl -i 'http://{gateway}/api/products/1'" in running.output
        assert [True, True] == [listens(gateway), listens(nats)]

        assert 128 + number == running.end(number)
        assert [False, False] == [listens(gateway), listens(nats)]
        assert not (ROOT / kept).exists()


@pytest.mark.server
def test_a_service_that_ends_by_itself_ends_the_demo_at_once_and_is_named(demo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([demo, "--check", "--port", str(port)], capture_output=True, text=True, timeout=20)

    assert 1 == done.returncode
    assert "demo: gateway ended by itself:" in done.stderr
    assert f"tautomer: start failed: port {port} on 127.0.0.1 is already in use" in done.stderr
    assert "Traceback" not in done.stderr
    (nats,) = set(re.findall(r"connected to NATS at nats://(\S+)", done.stderr))
    assert not listens(nats)
    (kept,) = re.findall(r"the logs are kept in (\S+)", done.stderr)
    shutil.rmtree(ROOT / kept)


def test_the_demo_names_a_wrong_option(demo: Path) -> None:
    done = subprocess.run([demo, "--prot", "1"], capture_output=True, text=True, timeout=30)

    assert 2 == done.returncode
    assert "'--prot' is not known; known: --port N, --check" in done.stderr
