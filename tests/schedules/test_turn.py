"""Whose turn it is: the same for all who know the same nodes, and steady where others come and go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tautomer.schedules.turn import whose_turn

NODES = st.lists(st.text(max_size=20), min_size=1, max_size=12, unique=True)


@given(task=st.text(max_size=20), nodes=NODES, data=st.data())
def test_the_order_in_which_one_knows_them_does_not_matter(task: str, nodes: list[str], data: st.DataObject) -> None:
    assert whose_turn(task, nodes) == whose_turn(task, data.draw(st.permutations(nodes)))


@given(task=st.text(max_size=20), nodes=NODES, data=st.data())
def test_only_the_tasks_of_a_node_that_leaves_move(task: str, nodes: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(nodes))
    before = whose_turn(task, nodes)

    after = whose_turn(task, [node for node in nodes if node != gone])

    assert before in (after, gone)


def test_nobody_does_it_where_nobody_is() -> None:
    assert None is whose_turn("task", [])


def test_tasks_spread_evenly() -> None:
    nodes = [f"node-{number}" for number in range(5)]

    counts = Counter(whose_turn(f"jobs.task{number}", nodes) for number in range(5_000))

    assert set(nodes) == set(counts)
    assert all(850 < count < 1150 for count in counts.values())
