"""A list of names as schema, as Pylecular writes it: ``params=["name"]`` asks that each is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from tautomer.errors import ServiceSchemaError

__all__ = ["fields_of_names", "is_names"]


def is_names(schema: object) -> TypeGuard[list[str] | tuple[str, ...]]:
    """Whether the whole schema is a list of names (an empty one is, too) and not of rules."""
    return isinstance(schema, list | tuple) and all(isinstance(name, str) for name in schema)


def fields_of_names(names: Sequence[str]) -> dict[str, str]:
    """The same in the rule grammar: ``{"name": "any"}``, which None does not satisfy.

    Raises:
        ServiceSchemaError: A name is empty, or starts with ``$$``, which the grammar keeps for itself.
    """
    for name in names:
        if not name or name.startswith("$$"):
            raise ServiceSchemaError(f"params: {name!r} cannot be the name of a parameter", {"params": list(names)})
    return dict.fromkeys(names, "any")
