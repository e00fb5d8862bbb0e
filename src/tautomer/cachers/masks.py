"""Masks of keys: which entries are to be cleaned."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tautomer.registry.matching import matcher

__all__ = ["mask"]

_STARS: Final = re.compile(r"\*+")


def mask(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a key fits.

    Here ``*`` crosses dots, as with Node's Redis cacher; with its memory cacher it does not, so that ``users.*`` leaves
    ``users.get:"a@b.c"`` behind. To clean too much costs time, too little gives wrong answers.
    """
    if "?" in pattern:
        return matcher(_STARS.sub("**", pattern))
    first, *parts = _STARS.split(pattern)
    if not parts:
        return pattern.__eq__
    *inner, last = parts
    inner = [part for part in inner if part]
    if not inner and not last:
        return lambda key: key.startswith(first)

    def fits(key: str) -> bool:
        if not key.startswith(first) or not key.endswith(last):
            return False
        place, end = len(first), len(key) - len(last)
        for part in inner:
            found = key.find(part, place, end)
            if found < 0:
                return False
            place = found + len(part)
        return place <= end

    return fits
