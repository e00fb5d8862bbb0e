"""SimNetwork: one message broker and the lines to it, with all that can go wrong there, drawn from a seed."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
from collections.abc import Callable, Collection, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Final

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError
from tautomer.ports import Link
from tautomer.settings import record
from tautomer.testing.trace import Trace
from tautomer.transporters.memory import hearing

__all__ = ["Conditions", "SimNetwork", "SimTransporter"]

STEP: Final = 1e-6
"""Seconds between two messages of one topic: timers of one time have no order of their own."""

PENDING_MAX: Final = 1_000
PENDING_BYTES_MAX: Final = 8 * 1024 * 1024
CLOSE_TIMEOUT: Final = 5.0


@record
class Conditions:
    """How a link between two nodes behaves.

    Attributes:
        delay: Mean of what is drawn (exponentially) for each message, in seconds.
        delay_least: Seconds that every message takes at least.
        loss: Share of the messages that are lost, 0 to 1.
        duplication: Share that come twice.
        reorder: Share that are overtaken by later ones. The others keep the order of their sender and topic.
        line_order: Whether they keep the order of their sender whatever their topic, as with one NATS server. No
            transporter promises that.
    """

    delay: float = 0.001
    delay_least: float = 0.0002
    loss: float = 0.0
    duplication: float = 0.0
    reorder: float = 0.0
    line_order: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """Nodes that do not reach others.

    Attributes:
        ones: These do not reach `others`,
        others: or, if None, anybody else;
        one_way: and whether they still hear them.
    """

    ones: tuple[str, ...]
    others: tuple[str, ...] | None
    one_way: bool

    def parts(self, sender: str, receiver: str) -> bool:
        return self._from(sender, receiver) or (not self.one_way and self._from(receiver, sender))

    def _from(self, sender: str, receiver: str) -> bool:
        if sender not in self.ones:
            return False
        return receiver not in self.ones if self.others is None else receiver in self.others


def ids(nodes: str | Collection[str]) -> tuple[str, ...]:
    """Node ids in a fixed order."""
    return (nodes,) if isinstance(nodes, str) else tuple(sorted(nodes))


Tap = Callable[[str, str, str, bytes], None]
"""Told of a message: sender, receiver (``""`` if it was sent and not delivered yet), topic, data."""


class SimNetwork:
    """One bus. Runs on any event loop, but only a `SimLoop` makes it repeatable.

    Args:
        seed: Of all its chance.
        conditions: Of every link that has none of its own.
        tells_undelivered: Whether the broker can tell that nobody listens, as NATS does (503).
        trace: Takes note of every message.

    Attributes:
        conditions: As above; may be changed at any time.
        between: Conditions of single links, by sender and receiver.
        splits: Which nodes do not reach which.
        on_send: Called for each message that a node gives to its line, whether that stands or not.
        on_deliver: Called for each message that a node takes in.
        on_double: Called for each message that will come twice.
        on_undelivered: Called when a node is told that nobody listens: with its id and the topic.
        on_unsent: Called when a node is told that its line was lost before it took a message: with its id and the topic.
        on_kept: Called when a node sends while it knows that its line is away: with its id and the topic.
    """

    def __init__(
        self,
        seed: int | str = 0,
        conditions: Conditions | None = None,
        *,
        tells_undelivered: bool = True,
        trace: Trace | None = None,
    ) -> None:
        self.random = random.Random(f"{seed}/network")
        self.conditions = conditions or Conditions()
        self.between: dict[tuple[str, str], Conditions] = {}
        self.splits: list[Split] = []
        self.tells_undelivered = tells_undelivered
        self.trace = trace or Trace()
        self.on_send: list[Tap] = []
        self.on_deliver: list[Tap] = []
        self.on_double: list[Tap] = []
        self.on_undelivered: list[Callable[[str, str], None]] = []
        self.on_unsent: list[Callable[[str, str], None]] = []
        self.on_kept: list[Callable[[str, str], None]] = []
        self._clogged: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str, str], float] = {}
        self._members: list[SimTransporter] = []

    def transporter(self, node_id: str) -> SimTransporter:
        """The line of one node."""
        return SimTransporter(self, node_id)

    # --- what goes wrong ---

    def split(
        self, a: str | Collection[str], b: str | Collection[str] | None = None, *, one_way: bool = False
    ) -> Split:
        """From now on `a` and `b` (everybody else, if not given) do not hear each other, or only `b` not `a`."""
        split = Split(ids(a), None if b is None else ids(b), one_way)
        self.splits.append(split)
        return split

    def clog(self, sender: str, receiver: str, until: float) -> None:
        """Messages from one to the other are held back until that time on the loop's clock, none is lost."""
        self._clogged[sender, receiver] = until

    def disconnect(self, node_id: str, noticed_after: float = 0.0) -> None:
        """The broker loses the line of a node. What the node sends before it notices is lost, the rest it keeps."""
        for member in self._lines(node_id):
            member._cut_off(noticed_after)

    def reconnect(self, node_id: str) -> None:
        """The line can be had again."""
        for member in self._lines(node_id):
            member._let_in()

    def heal(self) -> None:
        """No splits, clogs, lost lines, loss, duplicates and slow links any more."""
        self.conditions = dataclasses.replace(self.conditions, loss=0.0, duplication=0.0, reorder=0.0)
        self.between.clear()
        self.splits.clear()
        self._clogged.clear()
        for member in list(self._members):
            member._let_in()

    # --- the way of a message ---

    def _lines(self, node_id: str) -> list[SimTransporter]:
        return [member for member in self._members if member.node_id == node_id]

    def _parted(self, sender: str, receiver: str) -> bool:
        return any(split.parts(sender, receiver) for split in self.splits)

    def _when(self, loop: asyncio.AbstractEventLoop, sender: str, receiver: str, topic: str) -> float:
        """When a message that leaves now is there."""
        conditions = self.between.get((sender, receiver), self.conditions)
        now = loop.time()
        at = (
            now
            + conditions.delay_least
            + (self.random.expovariate(1 / conditions.delay) if conditions.delay > 0 else 0.0)
        )
        at = max(at, self._clogged.get((sender, receiver), 0.0))
        if conditions.reorder and self.random.random() < conditions.reorder:
            return at + self.random.expovariate(1 / (10 * conditions.delay + STEP))
        key = (sender, receiver, "" if conditions.line_order else topic)
        at = max(at, self._last.get(key, 0.0) + STEP)
        self._last[key] = at
        return at

    def _accept(self, sender: SimTransporter, topic: str, data: bytes, token: str | None) -> None:
        loop = sender._loop_of()
        at = self._when(loop, sender.node_id, "", topic)
        loop.call_at(at, self._route, sender, topic, data, token, context=Context())

    def _route(self, sender: SimTransporter, topic: str, data: bytes, token: str | None) -> None:
        loop = sender._loop_of()
        standing = [member for member in self._members if member._standing]
        heard = [(member, topic) for member in standing if topic in member._topics]
        # Of each group one member, whatever the pattern by which it hears.
        groups: dict[str, list[tuple[SimTransporter, str]]] = {}
        for member in standing:
            for (listened, group), hears in member._balanced.items():
                if hears(topic):
                    groups.setdefault(group, []).append((member, listened))
        heard += [self.random.choice(hearing) for hearing in groups.values()]
        for receiver, listened in heard:
            self._pass_on(loop, sender.node_id, receiver, listened, data)
        if not heard and token is not None and self.tells_undelivered and sender._standing:
            at = self._when(loop, "", sender.node_id, "")
            loop.call_at(at, sender._undelivered, topic, token, context=sender._context)

    def _pass_on(
        self, loop: asyncio.AbstractEventLoop, sender: str, receiver: SimTransporter, topic: str, data: bytes
    ) -> None:
        conditions = self.between.get((sender, receiver.node_id), self.conditions)
        if self._parted(sender, receiver.node_id):
            self.trace.remark(loop.time(), f"! {sender} > {receiver.node_id} {topic}: parted")
            return
        if conditions.loss and self.random.random() < conditions.loss:
            self.trace.remark(loop.time(), f"! {sender} > {receiver.node_id} {topic}: lost")
            return
        copies = 2 if conditions.duplication and self.random.random() < conditions.duplication else 1
        if copies == 2:
            for tap in self.on_double:
                tap(sender, receiver.node_id, topic, data)
        for _ in range(copies):
            at = self._when(loop, sender, receiver.node_id, topic)
            receiver._expect(at, sender, topic, data)


