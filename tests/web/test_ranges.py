"""Parts of a file that a client asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.messages.ranges import RANGES_MAX, RangeNotSatisfiable, parse_ranges


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-5", [(2, 6)]),
        ("bytes=2-", [(2, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-30", [(0, 10)]),
        ("bytes=5-999999999999999999", [(5, 10)]),
        ("Bytes = 1-2 , 4-5", [(1, 3), (4, 6)]),
        ("bytes=4-5,1-2", [(1, 3), (4, 6)]),
        ("bytes=0-5,3-7", [(0, 8)]),
        ("bytes=0-2,3-5", [(0, 6)]),
        ("bytes=1-2,20-30", [(1, 3)]),
    ],
)
def test_parts_in_order(header: str, parts: list[tuple[int, int]]) -> None:
    assert parts == parse_ranges(header, 10)


@pytest.mark.parametrize(
    "header",
    ["bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=1-2,x", "items=1-2", "bytes=1 - 2", "bytes=+1-2",
     "bytes=1-2-3", "bytes=0-" + "9" * 19, "bytes=\uff11-2", ""],
)  # fmt: skip
def test_what_is_not_in_the_form_is_ignored(header: str) -> None:
    assert parse_ranges(header, 10) is None


@pytest.mark.parametrize(
    "header", ["bytes=10-", "bytes=10-20,30-40", "bytes=-0", "bytes=" + "0-0," * RANGES_MAX + "0-0"]
)
def test_parts_that_are_not_there_or_too_many(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_ranges(header, 10)


def test_nothing_has_no_parts() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_ranges("bytes=0-", 0)


bound = st.none() | st.integers(0, 30)


@given(st.lists(st.tuples(bound, bound), min_size=1, max_size=5), st.integers(0, 20))
def test_parts_cover_what_was_asked_for_and_no_byte_twice(
    asked: list[tuple[int | None, int | None]], size: int
) -> None:
    header = "bytes=" + ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in asked)
    wanted: set[int] = set()
    valid = True
    for first, last in asked:
        if (first is None and last is None) or (first is not None and last is not None and last < first):
            valid = False
        elif first is None:
            assert last is not None
            wanted |= set(range(max(0, size - last), size))
        else:
            wanted |= set(range(first, min(size, (size if last is None else last + 1))))

    try:
        parts = parse_ranges(header, size)
    except RangeNotSatisfiable:
        assert not wanted
        return

    assert valid == (parts is not None)
    if parts is not None:
        covered = [at for begin, end in parts for at in range(begin, end)]
        assert sorted(wanted) == covered
        assert all(begin < end for begin, end in parts)
