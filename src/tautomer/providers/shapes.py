"""From the arguments of a call to the params of an action: by name, as one dict, or by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tautomer.errors import ValidationError
from tautomer.keywords import named

__all__ = ["UNNAMED", "order_of", "params_of"]

UNNAMED: Final = "$args"
"""Param under which arguments by position are sent where the names are not known."""


def params_of(args: Sequence[Any], kwargs: Mapping[str, Any], entry: Mapping[str, Any] | None) -> Any:
    """The params of a call.

    Args:
        entry: What the node that has the action tells of it; None where none is known.

    Raises:
        ValidationError: More by position than there are names, or one of them by name as well.
    """
    if not args:
        return dict(kwargs)
    order = order_of(entry) or []
    if len(args) == 1 and not kwargs and isinstance(args[0], Mapping) and not _is_an_argument(args[0], order, entry):
        return args[0]
    if not order:
        return {UNNAMED: list(args), **kwargs}
    by_place = named(args, order)
    for name in kwargs:
        if name in by_place:
            raise ValidationError(
                data=[{"type": "twice", "field": name, "message": f"'{name}' is given by position and by name"}]
            )
    return {**by_place, **kwargs}


def order_of(entry: Mapping[str, Any] | None) -> list[str] | None:
    """The names by position: those of a method's parameters, else those of the schema; None where nobody said."""
    if entry is None:
        return None
    told = entry.get("positional")
    if isinstance(told, list) and all(isinstance(name, str) for name in told):
        return told
    schema = entry.get("params")
    # What begins with `$$` is about the schema itself.
    return [str(name) for name in schema if str(name)[:2] != "$$"] if isinstance(schema, Mapping) else None


def _is_an_argument(value: Mapping[str, Any], order: Sequence[str], entry: Mapping[str, Any] | None) -> bool:
    """Whether a dict is the first argument of a method, ``create_user(self, data)``, and not its params.

    So it is where the method wants a first argument, and none of the dict's keys is one of its names.
    """
    if entry is None or not order or order[0][:1] == "*" or not isinstance(entry.get("positional"), list):
        return False
    rules = entry.get("params")
    rule = rules.get(order[0]) if isinstance(rules, Mapping) else None
    is_optional = isinstance(rule, Mapping) and rule.get("optional") is True
    names = set(rules) if isinstance(rules, Mapping) else set(order)
    return not is_optional and names.isdisjoint(value)
