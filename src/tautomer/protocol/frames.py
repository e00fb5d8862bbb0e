"""Frames of the TCP transporter: a head of six bytes, then one packet (protocol reference, section 2.12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
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

HEADS_KEPT: Final = 4096
"""Packets of one kind are mostly of few sizes: what a head means is looked up, not worked out again."""

_HEAD = struct.Struct(">BIB")


class FrameError(Exception):
    """The other end does not speak Moleculer's frames, or bytes were lost. The connection is of no more use."""


@lru_cache(maxsize=HEADS_KEPT)
def frame_head(kind: int, payload_bytes: int) -> bytes:
    """The six bytes before a payload of this size."""
    length = payload_bytes + HEAD_BYTES
    return _HEAD.pack(_check_byte(length, kind), length, kind)


@lru_cache(maxsize=HEADS_KEPT)
def read_head(head: bytes) -> tuple[int, int]:
    """Length of the whole frame, and its type.

    Raises:
        FrameError: It is no head.
    """
    check, length, kind = _HEAD.unpack(head)
    if check != _check_byte(length, kind):
        raise FrameError("the check byte is wrong: it speaks something else, or bytes were lost")
    if length < HEAD_BYTES:
        raise FrameError(f"a frame of {length} bytes; a head alone has {HEAD_BYTES}")
    if not 1 <= kind <= len(KINDS):
        raise FrameError(f"a frame of the unknown type {kind}")
    return length, kind


def _check_byte(length: int, kind: int) -> int:
    return length >> 24 ^ length >> 16 & 255 ^ length >> 8 & 255 ^ length & 255 ^ kind


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
        start, end, deliver = 0, len(data), self._deliver
        while end - start >= HEAD_BYTES:
            body = start + HEAD_BYTES
            length, kind = read_head(data[start:body])
            if length > self._bytes_max:
                raise FrameError(f"a frame of {length} bytes; at most {self._bytes_max} are read")
            stop = start + length
            if stop > end:
                self._needed = length
                break
            deliver(kind, data[body:stop])
            start = stop
        if start < end:
            self._part += memoryview(data)[start:]
