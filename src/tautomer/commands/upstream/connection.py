"""One connection to an upstream server: a question, its answer, the next question.

    IDLE ──begin──▶ ASKED ──head of the answer──▶ ANSWERED ──its end, and that of the question──▶ IDLE …
                      └────── broken, left, misunderstood, one end before the other ──────────────▶ CLOSED

The parser is llhttp, and it is not asked to be lenient: an answer that two programs could read in two ways (two lengths, a
length and chunks, folded lines) would let an upstream, or whoever speaks through it, put words into the answer of another
client. For the same reason a connection on which more came than was asked for is never used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum
from functools import partial
from typing import Final, cast

import httptools

from tautomer.commands.upstream.answer import Answer, AnswerBody
from tautomer.commands.upstream.errors import UpstreamError, UpstreamTimeoutError

__all__ = ["UpstreamConnection"]

HEAD_BYTES_MAX: Final = 64 * 1024
"""Head of an answer; also the lines of one chunk, and all trailers."""

WRITE_BYTES: Final = 64 * 1024
"""Bytes that may wait for the server before the sender must wait."""

_Phase = Enum("_Phase", ["IDLE", "ASKED", "ANSWERED", "CLOSED"])
_IDLE, _ASKED, _ANSWERED, _CLOSED = _Phase

_BODILESS: Final = frozenset({204, 205, 304})


class UpstreamConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one server, one request after the other.

    Args:
        on_idle: Told when it may be asked again.
        on_closed: Told once, when it is gone.

    Attributes:
        idle_since: When it fell idle, on the loop's clock.
        asked: How many requests it has taken.
        heard: Whether anything has come in answer to the last one.
        goes_on: Set by the server's word to send the body (``100 Continue``), and by any answer.
    """

    _transport: asyncio.Transport

    def __init__(
        self,
        on_idle: Callable[[UpstreamConnection], None],
        on_closed: Callable[[UpstreamConnection], None],
    ) -> None:
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._phase = _IDLE
        self._loop = asyncio.get_running_loop()
        self._reading_paused = False
        self._room: asyncio.Future[None] | None = None
        self._writing_paused = False
        self.idle_since = self._loop.time()
        self.asked = 0
        self.heard = False
        self.goes_on = asyncio.Event()
        self._forget()

    def _forget(self) -> None:
        """Be ready for the next question."""
        self._parser: httptools.HttpResponseParser | None = None
        self._head: asyncio.Future[Answer] | None = None
        self._body: AnswerBody | None = None
        self._method = ""
        self._idle_time = 0.0
        self._status = 0
        self._reason = b""
        self._headers: list[tuple[str, str]] = []
        # Bytes since something came of them: a head, a chunk's line or trailers without end must not fill memory.
        self._unmade = 0
        self._until_end = self._whole = self._sent = self._keep_alive = False

    @property
    def is_idle(self) -> bool:
        return self._phase is _IDLE and not self._transport.is_closing()

    # --- the asking side ---

    def begin(self, method: str, head: bytes, idle_time: float, *, sent: bool) -> asyncio.Future[Answer]:
        """Send the head of a request.

        Returns:
            Its answer, once the head of that is there, or an `UpstreamError`. Whoever gives up waiting calls `leave`.

        Args:
            head: Up to the blank line; maybe with the body behind it.
            idle_time: As in `AnswerBody`.
            sent: Whether that is all of it.
        """
        assert self._phase is _IDLE
        self._phase = _ASKED
        self._method = method
        self._idle_time = idle_time
        self._sent = sent
        self._head = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.asked += 1
        self.heard = False
        self.goes_on.clear()
        self._transport.write(head)
        return self._head

    async def send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send the body of the request, at the server's pace.

        Raises:
            UpstreamError: The server is gone.
            UpstreamTimeoutError: It took nothing for too long.
            Whatever the iterator raises; the request is then broken off.
        """
        async for piece in body:
            if self._phase is _CLOSED:
                raise UpstreamError("it closed the connection before the end of the request's body")
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if self._writing_paused:
                await self._has_room()
        if chunked and self._phase is not _CLOSED:
            self._transport.write(b"0\r\n\r\n")
        self._sent = True
        self._rest_if_done()

    @property
    def is_answered(self) -> bool:
        """Whether the head of the answer is there."""
        return self._phase is _ANSWERED

    def send_no_more(self) -> None:
        """The rest of the request stays unsent; the connection is closed when the answer is there."""
        self._keep_alive = False
        self._sent = True
        self._rest_if_done()

    async def _has_room(self) -> None:
        self._room = self._loop.create_future()
        try:
            async with asyncio.timeout(self._idle_time or None):
                await self._room
        except TimeoutError:
            raise UpstreamTimeoutError(f"it took nothing of the request's body for {self._idle_time:g} s") from None

    def leave(self, answer: asyncio.Future[Answer]) -> None:
        """Nobody waits for this answer, or its rest, any more.

        Harmless when all is there: then somebody else may be using the connection already.
        """
        if self._head is answer and self._phase in (_ASKED, _ANSWERED):
            self._fail(UpstreamError("it was left"))

    def close(self) -> None:
        """Close it now."""
        self._transport.abort()

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # Not asserted: uvloop's are no subclass.
        self._transport.set_write_buffer_limits(high=WRITE_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            # Nobody asked: it would be taken for the answer to the next question.
            self._transport.abort()
            return
        self.heard = True
        self._unmade += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._whole:
                own = error.__context__
                self._fail(
                    own if isinstance(own, UpstreamError) else UpstreamError(f"its answer is malformed: {error}")
                )
                return
            self._keep_alive = False
        if self._unmade > HEAD_BYTES_MAX and not self._whole:
            self._fail(UpstreamError("its head, or the lines of a chunk, have no end"))
        elif self._body is not None and self._body.incoming.is_full and not self._whole:
            self._pause_reading()
        self._rest_if_done()

    def eof_received(self) -> bool:
        if self._until_end and self._body is not None:
            self._body.incoming.end()
            self._whole = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if self._phase is not _CLOSED:
            self._fail(UpstreamError("it closed the connection" if error is None else f"the connection broke: {error}"))
        self._on_closed(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        if self._whole:
            self._keep_alive = False  # More than one answer to one question.

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come by here, too. There is nobody to take them.
        if self._body is None and not self._whole:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._whole:
            return
        self._status = self._parser.get_status_code()
        self._unmade = 0
        if self._status < 200:
            if self._status == 101:
                raise UpstreamError("it switched to another protocol, for which nobody had asked")
            return
        self._answered()

    def on_chunk_header(self) -> None:
        self._unmade = 0

    def on_body(self, data: bytes) -> None:
        self._unmade = 0
        if self._body is not None and not self._whole:
            self._body.incoming.push(data)
        else:
            self._keep_alive = False  # A body where there is none.

    def on_message_complete(self) -> None:
        if self._whole:
            return
        if self._status < 200:
            if self._status == 100:
                self.goes_on.set()
            self._headers.clear()
            self._reason = b""
            return
        if self._body is not None:
            self._body.incoming.end()
            self._whole = True

    # --- the answer ---

    def _answered(self) -> None:
        """The head of the answer is whole."""
        assert self._parser is not None
        length, chunked = self._framing()
        bodiless = self._method == "HEAD" or self._status in _BODILESS
        assert self._head is not None
        told = None if self._status in _BODILESS else length
        body = AnswerBody(self._resume_reading, told, self._idle_time, partial(self.leave, self._head))
        self._keep_alive = self._parser.should_keep_alive() or (bodiless and self._says_keep_alive())
        self._body = body
        self._phase = _ANSWERED
        if bodiless or length == 0:
            body.incoming.end()
            self._whole = True
        self._until_end = length is None and not chunked and not self._whole
        self.goes_on.set()
        if not self._head.done():
            self._head.set_result(Answer(self._status, self._reason.decode("latin-1"), self._headers, body))

    def _framing(self) -> tuple[int | None, bool]:
        """Length of the body, None where it is not told, and whether it comes in chunks. The parser took it, so it is sound."""
        named = {name.lower(): value for name, value in self._headers}
        coding = named.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            raise UpstreamError(f"its answer comes in a transfer coding that nobody asked for: {coding:.80}")
        length = named.get("content-length")
        return (None if length is None else int(length)), coding is not None

    def _says_keep_alive(self) -> bool:
        """Of an answer without a body, for which the parser, who expects one, thinks of its end."""
        options = ",".join(value for name, value in self._headers if name.lower() == "connection").lower()
        assert self._parser is not None
        return self._parser.get_http_version() == "1.1" and "close" not in options

    def _rest_if_done(self) -> None:
        if self._phase is not _ANSWERED or not self._whole:
            return
        if not self._sent:
            return  # The rest of the question is on its way; whoever sends it ends it.
        if self._keep_alive and not self._transport.is_closing():
            self._phase = _IDLE
            self._resume_reading()
            self._forget()
            self.idle_since = self._loop.time()
            self._on_idle(self)
        else:
            self._phase = _CLOSED
            self._transport.close()

    def _fail(self, error: UpstreamError) -> None:
        """Break it off, whatever stood."""
        before, self._phase = self._phase, _CLOSED
        self.goes_on.set()
        if before is _ASKED and self._head is not None and not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # Nobody may be waiting yet, or any more.
        if self._body is not None and not self._whole:
            self._body.incoming.fail(error)
        if self._room is not None and not self._room.done():
            self._room.set_exception(error)
            self._room.exception()
        self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
