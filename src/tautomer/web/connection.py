"""One HTTP/1.1 connection: when to read, when to stop, what to answer.

A connection handles one request after another. What a client sends ahead waits in a bounded buffer, unread,
until the reply before it is out; so replies leave in order, and nothing is parsed that may never be answered.

    HEAD ──head, body due──▶ BODY ──last byte──▶ RUNNING ──reply──▶ HEAD …
      └──────────head without body───────────────▲   └──last reply──▶ CLOSED
    HEAD, BODY ──refused──▶ LINGER ──time, bytes, end──▶ CLOSED
    HEAD ──Upgrade──▶ UPGRADED

It is one state machine, and kept in one file.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import cast

from tautomer.web.body_framing import ChunkedBody, LengthBody
from tautomer.web.head import CHUNKED, PLAIN, Framing
from tautomer.web.message import Reply, Request
from tautomer.web.refusal import Refusal, error_reply
from tautomer.web.reply_bytes import BODILESS, CLOSE, KEEP_ALIVE
from tautomer.web.reply_stream import close_stream, send_stream
from tautomer.web.server_state import ServerState

__all__ = ["Connection"]

log = logging.getLogger("tautomer.web")


class _Phase(Enum):
    HEAD = auto()
    BODY = auto()
    RUNNING = auto()
    LINGER = auto()
    UPGRADED = auto()
    CLOSED = auto()


_HEAD, _BODY, _RUNNING, _LINGER, _UPGRADED, _CLOSED = _Phase

_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Bytes of a refused client that are thrown away before it is cut off.
_LINGER_BYTES_MAX = 1024 * 1024
# Seconds that a new connection without a byte is left open when the server stops: its request may be on its way.
_NEWCOMER_TIME = 0.5
# A reply up to this size leaves in one write with its head; copying a larger one costs more than a second write.
_ONE_WRITE_BYTES_MAX = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_BUSY = error_reply(503, "SERVICE_UNAVAILABLE", "The server is busy.", ("Retry-After", "1"))
_INTERNAL = error_reply(500, "INTERNAL_ERROR", "Internal server error")


class Connection(asyncio.Protocol):
    """Reads requests from one client, runs each through the gateway, and writes the replies.

    No method raises, whatever the client sends.

    Attributes:
        client: Address of the peer, without port; empty for a Unix socket.
    """

    __slots__ = (
        "_body",
        "_body_started",
        "_drained",
        "_keep_alive",
        "_part",
        "_phase",
        "_reading_paused",
        "_received",
        "_request",
        "_served",
        "_since",
        "_started",
        "_state",
        "_streaming",
        "_task",
        "_transport",
        "_unwritten",
        "_unwritten_since",
        "_upgraded",
        "_writing_paused",
        "client",
    )

    _transport: asyncio.Transport

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._phase = _HEAD
        self.client = ""
        # What has come of a head, or ahead of its turn.
        self._part = bytearray()
        self._keep_alive = True
        self._served = 0
        # When the connection fell idle; when the first byte of a request came, 0 for none; when its body began.
        self._since = self._started = self._body_started = 0.0
        self._request: Request | None = None
        self._body: LengthBody | ChunkedBody | None = None
        self._received = 0
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._drained: asyncio.Future[None] | None = None
        self._upgraded: asyncio.Protocol | None = None
        self._reading_paused = self._writing_paused = False
        # Bytes that waited for the client at the last look, and since when it has read none of them.
        self._unwritten = 0
        self._unwritten_since = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.client = str(peer[0])
        self._transport.set_write_buffer_limits(high=self._state.limits.write_buffer_bytes)
        self._since = self._state.clock()
        refusal = self._state.open(self)
        if refusal is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is _HEAD:
            known = None if self._part else self._state.heads.known(data, self.client)
            if known is None:
                self._read_head(data)
            else:
                request, keep_alive = known
                self._count(keep_alive)
                self._run(request)
        elif phase is _BODY:
            self._read_body(data)
        elif phase is _RUNNING:
            self._part += data
            if len(self._part) > self._state.limits.read_ahead_bytes:
                self._pause_reading()
        elif phase is _UPGRADED:
            assert self._upgraded is not None
            self._upgraded.data_received(data)
        elif phase is _LINGER:
            self._received += len(data)
            if self._received > _LINGER_BYTES_MAX:
                self.abort()

    def eof_received(self) -> bool | None:
        if self._phase is _UPGRADED:
            assert self._upgraded is not None
            return self._upgraded.eof_received()
        if self._phase is _RUNNING and self._request is not None and not self._request.cancellable:
            # The client may only have ended its own half, and this request is finished in any case.
            self._keep_alive = False
            return self._request.scheme == "http"
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        phase, self._phase = self._phase, _CLOSED
        self._state.close(self)
        if phase is _UPGRADED:
            assert self._upgraded is not None
            self._upgraded.connection_lost(exc)
        task, request = self._task, self._request
        if task is not None and request is not None and (request.cancellable or self._streaming):
            self._state.running.cancel(task)

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._upgraded is not None:
            self._upgraded.pause_writing()

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._upgraded is not None:
            self._upgraded.resume_writing()
        elif self._drained is not None:
            drained, self._drained = self._drained, None
            if not drained.done():
                drained.set_result(None)
        else:
            self._next()

    # Reading.

    def _read_head(self, data: bytes) -> None:
        """Take what came of a head that may be in pieces, or after blank lines."""
        part = self._part
        if not part and data[0] != 13 and 3 < data.find(b"\r\n\r\n") + 4 == len(data):
            self._on_head(data, b"")  # One whole head, as by far most come.
            return
        seen = len(part)
        part += data
        if part[0] == 13:
            # RFC 9112 section 2.2: some clients send an empty line after a body.
            blank = _BLANK_LINES.match(part)
            if blank:
                del part[: blank.end()]
            if not part or part == b"\r":
                return
            seen = 0
        end = part.find(b"\r\n\r\n", max(0, seen - 3)) + 4
        if end > 3:
            whole = bytes(part)
            part.clear()
            self._on_head(whole[:end], whole[end:])
            return
        if not self._started:
            self._started = self._state.clock()
        try:
            self._state.heads.check_part(part, seen)
        except Refusal as refusal:
            self._refuse(refusal)

    def _on_head(self, raw: bytes, rest: bytes) -> None:
        state = self._state
        try:
            request, framing, fixed = state.heads.read(raw, self.client)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._count(framing.keep_alive)
        if fixed is not None:
            self._answer_fixed(request, framing, fixed, rest)
        elif framing is PLAIN:
            if rest:
                self._part += rest
            self._run(request)
        elif framing.upgrade == "websocket":
            self._on_upgrade(request, framing, rest)
        elif framing.length:
            self._on_body(request, framing, rest)
        else:
            self._part += rest
            self._run(request)

    def _count(self, keep_alive: bool) -> None:
        self._state.requests_total += 1
        self._served += 1
        self._keep_alive = keep_alive and self._served != self._state.limits.keep_alive_requests_max

    def _answer_fixed(self, request: Request, framing: Framing, reply: Reply, rest: bytes) -> None:
        """Answer what the gateway need not see."""
        self._phase = _RUNNING
        if framing.length or request.method == "CONNECT":
            # What follows is a body that nobody wants, or meant for another host.
            self._keep_alive = False
        self._write_whole(request, reply, cast(bytes, reply.body))
        if framing.length:
            self._linger()
        else:
            self._part += rest
            self._next_soon()

    def _on_upgrade(self, request: Request, framing: Framing, rest: bytes) -> None:
        hook = self._state.on_upgrade
        if hook is None or framing.length:
            self._refuse(Refusal(400, "UPGRADE_REFUSED", "There is no WebSocket here."))
            return
        protocol = hook(request)
        if protocol is None:
            self._part += rest
            self._run(request)
            return
        self._upgraded = protocol
        self._phase = _UPGRADED
        protocol.connection_made(self._transport)
        if rest:
            protocol.data_received(rest)

    def _on_body(self, request: Request, framing: Framing, rest: bytes) -> None:
        state = self._state
        limit = state.limits.body_bytes_max if state.body_limit is None else state.body_limit(request)
        request.body_bytes_max = limit
        if limit and framing.length > limit:
            self._refuse(Refusal(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {limit} bytes."))
            return
        chunked = framing.length == CHUNKED
        if not chunked and len(rest) >= framing.length:
            # All of it came with the head.
            request.raw_body = rest[: framing.length]
            self._part += rest[framing.length :]
            self._run(request)
            return
        self._body = ChunkedBody(state.limits, limit) if chunked else LengthBody(framing.length)
        self._phase = _BODY
        self._request = request
        self._received = 0
        self._body_started = state.clock()
        self._started = self._started or self._body_started
        if rest:
            self._read_body(rest)
        elif framing.expects_continue:
            self._transport.write(_CONTINUE)

    def _read_body(self, data: bytes) -> None:
        body, request = self._body, self._request
        assert body is not None
        assert request is not None
        self._received += len(data)
        try:
            rest = body.feed(data)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if rest is not None:
            self._body = None
            request.raw_body = bytes(body.body)
            self._part += rest
            self._run(request)

    # Running and answering.

    def _run(self, request: Request) -> None:
        state = self._state
        self._phase = _RUNNING
        self._request = request
        if 0 < state.limits.requests_max <= len(state.running.tasks):
            state.refused["SERVICE_UNAVAILABLE"] += 1
            self._write_whole(request, _BUSY, cast(bytes, _BUSY.body))
            self._next_soon()
            return
        if state.at_once is not None:
            try:
                reply = state.at_once(request)
                if reply is not None:
                    self._write_whole(request, reply, reply.body)  # type: ignore[arg-type]  # Such a body is bytes.
            except Exception as error:
                self._write_internal(request, error)
                reply = _INTERNAL
            if reply is not None:
                if self._part:
                    self._next_soon()
                else:
                    self._next()
                return
        try:
            self._task = state.running.start(self._serve(request), request)
        except RuntimeError:
            self.abort()  # The server has stopped.

    async def _serve(self, request: Request) -> None:
        try:
            reply = await self._state.handle(request)
            body = reply.body
            if isinstance(body, bytes):
                self._write_whole(request, reply, body)
            elif isinstance(body, AsyncIterator):
                await self._write_stream(request, reply, body)
            else:
                raise TypeError(f"a reply's body is bytes or an async iterator, not {type(body).__name__}")
        except (asyncio.CancelledError, GeneratorExit):
            self.abort()
            raise
        except BaseException as error:
            # KeyboardInterrupt and SystemExit of a handler are errors of this request, not the node's end.
            self._write_internal(request, error)
        finally:
            self._state.running.tasks.pop(self._task, None)  # type: ignore[arg-type]  # It was set before this ran.
            self._task = None
        self._next()

    def _write_internal(self, request: Request, error: BaseException) -> None:
        log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
        self._write_whole(request, _INTERNAL, cast(bytes, _INTERNAL.body))

    def _next_soon(self) -> None:
        # Not at once: a client that sends thousands of requests ahead would make us recurse thousands deep.
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """The reply is out: take the next request, or close."""
        if self._phase is not _RUNNING or self._task is not None:
            return
        if not self._keep_alive or self._state.stopping:
            self._close()
            return
        if self._writing_paused:
            return  # Until the client has read what it asked for.
        self._phase = _HEAD
        self._request = None
        self._started = 0.0
        self._since = self._state.clock()
        if self._part:
            data = bytes(self._part)
            self._part.clear()
            self.data_received(data)
        if self._reading_paused and len(self._part) <= self._state.limits.read_ahead_bytes:
            self._resume_reading()

    def _write_whole(self, request: Request, reply: Reply, body: bytes) -> None:
        if self._phase is not _RUNNING:
            return  # The client has gone.
        if reply.status == 413:
            self._keep_alive = False
        head_only = request.method == "HEAD"
        in_two = len(body) > _ONE_WRITE_BYTES_MAX and not head_only and reply.status not in BODILESS
        self._transport.write(
            self._state.replies.whole(reply, body, self._connection(request), request.id, head_only or in_two)
        )
        if in_two:
            self._transport.write(body)

    def _connection(self, request: Request) -> str:
        if not self._keep_alive or self._state.stopping:
            return CLOSE
        return "" if request.http_version == "1.1" else KEEP_ALIVE

    async def _write_stream(self, request: Request, reply: Reply, chunks: AsyncIterator[bytes]) -> None:
        """Send a reply in pieces.

        A stream that fails cuts the connection, as a clean end would make a part of it look like the whole.
        """
        try:
            if self._phase is not _RUNNING:
                return
            bodiless = reply.status in BODILESS
            chunked = request.http_version == "1.1"
            if not chunked and request.method != "HEAD" and not bodiless:
                self._keep_alive = False
            connection = self._connection(request)
            if bodiless:
                self._transport.write(self._state.replies.whole(reply, b"", connection, request.id))
                return
            self._transport.write(self._state.replies.stream_head(reply, connection, request.id, chunked=chunked))
            if request.method == "HEAD":
                return
            self._streaming = True
            try:
                await send_stream(chunks, self._transport.write, self._draining, chunked=chunked)
            except Exception as error:
                log.error("reply stream failed", exc_info=error, extra={"path": request.path})
                self._reset()
            self._streaming = False
        finally:
            await close_stream(chunks)

    def _draining(self) -> asyncio.Future[None] | None:
        """Something to wait for while the client is behind."""
        if not self._writing_paused:
            return None
        self._drained = asyncio.get_running_loop().create_future()
        return self._drained

    # Ending.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer and close; what the client still sends is never read as a request."""
        self._state.refused[refusal.type] += 1
        reply = refusal.reply()
        self._transport.write(self._state.replies.whole(reply, cast(bytes, reply.body), CLOSE))
        self._linger()

    def _linger(self) -> None:
        """Close for the client's eyes, but take its bytes a little longer.

        A socket closed with bytes unread is reset, and a reset can overtake the answer.
        """
        self._phase = _LINGER
        self._part.clear()
        self._request = self._body = None
        self._received = 0
        self._since = self._state.clock()
        if self._state.limits.linger == 0:
            self._close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._resume_reading()

    def _close(self) -> None:
        self._phase = _CLOSED
        self._transport.close()

    def _reset(self) -> None:
        """Cut so that the client cannot take it for an end."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            except OSError:
                pass  # Gone already.
        self.abort()

    def abort(self) -> None:
        """Close now, whatever runs or waits to be sent."""
        self._phase = _CLOSED
        self._transport.abort()

    def retire(self) -> None:
        """The server stops: close if idle. A running request is finished, and its reply says ``close``."""
        if self._phase is _HEAD and not self._started and self._served:
            self._close()

    # What is overdue.

    def look(self, now: float) -> None:
        """Act on the times of the limits that are over at `now`."""
        if self._phase is _UPGRADED:
            return
        limits = self._state.limits
        unwritten = self._transport.get_write_buffer_size()
        if unwritten != self._unwritten:
            self._unwritten = unwritten
            self._unwritten_since = now
        elif unwritten and limits.write_stall and now - self._unwritten_since > limits.write_stall:
            self._state.refused["WRITE_STALL"] += 1
            self.abort()
            return
        if self._phase is _HEAD:
            self._look_at_head(now)
        elif self._phase is _BODY:
            self._look_at_body(now)
        elif self._phase is _LINGER and now - self._since > limits.linger:
            self._close()

    def _look_at_head(self, now: float) -> None:
        limits = self._state.limits
        if self._started:
            if limits.header_time and now - self._started > limits.header_time:
                self._refuse(Refusal(408, "REQUEST_TIMEOUT", "The headers did not come in time."))
            return
        idle_max = limits.keep_alive_idle
        if self._state.stopping:
            idle_max = min(idle_max or _NEWCOMER_TIME, _NEWCOMER_TIME)
        if idle_max and now - self._since > idle_max:
            self._close()

    def _look_at_body(self, now: float) -> None:
        limits = self._state.limits
        past_grace = now - self._body_started - limits.body_grace
        slow = past_grace > 0 and self._received < past_grace * limits.body_rate_bytes
        if slow or (limits.request_time and now - self._started > limits.request_time):
            self._refuse(Refusal(408, "REQUEST_TIMEOUT", "The body did not come in time."))

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
