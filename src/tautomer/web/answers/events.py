"""Server-sent events: items as text, and a stream of them that stays open (HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.errors import StreamError
from tautomer.protocol.streams import BINARY
from tautomer.stream import OwnStream
from tautomer.web.answers.reply import encode_json
from tautomer.web.exchange import FAILURES

__all__ = ["EVENTS_TYPE", "EventStream", "EventStreams", "event_bytes"]

EVENTS_TYPE: Final = "text/event-stream"

FIRST_WAIT: Final = 1.0
"""Seconds for the first event to come, or to fail, before the head of the answer goes out without it."""

END_WAIT: Final = 0.5
"""Seconds for clients to take what was sent them before the end, when the gateway stops."""

_FIELDS: Final = frozenset({"event", "data", "id", "retry"})
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_LINE_END = re.compile(r"\r\n|\r|\n")
_NOT_IN_A_LINE = re.compile(r"[\r\n\x00]")


def event_bytes(item: Any) -> bytes:
    """One item as an event.

    A dict of nothing but `event`, `data`, `id` and `retry` says what the event is; anything else is its data. Data goes
    as JSON, a text as it is, however many lines it has; bytes are an event that was written already.

    Raises:
        Exception: The data has no JSON form.
    """
    if isinstance(item, BINARY):
        return bytes(item)
    event = item if isinstance(item, dict) and item and item.keys() <= _FIELDS else {"data": item}
    lines = [
        f"{name}: {_NOT_IN_A_LINE.sub(' ', str(event[name]))}\n"
        for name in ("event", "id")
        if event.get(name) is not None
    ]
    retry = event.get("retry")
    if isinstance(retry, int) and not isinstance(retry, bool) and retry >= 0:
        lines.append(f"retry: {retry}\n")
    if "data" in event:
        data = event["data"]
        text = data if isinstance(data, str) else encode_json(data).decode()
        lines += [f"data: {line}\n" for line in _LINE_END.split(text)]
    return f"{''.join(lines)}\n".encode()


class EventStream(AsyncIterator[bytes]):
    """A stream of events, as the body of a reply.

    Its items are got by a task of its own, one ahead at most: who waits for the next one must be free to send a
    comment meanwhile, or to end, and must not disturb who makes it.

    Attributes:
        is_binary: Whether it began with bytes.
        is_events: Whether it is one of events indeed; else it is only passed on, and neither added to nor ended early.
    """

    def __init__(self, items: OwnStream, streams: EventStreams) -> None:
        self._items = items
        self._streams = streams
        self._event: bytes | None = None
        self.is_binary = False
        self.is_events = True
        # Whether what was sent ends where an event does, so that a comment may follow.
        self._between = True
        self._reader: asyncio.Task[Any] | None = None
        self._over = False
        self._error: Exception | None = None
        # Set when an event is there or the stream is over; set when there is room for an event.
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._task = streams.scope.spawn(self._read(), "event stream")

    async def begin(self) -> None:
        """Wait a little for the first event, so that what fails before it is an answer of its own.

        Raises:
            Exception: What the items raised.
        """
        try:
            async with asyncio.timeout(FIRST_WAIT):
                await self._news.wait()
        except TimeoutError:
            return
        if self._event is None and self._error is not None:
            await self.aclose()
            raise self._error

    async def _read(self) -> None:
        try:
            first = True
            async for item in self._items:
                if first:
                    first, self.is_binary = False, isinstance(item, BINARY)
                self._event = event_bytes(item)
                self._news.set()
                await self._room.wait()
                self._room.clear()
                if self._over:
                    return  # One that would not be cancelled.
        except FAILURES as error:
            self._error = error if isinstance(error, Exception) else StreamError(f"ended by {error!r:.80}")
        finally:
            self._over = True
            self._news.set()

    async def __anext__(self) -> bytes:
        self._reader = asyncio.current_task()
        while not (self._streams.ended and self.is_events):
            if self._event is not None:
                event, self._event = self._event, None
                self._between = event.endswith(b"\n\n")
                self._room.set()
                return event
            if self._over:
                if self._error is not None:
                    raise self._error
                break
            self._news.clear()
            try:
                async with asyncio.timeout(self._streams.keep_alive or None):
                    await self._news.wait()
            except TimeoutError:
                if self._between and self.is_events:
                    return _KEEP_ALIVE
        raise StopAsyncIteration

    def end(self) -> None:
        """Have whoever waits for the next event look again."""
        self._news.set()

    def cut(self) -> None:
        """End whoever sends these events; it waits for a client that takes none."""
        if self._reader is not None and self.is_events:
            self._reader.cancel()

    async def aclose(self) -> None:
        """Let the items clean up. Twice is harmless."""
        self._streams.open.pop(self, None)
        self._over = True
        self._room.set()
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._items.aclose()


class EventStreams:
    """All streams of events of one gateway.

    Attributes:
        keep_alive: Seconds without an event after which a comment is sent; 0 for never.
        scope: Owns their tasks.
        open: Those that somebody reads.
        ended: Whether all have come to their end, as the gateway stops. Clients come back by themselves, to another.
    """

    __slots__ = ("ended", "keep_alive", "open", "scope")

    def __init__(self, keep_alive: float) -> None:
        self.keep_alive = keep_alive
        self.scope = TaskScope("event streams")
        self.open: dict[EventStream, None] = {}
        self.ended = False

    async def begin(self, items: OwnStream) -> EventStream:
        """Make a body of items.

        Raises:
            Exception: What they raised before the first of them.
        """
        stream = EventStream(items, self)
        self.open[stream] = None
        try:
            await stream.begin()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    def end(self) -> None:
        """End them all, well; none of them may hold up a stop, so whose client does not read is cut a little later."""
        self.ended = True
        if self.open and not self.scope.closed:
            for stream in self.open:
                stream.end()
            self.scope.spawn(self._cut_late(), "end of event streams")

    async def _cut_late(self) -> None:
        await asyncio.sleep(END_WAIT)
        for stream in list(self.open):
            stream.cut()

    async def close(self) -> None:
        """Cancel what is left."""
        await self.scope.close(0)
