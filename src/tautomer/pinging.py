"""Pinging: measures the way to nodes: to each host for the strategy `Latency` (protocol section 5.1), and for `Broker.ping`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.balancing import Latencies
from tautomer.host import Host
from tautomer.registry.registry import Registry

log = logging.getLogger("tautomer.transit")

PING_WAIT: Final = 2.0
"""Seconds after which a ping counts as not answered."""

AT_ONCE: Final = 50
"""Pings under way at the same time."""

Ping = Callable[[str, float], Awaitable[Any]]


class Pinging:
    """Asks nodes when it is told to, and of itself: one task for all lists of a node. It begins with the first list that wants latencies, and pings every node
    once; from then on one of each host, drawn anew each time.

    Args:
        ping: Pings a node, waiting so many seconds; gives None if it is silent.
    """

    def __init__(self, host: Host, registry: Registry, latencies: Latencies, ping: Ping) -> None:
        self._host = host
        self._registry = registry
        self._latencies = latencies
        self._ping = ping
        self._scope = TaskScope("pinging")
        self._ready = False
        latencies.on_wanted = self._begin

    def start(self) -> None:
        """The node is in the mesh."""
        self._ready = True
        self._begin()

    async def ask(self, node_id: str | Sequence[str] | None, timeout: float) -> Any:
        """One node, some, or all others; as `Broker.ping`."""
        if isinstance(node_id, str):
            return await self._ping(node_id, timeout)
        if node_id is None:
            node_id = [node.id for node in self._registry.nodes.values() if node.available and not node.local]
        answers = await asyncio.gather(*(self._ping(one, timeout) for one in node_id))
        return dict(zip(node_id, answers, strict=True))

    async def close(self) -> None:
        """Ping no more."""
        await self._scope.close(0)

    def _begin(self) -> None:
        if self._ready and self._latencies.wanted and not len(self._scope) and not self._scope.closed:
            self._scope.spawn(self._run(), "pings")

    async def _run(self) -> None:
        await self._measure([node_id for nodes in self._hosts().values() for node_id in nodes])
        while True:
            await asyncio.sleep(self._latencies.ping_interval)
            hosts = self._hosts()
            self._latencies.keep(hosts)
            draw = self._host.random.randrange
            await self._measure([nodes[draw(len(nodes))] for nodes in hosts.values()])

    def _hosts(self) -> dict[str, list[str]]:
        """The nodes that are there, by hostname."""
        hosts: dict[str, list[str]] = {}
        for node in self._registry.nodes.values():
            if node.available and not node.local and node.hostname is not None:
                hosts.setdefault(node.hostname, []).append(node.id)
        return hosts

    async def _measure(self, node_ids: list[str]) -> None:
        for first in range(0, len(node_ids), AT_ONCE):
            await asyncio.gather(*(self._measure_one(node_id) for node_id in node_ids[first : first + AT_ONCE]))

    async def _measure_one(self, node_id: str) -> None:
        begin = self._host.clock()
        answer = await self._ping(node_id, PING_WAIT)
        node = self._registry.nodes.get(node_id)
        if answer is not None and node is not None and node.hostname is not None:
            self._latencies.take(node.hostname, self._host.clock() - begin)
