"""Strategies that look at a few endpoints and take the best (protocol section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tautomer.balancing.latencies import Latencies
from tautomer.balancing.turns import Chance
from tautomer.ports import E

if TYPE_CHECKING:
    from tautomer.context import Context


class CpuUsage:
    """The first of a sample whose node's cpu is under a mark; else the lowest; any where no cpu is known.

    Args:
        chance: Source of chance.
        sample_count: How many are looked at; 0, or more than there are: all, in order.
        low_cpu_usage: Percent.
    """

    __slots__ = ("_chance", "_low", "_sample")

    def __init__(self, chance: Chance, sample_count: int = 3, low_cpu_usage: float = 10) -> None:
        self._chance = chance
        self._sample = sample_count
        self._low = low_cpu_usage

    def select(self, endpoints: Sequence[E], ctx: Context[Any] | None) -> E:
        return _best(endpoints, self._sample, self._low, _cpu, self._chance)


class Latency:
    """As `CpuUsage`, by the average ping time of the host.

    Args:
        chance: Source of chance.
        latencies: What was measured so far.
        sample_count: How many are looked at; 0, or more than there are: all, in order.
        low_latency: Seconds.
        collect_count: Times of one host that count.
        ping_interval: Seconds between two rounds of pings. This and the last hold for the whole node, as the
            first list with this strategy says.
    """

    __slots__ = ("_averages", "_chance", "_low", "_sample")

    def __init__(
        self,
        chance: Chance,
        latencies: Latencies,
        sample_count: int = 5,
        low_latency: float = 0.010,
        collect_count: int = 5,
        ping_interval: float = 10.0,
    ) -> None:
        self._chance = chance
        self._averages = latencies.averages
        self._sample = sample_count
        self._low = low_latency
        latencies.want(collect_count, ping_interval)

    def select(self, endpoints: Sequence[E], ctx: Context[Any] | None) -> E:
        return _best(endpoints, self._sample, self._low, self._average, self._chance)

    def _average(self, endpoint: Any) -> float | None:
        node = endpoint.node
        return None if node is None else self._averages.get(node.hostname)


def _cpu(endpoint: Any) -> float | None:
    node = endpoint.node
    return None if node is None else node.cpu


def _best(
    endpoints: Sequence[E], sample: int, low: float, figure_of: Callable[[Any], float | None], chance: Chance
) -> E:
    """The first with a figure under `low`, else the one with the lowest, else any."""
    size = len(endpoints)
    looked_at: Iterable[E] = endpoints
    if 0 < sample < size:
        looked_at = (endpoints[chance.randrange(size)] for _ in range(sample))
    best: E | None = None
    lowest = 0.0
    for endpoint in looked_at:
        figure = figure_of(endpoint)
        if figure is None:
            continue
        if figure < low:
            return endpoint
        if best is None or figure < lowest:
            best, lowest = endpoint, figure
    return endpoints[chance.randrange(size)] if best is None else best
