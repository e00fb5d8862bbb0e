"""One HTTP/1.1 connection: when to read, when to stop, what to answer.

A connection handles one request after another. What a client sends ahead waits in a bounded buffer, unread,
until the reply before it is out; so replies leave in order, and nothing is parsed that may never be answered.

    HEAD ──head, body due──▶ BODY ──last byte──▶ RUNNING ──reply──▶ HEAD …
      └──head without body, or one to stream─────▲   └──last reply──▶ CLOSED
    HEAD, BODY ──refused──▶ LINGER ──time, bytes, end──▶ CLOSED
    RUNNING ──reply before the end of a streamed body──▶ LINGER
    RUNNING ──101──▶ CLOSED, to us: the connection is a `SocketConnection` from then on

It is one state machine, and kept in one file.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from enum import Enum
from typing import cast

from tautomer.errors import StreamError
from tautomer.web.http.body_framing import ChunkedBody, LengthBody
from tautomer.web.http.head import CHUNKED, PLAIN, Framing, LastHead
from tautomer.web.http.refusal import BUSY, INTERNAL, LATE, NO_UPGRADE, Refusal
from tautomer.web.http.reply_bytes import BODILESS, CLOSE, KEEP_ALIVE
from tautomer.web.http.reply_stream import close_stream, reset_on_close, send_stream
from tautomer.web.http.running import is_own_end, log_failure
from tautomer.web.http.server_state import ServerState
from tautomer.web.http.socket_connection import SocketConnection
from tautomer.web.http.upload import Upload, overdue
from tautomer.web.http.write_stall import WriteStall
from tautomer.web.messages.limits import BodyPlan
from tautomer.web.messages.message import Reply, Request
from tautomer.web.websocket.line import Takeover

__all__ = ["Connection"]

log = logging.getLogger("tautomer.web")

_Phase = Enum("_Phase", ["HEAD", "BODY", "RUNNING", "LINGER", "CLOSED"])
_HEAD, _BODY, _RUNNING, _LINGER, _CLOSED = _Phase

_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Bytes of a refused client that are thrown away before it is cut off.
_LINGER_BYTES_MAX = 1024 * 1024
# Seconds that a new connection without a byte is left open when the server stops: its request may be on its way.
_NEWCOMER_TIME = 0.5
# A reply up to this size leaves in one write with its head; copying a larger one costs more than a second write.
_ONE_WRITE_BYTES_MAX = 256 * 1024


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
        "_last",
        "_part",
        "_phase",
        "_reading_paused",
        "_received",
        "_request",
        "_served",
        "_since",
        "_stall",
        "_started",
        "_state",
        "_streaming",
        "_task",
        "_transport",
        "_upload",
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
        self._last: LastHead | None = None
        # When the connection fell idle; when the first byte of a request came, 0 for none; when its body began.
        self._since = self._started = self._body_started = 0.0
        self._request: Request | None = None
        self._body: LengthBody | ChunkedBody | None = None
        self._received = 0
        # The body that the running request reads, until all of it has come.
        self._upload: Upload | None = None
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._drained: asyncio.Future[None] | None = None
        self._reading_paused = self._writing_paused = False
        self._stall = WriteStall()

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
            known = None if self._part else self._state.heads.known(data, self.client, self._last)
            if known is None:
                self._read_head(data)
            else:
                request, keep_alive = known
                self._count(keep_alive)
                self._run(request)
        elif phase is _BODY:
            self._read_body(data)
        elif phase is _RUNNING:
            if self._upload is not None:
                self._read_upload(self._upload, data)
            else:
                self._part += data
            if len(self._part) > self._state.limits.read_ahead_bytes:
                self._pause_reading()
        elif phase is _LINGER:
            self._received += len(data)
            if self._received > _LINGER_BYTES_MAX:
                self.abort()

    def eof_received(self) -> bool | None:
        if self._upload is not None:
            return None  # The rest of the body will never come.
        if self._phase is _RUNNING and self._request is not None and not self._request.cancellable:
            # The client may only have ended its own half, and this request is finished in any case.
            self._keep_alive = False
            return self._request.scheme == "http"
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
        self._state.close(self)
        task, request = self._task, self._request
        whole = self._end_upload("the client left before the end of its body")
        if task is not None and request is not None and (request.cancellable or self._streaming or not whole):
            self._state.running.cancel(task)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._drained is not None:
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
        if framing is PLAIN:
            self._last = state.heads.last(raw, request)
        if fixed is not None:
            self._answer_fixed(request, framing, fixed, rest)
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
        request.id = self._state.request_id(request)
        # What follows is a body that nobody wants, or meant for another host.
        unwanted = framing.length or request.method == "CONNECT"
        if unwanted:
            self._keep_alive = False
        self._write_whole(request, reply, cast(bytes, reply.body))
        if unwanted:
            self._linger()
        else:
            self._part += rest
            self._next_soon()

    def _on_upgrade(self, request: Request, framing: Framing, rest: bytes) -> None:
        hook = self._state.on_upgrade
        refusal = NO_UPGRADE if hook is None or framing.length else hook(request)
        if refusal is not None:
            self._request, request.id = request, self._state.request_id(request)
            self._refuse(refusal)
            return
        self._part += rest
        self._run(request)

    def _on_body(self, request: Request, framing: Framing, rest: bytes) -> None:
        state, self._request = self._state, request
        plan = BodyPlan(state.limits.body_bytes_max) if state.body_plan is None else state.body_plan(request)
        limit = request.body_bytes_max = plan.bytes_max
        if limit and framing.length > limit:
            self._refuse(Refusal(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {limit} bytes."))
            return
        chunked = framing.length == CHUNKED
        if not chunked and len(rest) >= framing.length and not plan.streamed:
            # All of it came with the head.
            request.raw_body = rest[: framing.length]
            self._part += rest[framing.length :]
            self._run(request)
            return
        body = ChunkedBody(state.limits, limit) if chunked else LengthBody(framing.length)
        self._body_started = state.clock()
        self._started = self._started or self._body_started
        if plan.streamed:
            self._begin_upload(request, body, framing.expects_continue, rest)
            return
        self._body = body
        self._phase = _BODY
        self._received = 0
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

    def _begin_upload(self, request: Request, body: LengthBody | ChunkedBody, asks: bool, rest: bytes) -> None:
        """Run a request of which the body is still to come."""
        state = self._state
        upload = self._upload = Upload(body, state.limits, state.clock, self._started, self._keep_alive)
        upload.holds(self._pause_reading, self._resume_reading, self._go_on if asks and not rest else None)
        request.incoming = upload.incoming
        # Until all has come, whatever is answered ends the connection.
        self._keep_alive = False
        if rest:
            self._read_upload(upload, rest)
        self._run(request)

    def _read_upload(self, upload: Upload, data: bytes) -> None:
        try:
            rest = upload.feed(data)
        except Refusal as refusal:
            self._state.refused[refusal.type] += 1
            return
        if rest is not None:
            self._upload = None
            # A reply that has begun has said already that it is the last.
            self._keep_alive = upload.keep_alive and not self._streaming
            self._part += rest

    def _go_on(self) -> None:
        if self._phase is _RUNNING and not self._streaming:
            self._transport.write(_CONTINUE)

    def _end_upload(self, reason: str) -> bool:
        """Expect no more of a streamed body. Returns whether none was due."""
        upload, self._upload = self._upload, None
        if upload is None:
            return True
        upload.fail(StreamError(reason, type="STREAM_ABORTED"))
        return False

    # Running and answering.

    def _run(self, request: Request) -> None:
        state = self._state
        self._phase = _RUNNING
        self._request = request
        if 0 < state.limits.requests_max <= len(state.running.tasks):
            state.refused["SERVICE_UNAVAILABLE"] += 1
            request.id = state.request_id(request)
            self._write_whole(request, BUSY, cast(bytes, BUSY.body))
            self._next_soon()
            return
        at_once = state.at_once
        if at_once is not None:
            try:
                reply = at_once(request)
                if reply is not None:
                    self._write_whole(request, reply, reply.body)  # type: ignore[arg-type]  # Such a body is bytes.
            except Exception as error:
                self._write_internal(request, error)
                reply = INTERNAL
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
        handle = self._state.handle
        try:
            reply = await handle(request)
            body: object = reply.body
            if isinstance(body, bytes):
                self._write_whole(request, reply, body)
            elif isinstance(body, AsyncIterator):
                await self._write_stream(request, reply, body)
            elif isinstance(reply, Takeover):
                self._hand_over(request, reply)
            else:
                raise TypeError(f"a reply's body is bytes or an async iterator, not {type(body).__name__}")
        except BaseException as error:
            if is_own_end(error, self._task):
                if self._streaming:
                    reset_on_close(self._transport)
                self.abort()
                raise
            # KeyboardInterrupt and SystemExit of a handler are errors of this request, not the node's end.
            self._write_internal(request, error)
        finally:
            self._state.running.tasks.pop(self._task, None)  # type: ignore[arg-type]  # It was set before this ran.
            self._task = None
        self._next()

    def _write_internal(self, request: Request, error: BaseException) -> None:
        self._write_whole(request, INTERNAL, cast(bytes, INTERNAL.body))
        log_failure(request, error)

    def _next_soon(self) -> None:
        # Not at once: a client that sends thousands of requests ahead would make us recurse thousands deep.
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """The reply is out: take the next request, or close."""
        if self._phase is not _RUNNING or self._task is not None:
            return
        if not self._keep_alive or self._state.stopping:
            if self._part or self._upload is not None:
                self._linger()  # What it sent, or still sends, is not read; that must not cost it this reply.
            else:
                self._close()
            return
        if self._writing_paused:
            return  # Until the client has read what it asked for.
        self._phase = _HEAD
        self._request = None
        self._started = 0.0
        clock = self._state.clock
        self._since = clock()
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

    def _hand_over(self, request: Request, reply: Takeover) -> None:
        """Make the connection a WebSocket."""
        if self._phase is not _RUNNING:
            return  # The client has gone.
        self._phase = _CLOSED
        transport, state = self._transport, self._state
        transport.write(state.replies.switching(reply, request.id))
        if self._reading_paused:
            transport.resume_reading()
        socket = SocketConnection(state, transport, reply, self.client)
        state.replace(self, socket)
        transport.set_protocol(socket)
        if self._writing_paused:
            socket.pause_writing()
        socket.begin(bytes(self._part))

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
            length: int | None = getattr(chunks, "length", None)
            chunked = length is None and request.http_version == "1.1"
            if length is None and not chunked and request.method != "HEAD" and not bodiless:
                self._keep_alive = False
            connection = self._connection(request)
            if bodiless:
                self._transport.write(self._state.replies.whole(reply, b"", connection, request.id))
                return
            self._transport.write(
                self._state.replies.stream_head(reply, connection, request.id, length=length, chunked=chunked)
            )
            if request.method == "HEAD":
                return
            self._streaming = True
            try:
                await send_stream(chunks, self._transport.write, self._draining, length=length, chunked=chunked)
            except BaseException as error:
                if is_own_end(error, self._task):
                    raise  # The connection is cut when the stream is closed.
                self._request = None  # That the client is gone then must not cancel the closing.
                reset_on_close(self._transport)
                self.abort()
                log.error("reply stream failed", exc_info=error, extra={"path": request.path})
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
        self._transport.write(self._state.refusal(refusal, self._request))
        self._linger()

    def _linger(self) -> None:
        """Close for the client's eyes, but take its bytes a little longer.

        A socket closed with bytes unread is reset, and a reset can overtake the answer.
        """
        self._phase = _LINGER
        self._end_upload("the request was answered before the end of its body")
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

    def abort(self) -> None:
        """Close now, whatever runs or waits to be sent."""
        self._phase = _CLOSED
        self._transport.abort()

    def give_up(self, request: Request) -> None:
        """If this request runs here: answer for it, as it does not end itself, and close. Its task keeps its slot."""
        if self._phase is _RUNNING and self._request is request:
            self._keep_alive = False
            self._write_whole(request, LATE, cast(bytes, LATE.body))
            self._linger()

    def retire(self) -> None:
        """The server stops: close if idle. A running request is finished, and its reply says ``close``."""
        if self._phase is _HEAD and not self._started and self._served:
            self._close()

    # What is overdue.

    def look(self, now: float) -> None:
        """Act on the times of the limits that are over at `now`."""
        limits = self._state.limits
        if self._stall.is_over(self._transport.get_write_buffer_size(), now, limits.write_stall):
            self._state.refused["WRITE_STALL"] += 1
            self.abort()
            return
        if self._phase is _HEAD:
            self._look_at_head(now)
        elif self._phase is _BODY:
            late = overdue(limits, now, self._started, self._body_started, self._received)
            if late is not None:
                self._refuse(late)
        elif self._upload is not None and (late := self._upload.overdue(now)) is not None:
            self._state.refused[late.type] += 1
            self._upload.refuse(late)
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

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
