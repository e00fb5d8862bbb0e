from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.client import Client as OracleClient

import nats
from tests.loops import (
    pytest_asyncio_loop_factories as pytest_asyncio_loop_factories,  # The hook is found by its name here.
)
from tests.servers import NatsServer
from tests.transporters.nats.lines import Line


@pytest.fixture(scope="session")
def shared_server() -> Iterator[NatsServer]:
    """For tests that leave the server alone."""
    with NatsServer() as server:
        yield server


@pytest.fixture
def server() -> Iterator[NatsServer]:
    """For tests that stop it, kill it or freeze it."""
    with NatsServer() as server:
        yield server


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """Makes transporters and closes them at the end."""
    line = Line()
    yield line
    await line.close()


@pytest.fixture
async def oracle(shared_server: NatsServer) -> AsyncIterator[OracleClient]:
    """The official client, connected to the shared server."""
    client = await nats.connect(shared_server.url)
    yield client
    await client.close()
