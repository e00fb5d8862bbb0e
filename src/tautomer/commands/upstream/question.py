"""Question: one request to an upstream server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from tautomer.commands.upstream.destination import Destination

__all__ = ["IDEMPOTENT", "Question"]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that do no more when they are run twice (RFC 9110 section 9.2.2)."""


class Question(msgspec.Struct, eq=False):
    """One request.

    Attributes:
        method: As it goes out.
        to: Where it goes.
        headers: Lines, without `Host` and without framing.
        body: Bytes, or pieces as they come.
        length: Bytes of the pieces together; None where that is not known.
        asks_first: Whether the server is asked before the body is sent (``Expect: 100-continue``).
    """

    method: str
    to: Destination
    headers: Sequence[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] = b""
    length: int | None = None
    asks_first: bool = False
