"""SocketDoor: WebSockets that another server has read, from the handshake to the end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tautomer._tasks import Sweep, Turns
from tautomer.web.asgi.incoming import read_head
from tautomer.web.asgi.outgoing import send_reply
from tautomer.web.asgi.socket_connection import AsgiSocket
from tautomer.web.asgi.types import Message, Receive, Scope, Send
from tautomer.web.http.refusal import BUSY, INTERNAL, NO_UPGRADE, Refusal
from tautomer.web.http.running import log_failure
from tautomer.web.messages.message import Reply, Request
from tautomer.web.websocket.line import HOSTED, Takeover

if TYPE_CHECKING:
    from tautomer.web.asgi.door import AsgiDoor

__all__ = ["SocketDoor"]

log = logging.getLogger("tautomer.web")

LOOK_INTERVAL: Final = 1.0
# Seconds for the last of them to be gone.
_CUT_TIME: Final = 0.5
_EXTENSION: Final = "websocket.http.response"


class SocketDoor:
    """Serves scopes of type ``websocket``. The handshake is put to the gateway as the GET that it is.

    Attributes:
        open: Sockets, the oldest first.
    """

    def __init__(self, door: AsgiDoor) -> None:
        self._door = door
        self.open: dict[AsgiSocket, None] = {}
        self._left = Turns()
        self._sweep = Sweep(LOOK_INTERVAL, self._look)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One socket, to its end."""
        await receive()  # That it wants to connect.
        try:
            request, _has_body, fixed = read_head(_as_http(scope), self._door.heads)
        except Refusal as refusal:
            await self._refuse(refusal, scope, send)
            return
        hook = self._door.on_upgrade
        unwanted = NO_UPGRADE if hook is None else hook(request)
        if unwanted is not None:
            await self._refuse(unwanted, scope, send)
            return
        request.locals[HOSTED] = True
        if fixed is None:
            fixed = BUSY if self._door.is_full else await self._handshake(request)
        if not isinstance(fixed, Takeover):
            await self._say(fixed, scope, send)
            return
        await self._run(fixed, request, receive, send)

    async def stop(self, grace: float) -> None:
        """Have all of them close when what they run has ended, at the latest after `grace` seconds."""
        for socket in list(self.open):
            socket.retire()
        await self._emptied(grace)
        for socket in list(self.open):
            socket.close(1001)
        await self._emptied(_CUT_TIME)
        self._sweep.stop()

    async def _emptied(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self.open:
                    await self._left.next()
        except TimeoutError:
            pass

    async def _handshake(self, request: Request) -> Reply:
        """The gateway's reply, in a task with the request's end."""
        running = self._door.running
        replies: list[Reply] = []

        async def answer() -> None:
            try:
                replies.append(await self._door.handle(request))
            except Exception as error:
                log_failure(request, error)

        task = running.start(answer(), request)
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
            running.tasks.pop(task, None)
        return replies[0] if replies else INTERNAL

    async def _run(self, reply: Takeover, request: Request, receive: Receive, send: Send) -> None:
        headers = self._door.replies.pairs(reply)
        if request.id:
            headers = [*headers, (b"x-request-id", request.id.encode("ascii"))]
        await send({"type": "websocket.accept", "subprotocol": reply.agreement.protocol, "headers": headers})
        socket = AsgiSocket(reply, receive, send, request.client, self._count)
        self.open[socket] = None
        self._sweep.wake()
        start = self._door.starter.start
        reader, writer = start(socket.read(), "asgi socket"), start(socket.write(), "asgi socket")
        try:
            # The reader ends when the client has left, the writer when there is nothing more to say but the close.
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Before the close: some servers let nobody send it while somebody still listens.
            for task in (reader, writer):
                task.cancel()
            try:
                await asyncio.wait((reader, writer), timeout=reply.limits.close_time)
                await socket.say_close()
            finally:
                self.open.pop(socket, None)
                self._left.wake()

    def _count(self, kind: str) -> None:
        self._door.refused[kind] += 1

    async def _refuse(self, refusal: Refusal, scope: Scope, send: Send) -> None:
        self._door.refused[refusal.type] += 1
        await self._say(refusal.reply(), scope, send)

    async def _say(self, reply: Reply, scope: Scope, send: Send) -> None:
        """Answer in place of a socket; a server that cannot do that answers 403 by itself."""

        async def tell(message: Message) -> None:
            await send({**message, "type": f"websocket.{message['type']}"})

        try:
            if _EXTENSION in (scope.get("extensions") or {}):
                await send_reply(reply, tell, self._door.replies, more=[])
            else:
                await send({"type": "websocket.close", "code": 1008})
        except OSError as error:
            log.debug("the client left before it was answered", exc_info=error)

    def _look(self) -> bool:
        now = self._door.clock()
        for socket in list(self.open):
            try:
                socket.look(now)
            except Exception as error:
                log.error("socket check failed", exc_info=error)
                socket.close(1011)
        return bool(self.open)


def _as_http(scope: Scope) -> Scope:
    scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
    return {**scope, "method": "GET", "scheme": scheme, "http_version": scope.get("http_version", "1.1")}
