"""Where a request's body ends: by its announced length or by its chunks (RFC 9112 sections 6 and 7.1).

Read strictly, and pure: bytes in, a body out, whole or (by `take`) as it comes.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, auto

from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits

__all__ = ["ChunkedBody", "LengthBody"]

# Blanks around the size are refused, as llhttp does: proxies read them in different ways.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class _Due(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


_SIZE, _DATA, _DATA_END, _TRAILER = _Due


class LengthBody:
    """A body of `length` bytes, at least 1.

    Attributes:
        body: What has come of the body so far, and was not taken.
    """

    __slots__ = ("_left", "body")

    def __init__(self, length: int) -> None:
        self.body: bytes | bytearray = b""
        self._left = length

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; return None while more is due, else the bytes after the body's end."""
        taken = data[: self._left]
        self._left -= len(taken)
        if not self.body:
            # By far most bodies come in one piece, and are not copied.
            self.body = taken
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += taken
        return None if self._left else data[len(taken) :]

    def take(self) -> bytes:
        """What has come since the last time, for bodies that are not to be held whole."""
        taken, self.body = bytes(self.body), b""
        return taken


class ChunkedBody:
    """Puts one body together out of its chunks. Trailers are checked and dropped.

    Args:
        limits: Bounds on one size or trailer line, and on all extensions and trailers together.
        bytes_max: Bound on the body; 0 for none.

    Attributes:
        body: What has come of the body so far, and was not taken.
    """

    __slots__ = (
        "_bytes_left",
        "_bytes_max",
        "_due",
        "_held",
        "_left",
        "_line_max",
        "_overhead",
        "_overhead_max",
        "body",
    )

    def __init__(self, limits: HttpLimits, bytes_max: int) -> None:
        self.body = bytearray()
        self._bytes_max = self._bytes_left = bytes_max or sys.maxsize
        self._line_max = limits.header_bytes_max or sys.maxsize
        self._overhead_max = limits.headers_bytes_max or sys.maxsize
        self._overhead = 0
        self._due = _SIZE
        self._left = 0
        self._held = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; return None while more is due, else the bytes after the body's end.

        Raises:
            Refusal: 400 for bad framing, 413 as soon as a chunk is announced that goes over the limit. The
                body must not be fed again.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        at = 0
        while True:
            if self._due is _DATA:
                taken = min(self._left, len(data) - at)
                self.body += data[at : at + taken]
                at += taken
                self._left -= taken
                if self._left:
                    return None
                self._due = _DATA_END
            elif self._due is _DATA_END:
                end = data[at : at + 2]
                if end != b"\r\n"[: len(end)]:
                    raise _bad("a chunk is not followed by a line end")
                if len(end) < 2:
                    self._held = end
                    return None
                at += 2
                self._due = _SIZE
            else:
                eol = data.find(b"\r\n", at)
                if eol < 0:
                    self._hold_line(data[at:])
                    return None
                line = data[at:eol]
                at = eol + 2
                if len(line) > self._line_max:
                    raise _bad("a chunk's line is too long")
                if self._due is _SIZE:
                    self._on_size(line)
                elif line:
                    self._on_trailer(line)
                else:
                    return data[at:]

    def take(self) -> bytes:
        """What has come since the last time, for bodies that are not to be held whole."""
        taken = bytes(self.body)
        self.body.clear()
        return taken

    def _on_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise _bad("a chunk's size is not a number")
        self._add_overhead(len(match[2] or b""))
        self._left = int(match[1], 16)
        self._due = _DATA if self._left else _TRAILER
        self._bytes_left -= self._left
        if self._bytes_left < 0:
            raise Refusal(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {self._bytes_max} bytes.")

    def _on_trailer(self, line: bytes) -> None:
        if not _TRAILER_LINE.fullmatch(line):
            raise _bad("a trailer is malformed")
        self._add_overhead(len(line) + 2)

    def _add_overhead(self, count: int) -> None:
        self._overhead += count
        if self._overhead > self._overhead_max:
            raise _bad("chunk extensions and trailers are too large")

    def _hold_line(self, rest: bytes) -> None:
        if len(rest) > self._line_max + 1:
            raise _bad("a chunk's line is too long")
        if b"\n" in rest:
            raise _bad("a chunk's line ends without a carriage return")
        self._held = rest


def _bad(reason: str) -> Refusal:
    return Refusal(400, "BAD_REQUEST", f"Malformed body: {reason}.")
