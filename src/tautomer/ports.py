"""Every extension point, as a `Protocol`: the socket strip.

Third parties implement these; the kernel knows nothing else of them. Each has a
conformance suite in the tests that an implementation can inherit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tautomer.context import Context

T = TypeVar("T")
E = TypeVar("E")

Handler: TypeAlias = "Callable[[Context[Any]], Coroutine[Any, Any, Any]]"
"""The one shape of everything that runs for a call or an event: a context in, a coroutine out.

A coroutine and not any awaitable, so that `asyncio.TaskGroup` and `gather` take every call alike.
A handler does not raise before it is awaited.
"""


class Link(Protocol):
    """What a transporter reports to. Called from the event loop only; never raises."""

    def received(self, topic: str, data: bytes) -> None:
        """One message came. `topic` is a topic this node subscribed to. Must not block."""

    def undelivered(self, token: str) -> None:
        """The broker says that nobody listened to the message sent with this `token`."""

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
    """

    name: str
    url: str

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
        """Listen on a topic of which each message goes to one member of the group."""

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


class Serializer(Protocol):
    """Turns records into bytes and back. `name` matches Node's, such as ``"JSON"``."""

    name: str

    def encode(self, record: object) -> bytes:
        """Raises SerializationError when a value has no wire form."""

    def decoder(self, record_type: type[T]) -> Callable[[bytes], T]:
        """A function from bytes to a checked record. It raises `ValueError` (or `RecursionError`) on bad input."""


class Strategy(Protocol):
    """Picks one of several ready endpoints. Pure; never sees an empty list."""

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
