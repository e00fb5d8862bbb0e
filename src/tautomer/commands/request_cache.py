"""The request cache: within one request the same is asked for once (resilience reference, section 9).

A request is the outermost context: one HTTP request, one call from outside, or a block ``with request_context():``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import CURRENT

if TYPE_CHECKING:
    from tautomer.commands.handle import Handle
    from tautomer.context import Context

__all__ = ["RequestScope", "request_context", "scope_now"]

log = logging.getLogger("tautomer.commands")

_PLACE: Final = "$commands"
"""Where the outermost context keeps its scope, among its `locals`."""


class RequestScope:
    """What was asked for in one request. It ends with the request, as nothing else knows of it.

    Attributes:
        kept: Executions by command key and cache key, those that run still among them.
        batches: Batches that are being collected, by collapser and loop.
    """

    __slots__ = ("__weakref__", "batches", "kept", "lock")

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Handle] = {}
        self.batches: dict[Any, Any] = {}
        # Threads of the request may ask, too.
        self.lock = Lock()


_SCOPE: Final[ContextVar[RequestScope | None]] = ContextVar("tautomer.commands.request", default=None)


@contextmanager
def request_context(ctx: Context[Any] | None = None) -> Iterator[RequestScope]:
    """A request of its own: what runs in the block asks for the same thing once.

    Args:
        ctx: The context whose time, meta and request id count in the block; None: the one that counts already, if any.
    """
    scope = RequestScope()
    token = _SCOPE.set(scope)
    outer = None if ctx is None else CURRENT.set(ctx)
    try:
        yield scope
    finally:
        if outer is not None:
            CURRENT.reset(outer)
        _SCOPE.reset(token)


def scope_now() -> RequestScope | None:
    """The scope of the request that is being worked on, or None."""
    scope = _SCOPE.get()
    if scope is not None:
        return scope
    ctx = CURRENT.get()
    if ctx is None:
        return None
    while ctx.parent is not None:
        ctx = ctx.parent
    made: RequestScope = ctx.locals.setdefault(_PLACE, RequestScope())
    return made
