"""GatewayApp: a gateway as an ASGI application, for uvicorn, granian, hypercorn or any other server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from tautomer.web.asgi.door import AsgiDoor
from tautomer.web.asgi.types import Receive, Scope, Send
from tautomer.web.http.refusal import BUSY

if TYPE_CHECKING:
    from tautomer.web.service import ApiGatewayService

__all__ = ["GatewayApp"]

log = logging.getLogger("tautomer.web")

_CLOSED_HEADERS = [(b"content-type", b"application/json; charset=utf-8"), (b"retry-after", b"1")]


class GatewayApp:
    """What an ASGI server calls.

    With the server's start the broker starts, and with its end it stops; a broker that runs already is left alone,
    then and at the end. A start that fails is told to the server, which then does not start either.
    """

    def __init__(self, service: ApiGatewayService) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope.

        Raises:
            ValueError: A protocol that is neither HTTP, WebSocket nor lifespan.
        """
        kind = scope["type"]
        if kind == "http":
            door = self._service._server
            if isinstance(door, AsgiDoor):
                await door.serve(scope, receive, send)
            else:
                # A server without lifespan, or a request that came after the end.
                await send({"type": "http.response.start", "status": 503, "headers": _CLOSED_HEADERS})
                await send({"type": "http.response.body", "body": BUSY.body})
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            door = self._service._server
            if isinstance(door, AsgiDoor):
                await door.serve_socket(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1001})
        else:
            raise ValueError(f"a gateway serves http and websocket, not {kind!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        """The life of the server (ASGI lifespan protocol, version 2.0)."""
        await receive()
        broker = self._service.broker
        own = not broker.started
        if own:
            try:
                await broker.start()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                log.error("the node does not start", exc_info=error)
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            if own:
                await broker.stop()
        await send({"type": "lifespan.shutdown.complete"})
