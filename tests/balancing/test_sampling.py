"""CpuUsage and Latency: the best of a sample (protocol reference, section 5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.balancing import CpuUsage, Latencies, Latency
from tautomer.registry.endpoints import Endpoint

from .making import Drawn, endpoint


def loaded(*cpus: float | None) -> list[Endpoint]:
    return [endpoint(f"n{number}", cpu=cpu) for number, cpu in enumerate(cpus)]


class TestCpuUsage:
    def test_of_a_short_list_takes_the_first_that_is_idle(self) -> None:
        assert "n1" == CpuUsage(Drawn(0)).select(loaded(50, 9, 1), None).node_id

    def test_takes_the_lowest_when_none_is_idle(self) -> None:
        assert "n2" == CpuUsage(Drawn(0)).select(loaded(50, 90, 10), None).node_id

    def test_of_equals_takes_the_first(self) -> None:
        assert "n0" == CpuUsage(Drawn(0)).select(loaded(50, 50, 50), None).node_id

    def test_passes_over_who_says_nothing_of_its_cpu(self) -> None:
        assert "n1" == CpuUsage(Drawn(0)).select(loaded(None, 99, None), None).node_id

    def test_takes_any_when_nobody_says_anything(self) -> None:
        assert "n2" == CpuUsage(Drawn(2)).select(loaded(None, None, None), None).node_id

    def test_of_a_long_list_looks_at_a_sample_only(self) -> None:
        chance = Drawn(4, 2, 4)

        assert "n2" == CpuUsage(chance).select(loaded(11, 11, 20, 11, 30), None).node_id
        assert [5, 5, 5] == chance.asked

    @pytest.mark.parametrize("count", [0, -1, 6])
    def test_looks_at_all_when_it_is_to_or_there_are_no_more(self, count: int) -> None:
        chance = Drawn(0)

        assert "n4" == CpuUsage(chance, sample_count=count).select(loaded(40, 30, 20, 12, 11), None).node_id
        assert [] == chance.asked

    def test_has_its_mark(self) -> None:
        assert "n0" == CpuUsage(Drawn(0), low_cpu_usage=60).select(loaded(50, 9, 1), None).node_id

    def test_does_without_a_node(self) -> None:
        strange = endpoint("a")
        strange.node = None

        assert strange is CpuUsage(Drawn(0)).select([strange], None)

    @given(st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=3))
    def test_takes_what_node_takes(self, cpus: list[int | None]) -> None:
        known = [cpu for cpu in cpus if cpu is not None]
        idle = [cpu for cpu in known if cpu < 10]
        expected = cpus.index((idle or [min(known)])[0]) if known else 0

        assert f"n{expected}" == CpuUsage(Drawn(0)).select(loaded(*cpus), None).node_id


class TestLatency:
    HOSTS = [endpoint("a", "near"), endpoint("b", "far"), endpoint("c", "unknown"), endpoint("d", "near")]

    def test_takes_the_first_that_is_quick(self) -> None:
        latencies = Latencies()
        latencies.take("far", 0.5)
        latencies.take("near", 0.009)

        assert "d" == Latency(Drawn(0), latencies).select(self.HOSTS[1:], None).node_id

    def test_takes_the_quickest_when_none_is_quick(self) -> None:
        latencies = Latencies()
        latencies.take("far", 0.5)
        latencies.take("near", 0.010)

        assert "a" == Latency(Drawn(0), latencies).select(self.HOSTS, None).node_id

    def test_takes_any_while_nothing_is_known(self) -> None:
        assert "c" == Latency(Drawn(2), Latencies()).select(self.HOSTS, None).node_id

    def test_looks_at_a_sample_only(self) -> None:
        latencies, chance = Latencies(), Drawn(1, 2, 1)
        latencies.take("far", 0.5)
        latencies.take("near", 0.001)

        assert "b" == Latency(chance, latencies, sample_count=3).select(self.HOSTS, None).node_id
        assert [4, 4, 4] == chance.asked


class TestLatencies:
    def test_are_averages_of_the_last_times(self) -> None:
        latencies = Latencies()
        for seconds in (9.0, 1.0, 2.0, 3.0, 4.0, 5.0):
            latencies.take("host", seconds)

        assert {"host": 3.0} == latencies.averages

    def test_of_hosts_that_went_are_forgotten(self) -> None:
        latencies = Latencies()
        latencies.take("a", 1.0)
        latencies.take("b", 1.0)
        latencies.keep(["b", "c"])

        assert {"b": 1.0} == latencies.averages
        latencies.take("a", 5.0)
        assert 5.0 == latencies.averages["a"]

    def test_are_measured_as_the_first_who_wants_them_says(self) -> None:
        latencies, asked = Latencies(), []
        latencies.on_wanted = lambda: asked.append(latencies.ping_interval)
        assert not latencies.wanted
        Latency(Drawn(0), latencies, collect_count=2, ping_interval=3.0)
        Latency(Drawn(0), latencies, collect_count=9, ping_interval=9.0)

        assert ([3.0], True, 2) == (asked, latencies.wanted, latencies.collect_count)
