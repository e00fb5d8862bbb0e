"""ETag: around all that can make an answer."""

from __future__ import annotations

from tautomer.web.answers.conditional import if_changed, with_tag
from tautomer.web.exchange import Around, Exchange, Handler
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import Tagger

__all__ = ["etag_stage"]


def etag_stage(tagger: Tagger) -> Around:
    """Give answers an ETag; errors pass by, as they are made outside."""

    def wrap(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            reply = await call_next(exchange)
            return if_changed(exchange.request, with_tag(reply, tagger, exchange.alias.action))

        return handle

    return Around(wrap)
