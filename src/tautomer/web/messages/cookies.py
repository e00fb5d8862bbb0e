"""The ``Cookie`` request header (RFC 6265 section 4.2), read leniently as servers must."""

from __future__ import annotations

import re

__all__ = ["parse_cookies"]

# How `http.cookies` of the standard library, and so many Python programs, write what a value may not hold.
_QUOTED = re.compile(r"\\([0-3][0-7][0-7]|.)", re.DOTALL)


def parse_cookies(text: str) -> dict[str, str]:
    """``a=b; c="d"`` to ``{"a": "b", "c": "d"}``. Of equal names the last wins; what is no pair is skipped."""
    cookies = {}
    for pair in text.split(";"):
        name, separator, value = pair.partition("=")
        name = name.strip()
        if separator and name:
            cookies[name] = _unquoted(value.strip())
    return cookies


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _QUOTED.sub(lambda match: chr(int(match[1], 8)) if len(match[1]) == 3 else match[1], value[1:-1])
