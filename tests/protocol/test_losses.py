"""Which nodes are probed, and which calls end because their node is gone."""

from __future__ import annotations

from tautomer.protocol.losses import ASKED_MAX, ASKED_SECONDS, GRACE, Losses
from tautomer.protocol.pending import Pending, PendingRequests


class Table(PendingRequests[str, None]):
    """A table in which a test puts calls by their id and node."""

    def put(self, request_id: str, node_id: str) -> None:
        self.by_id[request_id] = Pending("far.do", node_id, None, request_id, None)


def made(**calls: str) -> tuple[Table, Losses[str]]:
    table = Table(10_000)
    for request_id, node_id in calls.items():
        table.put(request_id, node_id)
    return table, Losses(table)


def test_a_node_is_probed_when_its_oldest_call_is_found_again() -> None:
    table, losses = made(one="a", two="b")
    assert [] == losses.to_probe(100.0)
    table.take("two")
    table.put("three", "b")

    assert [] == losses.to_probe(100.9)
    assert ["a"] == losses.to_probe(101.0)
    assert ["a", "b"] == losses.to_probe(102.0)


def test_a_node_that_answers_in_turn_is_never_probed() -> None:
    table, losses = made(n0="a")

    for second in range(20):
        table.put(f"n{second + 1}", "a")
        assert [] == losses.to_probe(100.0 + second)
        table.take(f"n{second}")


def test_calls_that_the_message_broker_places_probe_nobody() -> None:
    _, losses = made(one="")
    losses.to_probe(100.0)

    assert [] == losses.to_probe(101.0)


def test_an_unheard_probe_names_its_node_once() -> None:
    _, losses = made(one="a")
    losses.asked("a", "7", 100.0)

    assert "a" == losses.unheard("7")
    assert None is losses.unheard("7")
    assert None is losses.unheard("8")


def test_only_the_latest_questions_are_remembered() -> None:
    """Where many calls end unanswered, a probe is not to be the one that is forgotten."""
    _, losses = made(one="a")
    for number in range(ASKED_MAX + 1):
        losses.asked("a", str(number), 100.0)

    assert (None, "a") == (losses.unheard("0"), losses.unheard(str(ASKED_MAX)))


def test_probes_are_forgotten_with_the_line_and_after_a_while() -> None:
    _, losses = made(one="a")
    losses.asked("a", "7", 100.0)
    losses.forget()
    assert None is losses.unheard("7")

    losses.asked("a", "8", 100.0)
    losses.to_probe(100.0 + ASKED_SECONDS)
    assert None is losses.unheard("8")


def test_calls_of_a_lost_node_end_after_the_grace_unless_they_ended_before() -> None:
    table, losses = made(answered="a", waiting="a", other="b")
    losses.lost("a", 100.0)
    table.take("answered")
    table.put("later", "a")

    assert [] == losses.take(100.0 + GRACE - 0.01)
    assert ["waiting"] == [pending.future for pending in losses.take(100.0 + GRACE)]
    assert [] == losses.take(200.0)
    assert ["other", "later"] == list(table.by_id)


def test_an_id_that_is_used_again_is_another_call() -> None:
    table, losses = made(one="a")
    losses.lost("a", 100.0)
    table.take("one")
    table.put("one", "a")

    assert [] == losses.take(101.0)
