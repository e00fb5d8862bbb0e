"""Every rule with values that pass and values that fail, by the exact error types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tautomer.errors import ValidationError
from tautomer.validation import compile_params

NIL = "00000000-0000-0000-0000-000000000000"
V4 = "550e8400-e29b-41d4-a716-446655440000"
V1 = "550e8400-e29b-11d4-a716-446655440000"


class HexId:
    """Stands for bson's ObjectId."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HexId) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def is_valid(cls, value: object) -> bool:
        return isinstance(value, str) and len(value) == 24


def types_of(rule: Any, value: Any) -> list[str]:
    """The error types for a field `v` with this rule and value, sorted as they came."""
    try:
        compile_params({"v": rule})({"v": value})
    except ValidationError as error:
        return [fault["type"] for fault in error.data]
    return []


PASSING: list[tuple[Any, list[Any]]] = [
    ("any", [0, "", False, [], {}]),
    (True, [1]),
    ("array", [[], [1], (1, 2)]),
    ("array|min:1|max:2|no-empty", [[1], [1, 2]]),
    ({"type": "array", "contains": 1}, [[0, 1], [1.0]]),
    ("array|unique", [[1, "1", True], [{"a": 1}, {"a": 1}]]),
    ({"type": "array", "enum": ["a", 1]}, [["a", 1, "a"]]),
    ("string[]", [[], ["a"]]),
    ("boolean", [True, False]),
    ({"type": "class", "instanceOf": HexId}, [HexId("a")]),
    ({"type": "currency"}, ["1,234.50", "-1", ".5", "0"]),
    ({"type": "currency", "currencySymbol": "$"}, ["$1", "-$1", "$-1"]),
    ({"type": "currency", "currencySymbol": "$", "symbolOptional": True}, ["1", "$1"]),
    ({"type": "currency", "thousandSeparator": ".", "decimalSeparator": ","}, ["1.234,5"]),
    ({"type": "currency", "customRegex": "^CHF [0-9]+$"}, ["CHF 12"]),
    ("custom", [1]),
    ("date", [datetime(2020, 1, 1, tzinfo=UTC), date(2020, 1, 1)]),
    ("email", ["a@b.cc", "a@@b.c", "ä@ö.ü"]),
    ({"type": "email", "mode": "precise"}, ["a.b@c.de", '"a b"@c.de', "a@[1.2.3.4]"]),
    ("email|empty", [""]),
    ({"type": "enum", "values": ["a", 1]}, ["a", 1, 1.0]),
    ({"type": "equal", "value": 12}, [12, "12", " 12 ", [12], "0xc"]),
    ({"type": "equal", "value": 0}, [0, "", False, []]),
    ({"type": "equal", "value": "1", "strict": True}, ["1"]),
    ("forbidden", [None]),
    ("function", [len]),
    ("luhn", ["79927398713", "4111-1111-1111-1111"]),
    ("mac", ["00:11:22:aa:BB:cc", "00-11-22-33-44-55", "0011.2233.4455"]),
    (["number", "string"], [1, "a"]),
    ({"type": "multi", "rules": ["number", "string"]}, [1, "a"]),
    ("number", [0, -1.5, 10**400]),
    ("number|min:2|max:4", [2, 4]),
    ("number|equal:3|notEqual:4|integer|positive", [3, 3.0]),
    ("number|negative", [-1]),
    ("object", [{}, {"a": 1}]),
    ("object|minProps:1|maxProps:1", [{"a": 1}]),
    ({"type": "object", "properties": {"a": "number"}, "strict": True}, [{"a": 1}]),
    ({"type": "objectID", "ObjectID": HexId}, ["a" * 24]),
    ({"type": "record", "key": "string|alpha", "value": "number"}, [{}, {"a": 1}]),
    ("string", ["", "a"]),
    ("string|min:1|max:2|no-empty", ["a", "ab", "\N{GRINNING FACE}" * 2]),
    ("string|length:2", ["ab"]),
    ("string|empty|min:3", ["", "abc"]),
    ({"type": "string", "pattern": r"^\d+$"}, ["12"]),
    ({"type": "string", "pattern": "^AB", "patternFlags": "i"}, ["abc"]),
    ("string|contains:b", ["abc"]),
    ({"type": "string", "enum": ["a", "b"]}, ["a"]),
    ("string|numeric", ["-1.5", "007"]),
    ("string|alpha", ["aZ"]),
    ("string|alphanum", ["a1"]),
    ("string|alphadash", ["a_-1"]),
    ("string|hex", ["00fF"]),
    ("string|singleLine", ["a b"]),
    ("string|base64", ["", "YQ==", "YWI=", "YWJj"]),
    ({"type": "tuple", "items": ["number", "string"]}, [[1, "a"], []]),
    ("tuple", [[], [1, 2]]),
    ("url", ["http://a", "https://a b"]),
    ("url|empty", [""]),
    ("uuid", [V1, V4, NIL, V4.upper()]),
    ("uuid|version:4", [V4]),
    ("uuid|version:0", [NIL]),
]

