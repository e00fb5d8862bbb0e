"""Wildcards of event names, as Moleculer has them (protocol section 5.3).

``*`` is any text within one dot-separated segment, ``**`` any text with dots, ``?`` one character.
A pattern without them is compared as it is.

Node's quirks are kept, since both sides of a mesh must choose the same listeners:

- with one star at the end, a dot directly after the text before it is not seen: ``user*`` matches
  ``user.x`` but not ``userx.y``;
- where a wildcard stands elsewhere, or ``?``, a dot of the pattern stands for any character.

Patterns come from other nodes, too, so they are never compiled into regular expressions: a name is
read once, whatever the pattern (promise S7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_TOKENS: Final = re.compile(r"\*\*|.", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a name matches the pattern."""
    if "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    if "?" not in pattern:
        prefix = pattern.rstrip("*")
        stars = len(pattern) - len(prefix)
        if "*" not in prefix and stars == 2:
            return lambda name: name.startswith(prefix)
        if "*" not in prefix and stars == 1:
            dots_from = len(pattern) if prefix else 0
            return lambda name: name.startswith(prefix) and "." not in name[dots_from:]
    return _automaton(pattern)


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern."""
    return matcher(pattern)(name)


def _automaton(pattern: str) -> Callable[[str], bool]:
    """A matcher for any pattern: bit n of `places` says that n characters of the pattern are done."""
    only: dict[str, int] = {}  # Places that take this very character.
    any_one = within = across = 0  # Places that take any one; where `*` stands before them; where `**` does.
    place = 1
    for token in _TOKENS.findall(pattern):
        if token == "**":
            across |= place
        elif token == "*":
            within |= place
        else:
            if token in "?.":
                any_one |= place
            else:
                only[token] = only.get(token, 0) | place
            place <<= 1
    end = place

    def hears(name: str) -> bool:
        places = 1
        for char in name:
            stay = across if char == "." else across | within
            places = (places & (only.get(char, 0) | any_one)) << 1 | places & stay
            if not places:
                return False
        return bool(places & end)

    return hears
