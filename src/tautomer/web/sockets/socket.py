"""Socket: one client and its calls. Messages in, results and events out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tautomer._tasks import is_cancelled
from tautomer.context import Context
from tautomer.errors import MoleculerError, RateLimitExceeded, RequestTimeoutError, ServiceUnavailableError
from tautomer.protocol.sockets import (
    MalformedMessage,
    MethodCall,
    error_message,
    event_message,
    parse_message,
    result_message,
)
from tautomer.web.errors import MalformedRequest, MethodNotFound, UnserializableValueError
from tautomer.web.exchange import FAILURES
from tautomer.web.sockets.failures import failure
from tautomer.web.sockets.socket_id import SOCKET_ID
from tautomer.web.websocket.line import Line, OutgoingText

if TYPE_CHECKING:
    from tautomer.registry.endpoints import Endpoint
    from tautomer.web.sockets.sockets import Sockets

__all__ = ["Socket", "SocketCall", "TimedCall"]

MALFORMED_MAX: Final = 10
"""Messages in a row that are none, or over the rate, before the client is closed (1008)."""

WAITING_MAX: Final = 100
"""Messages that wait for their turn before no more are read from the client."""

WAITING_BYTES_MAX: Final = 64 * 1024


class TimedCall:
    """What a socket runs; what `RunningRequests` knows of it."""

    __slots__ = ("ends", "id", "late", "path")

    def __init__(self, path: str, id: str, ends: float | None) -> None:
        self.path = path
        self.id = id
        self.ends = ends
        self.late = False

    @property
    def is_only_late(self) -> bool:
        """To be asked in its task when that was cancelled: whether that was for the time, and nobody else wants its end."""
        if not self.late:
            return False
        task = asyncio.current_task()
        return task is None or task.uncancel() == 0


class SocketCall(TimedCall):
    """One message on its way through its action.

    Attributes:
        task: In which it runs; None in its first step, if that is taken at once.
    """

    __slots__ = ("action", "message", "task")

    def __init__(self, message: MethodCall, action: Endpoint, id: str, ends: float | None) -> None:
        self.task: asyncio.Task[None] | None = None
        self.message = message
        self.action = action
        self.id = id
        self.path = action.name
        self.ends = ends
        self.late = False


class Socket:
    """Runs the calls of one client, `max_in_flight` of them at a time, in the order in which they came.

    Attributes:
        id: Opaque to the client.
        data: For whoever wants to keep something as long as the socket lives; made when it is asked for.
        line: The way to the client.
    """

    __slots__ = (
        "_alone",
        "_asked_at",
        "_data",
        "_faults",
        "_held",
        "_meta",
        "_most",
        "_rate",
        "_rate_at",
        "_retired",
        "_running",
        "_sockets",
        "_waiting",
        "_waiting_bytes",
        "id",
        "line",
    )

    line: Line

    def __init__(self, sockets: Sockets, id: str, meta: dict[str, Any]) -> None:
        """
        Args:
            meta: What the handshake left in the context; every call begins with it.
        """
        self.id = id
        self._sockets = sockets
        meta[SOCKET_ID] = id
        self._meta = meta
        self._data: dict[str, Any] | None = None
        self._most = sockets.settings.max_in_flight
        self._running = 0
        self._waiting: deque[bytes] | None = None
        self._waiting_bytes = 0
        # Whether the message that begins is all that there is to do; whether the line is held; whether no more is taken.
        self._alone = self._held = self._retired = False
        # Messages of this second, and when it began; faults in a row; when the client asked last.
        self._rate = self._faults = 0
        self._rate_at = self._asked_at = sockets.clock()

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    def send(self, message: OutgoingText) -> None:
        """Send an event."""
        self.line.send(message)

    # --- what the line calls ---

    def opened(self, line: Line) -> None:
        self.line = line
        line.send(OutgoingText(event_message("connected", {"socket_id": self.id})))
        self._sockets.add(self)

    def on_text(self, message: bytes, alone: bool = False) -> None:
        self._asked_at = self._sockets.clock()
        if self._retired:
            return
        if not self._waiting:
            if not self._running:
                # Not so while another runs, which may not even have begun.
                self._alone = alone
                self._begin(message)
                self._alone = False
                return
            if self._running < self._most:
                self._begin(message)
                return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        if not self._held and (len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX):
            self._held = True
            self.line.hold()

    def on_binary(self, _message: bytes) -> None:
        self.line.close(1003, "messages are text")

    def look(self, now: float) -> None:
        idle = self._sockets.settings.idle_timeout
        if idle and not self._running and now - self._asked_at >= idle:
            self.line.close(1000, "idle")

    def retire(self) -> None:
        self._retired = True
        self._waiting = None
        if not self._running:
            self._sockets.close_soon(self, 1001, "the server stops")

    def closed(self, code: int) -> None:
        self._retired = True
        self._waiting = None
        self._sockets.remove(self, code)

    # --- calls ---

    def _begin(self, text: bytes) -> None:
        """Run a message, or answer it at once where that cannot be."""
        sockets = self._sockets
        try:
            message = parse_message(text)
        except MalformedMessage as malformed:
            self._on_fault(MalformedRequest(malformed.reason), malformed.correlation_id, "malformed messages")
            return
        correlation_id = message.correlation_id
        if self._is_over_rate():
            error = RateLimitExceeded(data={"limit": sockets.settings.messages_per_second, "window": 1})
            self._on_fault(error, correlation_id, "too many messages")
            return
        self._faults = 0
        if message.method[0] == "$" and self._is_answered(message):
            return
        action = sockets.methods.find(message.method)
        if action is None:
            self._fail(MethodNotFound(message.method[:200]), correlation_id)
            return
        if sockets.is_busy:
            self._fail(ServiceUnavailableError("TOO_MANY_CALLS"), correlation_id)
            return
        timeout = sockets.timeout
        call = SocketCall(message, action, sockets.new_id(), sockets.clock() + timeout if timeout else None)
        self._running += 1
        run = sockets.running.begin if self._alone else sockets.running.start
        try:
            call.task = run(self._serve(call), call)
        except RuntimeError:
            self._running -= 1  # The server has stopped.

    def _is_answered(self, message: MethodCall) -> bool:
        """Answer what the gateway itself is asked for."""
        try:
            told = self._sockets.events.answer(self.id, message.method, message.data)
        except MoleculerError as error:
            self._fail(error, message.correlation_id)
            return True
        if told is not None:
            self._succeed(told, message.correlation_id)
        return told is not None

    async def _serve(self, call: SocketCall) -> None:
        sockets, broker, message = self._sockets, self._sockets.broker, call.message
        try:
            if sockets.is_plain:
                # As a gateway's plain routes do: no context is made for the gateway itself, as nobody looks at it.
                ctx: Context[Any] = Context(
                    broker,
                    message.data,
                    call.action,
                    None,
                    None,
                    None,
                    2,
                    self._meta.copy(),
                    call.ends,
                    None,
                    False,
                    None,
                    call.id,
                    None,
                    call.id,
                    sockets.caller_name,
                )
                handler = call.action.handler  # Read first, called then: see `Transit._encode_and_send`.
                result = await handler(ctx)
            else:
                root: Context[Any] = Context(
                    broker,
                    {},
                    sockets.caller,
                    _meta=self._meta.copy(),
                    deadline=call.ends,
                    _id=call.id,
                    _request_id=call.id,
                )
                result = await broker.call_nested(root, call.path, message.data, {})
            self._succeed(result, message.correlation_id)
        except FAILURES as error:
            if isinstance(error, asyncio.CancelledError) and not call.is_only_late and is_cancelled():
                raise
            self._fail(RequestTimeoutError(call.path) if call.late else error, message.correlation_id, call)
        finally:
            if call.task is not None:
                sockets.running.tasks.pop(call.task, None)
            self._running -= 1
        if self._waiting is not None or self._retired:
            self._next()

    def _next(self) -> None:
        """A call has ended: take the next, or close."""
        if self._retired:
            if not self._running:
                self.line.close(1001, "the server stops")
            return
        waiting, most = self._waiting, self._most
        while waiting and self._running < most and not self._retired:
            message = waiting.popleft()
            self._waiting_bytes -= len(message)
            self._begin(message)
        if not waiting:
            self._waiting = None
            if self._held:
                self._held = False
                self.line.go_on()

    # --- answers ---

    def _succeed(self, result: Any, correlation_id: Any) -> None:
        try:
            text = result_message(result, correlation_id)
        except Exception as error:  # A user's class may raise anything while it is looked at.
            reason = f"the result has no JSON form: {type(error).__name__}"
            self._fail(UnserializableValueError(reason), correlation_id)
            return
        self.line.send(OutgoingText(text))

    def _fail(self, error: BaseException, correlation_id: Any, call: SocketCall | None = None) -> None:
        settings = self._sockets.settings
        if call is None:
            told = failure(error, "", (), "", settings.debug)
        else:
            expected = self._sockets.methods.expected(call.action)
            told = failure(error, call.path, expected, call.id, settings.debug)
        try:
            text = error_message(told, correlation_id)
        except Exception:
            text = error_message({key: value for key, value in told.items() if key != "data"}, correlation_id)
        self.line.send(OutgoingText(text))

    def _on_fault(self, error: BaseException, correlation_id: Any, reason: str) -> None:
        self._fail(error, correlation_id)
        self._on_wrong(reason)

    def _on_wrong(self, reason: str) -> None:
        """The client did what it should not; who goes on with it is closed."""
        self._faults += 1
        if self._faults >= MALFORMED_MAX:
            self.line.close(1008, reason)
            self._retired = True
            self._waiting = None

    def _is_over_rate(self) -> bool:
        most = self._sockets.settings.messages_per_second
        if not most:
            return False
        now = self._asked_at
        if now - self._rate_at >= 1.0:
            self._rate_at, self._rate = now, 0
        self._rate += 1
        return most < self._rate
