"""Rules in the short form, as people write them: INFO goes to every node of the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["announced_rules"]

_RULES_IN = {
    "array": ("items",),
    "multi": ("rules",),
    "object": ("props",),
    "record": ("key", "value"),
    "tuple": ("items",),
}
"""Options that hold rules, by type of the rule."""


def announced_rules(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The announced form of whole params, of their rule in its long form."""
    props = rule.get("props")
    if rule["type"] != "object" or props is None:
        short = _short(rule)
        return {"$$root": True, **({"type": short} if isinstance(short, str) and "|" not in short else rule)}
    shown = {name: _short(one) for name, one in props.items()}
    return {**shown, "$$strict": True} if rule.get("strict") else shown


def _short(rule: Mapping[str, Any]) -> Any:
    """``"number|integer|optional"`` where all of it can be said so, else the long form."""
    nested = _RULES_IN.get(rule["type"], ())
    made = {name: _inner(value) if name in nested else value for name, value in rule.items()}
    parts = [str(made["type"])]
    for name, value in made.items():
        if name == "type":
            continue
        if not isinstance(value, bool | int | float):
            return made
        if name == "default" or not isinstance(value, bool):
            parts.append(f"{name}:{str(value).lower()}")
        else:
            parts.append(name if value else f"no-{name}")
    return "|".join(parts)


def _inner(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(one) for one in value]
    if "type" in value and isinstance(value["type"], str):
        return _short(value)
    return {name: _short(one) for name, one in value.items()}
