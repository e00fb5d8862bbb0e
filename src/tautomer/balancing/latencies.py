"""Ping times of hosts, shared by all lists of a node whose strategy is `Latency`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection


class Latencies:
    """Average of the last ping times of each host. Pings are sent by whoever owns a clock; see `wanted`.

    Attributes:
        averages: Seconds by hostname; who was never measured is not there.
        wanted: Whether any strategy reads them.
        collect_count: Times of one host that count.
        ping_interval: Seconds between two rounds of pings.
        on_wanted: Called when the first strategy asks for them.
    """

    __slots__ = ("_times", "averages", "collect_count", "on_wanted", "ping_interval", "wanted")

    def __init__(self) -> None:
        self.averages: dict[str, float] = {}
        self.wanted = False
        self.collect_count = 5
        self.ping_interval = 10.0
        self.on_wanted: Callable[[], None] = _nothing
        self._times: dict[str, deque[float]] = {}

    def want(self, collect_count: int, ping_interval: float) -> None:
        """A strategy reads them. The first one decides how they are measured, as in Node."""
        if not self.wanted:
            self.wanted = True
            self.collect_count, self.ping_interval = collect_count, ping_interval
            self.on_wanted()

    def take(self, hostname: str, seconds: float) -> None:
        """A host answered a ping."""
        times = self._times.get(hostname)
        if times is None:
            times = self._times[hostname] = deque(maxlen=self.collect_count)
        times.append(seconds)
        self.averages[hostname] = sum(times) / len(times)

    def keep(self, hostnames: Collection[str]) -> None:
        """Forget all other hosts: no node is there any more."""
        for gone in [hostname for hostname in self.averages if hostname not in hostnames]:
            del self.averages[gone], self._times[gone]


def _nothing() -> None:
    """Nobody sends pings yet."""
