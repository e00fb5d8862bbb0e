"""The table of waiting requests against a naive model: every request ends once (promise C1)."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tautomer.protocol.pending import Pending, PendingRequests

NODES = st.sampled_from(["a", "b", "c"])
IDS = st.integers(0, 12).map("id-{}".format)


class PendingMachine(RuleBasedStateMachine):
    """The future of each request is its number; what has ended is written down, and must be new each time."""

    def __init__(self) -> None:
        super().__init__()
        self.real: PendingRequests[int, None] = PendingRequests(1_000)
        self.waiting: dict[str, tuple[int, str, float | None]] = {}
        self.ended: list[int] = []
        self.made = 0
        self.orphans = 0

    @rule(request_id=IDS, node=NODES, deadline=st.none() | st.integers(0, 20).map(float))
    def ask(self, request_id: str, node: str, deadline: float | None) -> None:
        if request_id in self.waiting:
            return
        self.made += 1
        self.waiting[request_id] = self.made, node, deadline
        self.real.by_id[request_id] = Pending("math.add", node, deadline, self.made, None)

    @rule(request_id=IDS, sender=NODES)
    def answer(self, request_id: str, sender: str) -> None:
        found = self.waiting.get(request_id)
        expected = found[0] if found is not None and found[1] == sender else None
        if expected is None:
            self.orphans += 1

        taken = self.real.take(request_id, sender)

        assert expected == (taken and taken.future)
        self.end([taken] if taken else [])

    @rule(request_id=IDS)
    def answer_from_whoever_was_chosen_elsewhere(self, request_id: str) -> None:
        """A balanced request has no known receiver: the first answer counts."""
        expected = self.waiting.get(request_id)
        if expected is None:
            self.orphans += 1

        taken = self.real.take(request_id)

        assert (expected is None) is (taken is None)
        self.end([taken] if taken else [])

    @rule(request_id=IDS)
    def cancel(self, request_id: str) -> None:
        expected = self.waiting.get(request_id)

        dropped = self.real.drop(request_id)

        assert (expected and expected[0]) == (dropped and dropped.future)
        self.end([dropped] if dropped else [])

    @rule(now=st.integers(0, 20).map(float))
    def sweep(self, now: float) -> None:
        expected = [number for number, _, deadline in self.waiting.values() if deadline is not None and deadline <= now]

        taken = self.real.take_overdue(now)

        assert expected == [pending.future for pending in taken]
        self.end(taken)

    @rule()
    def stop(self) -> None:
        expected = [number for number, _, _ in self.waiting.values()]

        taken = self.real.take_all()

        assert expected == [pending.future for pending in taken]
        self.end(taken)

    def end(self, taken: list[Pending[int, None]]) -> None:
        for pending in taken:
            assert pending.future not in self.ended
            self.ended.append(pending.future)
        self.waiting = {key: one for key, one in self.waiting.items() if one[0] not in self.ended}

    @invariant()
    def both_wait_for_the_same(self) -> None:
        assert len(self.waiting) == len(self.real)
        assert [(key, one[0]) for key, one in self.waiting.items()] == [
            (key, pending.future) for key, pending in self.real.by_id.items()
        ]
        assert self.orphans == self.real.orphans


@pytest.mark.slow
def test_whatever_happens_every_request_ends_once() -> None:
    run_state_machine_as_test(PendingMachine, settings=settings(max_examples=60, stateful_step_count=30))


def test_a_deadline_has_passed_at_its_very_moment_and_not_before() -> None:
    table: PendingRequests[str, None] = PendingRequests(10)
    table.by_id["1"] = Pending("math.add", "a", 5.0, "future", None)

    assert [] == table.take_overdue(4.999)
    assert ["future"] == [pending.future for pending in table.take_overdue(5.0)]


def test_an_answer_from_another_node_leaves_the_request_waiting() -> None:
    table: PendingRequests[str, None] = PendingRequests(10)
    table.by_id["1"] = Pending("math.add", "a", None, "future", None)

    assert None is table.take("1", "b")
    assert 1 == table.orphans
    assert "future" == table.take("1", "a").future  # type: ignore[union-attr]  # It is there.
    assert None is table.take("1", "a")
