"""Fixtures of the tests that mean harm: each against a whole gateway, over plain sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests import loops
from tests.web.door import Door
from tests.web.http.conftest import dial as dial  # A door has a port, which is all that it asks for.
from tests.web.http.wire import Wire

Dial = Callable[[Door], Awaitable[Wire]]

# Where it matters how a loop reads, writes and closes; and not only what.
_ON_BOTH_LOOPS = {"test_busy.py", "test_idle_connections.py", "test_slow_clients.py", "test_smuggling.py"}


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories = loops.pytest_asyncio_loop_factories(config, item)
    return factories if item.path.name in _ON_BOTH_LOOPS else {"asyncio": factories["asyncio"]}
