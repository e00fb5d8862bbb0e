"""What of a schema is announced in INFO, for Node's tools: the JSON part of it, in fastest-validator's grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tautomer.validation.grammar import PYTHON_TYPES, SCHEMA_DEPTH_MAX, python_type, split_shorthand
from tautomer.validation.names import fields_of_names, is_names
from tautomer.validation.options import wrong

__all__ = ["announced"]


class _Gone:
    """Stands for what JSON cannot say; whoever holds it leaves it out."""


_GONE = _Gone()


def announced(schema: object) -> Any:
    """The announced form of a whole schema; see `tautomer.validation.wire_schema`."""
    if is_names(schema):
        return fields_of_names(schema)
    if isinstance(schema, Mapping) and schema.get("$$root") is not True:
        return _fields(schema, 0)
    return _rule(schema, 0)


def _fields(raw: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    """``$$type`` is a rule like any field's; the other ``$$`` keys are plain values."""
    shown = {
        str(name): _plain(rule, depth + 1)
        if str(name).startswith("$$") and name != "$$type"
        else _rule(rule, depth + 1)
        for name, rule in raw.items()
    }
    return {name: rule for name, rule in shown.items() if rule is not _GONE}


def _rule(raw: object, depth: int) -> Any:
    if depth > SCHEMA_DEPTH_MAX:
        raise wrong("", f"the schema is nested over {SCHEMA_DEPTH_MAX} levels deep (does it hold itself?)")
    if raw is True:
        return "any"
    if isinstance(raw, type):
        return python_type(raw, "")
    if isinstance(raw, list | tuple):
        return [_rule(rule, depth + 1) for rule in raw]
    if not isinstance(raw, Mapping):
        return _plain(raw, depth)
    return _fields(raw, depth) if "$$type" in raw else _long_rule(raw, depth)


def _long_rule(raw: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    kind = raw.get("type")
    options = dict(raw)
    if isinstance(kind, type) and kind in PYTHON_TYPES:
        short = split_shorthand(PYTHON_TYPES[kind])
        options = short | options | {"type": short["type"]}
    shown: dict[str, Any] = {}
    for name, value in options.items():
        shown[str(name)] = _option(options.get("type"), str(name), value, depth)
        if isinstance(value, re.Pattern) and value.flags & re.IGNORECASE:
            shown.setdefault("patternFlags", "i")
    return {name: value for name, value in shown.items() if value is not _GONE}


# Options that hold rules, by type of the rule.
_RULES_IN = {"array": ("items",), "tuple": ("items",), "multi": ("rules",), "record": ("key", "value")}


def _option(kind: object, name: str, value: object, depth: int) -> Any:
    if name in ("props", "properties") and isinstance(value, Mapping):
        return _fields(value, depth + 1)
    if name in _RULES_IN.get(str(kind), ()):
        return _rule(value, depth + 1)
    return _plain(value, depth + 1)


def _plain(value: object, depth: int) -> Any:
    """A value without its functions and other things that only Python has."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, re.Pattern):
        return value.pattern
    if depth > SCHEMA_DEPTH_MAX:
        raise wrong("", f"a value in the schema is nested over {SCHEMA_DEPTH_MAX} levels deep (does it hold itself?)")
    if isinstance(value, list | tuple):
        items = [_plain(item, depth + 1) for item in value]
        return [item for item in items if item is not _GONE]
    if isinstance(value, Mapping):
        shown = {str(name): _plain(item, depth + 1) for name, item in value.items()}
        return {name: item for name, item in shown.items() if item is not _GONE}
    return _GONE
