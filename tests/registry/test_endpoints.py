"""Endpoints, and the choice among them (protocol reference, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import RoundRobin
from tautomer.registry.endpoints import Endpoint, EndpointList

from .making import ME, action


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


class TestTheList:
    def test_an_endpoint_takes_the_place_of_its_nodes_older_one(self) -> None:
        endpoints = listed("a", "b", "c")
        newer = action("b")
        endpoints.put(newer)

        assert ["a", "b", "c"] == [endpoint.node_id for endpoint in endpoints.all]
        assert newer is endpoints.on_node("b")
        assert 3 == len(endpoints)

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


def entry_with(**fields: object) -> Endpoint:
    return action("a", entry={"name": "math.add", **fields})


def unavailable(endpoints: EndpointList, node: str) -> None:
    endpoint = endpoints.on_node(node)
    if endpoint is not None:
        endpoint.available = False
        endpoints.refresh()
