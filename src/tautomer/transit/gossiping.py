"""Gossiping: finds the others where no broker carries DISCOVER, INFO and HEARTBEAT. `Gossip` decides, here it is done.

Beside Node's rounds, news is told at once to those who are there: a change of our services, and that we leave.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from tautomer._tasks import TaskScope
from tautomer.host import Host
from tautomer.ports import LineTransporter, NodeView
from tautomer.protocol.gossip import Gossip, Member, News
from tautomer.protocol.packets import (
    NEWEST,
    VERSIONS,
    GossipHello,
    GossipRequest,
    GossipResponse,
    Heartbeat,
    Info,
    Packet,
)
from tautomer.registry.registry import Registry
from tautomer.settings import Settings

log = logging.getLogger("tautomer.gossip")

PROBE: Final = 0.2
"""Seconds after a line broke until the node is asked whether it is gone: one that lives is back at once."""

TOLD_AT_ONCE: Final = 32
"""Nodes that hear news at once; in a larger mesh the others hear it in the rounds."""


class Sender(Protocol):
    """How gossip leaves: the transit."""

    def send(self, command: str, packet: Packet, node_id: str | None = None, version: str | None = None) -> None:
        """To one node. Never raises."""

    def drop(self, reason: str, sender: str, detail: str, command: str = "") -> None:
        """Count a packet that is not obeyed, and tell of it now and then."""

    async def ping(self, node_id: str, timeout: float) -> object | None:
        """None if the node is silent."""


class Gossiping:
    """Implements `ports.Discovery` and `ports.LineWatcher` over a `LineTransporter`.

    Attributes:
        gossip: What is known of whom.
        handlers: Command to what takes its packets.
    """

    def __init__(
        self,
        host: Host,
        settings: Settings,
        registry: Registry,
        sender: Sender,
        transporter: LineTransporter,
        versions: tuple[str, ...],
    ) -> None:
        self._host = host
        self._registry = registry
        self._sender = sender
        self._transporter = transporter
        self._versions = versions
        self._silence = settings.heartbeat_timeout
        self._checked: set[str] = set()
        self._refused = 0
        self._view: NodeView | None = None
        self._scope = TaskScope("gossip")
        self.gossip = Gossip(registry.local_node.id, settings.registry.nodes_max, use_hostname=transporter.use_hostname)
        self.handlers: Mapping[str, Callable[[Any], None]] = {
            "GOSSIP_HELLO": self._on_hello,
            "GOSSIP_REQ": self._on_request,
            "GOSSIP_RES": self._on_response,
        }

    # --- Discovery ---

    def start(self, view: NodeView, info: Info) -> None:
        self._view = view
        self._registry.local_node.port = self._transporter.port
        self.announce(info)
        for member in list(self.gossip.members.values())[:TOLD_AT_ONCE]:
            self._contact(member)
        self._scope.spawn(self._rounds(), "gossip rounds")

    def announce(self, info: Info) -> None:
        raw: dict[str, Any] = msgspec.to_builtins(info)
        raw.pop("sender")
        # Node passes it on unread; to us it says which versions a node speaks.
        raw["ver"] = self._versions[-1]
        raw["port"] = self._transporter.port
        if self._transporter.host is not None:
            raw["hostname"], raw["ipList"] = self._transporter.host, [self._transporter.host]
        if self.gossip.announce(raw, int(self._registry.local_node.seq)):
            self._introduce_to_all()

    async def close(self, say_goodbye: bool) -> None:
        await self._scope.close(0)
        if say_goodbye:
            for member in self._online():
                self._sender.send("GOSSIP_RES", self.gossip.goodbye(), member.id)
        self._view = None

    # --- LineWatcher ---

    def sighted(self, node_id: str, host: str, port: int, lasting: bool) -> None:
        self._act(self.gossip.sighted(node_id, host, port, self._host.clock(), lasting))

    def greet(self, node_id: str) -> None:
        node = self._registry.local_node
        # Whoever hears this reaches us where the line comes from; the host stands there for Node's sake.
        host = self._transporter.host or node.hostname
        self._sender.send("GOSSIP_HELLO", GossipHello(host, self._transporter.port), node_id)

    def line_lost(self, node_id: str, abrupt: bool) -> None:
        member = self.gossip.lost(node_id, self._host.clock())
        if member is not None and self._view is not None:
            self._locate(member)
            if not self._scope.closed:
                self._scope.spawn(self._probe(member), "probe")
            # Our own kind says goodbye. Node only hangs up, so its end in good order may well be one.
            self._view.lost(node_id, unexpected=abrupt or not _is_node_js(member))

    # --- packets of others; never raise ---

    def _on_hello(self, packet: GossipHello) -> None:
        self._act(self.gossip.on_hello(packet, self._transporter.came_from, self._host.clock()))

    def _on_request(self, packet: GossipRequest) -> None:
        news = self.gossip.on_request(packet, self._host.clock())
        if packet.sender in self.gossip.members:
            for answer in news.answers:
                self._sender.send("GOSSIP_RES", answer, packet.sender)
        self._act(news)

    def _on_response(self, packet: GossipResponse) -> None:
        self._act(self.gossip.on_response(packet, self._host.clock()))

    # --- inside ---

    def _act(self, news: News) -> None:
        for member in (*news.moved, *news.lost):
            self._locate(member)
        if self.gossip.refused > self._refused:
            self._refused = self.gossip.refused
            # In nobody's name: a flood of made-up names must not become a flood of lines.
            self._sender.drop("nodes", "", f"no place for one more: {len(self.gossip.members)} nodes are known")
        view = self._view
        if view is None:
            return
        for member in news.learned:
            self._learn(view, member)
        for member in news.lost:
            view.lost(member.id, unexpected=False)
            self._transporter.hang_up(member.id)
        for member in news.cpu:
            view.on_heartbeat(Heartbeat(member.cpu, ver=version_of(member), sender=member.id))
        if news.raised:
            self._registry.local_node.seq = self.gossip.own.seq
            self._introduce_to_all()
        for member in news.ask:
            self._contact(member)

    def _learn(self, view: NodeView, member: Member) -> None:
        version = version_of(member)
        if version not in self._versions:
            return  # It could neither be understood nor understand us.
        try:
            info = msgspec.convert({**(member.info or {}), "sender": member.id, "ver": version}, Info)
        except (ValueError, RecursionError) as error:
            self._sender.drop("malformed", member.id, str(error), "GOSSIP_RES")
            return
        view.on_info(info)
        node = self._registry.nodes.get(member.id)
        if node is not None:
            node.udp_address = member.found_at or None

    def _locate(self, member: Member) -> None:
        self._transporter.locate(member.id, member.addresses(), member.port)

    async def _probe(self, member: Member) -> None:
        await asyncio.sleep(PROBE)
        if not member.online and self.gossip.members.get(member.id) is member:
            self._contact(member)

    def _contact(self, member: Member) -> None:
        """Ask a node for what it knows, and let it know us."""
        introduction = self.gossip.introduction(member)
        if introduction is not None:
            self._sender.send("GOSSIP_RES", introduction, member.id)
        self._sender.send("GOSSIP_REQ", self.gossip.request(), member.id)

    def _introduce_to_all(self) -> None:
        if self._view is None:
            return
        for member in self._online():
            introduction = self.gossip.introduction(member)
            if introduction is not None:
                self._sender.send("GOSSIP_RES", introduction, member.id)

    def _online(self) -> list[Member]:
        return [member for member in self.gossip.members.values() if member.online][:TOLD_AT_ONCE]

    def _look_for_the_silent(self) -> None:
        """A process that stands still keeps its lines: who says nothing for half the time that is allowed is pinged."""
        for member in self.gossip.silent(self._silence / 2, self._host.clock()):
            node = self._registry.nodes.get(member.id)
            # Who does not understand a ping must not be called dead for its silence.
            if node is not None and node.available and member.id not in self._checked:
                self._checked.add(member.id)
                self._scope.spawn(self._check(member), "check")

    async def _check(self, member: Member) -> None:
        try:
            answer = await self._sender.ping(member.id, self._silence / 2)
        finally:
            self._checked.discard(member.id)
        now = self._host.clock()
        if answer is not None:
            member.seen_at = now
        elif now - member.seen_at > self._silence:
            self.line_lost(member.id, abrupt=True)
            self._transporter.hang_up(member.id)

    async def _rounds(self) -> None:
        node, own, chance = self._registry.local_node, self.gossip.own, self._host.random.random
        while True:
            # A little off the beat, so that nodes started together do not speak together for ever.
            await asyncio.sleep(self._transporter.gossip_period * (0.95 + 0.1 * chance()))
            self.gossip.load(self._host.cpu_percent())
            node.cpu, node.cpu_seq = own.cpu, own.cpu_seq
            for member in self.gossip.partners(chance):
                self._contact(member)
            self._look_for_the_silent()
            for node_id in self.gossip.forget(self._host.clock()):
                self._transporter.forget(node_id)


def version_of(member: Member) -> str:
    """The protocol version that a node is spoken to in, as its INFO tells.

    Node checks no version in gossip and tells none; which release it is stands in `client`.
    """
    info = member.info or {}
    if info.get("ver") in VERSIONS:
        return str(info["ver"])
    if _is_node_js(member) and str(info["client"].get("version")).startswith("0.14."):
        return VERSIONS[0]
    return NEWEST


def _is_node_js(member: Member) -> bool:
    client = (member.info or {}).get("client")
    return isinstance(client, dict) and client.get("type") == "nodejs"
