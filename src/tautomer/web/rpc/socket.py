"""JSON-RPC over WebSockets (JSON-RPC reference, section 13): each text is a request, a notification or a batch of them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.errors import MoleculerError
from tautomer.protocol.jsonrpc import (
    INTERNAL_ERROR,
    OVERLOADED,
    TIMED_OUT,
    Batch,
    Call,
    Failure,
    Fault,
    Notification,
    is_rpc,
    parse,
    reply,
)
from tautomer.protocol.sockets import EVENT_START
from tautomer.web.exchange import Exchange
from tautomer.web.messages.message import Reply, Request
from tautomer.web.rpc.endpoint import JsonRpcEndpoint
from tautomer.web.rpc.processor import Asker
from tautomer.web.sockets.hub_service import HubService
from tautomer.web.sockets.socket import Socket, TimedCall
from tautomer.web.sockets.sockets import Sockets
from tautomer.web.websocket.line import Line, OutgoingText

if TYPE_CHECKING:
    from tautomer.registry.endpoints import Endpoint
    from tautomer.web.rate_limit.limiter import RateLimiter

__all__ = ["MixedSocket", "RpcSocket", "RpcSocketDoor"]

NOTIFIED: Final = b'{"jsonrpc":"2.0","method":"event","params":{'
_TOO_FAST: Final = Failure(OVERLOADED)


class RpcSocketDoor:
    """Answers the handshakes at one endpoint, and is what its sockets have in common.

    Args:
        caller: Stands for the gateway in the contexts of calls.
        limiter: Counts messages as the route counts requests; None where it has no limit.
        is_mixed: Whether its sockets also speak as those of `@websocket_rpc` do.

    Attributes:
        in_flight_max: Calls of one socket at a time; 1 where the endpoint wants them in order.
        bytes_max: Longest message; 0 for no end.
    """

    def __init__(
        self,
        endpoint: JsonRpcEndpoint,
        sockets: Sockets,
        caller: Endpoint,
        limiter: RateLimiter | None = None,
        is_mixed: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.limiter = limiter
        self.in_flight_max = 1 if endpoint.settings.sequential else endpoint.settings.max_in_flight
        self.bytes_max = sockets.settings.line.message_bytes_max
        self._sockets = sockets
        self._caller = caller
        self._kind = MixedSocket if is_mixed else RpcSocket
        # A broadcast goes to many sockets, one after the other.
        self._told: tuple[OutgoingText, OutgoingText] | None = None

    async def open_handler(self, exchange: Exchange) -> Reply:
        """The innermost of the handshake's route.

        Raises:
            As `Sockets.take_over`.
        """
        # What is called may use the hub of the node.
        HubService.of(self._sockets.broker).take_in(self._sockets)
        request = exchange.request
        timeout = self.endpoint.asked_timeout(request)
        return self._sockets.take_over(exchange, partial(self._kind, door=self, request=request, timeout=timeout))

    def asker(self, socket: RpcSocket, meta: dict[str, Any]) -> Asker:
        """Who sends a message, which begins a chain of calls of its own."""
        sockets, timeout = self._sockets, socket.timeout
        id = sockets.new_id()
        ends = sockets.clock() + timeout if timeout else None
        root: Context[Any] = Context(
            sockets.broker, {}, self._caller, _meta=meta.copy(), deadline=ends, _id=id, _request_id=id
        )
        return Asker(root, socket.request, timeout, partial(self.endpoint.permit, socket.request))

    def notification(self, message: OutgoingText) -> OutgoingText:
        """An event of the hub as a notification: method ``event`` with ``{"event", "data"}``."""
        told = self._told
        if told is None or told[0] is not message:
            told = self._told = message, OutgoingText(NOTIFIED + message.data.removeprefix(EVENT_START) + b"}")
        return told[1]


class RpcSocket(Socket):
    """One client of an endpoint. Answers go out as they are ready, each under its id.

    A message takes as many places among those that run at once as calls of it do; one for each hundredth of the longest
    message it takes as well, so that what runs is bounded in bytes, too.

    Attributes:
        request: The handshake; it shows the tokens for all that is asked.
        timeout: Seconds for each call, None for no end.
    """

    __slots__ = ("_door", "request", "timeout")

    def __init__(
        self,
        sockets: Sockets,
        id: str,
        meta: dict[str, Any],
        *,
        door: RpcSocketDoor,
        request: Request,
        timeout: float | None,
    ) -> None:
        super().__init__(sockets, id, meta)
        self._door = door
        self._most = door.in_flight_max
        self.request = request
        self.timeout = timeout

    def send(self, message: OutgoingText) -> None:
        self.line.send(self._door.notification(message))

    def opened(self, line: Line) -> None:
        # Without a word: nobody has asked yet, and not every client knows what to make of notifications.
        self.line = line
        self._sockets.add(self)

    # --- calls ---

    def _begin(self, text: bytes) -> None:
        processor = self._door.endpoint.processor
        batch = parse(text, processor.limits)
        if all(isinstance(item, Fault) for item in batch.items):
            self._answer(reply(batch, ()))
            self._on_wrong("malformed messages")
            return
        if self._is_over_rate():
            self._refuse(batch, _TOO_FAST)
            self._on_wrong("too many messages")
            return
        self._faults = 0
        sockets = self._sockets
        if sockets.is_busy:
            self._refuse(batch, _TOO_FAST)
            return
        asker = self._door.asker(self, self._meta)
        item = batch.items[0]
        is_single = not batch.many
        if is_single and type(item) is Notification and self._most > 1 and self._door.limiter is None:
            processor.notify(item, asker)
            return
        # Each of a batch has its own time.
        call = TimedCall(self.request.path, asker.ctx.id, asker.ctx.deadline if is_single else None)
        weight = self._weight(batch, len(text))
        self._running += weight
        try:
            sockets.running.start(self._run(call, batch, asker, weight), call)
        except RuntimeError:
            self._running -= weight  # The server has stopped.

    def _weight(self, batch: Batch, size: int) -> int:
        calls = 1 if not batch.many else min(self._door.endpoint.settings.batch_concurrency, len(batch.items))
        bytes_max = self._door.bytes_max
        return calls + (size * self._most // bytes_max if bytes_max else 0)

    async def _run(self, call: TimedCall, batch: Batch, asker: Asker, weight: int) -> None:
        task = asyncio.current_task()
        try:
            if not await self._is_over_limit(batch):
                self._answer(await self._door.endpoint.processor.run(batch, asker, waits=True))
        except asyncio.CancelledError:
            if call.is_only_late:
                self._refuse(batch, Failure(TIMED_OUT, data={"timeout": self.timeout}))
            elif task is not None and task.cancelling():
                raise
            else:
                # Nobody wants this to end: the method awaited something that was cancelled, and let that out.
                self._refuse(batch, Failure(INTERNAL_ERROR, data={"requestID": call.id}))
        finally:
            self._sockets.running.tasks.pop(task, None)  # type: ignore[arg-type]  # This is a task.
            self._running -= weight
        self._next()

    async def _is_over_limit(self, batch: Batch) -> bool:
        """Count the message as the route counts requests. Whether it is one too many, and has been answered."""
        limiter = self._door.limiter
        if limiter is None:
            return False
        try:
            hit = await limiter.count(self.request)
        except MoleculerError:
            self._refuse(batch, _TOO_FAST)
            return True
        if hit is None or hit.hits <= limiter.limit:
            return False
        self._refuse(batch, Failure(OVERLOADED, data={"retryAfter": limiter.seconds_left(hit.resets_in)}))
        return True

    # --- answers ---

    def _answer(self, text: bytes | None) -> None:
        if text is not None:
            self.line.send(OutgoingText(text))

    def _refuse(self, batch: Batch, failure: Failure) -> None:
        """The same answer to all calls of a message."""
        self._answer(reply(batch, [failure for item in batch.items if isinstance(item, Call)]))


class MixedSocket(RpcSocket):
    """A client of a place that speaks both languages: each message is answered in its own.

    What it says first settles the rest: how many of its calls run at once, and in which form it hears of events.
    """

    __slots__ = ("_speaks",)

    def __init__(self, sockets: Sockets, id: str, meta: dict[str, Any], **handshake: Any) -> None:
        super().__init__(sockets, id, meta, **handshake)
        self._most = sockets.settings.max_in_flight
        # Whether its first message was JSON-RPC; None before that.
        self._speaks: bool | None = None

    def send(self, message: OutgoingText) -> None:
        if self._speaks:
            super().send(message)
        else:
            Socket.send(self, message)

    def opened(self, line: Line) -> None:
        Socket.opened(self, line)

    def _begin(self, text: bytes) -> None:
        rpc = is_rpc(text)
        if self._speaks is None:
            self._speaks = rpc
            if rpc:
                self._most = self._door.in_flight_max
        if rpc:
            super()._begin(text)
        else:
            Socket._begin(self, text)
