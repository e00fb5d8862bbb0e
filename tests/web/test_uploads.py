"""What large bodies cost in memory, up and down, here and at another node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="the system does not tell how much memory is held"
    ),
]


def run(kind: str, place: str, megabytes: int, timeout: float) -> tuple[int, int]:
    """Bytes that went through, and by how many the most that was held grew."""
    command = [sys.executable, "-m", "tests.web.upload_program", kind, place, str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return told["bytes"], told["growth_bytes"]


@pytest.mark.parametrize("place", ["here", "there"])
@pytest.mark.parametrize("kind", ["stream", "multipart", "down"])
def test_fifty_megabytes_go_through_a_few(kind: str, place: str) -> None:
    size, growth = run(kind, place, 50, timeout=50)

    assert 50 * MEGABYTE == size
    assert growth < 24 * MEGABYTE


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", ["here", "there"])
@pytest.mark.parametrize("kind", ["stream", "multipart", "down"])
def test_a_gibibyte_takes_less_than_64_megabytes(kind: str, place: str) -> None:
    size, growth = run(kind, place, 1024, timeout=580)

    assert 1024 * MEGABYTE == size
    assert growth < 64 * MEGABYTE
