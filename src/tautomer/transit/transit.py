"""Transit: packets in -> handlers, calls out -> packets. The transporter's `Link`.

Every `await` here asks: who cancels me, who owns this task, what if the node is gone when I return?
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from tautomer.context import Context
from tautomer.errors import (
    BrokerDisconnectedError,
    MoleculerError,
    NodeIdTakenError,
)
from tautomer.host import Host, keep_memory
from tautomer.middleware import Middleware, compose_verb
from tautomer.ports import LineTransporter, Transporter
from tautomer.protocol.codec import Codec, Refused
from tautomer.protocol.duplicates import SeenRequests
from tautomer.protocol.packets import VERSIONS, Discover, Event, Info, Packet, Ping, Pong, Request
from tautomer.protocol.pending import PendingRequests
from tautomer.protocol.topics import Topics
from tautomer.registry.nodes import Node
from tautomer.registry.registry import Registry
from tautomer.settings import Settings
from tautomer.transit.balanced import BalancedTopics
from tautomer.transit.gossiping import Gossiping
from tautomer.transit.offline import Offline
from tautomer.transit.pings import Pings
from tautomer.transit.presence import CLAIM, Presence
from tautomer.transit.receiving import Receiving
from tautomer.transit.requesting import Calls, Requesting
from tautomer.transit.serving import Serving
from tautomer.transit.streaming import Streaming

log = logging.getLogger("tautomer.transit")

DEFAULT_TIMEOUT = 30.0
"""Seconds for calls between nodes when nobody said otherwise (architecture §15.12)."""

LINGER_MOST = 10
"""Times `stop_delay` that a leaving node serves on at most, while requests keep coming."""

WARNED_MAX = 1_000
"""Lines about dropped packets in a minute."""

CLAIM_TOKEN = "id"
"""Token of the question who has our id; those of requests are numbers."""


class Transit:
    """The traffic of one node with the others.

    Attributes:
        presence: Who is there.
        balanced: The topics for which the message broker chooses, or None where we choose.
        serving: The requests of other nodes that run here.
        streaming: The streams that come and go.
        dropped: Packets dropped, by reason: ``undecodable``, ``version``, ``sender``, ``malformed``, ``orphan`` (an
            answer that nobody waits for), ``duplicate`` (a request or an event that came before), ``info`` (refused whole),
            ``nodes`` (no place for one more), ``unsent``; and what
            a middleware makes of bytes: ``undecryptable``, ``uninflatable``.
        receiving: What comes.
        received: What the transporter calls for each message.
        receiver: See `Receiving.receiver`.
        ping: See `Pings.ping`.
        is_ready: Set once the mesh is known.
        offline: What waits while the line is away.
        requesting: The calls that leave this node.
        request: See `Requesting.request`.
    """

    def __init__(
        self,
        broker: Any,
        host: Host,
        settings: Settings,
        registry: Registry,
        transporter: Transporter,
        codec: Codec,
        middlewares: Sequence[Middleware],
        hear: Callable[[Event, bool], None],
    ) -> None:
        self._broker = broker
        self._host = host
        self._clock = host.clock
        self._settings = settings
        self._handlers: dict[str, Callable[[Any], None]] = {}
        self._transporter = transporter
        self.transporter_name = transporter.name
        self._codec = codec
        self._hear = hear
        self._node_id = registry.local_node.id
        self._topics = topics = Topics(settings.namespace, self._node_id)
        self._event_topic = topics.cached("EVENT")
        self._commands = topics.subscribed
        self._versions = VERSIONS if settings.protocol == "auto" else (settings.protocol,)
        codec.versions = self._versions
        self._timeout = DEFAULT_TIMEOUT if settings.request_timeout is None else settings.request_timeout
        self._pending: Calls = PendingRequests(settings.transit.pending_max, self._is_known)
        self.offline = Offline(host.clock, settings.transit)
        self._warned: dict[tuple[str, str], float] = {}
        self._refusing = False
        self._seen_events = SeenRequests()
        self.dropped: dict[str, int] = {}
        # What no middleware wraps is the plain method: nothing is asked for each packet.
        self._send = self._send_out = compose_verb(middlewares, "transporter_send", transporter.send)
        self._publish = compose_verb(middlewares, "transit_publish", self._encode_and_send)
        self.receiving = Receiving(middlewares, topics, codec, self._handlers, self._refused)
        self.received, self.receiver = self.receiving.received, self.receiving.receiver
        self.presence = Presence(host, settings, registry, self, self, self._versions, self._gossip(registry))
        self._peers = self.presence.membership.peers
        self._pings = Pings(host, self, self.presence.membership, self.announce_local)
        self.ping = self._pings.ping
        self.streaming = self._make_streaming()
        self.balanced = self._make_balanced(registry)
        self.requesting = self._make_requesting()
        self.request = self.requesting.request
        self.unsent = self.requesting.unsent
        self.serving = self._make_serving(registry)
        self._handlers |= self._make_handlers()
        self.is_ready = asyncio.Event()
        self._namesake = asyncio.Event()

    # --- parts ---

    def _gossip(self, registry: Registry) -> Gossiping | None:
        """How the others are found where lines lead from node to node."""
        line = self._transporter
        if not isinstance(line, LineTransporter):
            return None
        gossiping = Gossiping(self._host, self._settings, registry, self, line, self._versions)
        line.introduce(self._settings.namespace, self._node_id, gossiping)
        self._topics.subscribe_gossip()
        self._handlers.update(gossiping.handlers)
        return gossiping

    def _make_streaming(self) -> Streaming:
        return Streaming(
            self._host,
            self._node_id,
            self._settings.transit,
            self._topics,
            self._codec,
            self._pending,
            publish=self._publish,
            drain=self._transporter.drain,
            refuse=self._refuse_stream,
            ping=lambda node_id, version, id: self.send("PING", Ping(self._host.wall_ms(), id), node_id, version),
            pong=self._pings.on_ping,
        )

    def _make_balanced(self, registry: Registry) -> BalancedTopics | None:
        if not registry.balanced:
            return None
        topics, membership = self._topics, self.presence.membership
        return BalancedTopics(self._transporter, topics, topics.subscribed, registry, membership, self._versions)

    def _make_requesting(self) -> Requesting:
        return Requesting(
            self._host,
            self._node_id,
            self._topics,
            self._codec,
            self._pending,
            self.presence,
            self.offline,
            self.streaming,
            self.balanced,
            self._versions,
            self._timeout,
            publish=self._publish,
            send=self.send,
            drop=self.drop,
            pass_raw=self._codec.is_json and self.receiving.is_plain,
        )

    def _make_serving(self, registry: Registry) -> Serving:
        settings = self._settings
        return Serving(
            self._broker,
            self._host,
            registry,
            self._topics,
            self._publish,
            self._timeout,
            settings.max_call_level,
            settings.transit.in_flight_max,
            settings.transit.queue_delay,
            self.drop,
            self.streaming,
        )

    def _make_handlers(self) -> dict[str, Callable[[Any], None]]:
        return {
            "REQ": self.serving.on_request,
            "RES": self.requesting.on_response,
            "EVENT": self._on_event,
            "INFO": self._of_others(self.presence.on_info),
            "DISCOVER": self._of_others(self.presence.on_discover),
            "DISCONNECT": self._of_others(self.presence.on_disconnect),
            "HEARTBEAT": self._of_others(self.presence.on_heartbeat),
            "PING": self._of_others(self._on_ping),
            "PONG": self._of_others(self._on_pong),
        }

    # --- life ---

    async def connect(self) -> None:
        """Get the line, listen, find the others.

        Raises:
            TransporterError: The line cannot be had, and trying again would not help.
            NodeIdTakenError: Another node has our id.
        """
        self.requesting.begin()
        keep_memory()
        # Taken now: a node that goes on alone meanwhile adds balanced topics, which are not to be heard by all.
        own_topics = tuple(self._commands)
        await self._transporter.connect(self)
        try:
            if not isinstance(self._transporter, LineTransporter):
                await self._claim_id()
            await self._transporter.subscribe(own_topics)
            if self.balanced is not None:
                await self.balanced.renew()
            await self.presence.join()
        except NodeIdTakenError:
            # A node that runs already goes on alone, and must not answer for the other.
            await self._transporter.close()
            raise
        self.is_ready.set()
        self.announce_local("$transporter.connected", {"wasReconnect": False})

    async def _claim_id(self) -> None:
        """Ask who has our id, before we listen under it: its requests would be answered by us, too, as not found."""
        asker = self.presence.asker
        answers = self._topics.targeted("INFO", asker)
        self._commands[answers] = "INFO"
        try:
            while True:
                await self._transporter.subscribe((answers,))
                for version in self._versions:
                    self._ask_for_id("DISCOVER", Discover(version, asker))
                await self.presence.claim()
                if self._transporter.connected:  # Else silence means nothing.
                    break
        finally:
            del self._commands[answers]

    async def is_namesake_there(self) -> bool:
        asker = self.presence.asker
        answers = self._topics.targeted("PONG", asker)
        self._commands[answers] = "PONG"
        self._namesake.clear()
        try:
            async with asyncio.timeout(CLAIM):
                await self._transporter.subscribe((answers,))
                for version in self._versions:
                    self._ask_for_id("PING", Ping(self._host.wall_ms(), asker, version, asker))
                await self._namesake.wait()
        except TimeoutError:
            return False
        finally:
            del self._commands[answers]
        return True

    def _ask_for_id(self, command: str, packet: Discover | Ping) -> None:
        try:
            self._publish(command, packet, self._topics.targeted(command, self._node_id), CLAIM_TOKEN)
        except MoleculerError as error:
            self.drop("unsent", command, f"{command} was not sent: {error}")

    @property
    def connected(self) -> bool:
        return self.is_ready.is_set() and self._transporter.connected

    async def linger(self, delay: float) -> None:
        """Serve on, though our services are withdrawn: until for `delay` seconds no request came, ten times that at most.

        Whoever has not read our INFO yet still asks us, and a Node caller does not try again what is refused.
        """
        came = 0
        serve = self._handlers["REQ"]

        def on_late(packet: Any) -> None:
            nonlocal came
            came += 1
            serve(packet)

        self._handlers["REQ"] = on_late
        try:
            for _ in range(LINGER_MOST):
                before = came
                await asyncio.sleep(delay)
                if came == before:
                    break
        finally:
            self._handlers["REQ"] = serve

    def refuse(self) -> None:
        """Run no more requests and events: requests are answered as not run, and go elsewhere."""
        self._refusing = self.serving.refusing = True

    async def close(self) -> None:
        """Say goodbye and hang up; what still runs is cancelled, what still waits fails."""
        if self.balanced is not None:
            await self.balanced.leave()
        cut = await self.serving.close()
        if cut:
            log.warning("requests cut off at stop", extra={"count": cut})
        await self.streaming.close()
        await self.presence.close(say_goodbye=self._transporter.connected)
        await self._transporter.close()
        self._send = self._send_out
        self.offline.close()
        self.requesting.close()
        self.announce_local("$transporter.disconnected", {"graceFul": True})

    def statistics(self) -> dict[str, Any]:
        """Sizes of all tables, and counters."""
        return {
            "pending": len(self._pending),
            "in_flight": len(self.serving),
            "in_flight_max": self.serving.in_flight_max,
            "refused": self.serving.refused,
            "expired": self.serving.expired,
            "orphans": self._pending.orphans,
            "dropped": dict(self.dropped),
            "unsent": self.serving.answers.unsent,
            "offline": len(self.offline),
            "streams": self.streaming.statistics(),
        }

    # --- events out ---

    def send_event(
        self, ctx: Context[Any], node_id: str, event: str, groups: Sequence[str] | None, broadcast: bool
    ) -> None:
        """Tell one node of an event.

        Raises:
            BrokerDisconnectedError, PayloadTooLargeError, SerializationError: Not sent.
        """
        peer = self._peers.get(node_id)
        version = peer.version if peer is not None and peer.version else self._versions[-1]
        self._send_event(ctx, self._event_topic[node_id], version, event, groups, broadcast)

    def send_balanced_event(self, ctx: Context[Any], event: str, group: str, node_ids: Sequence[str]) -> None:
        """Tell one member of a group of an event; the message broker chooses which. `node_ids` are those that listen.

        Raises:
            BrokerDisconnectedError, PayloadTooLargeError, SerializationError: Not sent.
            BrokerOptionsError: They share no version of the protocol.
        """
        assert self.balanced is not None
        version = self.balanced.common_version(f"event '{event}' of group '{group}'", node_ids)
        self._send_event(ctx, self._topics.balanced_event(group, event), version, event, [group], False)

    def _send_event(
        self,
        ctx: Context[Any],
        topic: str,
        version: str,
        event: str,
        groups: Sequence[str] | None,
        broadcast: bool,
    ) -> None:
        packet = Event(
            self._host.new_id(),
            event,
            ctx.params,
            UNSET if groups is None else list(groups),
            broadcast,
            ctx._meta or {},
            UNSET if version == "4" else (ctx._headers or {}),
            ctx.level,
            ctx.tracing,
            ctx.parent_id,
            ctx.request_id,
            ctx.caller,
            None,
            version,
            self._node_id,
        )
        self._publish("EVENT", packet, topic)

    async def drain(self) -> None:
        """Wait while the transporter's buffer is over its mark."""
        await self._transporter.drain()

    # --- sending, for presence and ourselves ---

    def send(
        self,
        command: str,
        packet: Packet,
        node_id: str | None = None,
        version: str | None = None,
        token: str | None = None,
    ) -> None:
        """Send a packet of the control plane: to one node, or to all. Never raises.

        While the line is away nothing is kept: a stale heartbeat or INFO would only mislead, and
        both are sent anew when it stands again.
        """
        if not self._transporter.connected:
            return
        if node_id is None:
            topic = self._topics.broadcast(command)
            versions = self.presence.speaking() if version is None else (version,)
        else:
            topic = self._topics.targeted(command, node_id)
            versions = (version or self._versions[-1],)
        packet.sender = self._node_id
        for one in versions:
            packet.ver = one
            try:
                self._publish(command, packet, topic, token)
            except MoleculerError as error:
                self.drop("unsent", command, f"{command} was not sent: {error}")

    def _encode_and_send(self, command: str, packet: Packet, topic: str, token: str | None = None) -> None:
        # Read first, called then: `self._send(…)` would be looked for among the methods, at ten times the cost.
        send = self._send
        send(topic, self._codec.encode(packet), token)

    # --- Link: what the transporter tells. None of these raises ---

    def _of_others(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """A handler for what a node says to all, and hears itself."""

        def handle(packet: Any) -> None:
            if packet.sender != self._node_id:
                handler(packet)
            elif isinstance(packet, Info):
                self.presence.on_own_info(packet)
            elif isinstance(packet, Pong) and packet.id == self.presence.asker:
                self._namesake.set()

        return handle

    def undelivered(self, token: str) -> None:
        if token == CLAIM_TOKEN:
            self.presence.unclaimed()
        else:
            self.requesting.undelivered(token)

    def up(self) -> None:
        self._send = self._send_out
        if self.balanced is not None:
            self.balanced.renew_soon()
        self.presence.return_()
        self.offline.back(self._send_late)
        self.announce_local("$transporter.connected", {"wasReconnect": True})

    def down(self, reason: str) -> None:
        # In place of asking for each packet whether the line stands.
        self._send = self._send_away
        self.offline.gone()
        self.requesting.line_lost()
        self.announce_local("$transporter.disconnected", {"graceFul": False, "reason": reason})

    # --- Watcher: what presence tells ---

    def node_lost(self, node: Node, unexpected: bool) -> None:
        self.requesting.node_lost(node.id)
        self.streaming.node_lost(node.id)

    def give_way(self) -> None:
        self._broker.give_way()

    def announce_local(self, event: str, payload: dict[str, Any]) -> None:
        try:
            self._broker.broadcast_local(event, payload)
        except Exception:
            # Only a middleware can fail here, and neither reading nor stopping may end with it.
            log.exception("event not announced", extra={"event": event})

    def drop(self, reason: str, sender: str, detail: str, command: str = "") -> None:
        """Count a dropped packet; say so at most once a minute for each reason and sender."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        now = self._clock()
        key = (reason, sender)
        told_at = self._warned.get(key)
        if told_at is not None and now - told_at < 60.0:
            return
        warned = self._warned
        warned.pop(key, None)
        if len(warned) >= WARNED_MAX:
            oldest = next(iter(warned))
            if now - warned[oldest] < 60.0:
                return  # A flood in ever new names must not become a flood of lines.
            del warned[oldest]
        warned[key] = now
        log.warning(
            "packet dropped",
            extra={"reason": reason, "sender": sender, "command": command, "detail": detail[:200]},
        )

    # --- packets in ---

    def _refuse_stream(self, packet: Request, error: MoleculerError) -> None:
        self.serving.answers.error(packet, error, None)

    def _on_event(self, packet: Event) -> None:
        if self._refusing:
            return
        # Where the message broker chooses, Node.js sends to several groups under one id.
        its_groups = tuple(packet.groups) if isinstance(packet.groups, list) else None
        if packet.id and self._seen_events.came_before(
            hash((packet.sender, packet.id, packet.event, its_groups)), self._clock()
        ):
            self.drop("duplicate", packet.sender, f"event '{packet.id}' came before", "EVENT")
            return
        self._hear(packet, bool(packet.broadcast))

    def _on_ping(self, packet: Ping) -> None:
        # Our own question whether we have a namesake is not for us.
        if packet.sender != self.presence.asker and not self.streaming.on_ping(packet):
            self._pings.on_ping(packet)

    def _on_pong(self, packet: Pong) -> None:
        if not self.streaming.on_pong(packet):
            self._pings.on_pong(packet)

    # --- inside ---

    def _is_known(self, node_id: str) -> bool:
        """Whether a node may answer for all."""
        return node_id == self._node_id or self.presence.membership.is_online(node_id)

    def _send_away(self, topic: str, data: bytes, token: str | None = None) -> None:
        """In place of the transporter while the line is away: requests are to wait themselves, all else is kept."""
        self.requesting.wake()
        if token is None:
            self.offline.keep(topic, data)
        else:
            error = BrokerDisconnectedError()
            error.unsent_bytes = len(data)
            raise error

    def _send_late(self, topic: str, data: bytes) -> None:
        try:
            self._send(topic, data, None)
        except MoleculerError as error:
            self.drop("unsent", "", f"a message that waited for the line was not sent: {error}")

    def _refused(self, command: str, refused: Refused) -> None:
        self.drop(refused.reason, refused.sender, refused.detail, command)
        if refused.request_id is not None and refused.version in self._versions:
            self.serving.answers.malformed(refused.request_id, refused.sender, refused.version, refused.detail)
