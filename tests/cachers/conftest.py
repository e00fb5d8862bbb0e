from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import RedisServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One server for all; each test has a prefix of its own on it."""
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server that a test may stop and freeze."""
    with RedisServer() as server:
        yield server
