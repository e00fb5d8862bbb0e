"""Ranges: the parts of a file that a client asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["RANGES_MAX", "RangeNotSatisfiable", "parse_ranges"]

RANGES_MAX: Final = 5
"""More parts in one request are an attack rather than a wish (reliability reference, section 5.1)."""

_FORM = re.compile(r"bytes[ \t]*=(.*)", re.IGNORECASE)
# A file has less than 10**18 bytes; of longer numbers none is kept.
_PART = re.compile(r"[ \t]*([0-9]{1,18})?-([0-9]{1,18})?[ \t]*")


class RangeNotSatisfiable(Exception):
    """No part that was asked for is in the file, or there are too many."""


def parse_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """Parts of a file of `size` bytes, each from its first byte to the one after its last; in order, none over another.

    None where the header is to be ignored: another unit, or not in the form.

    Raises:
        RangeNotSatisfiable: All parts lie behind the end, or there are more than `RANGES_MAX`.
    """
    form = _FORM.fullmatch(header)
    if form is None:
        return None
    written = form[1].split(",")
    if len(written) > RANGES_MAX:
        raise RangeNotSatisfiable
    parts = []
    for one in written:
        match = _PART.fullmatch(one)
        if match is None or (match[1] is None and match[2] is None):
            return None
        first, last = match[1], match[2]
        if first is None:
            begin, end = max(0, size - int(last)), size
        else:
            begin, end = int(first), min(size, int(last) + 1) if last else size
            if last and int(last) < begin:
                return None
        if begin < end:
            parts.append((begin, end))
    if not parts:
        raise RangeNotSatisfiable
    return _joined(sorted(parts))


def _joined(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that overlap or touch made one, so that no byte is sent twice."""
    joined = [parts[0]]
    for begin, end in parts[1:]:
        last = joined[-1]
        if begin <= last[1]:
            joined[-1] = (last[0], max(last[1], end))
        else:
            joined.append((begin, end))
    return joined
