"""The hooks of a route that look at a request and may refuse it."""

from __future__ import annotations

from tautomer.web.exchange import Asks, Exchange
from tautomer.web.settings.records import Hook, RouteSettings

__all__ = ["hook_stage"]


def hook_stage(route: RouteSettings, hook: Hook) -> Asks:
    """Run `onBeforeCall` or `authorize`, which raise to refuse. What they return means nothing, as in moleculer-web."""

    return Asks(lambda exchange: hook(exchange.ctx, route, exchange.request, exchange.alias), _go_on)


def _go_on(_exchange: Exchange, _told: object) -> None:
    pass
