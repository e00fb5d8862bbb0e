"""IncomingBody: a body that is read while it still arrives: a client's request, or the answer of an upstream server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

__all__ = ["HELD_BYTES_MAX", "IncomingBody", "nothing"]

HELD_BYTES_MAX: Final = 64 * 1024
"""Bytes that may wait for their reader before the sender must wait."""


class IncomingBody(AsyncIterator[bytes]):
    """Bytes as they come, for one reader: between a connection, which pushes, and whoever reads.

    Reading raises what `fail` was given. Of a request: `PayloadTooLarge`, a `MoleculerClientError` with code 400 (broken
    framing) or 408 (too slow), or a `StreamError` of type ``STREAM_ABORTED`` when the client has left.

    Args:
        wanted: Told whenever the reader waits, or has made room: the sender may go on.

    Attributes:
        error: Why the body broke, or None.
    """

    __slots__ = ("_chunks", "_ended", "_held", "_reader", "_wanted", "error")

    def __init__(self, wanted: Callable[[], None]) -> None:
        self._wanted = wanted
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self.error: Exception | None = None

    # The sender's side.

    @property
    def is_full(self) -> bool:
        """Whether the sender must wait until `wanted` is called."""
        return self._held >= HELD_BYTES_MAX

    @property
    def has_ended(self) -> bool:
        """Whether no more will come: it is whole, broken, or left."""
        return self._ended

    def push(self, data: bytes) -> None:
        """Some bytes, at least one. What comes after the end is dropped."""
        if not self._ended:
            self._chunks.append(data)
            self._held += len(data)
            self._wake()

    def end(self) -> None:
        """That was all."""
        self._ended = True
        self._wanted = _nobody  # Two objects that hold each other would be left to the garbage collector.
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more will come, though more was due. What waits is dropped, as nobody may take it for the whole."""
        if not self._ended:
            self.error = error
            self._drop()

    def _drop(self) -> None:
        self._ended = True
        self._wanted = _nobody
        self._chunks.clear()
        self._held = 0
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # The reader's side.

    async def __anext__(self) -> bytes:
        """Some bytes, at least one.

        Raises:
            RuntimeError: Another reader waits already.
        """
        if self._reader is not None:
            raise RuntimeError("a body has one reader, and this one waits already")
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self._ended:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            try:
                self._wanted()
                await self._reader
            finally:
                self._reader = None
        chunk = self._chunks.popleft()
        was_full = self.is_full
        self._held -= len(chunk)
        if was_full and not self.is_full:
            self._wanted()
        return chunk

    async def aclose(self) -> None:
        """Read no more. A server then closes the connection after the answer, unless all has come. Twice is harmless."""
        self._drop()


def _nobody() -> None:
    """Stands for a sender that has nothing more to send."""


async def nothing() -> AsyncIterator[bytes]:
    """Stands for the body of a request that has none."""
    none: tuple[bytes, ...] = ()
    for chunk in none:
        yield chunk
