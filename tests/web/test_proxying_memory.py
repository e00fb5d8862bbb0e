"""Bodies of any length pass a proxy in a few megabytes, both ways, to and from a server of another process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.upload_program import PIECE

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024

pytestmark = pytest.mark.slow


def through(kind: str, megabytes: int, timeout: float) -> int:
    """By how many bytes the most that was held grew, once all had come through unchanged."""
    command = [sys.executable, "-m", "tests.web.proxying_program", kind, str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    hashed = hashlib.md5()
    for _ in range(megabytes * 16):
        hashed.update(PIECE)
    assert (megabytes * MEGABYTE, hashed.hexdigest()) == (told["bytes"], told["digest"])
    return int(told["growth_bytes"])


@pytest.mark.parametrize("kind", ["up", "down", "both"])
def test_a_hundred_megabytes_go_through_a_few(kind: str) -> None:
    assert through(kind, 100, timeout=50) < 12 * MEGABYTE


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["up", "down", "both"])
def test_a_gibibyte_goes_through_no_more(kind: str) -> None:
    assert through(kind, 1024, timeout=280) < 12 * MEGABYTE
