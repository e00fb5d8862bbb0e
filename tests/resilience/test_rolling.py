"""What happened of late, held against lists of everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.resilience.rolling import RollingEvents, RollingMaximum, RollingValues, percentile

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.4, 1.0, 3.0, 9.9, 10.0, 100.0]), st.integers(0, 20)), max_size=60
)


@given(STEPS)
def test_they_agree_with_lists_of_everything(steps: list[tuple[float, int]]) -> None:
    events, most, values = RollingEvents(10.0, 10), RollingMaximum(10.0, 10), RollingValues(10.0, 10, 5)
    now = 50.0
    seen: list[tuple[int, int]] = []
    for pause, number in steps:
        now += pause
        events.add("x", now, number)
        most.add(number, now)
        values.add(number, now)
        seen.append((int(now), number))

    recent = [(second, number) for second, number in seen if second > int(now) - 10]
    assert sum(number for _, number in recent) == events.of_late(now)["x"]
    assert max((number for _, number in recent), default=0) == most.of_late(now)
    kept = [n for second in {second for second, _ in recent} for n in [n for s, n in recent if s == second][-5:]]
    assert sorted(kept) == values.of_late(now)
    assert sum(number for _, number in seen) == events.ever["x"]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, 0), ([3], 99, 3), ([1, 2], 50, 1.5), ([1, 2, 3], 0, 1), ([1, 2, 3], 100, 3), ([0, 10], 99.5, 9.95)],
)
def test_a_percentile_lies_between_its_neighbours(values: list[float], percent: float, expected: float) -> None:
    assert expected == pytest.approx(percentile(values, percent))
