"""Header lines as they go out, and what must not."""

from __future__ import annotations

import logging
import re
from typing import Final
from urllib.parse import quote

__all__ = ["PRINTABLE", "header_line"]

log = logging.getLogger("tautomer.web")

PRINTABLE: Final = bytes(range(0x20, 0x7F))

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LATIN_1 = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_ASCII = "\t" + PRINTABLE.decode()
# Framing and the connection are the server's own business (RFC 9110 section 7.6.1), and so is the date.
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def header_line(name: str, value: str, verbatim: bool = False) -> str:
    """``"Name: value"`` and its line end; nothing, and a line in the log, if it must not go out.

    Args:
        verbatim: As in `Reply`.
    """
    if not _TOKEN.fullmatch(name):
        log.warning("reply header dropped: its name is no token", extra={"header": ascii(name)[:80]})
        return ""
    if name.lower() in _OURS:
        if name.lower() != "date":
            log.warning("reply header dropped: the server sets it", extra={"header": name})
        return ""
    if _CONTROL.search(value):
        log.warning("reply header dropped: its value holds a control character", extra={"header": name})
        return ""
    if verbatim and _LATIN_1.fullmatch(value):
        return f"{name}: {value}\r\n"
    # As moleculer-web does; a header has no charset of its own.
    return f"{name}: {quote(value, safe=_ASCII, errors='replace')}\r\n"
