"""The example of examples/jsonrpc, as a newcomer runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tautomer import RemoteClient
from tests.programs import Program

from .test_shop import free_port

FOLDER = Path(__file__).parents[2] / "examples" / "jsonrpc"

pytestmark = pytest.mark.slow


def test_the_demo_asks_in_all_ways_and_ends() -> None:
    with Program(sys.executable, "-W", "error", FOLDER / "demo.py") as demo:
        assert 0 == demo.wait()

    assert [
        "name: stock",
        "apples by position: 3",
        "apples by name: 3",
        "two taken, left: 1",
        "refused: 1: not enough apples",
        "refused: -32602: Invalid params",
        "refused: -32001: Access denied",
        "a batch: [0, {'code': 404, 'message': 'there is no plum'}]",
        "methods: fill, get_service_specs, left, take",
        "with a token: the keeper put 9 in",
    ] == demo.lines


@pytest.mark.parametrize("command", [[FOLDER / "stock.py"], ["-m", "tautomer", "run", FOLDER / "stock.py"]])
def test_the_service_runs_alone(command: list[str | Path]) -> None:
    port = free_port()
    with Program(sys.executable, *command, env={"PORT": str(port)}) as service:
        service.wait_for("node started")
        with RemoteClient(f"http://127.0.0.1:{port}/api") as client:
            assert 3 == client.methods.left("apple")
        assert 0 == service.end()
