"""The hooks of a route that look at a request and may refuse it."""

from __future__ import annotations

from inspect import isawaitable

from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import Hook, RouteSettings

__all__ = ["hook_stage"]


def hook_stage(route: RouteSettings, hook: Hook) -> Stage:
    """Run `onBeforeCall` or `authorize`, which raise to refuse. What they return means nothing, as in moleculer-web."""

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            told = hook(exchange.ctx, route, exchange.request, exchange.alias)
            if hasattr(told, "__await__") and isawaitable(told):
                await told
            return await call_next(exchange)

        return handle

    return stage
