"""Accept: what a client would like to be sent (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["preferred", "quality"]

_WEIGHT = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The type that is liked best, of equals the first one offered; None if the client takes none of them."""
    best = max(offered, key=lambda media_type: quality(accept, media_type))
    return best if quality(accept, best) > 0 else None


def quality(accept: str, media_type: str, *, named: bool = False) -> float:
    """How much a type is liked, 0 to 1: the weight of the narrowest range that fits it.

    Args:
        media_type: In lower case, without parameters.
        named: Count the type only where it is written out, not below a ``*``.
    """
    main = media_type.partition("/")[0]
    ranges = [media_type] if named else [media_type, f"{main}/*", "*/*"]
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = part.split(";")
        weights.setdefault(media_range.strip().lower(), _weight(parameters))
    return next((weights[media_range] for media_range in ranges if media_range in weights), 0.0)


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        match = _WEIGHT.fullmatch(parameter)
        if match:
            return float(match[1])
    return 1.0
