from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kernel.mesh import Foreign, Mesh


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
