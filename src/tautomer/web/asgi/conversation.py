"""Conversation: one request put to an ASGI application, and its messages as a `Reply`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from tautomer._tasks import TaskScope, Turns
from tautomer.web.asgi.types import App, Message, Scope
from tautomer.web.messages.message import Reply

__all__ = ["converse"]

log = logging.getLogger("tautomer.web")

# The server frames and dates, so that these need not be handed on.
_OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"server"})


async def converse(app: App, scope: Scope, body: bytes, tasks: TaskScope, *, to_end: bool = False) -> Reply:
    """Run the application and return its reply as soon as it has begun: the rest follows as a stream, at the client's pace.

    The application runs in a task, which is cancelled when who waits here is, and when the stream is closed before
    its end. What it does after its reply (background tasks) it does in peace, until `tasks` is closed.

    Args:
        to_end: The reply is over only when the application is: for those of which it is known that they have no more to do
            than to clean up.

    Raises:
        RuntimeError: It ended without a reply, or sent what ASGI does not know.
        Whatever the application raises before its reply begins.
    """
    conversation = _Conversation(app, scope, body, to_end)
    task = tasks.spawn(conversation.run(), "asgi application")
    try:
        return await conversation.reply(task)
    except asyncio.CancelledError:
        task.cancel()
        raise


class _Conversation(AsyncIterator[bytes]):
    """What the two sides know of each other. As an iterator it gives the body, of which three pieces are kept at most.

    Attributes:
        length: Bytes of the body, None where the application does not say.
    """

    _task: asyncio.Task[None]

    def __init__(self, app: App, scope: Scope, body: bytes, to_end: bool) -> None:
        self.length: int | None = None
        self._app = app
        self._scope = scope
        self._to_end = to_end
        self._request: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._start: Message | None = None
        self._pieces: deque[bytes] = deque()
        self._turns = Turns()
        # Whether the body has begun, and all of it is there; whether the application has returned, or why not; whether
        # nobody listens any more.
        self._begun = self._complete = self._over = self._left = False
        self._error: BaseException | None = None

    async def run(self) -> None:
        """The application's side."""
        try:
            await self._app(self._scope, self._receive, self._send)
        except asyncio.CancelledError as error:
            self._error = error
            raise
        except BaseException as error:
            # KeyboardInterrupt and SystemExit are errors of this request, not the node's end.
            self._error = error
            if self._complete:
                log.error(
                    "ASGI application failed after its reply", exc_info=error, extra={"path": self._scope["path"]}
                )
        finally:
            self._over = True
            self._turns.wake()

    async def _receive(self) -> Message:
        if self._request is not None:
            request, self._request = self._request, None
            return request
        while not (self._left or self._complete):
            await self._turns.next()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._start is not None:
                raise RuntimeError("a reply begins once")
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None or self._complete:
            raise RuntimeError(f"{message['type']!r} has no place here")
        if self._left:
            raise OSError("the client has left")
        self._complete = not message.get("more_body", False)
        self._begun = True
        self._pieces.append(message.get("body", b""))
        self._turns.wake()
        while len(self._pieces) > 1 and not (self._complete or self._left):
            await self._turns.next()

    # --- the gateway's side ---

    async def reply(self, task: asyncio.Task[None]) -> Reply:
        """The reply, once its body has begun."""
        self._task = task
        while not (self._begun or self._over):
            await self._turns.next()
        if self._error is not None and not self._complete:
            raise _own(self._error)
        start = self._start if self._begun else None
        if start is None:
            raise RuntimeError("the ASGI application ended without a reply")
        headers, self.length = _headers(start)
        # The reply to a HEAD has no body, but tells how long that of a GET would be.
        if self._complete and (self.length is None or self._scope["method"] != "HEAD"):
            await self._until_over()
            return Reply(start["status"], headers, b"".join(self._pieces))
        return Reply(start["status"], headers, self)

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._complete:
                await self._until_over()
                raise StopAsyncIteration
            if self._error is not None:
                raise _own(self._error)
            if self._over:
                raise RuntimeError("the ASGI application ended in the middle of its reply")
            await self._turns.next()
        piece = self._pieces.popleft()
        self._turns.wake()
        return piece

    async def aclose(self) -> None:
        """Nobody listens any more."""
        self._left = True
        self._turns.wake()
        if not (self._complete or self._task.done()):
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._until_over()

    async def _until_over(self) -> None:
        if self._to_end:
            await asyncio.wait((self._task,))


def _own(error: BaseException) -> Exception:
    """The application's error for whoever waits. That it was cancelled, or wants the process to end, is not theirs."""
    return error if isinstance(error, Exception) else RuntimeError(f"the ASGI application ended by {error!r:.100}")


def _headers(start: Message) -> tuple[list[tuple[str, str]], int | None]:
    """The headers that a reply keeps, and the length of the body where it is told."""
    length: int | None = None
    kept: list[tuple[str, str]] = []
    for name, value in start.get("headers", ()):
        name = name.lower()
        if name == b"content-length" and value.isdigit():
            length = int(value)
        if name not in _OURS:
            kept.append((name.decode("latin-1"), value.decode("latin-1")))
    return kept, length
