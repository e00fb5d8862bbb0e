"""Replies that are sent as they come: an async iterator's pieces, at the client's pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from tautomer.errors import MoleculerServerError
from tautomer.protocol.streams import EMPTY
from tautomer.stream import OwnStream

__all__ = ["StreamBody", "close_stream", "send_stream"]

log = logging.getLogger("tautomer.web")

_BINARY = (bytearray, memoryview)

# Seconds for a stream to clean up after itself.
_CLOSE_TIME = 5.0


class StreamBody(AsyncIterator[bytes]):
    """The stream that an action gave, as a body: bytes as they are, texts as UTF-8."""

    def __init__(self, result: AsyncIterable[Any]) -> None:
        self._items = OwnStream(result)

    async def begin(self) -> None:
        """Get the first item, so that what fails before it is an answer of its own.

        Raises:
            MoleculerServerError: It is neither bytes nor text, type ``STREAM_OF_OBJECTS``.
        """
        try:
            first = (await self._items.begin()).first
            if first is not EMPTY and not isinstance(first, bytes | bytearray | memoryview | str):
                raise MoleculerServerError("A stream of objects cannot be sent over HTTP.", 501, "STREAM_OF_OBJECTS")
        except BaseException:
            await self.aclose()
            raise

    async def __anext__(self) -> bytes:
        item = await anext(self._items)
        return item.encode() if isinstance(item, str) else bytes(item) if isinstance(item, _BINARY) else item

    async def aclose(self) -> None:
        await self._items.aclose()


async def send_stream(
    chunks: AsyncIterator[bytes],
    write: Callable[[bytes], None],
    drained: Callable[[], Awaitable[None] | None],
    *,
    chunked: bool,
) -> None:
    """Write the pieces, framed as chunks (RFC 9112 section 7.1) or as they are.

    `drained` is asked after each piece: it gives None, or something to wait for before the next.

    Raises:
        TypeError: A piece is not bytes.
        Whatever the iterator raises; what was written is then only a part.
    """
    async for chunk in chunks:
        if not isinstance(chunk, bytes):
            raise TypeError(f"a reply stream gives bytes, not {type(chunk).__name__}")
        if not chunk:
            continue  # An empty chunk would end the body.
        write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        waiting = drained()
        if waiting is not None:
            await waiting
    if chunked:
        write(b"0\r\n\r\n")


async def close_stream(chunks: AsyncIterator[bytes]) -> None:
    """Let a stream that may not have come to its end clean up. Raises nothing but `CancelledError`."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is None:
        return
    try:
        async with asyncio.timeout(_CLOSE_TIME):
            await aclose()
    except Exception as error:
        log.error("reply stream failed while it was closed", exc_info=error)
