"""JSON Schema of params: for documentation, made of what actions of any node announce.

What is announced comes from other nodes, with rules of their own making, so nothing here refuses: what
cannot be told is told as "anything".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tautomer.validation.grammar import SCHEMA_DEPTH_MAX, split_shorthand
from tautomer.validation.names import fields_of_names, is_names

__all__ = ["JsonSchema", "json_schema"]

JsonSchema: TypeAlias = dict[str, Any]

Rule: TypeAlias = Mapping[str, Any]


def json_schema(announced: object) -> JsonSchema:
    """The schema (draft 2020-12) of params, from their announced form (Moleculer protocol section 12). Never raises.

    An empty schema, which allows anything, for what cannot be read.
    """
    if is_names(announced):
        announced = fields_of_names([name for name in announced if name and not name.startswith("$$")])
    if isinstance(announced, Mapping) and announced.get("$$root") is not True:
        return _object(announced, announced.get("$$strict"), 0)
    return _schema(announced, 0)


def is_optional(raw: object) -> bool:
    """Whether params are right without this field."""
    if isinstance(raw, list | tuple):
        return bool(raw) and all(is_optional(one) for one in raw)
    rule = _long_form(raw)
    return rule.get("optional") is True or rule.get("default") is not None or rule.get("type") == "forbidden"


def _schema(raw: object, depth: int) -> JsonSchema:
    if depth > SCHEMA_DEPTH_MAX:
        return {}
    if isinstance(raw, list | tuple):
        return {"anyOf": [_schema(one, depth + 1) for one in raw]} if raw else {}
    if isinstance(raw, Mapping) and "$$type" in raw:
        made = _object(raw, raw.get("$$strict"), depth)
        return _with_notes(made, {"$$t": raw.get("$$t"), **_long_form(raw["$$type"])})
    rule = _long_form(raw)
    make = _MAKERS.get(str(rule.get("type")))
    return _with_notes({} if make is None else make(rule, depth), rule)


def _long_form(raw: object) -> Rule:
    if isinstance(raw, str):
        rule = split_shorthand(raw)
        if rule["type"].endswith("[]"):
            rule |= {"type": "array", "items": rule["type"][:-2]}
        return rule
    if isinstance(raw, Mapping):
        return _long_form(raw["$$type"]) if "$$type" in raw else raw
    return {"type": "any"}


def _with_notes(made: JsonSchema, rule: Rule) -> JsonSchema:
    """What is said of a value beside its kind."""
    for note, keys in _NOTES:
        text = next((rule[key] for key in keys if isinstance(rule.get(key), str)), None)
        if text is not None:
            made[note] = text
    if rule.get("default") is not None:
        made["default"] = rule["default"]
    if rule.get("nullable") is True and made:
        kind = made.get("type")
        return {**made, "type": [kind, "null"]} if isinstance(kind, str) else {"anyOf": [made, {"type": "null"}]}
    return made


_NOTES: Final = (("title", ("label",)), ("description", ("$$t", "description")))


# --- one for each kind of rule ---


def _object(fields: Rule, strict: object, depth: int) -> JsonSchema:
    named = {str(name): rule for name, rule in fields.items() if not str(name).startswith("$$")}
    shown = {name: rule for name, rule in named.items() if _long_form(rule).get("type") != "forbidden"}
    made: JsonSchema = {"type": "object"}
    if shown:
        made["properties"] = {name: _schema(rule, depth + 1) for name, rule in shown.items()}
    required = [name for name, rule in shown.items() if not is_optional(rule)]
    if required:
        made["required"] = required
    if strict is True:
        made["additionalProperties"] = False
    return made


def _of_object(rule: Rule, depth: int) -> JsonSchema:
    fields = rule.get("properties") or rule.get("props")
    made = _object(fields if isinstance(fields, Mapping) else {}, rule.get("strict"), depth)
    if not isinstance(fields, Mapping):
        made.pop("additionalProperties", None)
    return made | _bounds(rule, minProps="minProperties", maxProps="maxProperties")


def _of_array(rule: Rule, depth: int) -> JsonSchema:
    made: JsonSchema = {"type": "array"}
    if rule.get("items") is not None:
        made["items"] = _schema(rule["items"], depth + 1)
    elif isinstance(rule.get("enum"), list):
        made["items"] = {"enum": rule["enum"]}
    if rule.get("unique") is True:
        made["uniqueItems"] = True
    if rule.get("empty") is False:
        made["minItems"] = 1
    return made | _bounds(rule, min="minItems", max="maxItems", length=("minItems", "maxItems"))


def _of_tuple(rule: Rule, depth: int) -> JsonSchema:
    items = rule.get("items")
    if not isinstance(items, list | tuple) or not items:
        return {"type": "array"}
    made = [_schema(one, depth + 1) for one in items]
    return {"type": "array", "prefixItems": made, "minItems": len(made), "maxItems": len(made)}


def _of_multi(rule: Rule, depth: int) -> JsonSchema:
    rules = rule.get("rules")
    return _schema(list(rules), depth) if isinstance(rules, list | tuple) else {}


def _of_record(rule: Rule, depth: int) -> JsonSchema:
    return {
        "type": "object",
        "propertyNames": _schema(rule.get("key", "string"), depth + 1),
        "additionalProperties": _schema(rule.get("value", "any"), depth + 1),
    }


def _of_number(rule: Rule, _depth: int) -> JsonSchema:
    made: JsonSchema = {"type": "integer" if rule.get("integer") is True else "number"}
    if rule.get("positive") is True:
        made["exclusiveMinimum"] = 0
    if rule.get("negative") is True:
        made["exclusiveMaximum"] = 0
    if _is_number(rule.get("equal")):
        made["const"] = rule["equal"]
    if _is_number(rule.get("notEqual")):
        made["not"] = {"const": rule["notEqual"]}
    return made | _bounds(rule, min="minimum", max="maximum")


def _of_string(rule: Rule, _depth: int) -> JsonSchema:
    made: JsonSchema = {"type": "string"}
    if rule.get("empty") is False:
        made["minLength"] = 1
    if isinstance(rule.get("enum"), list):
        made["enum"] = rule["enum"]
    if isinstance(rule.get("pattern"), str) and not rule.get("patternFlags"):
        made["pattern"] = rule["pattern"]
    for name, pattern in _TEXT_KINDS.items():
        if rule.get(name) is True:
            made["pattern"] = pattern
    return made | _bounds(rule, min="minLength", max="maxLength", length=("minLength", "maxLength"))


def _of_enum(rule: Rule, _depth: int) -> JsonSchema:
    values = rule.get("values")
    return {"enum": list(values)} if isinstance(values, list | tuple) and values else {}


def _of_equal(rule: Rule, _depth: int) -> JsonSchema:
    return {"const": rule["value"]} if rule.get("value") is not None else {}


def _text(**more: str) -> Callable[[Rule, int], JsonSchema]:
    return lambda rule, _depth: {"type": "string", **more} | _bounds(rule, min="minLength", max="maxLength")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounds(rule: Rule, **names: str | tuple[str, ...]) -> JsonSchema:
    """Options that are numbers, under JSON Schema's names."""
    made: JsonSchema = {}
    for option, known_as in names.items():
        if _is_number(rule.get(option)):
            made.update(dict.fromkeys((known_as,) if isinstance(known_as, str) else known_as, rule[option]))
    return made


_TEXT_KINDS: Final = {
    "alpha": "^[a-zA-Z]+$",
    "alphanum": "^[a-zA-Z0-9]+$",
    "alphadash": "^[a-zA-Z0-9_-]+$",
    "numeric": "^-?[0-9]*\\.?[0-9]+$",
    "hex": "^[0-9a-fA-F]+$",
    "singleLine": "^[^\\r\\n]*$",
}

_MAKERS: Final[dict[str, Callable[[Rule, int], JsonSchema]]] = {
    "array": _of_array,
    "boolean": lambda _rule, _depth: {"type": "boolean"},
    "currency": _text(),
    "date": _text(format="date-time"),
    "email": _text(format="email"),
    "enum": _of_enum,
    "equal": _of_equal,
    "luhn": _text(),
    "mac": _text(),
    "multi": _of_multi,
    "number": _of_number,
    "object": _of_object,
    "objectID": _text(pattern="^[0-9a-fA-F]{24}$"),
    "record": _of_record,
    "string": _of_string,
    "tuple": _of_tuple,
    "url": _text(format="uri"),
    "uuid": _text(format="uuid"),
}
