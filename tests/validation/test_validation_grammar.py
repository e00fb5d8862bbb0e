"""The forms a schema may have, what is announced of it, and how a wrong one is refused."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.ports import Validator
from tautomer.validation import ParamsValidator, compile_params, wire_schema


def passes(schema: Any, params: Any) -> bool:
    try:
        compile_params(schema)(params)
    except ValidationError:
        return False
    return True


def test_names_must_be_there_and_not_be_none():
    check = compile_params(["a", "b"])
    params = {"a": 0, "b": "", "c": 1}

    assert params is check(params)
    with pytest.raises(ValidationError) as caught:
        check({"a": None})
    assert [("required", "a"), ("required", "b")] == [(fault["type"], fault["field"]) for fault in caught.value.data]


def test_no_names_ask_only_for_an_object():
    assert passes([], {"a": 1})
    assert not passes((), "a")


def test_none_stands_for_empty_params():
    assert {} == compile_params({"a": "number|optional"})(None)
    assert {"a": 1} == compile_params({"a": "number|default:1"})(None)
    assert not passes({"a": "number"}, None)
    assert compile_params({"$$root": True, "type": "object", "optional": True})(None) is None


@pytest.mark.parametrize(
    ("given", "right", "wrong"),
    [
        (int, [1, 2.0], [1.5, True, "1", None]),
        (float, [1, 1.5], [True, "1.5"]),
        (str, ["", "a"], [1]),
        (bool, [True, False], [1, "true"]),
        (dict, [{}, {"a": 1}], [[], "a"]),
        (list, [[], [1]], [{}, "a"]),
        ({"type": int, "min": 3}, [3], [2, 3.5]),
        ([int, str], [1, "a"], [1.5]),
        ({"type": "array", "items": str}, [["a"]], [[1]]),
        ({"$$type": dict, "a": int}, [{"a": 1}], [{"a": "x"}]),
    ],
    ids=str,
)
def test_python_types_are_rules(given, right, wrong):
    assert [True] * len(right) == [passes({"v": given}, {"v": value}) for value in right]
    assert [False] * len(wrong) == [passes({"v": given}, {"v": value}) for value in wrong]


def test_short_forms_read_numbers_truths_and_negations():
    assert passes({"v": " string | min : 2 | no-empty | trim:true | optional:false "}, {"v": "ab"})
    assert not passes({"v": "string|min:0x3"}, {"v": "ab"})
    assert not passes({"v": "string[]|min:1"}, {"v": []})
    assert passes({"v": "number[][]"}, {"v": [[1], []]})


def test_alternatives_are_optional_if_all_of_them_are():
    assert passes({"v": ["string|optional", "number|optional"]}, {})
    assert not passes({"v": ["string|optional", "number"]}, {})


def test_a_list_of_rules_at_the_top_is_any_of_them():
    schema = [{"type": "object", "props": {"a": "number"}}, {"type": "object", "props": {"b": "number"}}]

    assert passes(schema, {"b": 1})
    assert not passes(schema, {"c": 1})


def test_the_root_itself_may_have_a_rule():
    check = compile_params({"$$root": True, "type": "array", "items": "number|convert"})

    assert [1, 2] == check(["1", 2])


def test_fields_may_be_called_as_options_are():
    schema = {"type": "string", "items": "number", "u": {"$$type": "object", "type": "number", "default": "number"}}

    assert passes(schema, {"type": "a", "items": 1, "u": {"type": 1, "default": 2}})


def test_a_compiled_pattern_keeps_pythons_rules():
    assert passes({"v": {"type": "string", "pattern": re.compile(r"^\w$")}}, {"v": "\u00e9"})
    assert not passes({"v": {"type": "string", "pattern": r"^\w$"}}, {"v": "\u00e9"})


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "found"),
    [
        ("^admin$", "", "admin\n", False),
        ("^a$", "m", "b\na\nc", True),
        (r"a\$", "", "a$", True),
        ("a[$]", "", "a$", True),
        (r"[\]$]$", "", "]", True),
        ("(?<year>[0-9]{4})", "", "2020", True),
        ("(?<=a)b", "", "ab", True),
        ("A", "giu", "a", True),
        ("a.b", "s", "a\nb", True),
    ],
)
def test_patterns_in_text_are_read_as_javascripts(pattern, flags, text, found):
    assert found is passes({"v": {"type": "string", "pattern": pattern, "patternFlags": flags}}, {"v": text})


@pytest.mark.parametrize("wrap", ["object", "array"])
def test_a_schema_may_be_as_deep_as_the_bound(wrap):
    rule: Any = "number"
    value: Any = 1
    for _ in range(60):
        if wrap == "object":
            rule, value = {"type": "object", "optional": True, "props": {"a": rule}}, {"a": value}
        else:
            rule, value = {"type": "array", "optional": True, "items": rule}, [value]

    params = {"v": value}
    assert params is compile_params({"v": rule})(params)


async def _async_check(value: Any) -> Any:
    return value


def _endless() -> dict[str, Any]:
    schema: dict[str, Any] = {"$$type": "object"}
    schema["again"] = schema
    return schema


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("string", "a schema is a mapping or a list of names, not str"),
        (None, "not NoneType"),
        ({"a": "strng"}, "params of 'a': there is no rule type 'strng'; did you mean 'string'?"),
        ({"a": "int"}, "did you mean 'number|integer'?"),
        ({"a": "list"}, "did you mean 'array'?"),
        ({"a": "xyzzy"}, "those there are: any, array, boolean"),
        (
            {"u": {"$$type": "object", "l": {"type": "array", "items": "nmber"}}},
            "params of 'u.l[]': there is no rule type",
        ),
        ({"t": {"type": "tuple", "items": ["any", "boolen"]}}, "params of 't[1]': there is no rule type 'boolen'"),
        ({"a": {"b": "string"}}, "params of 'a': the rule has no 'type'"),
        ({"a": None}, "a rule is text, a mapping, a list or a Python type, not None"),
        ({"a": False}, "a rule is text"),
        ({"a": datetime}, "the Python type 'datetime' stands for no rule"),
        ({"a": []}, "a list of at least one rule"),
        ({"a": {"type": "tuple", "items": "any"}}, "a list of at least one rule"),
        ({"a": {"type": "multi"}}, "a list of at least one rule"),
        ({"a": "enum"}, "'enum' needs 'values'"),
        ({"a": "equal"}, "'equal' needs 'value' or 'field'"),
        ({"a": "class"}, "'class' needs 'instanceOf'"),
        ({"a": "objectID"}, "'objectID' needs 'ObjectID'"),
        ({"a": "string|optinal"}, "'string' has no option 'optinal'; did you mean 'optional'?"),
        ({"a": "object|min_props:1"}, "did you mean 'minProps'?"),
        ({"a": {"type": "string", "min": "3"}}, "'min' of 'string' must be a number, 0 or more, not '3'"),
        ({"a": {"type": "number", "min": float("nan")}}, "'min' of 'number' must be a number"),
        ({"a": {"type": "string", "optional": "yes"}}, "'optional' of 'string' must be true or false"),
        ({"a": {"type": "string", "enum": "a,b"}}, "'enum' of 'string' must be a list"),
        ({"a": {"type": "string", "pattern": "("}}, "'pattern' is no regular expression that Python reads"),
        ({"a": {"type": "string", "pattern": "a", "patternFlags": "z"}}, "knows no flag 'z'"),
        ({"a": {"type": "email", "mode": "loose"}}, "'mode' of 'email' must be 'quick' or 'precise'"),
        ({"a": {"type": "uuid", "version": 9}}, "'version' of 'uuid' must be 0 to 8"),
        ({"a": {"type": "any", "custom": "even"}}, "'custom' of 'any' must be a function"),
        ({"a": {"type": "any", "custom": _async_check}}, "not async"),
        ({"$$async": True, "a": "any"}, "'$$async' is not supported"),
        ({"$$strict": "drop"}, "'$$strict' is true, false or \"remove\""),
        ({"a": {"$$type": "array"}}, "'$$type' is for objects, not for 'array'"),
        ({1: "any"}, "the name of a field is text, not 1"),
        (["$$strict"], "'$$strict' cannot be the name of a parameter"),
        (_endless(), "nested over 64 levels deep (does it hold itself?)"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_schema_is_refused_with_its_place_and_what_was_meant(schema, told):
    with pytest.raises(ServiceSchemaError) as caught:
        compile_params(schema)

    assert told in str(caught.value)


def test_options_of_other_tools_are_let_through():
    assert passes(
        {"a": {"type": "string", "$$t": "what it is", "description": "d", "example": "e", "in": "q"}}, {"a": ""}
    )


def test_the_validator_is_one_by_the_port():
    validator: Validator = ParamsValidator()

    assert {"a": 1} == validator.compile({"a": int})({"a": 1})


# What is announced.


@pytest.mark.parametrize(
    ("schema", "announced"),
    [
        (["a", "b"], {"a": "any", "b": "any"}),
        (
            {"a": int, "b": float, "c": str, "d": bool, "e": dict, "f": list},
            {"a": "number|integer", "b": "number", "c": "string", "d": "boolean", "e": "object", "f": "array"},
        ),
        ({"a": "string|min:3", "$$strict": True}, {"a": "string|min:3", "$$strict": True}),
        ({"a": True}, {"a": "any"}),
        ({"a": {"type": int, "min": 3}}, {"a": {"type": "number", "integer": True, "min": 3}}),
        ({"a": {"type": "any", "custom": len, "default": list}}, {"a": {"type": "any"}}),
        ({"a": {"type": "any", "custom": [len]}}, {"a": {"type": "any", "custom": []}}),
        ({"a": {"type": "class", "instanceOf": int}}, {"a": {"type": "class"}}),
        (
            {"default": list, "type": {"type": "array", "items": int}},
            {"default": "array", "type": {"type": "array", "items": "number|integer"}},
        ),
        ({"a": [int, "string"]}, {"a": ["number|integer", "string"]}),
        ({"a": {"$$type": "object|optional", "b": int}}, {"a": {"$$type": "object|optional", "b": "number|integer"}}),
        ({"a": {"type": "object", "props": {"b": int}}}, {"a": {"type": "object", "props": {"b": "number|integer"}}}),
        (
            {"a": {"type": "record", "key": str, "value": int}},
            {"a": {"type": "record", "key": "string", "value": "number|integer"}},
        ),
        ({"a": {"type": "equal", "value": True}}, {"a": {"type": "equal", "value": True}}),
        (
            {"a": {"type": "string", "pattern": re.compile("b", re.I)}},
            {"a": {"type": "string", "pattern": "b", "patternFlags": "i"}},
        ),
        ({"$$root": True, "type": "array", "items": int}, {"$$root": True, "type": "array", "items": "number|integer"}),
        ({"a": {"type": "any", "default": {"b": [len, 1], 2: len}}}, {"a": {"type": "any", "default": {"b": [1]}}}),
        ({"a": {"type": "enum", "values": (1, float("nan"))}}, {"a": {"type": "enum", "values": [1]}}),
    ],
    ids=str,
)
def test_what_is_announced_is_the_json_part_of_the_schema(schema, announced):
    assert announced == json.loads(json.dumps(wire_schema(schema)))


def test_a_schema_that_holds_itself_is_not_announced():
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ServiceSchemaError):
        wire_schema({"a": {"type": "any", "default": endless}})
    with pytest.raises(ServiceSchemaError):
        wire_schema(_endless())
