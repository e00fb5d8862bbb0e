"""Every extension point, as a `Protocol`: the socket strip.

Third parties implement these; the kernel knows nothing else of them. Each has a
conformance suite in the tests that an implementation can inherit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from tautomer.context import Context
    from tautomer.protocol.packets import Heartbeat, Info
    from tautomer.registry.endpoints import Endpoint

T = TypeVar("T")
E = TypeVar("E", bound="Endpoint")

Handler: TypeAlias = "Callable[[Context[Any]], Coroutine[Any, Any, Any]]"
"""The one shape of everything that runs for a call or an event: a context in, a coroutine out.

A coroutine and not any awaitable, so that `asyncio.TaskGroup` and `gather` take every call alike.
A handler does not raise before it is awaited.
"""


class Link(Protocol):
    """What a transporter reports to. Called from the event loop only; never raises."""

    def received(self, topic: str, data: bytes) -> None:
        """One message came. `topic` is a topic this node subscribed to. Must not block."""

    def receiver(self, topic: str) -> Callable[[bytes], None]:
        """What takes the messages of one topic: as `received`, for those who know beforehand where each will come from."""

    def undelivered(self, token: str) -> None:
        """The broker says that nobody listened to the message sent with this `token`."""

    def unsent(self, token: str) -> None:
        """The line was lost before it took the message sent with this `token`: nobody got it. Told after `down`."""

    def up(self) -> None:
        """The connection stands again after `down`; subscriptions are already renewed."""

    def down(self, reason: str) -> None:
        """The connection was lost. The transporter is already trying to get it back."""


class Transporter(Protocol):
    """Carries bytes between nodes. Knows topics; knows nothing of packets.

    Messages to one topic keep their order; they may be lost or come twice.

    Attributes:
        name: Short name for logs and `$node.options`, such as ``"nats"``.
        url: Where it connects to, without secrets.
        message_bytes_max: Largest message the broker takes, or None if it does not say.
            Known once connected.
        connected: Whether the line stands right now.
        balances: Whether it has `subscribe_balanced`; where it has not, `disable_balancer` is refused.
    """

    name: str
    url: str
    balances: bool

    @property
    def message_bytes_max(self) -> int | None: ...

    @property
    def connected(self) -> bool: ...

    async def connect(self, link: Link) -> None:
        """Return when the line stands; try again with growing pauses until then.

        Each failed state change is logged once, with address, cause and remedy. Cancelling
        this call leaves nothing behind.

        Raises:
            TransporterError: What no retry can cure, such as refused credentials or an
                address that cannot be read.
        """

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Listen on these topics; survives reconnects. Returns once the broker has taken it in."""

    async def subscribe_balanced(self, topic: str, group: str) -> None:
        """Listen on a topic of which each message goes to one member of the group, whatever topics its members listen on.

        A part of the topic may be ``*``: any one part; ``**`` at its end: one part or more. `Link.received` is told
        the topic as it was subscribed. Only asked of a transporter that `balances`.
        """

    async def unsubscribe_balanced(self, topic: str, group: str) -> None:
        """Listen no more. Once this returns, no message goes to this member; one that was not subscribed is nothing."""

    def send(self, topic: str, data: bytes, token: str | None = None) -> None:
        """Put bytes into a bounded buffer and return at once.

        While the line is away, messages are kept up to the buffer's bound and sent on return; a node
        sends none between `Link.down` and `Link.up`, as it keeps them itself. What a lost line had not
        taken yet is dropped: it must not arrive when whoever sent it has given up.
        With a `token`, a broker that can tell that nobody listens is asked to; the answer is
        `Link.undelivered(token)`. A token holds only letters, digits and ``-``.

        Raises:
            BrokerDisconnectedError: The buffer is full, or the transporter was closed.
            PayloadTooLargeError: Over `message_bytes_max`.
        """

    async def drain(self) -> None:
        """Wait while the buffer is over its high-water mark."""

    async def close(self) -> None:
        """Hand over what was received, send what is buffered (bounded time), hang up. Twice is harmless."""


class LineWatcher(Protocol):
    """What a `LineTransporter` reports to, beside its `Link`. Called from the event loop only; never raises."""

    def sighted(self, node_id: str, host: str, port: int, lasting: bool) -> None:
        """A node listens there: it said so by UDP, or the configuration does (`lasting`)."""

    def greet(self, node_id: str) -> None:
        """A line to this node is about to be opened: what is sent to it now is the first on it."""

    def line_lost(self, node_id: str, abrupt: bool) -> None:
        """The line to this node ended, or cannot be had. Not `abrupt`: the other end closed it in good order."""


