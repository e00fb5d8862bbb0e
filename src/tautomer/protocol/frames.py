"""Frames of the TCP transporter: a head of six bytes, then one packet (protocol reference, section 2.12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

HEAD_BYTES: Final = 6
"""Check byte, length of the whole frame as a big-endian int32, type."""

FRAME_BYTES_MAX: Final = 1024 * 1024
"""Node's default of `maxPacketSize`."""

KINDS: Final[Mapping[str, int]] = {
    "EVENT": 1,
    "REQ": 2,
    "RES": 3,
    "PING": 4,
    "PONG": 5,
    "GOSSIP_REQ": 6,
    "GOSSIP_RES": 7,
    "GOSSIP_HELLO": 8,
}
"""The type of each command that travels over TCP; the others have none, and are not sent."""

FIRST_GOSSIP: Final = KINDS["GOSSIP_REQ"]

Deliver = Callable[[int, bytes], object]
"""Takes the type and the payload of one frame."""

_HEAD = struct.Struct(">BIB")
_pack = _HEAD.pack
_unpack_from = _HEAD.unpack_from


class FrameError(Exception):
    """The other end does not speak Moleculer's frames, or bytes were lost. The connection is of no more use."""


def frame_head(kind: int, payload_bytes: int) -> bytes:
    """The six bytes before a payload of this size."""
    length = payload_bytes + HEAD_BYTES
    return _pack(length >> 24 ^ length >> 16 & 255 ^ length >> 8 & 255 ^ length & 255 ^ kind, length, kind)


class FrameReader:
    """Takes the bytes of one connection, however they are split.

    The head is judged before anything behind it is kept, so a length is believed only up to the bound. The
    first `FrameError` is the last call: the place in the stream is lost.

    Args:
        deliver: Is called for each frame, in order. What it raises goes to the caller of `feed`.
        bytes_max: Largest frame, its head included.
    """

    __slots__ = ("_bytes_max", "_deliver", "_needed", "_part")

    def __init__(self, deliver: Deliver, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._deliver = deliver
        self._bytes_max = bytes_max
        self._part = bytearray()
        self._needed = HEAD_BYTES

    def feed(self, data: bytes) -> None:
        """Take what came and deliver all frames that it completes.

        Raises:
            FrameError: The check byte, the length or the type is wrong; the frames before it were delivered.
        """
        if self._part:
            self._part += data
            if len(self._part) < self._needed:
                return
            data = bytes(self._part)
            self._part.clear()
        self._needed = HEAD_BYTES
        start, end = 0, len(data)
        while end - start >= HEAD_BYTES:
            check, length, kind = _unpack_from(data, start)
            if check != length >> 24 ^ length >> 16 & 255 ^ length >> 8 & 255 ^ length & 255 ^ kind:
                raise FrameError("the check byte is wrong: it speaks something else, or bytes were lost")
            if not HEAD_BYTES <= length <= self._bytes_max:
                raise FrameError(f"a frame of {length} bytes; {HEAD_BYTES} to {self._bytes_max} are read")
            if not 1 <= kind <= 8:
                raise FrameError(f"a frame of the unknown type {kind}")
            stop = start + length
            if stop > end:
                self._needed = length
                break
            self._deliver(kind, data[start + HEAD_BYTES : stop])
            start = stop
        if start < end:
            self._part += memoryview(data)[start:]
