"""Pings: round trips to other nodes, and the answers to theirs (protocol section 3.1, PING and PONG)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tautomer.host import Host
from tautomer.protocol.membership import Membership
from tautomer.protocol.packets import Ping, Pong
from tautomer.transit.presence import Sender


class Pings:
    """Asks and answers. `announce` tells this node's own listeners of each answer, as ``$node.pong``."""

    def __init__(
        self, host: Host, sender: Sender, membership: Membership, announce: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._host = host
        self._sender = sender
        self._membership = membership
        self._announce = announce
        self._asked: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}

    async def ping(self, node_id: str, timeout: float) -> dict[str, Any] | None:
        """Round trip to one node: ``{nodeID, elapsedTime, timeDiff}`` in ms, or None if it is silent."""
        ping_id = self._host.new_id()
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[node_id, ping_id] = future
        try:
            version = self._membership.version_of(node_id)
            self._sender.send("PING", Ping(time=self._host.wall_ms(), id=ping_id), node_id, version)
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            return None
        finally:
            self._asked.pop((node_id, ping_id), None)

    def on_ping(self, packet: Ping) -> None:
        pong = Pong(time=packet.time, id=packet.id, arrived=self._host.wall_ms())
        self._sender.send("PONG", pong, packet.sender, packet.ver)

    def on_pong(self, packet: Pong) -> None:
        future = self._asked.get((packet.sender, packet.id)) if isinstance(packet.id, str) else None
        sent, arrived = _stamp(packet.time), _stamp(packet.arrived)
        if future is None or future.done() or sent is None or arrived is None:
            return
        now = self._host.wall_ms()
        elapsed = now - sent
        payload = {
            "nodeID": packet.sender,
            "elapsedTime": elapsed,
            "timeDiff": round(now - arrived - elapsed / 2),
        }
        future.set_result(payload)
        self._announce("$node.pong", {**payload, "id": packet.id})


def _stamp(value: object) -> int | float | None:
    """A stamp that can be computed with, or None. An integer of any length may come."""
    return value if isinstance(value, int | float) and abs(value) < 1e18 else None
