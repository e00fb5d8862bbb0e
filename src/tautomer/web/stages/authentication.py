"""Who asks."""

from __future__ import annotations

from tautomer.web.exchange import Asks, Exchange
from tautomer.web.settings.records import Hook, RouteSettings

__all__ = ["authentication_stage"]


def authentication_stage(route: RouteSettings, authenticate: Hook) -> Asks:
    """Put what `authenticate` returns into ``ctx.meta["user"]``; whatever is falsy is None, somebody unknown."""
    return Asks(lambda exchange: authenticate(exchange.ctx, route, exchange.request, exchange.alias), _identify)


def _identify(exchange: Exchange, user: object) -> None:
    exchange.ctx.meta["user"] = user or None
