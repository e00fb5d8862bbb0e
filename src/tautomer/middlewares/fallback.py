"""Fallbacks of actions: what is answered in place of an error."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from tautomer.context import Context
from tautomer.errors import ServiceSchemaError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint

log = logging.getLogger("tautomer.fallbacks")


class Fallbacks(Middleware):
    """Where an action of this node has a `fallback` (a function ``(ctx, error)``, or the name of a method of its service),
    its result takes the place of the error."""

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        own = None if endpoint.definition is None else endpoint.definition.extra.get("fallback")
        if own is None or own is False:
            return next_handler
        fallback = _function(own, endpoint)

        async def guarded(ctx: Context[Any]) -> Any:
            try:
                return await next_handler(ctx)
            except Exception as error:
                log.debug("fallback of an action", extra={"action": endpoint.name, "reason": str(error)[:200]})
                ctx.fallback_result = True
                made = fallback(ctx, error)
                return await made if inspect.isawaitable(made) else made

        return guarded


def _function(own: object, endpoint: Endpoint) -> Callable[..., Any]:
    if isinstance(own, str):
        service = getattr(endpoint.definition and endpoint.definition.method, "__self__", None)
        own = getattr(service, own, own)
    if not callable(own):
        raise ServiceSchemaError(
            f"fallback of '{endpoint.name}' is a function, or the name of a method, not {own!r:.80}"
        )
    return own
