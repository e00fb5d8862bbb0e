"""Inbox: what arrives of one stream, until it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

from tautomer.errors import MoleculerError, StreamError
from tautomer.protocol.streams import EMPTY, Incoming
from tautomer.stream import Stream

Key: TypeAlias = tuple[str, str, str]
"""REQ or RES, who sends, and the id of the request."""


class Inbox:
    """One stream on its way in. Its table holds it; whoever reads holds a `ReceivedStream`.

    Attributes:
        key: Under which it stands in its table.
        action: Full name of the action.
        incoming: Order and window.
        heard_at: When its last packet came.
        announced: Whether somebody was given the stream.
        partner: The task that sends the other way under the same id; it ends when this stream does.
    """

    __slots__ = (
        "_gone",
        "_room",
        "_room_below",
        "_waiter",
        "action",
        "announced",
        "heard_at",
        "incoming",
        "key",
        "partner",
        "version",
    )

    def __init__(
        self, key: Key, action: str, version: str, window: int, now: float, gone: Callable[[Inbox], None]
    ) -> None:
        self.key = key
        self.action = action
        self.version = version
        self.incoming = Incoming(window)
        self.heard_at = now
        self.announced = False
        self.partner: asyncio.Task[Any] | None = None
        self._gone: Callable[[Inbox], None] | None = gone
        self._waiter: asyncio.Future[None] | None = None
        self._room: Callable[[], None] | None = None
        self._room_below = 0

    @property
    def is_behind(self) -> bool:
        """Whether its sender waits for the reader. Where a packet is missing it is the reader that waits."""
        return self._room is not None and self.incoming.readable

    def await_room(self, below: int, tell: Callable[[], None]) -> None:
        """Tell once no more than so many bytes wait to be read. The latest who asks is told."""
        self._room, self._room_below = tell, below

    def changed(self) -> None:
        """A packet was pushed: wake who reads; leave the table once nothing more can come."""
        if self.incoming.over:
            self._leave()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fail(self, error: MoleculerError) -> None:
        """Break the stream; whoever reads is told."""
        self.incoming.fail(error)
        self.changed()

    def close(self) -> None:
        """Nobody reads any more. Twice is harmless."""
        incoming = self.incoming
        if not incoming.over:
            self.fail(StreamError("the stream was closed before its end", type="STREAM_CLOSED"))
        incoming.clear()

    async def read(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: There is none any more.
            RuntimeError: Somebody else waits for it already.
            Exception: How the stream broke.
        """
        incoming = self.incoming
        while (item := incoming.take()) is EMPTY:
            if incoming.over:
                raise StopAsyncIteration if incoming.error is None else incoming.error
            if self._waiter is not None:
                raise RuntimeError("a stream has one reader, and this one waits for its next item already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                # As with a generator of this node, which does not live on after it was cancelled.
                self.close()
                raise
            finally:
                self._waiter = None
        if self._room is not None and incoming.held <= self._room_below:
            tell, self._room = self._room, None
            tell()
        return item

    def _leave(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone(self)
            if self.partner is not None:
                self.partner.cancel()


class ReceivedStream(Stream):
    """What another node sends. One that is forgotten unread is closed."""

    __slots__ = ("inbox",)

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def __anext__(self) -> Any:
        return await self.inbox.read()

    async def aclose(self) -> None:
        self.inbox.close()

    def __del__(self) -> None:
        self.inbox.close()
