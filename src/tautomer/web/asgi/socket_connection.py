"""AsgiSocket: one WebSocket that another server has read, under the same promises as on our own server.

What the outer server sees to is left to it: frames, compression, pings, how long a close may take.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from tautomer._tasks import Turns
from tautomer.web.asgi.types import Message, Receive, Send
from tautomer.web.websocket.line import OutgoingText, Takeover

__all__ = ["AsgiSocket"]

log = logging.getLogger("tautomer.web")

ABNORMAL: Final = 1006


class AsgiSocket:
    """Carries messages both ways: read by the outer server's task, written by one of its own.

    Attributes:
        client: Address of the peer, without port.
    """

    def __init__(
        self, reply: Takeover, receive: Receive, send: Send, client: str, refuse: Callable[[str], None]
    ) -> None:
        self.client = client
        self._limits = reply.limits
        self._session = reply.session()
        self._receive = receive
        self._send = send
        self._refuse = refuse
        self._queue: deque[OutgoingText] = deque()
        self._queue_bytes = 0
        self._turns = Turns()
        self._room = Turns()
        self._held = False
        self._close_code = 0
        self._close_reason = ""
        # Whether the client has left; whether nothing is to be sent any more.
        self._has_left = self._gone = False

    # --- the two tasks ---

    async def read(self) -> None:
        """Take what comes until the client is gone. Calls the session's `opened` and `closed`."""
        code = ABNORMAL
        try:
            self._session.opened(self)
            while True:
                while self._held and not self._close_code:
                    await self._room.next()
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    code = message.get("code") or ABNORMAL
                    self._has_left = True
                    break
                if not self._close_code:
                    self._on_message(message)
        except Exception as error:
            log.error("socket failed", exc_info=error)
            self.close(1011)
            code = 1011
        finally:
            self._gone = True
            self._turns.wake()
            self._end(self._close_code or code)

    async def write(self) -> None:
        """Send what there is until the socket is to be closed, or the client is gone."""
        try:
            while not self._gone:
                if self._queue:
                    message = self._queue.popleft()
                    self._queue_bytes -= len(message.data)
                    await self._send({"type": "websocket.send", "text": message.text})
                elif self._close_code:
                    return
                else:
                    await self._turns.next()
        except OSError as error:
            log.debug("the client left before all was said", exc_info=error)

    async def say_close(self) -> None:
        """Hand the close to the outer server, if the client has not left before."""
        if self._close_code and not self._has_left:
            close = {"type": "websocket.close", "code": self._close_code, "reason": self._close_reason}
            try:
                async with asyncio.timeout(self._limits.close_time):
                    await self._send(close)
            except (OSError, TimeoutError) as error:
                log.debug("the client left before it was told that the socket is closed", exc_info=error)

    def _on_message(self, message: Message) -> None:
        text = message.get("text")
        if text is None:
            self._session.on_binary(message.get("bytes") or b"")
            return
        data = text.encode(errors="surrogatepass")
        if 0 < self._limits.message_bytes_max < len(data):
            self._refuse("SOCKET_FAULT")
            self._queue.clear()
            self.close(1009, f"a message has at most {self._limits.message_bytes_max} bytes")
        else:
            self._session.on_text(data)

    def _end(self, code: int) -> None:
        try:
            self._session.closed(code)
        except Exception as error:
            log.error("socket failed while it was closed", exc_info=error)

    # --- a line, to the session ---

    def send(self, message: OutgoingText) -> None:
        if self._close_code or self._gone:
            return
        limits = self._limits
        self._queue.append(message)
        self._queue_bytes += len(message.data)
        if 0 < limits.queue_messages_max < len(self._queue) or 0 < limits.queue_bytes_max < self._queue_bytes:
            self._refuse("SLOW_CONSUMER")
            self._queue.clear()
            self.close(1013, "you read too slowly")
        self._turns.wake()

    def close(self, code: int, reason: str = "") -> None:
        if not self._close_code:
            self._close_code, self._close_reason = code, reason
            self._turns.wake()
            self._room.wake()

    def hold(self) -> None:
        self._held = True

    def go_on(self) -> None:
        self._held = False
        self._room.wake()

    # --- to the door ---

    def look(self, now: float) -> None:
        """Act on what is overdue."""
        if not (self._close_code or self._gone):
            self._session.look(now)

    def retire(self) -> None:
        """The server stops."""
        self._session.retire()
