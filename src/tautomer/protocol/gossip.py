"""Gossip: how nodes without a broker learn of each other, by Node's merge rules (protocol reference, section 2.12).

Where a rule goes beyond Node's it only makes news travel sooner: a node that hears of a later run of itself raises its
`seq` whoever says so, and one that tells less of itself than is known was started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tautomer.protocol.packets import GossipHello, GossipRequest, GossipResponse
from tautomer.protocol.topics import is_topic_part

HOST_CHARS_MAX: Final = 255
HOSTS_MAX: Final = 4
SEQ_MAX: Final = 1 << 52
ANSWER_BYTES: Final = 256 * 1024
"""An answer of more is cut in two: Node hangs up on frames over 1 MiB."""

ASK_PAUSE: Final = 0.1
"""Seconds between two questions out of turn to one node."""

RawInfo = dict[str, Any]
"""An INFO as it came: it is passed on whole, also what this release does not know of it."""


@dataclass(slots=True)
class Member:
    """What is known of one node.

    Attributes:
        seq: Of its last INFO, one more since it went; 0 for one of which only the address is known.
        info: Its last INFO.
        info_bytes: About how large that is.
        found_at: The address that it was last heard from itself, by UDP or HELLO.
        heard_at: Another address and port, under which its name was heard since; taken once it is gone.
        hosts: Other addresses, in the order to try.
        port: Where it listens; 0 if that is not known.
        lasting: Named in the configuration: never forgotten.
        told: The greatest of our own `seq`s that it is known to have.
        asked_at: Seconds, when it was last asked out of turn.
        seen_at: Seconds, when it last gave a sign of life.
        behind: How often in a row it told less of itself than is known.
    """

    id: str
    seq: int = 0
    online: bool = False
    cpu_seq: int = 0
    cpu: float | None = None
    info: RawInfo | None = None
    info_bytes: int = 0
    found_at: str = ""
    heard_at: tuple[str, int] | None = None
    hosts: tuple[str, ...] = ()
    port: int = 0
    lasting: bool = False
    told: int = 0
    asked_at: float | None = None
    seen_at: float = 0.0
    behind: int = 0
    offline_since: float | None = None

    def addresses(self) -> tuple[str, ...]:
        """Where to look for it, best first."""
        return tuple(dict.fromkeys(host for host in (self.found_at, *self.hosts) if host))[:HOSTS_MAX]


@dataclass(slots=True)
class News:
    """What a message led to.

    Attributes:
        learned: Nodes whose INFO is new.
        lost: Nodes that are gone.
        cpu: Nodes whose load changed.
        moved: Nodes with a new address.
        answers: What to send back.
        ask: Nodes to ask for what they know, now.
        raised: Whether our own `seq` was raised.
    """

    learned: list[Member] = field(default_factory=list)
    lost: list[Member] = field(default_factory=list)
    cpu: list[Member] = field(default_factory=list)
    moved: list[Member] = field(default_factory=list)
    answers: list[GossipResponse] = field(default_factory=list)
    ask: list[Member] = field(default_factory=list)
    raised: bool = False


class Gossip:
    """What one node knows of all. Facts in, `News` out; it never sends, sleeps, draws or reads a clock.

    Args:
        node_id: Our own.
        nodes_max: More nodes are not taken in.
        forget_after: Seconds after which an offline node is forgotten.
        use_hostname: Whether a node is looked for under its host name before its addresses.

    Attributes:
        own: This node.
        members: The others, by id.
        refused: Nodes over the bound.
    """

    def __init__(
        self, node_id: str, nodes_max: int = 2_000, forget_after: float = 600.0, *, use_hostname: bool = True
    ) -> None:
        self.own = Member(node_id, online=True)
        self.members: dict[str, Member] = {}
        self.refused = 0
        self._nodes_max = nodes_max
        self._forget_after = forget_after
        self._use_hostname = use_hostname

    # --- what this node says ---

    def announce(self, info: RawInfo, seq: int) -> bool:
        """Our own INFO, and its `seq`. Returns whether it says anything new."""
        own = self.own
        if own.info is not None and seq <= own.seq:
            return False
        own.seq, own.info = seq, {**info, "seq": seq}
        own.info_bytes = _size(own.info) or ANSWER_BYTES
        return True

    def load(self, cpu: float | None) -> None:
        """Our own load."""
        if cpu != self.own.cpu:
            self.own.cpu, self.own.cpu_seq = cpu, self.own.cpu_seq + 1

    def request(self) -> GossipRequest:
        """All that is known, in short."""
        online = {one.id: [one.seq, one.cpu_seq, one.cpu or 0] for one in self._all() if one.online}
        offline = {one.id: one.seq for one in self.members.values() if not one.online and one.seq > 0}
        return GossipRequest(online or UNSET, offline or UNSET)

    def introduction(self, member: Member) -> GossipResponse | None:
        """Our own INFO for one that may not have it; None if it does. It counts as told."""
        if self.own.info is None or member.told >= self.own.seq:
            return None
        member.told = self.own.seq
        return GossipResponse(online={self.own.id: [self.own.info, self.own.cpu_seq, self.own.cpu or 0]})

    def goodbye(self) -> GossipResponse:
        """That this node leaves: to whoever hears it, it is offline with a greater `seq`."""
        return GossipResponse(offline={self.own.id: self.own.seq + 1})

    def partners(self, chance: Callable[[], float]) -> list[Member]:
        """Whom to ask in this round: one that is online, and now and then one that is not."""
        online = [one for one in self.members.values() if one.online]
        offline = [one for one in self.members.values() if not one.online]
        chosen = [online[int(chance() * len(online))]] if online else []
        if offline:
            ratio = len(offline) / (len(online) + 1)
            if ratio >= 1 or chance() < ratio:
                chosen.append(offline[int(chance() * len(offline))])
        return chosen

    # --- what others say; none of these raises, whatever the packet holds ---

    def on_hello(self, hello: GossipHello, came_from: str, now: float) -> News:
        """A node opened a line to us. It is reached where it came from, at the port that it names."""
        port = port_of(hello.port)
        host = came_from or (hello.host if is_host(hello.host) else "")
        return self.sighted(hello.sender, str(host), port or 0, now)

    def sighted(self, node_id: str, host: str, port: int, now: float, lasting: bool = False) -> News:
        """A node listens there: by UDP, by HELLO, or so the configuration says."""
        news = News()
        if node_id == self.own.id or not is_host(host) or port_of(port) is None or not is_topic_part(node_id):
            return news
        member = self.members.get(node_id)
        if member is None:
            member = self._add(node_id, now)
            if member is None:
                return news
        elif member.online:
            # What is known of a node that is there is not changed by whoever uses its name. It may have been
            # started again, though: asking it where it was shows whether it still is.
            if port != member.port:
                member.heard_at = (host, port)
                self._ask(member, now, news)
            return news
        member.lasting = member.lasting or lasting
        if lasting:
            member.hosts = (host, *member.hosts)
        else:
            member.found_at = host
        member.port = port
        news.moved.append(member)
        self._ask(member, now, news)
        return news

    def on_request(self, request: GossipRequest, now: float) -> News:
        """Somebody says what it knows: it is told what it does not, and what it knows better is taken over."""
        news = News()
        online, offline = _entries(request.online), _entries(request.offline)
        known: dict[str, list[Any]] = {}
        gone: dict[str, int] = {}
        for one in (self.own, *self.members.values()):
            says_gone = seq_of(offline.get(one.id))
            said = _row(online.get(one.id))
            seq = says_gone or (said[0] if said else 0)
            if one is self.own and seq >= one.seq and (says_gone or seq > one.seq):
                self._raise(seq, news)
                known[one.id] = [one.info, one.cpu_seq, one.cpu or 0]
            elif not seq or seq < one.seq:
                self._tell(one, known, gone)
            elif says_gone:
                self._hear_gone(one, says_gone, now, news)
            elif said and one.online:
                self._compare_load(one, said, known, news)
        sender = self.members.get(request.sender)
        if sender is not None:
            sender.seen_at = now
            if (itself := _row(online.get(sender.id))) is not None and itself[0] < sender.seq:
                self._fall_behind(sender, now, news)
            else:
                sender.behind = 0
            mine = _row(online.get(self.own.id))
            if len(known.get(self.own.id, ())) == 3:
                sender.told = self.own.seq
            elif mine is not None:
                sender.told = mine[0]
            if not sender.online:
                self._ask(sender, now, news)
        news.answers = list(self._answers(known, gone))
        return news

    def on_response(self, response: GossipResponse, now: float) -> News:
        """Somebody says what we did not know."""
        news = News()
        for node_id, row in _entries(response.online).items():
            info, load = _answer_row(row)
            if node_id == self.own.id:
                if info is not None and (seq_of(info.get("seq")) or 0) > self.own.seq:
                    self._raise(seq_of(info.get("seq")) or 0, news)
                continue
            member = self.members.get(node_id)
            if info is not None and (member is None or member.seq < (seq_of(info.get("seq")) or 0)):
                member = self._learn(node_id, info, now, news)
            if member is not None and member.online and load is not None and load[0] > member.cpu_seq:
                member.cpu_seq, member.cpu = load
                news.cpu.append(member)
        for node_id, value in _entries(response.offline).items():
            seq = seq_of(value)
            if seq is None:
                continue
            if node_id == self.own.id:
                if seq >= self.own.seq:
                    self._raise(seq, news)
            elif (known := self.members.get(node_id)) is not None and known.seq < seq:
                self._hear_gone(known, seq, now, news)
        return news

    def lost(self, node_id: str, now: float) -> Member | None:
        """The line to a node broke. The node, if that is news."""
        member = self.members.get(node_id)
        if member is None:
            return None
        member.told = 0  # What was on its way to it may be lost, too.
        if not member.online:
            return None
        self._go(member, member.seq + 1, now)
        return member

    def silent(self, seconds: float, now: float) -> list[Member]:
        """The nodes online that gave no sign of life for longer than this."""
        return [one for one in self.members.values() if one.online and now - one.seen_at > seconds]

    def forget(self, now: float) -> list[str]:
        """The nodes that have been offline for long, now out of the table."""
        gone = [
            one.id
            for one in self.members.values()
            if not one.lasting and one.offline_since is not None and now - one.offline_since > self._forget_after
        ]
        for node_id in gone:
            del self.members[node_id]
        return gone

    # --- inside ---

    def _all(self) -> Iterator[Member]:
        yield self.own
        yield from self.members.values()

    def _add(self, node_id: str, now: float) -> Member | None:
        if len(self.members) >= self._nodes_max:
            self.refused += 1
            return None
        member = self.members[node_id] = Member(node_id, offline_since=now)
        return member

    def _ask(self, member: Member, now: float, news: News) -> None:
        """Ask it out of turn, but not over and over."""
        if member.asked_at is None or now - member.asked_at >= ASK_PAUSE:
            member.asked_at = now
            news.ask.append(member)

    def _raise(self, heard: int, news: News) -> None:
        """Others know a later run of this node, or think it gone: the living one has the last word."""
        own = self.own
        own.seq = heard + 1
        own.info = {**(own.info or {}), "seq": own.seq}
        news.raised = True

    def _tell(self, one: Member, known: dict[str, list[Any]], gone: dict[str, int]) -> None:
        if one.online and one.info is not None:
            known[one.id] = [one.info, one.cpu_seq, one.cpu or 0]
        elif not one.online and one.seq:
            gone[one.id] = one.seq

    def _fall_behind(self, one: Member, now: float, news: News) -> None:
        """The node itself tells less of itself than is known: it was started again, or what it said was long on its way.

        Our kind raises its `seq` when it is asked. Node does so only when it hears that it is thought gone.
        """
        one.behind += 1
        if one.online and one.behind > 1:
            self._go(one, one.seq + 1, now)
            news.lost.append(one)
        one.told = 0
        self._ask(one, now, news)

    def _hear_gone(self, one: Member, seq: int, now: float, news: News) -> None:
        if one is self.own:
            return
        if one.online:
            self._go(one, seq, now)
            news.lost.append(one)
        one.seq = max(one.seq, seq)

    def _go(self, one: Member, seq: int, now: float) -> None:
        one.online, one.seq, one.offline_since, one.told = False, seq, now, 0
        if one.heard_at is not None:
            (one.found_at, one.port), one.heard_at = one.heard_at, None

    def _compare_load(
        self, one: Member, said: tuple[int, int, float | None], known: dict[str, list[Any]], news: News
    ) -> None:
        _seq, cpu_seq, cpu = said
        if cpu_seq > one.cpu_seq and one is not self.own:
            one.cpu_seq, one.cpu = cpu_seq, cpu
            news.cpu.append(one)
        elif cpu_seq < one.cpu_seq:
            known[one.id] = [one.cpu_seq, one.cpu or 0]

    def _learn(self, node_id: str, info: RawInfo, now: float, news: News) -> Member | None:
        port, seq, size = port_of(info.get("port")), seq_of(info.get("seq")), _size(info)
        if port is None or seq is None or size is None or not is_topic_part(node_id):
            return None
        member = self.members.get(node_id) or self._add(node_id, now)
        if member is None:
            return None
        if member.info is None or member.info.get("instanceID") != info.get("instanceID"):
            member.cpu_seq = 0  # Another run counts anew.
        listed = info.get("ipList")
        hosts = listed[:HOSTS_MAX] if isinstance(listed, list) else []
        hosts.insert(0 if self._use_hostname else len(hosts), info.get("hostname"))
        given = member.hosts[:1] if member.lasting else ()
        member.hosts = (*given, *(host for host in hosts if is_host(host)))[:HOSTS_MAX]
        member.port, member.seq, member.info, member.info_bytes = port, seq, info, size
        member.online, member.offline_since, member.heard_at = True, None, None
        member.seen_at, member.behind = now, 0
        news.learned.append(member)
        news.moved.append(member)
        return member

    def _answers(self, known: dict[str, list[Any]], gone: dict[str, int]) -> Iterator[GossipResponse]:
        """One answer, or several where many nodes are new to the one that asked."""
        part: dict[str, Any] = {}
        size = 0
        for node_id, row in known.items():
            one = self.own if node_id == self.own.id else self.members[node_id]
            size += one.info_bytes if len(row) == 3 else 0
            if part and size > ANSWER_BYTES:
                yield GossipResponse(online=part)
                part, size = {}, one.info_bytes
            part[node_id] = row
        if part or gone:
            yield GossipResponse(part or UNSET, gone or UNSET)


def is_host(value: object) -> bool:
    """Whether this can be the name or address of a machine."""
    return isinstance(value, str) and 0 < len(value) <= HOST_CHARS_MAX and value.isprintable() and " " not in value


def port_of(value: object) -> int | None:
    """A TCP port, 1 to 65535, or None. JavaScript may write a whole number as a float."""
    number = _whole(value)
    return number if number is not None and 1 <= number <= 65_535 else None


def seq_of(value: object) -> int | None:
    """A `seq`, 1 to `SEQ_MAX`, or None."""
    number = _whole(value)
    return number if number is not None and 1 <= number <= SEQ_MAX else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and abs(value) <= SEQ_MAX and value.is_integer() else None


def _entries(listed: object) -> Mapping[str, Any]:
    return listed if isinstance(listed, dict) else {}


def _load(cpu_seq: object, cpu: object) -> tuple[int, float | None]:
    number = _whole(cpu_seq)
    fit = isinstance(cpu, int | float) and not isinstance(cpu, bool) and 0 <= cpu <= 1_000_000
    return (number if number is not None and 0 <= number <= SEQ_MAX else 0), cpu if fit else None  # type: ignore[return-value]  # Looked at.


def _row(row: object) -> tuple[int, int, float | None] | None:
    """``[seq, cpuSeq, cpu]`` of a request; None if it is nothing of the kind."""
    if not isinstance(row, list) or not 1 <= len(row) <= 3 or (seq := seq_of(row[0])) is None:
        return None
    padded = [*row, 0, 0]
    return (seq, *_load(padded[1], padded[2]))


def _answer_row(row: object) -> tuple[RawInfo | None, tuple[int, float | None] | None]:
    """INFO and load of an answer's row, of whichever of the three shapes."""
    if not isinstance(row, list) or not 1 <= len(row) <= 3:
        return None, None
    info = row[0] if len(row) != 2 and isinstance(row[0], dict) else None
    return info, _load(row[-2], row[-1]) if len(row) >= 2 else None


def _size(info: RawInfo) -> int | None:
    """About how many bytes an INFO takes; None for one that could not be passed on."""
    try:
        # What a richer serializer brought and JSON lacks counts as its text.
        return len(msgspec.json.encode(info, enc_hook=repr))
    except (ValueError, OverflowError, RecursionError, TypeError):
        return None
