from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers import NatsServer

from . import npm
from .mesh import SHORT, Mesh, Pair


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the tests need before the first of them, whose time limit is not meant for that."""
    here = Path(__file__).parent
    if not session.config.option.collectonly and any(here in item.path.parents for item in session.items):
        npm.outcome()


@pytest.fixture(scope="session")
def node() -> str:
    """Path of Node.js, with the packages installed."""
    return npm.need()


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """One server for all; each mesh has a namespace of its own on it."""
    with NatsServer() as server:
        yield server.url


@pytest_asyncio.fixture(loop_scope="module")
async def mesh(node: str, nats_url: str) -> AsyncIterator[Mesh]:
    """An empty mesh, for tests that fill it themselves."""
    async with Mesh(nats_url, node) as mesh:
        yield mesh


@pytest.fixture(scope="module", params=list(SHORT))
def line(request: pytest.FixtureRequest) -> str:
    """A line of Moleculer for Node.js: ``"0.14"`` or ``"0.15"``."""
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def couple(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    """A Node.js node of one line and a Python one, shared by the tests of a module. Both listen to "late"."""
    async with Mesh(nats_url, node) as mesh:
        # In this order they meet at once: a Node.js node that is up answers, a starting one is silent for 1.5 s.
        await mesh.add_node(line, listeners={"node-ears": {"late": None}})
        await mesh.add_python(listeners={"python-ears": {"late": None}})
        await mesh.meet()
        yield mesh


@pytest.fixture(params=["python-calls", "node-calls"])
def pair(request: pytest.FixtureRequest, couple: Mesh, line: str) -> Pair:
    """The two of `couple` in both directions."""
    python, node = couple["py"], couple[SHORT[line]]
    return Pair(python, node) if request.param == "python-calls" else Pair(node, python)
