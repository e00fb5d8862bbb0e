"""SocketConnection: one WebSocket on our own server, from the handshake's answer to the end of its connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from tautomer.web.http.server_state import ServerState
from tautomer.web.messages.message import Request
from tautomer.web.websocket.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameReader,
    SocketFault,
    close_frame,
    frame,
    read_close,
)
from tautomer.web.websocket.line import OutgoingText, Takeover

__all__ = ["SocketConnection"]

log = logging.getLogger("tautomer.web")

ABNORMAL: Final = 1006
"""The code of an end of which nobody said a word."""

_PING: Final = frame(PING, b"")


class SocketConnection(asyncio.Protocol):
    """Carries messages both ways, under the limits of a stranger.

    What waits for a client that does not read has a bound. No method raises, whatever the client sends.

    Attributes:
        client: Address of the peer, without port.
    """

    __slots__ = (
        "_close_code",
        "_cut_at",
        "_deflate",
        "_heard",
        "_held",
        "_limits",
        "_over",
        "_paused",
        "_pinged",
        "_queue",
        "_queue_bytes",
        "_reader",
        "_session",
        "_state",
        "_transport",
        "client",
    )

    def __init__(self, state: ServerState, transport: asyncio.Transport, reply: Takeover, client: str) -> None:
        self._state = state
        self._transport = transport
        self._limits = limits = reply.limits
        self._deflate = reply.agreement.deflate
        self._reader = FrameReader(limits.message_bytes_max, limits.fragments_max, self._deflate)
        self._session = reply.session()
        self.client = client
        # When bytes came last; when a ping went out that nothing has followed, 0 for none.
        self._heard, self._pinged = state.clock(), 0.0
        # The code of the close that was said first, by whichever side; when the connection is cut after it.
        self._close_code = 0
        self._cut_at = 0.0
        # Frames that wait for the client to read; made when it is needed, as for most it never is.
        self._queue: deque[bytes] | None = None
        self._queue_bytes = 0
        # Whether the client is behind; whether the session is; whether nothing more is read, but thrown away.
        self._paused = self._held = self._over = False

    def begin(self, rest: bytes) -> None:
        """The answer to the handshake is out.

        Args:
            rest: What the client has sent after it already.
        """
        try:
            self._session.opened(self)
        except Exception as error:
            self._on_bug(error)
        if rest:
            self.data_received(rest)

    # --- what the event loop calls ---

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._heard, self._pinged = self._state.clock(), 0.0
        self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.close(self)
        code, self._close_code = self._close_code or ABNORMAL, self._close_code or ABNORMAL
        self._queue = None
        try:
            self._session.closed(code)
        except Exception as error:
            log.error("socket failed while it was closed", exc_info=error)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        queue = self._queue
        while queue and not self._paused:
            data = queue.popleft()
            self._queue_bytes -= len(data)
            self._transport.write(data)
        if not queue:
            self._queue = None

    # --- reading ---

    def _read(self, data: bytes = b"") -> None:
        """Hand over what has come, and comes now, as far as somebody takes it."""
        reader = self._reader
        try:
            if data:
                text = None if self._held or self._close_code else reader.text_in(data)
                if text is not None:
                    self._session.on_text(text, True)
                    return
                reader.push(data)
            while not (self._held or self._over):
                found = reader.next()
                if found is None:
                    return
                self._on_frame(found)
        except SocketFault as fault:
            self._state.refused["SOCKET_FAULT"] += 1
            self._fail(fault.code, fault.reason)
        except Exception as error:
            self._on_bug(error)

    def _on_frame(self, found: Frame) -> None:
        opcode = found.opcode
        if opcode == CLOSE:
            self._on_close(found.payload)
        elif self._close_code:
            pass  # The close is said; what still comes is of no use.
        elif opcode == TEXT:
            self._session.on_text(found.payload)
        elif opcode == BINARY:
            self._session.on_binary(found.payload)
        elif opcode == PING:
            self._write(frame(PONG, found.payload))

    def _on_close(self, payload: bytes) -> None:
        code, _reason = read_close(payload)
        self._over = True
        if not self._close_code:
            self._close_code = code
            self._drop_queue()
            self._transport.write(frame(CLOSE, payload[:2]))
        self._transport.close()
        # Whoever does not read what is left is cut off.
        self._cut_at = self._state.clock() + self._limits.close_time

    def _fail(self, code: int, reason: str) -> None:
        """Close for what the client did: nothing more is sent, and what it still sends is thrown away.

        A socket that is closed with bytes unread is reset, and a reset can overtake the close frame.
        """
        if self._over:
            return
        self._drop_queue()
        self.close(code, reason)
        self._over = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _on_bug(self, error: Exception) -> None:
        log.error("socket failed", exc_info=error)
        self._fail(1011, "")

    # --- a line, to the session ---

    def send(self, message: OutgoingText) -> None:
        if self._close_code:
            return
        data = message.frame(self._deflate)
        if self._paused:
            self._write(data)
        else:
            self._transport.write(data)

    def close(self, code: int, reason: str = "") -> None:
        if self._close_code:
            return
        self._close_code = code
        self._cut_at = self._state.clock() + self._limits.close_time
        self._write(close_frame(code, reason))
        if self._held:
            # The client's own close is to be seen.
            self._held = False
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._read)

    def hold(self) -> None:
        if not self._held:
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._held and not self._transport.is_closing():
            self._held = False
            self._read()
            if not self._held and not self._transport.is_closing():
                self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        if not self._paused:
            self._transport.write(data)
            return
        limits = self._limits
        if self._queue is None:
            self._queue = deque()
            self._queue_bytes = 0
        self._queue.append(data)
        self._queue_bytes += len(data)
        if 0 < limits.queue_messages_max < len(self._queue) or 0 < limits.queue_bytes_max < self._queue_bytes:
            self._state.refused["SLOW_CONSUMER"] += 1
            self._drop_queue()
            self._close_code = 1013
            self._cut_at = self._state.clock() + limits.close_time
            # The system holds some of what came before; this is the first that the client gets after that.
            self._transport.write(close_frame(1013, "you read too slowly"))

    def _drop_queue(self) -> None:
        self._queue = None
        self._queue_bytes = 0

    # --- a client, to the server ---

    def look(self, now: float) -> None:
        """Act on what is overdue."""
        if self._cut_at:
            if now >= self._cut_at:
                self.abort()
            return
        interval = self._limits.heartbeat_interval
        if interval and not (self._held or self._over):
            if self._pinged:
                if now - self._pinged >= interval:
                    self._state.refused["SOCKET_SILENT"] += 1
                    self._fail(1011, "no answer to a ping")
                    return
            elif now - self._heard >= interval:
                self._pinged = now
                self._write(_PING)
        self._session.look(now)

    def retire(self) -> None:
        """The server stops."""
        self._session.retire()

    def abort(self) -> None:
        """Cut the connection now."""
        self._transport.abort()

    def give_up(self, request: Request) -> None:
        """The request that became this socket has been answered."""
