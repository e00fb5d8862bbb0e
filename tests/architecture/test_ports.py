"""Every port has a suite that an implementation inherits: ours, and anybody's."""

from __future__ import annotations

import ast
from functools import cache

from .source import PACKAGE, ROOT, tree

WITHOUT_SUITE = {
    "Discovery": "the kernel's own; there is one implementation",
    "LineTransporter": "a Transporter as well, whose suite its one implementation inherits",
    "LineWatcher": "the kernel's own side of a transporter; there is one implementation",
    "LocalCacher": "a Cacher as well, whose suite its implementations inherit",
    "Link": "the kernel's own side of a transporter; there is one implementation",
    "NodeView": "the kernel's own side of a Discovery; there is one implementation",
    "Serializer": "one implementation so far, with its own tests",
    "Validator": "one implementation so far, with its own tests",
}


def test_every_port_has_a_suite_or_a_reason() -> None:
    missing = ports() - {name.removesuffix("Suite") for name in suites()} - set(WITHOUT_SUITE)

    assert set() == missing


def test_no_reason_outlives_its_port_or_its_suite() -> None:
    assert set(WITHOUT_SUITE) <= ports()
    assert set() == {f"{name}Suite" for name in WITHOUT_SUITE} & suites()


def ports() -> set[str]:
    return {
        node.name
        for node in tree(PACKAGE / "ports.py").body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases)
    }


@cache
def suites() -> frozenset[str]:
    found = set()
    for folder in (ROOT / "tests", PACKAGE):
        for file in folder.rglob("*.py"):
            if "node_modules" not in file.parts and "Suite" in (text := file.read_text("utf-8")):
                found |= {
                    node.name
                    for node in ast.walk(ast.parse(text))
                    if isinstance(node, ast.ClassDef) and node.name.endswith("Suite")
                }
    return frozenset(found)
