"""Endpoints, and the choice among them (protocol reference, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import RoundRobin
from tautomer.registry.endpoints import BalancedEndpoint, Endpoint, EndpointList

from .making import ME, action, answer, service


class Last:
    """A strategy that takes the last, and writes down among whom it chose."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def select(self, endpoints: Sequence[Any], ctx: Any) -> Any:
        self.asked.append([endpoint.node_id for endpoint in endpoints])
        return endpoints[-1]


def listed(*nodes: str, prefer_local: bool = True, name: str = "math.add", strategy: Any = None) -> EndpointList:
    endpoints = EndpointList(name, strategy or RoundRobin(), prefer_local)
    for node in nodes:
        endpoints.put(action(node, name))
    return endpoints


def picks(endpoints: EndpointList, count: int) -> list[str | None]:
    picked = [endpoints.next(None) for _ in range(count)]
    return [None if endpoint is None else endpoint.node_id for endpoint in picked]


class TestTheChoice:
    def test_of_nobody_is_nobody(self) -> None:
        assert [None] == picks(listed(), 1)
        assert None is listed().only

    def test_of_one_is_that_one_without_asking_the_strategy(self) -> None:
        strategy = Last()
        endpoints = listed("a", strategy=strategy)

        assert ["a", "a"] == picks(endpoints, 2)
        assert [] == strategy.asked
        assert endpoints.only is endpoints.on_node("a")

    def test_of_one_that_is_not_available_is_nobody(self) -> None:
        endpoints = listed("a")
        unavailable(endpoints, "a")

        assert [None] == picks(endpoints, 1)
        assert None is endpoints.only

    def test_goes_round(self) -> None:
        assert ["a", "b", "c", "a", "b", "c"] == picks(listed("a", "b", "c"), 6)

    def test_prefers_the_local_one(self) -> None:
        assert [ME] * 3 == picks(listed("a", ME, "b"), 3)

    def test_does_not_if_it_is_not_to(self) -> None:
        assert ["a", ME, "b"] == picks(listed("a", ME, "b", prefer_local=False), 3)

    def test_goes_elsewhere_while_the_local_one_is_not_available(self) -> None:
        endpoints = listed("a", ME, "b")
        unavailable(endpoints, ME)

        assert ["a", "b", "a"] == picks(endpoints, 3)

    def test_comes_back_when_it_is_available_again(self) -> None:
        endpoints = listed("a", ME)
        unavailable(endpoints, ME)
        endpoints.local.available = True  # type: ignore[union-attr]  # It is there.
        endpoints.refresh()

        assert [ME] == picks(endpoints, 1)

    def test_of_an_internal_action_is_the_local_one_whatever_is_preferred(self) -> None:
        assert [ME] * 2 == picks(listed("a", ME, name="$node.list", prefer_local=False), 2)

    def test_of_an_internal_action_that_is_not_here_is_a_remote_one(self) -> None:
        assert ["a", "b"] == picks(listed("a", "b", name="$node.list", prefer_local=False), 2)

    def test_is_made_among_those_that_are_ready(self) -> None:
        strategy = Last()
        endpoints = listed("a", "b", "c", strategy=strategy)
        unavailable(endpoints, "b")

        assert ["c"] == picks(endpoints, 1)
        assert [["a", "c"]] == strategy.asked

    def test_with_one_left_asks_nobody(self) -> None:
        strategy = Last()
        endpoints = listed("a", "b", strategy=strategy)
        unavailable(endpoints, "a")

        assert ["b"] == picks(endpoints, 1)
        assert [] == strategy.asked


class TestAnotherTry:
    def test_is_made_elsewhere(self) -> None:
        endpoints = listed("a", "b", "c")

        assert {"b", "c"} == {again(endpoints, "a") for _ in range(4)}
        assert {"c"} == {again(endpoints, "a", "b") for _ in range(4)}
        assert None is again(endpoints, "a", "b", "c")

    def test_without_any_tried_is_a_usual_choice(self) -> None:
        endpoints = listed("a", "b")

        assert ["a", "b"] == [again(endpoints) for _ in range(2)]
        assert ME == again(listed("a", ME))

    def test_goes_to_others_when_the_local_one_failed(self) -> None:
        assert "a" == again(listed("a", ME), ME)
        assert None is again(listed(ME), ME)

    def test_comes_back_to_the_local_one_when_others_failed(self) -> None:
        assert ME == again(listed("a", ME, "b"), "a")

    def test_passes_over_who_is_not_available(self) -> None:
        endpoints = listed("a", "b", "c")
        unavailable(endpoints, "b")

        assert ["c", "c"] == [again(endpoints, "a") for _ in range(2)]

    def test_of_two_that_are_left_asks_the_strategy(self) -> None:
        strategy = Last()

        assert "c" == again(listed("a", "b", "c", strategy=strategy), "a")
        assert [["b", "c"]] == strategy.asked


class TestWhereTheMessageBrokerChooses:
    def made(self, *nodes: str, name: str = "math.add", entry: Any = None) -> EndpointList:
        endpoints = EndpointList(name, RoundRobin(), True, lambda endpoint: endpoint.handler)
        for node in nodes:
            endpoints.put(action(node, name, entry))
        return endpoints

    def test_one_endpoint_stands_for_all(self) -> None:
        endpoints = self.made("a", ME)
        first = endpoints.only
        endpoints.put(action("b"))

        assert isinstance(first, BalancedEndpoint)
        assert ("", False, "math.add", endpoints) == (first.node_id, first.local, first.name, first.among)
        assert first is endpoints.only is endpoints.next(None) is endpoints.next_except(None, {"", "a"})
        assert "a" == endpoints.on_node("a").node_id  # type: ignore[union-attr]  # It is there.

    def test_it_goes_with_the_last_one(self) -> None:
        endpoints = self.made("a")
        endpoints.remove("a")

        assert (None, None) == (endpoints.only, endpoints.next(None))

    def test_internal_and_protected_actions_are_this_nodes_own(self) -> None:
        assert ME == self.made("a", ME, name="$node.list").only.node_id  # type: ignore[union-attr]  # It is there.
        protected = self.made(ME, entry={"name": "math.add", "visibility": "protected"})
        assert protected.only is protected.local


