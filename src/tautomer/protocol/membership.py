"""Who is in the mesh, as far as this node knows: INFO, HEARTBEAT, DISCONNECT, expiry."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tautomer.protocol.packets import VERSIONS


class Change(Enum):
    """What an INFO means."""

    NONE = "none"
    """Older than what is known: nothing is to be taken from it."""
    JOINED = "joined"
    RECONNECTED = "reconnected"
    UPDATED = "updated"
    REFUSED = "refused"
    """More nodes than are allowed."""


@dataclass(slots=True)
class Peer:
    """What is known of one node's life.

    Attributes:
        version: Highest protocol version heard from it.
        spoken: All versions heard from it.
        seq: Of its last INFO.
        seen_at: Seconds, when it was last heard.
        online: False once it left or fell silent.
        offline_since: Seconds, or None while online.
    """

    node_id: str
    instance_id: str | None = None
    version: str = ""
    spoken: tuple[str, ...] = ()
    seq: float = 0
    seen_at: float = 0.0
    online: bool = False
    offline_since: float | None = None


@dataclass(slots=True)
class Membership:
    """Takes facts with the time at which they were learnt; says who joined and who is lost.

    It never sleeps, sends, or reads a clock, so a test can live a year in a millisecond. Times are
    seconds on any clock that does not go back.

    Attributes:
        timeout: Seconds of silence after which a node counts as lost.
        forget_after: Seconds after which an offline node is forgotten.
        nodes_max: More are refused.
        asks_per_second: How many DISCOVERs leave at most; each node is asked once a second.
        refused: INFOs of nodes over the limit.
        voices: Rises whenever a node is heard in a version that is new of it.
    """

    timeout: float
    forget_after: float = 600.0
    nodes_max: int = 2_000
    asks_per_second: int = 50
    peers: dict[str, Peer] = field(default_factory=dict)
    refused: int = 0
    voices: int = 0
    _asked_at: dict[str, float] = field(default_factory=dict)
    _present: dict[str, int] = field(default_factory=dict)  # How many nodes online speak each version best.

    def info(self, node_id: str, instance_id: str | None, seq: float, version: str, now: float) -> Change:
        """An INFO came. Only a JOINED, RECONNECTED or UPDATED one is to be applied.

        Newer is: unknown or offline until now, another instance, or a greater `seq`
        (protocol section 4.3). A node that speaks both versions sends each INFO twice; the
        second changes nothing but the version that it is answered in.
        """
        peer = self.peers.get(node_id)
        if peer is None:
            if len(self.peers) >= self.nodes_max:
                self.refused += 1
                return Change.REFUSED
            peer = self.peers[node_id] = Peer(node_id)
            change = Change.JOINED
        elif not peer.online:
            change = Change.RECONNECTED
        elif peer.instance_id != instance_id or seq > peer.seq:
            change = Change.UPDATED
        else:
            change = Change.NONE
        if change is not Change.NONE:
            self._count(peer, -1)
            back_unnamed = change is Change.RECONNECTED and not instance_id
            if peer.instance_id != instance_id or back_unnamed:
                peer.version, peer.spoken = "", ()  # It may have come back as an older release.
            peer.instance_id, peer.seq = instance_id, seq
            peer.online, peer.offline_since = True, None
            self._count(peer, 1)
        self._note(peer, version, now)
        return change

    def heartbeat(
        self, node_id: str, version: str, now: float, seq: float | None = None, instance_id: str | None = None
    ) -> bool:
        """A sign of life came. True when the node is unknown or has changed, so that it is to be asked for INFO."""
        peer = self.peers.get(node_id)
        if peer is None or not peer.online:
            return self.may_ask(node_id, now)
        changed = (seq is not None and seq != peer.seq) or (
            instance_id is not None and not (peer.instance_id or "").startswith(instance_id)
        )
        self._note(peer, version, now)
        return changed and self.may_ask(node_id, now)

    def heard(self, node_id: str, version: str, now: float) -> bool:
        """Any other packet came: it shows the version spoken. True for a node that is to be asked for INFO.

        That is one that has not said who it is, and one that was thought gone: it lives after all.
        """
        peer = self.peers.get(node_id)
        if peer is None or not peer.online:
            return self.may_ask(node_id, now)
        self._note(peer, version, now)
        return False

    def leave(self, node_id: str, now: float) -> bool:
        """The node is gone: it said so, or its silence or the line says so. False if that is no news."""
        peer = self.peers.get(node_id)
        if peer is None or not peer.online:
            return False
        self._count(peer, -1)
        peer.online, peer.offline_since = False, now
        return True

    def is_online(self, node_id: str) -> bool:
        peer = self.peers.get(node_id)
        return peer is not None and peer.online

    def expire(self, now: float) -> tuple[str, ...]:
        """The nodes not heard from for longer than `timeout`, now offline."""
        lost = tuple(p.node_id for p in self.peers.values() if p.online and now - p.seen_at > self.timeout)
        for node_id in lost:
            self.leave(node_id, now)
        return lost

    def forget(self, now: float) -> tuple[str, ...]:
        """The nodes that have been offline for longer than `forget_after`, now out of the table."""
        gone = tuple(
            p.node_id
            for p in self.peers.values()
            if p.offline_since is not None and now - p.offline_since > self.forget_after
        )
        for node_id in gone:
            del self.peers[node_id]
        return gone

    def may_ask(self, node_id: str, now: float) -> bool:
        """Whether a DISCOVER to this node may leave now; if so it counts as sent.

        A node that there is no place for is not asked: its INFO would be refused.
        """
        if len(self.peers) >= self.nodes_max and node_id not in self.peers:
            return False
        asked = self._asked_at
        asked_at = asked.get(node_id)
        if asked_at is not None and now - asked_at < 1.0:
            return False
        if len(asked) >= self.asks_per_second:
            for old in [key for key, at in asked.items() if now - at >= 1.0]:
                del asked[old]
            if len(asked) >= self.asks_per_second:
                return False
        asked[node_id] = now
        return True

    def version_of(self, node_id: str) -> str | None:
        """The version that this node is to be answered in; None if it was never heard."""
        peer = self.peers.get(node_id)
        return peer.version or None if peer is not None else None

    def versions(self) -> tuple[str, ...]:
        """The versions spoken by the nodes online; all of them while nobody else is there."""
        return tuple([version for version in VERSIONS if self._present.get(version)]) or VERSIONS

    def _count(self, peer: Peer, step: int) -> None:
        if peer.online:
            self._present[peer.version] = self._present.get(peer.version, 0) + step

    def _note(self, peer: Peer, version: str, now: float) -> None:
        peer.seen_at = now
        if version > peer.version:
            self._count(peer, -1)
            peer.version = version
            self._count(peer, 1)
        if version not in peer.spoken:
            peer.spoken = (*peer.spoken, version)
            self.voices += 1
