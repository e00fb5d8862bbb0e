"""Request targets: the path, decoded once and checked, and the query (RFC 9112 section 3.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from tautomer.errors import BadRequestError

__all__ = ["decode_path", "split_target"]

_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIDDEN_SLASH = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
# C1 controls (U+0080 to U+009F) too: some terminals and log viewers obey them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def split_target(target: str) -> tuple[str, str]:
    """Decoded path and raw query string of an origin-form or absolute-form target, in visible ASCII.

    The host of an absolute target is dropped: it has no say in routing.

    Raises:
        BadRequestError: `INVALID_PATH`, as `decode_path`; also for a target of another form.
    """
    if target[:1] != "/":
        match = _ABSOLUTE.match(target)
        if match is None:
            raise _refused("it does not begin with '/'")
        target = target[match.end() :]
        if target[:1] != "/":
            target = "/" + target
    path, _, query_string = target.partition("?")
    # By far most paths hold neither an escape nor anything that could be a dot segment.
    if "%" in path or "/." in path or "\\" in path or "#" in path or not path.isprintable():
        path = decode_path(path)
    return path, query_string


def decode_path(path: str) -> str:
    """Percent-decode a path once; what comes out serves routing, access rules, limits and logs alike.

    Raises:
        BadRequestError: `INVALID_PATH` for what one of these might read differently from another: a broken
            escape, bytes that are not UTF-8, control characters, a backslash, an encoded slash or backslash,
            a ``.`` or ``..`` segment in any spelling, a fragment.
    """
    if "#" in path:
        raise _refused("it holds a fragment")
    if "%" in path:
        if _BAD_ESCAPE.search(path):
            raise _refused("it holds a broken percent escape")
        if _HIDDEN_SLASH.search(path):
            raise _refused("it holds an encoded slash or backslash")
        try:
            path = unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            raise _refused("it is not UTF-8") from None
    if "\\" in path:
        raise _refused("it holds a backslash")
    if _CONTROL.search(path):
        raise _refused("it holds a control character")
    for segment in path.split("/"):
        if segment in (".", ".."):
            raise _refused("it holds a '.' or '..' segment")
    return path


def _refused(reason: str) -> BadRequestError:
    return BadRequestError("INVALID_PATH", {"reason": reason})
