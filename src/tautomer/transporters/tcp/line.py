"""A line to one node: what waits for it, the connection that takes it, and the moment it is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError
from tautomer.protocol.frames import FIRST_GOSSIP, frame_head
from tautomer.transporters.tcp.options import READ_CHUNK_BYTES, TcpOptions

__all__ = ["Line", "Owner"]

PIECE_BYTES: Final = 256 * 1024
"""One write holds up to this, or one message."""

MESSAGE_COST: Final = 128
"""Counted for each message that waits, beside its payload: millions of tiny ones must have a bound, too."""


class Owner(Protocol):
    """Whom a `Line` tells. None of these raises."""

    def on_wanted(self, line: Line) -> None:
        """Something waits and there is no connection: open one, by `Line.open`."""

    def on_opened(self, line: Line) -> None:
        """It stands."""

    def on_lost(self, line: Line, tokens: Sequence[str], abrupt: bool) -> None:
        """It ended, or could not be had; the messages with these tokens were surely not sent."""

    def on_room(self) -> None:
        """Less waits than before."""


class Line:
    """Holds what `put` was given until the event loop comes round, then writes it all at once. Opened on demand.

    Attributes:
        node_id: Whom it leads to.
        hosts: Addresses of that node, best first.
        port: Where it listens.
        waiting_bytes: How much waits here, beside what the connection holds; `MESSAGE_COST` for each message included.
        used: Number of its last use but for gossip; greater is later.
        standing: Whether there is a connection.
    """

    __slots__ = (
        "_bytes_max",
        "_call_soon",
        "_connection",
        "_due",
        "_fresh",
        "_next_use",
        "_opening",
        "_options",
        "_owner",
        "_paused",
        "_payload_max",
        "_tokens",
        "_transport",
        "_waiting",
        "hosts",
        "node_id",
        "port",
        "used",
        "waiting_bytes",
    )

    def __init__(
        self,
        node_id: str,
        owner: Owner,
        options: TcpOptions,
        loop: asyncio.AbstractEventLoop,
        next_use: Callable[[], int],
    ) -> None:
        self.node_id = node_id
        self.hosts: tuple[str, ...] = ()
        self.port = 0
        self.waiting_bytes = 0
        self.used = 0
        self._owner = owner
        self._options = options
        self._payload_max = options.max_packet_size - READ_CHUNK_BYTES
        self._bytes_max = options.out_bytes_max
        self._call_soon = loop.call_soon
        self._waiting: list[bytes] = []
        self._tokens: list[str] = []
        self._fresh = False
        self._next_use = next_use
        self._due = False
        self._opening = False
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._connection: _Connection | None = None

    @property
    def standing(self) -> bool:
        return self._transport is not None

    def put(self, kind: int, data: bytes, token: str | None) -> None:
        """Take one packet.

        Raises:
            BrokerDisconnectedError: Too much waits for this node.
            PayloadTooLargeError: Over what the other end reads.
        """
        size = len(data)
        if size > self._payload_max:
            raise PayloadTooLargeError(
                f"A message of {size} bytes is larger than the {self._payload_max} that go over TCP "
                "(max_packet_size, less what Node counts beside it); it was not sent.",
                data={"node": self.node_id, "size": size, "max": self._payload_max},
            )
        total = self.waiting_bytes + size + MESSAGE_COST
        if total > self._bytes_max:
            raise BrokerDisconnectedError(
                f"Node '{self.node_id}' takes messages too slowly: {self.waiting_bytes} bytes wait already; "
                "the message was not sent."
            )
        if self._transport is None and not self._opening:
            self._opening = True
            self._due = True
            self._owner.on_wanted(self)  # The greeting is put before all else.
            total = self.waiting_bytes + size + MESSAGE_COST
        self.waiting_bytes = total
        waiting = self._waiting
        waiting.append(frame_head(kind, size))
        waiting.append(data)
        if token is not None:
            self._tokens.append(token)
        if kind < FIRST_GOSSIP:
            self._fresh = True
        if not self._due:
            self._due = True
            self._call_soon(self._flush)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or self._paused or transport.is_closing():
            return  # `connection_made` or `resume_writing` comes here again, or all is lost.
        if self._fresh:
            self._fresh = False
            self.used = self._next_use()
        waiting = self._waiting
        if self.waiting_bytes <= PIECE_BYTES:
            self._due = False
            self.waiting_bytes = 0
            self._tokens.clear()
            if waiting:
                piece = b"".join(waiting)
                waiting.clear()
                transport.write(piece)
        else:
            self._flush_pieces(transport)
        self._owner.on_room()

    def _flush_pieces(self, transport: asyncio.Transport) -> None:
        """More than one write: the connection may say between two that it takes no more."""
        waiting = self._waiting
        self._tokens.clear()  # Some of these are written now, and to call one of them unsent would be a lie.
        while waiting and not self._paused and not transport.is_closing():
            size = taken = 0
            while taken < len(waiting) and (not taken or size + len(waiting[taken + 1]) <= PIECE_BYTES):
                size += len(waiting[taken + 1]) + MESSAGE_COST
                taken += 2
            piece = b"".join(waiting[:taken])
            del waiting[:taken]
            self.waiting_bytes -= size
            transport.write(piece)
        self._due = bool(waiting)

    # --- the connection ---

    async def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to the first of its addresses that answers. Never raises; the owner is told."""
        for host in self.hosts:
            connection = _Connection(self)
            try:
                async with asyncio.timeout(self._options.connect_timeout):
                    await loop.create_connection(lambda made=connection: made, host, self.port)  # type: ignore[misc]  # Bound now.
                return
            except (OSError, UnicodeError, ValueError):  # A TimeoutError is an OSError.
                if self._connection is connection:
                    return  # It stood before the time was over.
        self._opening = False
        self._lose(abrupt=True)

    def on_made(self, connection: _Connection, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=PIECE_BYTES)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _watch_silence(sock, self._options.silence)
        self._connection, self._transport = connection, transport
        self._opening = self._paused = False
        self._owner.on_opened(self)
        self._flush()

    def on_paused(self, paused: bool) -> None:
        self._paused = paused
        if paused:
            self._due = True
        else:
            self._flush()

    def on_ended(self, abrupt: bool) -> None:
        self._connection = self._transport = None
        self._lose(abrupt)

    def _lose(self, abrupt: bool) -> None:
        tokens, self._tokens = self._tokens, []
        self._waiting.clear()
        self.waiting_bytes = 0
        self._due = self._paused = False
        self._owner.on_lost(self, tokens, abrupt)
        self._owner.on_room()

    def hang_up(self) -> asyncio.Future[None] | None:
        """Write out what it holds and close; nobody is told. Returns what is done once it is closed, or None.

        It is opened again by the next `put`.
        """
        connection, transport = self._connection, self._transport
        if connection is None or transport is None:
            return None
        if self._waiting and not self._paused and not transport.is_closing():
            transport.write(b"".join(self._waiting))
        self._connection = self._transport = None
        self._waiting.clear()
        self._tokens.clear()
        self.waiting_bytes = 0
        self._due = self._paused = False
        transport.close()
        return connection.closed

    def abort(self) -> None:
        """Close at once; nobody is told."""
        transport = self._transport
        self._connection = self._transport = None
        if transport is not None:
            transport.abort()


class _Connection(asyncio.Protocol):
    """One connection of a line. A line that hung up and was opened again must not take the old end for the new one's."""

    __slots__ = ("_line", "closed")

    def __init__(self, line: Line) -> None:
        self._line = line
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line.on_made(self, cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Nothing comes this way: a node answers over a line of its own."""

    def pause_writing(self) -> None:
        if self._line._connection is self:
            self._line.on_paused(True)

    def resume_writing(self) -> None:
        if self._line._connection is self:
            self._line.on_paused(False)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if self._line._connection is self:
            self._line.on_ended(abrupt=exc is not None)


def _watch_silence(sock: socket.socket, seconds: float) -> None:
    """Let the system notice a machine that is gone without a word; where it cannot, nothing is lost but time."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        third = max(1, round(seconds / 3))
        for name, value in (("TCP_KEEPIDLE", third), ("TCP_KEEPINTVL", third), ("TCP_KEEPCNT", 2)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
    except OSError:
        pass
