"""From exceptions to the codes of JSON-RPC (JSON-RPC reference, section 3). Pure.

The gateway tells its clients of them, `MeshClient` its callers.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, Final

from tautomer.errors import (
    ForbiddenError,
    MoleculerError,
    QueueIsFullError,
    RateLimitExceeded,
    RemoteError,
    RequestRejectedError,
    RequestSkippedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    UnAuthorizedError,
)
from tautomer.protocol.jsonrpc import ACCESS_DENIED, OVERLOADED, TIMED_OUT, UNAVAILABLE

__all__ = ["code_of", "detail_of", "expected_data", "words"]

_CODES: Final[tuple[tuple[type[MoleculerError], int], ...]] = (
    (ServiceNotFoundError, UNAVAILABLE),
    (ServiceNotAvailableError, UNAVAILABLE),
    (ServiceUnavailableError, UNAVAILABLE),
    (RequestTimeoutError, TIMED_OUT),
    (RequestSkippedError, TIMED_OUT),
    (QueueIsFullError, OVERLOADED),
    (RateLimitExceeded, OVERLOADED),
    (RequestRejectedError, OVERLOADED),
    (UnAuthorizedError, ACCESS_DENIED),
    (ForbiddenError, ACCESS_DENIED),
)


def code_of(error: BaseException) -> int | None:
    """The code that a kind of error has of its own; None where it is one of many."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def detail_of(code: int, error: BaseException, action: str, timeout: float | None) -> dict[str, Any] | None:
    """The `data` beside such a code."""
    if code == UNAVAILABLE:
        return {"action": action}
    if code == TIMED_OUT:
        return {"timeout": timeout} if timeout else None
    if code == OVERLOADED:
        data = getattr(error, "data", None)
        wait = data.get("retryAfter") if isinstance(data, Mapping) else None
        return {"retryAfter": wait} if isinstance(wait, int | float) else None
    return None


def expected_data(error: BaseException, entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `data` of an exception that the method's mark lists, with class and text; None for any other.

    Args:
        entry: What a node tells of the method.
    """
    expected = None if entry is None else entry.get("expectedExceptions")
    if not isinstance(expected, list):
        return None
    name = error.name if isinstance(error, MoleculerError) else type(error).__name__
    # What comes from another node is known by its name; of Python's own classes we know the bases, too.
    kind = getattr(builtins, name, None) if isinstance(error, RemoteError) else type(error)
    bases = {one.__name__ for one in kind.__mro__} if isinstance(kind, type) else set()
    if name not in expected and bases.isdisjoint(expected):
        return None
    data = getattr(error, "data", None)
    own = {str(key): value for key, value in data.items()} if isinstance(data, Mapping) else {}
    return {**own, "class": name, "info": words(error)}


def words(error: BaseException) -> str:
    """The text of an exception, also of one that cannot tell it."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__
