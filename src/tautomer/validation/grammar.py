"""The schema grammar: what people write, read into a tree of `Rule`.

All forms of Moleculer protocol section 12.1 and Python's types are read here, once, when a service
is built; the rest of the package sees only `Rule`. Whatever is wrong is refused here, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tautomer.validation.javascript import to_number
from tautomer.validation.names import fields_of_names, is_names
from tautomer.validation.options import check_options, check_type, wrong

__all__ = ["PYTHON_TYPES", "SCHEMA_DEPTH_MAX", "Rule", "parse", "python_type", "split_shorthand"]

# Deeper than anybody writes by hand. A schema that holds itself is found by this, too.
SCHEMA_DEPTH_MAX = 64

PYTHON_TYPES: dict[type, str] = {
    int: "number|integer",
    float: "number",
    str: "string",
    bool: "boolean",
    dict: "object",
    list: "array",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one value must be.

    Attributes:
        kind: The rule's type, such as ``"string"``; one that exists.
        options: Its own options, checked, in fastest-validator's spelling.
        path: Its place in the schema, such as ``"user.tags[]"``; ``"$$root"`` at the top.
        fields: `object`: the rules of its fields, or None if any will do.
        strict: `object`: False, True (unknown keys are a fault) or "remove".
        items: `array`: the rule of each item, or None.
        rules: `multi`: the alternatives. `tuple`: the rule of each place (empty: any).
        key: `record`: the rule of each key.
        value: `record`: the rule of each value.
    """

    kind: str
    options: Mapping[str, Any]
    path: str
    fields: Mapping[str, Rule] | None = None
    strict: bool | str = False
    items: Rule | None = None
    rules: tuple[Rule, ...] = field(default=())
    key: Rule | None = None
    value: Rule | None = None

    @property
    def allows(self) -> tuple[bool, bool]:
        """Whether a missing value is right as it is, and whether None is. Where not, it gets the default or a fault."""
        optional, nullable = self.options.get("optional") is True, self.options.get("nullable") is True
        if self.options.get("default") is not None:
            return False, nullable
        if self.kind == "forbidden":
            return True, True
        return optional, optional or nullable

    def has_customs(self) -> bool:
        """Whether a function of the user's must see this value, or one below it."""
        if self.options.get("custom") is not None or self.kind == "custom":
            return True
        below = (*(self.fields or {}).values(), self.items, *self.rules, self.key, self.value)
        return any(rule is not None and rule.has_customs() for rule in below)


def parse(schema: object) -> Rule:
    """Read a whole schema.

    Raises:
        ServiceSchemaError: It is wrong; says where, and what may have been meant.
    """
    if is_names(schema):
        schema = fields_of_names(schema)
    if isinstance(schema, list | tuple):
        return _parse_rule(schema, "$$root", 0)
    if not isinstance(schema, Mapping):
        raise wrong("", f"a schema is a mapping or a list of names, not {type(schema).__name__}")
    _refuse_async(schema)
    if schema.get("$$root") is True:
        options = {key: value for key, value in schema.items() if key not in ("$$root", "$$async")}
        return _parse_rule(options, "$$root", 0)
    fields, strict = _parse_fields(schema, "", 0)
    return Rule("object", {"type": "object"}, "$$root", fields=fields, strict=strict)


def _refuse_async(schema: Mapping[Any, Any]) -> None:
    if schema.get("$$async"):
        raise wrong("", "'$$async' is not supported here: a check that waits belongs into a before hook or the handler")


def _parse_fields(raw: Mapping[Any, Any], path: str, depth: int) -> tuple[dict[str, Rule], bool | str]:
    """The rules of an object's fields, and its ``$$strict``. Other ``$$`` keys are for other tools."""
    strict = raw.get("$$strict", False)
    if strict not in (True, False, "remove"):
        raise wrong(path, f"'$$strict' is true, false or \"remove\", not {strict!r}")
    fields = {}
    for name, rule in raw.items():
        if not isinstance(name, str):
            raise wrong(path, f"the name of a field is text, not {name!r}")
        if not name.startswith("$$"):
            fields[name] = _parse_rule(rule, f"{path}.{name}" if path else name, depth + 1)
    return fields, strict


