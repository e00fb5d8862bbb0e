"""Announced params as JSON Schema: for documentation, so it is never refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tautomer.errors import ValidationError
from tautomer.validation import compile_params, wire_schema
from tautomer.validation.json_schema import json_schema


def obj(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": required} if required else {}), **more}


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        ({"id": "number|integer|min:1"}, obj({"id": {"type": "integer", "minimum": 1}}, ["id"])),
        ({"id": "number|positive|optional"}, obj({"id": {"type": "number", "exclusiveMinimum": 0}})),
        ({"id": "number|convert|default:5"}, obj({"id": {"type": "number", "default": 5}})),
        (["a", "b"], obj({"a": {}, "b": {}}, ["a", "b"])),
        ({"a": True}, obj({"a": {}}, ["a"])),
        ({"$$strict": True, "a": "string"}, obj({"a": {"type": "string"}}, ["a"], additionalProperties=False)),
        ({"$$strict": "remove", "a": "string"}, obj({"a": {"type": "string"}}, ["a"])),
        ({"a": "string[]"}, obj({"a": {"type": "array", "items": {"type": "string"}}}, ["a"])),
        ({"a": ["string", "number|optional"]}, obj({"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}, ["a"])),
        ({"a": "email|nullable"}, obj({"a": {"type": ["string", "null"], "format": "email"}}, ["a"])),
        (
            {"a": {"type": "enum", "values": ["x", "y"], "nullable": True}},
            obj({"a": {"anyOf": [{"enum": ["x", "y"]}, {"type": "null"}]}}, ["a"]),
        ),
        ({"a": "forbidden", "b": "uuid"}, obj({"b": {"type": "string", "format": "uuid"}}, ["b"])),
        (
            {"a": {"$$type": "object|optional", "$$t": "An address", "city": "string"}},
            obj({"a": obj({"city": {"type": "string"}}, ["city"], description="An address")}),
        ),
        (
            {"a": {"type": "object", "props": {"b": "date"}, "minProps": 1, "strict": True}},
            obj(
                {
                    "a": obj(
                        {"b": {"type": "string", "format": "date-time"}},
                        ["b"],
                        additionalProperties=False,
                        minProperties=1,
                    )
                },
                ["a"],
            ),
        ),
        (
            {"a": {"type": "array", "items": "number", "min": 1, "max": 3, "unique": True}},
            obj(
                {
                    "a": {
                        "type": "array",
                        "items": {"type": "number"},
                        "minItems": 1,
                        "maxItems": 3,
                        "uniqueItems": True,
                    }
                },
                ["a"],
            ),
        ),
        (
            {"a": {"type": "tuple", "items": ["string", "number"]}},
            obj(
                {
                    "a": {
                        "type": "array",
                        "prefixItems": [{"type": "string"}, {"type": "number"}],
                        "minItems": 2,
                        "maxItems": 2,
                    }
                },
                ["a"],
            ),
        ),
        (
            {"a": {"type": "record", "key": "string|alpha", "value": "number"}},
            obj(
                {
                    "a": {
                        "type": "object",
                        "propertyNames": {"type": "string", "pattern": "^[a-zA-Z]+$"},
                        "additionalProperties": {"type": "number"},
                    }
                },
                ["a"],
            ),
        ),
        ({"a": {"type": "of another node", "x": 1}}, obj({"a": {}}, ["a"])),
        ({"$$root": True, "type": "string", "min": 2}, {"type": "string", "minLength": 2}),
        (5, {}),
        (None, {}),
    ],
)
def test_rules_are_told_in_json_schemas_words(announced, expected):
    assert expected == json_schema(announced)


RULE = st.recursive(
    st.sampled_from(
        [
            "string",
            "string|min:2|max:5",
            "number",
            "number|integer|min:-3",
            "boolean",
            "any",
            "email",
            "uuid",
            "string[]",
            "number|optional",
            "string|nullable|optional",
            "date",
            "forbidden",
            "url",
            "mac",
        ]
    )
    | st.builds(lambda values: {"type": "enum", "values": values}, st.lists(st.integers(), min_size=1, max_size=3)),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda fields: {"$$type": "object", **fields}, st.dictionaries(st.sampled_from("abc"), inner))
        | st.lists(inner, min_size=1, max_size=3)
        | st.builds(lambda items: {"type": "tuple", "items": items}, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=5,
)
SCHEMA = st.dictionaries(st.sampled_from(["a", "b", "c"]), RULE, max_size=3)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc") | st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(announced=JSON | SCHEMA | st.dictionaries(st.text(max_size=6), JSON))
def test_whatever_a_node_announces_gives_a_valid_schema(announced):
    Draft202012Validator.check_schema(json_schema(announced))


@given(schema=SCHEMA, params=st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3))
def test_params_that_the_validator_takes_unchanged_are_right_by_the_schema_too(schema, params):
    try:
        if compile_params(schema)(params) != params:
            return
    except ValidationError:
        return

    told = json_schema(wire_schema(schema))

    assert [] == [error.message for error in Draft202012Validator(told).iter_errors(params)]
