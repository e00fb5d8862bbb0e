"""The house's scripts: there, executable, strict, and named where people look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .source import ROOT

SCRIPTS = [
    "scripts/bench",
    "scripts/check",
    "scripts/demo",
    "scripts/install",
    "scripts/sim",
    "scripts/test",
    ".ci/run",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_strict(script: str) -> None:
    file = ROOT / script

    assert os.access(file, os.X_OK)
    assert "\nset -euo pipefail\n" in file.read_text("utf-8")


def test_ci_runs_the_tests_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text("utf-8").splitlines() if not line.startswith(("#", "set "))]

    assert ['exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/test"'] == lines


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/test"])
def test_the_readme_names_the_two_commands(script: str) -> None:
    assert script in Path(ROOT, "README.md").read_text("utf-8")


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    """Packages come from whatever registry the machine is set to."""
    locks = [
        file for file in ROOT.rglob("package-lock.json") if not {"node_modules", ".peers", ".demo"} & set(file.parts)
    ]

    assert [] == [str(file) for file in locks if '"resolved"' in file.read_text("utf-8")]
