"""Nodes of one process: messages go from hand to hand, one loop turn later."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from tautomer.errors import BrokerDisconnectedError
from tautomer.ports import Link

log = logging.getLogger("tautomer.transporter.memory")

QUEUED_MAX = 100_000
"""Messages on the way in one bus; over it, `send` refuses."""


TURN_MAX = 50
"""Messages that are handed over in one turn of the loop."""


class Bus:
    """What the memory transporters of one name share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.members: list[Link] = []
        self.listeners: dict[str, list[Link]] = {}
        self.groups: dict[str, dict[tuple[Link, str], Callable[[str], bool]]] = {}
        self._queue: deque[tuple[Link, str, bytes, str | None]] = deque()
        self._scheduled = False
        self._turn = 0

    def publish(self, sender: Link, topic: str, data: bytes, token: str | None) -> None:
        if len(self._queue) >= QUEUED_MAX:
            raise BrokerDisconnectedError("too many messages on the way; not sent")
        self._queue.append((sender, topic, data, token))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        # Only what is there now, and not too much of it: messages must not keep the loop from its other work.
        for _ in range(min(len(self._queue), TURN_MAX)):
            sender, topic, data, token = self._queue.popleft()
            heard = list(self.listeners.get(topic, ()))
            for link in heard:
                self._hand_over(link, topic, data)
            # Of each group one member, whatever the pattern by which it hears.
            for members in list(self.groups.values()):
                hearing = [member for member, hears in members.items() if hears(topic)]
                if hearing:
                    self._turn += 1
                    link, listened = hearing[self._turn % len(hearing)]
                    heard.append(link)
                    self._hand_over(link, listened, data)
            if not heard and token is not None:
                sender.undelivered(token)
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _hand_over(self, link: Link, topic: str, data: bytes) -> None:
        try:
            link.received(topic, data)
        except Exception:
            # A link does not raise. One that does must not keep the messages from the others.
            log.exception("taking in a message failed", extra={"topic": topic})

    def leave(self, link: Link) -> None:
        for links in (self.members, *self.listeners.values()):
            if link in links:
                links.remove(link)
        for members in self.groups.values():
            for member in [member for member in members if member[0] is link]:
                del members[member]


_buses: dict[tuple[int, str], Bus] = {}


class MemoryTransporter:
    """``memory://`` or ``memory://name``: nodes of the same loop and name hear each other."""

    name = "memory"
    balances = True
    message_bytes_max: int | None = None

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._bus: Bus | None = None
        self._key: tuple[int, str] | None = None
        self._link: Link | None = None

    @property
    def connected(self) -> bool:
        return self._bus is not None

    async def connect(self, link: Link) -> None:
        # A bus belongs to one loop: another loop (another test) begins with an empty one. As the bus holds
        # its loop, no other can come to have the same id.
        loop = asyncio.get_running_loop()
        self._key = (id(loop), self.url)
        self._bus = _buses.setdefault(self._key, Bus(loop))
        self._bus.members.append(link)
        self._link = link

    async def subscribe(self, topics: Sequence[str]) -> None:
        bus, link = self._joined()
        for topic in topics:
            _add(link, bus.listeners.setdefault(topic, []))

    async def subscribe_balanced(self, topic: str, group: str) -> None:
        bus, link = self._joined()
        bus.groups.setdefault(group, {})[link, topic] = hearing(topic)

    async def unsubscribe_balanced(self, topic: str, group: str) -> None:
        bus, link = self._joined()
        bus.groups.get(group, {}).pop((link, topic), None)

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        bus, link = self._joined()
        bus.publish(link, topic, data, token)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is None or self._link is None or self._key is None:
            return
        await asyncio.sleep(0)  # What was sent in this turn still reaches the others.
        bus.leave(self._link)
        if not bus.members:
            _buses.pop(self._key, None)

    def _joined(self) -> tuple[Bus, Link]:
        if self._bus is None or self._link is None:
            raise BrokerDisconnectedError
        return self._bus, self._link


def _add(link: Link, links: list[Link]) -> None:
    """A topic that is subscribed twice is delivered once."""
    if link not in links:
        links.append(link)


def hearing(topic: str) -> Callable[[str], bool]:
    """Whether a message to a topic goes to who listens on this one, as NATS has it."""
    if "*" not in topic:
        return topic.__eq__
    *parts, last = topic.split(".")
    below = last == "**"
    if not below:
        parts.append(last)

    def hears(sent: str) -> bool:
        its = sent.split(".")
        fits = len(its) > len(parts) if below else len(its) == len(parts)
        return fits and all(part in ("*", other) for part, other in zip(parts, its, strict=False))

    return hears
