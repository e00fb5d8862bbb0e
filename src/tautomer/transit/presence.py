"""Presence: this node in the eyes of the others, and the others in its own.

Sends INFO, DISCOVER, HEARTBEAT and DISCONNECT, and turns theirs into changes of the registry
(protocol section 4). The decisions are `Membership`'s; here they are carried out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any, Protocol

from tautomer._tasks import TaskScope
from tautomer.errors import NodeIdTakenError
from tautomer.host import Host
from tautomer.ports import Discovery
from tautomer.protocol.membership import Change, Membership
from tautomer.protocol.packets import Disconnect, Discover, Heartbeat, Info, Packet, ServiceInfo
from tautomer.registry.nodes import Node
from tautomer.registry.registry import InfoRefused, MeshIsFull, Registry, ServiceEntry
from tautomer.settings import Settings

log = logging.getLogger("tautomer.presence")

SWEEP = 1.0
"""Seconds between two looks for nodes that fell silent."""

PUT_OFF_MOST = 5
"""Looks in a row that come too late to judge by. A loop that is always late judges all the same."""

PROBE = 0.5
"""Seconds after a DISCONNECT until the node is asked whether it really left: one that did has closed its line by then."""

CONFLICTS_TOLD = 100
"""Namesakes that are told of."""

CLAIM = 0.5
"""Seconds for whoever has our id to say so, where the message broker cannot tell that nobody listens under it."""


class Sender(Protocol):
    """How presence sends: the transit."""

    def send(self, command: str, packet: Packet, node_id: str | None = None, version: str | None = None) -> None:
        """To one node, or to all in every version that the mesh speaks. Never raises."""


class Watcher(Protocol):
    """Who is told of changes: the transit, too."""

    def node_lost(self, node: Node, unexpected: bool) -> None:
        """A node left or fell silent; its endpoints are gone already."""

    def announce_local(self, event: str, payload: dict[str, Any]) -> None:
        """Tell this node's own listeners. Never raises."""

    def drop(self, reason: str, sender: str, detail: str, command: str = "") -> None:
        """Count a packet that is not obeyed, and tell of it now and then."""

    async def is_namesake_there(self) -> bool:
        """Ask whether another node answers under our id."""

    def give_way(self) -> None:
        """A namesake is to have our id alone: this node is to stop."""


