"""Ids that were seen, against a naive model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.duplicates import KEPT_SECONDS, SeenRequests


def take(seen: SeenRequests, sender: str, request_id: str) -> bool:
    """As `Serving.on_request` does it. True for one that is new."""
    key = hash(request_id) ^ hash(sender)
    if key in seen.newer or key in seen.older:
        return False
    seen.newer.add(key)
    if len(seen.newer) >= seen.most:
        seen.overflow()
    return True


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.0, 0.05, 7.0, 59.0, 61.0])), max_size=80))
def test_what_came_in_the_last_minute_is_known_and_after_two_it_is_forgotten(steps: list[tuple[int, float]]) -> None:
    seen = SeenRequests()
    now = 100.0
    taken: dict[str, float] = {}
    seen.turn(now)
    for number, pause in steps:
        for _ in range(int(pause / 7.0)):  # A look now and then, as the sweep does it.
            now += 7.0
            seen.turn(now)
        now += pause % 7.0
        seen.turn(now)
        request_id = f"id-{number}"
        age = now - taken.get(request_id, -1_000.0)

        new = take(seen, "n", request_id)

        if age < KEPT_SECONDS:
            assert not new
        elif age > 2 * KEPT_SECONDS + 7.0:
            assert new
        if new:
            taken[request_id] = now


@given(st.integers(1, 50), st.integers(0, 300))
def test_memory_is_bounded_and_the_newest_are_known(most: int, count: int) -> None:
    seen = SeenRequests(most)
    seen.turn(0.0)
    for number in range(count):
        assert take(seen, "n", f"id-{number}")
        seen.turn(0.0)
        assert len(seen) <= 2 * most

    assert not any(take(seen, "n", f"id-{number}") for number in range(max(0, count - most), count))


def test_the_same_id_of_another_sender_is_another_request() -> None:
    seen = SeenRequests()

    assert take(seen, "a", "id")
    assert take(seen, "b", "id")
    assert not take(seen, "b", "id")


def test_a_full_generation_still_keeps_its_minute() -> None:
    seen = SeenRequests(2)
    seen.turn(0.0)
    seen.turn(59.0)
    assert take(seen, "n", "1")
    assert take(seen, "n", "2")

    seen.turn(60.5)

    assert not take(seen, "n", "1")


def test_after_a_long_pause_nothing_is_known() -> None:
    seen = SeenRequests()
    seen.turn(0.0)
    assert take(seen, "n", "1")

    seen.turn(121.0)

    assert 0 == len(seen)


def test_what_came_before_is_told_by_one_question_too() -> None:
    seen = SeenRequests(most=2)

    assert [False, True, False, True] == [seen.came_before(key, 100.0) for key in (1, 1, 2, 1)]
    assert [False, False] == [seen.came_before(key, 100.0) for key in (3, 4)]
    assert not seen.came_before(1, 100.0)
