"""The list of faults in a ValidationError, texts and labels, and the user's own functions."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from tautomer.errors import ValidationError
from tautomer.validation import ParamsValidator, compile_params
from tautomer.validation.faults import FAULTS_MAX, MESSAGES


def faults(schema: Any, params: Any) -> list[dict[str, Any]]:
    with pytest.raises(ValidationError) as caught:
        compile_params(schema)(params)
    assert caught.value.code == 422
    assert caught.value.type == "VALIDATION_ERROR"
    assert caught.value.message == "Parameters validation error!"
    found: list[dict[str, Any]] = caught.value.data
    return found


def places(schema: Any, params: Any) -> list[tuple[str, str | None]]:
    return [(fault["type"], fault.get("field")) for fault in faults(schema, params)]


def test_a_fault_has_the_form_of_the_wire():
    expected = {"type": "number", "message": "The 'a' field must be a number.", "field": "a", "actual": "xx"}

    assert [expected] == faults({"a": "number"}, {"a": "xx"})


def test_the_faults_of_all_fields_are_told():
    schema = {"a": "number", "b": "string|min:3|alpha", "c": "any"}

    assert [("number", "a"), ("stringMin", "b"), ("stringAlpha", "b"), ("required", "c")] == places(
        schema, {"a": "x", "b": "1"}
    )


def test_required_tells_none_from_missing():
    assert {"type", "message", "field"} == set(faults({"a": "any"}, {})[0])
    assert faults({"a": "any"}, {"a": None})[0]["actual"] is None


def test_length_faults_carry_the_length():
    assert (5, 2) == tuple(faults({"a": "string|min:5"}, {"a": "ab"})[0][key] for key in ("expected", "actual"))


def test_an_empty_text_is_shown_cleaned_and_all_others_as_they_came():
    schema = {"a": "string|trim|no-empty|alpha"}

    assert ["", " "] == [fault["actual"] for fault in faults(schema, {"a": " "})]


def test_paths_lead_through_objects_lists_records_and_odd_names():
    schema = {
        "u": {"$$type": "object", "n": "number", "c d": "number"},
        "l": {"type": "array", "items": {"$$type": "object", "n": "number"}},
        "r": {"type": "record", "value": "number[]"},
        "a-b": {"$$type": "object", "c": "number"},
    }
    params = {"u": {"n": "x", "c d": "x"}, "l": [{"n": 1}, {"n": "x"}], "r": {"k k": [1, "x"]}, "a-b": {"c": "x"}}

    assert ["u.n", "u['c d']", "l[1].n", "r.k k[1]", "a-b.c"] == [field for _, field in places(schema, params)]


def test_a_none_in_a_list_is_told_of_the_list():
    assert [("required", "l")] == places({"l": "number[]"}, {"l": [1, None]})


def test_unknown_fields_of_params_are_told_without_a_field():
    [fault] = faults({"$$strict": True, "a": "any", "b": "any"}, {"a": 1, "b": 1, "y": 1, "z": 1})

    assert ("objectStrict", "a, b", "y, z") == (fault["type"], fault["expected"], fault["actual"])
    assert "field" not in fault


def test_params_themselves_may_be_wrong():
    assert [("object", None)] == places({"a": "any"}, [1])
    assert [("stringMin", None)] == places({"$$root": True, "type": "string", "min": 3}, "a")


def test_messages_of_the_rule_go_before_those_of_the_validator():
    check = ParamsValidator({"number": "all: {field} {actual}", "required": "need {field}"}).compile(
        {"a": {"type": "number", "messages": {"number": "{field} is {actual}, {expected}!"}}, "b": "number", "c": "any"}
    )

    with pytest.raises(ValidationError) as caught:
        check({"a": "x", "b": [1, "y"]})

    assert ["a is x, !", "all: b 1,y", "need c"] == [fault["message"] for fault in caught.value.data]


def test_a_label_stands_in_the_text_and_beside_the_field():
    [fault] = faults({"a": {"type": "number", "label": "Age"}}, {"a": "x"})

    assert ("a", "Age", "The 'Age' field must be a number.") == (fault["field"], fault["label"], fault["message"])


def test_a_placeholder_in_a_value_or_name_is_not_filled():
    [fault] = faults({"{actual}": "string|contains:{field}"}, {"{actual}": "x"})

    assert "The '{actual}' field must contain '{field}'." == fault["message"]


def test_our_texts_do_not_repeat_values():
    """Only the names of unknown keys are shown: a gateway gives these texts to strangers."""
    assert {"objectStrict"} == {kind for kind, text in MESSAGES.items() if "{actual}" in text}


def test_keys_of_a_record_are_called_keys():
    [fault] = faults({"r": {"type": "record", "key": "string|alpha", "value": "any"}}, {"r": {"1": 1}})

    assert "The 'r.1' key must have letters only." == fault["message"]


def test_faults_can_always_be_sent():
    [fault] = faults({"f": {"type": "class", "instanceOf": int}}, {"f": object()})

    assert "<object>" == json.loads(json.dumps(fault))["actual"]


@pytest.mark.parametrize("rule", ["number[]", {"type": "record", "value": "number"}, {"type": "array", "enum": [1]}])
def test_a_great_many_wrong_items_are_refused_with_a_bounded_answer(rule):
    many = ["x"] * (FAULTS_MAX + 500)
    value = dict(enumerate(many)) if isinstance(rule, dict) and rule["type"] == "record" else many

    assert FAULTS_MAX == len(faults({"v": rule}, {"v": value}))


# The user's own functions.


def test_a_custom_function_sees_the_checked_value_and_its_surroundings():
    seen: list[Any] = []

    def look(value, errors, schema, name, parent, context):
        seen.append((value, schema["type"], name, dict(parent), context.data, context.meta))
        return value * 2

    check = compile_params({"u": {"$$type": "object", "a": {"type": "number", "convert": True, "custom": look}}})
    params = {"u": {"a": "4", "b": 1}}

    assert {"u": {"a": 8, "b": 1}} == check(params, "the call's context")
    assert [(4, "number", "u.a", {"a": "4", "b": 1}, params, "the call's context")] == seen


def test_a_custom_function_adds_faults_with_texts_of_its_own():
    def even(value, errors):
        if value % 2:
            errors.append({"type": "odd", "expected": 2, "actual": value})
        if value > 5:
            errors.append({"type": "unheard"})
        return value

    rule = {"type": "number", "custom": even, "messages": {"odd": "{field}: {actual} is odd"}}

    assert [
        {"type": "odd", "message": "a[1]: 7 is odd", "field": "a[1]", "expected": 2, "actual": 7},
        {"type": "unheard", "message": "The 'a[1]' field is not valid.", "field": "a[1]"},
    ] == faults({"a": {"type": "array", "items": rule}}, {"a": [4, 7]})


def test_custom_functions_in_a_list_hand_the_value_on():
    check = compile_params({"a": {"type": "string", "custom": [str.strip, str.upper]}})

    assert {"a": "X"} == check({"a": " x "})


def test_a_custom_function_is_called_with_as_much_as_it_takes():
    seen: list[Any] = []

    def all_of_it(*given):
        seen.append(len(given))
        return given[0]

    compile_params({"a": {"type": "any", "custom": [all_of_it, lambda value, errors, own=3: seen.append(own)]}})(
        {"a": 1}
    )

    assert [6, 3] == seen


def test_the_custom_rule_asks_its_check():
    def check_it(value, errors):
        if value != 1:
            errors.append({"type": "notOne", "message": "{field} is not one", "field": "elsewhere"})
        return value

    schema = {"a": {"type": "custom", "check": check_it, "optional": True}}

    assert {} == compile_params(schema)({})
    assert [{"type": "notOne", "message": "elsewhere is not one", "field": "elsewhere"}] == faults(schema, {"a": 2})


def test_a_custom_function_is_asked_for_a_missing_field_and_may_fill_it():
    schema = {"a": {"type": "any", "optional": True, "custom": lambda value: value or None}}
    filling = {"a": {"type": "any", "optional": True, "custom": lambda value: 1}}

    assert {} == compile_params(schema)({})
    assert {"a": 1} == compile_params(filling)({})


def test_a_custom_function_cannot_change_what_came_in():
    def meddle(value, errors, schema, name, parent):
        parent["b"] = 1

    with pytest.raises(TypeError):
        compile_params({"a": {"type": "any", "custom": meddle}})({"a": 1})


def test_a_default_may_be_made_by_a_function():
    check = compile_params(
        {
            "a": {"type": "array", "default": list},
            "b": {"type": "object", "default": dict},
            "c": {"type": "string", "default": lambda schema, field, parent, context: f"{field} of {len(parent)}"},
        }
    )

    assert {
        "a": [],
        "b": {},
        "c": "c of 2",
    } == check({})


def test_any_mapping_is_an_object():
    params = MappingProxyType({"a": "1"})

    assert {"a": 1} == compile_params({"a": "number|convert"})(params)
    assert params is compile_params({"a": "string"})(params)
