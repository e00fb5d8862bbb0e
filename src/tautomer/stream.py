"""Stream: items that come one after the other, as the result of a call or as `ctx.stream`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from typing import Any, Final

from tautomer.protocol.streams import EMPTY

__all__ = ["PLAIN_TYPES", "TAKEN", "OwnStream", "Stream", "closing", "is_stream"]

PLAIN_TYPES: Final = frozenset({dict, list, str, int, float, bool, bytes, tuple, type(None)})
"""Types of results that need no closer look."""


class Stream(AsyncIterator[Any]):
    """Items that come one after the other.

    ```python
    async for chunk in await broker.call("files.read", {"name": "a.txt"}):
        ...
    ```

    Whoever stops reading before the end calls `aclose` (``async with contextlib.aclosing(stream)`` does): what is
    held on this node is freed at once. The wire has no cancel, so a node that sends goes on until its idle time
    or its end; what still arrives is dropped.

    Reading raises what the other end raised, and:
        StreamError: It broke; `type` says how: ``STREAM_WINDOW`` (read too slowly), ``STREAM_GAP`` (a packet was
            lost), ``STREAM_IDLE`` (nothing came for too long), ``STREAM_ORDER``, ``STREAM_ITEM``, ``STREAM_CLOSED``.
        RequestRejectedError: The node that sends was lost.
    """

    __slots__ = ("__weakref__",)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Read no more. Twice is harmless."""


class OwnStream(Stream):
    """What an async iterable of this node gives.

    Raises:
        TypeError: It was given something else.

    Attributes:
        first: The first item, once `begin` was called; `EMPTY` if there was none, or it was read already.
        sent: Whether it is on its way to another node.
    """

    __slots__ = ("_begun", "_items", "first", "sent")

    def __init__(self, items: AsyncIterable[Any]) -> None:
        if not hasattr(items, "__aiter__"):
            raise TypeError(f"a stream is made of an async iterable, such as an async generator, not of {items!r}")
        self._items = aiter(items)
        self._begun = False
        self.first: Any = EMPTY
        self.sent = False

    async def begin(self) -> OwnStream:
        """Get the first item: it says what kind of stream it is, and whatever fails before it fails here."""
        if not self._begun:
            self._begun = True
            try:
                self.first = await anext(self._items)
            except StopAsyncIteration:
                self.first = EMPTY
        return self

    async def __anext__(self) -> Any:
        first = self.first
        if first is not EMPTY:
            self.first = EMPTY
            return first
        self._begun = True
        return await anext(self._items)

    async def aclose(self) -> None:
        self.first = EMPTY
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


TAKEN: Final = Stream()
"""In the place of a stream: the packet belongs to one, and nothing more is to be done with it."""


def is_stream(result: object) -> bool:
    """Whether an action's result is sent item by item: it is an async iterable."""
    return type(result) not in PLAIN_TYPES and hasattr(result, "__aiter__")


def closing(handler: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """Close `ctx.stream` after a handler of this node, unless its result is a stream that may still read it."""

    async def call(ctx: Any) -> Any:
        result: Any = None
        try:
            result = await handler(ctx)
            return result
        finally:
            if not is_stream(result):
                await ctx.stream.aclose()

    return call
