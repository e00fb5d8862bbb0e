"""Sockets: all WebSockets of one gateway, from the handshake to the last of them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tautomer.errors import ForbiddenError
from tautomer.protocol.sockets import event_message
from tautomer.web.errors import ConnectionNotFound
from tautomer.web.exchange import Asks, Exchange, Stage
from tautomer.web.http.refusal import BUSY
from tautomer.web.http.running import RunningRequests
from tautomer.web.messages.message import Reply
from tautomer.web.settings.origins import Origins, parse_origin
from tautomer.web.sockets.mesh_events import MeshEvents
from tautomer.web.sockets.methods import SocketMethods
from tautomer.web.sockets.socket import Socket, TimedCall
from tautomer.web.sockets.subscriptions import Subscriptions
from tautomer.web.websocket.handshake import agree, upgrade_required
from tautomer.web.websocket.line import HOSTED, OutgoingText, Takeover

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.registry.endpoints import Endpoint
    from tautomer.web.settings.records import Sites, SocketSettings

__all__ = ["Sockets", "node_tag", "origin_stage"]

log = logging.getLogger("tautomer.web")

MakeSocket: TypeAlias = "Callable[[Sockets, str, dict[str, Any]], Socket]"

CLOSED_AT_ONCE: Final = 100
"""Sockets that a stopping server closes at once; more in turns, so that not all come back in the same moment."""

CLOSE_TURN: Final = 0.02
CLOSE_SPREAD: Final = 1.0


class Sockets:
    """Opens sockets, keeps them, and knows who hears what.

    Args:
        caller: Stands for the gateway in the contexts of calls.
        calls_max: Calls that run at once for all sockets together; 0 for no end.
        timeout: Seconds that a call may take where nobody said otherwise; 0 for no end.

    Attributes:
        timeout: As above.
        open: Sockets by id, the oldest first.
        subscriptions: Who hears what.
        running: The calls.
        methods: What may be called.
        events: Who listens to which events of the mesh.
    """

    def __init__(
        self, broker: Broker, settings: SocketSettings, caller: Endpoint, calls_max: int, timeout: float
    ) -> None:
        self.broker = broker
        self.settings = settings
        self.caller = caller
        self.clock = broker.clock
        self.new_id = broker.new_id
        self.open: dict[str, Socket] = {}
        self.subscriptions = Subscriptions()
        self.methods = SocketMethods(broker)
        self.events = MeshEvents(settings.events)
        self.running: RunningRequests[TimedCall] = RunningRequests(broker.clock, lambda _call: None)
        #: Whether a call needs no more than its action's own chain.
        self.is_plain = not broker.calls_wrapped and broker.settings.max_call_level != 1
        #: Full name of the service that calls.
        self.caller_name = caller.service.full_name
        self._calls_max = calls_max
        self.timeout = timeout
        # Ids can be told to others, as addresses of private messages; so none must be guessed from another.
        self._key = broker.host.random.randbytes(32)
        self._tag = node_tag(broker.node_id)
        self._count = self._retired = 0

    # --- the handshake ---

    async def open_handler(self, exchange: Exchange) -> Reply:
        """The innermost of the handshake's route: the reply after which the connection is a WebSocket.

        Raises:
            As `take_over`.
        """
        return self.take_over(exchange, Socket)

    def take_over(self, exchange: Exchange, make: MakeSocket) -> Reply:
        """The same for sockets of another kind.

        Raises:
            MoleculerClientError: The handshake is malformed.
        """
        request, settings = exchange.request, self.settings
        keyed = HOSTED not in request.locals
        if keyed and (request.header("upgrade") or "").lower() != "websocket":
            return upgrade_required()
        agreement = agree(request, compression=settings.compression, protocols=settings.protocols, keyed=keyed)
        if agreement is None:
            return upgrade_required()
        if 0 < settings.connections_max <= len(self.open):
            return BUSY
        meta: dict[str, Any] = dict(exchange.ctx.meta)
        return Takeover.of(agreement, settings.line, partial(self._make, make, meta))

    def _make(self, make: MakeSocket, meta: dict[str, Any]) -> Socket:
        self._count += 1
        digest = hashlib.blake2b(self._count.to_bytes(8, "big"), digest_size=12, key=self._key).hexdigest()
        return make(self, f"{self._tag}-{digest}", meta)

    # --- what sockets ask for ---

    def add(self, socket: Socket) -> None:
        """A socket is there."""
        self.open[socket.id] = socket
        self.broker.broadcast_local("$socket.connected", {"socket_id": socket.id})

    def remove(self, socket: Socket, code: int) -> None:
        """A socket is gone. It hears nothing from now on."""
        if self.open.pop(socket.id, None) is None:
            return
        channels = self.subscriptions.forget(socket.id)
        self.events.forget(socket.id)
        told = {"socket_id": socket.id, "code": code, "channels": channels}
        self.broker.broadcast_local("$socket.disconnected", told)

    @property
    def is_busy(self) -> bool:
        """Whether no more calls can be run now."""
        return 0 < self._calls_max <= len(self.running.tasks)

    def close_soon(self, socket: Socket, code: int, reason: str) -> None:
        """Close an idle socket of a server that stops, not all in one moment."""
        self._retired += 1
        delay = min(CLOSE_SPREAD, self._retired // CLOSED_AT_ONCE * CLOSE_TURN)
        if delay:
            asyncio.get_running_loop().call_later(delay, socket.line.close, code, reason)
        else:
            socket.line.close(code, reason)

    # --- what the hub asks for ---

    def socket(self, socket_id: str) -> Socket:
        """
        Raises:
            ConnectionNotFound: There is none of that id here.
        """
        found = self.open.get(socket_id)
        if found is None:
            raise ConnectionNotFound(socket_id)
        return found

    def send(self, socket_ids: Iterable[str], message: OutgoingText, exclude: str | None = None) -> int:
        """Send to those of these sockets that are there. Returns how many were."""
        # A copy, as some may leave while others are being sent to.
        sockets = [self.open[one] for one in list(socket_ids) if one in self.open and one != exclude]
        for socket in sockets:
            socket.send(message)
        return len(sockets)

    def tell(self, event: str, data: Any, heard_as: str) -> None:
        """An event of the mesh: told to the sockets that listen to it.

        Args:
            heard_as: As `MeshEvents.listeners` takes it.
        """
        listeners = self.events.listeners(event, heard_as)
        if not listeners:
            return
        try:
            message = OutgoingText(event_message(event, data))
        except Exception as error:  # A user's class may raise anything while it is looked at.
            log.warning(
                "event not told to sockets: its data has no JSON form", extra={"event": event, "error": str(error)}
            )
            return
        self.send(listeners, message)

    def statistics(self) -> dict[str, int]:
        """Shape: ``{"open", "opened_total", "channels", "calls"}``."""
        return {
            "open": len(self.open),
            "opened_total": self._count,
            "channels": len(self.subscriptions),
            "calls": len(self.running.tasks),
        }

    async def close(self) -> None:
        """Cancel the calls that still run."""
        cancelled = await self.running.close()
        if cancelled:
            log.warning("socket calls cut at stop", extra={"cancelled": cancelled})


def node_tag(node_id: str) -> str:
    """What the ids of a node's sockets begin with. Clients see it, and they are not told the names of nodes."""
    return hashlib.blake2b(node_id.encode(), digest_size=6).hexdigest()


def origin_stage(sites: Sites) -> Stage | Asks:
    """Refuse browsers whose page comes from a site that is not permitted: CORS says nothing of WebSockets.

    Who sends no ``Origin`` is no browser, and acts in nobody's name but its own.

    Args:
        sites: Those that are, beside that of the same host.
    """

    def is_own(exchange: Exchange) -> bool:
        origin = exchange.request.header("origin")
        if origin is None or sites == "*":
            return True
        parsed = parse_origin(origin)
        if parsed is None:
            return False
        if isinstance(sites, Origins) and sites.permit(origin):
            return True
        # Host and port as the browser wrote both; the scheme may be that of a proxy in front.
        return origin.partition("://")[2].lower() == (exchange.request.header("host") or "").lower()

    def stage(exchange: Exchange) -> None:
        if not is_own(exchange):
            raise ForbiddenError("ORIGIN_NOT_ALLOWED")

    if not callable(sites):
        return stage
    check = sites

    def ask(exchange: Exchange) -> object:
        return is_own(exchange) or check(exchange.request.header("origin") or "")

    def hear(_exchange: Exchange, permitted: object) -> None:
        if not permitted:
            raise ForbiddenError("ORIGIN_NOT_ALLOWED")

    return Asks(ask, hear)
