"""A client's frames, byte by byte."""

from __future__ import annotations

import struct

MASK = b"\x12\x34\x56\x78"


def masked(data: bytes, mask: bytes = MASK) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = MASK) -> bytes:
    """One frame; `rsv` is 4 for the first reserved bit, 2 and 1 for the others."""
    first = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    length = len(payload)
    if length < 126:
        size = bytes((0x80 | length,))
    elif length < 65536:
        size = b"\xfe" + struct.pack("!H", length)
    else:
        size = b"\xff" + struct.pack("!Q", length)
    return first + size + mask + masked(payload, mask)
