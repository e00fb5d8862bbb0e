"""Conditional requests: an ETag for what has none, and 304 for what the client has already (gateway reference, 4.4).

Unlike moleculer-web's, 304 answers GET and HEAD only: for any other method it would hide that the action ran.
"""

from __future__ import annotations

import logging

from tautomer.web.messages.entity_tag import as_tag, is_fresh
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.records import Tagger

__all__ = ["header_of", "if_changed", "with_tag"]

log = logging.getLogger("tautomer.web")

# What describes the body that is then left out (RFC 9110, 15.4.5).
_OF_THE_BODY = frozenset(
    {
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
    }
)


def header_of(reply: Reply, name: str) -> str | None:
    """A header of a reply; `name` in lower case."""
    return next((value for known, value in reply.headers if known.lower() == name), None)


def with_tag(reply: Reply, tagger: Tagger, action: str) -> Reply:
    """Give a reply an ETag if it has none; a stream, and what is empty, gets none.

    Raises:
        Whatever a user's tagger raises.
    """
    body = reply.body
    if isinstance(body, bytes) and body and header_of(reply, "etag") is None:
        tag = as_tag(tagger(body))
        if tag is None:
            log.warning("no ETag: the function gave no text fit for one", extra={"action": action})
        else:
            reply.headers.append(("ETag", tag))
    return reply


def if_changed(request: Request, reply: Reply) -> Reply:
    """The reply, or 304 in its place where the client has it already."""
    if (
        request.method in ("GET", "HEAD")
        and 200 <= reply.status <= 299
        and is_fresh(request, header_of(reply, "etag"), header_of(reply, "last-modified"))
    ):
        reply.status, reply.reason = 304, None
        reply.headers = [line for line in reply.headers if line[0].lower() not in _OF_THE_BODY]
        if isinstance(reply.body, bytes):
            reply.body = b""  # A stream the server closes unread.
    return reply
