"""Fixtures that more than one folder needs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tautomer import joining
from tests.cluster import Cluster

# The same examples on every run: a failure in the suite is to be seen again. Fresh ones are looked for with
# `--hypothesis-profile=default`.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes stay out of the names of tests: packed ones may hold the time, and each worker would find tests of its own."""
    return f"{argname}:{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture(autouse=True)
def commands_in_use(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests of commands are about processes that have some, whatever else was collected into this one."""
    used = "commands" in request.path.relative_to(Path(__file__).parent).parts
    monkeypatch.setattr(joining, "in_use", lambda: used)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A test that sets up logging, as `log_level` and `LOGGING` do, sets it up for itself."""
    logger = logging.getLogger("tautomer")
    level, handlers, propagate = logger.level, list(logger.handlers), logger.propagate
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers
    logger.propagate = propagate


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Nodes over the memory transporter; stopped at the end."""
    made = Cluster()
    yield made
    await made.stop()
