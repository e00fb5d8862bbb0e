"""FixedWindows against a naive model, and its bound."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tautomer.resilience.ratelimit import KEYS_MAX, FixedWindows

WINDOW = 10.0
ROOM = 3


class Windows(RuleBasedStateMachine):
    """Every hit is remembered with its time; the oldest window is dropped where there is no room."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.windows = FixedWindows(WINDOW, ROOM)
        self.begun: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.0, 9.0, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=st.sampled_from("abcde"))
    def somebody_asks(self, key: str) -> None:
        now = self.now
        for known in [one for one, begun in self.begun.items() if begun + WINDOW <= now]:
            del self.begun[known]
        if key not in self.begun:
            if len(self.begun) == ROOM:
                del self.begun[min(self.begun, key=lambda one: self.begun[one])]
            self.begun[key] = now
            self.counts[key] = 0
        self.counts[key] += 1

        window = self.windows.hit(key, now)

        assert (self.counts[key], self.begun[key] + WINDOW) == (window.hits, window.ends)

    @invariant()
    def it_has_a_bound(self) -> None:
        assert len(self.windows) <= ROOM


TestWindows = Windows.TestCase
TestWindows.settings = settings(max_examples=200, stateful_step_count=30)


def test_the_keys_of_a_flood_take_a_bounded_room():
    windows = FixedWindows(60.0)

    for number in range(KEYS_MAX + 500):
        assert 1 == windows.hit(str(number), 0.0).hits

    assert KEYS_MAX == len(windows)
    assert 2 == windows.hit(str(KEYS_MAX), 0.0).hits
    assert 1 == windows.hit("0", 0.0).hits


def test_what_is_over_goes_faster_than_it_comes():
    windows = FixedWindows(1.0)
    for number in range(100):
        windows.hit(str(number), 0.0)

    for number in range(100, 200):
        windows.hit(str(number), 2.0)

    assert 100 == len(windows)
