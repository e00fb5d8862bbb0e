"""AdaptiveLimit, held against a service with a known best."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tautomer.resilience.adaptive import AdaptiveLimit


def worked(limit: AdaptiveLimit, seconds: float, now: float = 0.0, places: int = 10, demand: int = 1_000) -> list[int]:
    """Let a service with so many places, of 10 ms each, be asked by so many at a time. Returns the limits that held."""
    end, seen = now + seconds, []
    while now < end:
        at_once = min(limit.limit, demand)
        took = 0.01 * max(1.0, at_once / places)
        now += took
        for _ in range(at_once):
            limit.ended(took, now, at_once)
        seen.append(limit.limit)
    return seen


def test_the_limit_finds_how_many_a_service_can_take():
    """A service with ten places, each of 10 ms: what is over them waits."""
    limit = AdaptiveLimit()
    now = 0.0
    seen = []
    for _ in range(2000):
        at_once = limit.limit
        took = 0.01 * max(1.0, at_once / 10)
        now += took
        for _ in range(at_once):
            limit.ended(took, now, at_once)
        seen.append(at_once)

    settled = sorted(seen[-500:])
    assert 10 <= settled[25]  # A trial takes it down for a moment.
    assert settled[-1] <= 30


def test_the_limit_stays_within_its_bounds():
    eager, slow = AdaptiveLimit(most=50), AdaptiveLimit(least=5)
    for tick in range(5_000):  # Within the time for which the best counts.
        eager.ended(0.01, tick / 100, eager.limit)
        slow.ended(0.01 if tick < 100 else 10.0, tick / 100, slow.limit)

    assert (50, 5) == (eager.limit, slow.limit)


def test_an_overload_that_lasts_does_not_drive_it_up():
    """What is taken for the best time while all wait is not: the limit would be half as great again each minute."""
    seen = worked(AdaptiveLimit(), 900.0)

    assert max(seen[len(seen) // 10 :]) <= 40


def test_an_overload_from_the_beginning_is_found_out():
    limit = AdaptiveLimit(most=1_000)
    limit.limit = 200  # Twenty times what is good, before anything is known.

    seen = worked(limit, 60.0)

    assert 10 <= sorted(seen[-200:])[20] <= max(seen[-200:]) <= 40


def test_it_does_not_grow_while_it_is_not_used():
    assert max(worked(AdaptiveLimit(), 120.0, demand=5)) <= 40


def test_work_that_becomes_slower_for_good_is_the_new_best():
    limit = AdaptiveLimit()
    worked(limit, 20.0)
    now = 20.0
    while now < 150.0:
        now += 0.05
        for _ in range(5):
            limit.ended(0.05, now, 5)

    assert 0.05 == limit.best


def test_what_is_too_short_to_tell_leaves_room():
    limit = AdaptiveLimit()
    for tick in range(20_000):
        limit.ended(0.0005 if tick % 10 else 0.0, tick / 1_000, limit.limit)

    assert limit.limit >= 500


class Traffic(RuleBasedStateMachine):
    """Whatever it is told, it stays within its bounds, and a trial comes to an end."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = AdaptiveLimit(least=4, most=50, refresh=5.0)
        self.now = 0.0

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(took=st.floats(0, 5), count=st.integers(1, 80), running=st.integers(1, 60))
    def end(self, took: float, count: int, running: int) -> None:
        for _ in range(count):
            self.now += 0.01
            self.limit.ended(took, self.now, running)

    @rule()
    def a_trial_is_over_after_its_time(self) -> None:
        began = self.limit._trial_since
        self.now += 10.0
        self.limit.ended(0.1, self.now, 5)
        assert self.limit._trial_since is None or self.limit._trial_since != began

    @invariant()
    def within_bounds(self) -> None:
        assert 4 <= self.limit.limit <= 50
        assert self.limit.best >= 0


TestTraffic = Traffic.TestCase
