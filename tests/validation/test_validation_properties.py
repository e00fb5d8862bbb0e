"""What holds for any schema of a family and any JSON value."""

from __future__ import annotations

import json
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tautomer.errors import ValidationError
from tautomer.validation import compile_params, wire_schema
from tautomer.validation.fastest import compile_rule
from tautomer.validation.faults import MESSAGES
from tautomer.validation.grammar import parse

# The machine may be busy, and a run must be repeatable; to look further, take `derandomize` away.
PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)

NAMES = st.sampled_from(["a", "b", "c d", "type"])
TEXTS = st.sampled_from(["", " a ", "abc", "12", "1e3", "0x1f", "on", "a@b.cc", "http://x", "2020-01-01"]) | st.text(
    max_size=5
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4)
)
# What a schema may hold as a value: JSON, since it is announced.
LITERALS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
SIZES = st.integers(0, 4)
FLAGS = st.booleans()


def options(kind: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    common = {"optional": FLAGS, "nullable": FLAGS, "default": LITERALS, "label": TEXTS}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=common | more)


def flags(names: str) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), FLAGS)


NUMBER = st.integers(-3, 3) | st.sampled_from([0.5, -1.5])
ENUM = st.lists(LITERALS, max_size=3)
LEAVES = st.one_of(
    st.sampled_from(["any", "number|convert", "string|trim", "boolean", "email|optional", "string[]", "luhn", "mac"]),
    options(
        "number", min=NUMBER, max=NUMBER, equal=NUMBER, notEqual=NUMBER, **flags("integer positive negative convert")
    ),
    options(
        "string",
        **dict.fromkeys(("min", "max", "length", "padStart"), SIZES),
        enum=ENUM,
        contains=TEXTS,
        **flags("empty numeric alpha hex base64 convert trim trimLeft lowercase uppercase singleLine"),
        pattern=st.sampled_from(["^a", "b$", r"^\d*$"]),
    ),
    options("boolean", convert=FLAGS),
    options("date", convert=FLAGS),
    options("email", mode=st.sampled_from(["quick", "precise"]), min=SIZES, **flags("normalize empty")),
    options("url", empty=FLAGS),
    options("uuid", version=st.integers(0, 8)),
    options("currency", currencySymbol=TEXTS, symbolOptional=FLAGS),
    options("forbidden", remove=FLAGS),
    options("equal", strict=FLAGS, field=NAMES).filter(lambda rule: "field" in rule),
    st.builds(lambda rule, values: rule | {"values": values}, options("enum"), ENUM),
    st.builds(
        lambda rule, value: rule | {"value": value},
        options("equal", strict=FLAGS),
        LITERALS.filter(lambda v: v is not None),
    ),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    strict = st.sampled_from([True, False, "remove"])
    fields = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        options("object", props=fields, strict=strict, minProps=SIZES, maxProps=SIZES),
        options("array", items=inner, min=SIZES, enum=ENUM, **flags("convert empty unique")),
        options("tuple", items=st.lists(inner, min_size=1, max_size=2), empty=FLAGS),
        options("record", key=inner, value=inner),
        st.lists(inner, min_size=1, max_size=3),
        st.builds(lambda fields: {"$$type": "object|optional"} | fields, fields),
    )


RULES = st.recursive(LEAVES, nested, max_leaves=6)
SCHEMAS = st.builds(
    lambda fields, strict: fields | ({"$$strict": strict} if strict else {}),
    st.dictionaries(NAMES, RULES, max_size=3),
    st.sampled_from([None, True, "remove"]),
)
PARAMS = st.dictionaries(NAMES, VALUES, max_size=4) | VALUES


def outcome(check: Any, params: Any) -> tuple[str, Any]:
    try:
        return "value", repr(check(params))
    except ValidationError as error:
        return "faults", error.data


def fields_at_fault(check: Any, params: Any) -> list[Any]:
    return [fault["field"] for fault in outcome(check, params)[1]]


@pytest.mark.slow
@PROPERTY
@given(schema=SCHEMAS, params=PARAMS)
def test_any_json_gives_a_value_or_a_validation_error_and_stays_as_it_was(schema, params):
    before = repr(params)

    kind, found = outcome(compile_params(schema), params)

    assert before == repr(params)
    assert kind == "value" or (found and all({"type", "message"} <= set(fault) for fault in found))


@pytest.mark.slow
@PROPERTY
@given(schema=SCHEMAS, params=PARAMS)
def test_the_quick_function_says_what_the_full_one_says(schema, params):
    """That is all it has to do right: whatever it lets through unseen, the full one would, too."""
    full = compile_rule(parse(schema), MESSAGES)

    assert repr(outcome(full, params)) == repr(outcome(compile_params(schema), params))


@pytest.mark.slow
@PROPERTY
@given(rule=RULES, value=VALUES)
def test_the_quick_function_says_of_one_field_what_the_full_one_says(rule, value):
    """As above, but with values that get through more often."""
    full = compile_rule(parse({"v": rule}), MESSAGES)

    assert repr(outcome(full, {"v": value})) == repr(outcome(compile_params({"v": rule}), {"v": value}))


@pytest.mark.slow
@PROPERTY
@given(value=VALUES)
def test_conversions_never_fail_otherwise_than_by_a_fault(value):
    rules = ["number|convert|integer", "date|convert", "string|convert|numeric", "array|convert|unique"]

    for rule in rules:
        assert outcome(compile_params({"v": rule}), {"v": value})[0] in ("value", "faults")


@pytest.mark.slow
@PROPERTY
@given(schema=SCHEMAS)
def test_what_is_announced_means_the_same(schema):
    assert repr(parse(schema)) == repr(parse(json.loads(json.dumps(wire_schema(schema)))))


@pytest.mark.slow
@PROPERTY
@given(name=st.text().filter(lambda name: not name.startswith("$$")))
def test_any_text_can_be_the_name_of_a_field(name):
    check = compile_params({name: "number|min:1", "$$strict": True})
    params = {name: 1}

    assert params is check(params)
    assert [name] == fields_at_fault(check, {name: 0})


HOSTILE = [
    '"); raise SystemExit #',
    "'''\nimport os\n'''",
    "\\",
    "\n",
    "__class__",
    "__proto__",
    "full",
    "params",
    "MISSING",
    "C1",
    "{0}",
    "\ud800",
    "\x00",
]


def test_names_that_look_like_source_stay_names():
    check = compile_params(dict.fromkeys(HOSTILE, "string|min:1"))
    params = dict.fromkeys(HOSTILE, "x")

    assert params is check(params)
    assert HOSTILE == fields_at_fault(check, dict.fromkeys(HOSTILE, ""))


def test_nothing_of_a_schema_is_in_the_generated_source():
    """The text of the function is the same for all names and limits; they are bound in its namespace."""

    def code(name: str, least: int) -> bytes:
        function = compile_params({name: f"number|min:{least}"})
        assert isinstance(function, FunctionType)
        return function.__code__.co_code + repr(function.__code__.co_consts).encode()

    assert code("a", 1) == code(HOSTILE[0], 2)
