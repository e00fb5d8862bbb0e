"""One typed record a packet, for protocol versions "4" and "5" (protocol reference, section 3.1).

Decoding into a record is its validation. What a peer may leave out has a default; what Node would
leave out is `UNSET` and does not reach the wire. Every `ver` and `sender` stands last, as Node has it.

The wire counts milliseconds, the program seconds: both directions are converted here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

VERSIONS: Final = ("4", "5")
"""Every protocol version spoken here: Moleculer 0.14 speaks "4", 0.15 speaks "5"."""

NEWEST: Final = "5"

TIMEOUT_MS_MAX: Final = 31_536_000_000
"""A year: what is longer is no timeout that anybody meant."""

LEVEL_MAX: Final = 1_000_000

ID_CHARS_MAX: Final = 255
"""Ids of requests are remembered (a REQ that comes twice runs once), so they have a bound. Node's have 36."""

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARS_MAX)]

YEAR_MS: Final = 31_536_000_000

Meta = dict[str, Any]


class Request(Struct, eq=False, gc=False):
    """REQ: run an action."""

    id: RequestId
    action: str
    params: Any = None
    meta: Meta | None = None
    headers: Meta | UnsetType | None = UNSET
    timeout: object = None
    level: int | float | None = 1
    tracing: bool | None = None
    parent_id: str | None = msgspec.field(default=None, name="parentID")
    request_id: str | None = msgspec.field(default=None, name="requestID")
    caller: str | None = None
    # Node 0.14 computes `params && ...`, so that params of 0 or "" stand here as themselves.
    stream: bool | float | str | None = False
    seq: int | UnsetType | None = UNSET
    ver: str = ""
    sender: str = ""


class Response(Struct, eq=False, gc=False):
    """RES, as it is sent. `data` is UNSET when the handler returned nothing that can be told from nothing."""

    id: str
    meta: Meta | None = None
    headers: Meta | UnsetType | None = UNSET
    success: bool = True
    data: Any = UNSET
    error: Meta | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    ver: str = ""
    sender: str = ""


class ReceivedResponse(Struct, eq=False, gc=False):
    """RES, as it is read: `data` stays undecoded until somebody looks at it."""

    id: str
    meta: Meta | None = None
    headers: Meta | None = None
    success: bool = False
    data: Raw | UnsetType = UNSET
    error: object = None
    stream: bool | None = None
    seq: int | None = None
    ver: str = ""
    sender: str = ""


class WholeResponse(ReceivedResponse, eq=False, gc=False):
    """RES, read in one pass, `data` too."""

    data: Any = UNSET


class Event(Struct, eq=False, gc=False):
    """EVENT: something happened. `id` is one of the target's own, `request_id` that of the whole chain."""

    id: str | None
    event: str
    data: Any = None
    groups: list[str] | UnsetType | None = UNSET
    broadcast: bool | None = False
    meta: Meta | None = None
    headers: Meta | UnsetType | None = UNSET
    level: int | float | None = 1
    tracing: bool | None = None
    parent_id: str | None = msgspec.field(default=None, name="parentID")
    request_id: str | None = msgspec.field(default=None, name="requestID")
    caller: str | None = None
    need_ack: object = msgspec.field(default=None, name="needAck")
    ver: str = ""
    sender: str = ""


class ServiceInfo(Struct, eq=False, omit_defaults=True):
    """One service inside INFO. Actions and events are maps from full name to the entry as announced.

    What is None is not sent; an empty map is (Node always sends both maps).
    """

    name: str
    version: str | float | None = None
    full_name: str | None = msgspec.field(default=None, name="fullName")
    settings: Meta | None = None
    metadata: Meta | None = None
    actions: dict[str, Meta] | list[Meta] | None = None
    events: dict[str, Meta] | list[Meta] | None = None


class Info(Struct, eq=False):
    """INFO: what a node is and offers. `port` is where it listens, with a transporter without a broker."""

    services: list[ServiceInfo]
    ip_list: list[str] | None = msgspec.field(default=None, name="ipList")
    hostname: str | None = None
    client: Meta | None = None
    config: object = msgspec.field(default_factory=dict)
    instance_id: str | None = msgspec.field(default=None, name="instanceID")
    metadata: Meta | None = None
    seq: float | None = 1
    port: object = UNSET
    ver: str = ""
    sender: str = ""


class Discover(Struct, eq=False):
    """DISCOVER: tell me who you are."""

    ver: str = ""
    sender: str = ""


class Disconnect(Struct, eq=False):
    """DISCONNECT: I am leaving."""

    ver: str = ""
    sender: str = ""


class Heartbeat(Struct, eq=False):
    """HEARTBEAT: I live. `cpu` is an integer percentage or null."""

    cpu: float | None = None
    seq: float | UnsetType | None = UNSET
    instance_id: str | UnsetType | None = msgspec.field(default=UNSET, name="instanceID")
    ver: str = ""
    sender: str = ""


