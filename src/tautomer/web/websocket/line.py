"""What a WebSocket is to those on both sides of it: a line that carries messages, a session that makes sense of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, cast

import msgspec

from tautomer.web.messages.message import Reply
from tautomer.web.websocket.deflate import COMPRESS_BYTES_MIN, Deflate
from tautomer.web.websocket.frames import TEXT, frame
from tautomer.web.websocket.handshake import Agreement

__all__ = ["HOSTED", "Line", "LineLimits", "OutgoingText", "Session", "Takeover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimits:
    """What a stranger may ask of one socket's line (reliability reference, section 6). 0 means "no limit".

    Attributes:
        message_bytes_max: Longest message, after inflating. Over it close 1009.
        fragments_max: Frames of one message. Over it close 1009.
        queue_messages_max: Messages that wait for a client that does not read. Over it close 1013.
        queue_bytes_max: Their bytes. Likewise.
        heartbeat_interval: Seconds of silence after which a client is pinged; in as many more it must be heard of, or
            close 1011. 0 for never.
        close_time: Seconds for the other side to answer a close before the connection is cut.
    """

    message_bytes_max: int = 1024 * 1024
    fragments_max: int = 1_000
    queue_messages_max: int = 1_000
    queue_bytes_max: int = 1024 * 1024
    heartbeat_interval: float = 20.0
    close_time: float = 5.0


HOSTED: Final = "websocket"
"""Key in `Request.locals`: the handshake is another server's to answer."""


class OutgoingText(msgspec.Struct, eq=False):
    """A text for any number of sockets: framed, compressed and decoded once."""

    opcode: ClassVar[int] = TEXT

    data: bytes
    _frame: bytes | None = None
    _deflated: dict[int, bytes] | None = None
    _text: str | None = None

    def frame(self, deflate: Deflate | None) -> bytes:
        """The frame for a socket that agreed upon this."""
        if deflate is None or len(self.data) < COMPRESS_BYTES_MIN:
            made = self._frame
            if made is None:
                made = self._frame = frame(self.opcode, self.data)
            return made
        if self._deflated is None:
            self._deflated = {}
        packed = self._deflated.get(deflate.window_bits)
        if packed is None:
            packed = self._deflated[deflate.window_bits] = frame(self.opcode, deflate.deflate(self.data), deflated=True)
        return packed

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.data.decode()
        return self._text


class Line(Protocol):
    """The way to one client. No method waits or raises."""

    client: str

    def send(self, message: OutgoingText) -> None:
        """Send a message, or keep it until the client reads. One that stays behind is closed (1013).

        Messages keep their order. Nothing is sent once the line is being closed.
        """

    def close(self, code: int, reason: str = "") -> None:
        """Close when all that waits has been sent."""

    def hold(self) -> None:
        """Hand over no more messages until `go_on`."""

    def go_on(self) -> None:
        """Hand over messages again, those that have come first."""


class Session(Protocol):
    """Who makes sense of the messages of one client. Called by its line, in the order of what happens; must not raise."""

    def opened(self, line: Line) -> None:
        """The handshake is over."""

    def on_text(self, message: bytes, alone: bool = False) -> None:
        """A message came; UTF-8.

        Args:
            alone: Nothing else has come after it. Then it may be dealt with before this returns; of several that come at
                once that would keep all others waiting.
        """

    def on_binary(self, message: bytes) -> None:
        """Another kind of message came."""

    def look(self, now: float) -> None:
        """Act on what is overdue. Called about once a second."""

    def retire(self) -> None:
        """The server stops: take no more, and close (1001) when what runs has ended."""

    def closed(self, code: int) -> None:
        """The line is gone, by this code; 1006 where no close was said. The last call."""


class _NoBody:
    """In the place of a body."""


NO_BODY: Final = _NoBody()


class Takeover(Reply):
    """The reply after which a connection is a WebSocket.

    Attributes:
        agreement: Of the handshake.
        limits: Of the line.
        session: Makes the session, once the connection is there for it.
    """

    agreement: Agreement = cast(Any, None)
    limits: LineLimits = cast(Any, None)
    session: Callable[[], Session] = cast(Any, None)

    @classmethod
    def of(cls, agreement: Agreement, limits: LineLimits, session: Callable[[], Session]) -> Takeover:
        # What is no body is looked at last, so that other replies do not pay for the question.
        return cls(
            101, list(agreement.headers), cast(bytes, NO_BODY), agreement=agreement, limits=limits, session=session
        )
