"""Which actions a route lets through: whitelist, blacklist, and the doors that are always shut."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = ["AccessRules", "Mask", "mask_fault"]

Mask: TypeAlias = "str | re.Pattern[str]"

# Expressions are matched against names of at most this length (reliability reference, section 5.1).
_NAME_CHARS_MAX: Final = 256
_WILDCARD = re.compile(r"(\*\*|\*|\?|\[!?[^\[\]]+\])")
_MEANING: Final = {"**": ".*", "*": "[^.]*", "?": "."}


def mask_fault(mask: object) -> str | None:
    """Why this cannot be an entry of a list, or None."""
    if isinstance(mask, re.Pattern):
        return None if isinstance(mask.pattern, str) else "an expression for text, not for bytes"
    if not isinstance(mask, str) or not mask:
        return f"an action name, a pattern such as 'users.*', or a compiled expression, not {mask!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _compiled(mask)
    except (re.error, Warning) as error:
        return f"an action name or a pattern such as 'users.*', and {mask!r} is none: {error}"
    return None


def _compiled(mask: Mask) -> re.Pattern[str]:
    """``*`` is any text within one dotted part, ``**`` across them, ``?`` one character, ``[abc]`` and ``[!abc]`` one of them.

    The last as moleculerpy-web's shell-style patterns have it; its ``*``, which crosses dots, is ``**`` here.
    Stricter than the matching of event names, which keeps Node's quirks (a dot that stands for any
    character): a list that guards means what it says.
    """
    if isinstance(mask, re.Pattern):
        return mask
    text = "".join(_MEANING.get(part) or _one_of(part) or re.escape(part) for part in _WILDCARD.split(mask))
    return re.compile(rf"\A(?:{text})\Z", re.DOTALL)


def _one_of(part: str) -> str | None:
    """The expression for ``[abc]``; None for another part of a mask."""
    if not _WILDCARD.fullmatch(part):
        return None
    turned, members = part[1] == "!", part[1:-1].removeprefix("!")
    return f"[{'^' if turned else ''}{''.join(char if char == '-' else re.escape(char) for char in members)}]"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The lists of one route. Pure: a name in, a verdict out.

    Attributes:
        whitelist: Only these; None for all, empty for none. Expressions are searched, as moleculer-web does.
        blacklist: None of these; tried second.
    """

    whitelist: Sequence[Mask] | None = None
    blacklist: Sequence[Mask] = ()
    _white: tuple[re.Pattern[str], ...] = field(init=False, repr=False)
    _black: tuple[re.Pattern[str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_white", tuple(map(_compiled, self.whitelist or ())))
        object.__setattr__(self, "_black", tuple(map(_compiled, self.blacklist)))

    def permits(self, action: str) -> bool:
        """Whether an alias of the route may lead to the action."""
        if len(action) > _NAME_CHARS_MAX:
            return False
        if self.whitelist is not None and not any(mask.search(action) for mask in self._white):
            return False
        return not any(mask.search(action) for mask in self._black)

    def permits_direct(self, action: str, own_service: str) -> bool:
        """Whether the action may be named by the path itself, under the mapping policy ``all``.

        Internal actions (``$node.list``) only where an entry of the whitelist says so by beginning
        with ``$``; the gateway's own never.
        """
        if action.startswith(f"{own_service}."):
            return False
        if action.startswith("$") and not any(
            isinstance(mask, str) and mask.startswith("$") and compiled.search(action)
            for mask, compiled in zip(self.whitelist or (), self._white, strict=True)
        ):
            return False
        return self.permits(action)