class Ping(Struct, eq=False):
    """PING. `time` is the sender's wall clock in ms; it is echoed, so it may be any scalar."""

    # `int` stands beside `float` so that what is echoed is echoed exactly.
    time: int | float | str | None = None
    id: int | float | str | None = None
    ver: str = ""
    sender: str = ""


class Pong(Struct, eq=False):
    """PONG. `arrived` is the responder's wall clock in ms."""

    time: int | float | str | None = None
    id: int | float | str | None = None
    arrived: int | float | str | None = None
    ver: str = ""
    sender: str = ""


class GossipHello(Struct, eq=False):
    """GOSSIP_HELLO, first on each TCP connection: where the node that opened it listens itself."""

    host: object = None
    port: object = None
    ver: str = ""
    sender: str = ""


class GossipRequest(Struct, eq=False):
    """GOSSIP_REQ: what I know. Online: id to ``[seq, cpuSeq, cpu]``; offline: id to seq.

    The maps are judged entry by entry where they are merged: one bad entry must not cost the others.
    """

    online: object = UNSET
    offline: object = UNSET
    ver: str = ""
    sender: str = ""


class GossipResponse(Struct, eq=False):
    """GOSSIP_RES: what you do not know yet. Online: id to ``[info, cpuSeq, cpu]``, ``[info]`` or ``[cpuSeq, cpu]``."""

    online: object = UNSET
    offline: object = UNSET
    ver: str = ""
    sender: str = ""


Packet = (
    Request | Response | ReceivedResponse | Event | Info | Discover | Disconnect | Heartbeat | Ping | Pong
    | GossipHello | GossipRequest | GossipResponse
)  # fmt: skip

READ_AS: Final[Mapping[str, type[Packet]]] = {
    "REQ": Request,
    "RES": ReceivedResponse,
    "EVENT": Event,
    "INFO": Info,
    "DISCOVER": Discover,
    "DISCONNECT": Disconnect,
    "HEARTBEAT": Heartbeat,
    "PING": Ping,
    "PONG": Pong,
    "GOSSIP_HELLO": GossipHello,
    "GOSSIP_REQ": GossipRequest,
    "GOSSIP_RES": GossipResponse,
}
"""Which record each command is read as."""


def timeout_seconds(wire: object) -> float | None:
    """The `timeout` of a REQ in seconds; 0.0 if the caller wants none, None if the field says nothing.

    Negative, not a number, a text, or over a year says nothing: then the node's own default applies
    (reliability reference, section 5.4).
    """
    # A bool is no number here, and NaN is in no range. Compared before it is computed with: an integer of any
    # length may come, and is too much for a float.
    if (type(wire) is float or type(wire) is int) and 0 <= wire <= TIMEOUT_MS_MAX:
        return wire / 1000
    return None


def timeout_ms(timeout: float, ends: bool) -> int:
    """The `timeout` of a REQ, in whole milliseconds, as a float costs what all its other fields cost together.

    Args:
        timeout: Seconds.
        ends: Whether the call has an end at all. A 0 says that it has none, as it does for over a year; so one whose
            time is just over has a millisecond.
    """
    if 0.001 <= timeout <= TIMEOUT_MS_MAX / 1000:
        return int(timeout * 1000)
    return 1 if ends and timeout <= TIMEOUT_MS_MAX / 1000 else 0


def call_level(wire: float | None) -> int:
    """The nesting level of a REQ or EVENT; a missing or odd one counts as 1, a huge one as `LEVEL_MAX`."""
    return int(min(wire, LEVEL_MAX)) if wire is not None and wire >= 1 else 1


def entries(listed: Mapping[str, Meta] | list[Meta] | None) -> dict[str, Meta]:
    """Actions or events of a `ServiceInfo` by the name *inside* each entry; the map's keys are not used by Node.

    An entry without a name registers nothing (Appendix A).
    """
    return {entry["name"]: entry for entry in _named(listed)}


def subscriptions(listed: Mapping[str, Meta] | list[Meta] | None) -> dict[str, Meta]:
    """Events of a `ServiceInfo`: as `entries`, but one pattern may stand there for several groups."""
    found: dict[str, Meta] = {}
    for entry in _named(listed):
        found[subscription_key(found, entry["name"], entry.get("group"))] = entry
    return found


def subscription_key(taken: Mapping[str, Mapping[str, Any]], name: str, group: object) -> str:
    """The key of a subscription in the map of events: its pattern, with the group for a second one of that pattern.

    Peers read the name inside the entry; the key only tells entries apart.
    """
    other = taken.get(name)
    return name if other is None or other.get("group") == group else f"{name} {group}"


def _named(listed: Mapping[str, Meta] | list[Meta] | None) -> list[Meta]:
    found = listed.values() if isinstance(listed, Mapping) else listed or ()
    return [entry for entry in found if isinstance(entry.get("name"), str)]
