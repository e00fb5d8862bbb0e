"""Frames: from a client's bytes to messages, and back (RFC 6455, sections 5 to 8). Pure.

Our own, as by measure the libraries' parsers take more for one message than all else that is done for it: 10 µs
(`websockets`) and 30 µs (`wsproto`), against 1 to 2 µs here. They also hand out a text only when its frame has
come as a whole; here broken UTF-8 is found with the byte that breaks it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from tautomer.web.websocket.deflate import Deflate, TooLong

_apply_mask: Callable[[bytes, bytes], bytes] | None
try:
    from websockets.speedups import apply_mask as _apply_mask
except ImportError:
    _apply_mask = None

__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "FrameReader",
    "SocketFault",
    "close_frame",
    "frame",
    "read_close",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_FIN, _RSV1, _RSV, _MASKED = 0x80, 0x40, 0x70, 0x80
_FIN_TEXT: Final = _FIN | TEXT
_SIZE16, _SIZE64 = Struct("!H"), Struct("!Q")
_TEXT_HEADS: Final = tuple(bytes((_FIN | TEXT, length)) for length in range(126))
_CONTROL_BYTES_MAX: Final = 125
_REASON_BYTES_MAX: Final = _CONTROL_BYTES_MAX - 2

NORMAL: Final = 1000
"""The code of a close that names none, as far as we are concerned."""


class Frame(NamedTuple):
    """A message, whole and inflated, or a control frame."""

    opcode: int
    payload: bytes


class SocketFault(Exception):
    """The client broke the protocol, or a limit: the connection is to be closed.

    Attributes:
        code: Of the close frame (RFC 6455, section 7.4.1).
        reason: Text beside it.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def unmasked(data: bytes, mask: bytes) -> bytes:
    """Undo (or do) the mask of four bytes."""
    if _apply_mask is not None:
        return _apply_mask(data, mask)
    length = len(data)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")