def _parse_rule(raw: object, path: str, depth: int) -> Rule:
    if depth > SCHEMA_DEPTH_MAX:
        raise wrong("", f"the schema is nested over {SCHEMA_DEPTH_MAX} levels deep (does it hold itself?)")
    if isinstance(raw, list | tuple):
        return _parse_alternatives(raw, path, depth)
    if isinstance(raw, Mapping) and "$$type" in raw:
        return _parse_nested(raw, path, depth)
    options = _options(raw, path)
    kind = options["type"]
    check_options(kind, options, path)
    match kind:
        case "object":
            return _parse_object(options, path, depth)
        case "array" if options.get("items") is not None:
            return Rule(kind, options, path, items=_parse_rule(options["items"], f"{path}[]", depth + 1))
        case "tuple" if options.get("items") is not None:
            return Rule(kind, options, path, rules=_parse_list(options["items"], path, depth, numbered=True))
        case "multi":
            return Rule(kind, options, path, rules=_parse_list(options.get("rules"), path, depth))
        case "record":
            key = _parse_rule(options.get("key", "string"), f"{path}[key]", depth + 1)
            value = _parse_rule(options.get("value", "any"), f"{path}[key]", depth + 1)
            return Rule(kind, options, path, key=key, value=value)
        case _:
            return Rule(kind, options, path)


def _parse_alternatives(raw: list[Any] | tuple[Any, ...], path: str, depth: int) -> Rule:
    """``["string", "number"]``: any of them. Optional or nullable if all of them are."""
    rules = _parse_list(raw, path, depth)
    options: dict[str, Any] = {"type": "multi"}
    for name in ("optional", "nullable"):
        if all(rule.options.get(name) is True for rule in rules):
            options[name] = True
    return Rule("multi", options, path, rules=rules)


def _parse_list(raw: object, path: str, depth: int, numbered: bool = False) -> tuple[Rule, ...]:
    if not isinstance(raw, list | tuple) or not raw:
        raise wrong(path, f"a list of at least one rule is expected here, not {raw!r}")
    return tuple(
        _parse_rule(rule, f"{path}[{place}]" if numbered else path, depth + 1) for place, rule in enumerate(raw)
    )


def _parse_nested(raw: Mapping[Any, Any], path: str, depth: int) -> Rule:
    """``{"$$type": "object|optional", "name": "string"}``: fields beside the rule of the object itself."""
    options = _options(raw["$$type"], path)
    check_options(options["type"], options, path)
    if options["type"] != "object":
        raise wrong(path, f"'$$type' is for objects, not for '{options['type']}'; use 'type'")
    fields, strict = _parse_fields(raw, path, depth)
    return Rule("object", options, path, fields=fields, strict=strict or options.get("strict", False))


def _parse_object(options: dict[str, Any], path: str, depth: int) -> Rule:
    raw = options.get("properties") or options.get("props")
    if raw is None:
        return Rule("object", options, path)
    fields, strict = _parse_fields(raw, "" if path == "$$root" else path, depth)
    return Rule("object", options, path, fields=fields, strict=options.get("strict", False) or strict)


def _options(raw: object, path: str) -> dict[str, Any]:
    """A rule in its long form, ``{"type": ..., option: value}``, whose type exists."""
    if raw is True:
        return {"type": "any"}
    if isinstance(raw, str):
        options = split_shorthand(raw)
        if options["type"].endswith("[]"):
            options |= {"type": "array", "items": options["type"][:-2]}
    elif isinstance(raw, type):
        options = split_shorthand(python_type(raw, path))
    elif isinstance(raw, Mapping):
        options = dict(raw)
        if isinstance(raw.get("type"), type):
            short = split_shorthand(python_type(raw["type"], path))
            options = short | options | {"type": short["type"]}
    else:
        raise wrong(path, f"a rule is text, a mapping, a list or a Python type, not {raw!r}")
    kind = options.get("type")
    if kind is None:
        raise wrong(path, "the rule has no 'type' (a nested object needs '$$type': \"object\")")
    check_type(kind, path)
    return options


def python_type(given: type, path: str) -> str:
    """The rule of a Python type, in short form."""
    rule = PYTHON_TYPES.get(given)
    if rule is None:
        known = ", ".join(sorted(known.__name__ for known in PYTHON_TYPES))
        raise wrong(
            path,
            f"the Python type '{given.__name__}' stands for no rule; those that do: {known} (a model stands for params as a whole: params={given.__name__})",
        )
    return rule


def split_shorthand(text: str) -> dict[str, Any]:
    """``"string|min:3|trim|no-empty"`` to ``{"type": "string", "min": 3, "trim": True, "empty": False}``."""
    kind, *parts = (part.strip() for part in text.split("|"))
    options: dict[str, Any] = {"type": kind}
    for part in parts:
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if colon:
            options[name] = _shorthand_value(value)
        elif name.startswith("no-"):
            options[name[3:]] = False
        else:
            options[name] = True
    return options


def _shorthand_value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    number = to_number(text)
    return text if number != number else number
