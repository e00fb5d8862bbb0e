"""Shard: the ring, the key, and what happens when nodes come and go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import Shard
from tautomer.balancing.shard import Ring, value_at
from tautomer.validation.javascript import to_text

from .making import Drawn, call, endpoint

THREE = ("node-1", "node-2", "node-3")

VECTORS = [
    ("1", 3301589560, "node-3"),
    ("2", 3357438605, "node-3"),
    ("user-5", 958404105, "node-1"),
    ("abc", 2416005272, "node-2"),
    ("hello", 1564557354, "node-2"),
]
"""Of Node's own ShardStrategy, as are the next (protocol reference, section 5.1)."""

SMALL = [("1", 560, "node-2"), ("2", 605, "node-1"), ("user-5", 105, "node-1"), ("abc", 272, "node-3")]


class TestTheRing:
    @pytest.mark.parametrize(("key", "number", "owner"), VECTORS)
    def test_is_nodes(self, key: str, number: int, owner: str) -> None:
        ring = Ring(THREE)

        assert (number, owner) == (ring.hash(key), ring.owner(key))

    @pytest.mark.parametrize(("key", "number", "owner"), SMALL)
    def test_of_another_size_is_nodes(self, key: str, number: int, owner: str) -> None:
        ring = Ring(THREE, ring_size=1000)

        assert (number, owner) == (ring.hash(key), ring.owner(key))

    @given(
        st.lists(st.sampled_from([f"n{number}" for number in range(12)]), min_size=1, max_size=12),
        st.integers(1, 30),
        st.none() | st.integers(1, 5000),
        st.text(max_size=5),
    )
    def test_is_what_node_lays_out(self, nodes: list[str], vnodes: int, size: int | None, key: str) -> None:
        """Node lays the points out one by one and walks along them."""
        whole = size or 2**32
        piece = whole / (len(nodes) * vnodes)
        points = [(int(piece * (n + 1)), node) for n, node in enumerate(sorted(nodes) * vnodes)]
        points[-1] = (whole, points[-1][1])
        ring = Ring(nodes, vnodes, size)

        assert next(node for point, node in points if ring.hash(key) <= point) == ring.owner(key)

    def test_reads_half_a_character_as_node_does(self) -> None:
        assert Ring(THREE).hash("a\ufffd") == Ring(THREE).hash("a\ud800")


class TestTheKey:
    @pytest.mark.parametrize(
        ("shard_key", "params", "meta", "found"),
        [
            ("id", {"id": 5}, None, 5),
            ("user.id", {"user": {"id": "x"}}, None, "x"),
            ("user.id", {"user.id": "whole", "user": {"id": "x"}}, None, "whole"),
            ("users[1].id", {"users": [{}, {"id": 7}]}, None, 7),
            ("users.1.id", {"users": [{}, {"id": 7}]}, None, 7),
            ("users[9].id", {"users": []}, None, None),
            ("id", None, None, None),
            ("id", 5, None, None),
            ("#user.id", {"user": {"id": "params"}}, {"user": {"id": "meta"}}, "meta"),
            ("#id", {"id": 5}, None, None),
            ("#", {"": 5}, {"": 6}, 6),
            (None, {"id": 5}, None, None),
            ("", {"id": 5}, None, None),
            (lambda ctx: ctx.params["a"] + 1, {"a": 1}, None, 2),
            ("id", {"id": ""}, None, ""),
            ("id", {"id": 0}, None, 0),
        ],
    )
    def test_is_found(self, shard_key: Any, params: Any, meta: Any, found: Any) -> None:
        assert found == Shard(Drawn(0), shard_key)._key_of(call(params, meta))

    def test_that_is_missing_means_any(self) -> None:
        members = tuple(endpoint(node) for node in THREE)
        strategy = Shard(Drawn(2, 0), "id")

        assert ["node-3", "node-1"] == [strategy.select(members, ctx).node_id for ctx in (call({}), None)]

    @pytest.mark.parametrize(("key", "text"), [(1, "1"), (1.0, "1"), (1.5, "1.5"), (True, "true"), ([1, 2], "1,2")])
    def test_that_is_no_text_is_read_as_javascript_would(self, key: Any, text: str) -> None:
        members = tuple(endpoint(f"n{number}") for number in range(30))
        strategy = Shard(Drawn(0), "id", to_text=to_text)

        assert strategy.select(members, call({"id": text})) is strategy.select(members, call({"id": key}))

    @given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    def test_may_be_anywhere(self, place: Any) -> None:
        """Other nodes choose both the path and the params: nothing is raised."""
        for path in ("a", "a.b", "[0]", "0", "..", "[[", "²"):
            value_at(place, path)


class TestTheChoice:
    def test_is_nodes(self) -> None:
        members = tuple(endpoint(node) for node in ("node-2", "node-3", "node-1"))
        strategy = Shard(Drawn(0), "id")

        for _ in range(2):
            assert [owner for _, _, owner in VECTORS] == [
                strategy.select(members, call({"id": key})).node_id for key, _, _ in VECTORS
            ]

    def test_moves_when_a_node_goes_and_comes_back_with_it(self) -> None:
        members = tuple(endpoint(node) for node in THREE)
        strategy = Shard(Drawn(0), "id")

        owners = [strategy.select(among, call({"id": "1"})).node_id for among in (members, members[:2], tuple(members))]

        assert ("node-3", "node-3") == (owners[0], owners[2])
        assert owners[1] in THREE[:2]

    def test_takes_the_newer_endpoint_of_a_node(self) -> None:
        strategy = Shard(Drawn(0), "id")
        newer = (endpoint("a"),)

        strategy.select((endpoint("a"),), call({"id": "1"}))
        assert newer[0] is strategy.select(newer, call({"id": "1"}))

    @pytest.mark.parametrize("size", [0, 1, 10])
    def test_remembers_so_many_keys_and_no_more(self, size: int) -> None:
        members = tuple(endpoint(node) for node in THREE)
        strategy = Shard(Drawn(0), "id", cache_size=size)

        for key in range(100):
            strategy.select(members, call({"id": key}))

        assert len(strategy._cache) <= max(1, size)
