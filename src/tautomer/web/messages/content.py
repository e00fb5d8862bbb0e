"""What a request body holds: unpacked, decoded, and refused where it could be read in two ways.

Rules and answers: reliability reference, section 5.1.
"""

from __future__ import annotations

import codecs
import re
import zlib

import msgspec

from tautomer.errors import BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError
from tautomer.protocol.nesting import Uncollected, is_deeper

try:
    import brotli
except ModuleNotFoundError:
    brotli = None

__all__ = ["CHARSETS", "charset_of", "decode_json", "decode_text", "inflate"]

_CHARSET = re.compile(r';[ \t]*charset[ \t]*=[ \t]*"?([^\s;"]+)', re.IGNORECASE)

_decode_json = msgspec.json.Decoder().decode

# What is looked up is fixed: Python's own `codecs.lookup` imports modules by the name it is given, and
# remembers every name it did not find.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-15": "iso8859-15",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
# Escapes of JSON, one after the other; the group is a surrogate that is not half of a pair.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F])|.)", re.DOTALL)
# A gzip body may have several (RFC 1952 section 2.2). Each costs a copy of what follows it.
_GZIP_MEMBERS_MAX = 32
# Bytes that Brotli may unpack before somebody looks at how many there are.
_BROTLI_STEP = 64 * 1024
# Before 1.2 it unpacks without a bound: a few bytes could fill the memory.
_HAS_BROTLI = hasattr(getattr(brotli, "Decompressor", None), "can_accept_more_data")


def inflate(data: bytes, encoding: str, bytes_max: int) -> bytes:
    """Undo a ``Content-Encoding``: gzip, deflate (with or without its zlib wrapper), br or identity.

    br is Brotli (RFC 7932); it is known where the package `brotli` (1.2 or later) is installed.

    `bytes_max` bounds what comes out, 0 for no bound; never much more than that is held in memory.

    Raises:
        UnsupportedMediaTypeError: `UNSUPPORTED_ENCODING`, any other encoding, or several.
        BadRequestError: `INVALID_BODY`, the data is broken, cut, or followed by something else.
        PayloadTooLarge: More than `bytes_max` come out.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip":
            return _inflate_all(data, zlib.MAX_WBITS | 16, bytes_max, _GZIP_MEMBERS_MAX)
        case "deflate":
            # RFC 9110 section 8.4.1.2 means the zlib format; some senders leave the wrapper out.
            wrapped = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            return _inflate_all(data, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, bytes_max)
        case "br" if _HAS_BROTLI:
            return _inflate_brotli(data, bytes_max)
    known = "gzip, deflate, identity" if not _HAS_BROTLI else "gzip, deflate, br, identity"
    raise UnsupportedMediaTypeError("UNSUPPORTED_ENCODING", {"reason": f"known encodings: {known}"})


def _inflate_all(data: bytes, window_bits: int, bytes_max: int, members_max: int = 1) -> bytes:
    out = bytearray()
    try:
        for _ in range(members_max):
            member = zlib.decompressobj(window_bits)
            out += member.decompress(data, bytes_max + 1 - len(out) if bytes_max else 0)
            if bytes_max and len(out) > bytes_max:
                raise PayloadTooLarge({"limit": bytes_max})
            if not member.eof:
                raise _broken("the compressed body is cut short")
            data = member.unused_data
            if not data:
                return bytes(out)
    except zlib.error:
        raise _broken("the compressed body is broken") from None
    raise _broken("the compressed body is followed by other bytes")


def _inflate_brotli(data: bytes, bytes_max: int) -> bytes:
    out = bytearray()
    unpacker = brotli.Decompressor()
    try:
        while True:
            piece = unpacker.process(data, output_buffer_limit=_BROTLI_STEP)
            out += piece
            if bytes_max and len(out) > bytes_max:
                raise PayloadTooLarge({"limit": bytes_max})
            if unpacker.is_finished():
                return bytes(out)
            if not piece:
                raise _broken("the compressed body is cut short")
            data = b""
    except brotli.error:
        raise _broken("the compressed body is broken, or followed by other bytes") from None


def charset_of(content_type: str, default: str = "utf-8") -> str:
    """The ``charset`` parameter in lower case; `default` where there is none."""
    match = _CHARSET.search(content_type)
    return match[1].lower() if match else default


def decode_text(data: bytes, charset: str) -> str:
    """Bytes as text.

    Raises:
        UnsupportedMediaTypeError: `UNSUPPORTED_TYPE`, the charset is unknown.
        BadRequestError: `INVALID_BODY`, the bytes are not of this charset.
    """
    name = CHARSETS.get(charset.lower())
    if name is None:
        raise UnsupportedMediaTypeError("UNSUPPORTED_TYPE", {"reason": "the charset is not known"})
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        raise _broken(f"the body is not {name}") from None


def decode_json(data: bytes, charset: str = "utf-8", depth_max: int = 64) -> object:
    """One JSON document of any kind, scalars included. Of equal keys the last wins, as in JavaScript.

    Raises:
        UnsupportedMediaTypeError: `UNSUPPORTED_TYPE`, a charset other than UTF-8 (RFC 8259 section 8.1).
        BadRequestError: `INVALID_BODY`, not JSON, not UTF-8, a lone surrogate, a number beyond range or of
            more than 4,300 digits, or more bytes after the document. `TOO_DEEP`, nested deeper than
            `depth_max` (0: as deep as the decoder goes).
    """
    if charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise UnsupportedMediaTypeError("UNSUPPORTED_TYPE", {"reason": "JSON is UTF-8"})
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
    opened = data.count(b"[") + data.count(b"{")
    try:
        with Uncollected(opened):
            value: object = _decode_json(data)
    except RecursionError:
        raise _too_deep(depth_max) from None
    except ValueError as error:
        raise _broken(_reason(error, data)) from None
    if depth_max and opened > depth_max and is_deeper(value, depth_max, opened):
        raise _too_deep(depth_max)
    return value


def _reason(error: ValueError, data: bytes) -> str:
    """A decoder's complaint in words that hold nothing of the body."""
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    if any(escape[1] for escape in _ESCAPE.finditer(data)):
        return "a text holds half of a surrogate pair"
    return str(error)


def _broken(reason: str) -> BadRequestError:
    return BadRequestError("INVALID_BODY", {"reason": reason})


def _too_deep(depth_max: int) -> BadRequestError:
    return BadRequestError("TOO_DEEP", {"reason": f"nested deeper than {depth_max} levels"})
