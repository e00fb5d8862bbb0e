"""AsgiDoor: requests that another server has read, under the same promises as our own server's (architecture §11)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from tautomer._tasks import Sweep, TaskStarter, is_cancelled
from tautomer.web.asgi.incoming import announced_length, read_body, read_head, too_large
from tautomer.web.asgi.outgoing import send_reply
from tautomer.web.asgi.socket_door import SocketDoor
from tautomer.web.asgi.types import ClientLeft, Message, Receive, Scope, Send
from tautomer.web.asgi.upload import AsgiUpload
from tautomer.web.http.head import HeadReader
from tautomer.web.http.refusal import BUSY, INTERNAL, Refusal
from tautomer.web.http.reply_bytes import ReplyBytes
from tautomer.web.http.running import SWEEP, RunningRequests
from tautomer.web.http.server_state import Handle, OnUpgrade
from tautomer.web.messages.limits import BodyPlan, HttpLimits
from tautomer.web.messages.message import Reply, Request

__all__ = ["AsgiDoor"]

log = logging.getLogger("tautomer.web")

LINGER_BYTES_MAX: Final = 1024 * 1024
"""Bytes of a refused client that are thrown away before it is cut off."""

_CLOSE = (b"connection", b"close")


class AsgiDoor:
    """Serves `handle` to requests that come as ASGI scopes.

    `handle` gets each request in a task of its own, and is cancelled as by `HttpServer`: when the client of a
    `cancellable` request leaves, and at the request's `ends`. What the outer server sees to is left to it:
    connections, TLS, ``Date``, how long a head may take to come. Text beside a status has no place in ASGI.

    Args:
        handle: The gateway.
        limits: What a stranger may ask for. Those of connections are the outer server's.
        clock: Monotonic seconds.
        wall_ms: Milliseconds since 1970.
        body_plan: As `HttpServer` has it.
        request_id: Likewise.
        on_upgrade: Likewise.
    """

    port = 0
    address = "asgi"

    def __init__(
        self,
        handle: Handle,
        *,
        limits: HttpLimits,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        body_plan: Callable[[Request], BodyPlan],
        request_id: Callable[[Request], str] = lambda _request: "",
        on_upgrade: OnUpgrade | None = None,
    ) -> None:
        self.handle = handle
        self.limits = limits
        self.replies = ReplyBytes(wall_ms)
        # The connection of a request that does not end, though its time is over, is the outer server's to cut.
        self.running: RunningRequests[Request] = RunningRequests(clock, on_stuck=lambda _request: None)
        self.starter = TaskStarter()
        self.refused: Counter[str] = Counter()
        self.clock = clock
        # Calls whose clients nobody watches yet: most are over before it would pay.
        self.unwatched: dict[_Call, None] = {}
        self._sweep = Sweep(SWEEP, self._watch)
        self._body_plan = body_plan
        self._request_id = request_id
        self.on_upgrade = on_upgrade
        self.heads = HeadReader(limits, "http")
        self._sockets = SocketDoor(self)
        self._requests_total = 0
        self._stopping = False

    async def start(self) -> None:
        """Nothing is to be opened: the outer server has done it."""

    async def stop(self, grace: float) -> None:
        """Take no more requests, let running ones end, and cut what is late. Twice is harmless."""
        self._stopping = True
        until = self.clock() + grace
        tasks = list(self.running.tasks)
        await self._sockets.stop(grace)
        left = until - self.clock()
        if tasks and left > 0:
            await asyncio.wait(tasks, timeout=left)
        cancelled = await self.running.close()
        self._sweep.stop()
        if cancelled:
            log.warning("http requests cut at stop", extra={"cancelled": cancelled})

    def statistics(self) -> dict[str, object]:
        """As `HttpServer`, without connections."""
        return {
            "requests_running": len(self.running.tasks),
            "requests_total": self._requests_total,
            "refused": dict(self.refused),
        }

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its scope to the end of its reply.

        Raises:
            Exception: The reply broke off: the outer server is to cut the connection.
        """
        self._requests_total += 1
        request: Request | None = None
        try:
            upload = None
            request, has_body, fixed = read_head(scope, self.heads)
            if fixed is None and has_body:
                upload = await self._read_body(request, receive)
        except Refusal as refusal:
            self.refused[refusal.type] += 1
            await self._refuse(refusal, scope, receive, send, request)
            return
        except ClientLeft:
            return
        if fixed is None and self.is_full:
            self.refused["SERVICE_UNAVAILABLE"] += 1
            fixed = BUSY
        if fixed is not None:
            request.id = self._request_id(request)
            await self._say(fixed, send, request.method, _named(request))
        else:
            await _Call(self, request, receive, send, upload).run()

    async def serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket, from its scope to its end."""
        self._requests_total += 1
        await self._sockets.serve(scope, receive, send)

    @property
    def is_full(self) -> bool:
        """Whether no more requests are taken now."""
        return self._stopping or 0 < self.limits.requests_max <= len(self.running.tasks)

    def watch_soon(self, call: _Call) -> None:
        """Watch the client of a call that takes its time."""
        self.unwatched[call] = None
        if not self._sweep.running:
            self._sweep.wake()

    def _watch(self) -> bool:
        for call in self.unwatched:
            call.watch()
        self.unwatched.clear()
        return False

    async def _read_body(self, request: Request, receive: Receive) -> AsgiUpload | None:
        """Read the whole body; what reads it while the request runs, where that is the plan."""
        plan = self._body_plan(request)
        limit = request.body_bytes_max = plan.bytes_max
        if 0 < limit < announced_length(request):
            raise too_large(limit)  # Before it is asked for: a client that waits for `100 Continue` keeps it.
        if not plan.streamed:
            request.raw_body = await read_body(receive, self.limits, limit)
            return None
        upload = AsgiUpload(receive, self.limits, limit)
        request.incoming = upload.incoming
        return upload

    async def _refuse(
        self, refusal: Refusal, scope: Scope, receive: Receive, send: Send, request: Request | None
    ) -> None:
        """Answer, and take the client's bytes a little longer, as our own server does, and then close.

        A socket that is closed with bytes unread is reset, and a reset can overtake the answer.
        """
        # In HTTP/2 the stream is over anyhow, and the connection goes on.
        more = [*([_CLOSE] if scope["http_version"][:1] == "1" else []), *_named(request)]

        async def linger(message: Message) -> None:
            if self.limits.linger and message["type"] == "http.response.body" and not message["more_body"]:
                await send({**message, "more_body": True})
                await self._throw_away(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._say(refusal.reply(), linger, scope["method"], more)

    async def _throw_away(self, receive: Receive) -> None:
        taken = 0
        try:
            async with asyncio.timeout(self.limits.linger):
                while taken < LINGER_BYTES_MAX:
                    message = await receive()
                    if not message.get("more_body", False):
                        return  # The end, or the client has left.
                    taken += len(message.get("body", b""))
        except TimeoutError:
            pass

    async def _say(self, reply: Reply, send: Send, method: str, more: list[tuple[bytes, bytes]]) -> None:
        """Send what needs no gateway. That the client is not there any more is no error."""
        try:
            async with asyncio.timeout(self.limits.write_stall or None):
                await send_reply(reply, send, self.replies, head_only=method == "HEAD", more=more)
        except (OSError, TimeoutError):
            log.debug("the client left before it was answered", extra={"status": reply.status})


class _Call:
    """One request in a task of its own, while the call by its server waits for the end."""

    __slots__ = (
        "_cut",
        "_done",
        "_door",
        "_left",
        "_receive",
        "_request",
        "_send",
        "_started",
        "_streaming",
        "_task",
        "_upload",
        "_watcher",
    )

    _task: asyncio.Task[None]

    def __init__(
        self, door: AsgiDoor, request: Request, receive: Receive, send: Send, upload: AsgiUpload | None
    ) -> None:
        self._door = door
        self._upload = upload
        self._request = request
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        # Whether the head of a reply is out, and all of it; why it stays a part.
        self._started = self._done = False
        # Whether its body is a stream; whether the client has left.
        self._streaming = self._left = False
        self._cut: BaseException | None = None

    async def run(self) -> None:
        """Return when all is over."""
        running = self._door.running
        self._task = running.start(self._serve(), self._request)
        if self._upload is not None:
            self.watch()
        elif self._request.cancellable:
            self._door.watch_soon(self)
        try:
            await self._task  # Which is cancelled if this is.
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            # The client has left.
        finally:
            running.tasks.pop(self._task, None)  # One that had not begun does not do it itself.
            self._door.unwatched.pop(self, None)
            if self._watcher is not None:
                self._watcher.cancel()
        if self._cut is not None:
            raise self._cut

    def watch(self) -> None:
        """See from now on whether the client leaves."""
        if self._watcher is None:
            self._watcher = self._door.starter.start(self._until_left(), "asgi client")

    async def _until_left(self) -> None:
        """Cancel the request when its client leaves."""
        request, upload = self._request, self._upload
        try:
            gone = upload is not None and not await upload.run()
            if not gone and not self._is_whole():
                return  # The body was refused, and its answer is on the way.
            while not gone:
                gone = (await self._receive())["type"] == "http.disconnect"
        except Exception as error:
            log.debug("the outer server does not say whether the client is there", exc_info=error)
            return
        self._left = True
        if not self._done and (request.cancellable or self._streaming or not self._is_whole()):
            self._door.running.cancel(self._task)

    def _is_whole(self) -> bool:
        """Whether nothing of the body is due any more."""
        return self._upload is None or self._upload.over

    async def _serve(self) -> None:
        try:
            await self._answer(await self._door.handle(self._request))
        except asyncio.CancelledError:
            if not (self._request.late and self._request.take_cancel_back()):
                raise
            self._door.refused["WRITE_STALL"] += 1
            self._cut = TimeoutError("the client does not read")
        except ClientLeft:
            pass  # It gets nothing more, and wants nothing more.
        except BaseException as error:
            # KeyboardInterrupt and SystemExit of a handler are errors of this request, not the node's end.
            await self._on_failure(error)
        finally:
            self._door.running.tasks.pop(self._task, None)

    async def _on_failure(self, error: BaseException) -> None:
        request = self._request
        log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
        if self._started:
            self._cut = error
            return
        try:
            await self._answer(INTERNAL)
        except ClientLeft:
            pass

    async def _answer(self, reply: Reply) -> None:
        door, request = self._door, self._request
        if not isinstance(reply.body, bytes):
            self._streaming = True
            self.watch()
        more = _named(request)
        if (reply.status == 413 or not self._is_whole()) and request.http_version[:1] == "1":
            more.append(_CLOSE)
        head_only = request.method == "HEAD"
        await send_reply(reply, self._tell, door.replies, head_only=head_only, more=more)

    async def _tell(self, message: Message) -> None:
        if self._left:
            raise ClientLeft
        if not message.get("more_body", not self._started):
            self._done = True  # Before it is sent: some servers say at once that it is over.
        self._started = True
        # A client that does not read is found out as a request is whose time is over.
        stall = self._door.limits.write_stall
        self._request.ends = self._door.clock() + stall if stall else None
        try:
            await self._send(message)
        except OSError as error:
            raise ClientLeft from error
        self._request.ends = None


def _named(request: Request | None) -> list[tuple[bytes, bytes]]:
    """The header that tells the id of a request, as far as it has one."""
    return [(b"x-request-id", request.id.encode("ascii"))] if request is not None and request.id else []
