"""Aliases of type ``stream``: the body, as it comes, is the stream of the call (gateway reference, section 5.2)."""

from __future__ import annotations

from tautomer.incoming import nothing
from tautomer.web.answers.finishing import Finish
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import RouteSettings
from tautomer.web.stages.calling import answer, call_options

__all__ = ["stream_handler"]


def stream_handler(route: RouteSettings, timeout: float, finish: Finish) -> Handler:
    """Call the action with the body as `ctx.stream`; its params are query and path.

    Args:
        timeout: Seconds for the whole of it, from the head to the answer; 0 for no end.
    """
    given = call_options(route)
    # Of its own: what the broker sets for calls, as a body may be long in coming.
    given["timeout"] = timeout
    may_be_raw = route.on_after_call is None

    async def handle(exchange: Exchange) -> Reply:
        ctx, alias, offer = exchange.ctx, exchange.alias, exchange.offer
        body = exchange.request.incoming
        options = given.copy()
        options["stream"] = nothing() if body is None else body
        result = await ctx.broker.call_nested(ctx, alias.action, ctx.params, options, may_be_raw and not offer.local)
        if body is not None and body.error is not None:
            # The action may think that it has got the whole.
            raise body.error
        return await answer(route, exchange, result, offer.reply, finish)

    return handle
