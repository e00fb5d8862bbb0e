"""DirectNames: the action that a path itself names (gateway reference, section 2.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["SPECIAL_CHAR", "DirectNames", "SpecialChar"]

SpecialChar: TypeAlias = "str | re.Pattern[str]"

SPECIAL_CHAR: Final = "~"

# Expressions are matched against paths of at most this length (reliability reference, section 5.1).
_PATH_CHARS_MAX: Final = 256
_WORD: Final = re.compile(r"[A-Z]+(?![^\W\dA-Z_])|[A-Z]?[^\W\dA-Z_]+|\d+")


@dataclass(frozen=True, slots=True)
class DirectNames:
    """How the rest of a path is read as the name of an action.

    Attributes:
        special_char: The first of it in the path is a ``$``: text, or an expression that is searched.
        camel_case: Whether each part between slashes or dots is brought to camelCase: ``list-all`` to ``listAll``.
    """

    special_char: SpecialChar = SPECIAL_CHAR
    camel_case: bool = False

    def action(self, rest: str) -> str | None:
        """The name; None for a path with an empty segment, which names nothing.

        Args:
            rest: What follows the route's prefix, without a slash at either end.
        """
        special = self.special_char
        if isinstance(special, str):
            rest = rest.replace(special, "$", 1)
        elif len(rest) <= _PATH_CHARS_MAX:
            rest = special.sub("$", rest, count=1)
        segments = rest.split("/")
        if "" in segments:
            return None
        name = ".".join(segments)
        return ".".join(map(_camel_cased, name.split("."))) if self.camel_case else name


def _camel_cased(part: str) -> str:
    """As lodash has it, but that a ``$`` in front stays, so that lists see an internal action, and letters keep their accents."""
    words: list[str] = _WORD.findall(part) or [""]
    first, *more = words
    return ("$" if part.startswith("$") else "") + first.lower() + "".join(word.capitalize() for word in more)
