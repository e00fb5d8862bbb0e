"""Finishing: replies that need more than a result: a first item, a file, a look at what the client has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from tautomer.web.answers.conditional import header_of, if_changed
from tautomer.web.answers.events import EVENTS_TYPE, EventStreams
from tautomer.web.answers.file_reply import FileReply
from tautomer.web.answers.files import answer_file
from tautomer.web.answers.reply import BODILESS, Unfinished
from tautomer.web.answers.stream_body import begin_stream, stream_of
from tautomer.web.exchange import Exchange
from tautomer.web.messages.message import Reply

__all__ = ["Finish", "finisher"]

Finish: TypeAlias = Callable[[Unfinished, Exchange], Awaitable[Reply]]


def finisher(events: EventStreams) -> Finish:
    """What finishes the replies of a gateway.

    Args:
        events: Where its streams of events are kept.
    """

    async def finish(unfinished: Unfinished, exchange: Exchange) -> Reply:
        """The whole reply.

        Raises:
            NotFoundError: The file is not there.
            Exception: What a stream raised before its first item.
        """
        reply, result = unfinished.reply, unfinished.result
        if result is None:
            return if_changed(exchange.request, reply)
        if isinstance(result, FileReply):
            return (
                reply if reply.status in BODILESS else await answer_file(reply, result, unfinished.declared, exchange)
            )
        items = stream_of(result)
        if reply.status in BODILESS:
            with suppress(Exception):  # Of a stream that nobody will read.
                await items.aclose()
            return reply
        body, media_type, by_accept = await begin_stream(items, unfinished.declared, exchange, events)
        reply.body = body
        reply.headers.insert(0, ("Content-Type", media_type))
        if by_accept:
            exchange.add_header("Vary", "Accept")
        if media_type.startswith(EVENTS_TYPE):
            # Neither a cache nor a proxy that collects may stand between an event and its reader.
            if header_of(reply, "cache-control") is None:
                reply.headers.append(("Cache-Control", "no-cache"))
            reply.headers.append(("X-Accel-Buffering", "no"))
        return if_changed(exchange.request, reply)

    return finish
