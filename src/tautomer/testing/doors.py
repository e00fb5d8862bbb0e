"""A gateway without a port: requests and WebSockets in the process of the test, through all that a real one does."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from tautomer._tasks import Turns
from tautomer.errors import RemoteError
from tautomer.testing.sockets import Answer
from tautomer.web.app import Gateway
from tautomer.web.messages.message import Reply, Request
from tautomer.web.websocket.line import HOSTED, OutgoingText, Session, Takeover

__all__ = ["TesterSocket", "ask", "open_socket"]

WAIT: Final = 10.0
"""Seconds in which an event or a result is to come."""


async def ask(gateway: Gateway, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """One request."""
    reply = await gateway.handle(Request.build(method, target, list(headers.items()), body, client="192.0.2.1"))
    return await _answer(reply)


async def _answer(reply: Reply) -> Answer:
    lines = [line.partition(": ") for line in reply.lines.splitlines()]
    headers = {name.lower(): value for name, value in [*((name, value) for name, _, value in lines), *reply.headers]}
    if isinstance(reply.body, bytes):
        return Answer(reply.status, headers, reply.body)
    try:
        return Answer(reply.status, headers, b"".join([piece async for piece in reply.body]))
    finally:
        if (close := getattr(reply.body, "aclose", None)) is not None:
            await close()


async def open_socket(gateway: Gateway, path: str, headers: Mapping[str, str]) -> TesterSocket:
    """A WebSocket.

    Raises:
        ConnectionRefusedError: It cannot be had; says with which status.
    """
    request = Request.build("GET", path, [("Upgrade", "websocket"), *headers.items()], client="192.0.2.1")
    request.locals[HOSTED] = True
    reply = await gateway.handle(request)
    if not isinstance(reply, Takeover):
        answer = await _answer(reply)
        raise ConnectionRefusedError(f"no WebSocket at '{path}': {answer.status} {answer.body.decode()[:200]}")
    return TesterSocket(reply.session())


class TesterSocket:
    """The client's end of a WebSocket.

    ```python
    async with tester.websocket() as socket:
        assert {"status": "following"} == await socket.rpc("follow")
        user = await socket.wait_for_event("created")
    ```

    Attributes:
        id: Of the socket, as the server calls it.
        close_code: By which it was closed; None while it is open.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wire = _Wire(self)
        self._came: list[Any] = []
        self._turns = Turns()
        self._asked = 0
        self.close_code: int | None = None
        session.opened(self._wire)
        self.id: str = self._came.pop(0)["data"]["socket_id"]

    async def rpc(self, method: str, **data: Any) -> Any:
        """Call a method, and what it gives.

        Raises:
            RemoteError: It failed; `exc_type` and `value` are what a client is told.
        """
        self._asked += 1
        correlation_id = f"c{self._asked}"
        self._put({"method": method, "data": data, "correlation_id": correlation_id})
        answer = await self._next(lambda one: one.get("correlation_id") == correlation_id, f"result of '{method}'")
        if answer["success"]:
            return answer["data"]
        error = answer["error"]
        raise RemoteError(error["exc_type"], error["value"], error.get("code"), error.get("type"), error.get("data"))

    async def wait_for_event(self, name: str, timeout: float = WAIT) -> Any:
        """Data of the next event of that name that nobody has waited for yet."""
        event = await self._next(
            lambda one: one["type"] == "event" and one["event"] == name, f"event '{name}'", timeout
        )
        return event["data"]

    def events(self) -> list[tuple[str, Any]]:
        """Names and data of the events that nobody has waited for, the oldest first."""
        return [(one["event"], one["data"]) for one in self._came if one["type"] == "event"]

    async def close(self) -> None:
        """Hang up. Twice is harmless."""
        self._end(1000)

    def _put(self, message: Any) -> None:
        if self.close_code is not None:
            raise ConnectionResetError(f"the socket is closed ({self.close_code})")
        self._wire.put(json.dumps(message).encode())

    async def _next(self, fits: Any, what: str, timeout: float = WAIT) -> Any:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for index, one in enumerate(self._came):
                        if fits(one):
                            return self._came.pop(index)
                    if self.close_code is not None:
                        raise ConnectionResetError(f"the socket was closed ({self.close_code}) before the {what} came")
                    await self._turns.next()
        except TimeoutError:
            raise TimeoutError(f"no {what} came in {timeout:g} s") from None

    # --- what the server says ---

    def _hear(self, message: bytes) -> None:
        self._came.append(json.loads(message))
        self._turns.wake()

    def _end(self, code: int) -> None:
        if self.close_code is None:
            self.close_code = code
            self._turns.wake()
            self._session.closed(code)


class _Wire:
    """The line as the session knows it."""

    client = "192.0.2.1"

    def __init__(self, socket: TesterSocket) -> None:
        self._socket = socket
        self._to_send: deque[bytes] = deque()
        self._held = False

    def put(self, text: bytes) -> None:
        """What the client sends."""
        self._to_send.append(text)
        self._pass_on()

    def send(self, message: OutgoingText) -> None:
        if self._socket.close_code is None:
            self._socket._hear(message.data)

    def close(self, code: int, reason: str = "") -> None:
        # Not while the session is in the midst of something.
        asyncio.get_running_loop().call_soon(self._socket._end, code)

    def hold(self) -> None:
        self._held = True

    def go_on(self) -> None:
        self._held = False
        self._pass_on()

    def _pass_on(self) -> None:
        while self._to_send and not self._held and self._socket.close_code is None:
            self._socket._session.on_text(self._to_send.popleft())
