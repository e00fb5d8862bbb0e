"""The table of faults names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "explanation" / "reliability.md"
COMMAND = re.compile(r"`(?P<file>\w+/test_\w+\.py)(?: -k \"?(?P<words>[\w ]+?)\"?)?`")

ROWS = [line for line in TABLE.read_text("utf-8").splitlines() if COMMAND.search(line)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_is_made_by_a_test_that_there_is(row: str) -> None:
    command = COMMAND.search(row)
    assert command is not None
    names = re.findall(r"def (test_\w+)", (ROOT / "tests" / command["file"]).read_text("utf-8"))
    words = (command["words"] or "test").split(" and ")

    assert [name for name in names if all(word in name for word in words)]


def test_there_are_rows() -> None:
    assert len(ROWS) > 20
