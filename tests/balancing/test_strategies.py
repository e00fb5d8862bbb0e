"""Strategies by name and options, ours and Node's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import CpuUsage, Latency, Random, RoundRobin, Shard, Strategies
from tautomer.errors import BrokerOptionsError

from .making import Drawn, call, endpoint


def strategies(*chosen: Any) -> Strategies:
    return Strategies(Drawn(0), *chosen)


class TestByName:
    @pytest.mark.parametrize("name", ["RoundRobin", "roundrobin", "ROUNDROBIN"])
    def test_a_name_is_found_however_it_is_spelt(self, name: str) -> None:
        assert isinstance(strategies(name).for_list(None, {}), RoundRobin)

    @pytest.mark.parametrize("kind", [RoundRobin, Random, CpuUsage, Latency, Shard])
    def test_all_of_nodes_are_there(self, kind: type) -> None:
        assert isinstance(strategies(kind.__name__).for_list(None, {}), kind)

    def test_a_class_or_a_function_is_given_the_options(self) -> None:
        given: list[Any] = []

        class Mine(RoundRobin):
            def __init__(self, **options: Any) -> None:
                super().__init__()
                given.append(options)

        strategies(Mine).for_list(None, {})
        assert isinstance(strategies(Mine, {"odd_one": 1}).for_list(None, {}), Mine)
        assert [{}, {"odd_one": 1}] == given

    def test_each_list_has_its_own(self) -> None:
        made = strategies()

        assert made.for_list(None, {}) is not made.for_list(None, {})

    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(BrokerOptionsError, match=r"'Rondrobin' is not known; did you mean 'roundrobin'"):
            strategies("Rondrobin")

    @pytest.mark.parametrize("odd", [5, RoundRobin(), {"type": "RoundRobin"}])
    def test_what_makes_no_strategy_is_refused(self, odd: object) -> None:
        with pytest.raises(BrokerOptionsError, match="a name or a class"):
            strategies(odd)


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("CpuUsage", {"sample_count": 7, "low_cpu_usage": 20}),
            ("CpuUsage", {"sampleCount": 7, "lowCpuUsage": 20}),
        ],
    )
    def test_are_taken_in_either_spelling(self, name: str, options: dict[str, Any]) -> None:
        made = strategies(name, options).for_list(None, {})

        assert (7, 20) == (made._sample, made._low)

    @pytest.mark.parametrize(
        "options", [{"low_latency": 0.05, "ping_interval": 2}, {"lowLatency": 50, "pingInterval": 2}]
    )
    def test_have_their_own_units(self, options: dict[str, Any]) -> None:
        """Node counts `lowLatency` in milliseconds and `pingInterval` in seconds; here all are seconds."""
        chosen = strategies("Latency", options)
        made = chosen.for_list(None, {})

        assert (0.05, 2) == (made._low, chosen.latencies.ping_interval)

    @pytest.mark.parametrize(
        ("name", "options", "told"),
        [
            ("Shard", {"shardkey": "id"}, "unknown option 'shardkey'; did you mean 'shard_key'"),
            ("RoundRobin", {"any": 1}, "unknown option 'any'; it has none"),
            ("Shard", {"vnodes": 0}, "vnodes is a whole number from 1"),
            ("Shard", {"ring_size": 1.5}, "ring_size is a whole number"),
            ("Shard", {"shard_key": 5}, "shard_key is a path"),
            ("CpuUsage", {"low_cpu_usage": "10"}, "low_cpu_usage is a number"),
            ("Latency", {"ping_interval": 0}, "ping_interval is a number from 0.1"),
            ("Latency", {"collect_count": True}, "collect_count is a whole number"),
        ],
    )
    def test_that_are_wrong_are_refused(self, name: str, options: dict[str, Any], told: str) -> None:
        with pytest.raises(BrokerOptionsError, match=told):
            strategies(name, options)

    def test_all_faults_are_told_at_once(self) -> None:
        with pytest.raises(BrokerOptionsError, match=r"vnodes .*; unknown option 'x'"):
            strategies("Shard", {"vnodes": 0, "x": 1})


class TestOfADefinition:
    def test_its_own_wins_over_the_services_and_that_over_the_nodes(self) -> None:
        node = strategies("Random")
        service = {"$strategy": "CpuUsage", "$strategyOptions": {"sampleCount": 9}}

        own = node.own({"strategy": "Shard", "strategy_options": {"shard_key": "id"}}, service)
        services = node.own({}, service)
        assert own is not None
        assert services is not None

        assert isinstance(node.for_list(own, {}), Shard)
        assert 9 == node.for_list(services, {})._sample
        assert None is node.own({}, {})
        assert isinstance(node.for_list(None, {}), Random)

    def test_options_alone_are_for_the_nodes_strategy(self) -> None:
        node = strategies("Shard", {"shard_key": "id"})
        own = node.own({"strategy_options": {"shard_key": "other"}}, {})
        assert own is not None

        assert "other" == own()._key

    def test_without_options_has_those_of_the_node_that_fit(self) -> None:
        node = strategies("CpuUsage", {"sample_count": 9, "low_cpu_usage": 1})
        own = node.own({"strategy": "Latency"}, {})
        assert own is not None

        assert 9 == own()._sample

    @pytest.mark.parametrize("defined", [{"strategy": "Shrad"}, {"strategy": "Shard", "strategy_options": {"x": 1}}])
    def test_that_is_wrong_is_refused(self, defined: dict[str, Any]) -> None:
        with pytest.raises(BrokerOptionsError):
            strategies().own(defined, {})

    def test_is_told_to_node_in_its_own_spelling(self) -> None:
        node = strategies("Shard")
        latency = {"strategy": "latency", "strategy_options": {"low_latency": 0.05, "ping_interval": 2}}

        assert {
            "strategy": "Latency",
            "strategyOptions": {"lowLatency": 50.0, "pingInterval": 2},
        } == node.wire(latency, {})
        assert {"strategy": "Shard", "strategyOptions": {"shardKey": "id"}} == node.wire(
            {"strategy_options": {"shard_key": "id"}}, {}
        )
        assert {"strategy": "Shard", "strategyOptions": {}} == node.wire(
            {"strategy": "Shard", "strategy_options": {"shard_key": lambda ctx: 1}}, {}
        )
        assert {"strategy": "Random"} == node.wire({}, {"$strategy": "Random"})
        assert {} == node.wire({}, {})
        assert {} == node.wire({"strategy": RoundRobin}, {})


class TestOfAnotherNode:
    def test_is_taken_as_it_is_announced(self) -> None:
        made = strategies().for_list(None, {"strategy": "Shard", "strategyOptions": {"shardKey": "id", "vnodes": 3}})

        assert ("id", 3) == (made._key, made._vnodes)
        assert isinstance(strategies().for_list(None, {"strategy": {"type": "Random"}}), Random)

    def test_does_not_say_how_often_this_node_pings(self) -> None:
        options = {"pingInterval": 0.1, "collectCount": 1000, "sampleCount": 9}
        node = strategies()
        made = node.for_list(None, {"strategy": "Latency", "strategyOptions": options})

        assert (9, 10.0, 5) == (made._sample, node.latencies.ping_interval, node.latencies.collect_count)

    @pytest.mark.parametrize(
        "entry",
        [
            {"strategy": "Unknown"},
            {"strategy": "Shard", "strategyOptions": {"vnodes": 10**9}},
            {"strategy": "RoundRobin", "strategyOptions": {"x": 1}},
            {"strategy": "Latency", "strategyOptions": {"lowLatency": 10**5000}},
            {"strategy": "Shard", "strategyOptions": {"ringSize": 10**5000}},
        ],
    )
    def test_that_is_wrong_counts_as_not_said(self, entry: dict[str, Any]) -> None:
        assert isinstance(strategies("Random").for_list(None, entry), Random)

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "strategy": st.sampled_from(["Shard", "Latency", "CpuUsage", 5, None, ["x"], {"type": 5}]),
                "strategyOptions": st.none()
                | st.integers()
                | st.dictionaries(
                    st.sampled_from(["shardKey", "vnodes", "ringSize", "cacheSize", "sampleCount", "lowLatency"]),
                    st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
                ),
            },
        )
    )
    def test_never_raises_whatever_was_announced(self, entry: dict[str, Any]) -> None:
        members = tuple(endpoint(node) for node in ("a", "b", "c"))

        assert strategies().for_list(None, entry).select(members, call({"id": 1})) in members
