"""UpstreamClient: one request to an upstream server, and its answer."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from typing import Final

from tautomer._tasks import TaskScope
from tautomer.commands.upstream.answer import Answer
from tautomer.commands.upstream.connection import UpstreamConnection
from tautomer.commands.upstream.destination import AllowedHosts
from tautomer.commands.upstream.errors import UpstreamError, UpstreamTimeoutError
from tautomer.commands.upstream.pool import UpstreamPool
from tautomer.commands.upstream.question import IDEMPOTENT, Question

__all__ = ["UpstreamClient"]

CONTINUE_TIME: Final = 1.0
"""Seconds to wait for the server's word to send a body that the client holds back (RFC 9110 section 10.1.1)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A value in ISO 8859-1, without control characters but the tab.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class UpstreamClient:
    """Asks upstream servers, over connections that are kept for the next request.

    Args:
        allowed: Where it may go.
        size: Connections to one origin.
        connect_time: Seconds for a connection; 0 for no end.
        answer_time: Seconds from the end of the request to the head of its answer; 0 for no end.
        idle_time: Seconds in which a body, either way, may stand still; 0 for no end.
        tls: For ``https``; None for the system's certificates.
    """

    def __init__(
        self,
        allowed: AllowedHosts,
        *,
        size: int = 300,
        connect_time: float = 1.0,
        answer_time: float = 30.0,
        idle_time: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.pool = UpstreamPool(allowed, size, connect_time, tls)
        self._answer_time = answer_time
        self._idle_time = idle_time
        self._tasks = TaskScope("upstream")

    async def ask(self, question: Question) -> Answer:
        """The answer, once its head is there. Its body is read to the end, or closed, by whoever asked.

        A connection that the server has closed just when it was used again is replaced by a new one, if the method may be
        repeated and there is no body that could be gone.

        Raises:
            ProxyRefusedError: It is not to go there.
            UpstreamError: The server cannot be reached, closed the connection, or its answer is not HTTP.
            Whatever the body raises.
        """
        head = _head(question)
        connection = await self.pool.connection(question.to)
        try:
            return await self._exchange(connection, question, head)
        except UpstreamError as error:
            stale = connection.asked > 1 and not connection.heard and not isinstance(error, UpstreamTimeoutError)
            if not stale or not isinstance(question.body, bytes) or question.method not in IDEMPOTENT:
                raise
        return await self._exchange(await self.pool.connection(question.to, fresh=True), question, head)

    async def _exchange(self, connection: UpstreamConnection, question: Question, head: bytes) -> Answer:
        body = question.body
        if isinstance(body, bytes):
            awaited = connection.begin(question.method, head + body, self._idle_time, sent=True)
            sender = None
        else:
            awaited = connection.begin(question.method, head, self._idle_time, sent=False)
            sender = _Sender(connection, question, body, awaited)
        try:
            async with asyncio.timeout((self._answer_time or None) if sender is None else None) as limit:
                if sender is not None:
                    sender.start(self._tasks, limit, self._answer_time)
                answer = await awaited
        except BaseException as error:
            connection.leave(awaited)
            if sender is not None:
                sender.task.cancel()
                if sender.error is not None and not isinstance(error, asyncio.CancelledError):
                    raise sender.error from None
            if isinstance(error, TimeoutError):
                raise UpstreamTimeoutError(f"no answer within {self._answer_time:g} s") from None
            raise
        if sender is not None:
            answer.body.question = sender.task
        if not 200 <= answer.status <= 599:
            await answer.body.aclose()
            raise UpstreamError(f"its status is {answer.status}")
        return answer

    async def close(self) -> None:
        """Break off what is under way, and close all connections."""
        self.pool.close()
        await self._tasks.close(0)


class _Sender:
    """Sends the body of a request while its answer may come already.

    Attributes:
        error: Why it broke off, or None.
    """

    task: asyncio.Task[None]

    def __init__(
        self,
        connection: UpstreamConnection,
        question: Question,
        body: AsyncIterator[bytes],
        awaited: asyncio.Future[Answer],
    ) -> None:
        self._connection = connection
        self._awaited = awaited
        self._question = question
        self._body = body
        self.error: Exception | None = None

    def start(self, tasks: TaskScope, limit: asyncio.Timeout, answer_time: float) -> None:
        """Begin, and let the time for the answer begin when all is sent."""
        self.task = tasks.spawn(self._run(), "request body")

        def sent(_task: asyncio.Task[None]) -> None:
            if answer_time and not limit.expired():
                try:
                    limit.reschedule(asyncio.get_running_loop().time() + answer_time)
                except RuntimeError:
                    pass  # The answer is there.

        self.task.add_done_callback(sent)

    async def _run(self) -> None:
        connection, question = self._connection, self._question
        try:
            if question.asks_first:
                await self._wait_for_its_word()
                if connection.is_answered:
                    connection.send_no_more()  # It has said that it does not want the body.
                    return
            length = question.length
            await connection.send(
                self._body if length is None else _counted(self._body, length), chunked=length is None
            )
        except asyncio.CancelledError:
            connection.leave(self._awaited)
            raise
        except Exception as error:
            self.error = error
            connection.leave(self._awaited)

    async def _wait_for_its_word(self) -> None:
        try:
            async with asyncio.timeout(CONTINUE_TIME):
                await self._connection.goes_on.wait()
        except TimeoutError:
            pass  # Not every server knows the question.


async def _counted(body: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            raise UpstreamError("the request's body is longer than it said")
        yield piece
    if left:
        raise UpstreamError("the request's body is shorter than it said")


def _head(question: Question) -> bytes:
    """Request line and headers, with the framing that fits the body.

    Raises:
        UpstreamError: A header cannot be sent.
    """
    to = question.to
    lines = [f"{question.method} {to.target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in question.headers):
        lines.append(f"Host: {to.authority}")
    for name, value in question.headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UpstreamError(f"the header {name!r:.80} cannot be sent")
        lines.append(f"{name}: {value}")
    length = len(question.body) if isinstance(question.body, bytes) else question.length
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif length or question.method in _WITH_BODY:
        lines.append(f"Content-Length: {length}")
    if question.asks_first:
        lines.append("Expect: 100-continue")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
