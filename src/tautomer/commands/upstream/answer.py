"""Answer: what an upstream server says, its head whole, its body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from tautomer.commands.upstream.errors import UpstreamTimeoutError
from tautomer.incoming import IncomingBody

__all__ = ["Answer", "AnswerBody"]


class AnswerBody(AsyncIterator[bytes]):
    """The body, still packed as the server has packed it. Reading raises `UpstreamError` where it breaks off.

    Args:
        idle_time: Seconds in which nothing may come; 0 for no end.
        leave: Told when nobody will read to the end.

    Attributes:
        question: The task that still sends the request's body, or None. It ends with the answer.
        length: Bytes of it, None where the server did not say. The answer to a HEAD has a length and no bytes.
    """

    __slots__ = ("_idle_time", "_leave", "_unread", "incoming", "length", "question")

    def __init__(
        self, wanted: Callable[[], None], length: int | None, idle_time: float, leave: Callable[[], None]
    ) -> None:
        self.incoming = IncomingBody(wanted)
        self.length = length
        self.question: asyncio.Task[None] | None = None
        # An answer that nobody takes, as its command was given up at the very moment, must not hold the connection.
        self._unread: asyncio.TimerHandle | None = None
        if idle_time:
            self._unread = asyncio.get_running_loop().call_later(idle_time, self._forgotten)
        self._idle_time = idle_time
        self._leave = leave

    async def __anext__(self) -> bytes:
        """Some bytes, at least one.

        Raises:
            UpstreamError: The server broke off, or sent what is not HTTP.
            UpstreamTimeoutError: Nothing came for too long.
        """
        self._is_read()
        if self.incoming.has_ended:
            return await self._next()
        try:
            async with asyncio.timeout(self._idle_time or None):
                return await self._next()
        except TimeoutError:
            await self.aclose()
            raise UpstreamTimeoutError(f"its body stood still for {self._idle_time:g} s") from None

    async def _next(self) -> bytes:
        try:
            return await anext(self.incoming)
        except StopAsyncIteration:
            self._end_question()
            raise

    async def aclose(self) -> None:
        """Read no more; the connection is cut unless all has come. Twice is harmless."""
        self._is_read()
        if not self.incoming.has_ended:
            self._leave()
        self._end_question()
        await self.incoming.aclose()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _forgotten(self) -> None:
        self._unread = None
        if not self.incoming.has_ended:
            self._leave()
        self._end_question()

    def _end_question(self) -> None:
        if self.question is not None:
            self.question.cancel()
            self.question = None

    async def whole(self, bytes_max: int) -> bytes | None:
        """All of it; None if it is more than `bytes_max`, 0 for no bound. What it raises is as in reading."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if bytes_max and size > bytes_max:
                await self.aclose()
                return None
            pieces.append(piece)
        return b"".join(pieces)


class Answer(msgspec.Struct, eq=False):
    """One answer.

    Attributes:
        status: 200 to 999.
        reason: As it came, and so maybe empty.
        headers: Lines as they came (ISO 8859-1), in order.
        body: Read it to the end, or close it.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: AnswerBody
