"""Entity tags, and whether a client already has what it asks for (RFC 9110, sections 8.8.3 and 13)."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import sha1

from tautomer.web.messages.message import Request

__all__ = ["as_tag", "is_fresh", "is_strong_match", "is_wanted", "strong_tag", "weak_tag"]

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_OPAQUE = re.compile(r"[\x21\x23-\x7e]+")
_NO_CACHE = re.compile(r"(?:^|,)[ \t]*no-cache[ \t]*(?:,|$)", re.IGNORECASE)


def strong_tag(body: bytes) -> str:
    """``"<length in hex>-<27 characters of base64 SHA-1>"``, as moleculer-web makes it (gateway reference, 4.4)."""
    digest = b64encode(sha1(body, usedforsecurity=False).digest())[:27].decode("ascii")
    return f'"{len(body):x}-{digest}"'


def weak_tag(body: bytes) -> str:
    """The same with ``W/`` in front."""
    return f"W/{strong_tag(body)}"


def as_tag(given: object) -> str | None:
    """What somebody's function made, as an entity tag: quoted where it is not; None where it cannot be one."""
    if not isinstance(given, str):
        return None
    if _TAG.fullmatch(given):
        return given
    return f'"{given}"' if _OPAQUE.fullmatch(given) else None


def is_fresh(request: Request, tag: str | None, modified: str | None) -> bool:
    """Whether what the client kept is what it would be sent now.

    ``If-None-Match`` decides alone where it is there (RFC 9110, 13.2.2). ``Cache-Control: no-cache`` asks for the whole
    answer, as moleculer-web has it.

    Args:
        tag: ``ETag`` of the answer.
        modified: Its ``Last-Modified``.
    """
    cache_control = request.header("cache-control")
    if cache_control is not None and _NO_CACHE.search(cache_control):
        return False
    known = request.header("if-none-match")
    if known is not None:
        if known == "*":
            return True
        # What is no tag, as an action may have made it, is compared as it stands.
        return tag is not None and (known == tag or _opaque(tag) in map(_opaque, _TAG.findall(known)))
    since = request.header("if-modified-since")
    if since is None or modified is None:
        return False
    then, now = _seconds(since), _seconds(modified)
    return then is not None and now is not None and now <= then


def is_wanted(request: Request, tag: str | None, modified: str | None) -> bool:
    """Whether what would be sent is what the client wants only: `If-Match`, else `If-Unmodified-Since` (RFC 9110, 13.1).

    Args:
        tag: ``ETag`` of the answer; compared as strong tags are, so a weak one is never meant.
        modified: Its ``Last-Modified``; without one, and for what is no date, everything is wanted.
    """
    wanted = request.header("if-match")
    if wanted is not None:
        return wanted == "*" or (tag is not None and not tag.startswith("W/") and tag in _TAG.findall(wanted))
    until = request.header("if-unmodified-since")
    if until is None or modified is None:
        return True
    then, now = _seconds(until), _seconds(modified)
    return then is None or now is None or now <= then


def is_strong_match(given: str, tag: str, modified: str) -> bool:
    """Whether an ``If-Range`` means this very representation (RFC 9110, 13.1.5): a strong tag, or the exact date."""
    return given in (tag, modified) and not given.startswith("W/")


def _opaque(tag: str) -> str:
    """For the weak comparison, in which ``W/`` does not count."""
    return tag.removeprefix("W/")


def _seconds(date: str) -> float | None:
    """An HTTP date in seconds since 1970, or None if it is none."""
    try:
        parsed = parsedate_to_datetime(date)
        # Every HTTP date is GMT, whether it says so or not (RFC 9110, 5.6.7).
        return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
