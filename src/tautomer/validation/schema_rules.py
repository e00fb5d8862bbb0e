"""Rules that say what a JSON Schema says, as far as rules can: how a pydantic model is announced.

The way back of `json_schema`. What cannot be said is told as anything at all, as nobody checks by what is announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tautomer.validation.short import announced_rules

__all__ = ["rules_of_json_schema"]

Schema: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = dict[str, Any]


def rules_of_json_schema(schema: Schema) -> dict[str, Any]:
    """The announced form of whole params, of their JSON Schema (draft 2020-12)."""
    return announced_rules(_rule(schema, schema.get("$defs", {}), ()))


def _rule(schema: Schema, named: Schema, within: tuple[str, ...]) -> Rule:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in within or not isinstance(named.get(name), Mapping):
            return {"type": "any"}  # It holds itself.
        return _with_notes(_rule(named[name], named, (*within, name)), schema)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list):
            return _with_notes(_any_of(schema[key], named, within), schema)
    if "const" in schema:
        return {"type": "equal", "value": schema["const"], "strict": True}
    if isinstance(schema.get("enum"), list):
        return _with_notes({"type": "enum", "values": schema["enum"]}, schema)
    match schema.get("type"):
        case "integer" | "number":
            rule = _number(schema)
        case "boolean":
            rule = {"type": "boolean", "convert": True}
        case "string":
            rule = _text(schema)
        case "array":
            rule = _array(schema, named, within)
        case "object":
            rule = _object(schema, named, within)
        case "null":
            rule = {"type": "forbidden"}
        case _:
            rule = {"type": "any"}
    return _with_notes(rule, schema)


def _with_notes(rule: Rule, schema: Schema) -> Rule:
    text = schema.get("description")
    return {**rule, "description": text} if isinstance(text, str) else rule


def _any_of(schemas: list[Schema], named: Schema, within: tuple[str, ...]) -> Rule:
    others = [one for one in schemas if one.get("type") != "null"]
    rules = [_rule(one, named, within) for one in others]
    rule: Rule = rules[0] if len(rules) == 1 else {"type": "multi", "rules": rules} if rules else {"type": "any"}
    return {**rule, "nullable": True} if len(others) < len(schemas) else rule


def _number(schema: Schema) -> Rule:
    whole = schema["type"] == "integer"
    rule: Rule = {"type": "number", "integer": True, "convert": True} if whole else {"type": "number", "convert": True}
    rule |= _bounds(schema, min="minimum", max="maximum")
    over, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if over is not None:
        rule |= {"positive": True} if over == 0 else {"min": over + whole}
    if below is not None:
        rule |= {"negative": True} if below == 0 else {"max": below - whole}
    return rule


_FORMATS: dict[str, Rule] = {
    "date-time": {"type": "date", "convert": True},
    "date": {"type": "date", "convert": True},
    "email": {"type": "email"},
    "uri": {"type": "url"},
    "uuid": {"type": "uuid"},
}


def _text(schema: Schema) -> Rule:
    known = _FORMATS.get(str(schema.get("format")))
    if known is not None:
        return dict(known)
    rule: Rule = {"type": "string", **_bounds(schema, min="minLength", max="maxLength")}
    if isinstance(schema.get("pattern"), str):
        rule["pattern"] = schema["pattern"]
    return rule


def _array(schema: Schema, named: Schema, within: tuple[str, ...]) -> Rule:
    places = schema.get("prefixItems")
    if isinstance(places, list) and schema.get("maxItems") == len(places):
        return {"type": "tuple", "items": [_rule(one, named, within) for one in places]}
    rule: Rule = {"type": "array", **_bounds(schema, min="minItems", max="maxItems")}
    if isinstance(schema.get("items"), Mapping):
        rule["items"] = _rule(schema["items"], named, within)
    return rule


def _object(schema: Schema, named: Schema, within: tuple[str, ...]) -> Rule:
    fields, others = schema.get("properties"), schema.get("additionalProperties")
    if not isinstance(fields, Mapping):
        if isinstance(others, Mapping):
            return {"type": "record", "key": {"type": "string"}, "value": _rule(others, named, within)}
        return {"type": "object"}
    required = schema.get("required", ())
    rule: Rule = {
        "type": "object",
        "props": {name: _field(one, named, within, name in required) for name, one in fields.items()},
    }
    return {**rule, "strict": True} if others is False else rule


def _field(schema: Schema, named: Schema, within: tuple[str, ...], required: bool) -> Rule:
    rule = _rule(schema, named, within)
    if required:
        return rule
    rule.pop("nullable", None)
    default = schema.get("default")
    return {**rule, "default": default} if isinstance(default, bool | str | int | float) else {**rule, "optional": True}


def _bounds(schema: Schema, **names: str) -> Rule:
    return {option: schema[name] for option, name in names.items() if isinstance(schema.get(name), int | float)}