class Presence:
    """Keeps registry and membership in step with what other nodes say.

    Attributes:
        membership: Who is there.
        leaving: True once this node withdrew its services.
        asker: Under this name we ask who has our id: Node drops what bears its own.
    """

    def __init__(
        self,
        host: Host,
        settings: Settings,
        registry: Registry,
        sender: Sender,
        watcher: Watcher,
        versions: tuple[str, ...],
        discovery: Discovery | None = None,
    ) -> None:
        self._discovery = discovery
        self._host = host
        self._settings = settings
        self._registry = registry
        self._sender = sender
        self._watcher = watcher
        self._versions = versions
        self._scope = TaskScope("presence")
        self._announcing = False
        self._introduced = False
        self._settled: asyncio.Event | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._conflicts: set[str | None] = set()
        self._probed: set[str] = set()
        # Until our id is known to be free nothing is said under it: a node that has it might stop (promise M5).
        self._present = False
        self._claimed = asyncio.Event()
        self._rival: NodeIdTakenError | None = None
        self.asker = host.new_id()
        self.leaving = False
        self.membership = Membership(
            # Where lines lead from node to node, a line that breaks is the sign, and no beat.
            timeout=settings.heartbeat_timeout if discovery is None else math.inf,
            nodes_max=settings.registry.nodes_max,
        )

    # --- life ---

    async def claim(self) -> None:
        """Wait until it is known whether our id is free; it was asked for already, as `asker`.

        Raises:
            NodeIdTakenError: Another node has it.
        """
        try:
            async with asyncio.timeout(CLAIM):
                await self._claimed.wait()
        except TimeoutError:
            pass
        if self._rival is not None:
            raise self._rival

    def unclaimed(self) -> None:
        """The message broker says that nobody listens under our id."""
        self._claimed.set()

    async def join(self) -> None:
        """Ask who is there, and wait until their INFOs are in (or `settle` seconds), then begin to beat.

        Raises:
            NodeIdTakenError: One that started at the same time was quicker to take our id.
        """
        self._present = True
        self._settled = asyncio.Event()
        self._ask_all()
        transit = self._settings.transit
        try:
            async with asyncio.timeout(transit.settle):
                await self._settled.wait()
        except TimeoutError:
            pass
        self._still(None)
        self._settled = None
        if self._rival is not None:
            # It may be the last word of a former run of this node, which is dead by now (promise M5).
            if self._discovery is not None or await self._watcher.is_namesake_there():
                raise self._rival
            self._rival, self._present = None, True
        if self._discovery is None:
            self._scope.spawn(self._beat(), "heartbeat")
        self._scope.spawn(self._watch(), "sweep")

    def return_(self) -> None:
        """The line stands again: say who we are, ask who the others are."""
        if not self._present:
            return
        self._send_info(versions=self._versions)
        self._ask_all()

    def leave(self) -> None:
        """Withdraw all services, so that nobody asks any more."""
        self.leaving = True
        self._registry.local_node.seq += 1
        self._send_info()

    async def close(self, say_goodbye: bool) -> None:
        """Stop the loops; tell the others that we are gone."""
        await self._scope.close(0)
        if self._discovery is not None:
            await self._discovery.close(say_goodbye)
        elif say_goodbye and self._present:
            self._sender.send("DISCONNECT", Disconnect())

    def services_changed(self) -> None:
        """Our services changed: INFO goes out soon, one for many changes."""
        if self._announcing or self.leaving:
            return
        self._announcing = True
        asyncio.get_running_loop().call_later(self._settings.transit.announce_delay, self._announce)

    def announce_now(self) -> None:
        """Our services changed, and the others are to know at once.

        The first time in every version: a Node.js node that is starting listens already, but says
        nothing from which its version could be known for another second and a half.
        """
        if not self.leaving:
            self._send_info(versions=() if self._introduced else self._versions)
            self._introduced = True

    def _announce(self) -> None:
        self._announcing = False
        self.announce_now()

    # --- packets of others; never raise ---

    def on_discover(self, packet: Discover) -> None:
        if self.membership.heard(packet.sender, packet.ver, self._host.clock()):
            self._ask(packet.sender, packet.ver)
        self._send_info(packet.sender, (packet.ver,))

    def on_info(self, packet: Info) -> None:
        now = self._host.clock()
        spoken = self.speaking()
        try:
            # What cannot be taken in must not change what is known of the node either.
            offered = self._registry.check(packet)
        except InfoRefused as refused:
            # A full mesh is nobody's fault: a flood of made-up names must not become a flood of lines.
            sender = "" if isinstance(refused, MeshIsFull) else packet.sender
            self._watcher.drop("info", sender, str(refused), "INFO")
            return
        change = self.membership.info(packet.sender, packet.instance_id, packet.seq or 1, packet.ver, now)
        if change is Change.REFUSED:
            # In nobody's name: a flood of made-up names must not become a flood of lines.
            known = len(self.membership.peers)
            self._watcher.drop("nodes", "", f"no place for '{packet.sender}': {known} nodes are known", "INFO")
            return
        if change is not Change.NONE:
            self._apply(packet, offered, change, now)
            if packet.ver not in spoken and not self.leaving:
                # Our broadcasts were not in its version so far; others that speak it may not have said so yet.
                self._send_info(versions=(packet.ver,))
        if self._settled is not None:
            self._still(self._settings.transit.settle_quiet)

    def on_heartbeat(self, packet: Heartbeat) -> None:
        now = self._host.clock()
        seq = packet.seq if isinstance(packet.seq, int | float) else None
        instance = packet.instance_id if isinstance(packet.instance_id, str) else None
        node = self._registry.nodes.get(packet.sender)
        if node is not None:
            node.last_heartbeat = now
            if node.cpu != packet.cpu:
                node.cpu, node.cpu_seq = packet.cpu, node.cpu_seq + 1
        if self.membership.heartbeat(packet.sender, packet.ver, now, seq, instance):
            self._ask(packet.sender, packet.ver)

    def on_disconnect(self, packet: Disconnect) -> None:
        """It leaves. Anybody can say so in its name, so it is asked in a moment; one that lives is back with its INFO."""
        node_id = packet.sender
        if self.lost(node_id, unexpected=False) and node_id not in self._probed and not self._scope.closed:
            self._probed.add(node_id)
            self._scope.spawn(self._probe(node_id, packet.ver), "probe")

    def on_own_info(self, packet: Info) -> None:
        """Somebody else uses our node id. While we start we give way; later no packet ends us: it is told, once a namesake."""
        instance_id, told = packet.instance_id, self._conflicts
        if instance_id == self._registry.local_node.instance_id or instance_id in told or len(told) >= CONFLICTS_TOLD:
            return
        if self._settled is not None or not self._present:
            self._rival = NodeIdTakenError(packet.sender, instance_id, packet.hostname)
            self._present = False
            self._claimed.set()
            self._still(0.0)
            return
        told.add(instance_id)
        log.error(
            "node id in use elsewhere: give one of the two another id",
            extra={"node": packet.sender, "instance": packet.instance_id, "host": packet.hostname},
        )
        self._watcher.announce_local(
            "$node.conflict", {"nodeID": packet.sender, "instanceID": packet.instance_id, "hostname": packet.hostname}
        )
        if self._settings.registry.on_conflict == "stop":
            self._present = False  # A goodbye would be taken for the namesake's.
            self._watcher.give_way()
        else:
            self._send_info(versions=self._versions)  # Whoever took its INFO for ours is to know better.

    def lost(self, node_id: str, unexpected: bool) -> bool:
        """A node is gone: it said so, or the message broker says that nobody listens there. False if that is no news."""
        now = self._host.clock()
        if not self.membership.leave(node_id, now):
            return False
        self._forget(node_id, now, unexpected)
        return True

    # --- inside ---

    def _apply(self, packet: Info, offered: list[ServiceEntry], change: Change, now: float) -> None:
        former = self._registry.nodes.get(packet.sender)
        if change is Change.UPDATED and former is not None and former.instance_id != packet.instance_id:
            self._watcher.node_lost(former, True)  # Another run of it: what the former was asked is lost.
        services = self._registry.apply(packet, now, offered)
        node = self._registry.nodes[packet.sender]
        joined = change in (Change.JOINED, Change.RECONNECTED)
        if joined:
            log.info(
                "node joined" if change is Change.JOINED else "node is back",
                extra={"node": node.id, "services": len(packet.services)},
            )
            self._watcher.announce_local(
                "$node.connected", {"node": node.describe(), "reconnected": change is Change.RECONNECTED}
            )
        else:
            self._watcher.announce_local("$node.updated", {"node": node.describe()})
        if services:
            self._watcher.announce_local("$services.changed", {"localService": False})

    def _forget(self, node_id: str, now: float, unexpected: bool) -> None:
        node = self._registry.nodes.get(node_id)
        had_services = self._registry.forget(node_id, now)
        if node is None:
            return
        if unexpected:
            log.warning("node lost: no sign of life", extra={"node": node_id})
        else:
            log.info("node left", extra={"node": node_id})
        self._watcher.node_lost(node, unexpected)
        self._watcher.announce_local("$node.disconnected", {"node": node.describe(), "unexpected": unexpected})
        if had_services:
            self._watcher.announce_local("$services.changed", {"localService": False})

    def _ask_all(self) -> None:
        if self._discovery is not None:
            self._discovery.start(self, self._info())
            return
        for version in self._versions:
            self._sender.send("DISCOVER", Discover(), None, version)

    def _ask(self, node_id: str, version: str) -> None:
        if self._discovery is None:
            self._sender.send("DISCOVER", Discover(), node_id, version)

    def _send_info(self, node_id: str | None = None, versions: tuple[str, ...] = ()) -> None:
        if not self._present:
            return
        if self._discovery is not None:
            self._discovery.announce(self._info())
            return
        for version in versions or self.speaking():
            self._sender.send("INFO", self._info(), node_id, version)

    def speaking(self) -> tuple[str, ...]:
        """The versions in which broadcasts go out: those heard in the mesh, all while nobody was."""
        heard = self.membership.versions()
        return tuple(version for version in self._versions if version in heard) or self._versions

    def _info(self) -> Info:
        node = self._registry.local_node
        services = [] if self.leaving else [_service_info(s) for s in self._registry.services_of(node.id)]
        return Info(
            services=services,
            ip_list=list(node.ip_list),
            hostname=node.hostname,
            client=dict(node.client),
            instance_id=node.instance_id,
            metadata=dict(node.metadata),
            seq=node.seq,
        )

    def _still(self, seconds: float | None) -> None:
        """Wait this long for one more INFO before the mesh counts as known; None: wait no more."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if seconds is not None and self._settled is not None:
            self._quiet = asyncio.get_running_loop().call_later(seconds, self._settled.set)

    async def _beat(self) -> None:
        interval = self._settings.heartbeat_interval
        node = self._registry.local_node
        while True:
            # A little off the beat, so that nodes started together do not speak together for ever.
            await asyncio.sleep(interval * (0.95 + 0.1 * self._host.random.random()))
            cpu = self._host.cpu_percent()
            if cpu != node.cpu:
                node.cpu, node.cpu_seq = cpu, node.cpu_seq + 1
            # With what tells whether an INFO was missed: whoever knows another `seq` or instance asks (protocol
            # section 4.2). Without it a lost INFO would be missed until the next change (promise M3).
            for version in self.speaking():
                self._sender.send("HEARTBEAT", Heartbeat(cpu, node.seq, node.instance_id), None, version)

    async def _probe(self, node_id: str, version: str) -> None:
        try:
            # Twice, as it may have been asked within this second already, and nobody is asked more often.
            for _ in range(2):
                await asyncio.sleep(PROBE)
                if self.membership.is_online(node_id):
                    return
                if self.membership.may_ask(node_id, self._host.clock()):
                    self._ask(node_id, version)
                    return
        finally:
            self._probed.discard(node_id)

    async def _watch(self) -> None:
        looked_at = self._host.clock()
        put_off = 0
        while True:
            await asyncio.sleep(SWEEP)
            now = self._host.clock()
            stood_still = now - looked_at > 1.5 * SWEEP
            looked_at = now
            if stood_still and put_off < PUT_OFF_MOST:
                put_off += 1
                continue  # Signs of life may lie unread in the socket: read first, judge next time (promise M2).
            put_off = 0
            for node_id in self.membership.expire(now):
                if not self.membership.is_online(node_id):  # It may have come back in the pause before.
                    self._forget(node_id, now, unexpected=True)
                    await asyncio.sleep(0)  # Taking out thousands in one go would hold up the loop.
            for node_id in self.membership.forget(now):
                self._registry.remove_node(node_id)


def _service_info(service: ServiceEntry) -> ServiceInfo:
    return ServiceInfo(
        name=service.name,
        version=service.version,
        full_name=service.full_name,
        settings=dict(service.settings),
        metadata=dict(service.metadata),
        actions={name: dict(entry) for name, entry in service.actions.items() if entry.get("visibility") != "private"},
        events={name: dict(entry) for name, entry in service.events.items()},
    )
