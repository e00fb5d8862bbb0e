"""Fixtures that more than one folder needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.cluster import Cluster

# The same examples on every run: a failure in the suite is to be seen again. Fresh ones are looked for with
# `--hypothesis-profile=default`.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes stay out of the names of tests: packed ones may hold the time, and each worker would find tests of its own."""
    return f"{argname}:{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Nodes over the memory transporter; stopped at the end."""
    made = Cluster()
    yield made
    await made.stop()
