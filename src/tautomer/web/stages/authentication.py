"""Who asks."""

from __future__ import annotations

from inspect import isawaitable

from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import Hook, RouteSettings

__all__ = ["authentication_stage"]


def authentication_stage(route: RouteSettings, authenticate: Hook) -> Stage:
    """Put what `authenticate` returns into ``ctx.meta["user"]``; whatever is falsy is None, somebody unknown."""

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            ctx = exchange.ctx
            user = authenticate(ctx, route, exchange.request, exchange.alias)
            # By far most have no such name; what has any name one asks for is told by its class, which takes longer.
            if hasattr(user, "__await__") and isawaitable(user):
                user = await user
            ctx.meta["user"] = user or None
            return await call_next(exchange)

        return handle

    return stage
