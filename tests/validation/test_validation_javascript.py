"""JavaScript's conversions, each expected value as Node 22 printed it (where not said otherwise)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from tautomer.validation.javascript import MISSING, identity_key, loosely_equal, to_number, to_text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("", 0),
        (" \n\ufeff", 0),
        ("12", 12),
        (" -12 ", -12),
        ("+1.50", 1.5),
        ("5.", 5),
        (".5", 0.5),
        ("1e3", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("0O17", 15),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
        ("0x" + "f" * 300, math.inf),
        (True, 1),
        (None, 0),
        ([], 0),
        (["7"], 7),
        (datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), 1500),
    ],
)
def test_numbers_are_read_as_number_does(value, number):
    assert number == to_number(value)


@pytest.mark.parametrize(
    "value",
    ["12a", "1_000", "-0x10", "0x", "0xg", "infinity", "1e", ".", "--1", "\u0661", [1, 2], {}, MISSING, "0b2", "1 2"],
)
def test_what_is_no_number_is_nan(value):
    assert math.isnan(to_number(value))


def test_whole_numbers_keep_all_digits():
    """Node rounds these; an id of 64 bits that comes as text should not become another one."""
    assert 9007199254740993 == to_number("9007199254740993")
    assert int is type(to_number("1e3"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, "null"),
        (MISSING, "undefined"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (-1.5, "-1.5"),
        (1e21, "1e+21"),
        (10**21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (123456789012345680000.0, "123456789012345680000"),
        (0.000001, "0.000001"),
        (0.0, "0"),
        (-0.0, "0"),
        (100.0, "100"),
        (123.456, "123.456"),
        (5e-324, "5e-324"),
        (-0.0000015, "-0.0000015"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (math.inf, "Infinity"),
        (10**5000, "Infinity"),
        (-(10**5000), "-Infinity"),
        ([], ""),
        ([1, None, "a", [2, [3]], True], "1,,a,2,3,true"),
        ({}, "[object Object]"),
        (MappingProxyType({}), "[object Object]"),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, int) else "number",
)
def test_texts_are_made_as_string_does(value, text):
    assert text == to_text(value)


def test_a_list_that_holds_itself_becomes_text_all_the_same():
    endless: list[Any] = []
    endless.append(endless)

    assert "" == to_text(endless)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, "1", True),
        (1, "01", True),
        (1, True, True),
        ("true", True, False),
        ("", 0, True),
        ("", False, True),
        ("a", "A", False),
        ("1", "1.0", False),
        (None, MISSING, True),
        (None, 0, False),
        (0, None, False),
        ([], "", True),
        ([1], 1, True),
        ("1,2", [1, 2], True),
        ({}, "[object Object]", True),
        ([], [], False),
        (math.nan, math.nan, False),
    ],
)
def test_loose_equality_is_that_of_two_equal_signs(left, right, equal):
    assert equal is loosely_equal(left, right)
    assert equal is loosely_equal(right, left)


def test_identity_is_that_of_three_equal_signs():
    some: list[Any] = []

    assert identity_key(1) == identity_key(1.0)
    assert identity_key(some) == identity_key(some)
    assert 5 == len({identity_key(value) for value in [1, "1", True, None, some]})
    assert identity_key(some) != identity_key([])
