"""The innermost of a route that is a proxy."""

from __future__ import annotations

from inspect import isawaitable

from tautomer.context import CURRENT
from tautomer.web.answers.finishing import Finish
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.messages.message import Reply
from tautomer.web.proxying.mounting import MountedProxy
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.settings.records import RouteSettings
from tautomer.web.stages.calling import made_of

__all__ = ["proxy_handler"]


def proxy_handler(route: RouteSettings, alias: AliasDef, finish: Finish) -> Handler:
    """Pass the request on, and its answer back as it came: what the upstream says of it (`ETag`, status) is not judged here.

    What `onAfterCall` gives in its place is taken as an action's result.
    """
    proxy = alias.handler
    assert isinstance(proxy, MountedProxy)
    after = route.on_after_call

    async def handle(exchange: Exchange) -> Reply:
        # For the command's hooks, who may ask for the user, and for its deadline. The task is the request's own.
        CURRENT.set(exchange.ctx)
        reply = await proxy(exchange.request)
        if after is None:
            return reply
        changed = after(exchange.ctx, route, exchange.request, reply, exchange.alias)
        if isawaitable(changed):
            changed = await changed
        return reply if changed is None or changed is reply else await made_of(changed, exchange, finish)

    return handle
