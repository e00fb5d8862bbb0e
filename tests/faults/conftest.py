from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .crew import Crew


@pytest.fixture
async def crew(tmp_path: Path) -> AsyncIterator[Crew]:
    """Workers, callers and a NATS server of this test alone."""
    async with Crew(tmp_path) as made:
        yield made