FAILING: list[tuple[Any, list[Any], list[str]]] = [
    ("any", [None], ["required"]),
    ("array", ["a", {}, 1], ["array"]),
    ("array|min:2|no-empty", [[]], ["arrayEmpty", "arrayMin"]),
    ("array|max:1|length:1", [[1, 2]], ["arrayMax", "arrayLength"]),
    ({"type": "array", "contains": 1}, [[], ["1"], [True]], ["arrayContains"]),
    ("array|unique", [[1, 1.0], ["a", "b", "a"]], ["arrayUnique"]),
    ({"type": "array", "enum": ["a", 1]}, [["b", True]], ["arrayEnum", "arrayEnum"]),
    ("string[]", [[1]], ["string"]),
    ("string[]", [[None]], ["required"]),
    ("boolean", [1, "true", 0], ["boolean"]),
    ("boolean|convert", ["yes", 2, "TRUE", []], ["boolean"]),
    ({"type": "class", "instanceOf": HexId}, ["a"], ["classInstanceOf"]),
    ({"type": "currency"}, ["1234", "1.234", "", "$1", 5, "1\n"], ["currency"]),
    ({"type": "currency", "currencySymbol": "$"}, ["1"], ["currency"]),
    ("date", ["2020-01-01", 5], ["date"]),
    ("date|convert", ["", "soon", "2020-13-01", 1e300, True, [], "9" * 5000], ["date"]),
    ("email", ["a", "@b.c", "a@b.", "a b@c.d", "a@b.c\n", "a@.c"], ["email"]),
    ({"type": "email", "mode": "precise"}, ["a@b.c", "a..b@c.de", "a@b_c.de", "a@b"], ["email"]),
    ("email", [1], ["string"]),
    ("email", [""], ["emailEmpty"]),
    ("email|min:9", ["a@b.cc"], ["emailMin"]),
    ("email|max:3", ["a@b.cc"], ["emailMax"]),
    ({"type": "enum", "values": ["a", 1]}, ["b", "1", True, ["a"]], ["enumValue"]),
    ({"type": "equal", "value": 12}, ["12a", 13, {}], ["equalValue"]),
    ({"type": "equal", "value": "1", "strict": True}, [1], ["equalValue"]),
    ({"type": "equal", "field": "w"}, [1], ["equalField"]),
    ("forbidden", [0, ""], ["forbidden"]),
    ("function", ["len"], ["function"]),
    ("luhn", ["79927398710", "", "0", "abc"], ["luhn"]),
    ("luhn", [79927398713], ["string"]),
    ("mac", ["00:11:22:33:44", "0g:11:22:33:44:55", "00:11-22:33:44:55"], ["mac"]),
    ("mac", [1], ["string"]),
    (["number", "string"], [True], ["number", "string"]),
    ("number", ["1", True, [], float("nan"), float("inf"), -float("inf")], ["number"]),
    ("number|convert", ["12a", {}, [1, 2], "1_0", "Infinity", "9" * 400, "0x" + "f" * 400], ["number"]),
    ("number|min:2|integer", [1.5], ["numberMin", "numberInteger"]),
    ("number|max:2", [3], ["numberMax"]),
    ("number|equal:2|positive", [-2], ["numberEqual", "numberPositive"]),
    ("number|notEqual:2|negative", [2.0], ["numberNotEqual", "numberNegative"]),
    ("number|positive", [0], ["numberPositive"]),
    ("number|negative", [0], ["numberNegative"]),
    ("object", [[], "a", 1], ["object"]),
    ("object|minProps:1", [{}], ["objectMinProps"]),
    ("object|maxProps:0", [{"a": 1}], ["objectMaxProps"]),
    ({"type": "object", "props": {"a": "number"}, "strict": True}, [{"a": 1, "b": 2}], ["objectStrict"]),
    ({"$$type": "object", "a": "number", "$$strict": True}, [{"a": 1, "b": 2}], ["objectStrict"]),
    ({"type": "objectID", "ObjectID": HexId}, ["a", 1], ["objectID"]),
    ("record", [[], 1], ["record"]),
    ("record", [{"a": None}], ["required"]),
    ({"type": "record", "key": "string|alpha", "value": "number"}, [{"1": "x"}], ["stringAlpha", "number"]),
    ("string", [1, True, []], ["string"]),
    ("string|no-empty|min:1", [""], ["stringEmpty", "stringMin"]),
    ("string|max:1|length:1", ["ab"], ["stringMax", "stringLength"]),
    ({"type": "string", "pattern": r"^\d+$"}, ["12\n", "\u0661", ""], ["stringPattern"]),
    ("string|contains:b", ["a"], ["stringContains"]),
    ({"type": "string", "enum": ["a", 1]}, ["1"], ["stringEnum"]),
    ("string|numeric", ["1.", "a", "", "\u0661", "1\n"], ["stringNumeric"]),
    ("string|alpha", ["a1", "", "\u00e9"], ["stringAlpha"]),
    ("string|alphanum", ["a_"], ["stringAlphanum"]),
    ("string|alphadash", ["a b"], ["stringAlphadash"]),
    ("string|hex", ["abc", "0g", ""], ["stringHex"]),
    ("string|singleLine", ["a\nb"], ["stringSingleLine"]),
    ("string|base64", ["YQ=", "YQ", "a\\bc"], ["stringBase64"]),
    ({"type": "tuple", "items": ["number", "string"]}, [["a", 1]], ["number", "string"]),
    ({"type": "tuple", "items": ["number"]}, [[1, 2]], ["tupleLength"]),
    ({"type": "tuple", "items": ["number"], "empty": False}, [[]], ["tupleEmpty"]),
    ("tuple", ["a"], ["tuple"]),
    ("url", ["ftp://a", "HTTP://a", "http://", "http:// a"], ["url"]),
    ("url", [""], ["urlEmpty"]),
    ("url", [1], ["string"]),
    ("uuid", ["", V4[:-1], V4.replace("-a716", "-c716"), V4.replace("41d4", "91d4"), V4 + "\n"], ["uuid"]),
    ("uuid", [1], ["string"]),
    ("uuid|version:4", [V1, NIL], ["uuidVersion"]),
]

