"""Who hears an event: patterns, groups, balanced and broadcast (protocol reference, section 5.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.registry.endpoints import EventEndpoint
from tautomer.registry.events import NAMES_CACHED, EventTable
from tautomer.registry.matching import matches

from .making import ME, listener, service, strategies


def table(*endpoints: EventEndpoint, prefer_local: bool = True) -> EventTable:
    made = EventTable(strategies(), prefer_local)
    for endpoint in endpoints:
        made.add(endpoint)
    return made


def balanced(events: EventTable, event: str, groups: list[str] | None = None) -> list[tuple[str, str]]:
    return [(endpoint.node_id, group) for endpoint, group in events.balanced(event, groups)]


def nodes(endpoints: list[EventEndpoint]) -> list[str]:
    return [endpoint.node_id for endpoint in endpoints]


class TestEmit:
    def test_reaches_one_of_each_group_in_turn(self) -> None:
        events = table(
            listener("user.created", "a", "mail"),
            listener("user.created", "b", "mail"),
            listener("user.created", "c", "audit"),
        )

        assert [("a", "mail"), ("c", "audit")] == balanced(events, "user.created")
        assert [("b", "mail"), ("c", "audit")] == balanced(events, "user.created")
        assert [("a", "mail"), ("c", "audit")] == balanced(events, "user.created")

    def test_reaches_the_local_one_of_a_group_where_that_is_preferred(self) -> None:
        listeners = listener("x", "a", "mail"), listener("x", ME, "mail")

        assert [(ME, "mail")] * 2 == balanced(table(*listeners), "x") * 2
        assert [("a", "mail")] == balanced(table(*listeners, prefer_local=False), "x")

    @pytest.mark.parametrize(
        ("groups", "reached"), [(["mail"], ["mail"]), (["audit", "none"], ["audit"]), (["none"], [])]
    )
    def test_reaches_the_groups_that_are_named(self, groups: list[str], reached: list[str]) -> None:
        events = table(listener("x", "a", "mail"), listener("x", "a", "audit"))

        assert reached == [group for _, group in balanced(events, "x", groups)]

    def test_reaches_all_groups_when_none_is_named(self) -> None:
        events = table(listener("x", "a", "mail"), listener("x", "a", "audit"))

        nothing: list[str] = []
        for groups in (None, nothing):
            assert ["mail", "audit"] == [group for _, group in balanced(events, "x", groups)]
            assert ["mail", "audit"] == [endpoint.group for endpoint in events.everyone("x", groups)]

    def test_two_patterns_of_one_service_that_match_are_two_lists(self) -> None:
        events = table(listener("user.created", "a"), listener("user.*", "a"))

        assert [("a", "math"), ("a", "math")] == balanced(events, "user.created")
        assert [("a", "math")] == balanced(events, "user.removed")

    def test_reaches_nobody_when_nobody_listens(self) -> None:
        events = table(listener("user.created", "a"))

        assert [] == balanced(events, "order.created")
        assert [] == events.groups("order.created")

    def test_passes_over_who_is_not_available(self) -> None:
        gone = listener("x", "a", "mail")
        gone.available = False

        assert [] == balanced(table(gone), "x")
        assert [] == table(gone).everyone("x", None)
        assert [] == table(gone).local_balanced("x", None)

    def test_two_services_of_one_group_on_this_node_share_an_emit(self) -> None:
        """Also one that comes from another node."""
        first, second = listener("x", ME, "mail", service(ME, "one")), listener("x", ME, "mail", service(ME, "two"))
        events = table(first, second)

        assert [first, second, first] == [events.balanced("x", None)[0][0] for _ in range(3)]
        assert [second, first, second] == [events.local_balanced("x", ["mail"])[0] for _ in range(3)]

    def test_from_another_node_reaches_this_nodes_own_in_the_groups_that_were_chosen(self) -> None:
        mine, other_group = listener("x", ME, "mail"), listener("x", ME, "audit")
        events = table(listener("x", "a", "mail"), mine, other_group)

        assert [mine] == events.local_balanced("x", ["mail"])
        assert [mine, other_group] == events.local_balanced("x", None)
        assert [mine, other_group] == events.local_balanced("x", [])
        assert [] == events.local_balanced("x", ["stranger"])
        assert [] == table(listener("x", "a")).local_balanced("x", None)


class TestBroadcast:
    def test_reaches_every_listener(self) -> None:
        events = table(listener("x", "a", "mail"), listener("x", "b", "mail"), listener("x", ME, "audit"))

        assert ["a", "b", ME] == nodes(events.everyone("x", None))
        assert ["a", "b"] == nodes(events.everyone("x", ["mail"]))
        assert [ME] == nodes(events.local("x", None))
        assert [] == nodes(events.local("x", ["mail"]))

    def test_names_each_group_once(self) -> None:
        events = table(
            listener("user.*", "a", "mail"), listener("user.created", "b", "mail"), listener("**", "c", "log")
        )

        assert ["mail", "log"] == events.groups("user.created")


class TestTheCache:
    def test_forgets_when_somebody_comes(self) -> None:
        events = table(listener("x", "a", "mail"))
        before = balanced(events, "x")
        events.add(listener("*", "b", "audit"))

        assert [("a", "mail")] == before
        assert [("a", "mail"), ("b", "audit")] == balanced(events, "x")

    def test_forgets_when_somebody_goes(self) -> None:
        first, second = listener("x", "a", "mail"), listener("x", "b", "mail")
        events = table(first, second)
        balanced(events, "x")
        events.remove(first)

        assert [("b", "mail")] * 2 == balanced(events, "x") + balanced(events, "x")
        events.remove(second)
        assert [] == balanced(events, "x")
        assert () == events.lists

    def test_a_list_that_nobody_leaves_keeps_its_turn(self) -> None:
        other = listener("y", "c")
        events = table(listener("x", "a"), listener("x", "b"), other)
        first = balanced(events, "x")
        events.remove(other)

        assert [("a", "math")] == first
        assert [("b", "math")] == balanced(events, "x")

    def test_has_a_bound(self) -> None:
        """Names of events come from others, too."""
        events = table(listener("**", "a"))
        for number in range(NAMES_CACHED + 10):
            assert 1 == len(events.audiences[f"user-{number}"].lists)

        assert len(events.audiences) <= NAMES_CACHED

    def test_keeps_nothing_of_a_name_that_is_too_long_to_be_one(self) -> None:
        events = table(listener("**", "a"))

        assert () == events.audiences["x" * 256].lists
        assert {} == events.audiences
        assert 1 == len(events.audiences["x" * 255].lists)

    def test_gives_the_same_answer_twice(self) -> None:
        events = table(listener("x", "a"))

        assert events.audiences["x"] is events.audiences["x"]


class TestTheListenerToCallAtOnce:
    def heard(self, _ctx: Any) -> None:
        """A plain function."""

    def test_is_the_only_one_when_it_is_local_and_plain(self) -> None:
        only = listener("x", ME, plain=self.heard)

        assert only is table(only).audiences["x"].plain

    def test_is_nobody_otherwise(self) -> None:
        assert None is table(listener("x", ME)).audiences["x"].plain
        assert None is table(listener("x", "a", plain=self.heard)).audiences["x"].plain
        assert None is table().audiences["x"].plain
        two = table(listener("x", ME, plain=self.heard), listener("*", ME, plain=self.heard))
        assert None is two.audiences["x"].plain
        shared = table(*(listener("x", ME, of=service(ME, name), plain=self.heard) for name in ("one", "two")))
        assert None is shared.audiences["x"].plain


PATTERNS = st.sampled_from(["a", "a.b", "a.*", "*", "**", "a.**", "?.b"])
NAMES = st.sampled_from(["a", "a.b", "b", "a.b.c", "$x"])
MEMBERS = st.lists(
    st.tuples(PATTERNS, st.sampled_from(["n1", "n2", ME]), st.sampled_from(["g1", "g2"])), max_size=8, unique=True
)


@pytest.mark.slow
@given(members=MEMBERS, event=NAMES, groups=st.none() | st.lists(st.sampled_from(["g1", "g2", "g3"]), max_size=2))
def test_the_table_agrees_with_a_naive_one(
    members: list[tuple[str, str, str]], event: str, groups: list[str] | None
) -> None:
    hearing = [
        (pattern, node, group)
        for pattern, node, group in members
        if matches(pattern, event) and (not groups or group in groups)
    ]
    events = table(*(listener(pattern, node, group) for pattern, node, group in members))

    chosen = [(endpoint.name, endpoint.node_id, group) for endpoint, group in events.balanced(event, groups)]

    assert {(pattern, group) for pattern, _, group in hearing} == {(pattern, group) for pattern, _, group in chosen}
    assert len(chosen) == len({(pattern, group) for pattern, _, group in chosen})
    assert set(chosen) <= set(hearing)
    for pattern, node, group in chosen:
        assert node == ME or (pattern, ME, group) not in hearing
    everyone = [(endpoint.name, endpoint.node_id, endpoint.group) for endpoint in events.everyone(event, groups)]
    assert sorted(hearing) == sorted(everyone)
    assert [one for one in everyone if one[1] == ME] == [
        (endpoint.name, endpoint.node_id, endpoint.group) for endpoint in events.local(event, groups)
    ]
