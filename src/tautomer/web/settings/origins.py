"""Origins: which sites a list lets in. Pure; compared on scheme, host and port (reliability reference, section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["ORIGIN_CHARS_MAX", "Origin", "Origins", "parse_origin"]

ORIGIN_CHARS_MAX: Final = 256
"""A longer ``Origin`` is nobody's: a host has at most 253 characters (RFC 1035)."""

_FORM: Final = r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[{}]+)(?::([0-9]{{1,5}}))?"
_ORIGIN = re.compile(_FORM.format("a-z0-9_.-"), re.IGNORECASE)
_ENTRY = re.compile(_FORM.format("a-z0-9_.*?-"), re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a script comes from (RFC 6454).

    Attributes:
        scheme: In lower case.
        host: In lower case; an IPv6 address in its brackets.
        port: The scheme's own where none was written; 0 for a scheme that has none.
    """

    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin | None:
    """The origin that a text is, or None if it is none: a path, a user, blanks, ``null``."""
    return _parsed(_ORIGIN, text)


def _parsed(form: re.Pattern[str], text: str) -> Origin | None:
    match = form.fullmatch(text) if len(text) <= ORIGIN_CHARS_MAX and text.isascii() else None
    if match is None:
        return None
    scheme = match[1].lower()
    port = int(match[3]) if match[3] else _DEFAULT_PORTS.get(scheme, 0)
    return Origin(scheme, match[2].lower(), port) if port <= 65535 else None


class Origins:
    """A list of origins, some of them with wildcards in the host.

    ``*`` and ``?`` stand for characters of one label of the host (the part between two dots), never for a dot;
    a label that is ``**`` stands for one label or more. Scheme and port are always exact.

    Raises:
        ValueError: An entry is no origin; the text goes on after the setting's name.
    """

    __slots__ = ("_exact", "_wild")

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact: set[Origin] = set()
        self._wild: list[tuple[str, re.Pattern[str], int]] = []
        for entry in entries:
            origin = _parsed(_ENTRY, entry)
            if origin is None:
                raise ValueError(
                    f"holds origins such as 'https://example.com' or 'http://localhost:3000', not {entry!r:.80}"
                )
            if "*" not in origin.host and "?" not in origin.host:
                self._exact.add(origin)
            else:
                self._wild.append((origin.scheme, re.compile(_hosts(origin.host)), origin.port))

    def permit(self, text: str) -> bool:
        """Whether an ``Origin`` header names one of them."""
        origin = parse_origin(text)
        if origin is None:
            return False
        return origin in self._exact or any(
            scheme == origin.scheme and port == origin.port and host.fullmatch(origin.host) is not None
            for scheme, host, port in self._wild
        )


# What may stand in a label; `fullmatch` against it costs the length of the host, which has a bound.
_LABEL: Final = "[a-z0-9_-]"


def _hosts(wild: str) -> str:
    """The pattern of a host with wildcards."""
    return r"\.".join(_labels(label) for label in wild.split("."))


def _labels(wild: str) -> str:
    if wild == "**":
        return rf"{_LABEL}+(?:\.{_LABEL}+)*"
    if wild == "*":
        return f"{_LABEL}+"
    signs = {"*": f"{_LABEL}*", "?": _LABEL}
    return "".join(signs.get(sign) or re.escape(sign) for sign in re.sub(r"\*+", "*", wild))
