"""The core NATS protocol without I/O: bytes in, calls out, and the lines that a client says.

Source: NATS client protocol (docs.nats.io, "Client Protocol") and nats-server 2.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Protocol

import msgspec

__all__ = [
    "NatsProtocolError",
    "Parser",
    "Receiver",
    "ServerInfo",
    "connect_line",
    "publish_line",
    "publish_with_headers_line",
    "status_of",
    "subscribe_line",
    "unsubscribe_line",
]

# A server takes lines of 4 KiB by default (max_control_line), and an operator may raise that. What it sends is longer
# than what it takes: MSG has a sid more than PUB, and INFO names the whole cluster. To drop the connection for a line
# that some peer could get through the server would hand every peer a switch to turn this node off, so the bound only
# keeps memory small.
LINE_BYTES_MAX = 64 * 1024

# A server may put headers of its own around a message that is as large as max_payload already.
HEADER_BYTES_MAX = 64 * 1024

# Longer lines than this are not worth remembering, nor more lines than this.
_CACHED_LINE_BYTES_MAX = 256
_CACHED_LINES_MAX = 4096

PING = b"PING\r\n"
PONG = b"PONG\r\n"

Deliver = Callable[[bytes], object]
"""Takes the payload of one message."""


class NatsProtocolError(Exception):
    """The other end does not speak NATS, or bytes were lost. The connection is of no more use."""


class ServerInfo(msgspec.Struct, frozen=True):
    """What an INFO line says; what we do not use is left out.

    Attributes:
        max_payload: Largest message in bytes, headers included.
        connect_urls: Other servers of the cluster, as ``host:port``.
        ldm: Lame-duck mode: the server is about to go.
        nonce: To be signed by who signs in with a key.
    """

    server_id: str = ""
    version: str = ""
    max_payload: Annotated[int, msgspec.Meta(ge=1)] = 1024 * 1024
    headers: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_available: bool = False
    nonce: str = ""
    connect_urls: tuple[str, ...] = ()
    ldm: bool = False


class Receiver(Protocol):
    """Whom a `Parser` tells. None of these may raise."""

    def on_info(self, info: ServerInfo) -> None: ...

    def on_ping(self) -> None: ...

    def on_pong(self) -> None: ...

    def on_error(self, text: str) -> None:
        """The server complains (``-ERR``); `text` is without its quotes."""

    def on_headers(self, sid: bytes, subject: bytes, headers: bytes, payload: bytes) -> None:
        """A message with headers (``HMSG``). `headers` starts with ``NATS/1.0``, see `status_of`."""

    def on_fault(self, error: Exception) -> None:
        """A handler raised. The message is gone, the next one follows."""


_info_decoder = msgspec.json.Decoder(ServerInfo)


class Parser:
    """Takes the bytes of one connection, however they are split.

    Messages without headers go straight to the handler of their sid; all else goes to the
    `Receiver`. A message for a sid without a handler is ignored. The first
    `NatsProtocolError` is the last call: the place in the stream is lost.

    Args:
        receiver: Is told of everything but plain messages.
        handlers: By sid. A sid keeps its handler for good, as control lines are remembered
            together with it; new ones may be added at any time.
        payload_bytes_max: Largest message believed, until an INFO says more.
    """

    __slots__ = (
        "_body",
        "_deliver",
        "_handlers",
        "_lines",
        "_missing",
        "_payload_max",
        "_receiver",
        "_size",
        "_sizes",
        "_tail",
    )

    def __init__(
        self, receiver: Receiver, handlers: Mapping[bytes, Deliver], payload_bytes_max: int = 1024 * 1024
    ) -> None:
        self._receiver = receiver
        self._handlers = handlers
        self._payload_max = payload_bytes_max
        # A peer's messages of one size all have the same control line: what it means is looked up, not parsed again.
        self._lines: dict[bytes, tuple[int, Deliver]] = {}
        self._sizes: dict[bytes, int] = {}
        self._tail = b""
        # The message whose end has not come yet. It grows as bytes come: a length is a claim, nothing is set aside for it.
        self._body = bytearray()
        self._size = 0
        self._missing = 0
        self._deliver: Deliver | None = None

    def feed(self, data: bytes) -> None:
        """Take what came and make all calls that it completes.

        Raises:
            NatsProtocolError: The bytes are not NATS, or a line or payload is over its bound.
        """
        if self._deliver is not None:
            data = self._resume(data)
        elif self._tail:
            data = self._tail + data
            self._tail = b""
        find, known = data.find, self._lines.get
        start, end, length = 0, len(data), 0
        while start < end:
            # Most lines are as long as the one before: to guess that costs a sixth of looking for the end.
            body = start + length
            entry = known(data[start:body])
            if entry is None:
                body = find(b"\n", start) + 1
                if not body:
                    if end - start > LINE_BYTES_MAX + 1:  # A "\r" may be there already.
                        raise NatsProtocolError(f"a control line of over {LINE_BYTES_MAX} bytes")
                    self._tail = data[start:]
                    return
                line = data[start:body]
                length = body - start
                entry = known(line) or (self._message(line) if line.startswith(b"MSG ") else self._control(line))
                if entry is None:
                    start = body
                    continue
            size, deliver = entry
            stop = body + size
            start = stop + 2
            if start > end:
                self._suspend(data, body, size, deliver)
                return
            if data[stop] != 13 or data[stop + 1] != 10:
                raise NatsProtocolError("a payload without its line end: bytes were lost")
            try:
                deliver(data[body:stop])
            except Exception as error:
                self._receiver.on_fault(error)

    def _suspend(self, data: bytes, body: int, size: int, deliver: Deliver) -> None:
        """Keep the first part of a message of which more must come."""
        self._body = bytearray(memoryview(data)[body:])
        self._size = size
        self._missing = size + 2 - len(self._body)
        self._deliver = deliver

    def _resume(self, data: bytes) -> bytes:
        """Add to the message that is under way; return what comes after it."""
        missing = self._missing
        if len(data) < missing:
            self._body += data
            self._missing = missing - len(data)
            return b""
        self._body += memoryview(data)[:missing]
        body, deliver = self._body, self._deliver
        self._body, self._deliver = bytearray(), None
        if not body.endswith(b"\r\n"):
            raise NatsProtocolError("a payload without its line end: bytes were lost")
        assert deliver is not None
        try:
            deliver(bytes(memoryview(body)[: self._size]))
        except Exception as error:
            self._receiver.on_fault(error)
        return data[missing:]

    def _control(self, line: bytes) -> tuple[int, Deliver] | None:
        """Act on a control line; for one that announces a message return its size and who takes it."""
        if len(line) > LINE_BYTES_MAX + 2 or not line.endswith(b"\r\n"):
            raise NatsProtocolError(f"a control line that is too long or ends wrongly: {_shown(line)}")
        if line.startswith(b"HMSG "):
            return self._message_with_headers(line)
        if line == PING:
            self._receiver.on_ping()
        elif line == PONG:
            self._receiver.on_pong()
        elif line.startswith(b"INFO "):
            self._info(line)
        elif line.startswith(b"-ERR"):
            self._receiver.on_error(line[4:].strip().strip(b"'").decode("utf-8", "replace"))
        elif line != b"+OK\r\n":
            raise NatsProtocolError(f"an unknown operation: {_shown(line)}")
        return None

    def _message(self, line: bytes) -> tuple[int, Deliver]:
        """``MSG <subject> <sid> [reply-to] <size>``"""
        # Split at single spaces, as the server writes them: any other white space may be part of a peer's subject.
        parts = line.split(b" ")
        count = len(parts)
        # A line with a reply subject may come only once, if its token is never used again; its size comes again all the same.
        size = self._sizes.get(parts[-1])
        if size is None or not 4 <= count <= 5 or len(line) > LINE_BYTES_MAX + 2:
            size = self._new_size(line, parts)
        deliver = self._handlers.get(parts[2], _ignore)
        if len(line) <= _CACHED_LINE_BYTES_MAX and deliver is not _ignore:
            if len(self._lines) >= _CACHED_LINES_MAX:
                self._lines.clear()
            self._lines[line] = size, deliver
        return size, deliver

    def _new_size(self, line: bytes, parts: list[bytes]) -> int:
        if not 4 <= len(parts) <= 5 or not line.endswith(b"\r\n") or len(line) > LINE_BYTES_MAX + 2:
            raise NatsProtocolError(f"a MSG line that is too long, ends wrongly or has odd parts: {_shown(line)}")
        size = self._checked(parts[-1][:-2], self._payload_max, line)
        if len(self._sizes) >= _CACHED_LINES_MAX:
            self._sizes.clear()
        self._sizes[parts[-1]] = size
        return size

    def _message_with_headers(self, line: bytes) -> tuple[int, Deliver]:
        """``HMSG <subject> <sid> [reply-to] <header size> <size of headers and payload>``"""
        parts = line[:-2].split(b" ")
        if not 5 <= len(parts) <= 6:
            raise NatsProtocolError(f"an HMSG line of {len(parts)} parts: {_shown(line)}")
        size = self._checked(parts[-1], self._payload_max + HEADER_BYTES_MAX, line)
        header_size = self._checked(parts[-2], size, line)
        return size, partial(self._with_headers, parts[2], parts[1], header_size)

    def _with_headers(self, sid: bytes, subject: bytes, header_size: int, body: bytes) -> None:
        self._receiver.on_headers(sid, subject, body[:header_size], body[header_size:])

    def _info(self, line: bytes) -> None:
        try:
            info = _info_decoder.decode(line[5:-2])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise NatsProtocolError(f"an INFO line that cannot be read: {error}") from error
        # Never less than before: messages that were let in under the larger limit may be on their way.
        self._payload_max = max(self._payload_max, info.max_payload)
        self._receiver.on_info(info)

    def _checked(self, digits: bytes, most: int, line: bytes) -> int:
        # int() alone would take signs and underscores, and time that grows with the square of the length.
        if len(digits) > 12 or not digits.isdigit() or (size := int(digits)) > most:
            raise NatsProtocolError(f"a size that is no number up to {most}: {_shown(line)}")
        return size


def _ignore(_payload: bytes) -> None:
    pass


def _shown(line: bytes) -> str:
    """The start of a line in printable form: it is foreign text."""
    return ascii(line[:60])


def status_of(headers: bytes) -> int | None:
    """The status in the first line of a header block, such as 503 in ``NATS/1.0 503``; None if there is none."""
    if not headers.startswith(b"NATS/1.0 "):
        return None
    digits = headers[9:12]
    return int(digits) if len(digits) == 3 and digits.isdigit() else None


# What a client says. Subjects must have been checked: white space in one would be read as another command.


def connect_line(fields: Mapping[str, object]) -> bytes:
    return b"CONNECT %b\r\n" % msgspec.json.encode(fields)


def subscribe_line(subject: bytes, sid: bytes, group: bytes = b"") -> bytes:
    return b"SUB %b %b %b\r\n" % (subject, group, sid) if group else b"SUB %b %b\r\n" % (subject, sid)


def unsubscribe_line(sid: bytes) -> bytes:
    return b"UNSUB %b\r\n" % sid


def publish_line(subject: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    if reply:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)
    return b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload)


def publish_with_headers_line(subject: bytes, headers: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    """`headers` is a whole block: ``NATS/1.0\\r\\nName: value\\r\\n\\r\\n``."""
    head = b"%b %b" % (subject, reply) if reply else subject
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (head, len(headers), len(headers) + len(payload), headers, payload)