class SimTransporter:
    """The line of one node to the `SimNetwork`, with the habits of our NATS client.

    When the line is lost, the last messages before that was noticed may not have been taken yet: they are dropped,
    and told of (`Link.unsent`); what went before them is lost without a word. While the line is known to be away, up
    to `PENDING_MAX` messages are kept; on return the subscriptions are there first, then what was kept leaves, then
    `Link.up` is told.

    Attributes:
        stood_since: When the line last came to stand on the loop's clock; infinite while it is away.
    """

    name = "sim"
    balances = True
    message_bytes_max: int | None = 1024 * 1024

    def __init__(self, network: SimNetwork, node_id: str) -> None:
        self.node_id = node_id
        self.url = "sim://network"
        self.connected = False
        self.stood_since = math.inf
        self._network = network
        self._link: Link | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context = copy_context()
        self._topics: dict[str, None] = {}
        self._balanced: dict[tuple[str, str], Callable[[str], bool]] = {}
        self._not_taken: list[tuple[str, str | None]] = []
        self._kept: list[tuple[str, bytes, str | None]] = []
        self._kept_bytes = 0
        self._cut = self._closed = self._dead = False
        self._leaving = False
        self._on_way = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def _standing(self) -> bool:
        """Whether the broker counts it as there."""
        return not (self._cut or self._leaving or self._dead) and self._link is not None

    def _loop_of(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # --- the port ---

    async def connect(self, link: Link) -> None:
        self._loop_of()
        self._context = copy_context()
        self._network._members.append(self)
        await asyncio.sleep(self._network.conditions.delay_least)
        while self._cut:
            await self._wait()
        self._link = link
        self.connected = True
        self.stood_since = self._loop_of().time()
        self._send_kept()

    async def subscribe(self, topics: Sequence[str]) -> None:
        self._topics.update(dict.fromkeys(topics))
        await self._round_trip()

    async def subscribe_balanced(self, topic: str, group: str) -> None:
        self._balanced[topic, group] = hearing(topic)
        await self._round_trip()

    async def unsubscribe_balanced(self, topic: str, group: str) -> None:
        self._balanced.pop((topic, group), None)
        await self._round_trip()

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        if self._dead:
            return
        if self._closed:
            raise BrokerDisconnectedError("The line of the simulation is closed; the message was not sent.")
        if self.message_bytes_max is not None and len(data) > self.message_bytes_max:
            raise PayloadTooLargeError(f"A message of {len(data)} bytes is over {self.message_bytes_max}; not sent.")
        for tap in self._network.on_send:
            tap(self.node_id, "", topic, data)
        if self.connected:
            self._give(topic, data, token)
            return
        if self._link is not None:
            for told in self._network.on_kept:
                told(self.node_id, topic)
        if len(self._kept) >= PENDING_MAX or self._kept_bytes + len(data) > PENDING_BYTES_MAX:
            raise BrokerDisconnectedError("The line of the simulation is away and its buffer full; not sent.")
        self._kept.append((topic, data, token))
        self._kept_bytes += len(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = self._leaving = True
        try:
            # What the broker had sent by now is still handed over.
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while self._on_way and not self._cut:
                    await self._wait()
        except TimeoutError:
            pass
        finally:
            self._leave()

    # --- the line ---

    def _give(self, topic: str, data: bytes, token: str | None) -> None:
        if self._cut:
            self._network.trace.remark(self._loop_of().time(), f"! {self.node_id} > {topic}: sent into a lost line")
            self._not_taken.append((topic, token))
            return
        self._network._accept(self, topic, data, token)

    def _send_kept(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        for message in kept:
            self._give(*message)

    def _cut_off(self, noticed_after: float) -> None:
        if not self._cut:
            self._cut = True
            self.stood_since = math.inf
            self._loop_of().call_later(noticed_after, self._notice, context=self._context)

    def _notice(self) -> None:
        if self._cut and self.connected and self._link is not None and not self._leaving:
            self.connected = False
            sent, self._not_taken = self._not_taken, []
            self._link.down("the line of the simulation was cut")
            # Some were in the machine's own buffer: of these nobody knows what became.
            for topic, token in sent[self._network.random.randint(0, len(sent)) :]:
                self._unsent(topic, token)
        self._wake()

    def _unsent(self, topic: str, token: str | None) -> None:
        if token is not None and self._link is not None:
            self._network.trace.note(self._loop_of().time(), f"{self.node_id} > {topic}: unsent {token}")
            for tap in self._network.on_unsent:
                tap(self.node_id, topic)
            self._link.unsent(token)

    def _let_in(self) -> None:
        if self._cut:
            self._cut = False
            self._not_taken.clear()
            self._loop_of().call_soon(self._come_back, context=self._context)

    def _come_back(self) -> None:
        if not self._cut and not self._dead:
            self.stood_since = self._loop_of().time()
            if self._link is not None and not self.connected and not self._leaving:
                self.connected = True
                self._send_kept()
                self._link.up()
            self._wake()

    def die(self) -> None:
        """The node is killed: nothing leaves any more, and nothing is taken in."""
        self._dead = True
        self.connected = False
        self._leave()

    def _leave(self) -> None:
        self._leaving = self._closed = True
        self.connected = False
        if self in self._network._members:
            self._network._members.remove(self)

    # --- messages that come ---

    def _expect(self, at: float, sender: str, topic: str, data: bytes) -> None:
        self._on_way += 1
        self._loop_of().call_at(at, self._take, sender, topic, data, context=self._context)

    def _take(self, sender: str, topic: str, data: bytes) -> None:
        self._on_way -= 1
        network, now = self._network, self._loop_of().time()
        if self._leaving and not self._on_way:
            self._wake()
        if self._cut or self._dead or self._link is None or network._parted(sender, self.node_id):
            network.trace.remark(now, f"! {sender} > {self.node_id} {topic}: lost on its way")
            return
        network.trace.note(now, f"{sender} > {self.node_id} {topic}", data)
        for tap in network.on_deliver:
            tap(sender, self.node_id, topic, data)
        self._link.received(topic, data)

    def _undelivered(self, topic: str, token: str) -> None:
        if self._standing and self._link is not None:
            self._network.trace.note(self._loop_of().time(), f"nobody > {self.node_id} {topic}: undelivered {token}")
            for tap in self._network.on_undelivered:
                tap(self.node_id, topic)
            self._link.undelivered(token)

    # --- waiting ---

    async def _round_trip(self) -> None:
        while not self._closed:
            await asyncio.sleep(2 * self._network.conditions.delay_least)
            if not self._cut:
                return
            await self._wait()
        raise BrokerDisconnectedError("The line of the simulation is closed.")

    async def _wait(self) -> None:
        """Until something changes."""
        waiter: asyncio.Future[None] = self._loop_of().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
