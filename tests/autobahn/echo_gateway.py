"""A gateway whose WebSockets echo: every message comes back as it is, text as text and binary as binary.

Only who makes sense of the messages is another than usual. A stage of `use` lets the gateway's own handshake give its
answer, and puts the echo into the place of the session that the answer carries; the connection, its frames, limits and
compression are what everybody gets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tautomer import ApiGatewayService, Broker
from tautomer.web import Reply, Request
from tautomer.web.stages.use import CallNext
from tautomer.web.websocket.frames import BINARY
from tautomer.web.websocket.line import Line, OutgoingText, Session, Takeover


class OutgoingBinary(OutgoingText):
    """As the gateway sends a text, of the other kind. It has none to send itself."""

    opcode: ClassVar[int] = BINARY


class Echo:
    """A session that says what it hears."""

    line: Line

    def opened(self, line: Line) -> None:
        self.line = line

    def on_text(self, message: bytes, alone: bool = False) -> None:
        self.line.send(OutgoingText(message))

    def on_binary(self, message: bytes) -> None:
        self.line.send(OutgoingBinary(message))

    def look(self, now: float) -> None:
        pass

    def retire(self) -> None:
        self.line.close(1001, "the server stops")

    def closed(self, code: int) -> None:
        pass


class Silent(Echo):
    """A session that hears, and says nothing."""

    def on_text(self, message: bytes, alone: bool = False) -> None:
        pass


@asynccontextmanager
async def echo_gateway(session: Callable[[], Session] = Echo, **websocket: Any) -> AsyncIterator[str]:
    """A started gateway; its address as a WebSocket's URL.

    Args:
        **websocket: Settings of its WebSockets.
    """

    async def echo_stage(request: Request, call_next: CallNext) -> Reply:
        reply = await call_next(request)
        if isinstance(reply, Takeover):
            reply.session = session
        return reply

    broker = Broker("echo")
    gateway = ApiGatewayService(
        settings={"port": 0, "ip": "127.0.0.1", "websocket": {**websocket, "use": [echo_stage]}}
    )
    await broker.register(gateway)
    await broker.start()
    try:
        yield f"ws://127.0.0.1:{gateway.port}/ws"
    finally:
        await broker.stop()