@runtime_checkable
class LineTransporter(Transporter, Protocol):
    """A transporter without a broker in the middle: a line leads to each node, and nodes find each other by gossip.

    What has no line of its own (INFO, DISCOVER, HEARTBEAT and DISCONNECT, all that is meant for everybody) it
    does not send: `tautomer.transit.gossiping` says it in gossip.

    Attributes:
        port: Where it listens, once connected.
        host: The only address it listens on, or None for all.
        came_from: During `Link.received`: the address that the message came from.
        gossip_period: Seconds between two rounds of gossip.
        use_hostname: Whether a node is looked for under its host name before its addresses.
    """

    port: int
    came_from: str

    @property
    def host(self) -> str | None: ...

    @property
    def gossip_period(self) -> float: ...

    @property
    def use_hostname(self) -> bool: ...

    def introduce(self, namespace: str, node_id: str, watcher: LineWatcher) -> None:
        """Who we are, and who is told. Called once, before `connect`."""

    def locate(self, node_id: str, hosts: Sequence[str], port: int) -> None:
        """Where a node is to be reached, best address first."""

    def hang_up(self, node_id: str) -> None:
        """That node left: close the line to it."""

    def forget(self, node_id: str) -> None:
        """That node is known no more."""


class NodeView(Protocol):
    """Whom a `Discovery` tells of other nodes. None of these raises."""

    def on_info(self, packet: Info) -> None:
        """A node is there, or changed."""

    def on_heartbeat(self, packet: Heartbeat) -> None:
        """A node that is there told its load."""

    def lost(self, node_id: str, unexpected: bool) -> bool:
        """A node is gone. False if that is no news."""


class Discovery(Protocol):
    """How a node finds the others where DISCOVER, INFO and HEARTBEAT do not travel."""

    def start(self, view: NodeView, info: Info) -> None:
        """Look for others from now on, and tell of them; this is our own INFO."""

    def announce(self, info: Info) -> None:
        """Our own INFO may have changed."""

    async def close(self, say_goodbye: bool) -> None:
        """Look no more; tell the others that we leave."""


class Serializer(Protocol):
    """Turns records into bytes and back. `name` matches Node's, such as ``"JSON"``."""

    name: str

    def encode(self, record: object) -> bytes:
        """Raises SerializationError when a value has no wire form."""

    def decoder(self, record_type: type[T]) -> Callable[[bytes], T]:
        """A function from bytes to a checked record. It raises `ValueError` (or `RecursionError`) on bad input."""


class Strategy(Protocol):
    """Picks one of several ready endpoints. Pure; never sees an empty list.

    A list that did not change since the last call is the very same tuple. `Endpoint.node` says what is known of
    an endpoint's node.
    """

    def select(self, endpoints: Sequence[E], ctx: Context[Any] | None) -> E: ...


class Validator(Protocol):
    """Compiles a `params` schema once; the result checks each call's params.

    The checker returns the params to use (defaults filled in, values converted) and never
    changes the ones it was given.
    """

    def compile(self, schema: object) -> Callable[[Any], Any]:
        """Return the checker.

        Raises:
            ServiceSchemaError: The schema itself is wrong.

        The checker raises ValidationError with all faults at once.
        """


class Absent(Enum):
    """What a cacher gives for a key that it has nothing for; None is a value like any other."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

Release: TypeAlias = Callable[[], Awaitable[None]]
"""Gives a lock back. Twice is harmless."""


@runtime_checkable
class Cacher(Protocol):
    """Keeps values under keys, for a time. Whoever changes what he gave or was given does not change what is kept.

    Whatever any of these raises counts as a store that is out of reach: the node does without it for a while, and tries
    again. All are cancelled if they take too long.

    Attributes:
        name: Short name for logs and statistics, such as ``"Redis"``.
    """

    name: str

    async def open(self, prefix: str) -> None:
        """Get ready. `prefix` is to stand before every key where others use the same store."""

    async def get(self, key: str) -> Any:
        """What was set, `ABSENT` if there is nothing or its time is over."""

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        """The same, with the seconds it has left; None: no end."""

    async def set(self, key: str, value: Any, ttl: float | None) -> bool:
        """Keep it for `ttl` seconds, None for no end. False: it is too large, or of a kind that cannot be kept."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget what is under these keys, if anything is."""

    async def clean(self, masks: Sequence[str]) -> None:
        """Forget all whose keys fit one of the masks: ``*`` and ``**`` are any text, ``?`` any character."""

    async def lock(self, key: str, ttl: float, wait: float) -> Release | None:
        """Be the only one to have this lock, in all that share the store; whoever asked first has it first, roughly.

        Args:
            ttl: Seconds after which it is lost, for a holder that died.
            wait: Seconds to wait for it; 0: only if it is free.

        Returns:
            What gives it back, or None: it was not to be had.
        """

    async def close(self) -> None:
        """Let go of everything. Twice is harmless."""


@runtime_checkable
class LocalCacher(Cacher, Protocol):
    """A cacher that keeps its values in this process: nothing is waited for, and nobody else sees them."""

    def peek(self, key: str) -> Any:
        """As `get`, at once."""

    def forget(self) -> None:
        """Everything."""
