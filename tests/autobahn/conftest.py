from __future__ import annotations

from pathlib import Path

import pytest

from . import suite


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the tests need before the first of them, whose time limit is not meant for that."""
    here = Path(__file__).parent
    if not session.config.option.collectonly and any(here in item.path.parents for item in session.items):
        suite.outcome()
