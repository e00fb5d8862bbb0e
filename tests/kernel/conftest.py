from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kernel.mesh import Clock, Foreign, Make, Mesh, nodes


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    """Real and foreign nodes; closed at the end."""
    made = Mesh()
    yield made
    await made.close()


@pytest.fixture
async def peer(mesh: Mesh) -> Foreign:
    """A foreign node that has not said anything yet."""
    return await mesh.foreign()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(clock: Clock) -> AsyncIterator[Make]:
    """What starts nodes on that clock (`nodes`)."""
    async with nodes(clock) as start:
        yield start