class TestTheList:
    def test_looks_at_all_of_them_once_for_many_changes(self) -> None:
        """A thousand nodes that come one after the other must not cost a million looks."""
        endpoints, looks = listed(prefer_local=False), []

        class Seen(Endpoint):
            @property  # type: ignore[misc]  # It takes the place of a slot.
            def available(self) -> bool:
                looks.append(self.node_id)
                return True

            @available.setter
            def available(self, value: bool) -> None: ...

        for number in range(1_000):
            endpoints.put(Seen("math.add", f"n{number}", False, service(f"n{number}"), {}, answer))
        for number in range(0, 1_000, 2):
            endpoints.remove(f"n{number}")
        assert len(looks) <= 2

        for _ in range(100):
            endpoints.next(None)
        assert len(looks) <= 502

    def test_an_endpoint_takes_the_place_of_its_nodes_older_one(self) -> None:
        endpoints = listed("a", "b", "c")
        newer = action("b")
        endpoints.put(newer)

        assert ["a", "b", "c"] == [endpoint.node_id for endpoint in endpoints.all]
        assert newer is endpoints.on_node("b")
        assert 3 == len(endpoints)

    def test_all_is_the_same_tuple_until_something_changes(self) -> None:
        endpoints = EndpointList("math.add", RoundRobin(), prefer_local=True)
        endpoints.put(action("a"))
        before = endpoints.all
        assert before is endpoints.all
        endpoints.put(action("b"))
        assert before is not endpoints.all
        endpoints.remove("b")

        assert before == endpoints.all
        assert before is not endpoints.all

    def test_one_that_was_removed_is_never_chosen(self) -> None:
        endpoints = listed("a", "b")
        endpoints.remove("a")
        endpoints.remove("stranger")

        assert ["b", "b"] == picks(endpoints, 2)
        assert None is endpoints.on_node("a")

    def test_the_local_one_is_known(self) -> None:
        assert None is listed("a").local
        assert ME == listed("a", ME).local.node_id  # type: ignore[union-attr]  # It is there.

    def test_empty_ones_are_false(self) -> None:
        assert not listed()
        assert listed("a")

    @pytest.mark.slow
    @given(
        st.lists(st.tuples(st.sampled_from(["put", "remove", "shut"]), st.sampled_from(["a", "b", ME])), max_size=12)
    )
    def test_whatever_happens_the_choice_is_among_the_available(self, steps: list[tuple[str, str]]) -> None:
        endpoints = listed()
        known: dict[str, bool] = {}
        for step, node in steps:
            match step:
                case "put":
                    endpoints.put(action(node))
                    known[node] = True
                case "remove":
                    endpoints.remove(node)
                    known.pop(node, None)
                case "shut":
                    unavailable(endpoints, node)
                    known = {name: ready and name != node for name, ready in known.items()}

            ready = {name for name, available in known.items() if available}
            expected: set[str | None] = {ME} if ME in ready else {*ready} or {None}
            assert expected == set(picks(endpoints, 3))


class TestWhatAnEntrySays:
    @pytest.mark.parametrize(("wire", "seconds"), [(5000, 5.0), (0.5, 0.0005), (0, None), (None, None)])
    def test_its_timeout_is_milliseconds(self, wire: object, seconds: float | None) -> None:
        assert seconds == entry_with(timeout=wire).timeout

    @pytest.mark.parametrize("wire", [-1, "5000", True, [], {}, 10**400, float("nan")], ids=lambda wire: str(wire)[:10])
    def test_an_odd_timeout_is_none(self, wire: object) -> None:
        """Another node wrote it; nothing in it may fail."""
        assert None is entry_with(timeout=wire).timeout

    @pytest.mark.parametrize(
        ("wire", "visibility", "closed"),
        [
            (None, "published", False),
            ("", "published", False),
            ("published", "published", False),
            ("public", "public", False),
            ("protected", "protected", True),
            ("private", "private", True),
            ("internal", "internal", False),
            (5, "private", True),
            ({"a": 1}, "private", True),
            (["public"], "private", True),
        ],
        ids=str,
    )
    def test_its_visibility(self, wire: object, visibility: str, closed: bool) -> None:
        endpoint = entry_with(visibility=wire)

        assert (visibility, closed) == (endpoint.visibility, endpoint.closed)

    def test_it_can_be_told_apart_in_a_log(self) -> None:
        assert "<Endpoint math.add on a>" == repr(action("a"))


def again(endpoints: EndpointList, *tried: str) -> str | None:
    endpoint = endpoints.next_except(None, set(tried))
    return None if endpoint is None else endpoint.node_id


def entry_with(**fields: object) -> Endpoint:
    return action("a", entry={"name": "math.add", **fields})


def unavailable(endpoints: EndpointList, node: str) -> None:
    endpoint = endpoints.on_node(node)
    if endpoint is not None:
        endpoint.available = False
        endpoints.refresh()