CHANGING: list[tuple[Any, Any, Any]] = [
    ("array|convert", "a", ["a"]),
    ({"type": "array", "items": "number|convert"}, [1, "2"], [1, 2]),
    *[("boolean|convert", value, True) for value in (1, 1.0, "true", "1", "on")],
    *[("boolean|convert", value, False) for value in (0, 0.0, "false", "0", "off")],
    ("date|convert", 0, datetime(1970, 1, 1, tzinfo=UTC)),
    ("date|convert", "1000", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ("date|convert", "2020-01-02T03:04:05Z", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ("date|convert", "2020-01-02", datetime(2020, 1, 2, tzinfo=UTC)),
    ("email|normalize", " A@B.CC ", "a@b.cc"),
    ("email|normalize", "A@b.cc", "a@b.cc"),
    (["string|numeric|trim", "boolean|convert"], " 5 ", "5"),
    (["string|numeric|trim", "boolean|convert"], "on", True),
    *[("number|convert", value, number) for value, number in [("", 0), (" 12 ", 12), ("0x10", 16), ("1.0", 1)]],
    *[("number|convert", value, number) for value, number in [("1e3", 1000), (".5", 0.5), (True, 1), ([], 0)]],
    *[("number|convert", value, number) for value, number in [(["7"], 7), ("0b11", 3), ("0o17", 15), ("5.", 5)]],
    ("number|convert", "9007199254740993", 9007199254740993),
    ({"type": "objectID", "ObjectID": HexId, "convert": True}, "a" * 24, HexId("a" * 24)),
    ({"type": "record", "key": "string|uppercase", "value": "number|convert"}, {"a": "1"}, {"A": 1}),
    *[
        ("string|convert", value, text)
        for value, text in [(1.0, "1"), (1e21, "1e+21"), (1e-5, "0.00001"), (1e-7, "1e-7")]
    ],
    *[
        ("string|convert", value, text)
        for value, text in [(True, "true"), ([1, [None, 2]], "1,,2"), ({}, "[object Object]")]
    ],
    ("string|trim", "\ufeff a\u00a0", "a"),
    ("string|trimLeft", " a ", "a "),
    ("string|trimRight", " a ", " a"),
    ("string|padStart:5|padChar:xy", "a", "xyxya"),
    ("string|padEnd:3", "a", "a  "),
    ("string|uppercase", "a", "A"),
    ("string|localeLowercase", "A", "a"),
    ({"type": "tuple", "items": ["number|convert"]}, ["1"], [1]),
]


@pytest.mark.parametrize(("rule", "values"), PASSING, ids=range(len(PASSING)))
def test_right_values_come_back_as_they_are(rule, values):
    for value in values:
        params = {"v": value}

        answer = compile_params({"v": rule})(params)

        assert answer is params, value


@pytest.mark.parametrize(("rule", "values", "types"), FAILING, ids=range(len(FAILING)))
def test_wrong_values_are_told_by_their_error_types(rule, values, types):
    for value in values:
        assert types == types_of(rule, value), value


@pytest.mark.parametrize(("rule", "value", "changed"), CHANGING, ids=range(len(CHANGING)))
def test_what_has_to_change_is_changed_in_a_copy(rule, value, changed):
    params = {"v": value, "other": 1}

    answer = compile_params({"v": rule})(params)

    assert {"v": changed, "other": 1} == answer
    assert type(changed) is type(answer["v"])
    assert params == {"v": value, "other": 1}
    assert params["v"] is value


@pytest.mark.parametrize(
    ("option", "missing", "none"),
    [
        ("", ["required"], ["required"]),
        ("|optional", [], []),
        ("|nullable", ["required"], []),
        ("|optional|nullable", [], []),
        ("|default:5", [], []),
        ("|nullable|default:5", [], []),
    ],
)
def test_optional_takes_missing_and_none_but_nullable_only_none(option, missing, none):
    check = compile_params({"v": f"number{option}"})

    def types(params: Any) -> list[str]:
        try:
            check(params)
        except ValidationError as error:
            return [fault["type"] for fault in error.data]
        return []

    assert missing == types({})
    assert none == types({"v": None})


def test_a_default_fills_in_for_missing_and_for_none_unless_that_is_allowed():
    assert {"v": 5} == compile_params({"v": "number|default:5"})({})
    assert {"v": 5} == compile_params({"v": "number|default:5"})({"v": None})
    assert {"v": None} == compile_params({"v": "number|nullable|default:5"})({"v": None})


def test_a_default_list_is_fresh_each_time():
    check = compile_params({"v": {"type": "array", "default": [[]]}})

    check({})["v"][0].append(1)

    assert {"v": [[]]} == check({})


def test_forbidden_can_drop_the_field_silently():
    assert {"b": 1} == compile_params({"a": "forbidden|remove"})({"a": 1, "b": 1})


def test_strict_remove_drops_unknown_fields():
    schema = {"$$strict": "remove", "a": "number", "u": {"$$type": "object", "$$strict": "remove", "x": "any"}}

    assert {"a": 1, "u": {"x": 1}} == compile_params(schema)({"a": 1, "b": 2, "u": {"x": 1, "y": 2}})


def test_equal_field_sees_the_other_field_after_its_conversion():
    check = compile_params({"a": "string|trim", "b": {"type": "equal", "field": "a"}})

    assert {"a": "x", "b": "x"} == check({"a": " x ", "b": "x"})


@pytest.mark.parametrize(
    ("text", "passes"), [("@" * 200_000, False), ("a@" * 100_000 + ".", False), ("1" * 200_000 + "x", False)]
)
def test_hostile_texts_cost_linear_time(text, passes):
    """With backtracking over every pair of places these would take minutes."""
    check = compile_params({"e": "email|optional", "p": "email|mode:precise|optional", "n": "number|convert|optional"})

    for field in ("e", "p", "n"):
        with pytest.raises(ValidationError):
            check({field: text})
