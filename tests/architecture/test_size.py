"""Small files, small functions. Over the soft limit it takes a reason; over the hard one, another design."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .source import files, shown, tree

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70


@pytest.mark.parametrize("file", files(), ids=shown)
def test_a_file_is_small(file: Path) -> None:
    lines = len(file.read_text("utf-8").splitlines())

    assert lines <= FILE_LINES_MAX


@pytest.mark.parametrize("file", files(), ids=shown)
def test_its_functions_are_small(file: Path) -> None:
    long = {
        node.name: length
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.body[0].lineno + 1) > FUNCTION_LINES_MAX
    }

    assert {} == long
