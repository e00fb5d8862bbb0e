"""Messages on their way out: bounded, and put together into few writes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeAlias

from tautomer._tasks import Turns
from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError, TransporterError

__all__ = ["Outbox", "checked_subject"]

# One write holds up to this, or one message. More at once costs asyncio a copy of what the socket did not take.
PIECE_BYTES = 256 * 1024

# A server takes lines of 4 KiB. What remains is for the reply subject and the numbers.
SUBJECT_BYTES_MAX = 3 * 1024
TOKEN_CHARS_MAX = 256

_HEADS_MAX = 4096

# What stands between a subject and a small payload, ready made: to put numbers into bytes costs more than all the rest.
_SIZES = tuple(b"%d\r\n" % size for size in range(1024))

# A small message is one text. Of a larger one, what stands before the payload, and the payload: from a kilobyte on, to
# write pieces costs less than to copy them together (10 kB: 0.7 µs to 2.9, as what is copied is memory that has to be had).
_Message: TypeAlias = bytes | tuple[bytes, bytes]
_REPLY_SUBJECTS_MAX = 1024


class Outbox:
    """Holds what `publish` was given until the event loop comes round, then writes it all at once.

    It outlives connections. While none stands it keeps a bounded number of messages, which go
    out first when one does. Messages keep their order. What a lost line had not taken yet is lost with it, as what
    it had: by the time that there is another, whoever asked may have given up.

    Args:
        inbox: Subject before the tokens of messages that ask whether somebody listens.
        away_count_max: Messages kept while no line stands.
        away_bytes_max: Bytes kept while no line stands.
        bytes_max: Bytes kept while the line stands but takes nothing.
        drain_bytes: `drain` waits above this.
    """

    __slots__ = (
        "_away",
        "_bytes",
        "_bytes_max",
        "_call_soon",
        "_count_max",
        "_drain_bytes",
        "_due",
        "_heads",
        "_in_pieces",
        "_inbox",
        "_joins",
        "_paused",
        "_payload_max",
        "_refusal",
        "_replies",
        "_reply_subjects",
        "_small",
        "_standing_bytes_max",
        "_transport",
        "_turns",
        "_waiting",
    )

    def __init__(
        self, *, inbox: bytes, away_count_max: int, away_bytes_max: int, bytes_max: int, drain_bytes: int
    ) -> None:
        self._inbox = inbox
        self._away = (away_count_max, away_bytes_max)
        self._standing_bytes_max = bytes_max
        self._drain_bytes = drain_bytes
        self._waiting: list[_Message] = []
        # Whether any of them is a larger one.
        self._in_pieces = False
        self._bytes = 0
        self._heads: dict[str, bytes] = {}
        self._reply_subjects: dict[str, bytes] = {}
        self.limit(sys.maxsize)
        self._replies = self._joins = True
        self._transport: asyncio.WriteTransport | None = None
        self._call_soon: Callable[[Callable[[], None]], object] = lambda _callback: None
        self._paused = False
        self._turns = Turns()
        # Whether a flush is already sure to come: one is scheduled, or the line will ask for it when it can take more.
        self._due = True
        self._refusal = ""
        self._count_max, self._bytes_max = self._away
        self.away()

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._waiting)

    def publish(self, topic: str, data: bytes, token: str | None = None) -> None:
        """Take one message.

        Raises:
            BrokerDisconnectedError: The bound is reached, or the outbox is closed.
            PayloadTooLargeError: Over what the server takes.
            TransporterError: The topic cannot be a subject.
            ValueError: The token is not made of letters, digits and ``-``.
        """
        head = self._heads.get(topic) or self._head(topic)
        size = len(data)
        if token is None or not self._replies:
            reply = b""
        else:
            reply = self._reply_subjects.get(token) or self._reply_subject(token)
        message: _Message
        if size < self._small:
            message = b"".join((head, reply, _SIZES[size], data, b"\r\n"))
            total = self._bytes + len(message)
        else:
            line = self._line(head, reply, size, topic)
            message = line, data
            total = self._bytes + len(line) + size + 2
        waiting = self._waiting
        if total > self._bytes_max or len(waiting) >= self._count_max:
            raise BrokerDisconnectedError(self._refusal)
        self._bytes = total
        waiting.append(message)
        if not self._due:
            self._due = True
            self._call_soon(self._flush)

    def _line(self, head: bytes, reply: bytes, size: int, topic: str) -> bytes:
        """What stands before a larger payload, which is kept as it is."""
        if size > self._payload_max:
            raise PayloadTooLargeError(
                f"A message of {size} bytes is larger than the {self._payload_max} that the NATS server takes "
                "(its max_payload); it was not sent.",
                data={"topic": topic, "size": size, "max": self._payload_max},
            )
        self._in_pieces = True
        return b"%b%b%d\r\n" % (head, reply, size)

    def flush_soon(self) -> None:
        """Flush after all that is to run in this turn of the loop anyway.

        What it makes messages of (the answers to what was just read) then leaves in the same turn; a flush that is only
        asked for by its first message comes a turn later, and each turn is a system call.
        """
        if not self._due:
            self._due = True
            self._call_soon(self._flush)

    def _head(self, topic: str) -> bytes:
        head = b"PUB %b " % checked_subject(topic)
        if len(self._heads) >= _HEADS_MAX:
            self._heads.clear()
        self._heads[topic] = head
        return head

    def _reply_subject(self, token: str) -> bytes:
        # White space would let a request id from outside write commands of its own.
        if not token.isprintable() or " " in token or not 0 < len(token) <= TOKEN_CHARS_MAX:
            raise ValueError(f"{token[:80]!r} is no token: letters, digits and '-' only")
        known = self._reply_subjects
        if len(known) >= _REPLY_SUBJECTS_MAX:
            # One at a time: a token whose request was never answered is not used again.
            del known[next(iter(known))]
        # The others are, and made once, this costs a request 0.1 µs less (a fiftieth of the caller's part).
        reply = known[token] = b"%b%b " % (self._inbox, token.encode())
        return reply

    # The line comes and goes.

    def open(self, transport: asyncio.WriteTransport, payload_max: int, replies: bool) -> int:
        """A line stands: send what waits. Returns how many messages were dropped as too large for this server.

        Args:
            payload_max: Largest payload in bytes that this server takes.
            replies: Whether it can tell that nobody listens.
        """
        self._call_soon = asyncio.get_running_loop().call_soon
        self._transport = transport
        # Those of asyncio itself would join pieces, or (before 3.12.9 and 3.13.2) not say that they hold too many.
        self._joins = isinstance(transport, asyncio.Transport)
        self._replies = replies
        self._paused = False
        self._count_max, self._bytes_max = sys.maxsize, self._standing_bytes_max
        self._refusal = f"The NATS server takes messages too slowly: {self._bytes_max} bytes wait already; the message was not sent."
        before = len(self._waiting)
        if payload_max < self._payload_max:
            # A server hangs up on a message that is too large, and all behind it would be lost.
            self._waiting = [message for message in self._waiting if _payload_size(message) <= payload_max]
            self._bytes = sum(map(_size, self._waiting))
        self.limit(payload_max)
        dropped = before - len(self._waiting)
        self._flush()
        return dropped

    def limit(self, payload_max: int) -> None:
        """What the server says of the largest payload that it takes; it may change its mind."""
        self._payload_max = payload_max
        # Under this a size is neither too large nor to be put into bytes.
        self._small = min(len(_SIZES), payload_max + 1)

    def away(self, moving: bool = False) -> list[str | None]:
        """No line stands: keep what comes, up to the smaller bound. Returns the tokens of what was lost, None for none.

        Args:
            moving: The next line comes at once; nothing is lost.
        """
        lost = [] if moving else [self._token(message) for message in self._waiting]
        if lost:
            self._waiting.clear()
            self._bytes = 0
        self._transport = None
        self._paused = False
        self._due = True
        self._count_max, self._bytes_max = self._away
        self._refusal = (
            f"The connection to NATS is away and the buffer is full ({self._count_max} messages or "
            f"{self._bytes_max} bytes); the message was not sent."
        )
        self._turns.wake()
        return lost

    def _token(self, message: _Message) -> str | None:
        text = message if isinstance(message, bytes) else message[0]
        parts = text[: text.index(b"\r\n")].split(b" ")
        return parts[2][len(self._inbox) :].decode() if len(parts) == 4 else None

    def close(self) -> None:
        """Take nothing more, and let nobody wait. What waits still is lost."""
        self._transport = None
        self._due = True
        self._count_max = self._bytes_max = 0
        self._refusal = "The NATS transporter is closed; the message was not sent."
        self._turns.wake()

    def pause(self) -> None:
        """The line takes no more for now."""
        self._paused = True
        self._due = True

    def resume(self) -> None:
        self._paused = False
        self._flush()

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or self._paused or transport.is_closing():
            return  # `open` or `resume` comes here again. Nothing is given to a line that is already lost.
        waiting = self._waiting
        if self._bytes <= PIECE_BYTES:
            self._due = False
            self._bytes = 0
            if waiting:
                self._waiting = []
                self._write(transport, waiting)
        else:
            self._flush_pieces(transport)
        if self._turns.waiting:
            self._turns.wake()

    def _flush_pieces(self, transport: asyncio.WriteTransport) -> None:
        waiting = self._waiting
        while waiting and not self._paused and not transport.is_closing():  # Each write may change that.
            size = count = 0
            for message in waiting:
                own = _size(message)
                if count and size + own > PIECE_BYTES:
                    break
                size += own
                count += 1
            piece = waiting[:count]
            del waiting[:count]
            self._bytes -= size
            self._write(transport, piece)
        self._due = bool(waiting)

    def _write(self, transport: asyncio.WriteTransport, messages: list[_Message]) -> None:
        if not self._in_pieces:
            transport.write(b"".join(messages))  # type: ignore[arg-type]  # There are small ones only.
            return
        self._in_pieces = bool(self._waiting)
        pieces = _pieces(messages)
        if self._joins:
            transport.write(b"".join(pieces))
        else:
            transport.writelines(pieces)

    # Waiting for room.

    async def drain(self) -> None:
        """Wait while more than the high-water mark waits. Returns at once when closed."""
        while self._bytes_max and (self._bytes > self._drain_bytes or self._paused):
            await self._turns.next()

    async def emptied(self) -> None:
        """Wait until every message was given to the line, or there is no line."""
        while self._transport is not None and self._waiting:
            await self._turns.next()


def checked_subject(topic: str) -> bytes:
    """A topic as the bytes of a subject.

    Raises:
        TransporterError: It holds white space (which would be read as another command), has an
            empty part, is too long or is no text.
    """
    try:
        subject = topic.encode()
    except UnicodeEncodeError as error:
        raise TransporterError(f"topic {topic[:80]!r} is no text that NATS could carry") from error
    if len(subject) > SUBJECT_BYTES_MAX:
        raise TransporterError(f"topic {topic[:80]!r}... is too long for NATS: {SUBJECT_BYTES_MAX} bytes at most")
    if any(char <= 32 or char == 127 for char in subject) or b"" in subject.split(b"."):
        raise TransporterError(
            f"topic {topic!r} cannot be a NATS subject: it has white space or an empty part between dots; "
            "look at the node id, the namespace and the names of services and events"
        )
    return subject


def _pieces(messages: list[_Message]) -> list[bytes]:
    """What is to be written, one after the other."""
    pieces: list[bytes] = []
    for message in messages:
        if isinstance(message, bytes):
            pieces.append(message)
        else:
            pieces += (*message, b"\r\n")
    return pieces


def _size(message: _Message) -> int:
    return len(message) if isinstance(message, bytes) else len(message[0]) + len(message[1]) + 2


def _payload_size(message: _Message) -> int:
    return len(message) - message.index(b"\r\n") - 4 if isinstance(message, bytes) else len(message[1])
