"""Compression of messages: permessage-deflate (RFC 7692), each message for itself. Pure.

Neither side keeps anything from one message to the next (no context takeover): what a window of each would cost for
thousands of sockets is saved, and a broadcast is compressed once for all.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["COMPRESS_BYTES_MIN", "Deflate", "TooLong", "negotiate"]

NAME: Final = "permessage-deflate"

COMPRESS_BYTES_MIN: Final = 256
"""Shorter messages go out as they are: there is hardly anything to gain."""

_OWN: Final = ("server_no_context_takeover", "client_no_context_takeover")
_TAIL: Final = b"\x00\x00\xff\xff"
_WINDOW_BITS_MAX: Final = 15
# zlib cannot make a raw stream with a window of 8 bits; it would take 9.
_WINDOW_BITS_MIN: Final = 9
_OFFERS_MAX: Final = 16


class TooLong(Exception):
    """More comes out than the limit allows."""


class Deflate:
    """What was agreed upon with one client. The same for all that agreed upon the same.

    Attributes:
        window_bits: Of what this side compresses, 9 to 15.
    """

    __slots__ = ("window_bits",)

    def __init__(self, window_bits: int = _WINDOW_BITS_MAX) -> None:
        self.window_bits = window_bits

    def deflate(self, message: bytes) -> bytes:
        """The payload of a compressed message."""
        packer = zlib.compressobj(wbits=-self.window_bits)
        packed = packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH)
        return packed[: -len(_TAIL)]

    def inflate(self, payload: bytes, bytes_max: int) -> bytes:
        """The message in the payload of a compressed one.

        Args:
            bytes_max: Longest message; 0 for no end. Hardly more than that is ever held.

        Raises:
            TooLong: Over it.
            ValueError: The payload is broken.
        """
        unpacker = zlib.decompressobj(wbits=-_WINDOW_BITS_MAX)
        try:
            message = unpacker.decompress(payload + _TAIL, bytes_max + 1 if bytes_max else 0)
        except zlib.error:
            raise ValueError("the compressed message is broken") from None
        if bytes_max and len(message) > bytes_max:
            raise TooLong
        if unpacker.unused_data not in (b"", _TAIL):
            raise ValueError("the compressed message is followed by other bytes")
        return message


def negotiate(offered: str) -> tuple[Deflate, str] | None:
    """The first offer that can be taken, and the answer to it; None where there is none.

    Args:
        offered: Header ``Sec-WebSocket-Extensions``, its lines joined by commas.
    """
    for offer in offered.split(",", _OFFERS_MAX)[:_OFFERS_MAX]:
        name, *params = [part.strip() for part in offer.split(";")]
        if name.lower() == NAME and (bits := _window_bits(params)) is not None:
            told = f"; server_max_window_bits={bits}" if any("server_max" in one for one in params) else ""
            return Deflate(bits), f"{NAME}; {'; '.join(_OWN)}{told}"
    return None


def _window_bits(params: list[str]) -> int | None:
    """The window that an offer leaves this side; None for an offer that cannot be taken (RFC 7692 section 7.1)."""
    seen: dict[str, str] = {}
    for param in params:
        name, equals, value = (part.strip() for part in param.partition("="))
        if name in seen or (equals and not value):
            return None
        seen[name] = value.strip('"')
    bits = _WINDOW_BITS_MAX
    for name, value in seen.items():
        if name in _OWN:
            if value:
                return None
        elif name == "client_max_window_bits":
            if value and not _is_bits(value, 8):
                return None
        elif name == "server_max_window_bits" and _is_bits(value, _WINDOW_BITS_MIN):
            bits = int(value)
        else:
            return None
    return bits


def _is_bits(value: str, least: int) -> bool:
    return value.isascii() and value.isdigit() and value[0] != "0" and least <= int(value[:3]) <= _WINDOW_BITS_MAX
