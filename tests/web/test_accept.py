"""What a client would like to be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.messages.accept import preferred, quality


@pytest.mark.parametrize(
    ("accept", "media_type", "weight"),
    [
        ("a/b", "a/b", 1),
        ("A/B", "a/b", 1),
        ("a/b;q=0.5", "a/b", 0.5),
        ("a/b ; v=1 ; q=0.25", "a/b", 0.25),
        ("a/*", "a/b", 1),
        ("*/*;q=0.1, a/*;q=0.2, a/b;q=0.3", "a/b", 0.3),
        ("*/*;q=0.1, a/*;q=0.2, a/b;q=0.3", "a/c", 0.2),
        ("*/*;q=0.1, a/*;q=0.2, a/b;q=0.3", "c/d", 0.1),
        ("a/b;q=0, */*", "a/b", 0),
        ("c/d", "a/b", 0),
        ("", "a/b", 0),
        ("a/b;q=2", "a/b", 1),
    ],
)
def test_the_narrowest_range_says_how_much_a_type_is_liked(accept: str, media_type: str, weight: float) -> None:
    assert weight == quality(accept, media_type)


def test_a_type_may_have_to_be_named() -> None:
    assert 0 == quality("*/*", "a/b", named=True)
    assert 1 == quality("*/*;q=0.1, a/b", "a/b", named=True)


def test_of_equals_the_first_offered_is_taken() -> None:
    assert "a/b" == preferred("*/*", ["a/b", "c/d"])
    assert "c/d" == preferred("a/b;q=0.5, c/d", ["a/b", "c/d"])
    assert preferred("e/f", ["a/b", "c/d"]) is None


@given(st.text(max_size=200))
def test_any_text_has_a_weight(accept: str) -> None:
    assert 0 <= quality(accept, "a/b") <= 1
