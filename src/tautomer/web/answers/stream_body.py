"""Streams as bodies of replies: in which form they are sent, and the forms that need no more than their items.

What a client asks for counts where the action said no type; the first item tells a stream of bytes, which has
one form only, from texts and from objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any, Final

from tautomer.protocol.streams import BINARY, EMPTY
from tautomer.stream import OwnStream
from tautomer.web.answers.events import EVENTS_TYPE, EventStreams
from tautomer.web.answers.reply import BYTES_TYPE, encode_json, encoded
from tautomer.web.exchange import Exchange
from tautomer.web.messages.accept import preferred
from tautomer.web.messages.message import JSON_TYPE

__all__ = ["StreamBody", "begin_stream", "stream_of"]

_LINES_TYPES: Final = ("application/x-ndjson", "application/jsonl", "application/ndjson")
_OFFERED: Final = ("application/json", *_LINES_TYPES, EVENTS_TYPE)


def stream_of(result: Any) -> OwnStream:
    """The stream that an action's result is; a plain generator is read item by item, in the event loop."""
    if type(result) is OwnStream:
        return result
    return OwnStream(_stepped(result) if isinstance(result, Generator) else result)


async def _stepped(items: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    try:
        for item in items:
            yield item
    finally:
        items.close()


async def begin_stream(
    items: OwnStream, declared: str | None, exchange: Exchange, events: EventStreams
) -> tuple[AsyncIterator[bytes], str, bool]:
    """Body and content type of a stream, and whether the client's ``Accept`` had a say in it.

    Its first item is waited for, so that what fails before it is an answer of its own; events do not keep a client
    waiting for long.

    Args:
        declared: Content type that the action set, or None.

    Raises:
        SerializationError: The first item has no JSON form.
        Exception: What the stream raised before its first item.
    """
    wanted = _wanted(declared, exchange.request.header("accept"))
    if wanted == EVENTS_TYPE:
        body = await events.begin(items)
        if declared is None and body.is_binary:
            body.is_events = False
            return body, BYTES_TYPE, False
        return body, declared or EVENTS_TYPE, declared is None
    try:
        first = (await items.begin()).first
        if not isinstance(first, (*BINARY, str)) and first is not EMPTY:
            # Looked at before anything is sent, and once more when it is.
            encoded(first, exchange.alias.action)
    except BaseException:
        await items.aclose()
        raise
    if isinstance(first, BINARY):
        return StreamBody(items), declared or BYTES_TYPE, False
    # A stream without items may have been meant as one of bytes: only an action can say that it was not.
    if isinstance(first, str) or (first is EMPTY and (wanted is None or declared is None)):
        return StreamBody(items), declared or BYTES_TYPE, declared is None
    if wanted in _LINES_TYPES:
        return LinesBody(items), declared or wanted, declared is None
    return ArrayBody(items), declared or JSON_TYPE[1], declared is None


def _wanted(declared: str | None, accept: str | None) -> str | None:
    """Which of the forms for objects is meant, by the action or by the client; None if neither says."""
    if declared is not None:
        mimetype = declared.partition(";")[0].strip().lower()
        return mimetype if mimetype in _OFFERED else None
    if accept is None or accept == "*/*":
        return None
    return preferred(accept, _OFFERED)


class StreamBody(AsyncIterator[bytes]):
    """Bytes as they are, texts as UTF-8."""

    def __init__(self, items: OwnStream) -> None:
        self._items = items

    async def __anext__(self) -> bytes:
        item = await anext(self._items)
        if type(item) is bytes:
            return item
        # Of a subclass its bytes count, and not what it says of its length.
        return item.encode() if isinstance(item, str) else bytes(memoryview(item)) if isinstance(item, BINARY) else item

    async def aclose(self) -> None:
        await self._items.aclose()


class LinesBody(StreamBody):
    """Objects as JSON, one a line."""

    async def __anext__(self) -> bytes:
        return encode_json(await anext(self._items)) + b"\n"


class ArrayBody(StreamBody):
    """Objects as one JSON list, so that a client needs not know that they came one by one."""

    def __init__(self, items: OwnStream) -> None:
        super().__init__(items)
        self._before: bytes | None = b"["

    async def __anext__(self) -> bytes:
        before = self._before
        if before is None:
            raise StopAsyncIteration
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            self._before = None
            return b"[]" if before == b"[" else b"]"
        self._before = b",\n"
        return before + encode_json(item)
