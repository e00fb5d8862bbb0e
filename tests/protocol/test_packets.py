"""What the records make of odd but permitted fields."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given

from tautomer.protocol.packets import LEVEL_MAX, call_level, entries, timeout_seconds

from .values import NUMBERS, json_values

YEAR_MS = 365 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("wire", "seconds"),
    [(0, 0.0), (3000, 3.0), (999.88, 0.99988), (0.5, 0.0005), (YEAR_MS, YEAR_MS / 1000), (-0.0, 0.0)],
)
def test_a_timeout_on_the_wire_is_milliseconds(wire: float, seconds: float) -> None:
    assert seconds == timeout_seconds(wire)


@pytest.mark.parametrize(
    "wire",
    [
        None,
        True,
        False,
        "3000",
        [],
        {},
        -1,
        -0.001,
        math.nan,
        math.inf,
        -math.inf,
        YEAR_MS + 1,
        1e300,
        10**400,
        -(10**400),
    ],
    ids=lambda wire: str(wire)[:10],
)
def test_an_odd_timeout_says_nothing(wire: Any) -> None:
    """Then the node's own default applies (reliability reference, section 5.4)."""
    assert None is timeout_seconds(wire)


@given(json_values() | NUMBERS)
def test_any_timeout_is_a_length_of_time_or_nothing(wire: Any) -> None:
    seconds = timeout_seconds(wire)

    assert seconds is None or 0 <= seconds <= YEAR_MS / 1000


@pytest.mark.parametrize(
    ("wire", "level"),
    [
        (None, 1),
        (1, 1),
        (5, 5),
        (2.9, 2),
        (0, 1),
        (-3, 1),
        (0.5, 1),
        (math.nan, 1),
        (1e300, LEVEL_MAX),
        (10**400, LEVEL_MAX),
    ],
    ids=lambda wire: str(wire)[:10],
)
def test_the_level_of_a_call_is_a_whole_number_from_one(wire: Any, level: int) -> None:
    found = call_level(wire)

    assert level == found
    assert type(found) is int


class TestEntries:
    """Node uses the name inside an entry; the keys of the map mean nothing (protocol reference, appendix A)."""

    def test_are_known_by_the_name_inside(self) -> None:
        assert {"a.hi": {"name": "a.hi", "n": 1}} == entries({"another": {"name": "a.hi", "n": 1}})

    def test_may_come_as_a_list(self) -> None:
        assert {"a.hi": {"name": "a.hi"}, "a.ho": {"name": "a.ho"}} == entries([{"name": "a.hi"}, {"name": "a.ho"}])

    @pytest.mark.parametrize("entry", [{}, {"name": None}, {"name": 5}, {"name": ["a"]}, {"rawName": "hi"}])
    def test_without_a_name_register_nothing(self, entry: dict[str, Any]) -> None:
        assert {} == entries({"a.hi": entry})
        assert {} == entries([entry])

    def test_may_be_missing(self) -> None:
        assert {} == entries(None)
        assert {} == entries({})
        assert {} == entries([])
