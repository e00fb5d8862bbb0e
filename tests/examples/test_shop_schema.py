"""The shop's own OpenAPI document, held against the shop by a tool that makes requests of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.test_shop import free_port, shop


@pytest.mark.slow
def test_the_shop_keeps_to_what_it_documents(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/api/openapi.json"]
    options = ["--seed", "1", "--generation-deterministic", "--max-examples", "25", "--checks", "all", "--no-color"]
    with shop(port, tmp_path) as running:
        running.wait_for("node started")
        tried = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
        )
        assert 0 == running.end()

    assert 0 == tried.returncode, tried.stdout[-4000:]
    assert "Tested: 11" in tried.stdout
