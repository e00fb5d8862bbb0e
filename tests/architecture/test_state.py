"""No module keeps state: two brokers in one process, or two tests, must not meet in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .source import PACKAGE, files, tree

ALLOWED = {
    ("host.py", "_following"): "numbers the brokers of a process that were given no id",
    ("transporters/memory.py", "_buses"): "memory:// is the bus of a process, so that its nodes find each other",
}

MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict", "count"}
CHANGES = {"append", "add", "update", "setdefault", "pop", "popitem", "clear", "extend", "insert", "remove", "discard"}


def test_no_module_has_state_but_the_named_ones() -> None:
    found = {(str(file.relative_to(PACKAGE)), name) for file in files() for name in changing_names(file)}

    assert set(ALLOWED) == found


def test_no_function_rebinds_a_global() -> None:
    found = [(str(file.relative_to(PACKAGE)), node.names) for file in files() for node in globals_of(file)]

    assert [] == found


def globals_of(file: Path) -> Iterator[ast.Global]:
    return (node for node in ast.walk(tree(file)) if isinstance(node, ast.Global))


def changing_names(file: Path) -> set[str]:
    """Module-level names of something mutable that a function of the module changes.

    A table that nothing changes is a constant, whatever its type.
    """
    mutable = {name for node in tree(file).body for name in mutable_names(node)}
    functions = (node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return mutable & {name for function in functions for node in ast.walk(function) for name in changed_by(node)}


def mutable_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets, value = [node.target], node.value
    else:
        return
    called = value.func if isinstance(value, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    if isinstance(value, MUTABLE) or name in MUTABLE_CALLS:
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def changed_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in CHANGES and isinstance(function.value, ast.Name):
            yield function.value.id
        if isinstance(function, ast.Name) and function.id == "next":
            yield from (argument.id for argument in node.args if isinstance(argument, ast.Name))
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.value.id
