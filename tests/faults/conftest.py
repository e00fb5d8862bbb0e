from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .crew import Crew

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A worker that waits for a busy disk, where its ledger is, has no part in what is measured."""


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    """Workers, callers and a NATS server of this test alone."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        async with Crew(Path(folder)) as made:
            yield made