class FrameReader:
    """Takes bytes as they come and gives messages, one at a time: ``push``, then ``next`` until it gives None.

    What is held of a message never exceeds the limit, and a frame that would is refused by its announced length.

    Args:
        bytes_max: Longest message, after inflating; 0 for no end.
        fragments_max: Frames of one message; 0 for no end.
        deflate: What was agreed upon, or None: then nothing may be compressed.
    """

    __slots__ = (
        "_at",
        "_between",
        "_bytes_max",
        "_data",
        "_decoder",
        "_deflate",
        "_deflated",
        "_fin",
        "_fragments",
        "_fragments_max",
        "_length",
        "_mask",
        "_message",
        "_opcode",
        "_payload",
        "_started",
    )

    def __init__(self, bytes_max: int, fragments_max: int = 0, deflate: Deflate | None = None) -> None:
        self._bytes_max = bytes_max
        self._fragments_max = fragments_max
        self._deflate = deflate
        self._data = b""
        self._at = 0
        # Whether nothing is due of what has begun.
        self._between = True
        # The message whose frames are coming, and of which kind it is; 0 for none.
        self._started = 0
        self._message: bytearray | None = None
        self._deflated = False
        self._fragments = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        # The frame whose payload is coming: how much of it is due, -1 for none; the mask, turned to where that begins.
        self._length = -1
        self._opcode = 0
        self._fin = False
        self._mask = b""
        self._payload: bytearray | None = None

    @property
    def unread(self) -> int:
        """Bytes that came and were not looked at yet."""
        return len(self._data) - self._at

    def push(self, data: bytes) -> None:
        """Take more bytes. To be called when `next` has given None, or memory would grow."""
        left = self._data[self._at :] if self._at < len(self._data) else b""
        self._data, self._at = left + data if left else data, 0
        self._between = False

    def text_in(self, data: bytes) -> bytes | None:
        """The text, where these bytes are a whole one in one frame, and nothing else is due; None where `push` is to take them.

        By far the most of what comes, and so the shortest way.

        Raises:
            SocketFault: As `next`.
        """
        size = len(data) - 6
        if not self._between or size < 0 or data[0] != _FIN_TEXT or 0 < self._bytes_max < size:
            return None
        if data[1] == _MASKED + size and size < 126:
            text = unmasked(data[6:], data[2:6])
        elif data[1] == _MASKED + 126 and size >= 128 and data[2] << 8 | data[3] == size - 2:
            text = unmasked(data[8:], data[4:8])
        else:
            return None
        return text if text.isascii() else _checked(text)

    def next(self) -> Frame | None:
        """The next message or control frame; None where more bytes are needed for it.

        Raises:
            SocketFault: Not to be called any more then.
        """
        while True:
            if self._length >= 0:
                found = self._take_payload()
                if found is None and self._length >= 0:
                    return None
            else:
                data, at = self._data, self._at
                left = len(data) - at
                if left < 2:
                    self._between = not (left or self._started)
                    return None
                second = data[at + 1]
                if (
                    data[at] == _FIN_TEXT
                    and _MASKED <= second < _MASKED + 126
                    and not self._started
                    and left >= second - _MASKED + 6
                    and (not self._bytes_max or second - _MASKED <= self._bytes_max)
                ):
                    # A short text in one frame, all there: by far the most of what comes.
                    begin, end = at + 6, at + 6 + second - _MASKED
                    self._at = end
                    return Frame(TEXT, _checked(unmasked(data[begin:end], data[at + 2 : begin])))
                if not self._read_head(data, at, left):
                    return None
                continue
            if found is not None:
                return found

    def _read_head(self, data: bytes, at: int, left: int) -> bool:
        """Read the head of a frame; False where it is not all there."""
        first, second = data[at], data[at + 1]
        opcode, length = first & 0x0F, second & 0x7F
        self._check_head(first, second, opcode, length)
        size = 6 if length < 126 else 8 if length == 126 else 14
        if left < size:
            return False
        if length == 126:
            (length,) = _SIZE16.unpack_from(data, at + 2)
        elif length == 127:
            (length,) = _SIZE64.unpack_from(data, at + 2)
            if length >> 63:
                raise SocketFault(1002, "a length has 63 bits")
        if opcode < CLOSE:
            self._begin_part(first, opcode, length)
        else:
            self._payload = bytearray()
        self._fin = bool(first & _FIN)
        self._opcode = opcode
        self._length = length
        self._mask = data[at + size - 4 : at + size]
        self._at = at + size
        return True

    def _check_head(self, first: int, second: int, opcode: int, length: int) -> None:
        if not second & _MASKED:
            raise SocketFault(1002, "a client masks its frames")
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise SocketFault(1002, "the opcode is not known")
        if opcode >= CLOSE and (not first & _FIN or length > _CONTROL_BYTES_MAX):
            raise SocketFault(1002, "a control frame is whole, and short")
        if opcode == CONTINUATION and not self._started:
            raise SocketFault(1002, "there is nothing to continue")
        if TEXT <= opcode <= BINARY and self._started:
            raise SocketFault(1002, "a message begins within another")
        allowed = _RSV1 if self._deflate is not None and opcode in (TEXT, BINARY) else 0
        if first & _RSV & ~allowed:
            raise SocketFault(1002, "a reserved bit is set")

    def _begin_part(self, first: int, opcode: int, length: int) -> None:
        """The head of a message's first frame, or of one more."""
        if opcode != CONTINUATION:
            self._started = opcode
            self._message = bytearray()
            self._deflated = bool(first & _RSV1)
            self._fragments = 0
            self._decoder = None
        assert self._message is not None
        self._fragments += 1
        if self._bytes_max and len(self._message) + length > self._bytes_max:
            raise SocketFault(1009, f"a message has at most {self._bytes_max} bytes")
        if self._fragments_max and self._fragments > self._fragments_max:
            raise SocketFault(1009, f"a message has at most {self._fragments_max} frames")

    def _take_payload(self) -> Frame | None:
        """Take what has come of the payload that is due."""
        data, at, due = self._data, self._at, self._length
        part = data[at : at + due] if due else b""
        got = len(part)
        self._at = at + got
        self._length = due - got
        part = unmasked(part, self._mask)
        whole = got == due
        if not whole and (turn := got % 4):
            self._mask = self._mask[turn:] + self._mask[:turn]
        if self._opcode >= CLOSE:
            assert self._payload is not None
            self._payload += part
            if not whole:
                return None
            payload, self._payload, self._length = bytes(self._payload), None, -1
            return Frame(self._opcode, payload)
        assert self._message is not None
        self._message += part
        last = whole and self._fin
        if self._started == TEXT and not self._deflated and (not last or self._decoder is not None):
            self._decode(part, last)
        if whole:
            self._length = -1
        return self._end_message() if last else None

    def _decode(self, part: bytes, last: bool) -> None:
        """See that the text is UTF-8 so far."""
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            self._decoder.decode(part, last)
        except UnicodeDecodeError:
            raise _not_text() from None

    def _end_message(self) -> Frame:
        assert self._message is not None
        message, opcode = bytes(self._message), self._started
        decoded = self._decoder is not None
        self._message, self._decoder, self._started = None, None, 0
        if self._deflated:
            assert self._deflate is not None
            try:
                message = self._deflate.inflate(message, self._bytes_max)
            except TooLong:
                raise SocketFault(1009, f"a message has at most {self._bytes_max} bytes, inflated") from None
            except ValueError as error:
                raise SocketFault(1002, str(error)) from None
        return Frame(opcode, message if decoded or opcode == BINARY else _checked(message))


def _checked(text: bytes) -> bytes:
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise _not_text() from None
    return text


def _not_text() -> SocketFault:
    return SocketFault(1007, "a text is UTF-8")


def frame(opcode: int, payload: bytes, deflated: bool = False) -> bytes:
    """One whole frame of a server's."""
    length = len(payload)
    if length < 126 and opcode == TEXT and not deflated:
        return _TEXT_HEADS[length] + payload
    first = _FIN | opcode | (_RSV1 if deflated else 0)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return bytes((first, 126)) + _SIZE16.pack(length) + payload
    return bytes((first, 127)) + _SIZE64.pack(length) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; a reason over its room is cut."""
    told = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore").encode()
    return frame(CLOSE, _SIZE16.pack(code) + told)


def read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame; `NORMAL` where it names none.

    Raises:
        SocketFault: Its payload is malformed.
    """
    if not payload:
        return NORMAL, ""
    if len(payload) == 1:
        raise SocketFault(1002, "a close frame has a code of two bytes")
    (code,) = _SIZE16.unpack_from(payload)
    # RFC 6455 section 7.4 and the registry of IANA: 1004 to 1006 and 1015 are never sent.
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise SocketFault(1002, "the close code is none that may be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise _not_text() from None
