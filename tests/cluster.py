"""Cluster: brokers of one process over the memory transporter, as a test wants them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tautomer import Broker, Service, Settings
from tautomer.settings import TransitSettings

_names = itertools.count(1)


class Cluster:
    """Starts nodes that see each other and nobody else, and stops what is left."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or f"memory://test-{next(_names)}"
        self.nodes: dict[str, Broker] = {}

    def __getitem__(self, node_id: str) -> Broker:
        return self.nodes[node_id]

    async def node(self, node_id: str, *services: Service | type[Service], **settings: Any) -> Broker:
        """A started node with these services, known to all others."""
        transit = settings.pop("transit", None) or TransitSettings(
            settle=0.2, settle_quiet=0.01, stop_delay=0.01, announce_delay=0.01
        )
        middlewares = settings.pop("middlewares", ())
        settings.setdefault("shutdown_timeout", 0.2)
        broker = Broker(node_id, Settings(transporter=self.url, transit=transit, **settings), middlewares)
        for service in services:
            await broker.register(service)
        await broker.start()
        self.nodes[node_id] = broker
        async with asyncio.timeout(5):
            while not self._all_see(broker):
                await asyncio.sleep(0.002)
        return broker

    def _all_see(self, broker: Broker) -> bool:
        """Whether every other node knows the services of this one."""
        names = {service.full_name for service in broker.services}
        return all(
            names <= {known.full_name for known in other.registry.services if known.node_id == broker.id}
            for other in self.nodes.values()
            if other.started and other.settings.namespace == broker.settings.namespace
        )

    async def stop(self) -> None:
        for broker in reversed(self.nodes.values()):
            await broker.stop()
