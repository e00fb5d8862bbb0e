"""Upload: a body that an ASGI server hands over while its request runs."""

from __future__ import annotations

import asyncio

from tautomer._tasks import Turns
from tautomer.errors import StreamError
from tautomer.incoming import IncomingBody
from tautomer.web.asgi.incoming import body_due, too_large
from tautomer.web.asgi.types import Receive
from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits

__all__ = ["AsgiUpload"]


class AsgiUpload:
    """Hands a body on as it comes, at the pace of its reader.

    Nothing is asked for before somebody reads: a client that waits for ``100 Continue`` waits for that. Time in which
    the client had to wait for us is not counted as its own.

    Attributes:
        incoming: What the request reads.
        over: Whether no more is due.
    """

    def __init__(self, receive: Receive, limits: HttpLimits, bytes_max: int) -> None:
        self._receive = receive
        self._limits = limits
        self._bytes_max = bytes_max
        self._turns = Turns()
        self._is_wanted = False
        self.incoming = IncomingBody(self._wanted)
        self.over = False

    def _wanted(self) -> None:
        self._is_wanted = True
        self._turns.wake()

    async def run(self) -> bool:
        """Return when all has come, or it is refused, which its reader is told; False if the client has left."""
        try:
            await self._hand_on()
        except Refusal as refusal:
            self.incoming.fail(refusal.error())
        except TimeoutError:
            late = Refusal(408, "REQUEST_TIMEOUT", "The body did not come in time.")
            self.incoming.fail(late.error())
        except ConnectionError:
            error = StreamError("the client left before the end of its body", type="STREAM_ABORTED")
            self.incoming.fail(error)
            return False
        return True

    async def _hand_on(self) -> None:
        clock = asyncio.get_running_loop().time
        began, received = clock(), 0
        while not self.over:
            asked = clock()
            while self.incoming.is_full or not self._is_wanted:
                await self._turns.next()
            began += clock() - asked
            async with asyncio.timeout_at(body_due(self._limits, began, received)):
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            piece = message.get("body", b"")
            received += len(piece)
            if 0 < self._bytes_max < received:
                raise too_large(self._bytes_max)
            if piece:
                self.incoming.push(piece)
            self.over = not message.get("more_body", False)
        self.incoming.end()
