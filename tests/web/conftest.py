"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tautomer import Service
from tests.web.door import Door, open_door

OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture
async def door() -> AsyncIterator[OpenDoor]:
    """Opens gateways: ``await door(Users, routes=[...])``. They are closed at the end."""
    opened: list[Door] = []

    async def make(*services: Service | type[Service], routes: list[Any], **settings: Any) -> Door:
        made = await open_door(*services, routes=routes, **settings)
        opened.append(made)
        return made

    yield make
    for one in opened:
        await one.broker.stop()
