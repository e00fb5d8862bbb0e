"""The transporter: topics on NATS subjects, one to one (Moleculer protocol section 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

from tautomer.host import Host
from tautomer.ports import Link
from tautomer.transporters.nats.client import NatsClient
from tautomer.transporters.nats.options import NatsOptions, parse_servers

__all__ = ["NatsTransporter"]


class NatsTransporter:
    """Implements `ports.Transporter` over core NATS.

    Args:
        url: Addresses as in `parse_servers`, such as ``"nats://user:password@a:4222,b:4222"``.
        host: Clock and chance.
        options: All else.

    Raises:
        TransporterError: An address cannot be read.
    """

    name = "nats"
    balances = True

    def __init__(
        self,
        url: str | Sequence[str] = "nats://127.0.0.1:4222",
        host: Host | None = None,
        options: NatsOptions | None = None,
    ) -> None:
        servers = parse_servers(url)
        self.url = ",".join(map(str, servers))
        self._client = NatsClient(servers, host or Host(), options or NatsOptions())
        # The outbox's own function: one layer less for each message.
        self.send = self._client.outbox.publish
        self._link: Link | None = None
        self._taken: dict[tuple[str, str], bytes] = {}

    @property
    def message_bytes_max(self) -> int | None:
        info = self._client.info
        return info.max_payload if info else None

    @property
    def connected(self) -> bool:
        return self._client.connected

    async def connect(self, link: Link) -> None:
        self._link = link
        await self._client.connect(link)

    async def subscribe(self, topics: Sequence[str]) -> None:
        for topic in topics:
            self._take(topic, topic, "")
        await self._client.round_trip()

    async def subscribe_balanced(self, topic: str, group: str) -> None:
        # As Node does: NATS has no wildcard for several parts in the middle, so it gets everything below, and whoever
        # receives matches the name again.
        head, stars, _ = topic.partition("**")
        self._take(topic, head + ">" if stars else topic, group)
        await self._client.round_trip()

    async def unsubscribe_balanced(self, topic: str, group: str) -> None:
        sid = self._taken.pop((topic, group), None)
        if sid is not None:
            await self._client.unsubscribe(sid)

    def _take(self, topic: str, subject: str, group: str) -> None:
        assert self._link is not None, "connect first"
        if (topic, group) not in self._taken:
            self._taken[topic, group] = self._client.subscribe(subject, self._link.receiver(topic), group)

    async def drain(self) -> None:
        await self._client.outbox.drain()

    async def close(self) -> None:
        await self._client.close()
