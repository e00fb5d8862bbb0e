"""HubService: ``$hub``, by which the gateways of a mesh reach each other's sockets. Each node with sockets has one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.service import Service
from tautomer.web.sockets.socket import Socket
from tautomer.web.websocket.line import OutgoingText

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.sockets.sockets import Sockets

__all__ = ["BROADCAST", "HUB", "HubService"]

HUB: Final = "$hub"
BROADCAST: Final = "$hub.broadcast"
"""Event with ``{"channel", "text", "exclude"}``; `text` is the message as it goes to clients."""


class HubService(Service):
    """The sockets of a node's gateways, for its hub and those of other nodes.

    Attributes:
        gateways: The sockets of each gateway of this node.
        loop: The node's.
    """

    name = HUB
    metadata = {"$category": "gateway"}

    def __init__(self) -> None:
        super().__init__()
        self.gateways: list[Sockets] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def of(cls, broker: Broker) -> HubService:
        """The node's; made if it has none. On the node's loop only."""
        found = broker.get_local_service(HUB)
        if found is None:
            found = broker.create_service(cls)
        assert isinstance(found, cls)
        if found.loop is None:
            found.loop = asyncio.get_running_loop()
        return found

    def take_in(self, sockets: Sockets) -> None:
        """Another gateway of the node has sockets. Twice is harmless."""
        if sockets not in self.gateways:
            self.gateways.append(sockets)

    def drop(self, sockets: Sockets) -> None:
        """A gateway has stopped. Twice is harmless."""
        if sockets in self.gateways:
            self.gateways.remove(sockets)

    def find(self, socket_id: str) -> tuple[Sockets, Socket] | None:
        """A socket of this node."""
        for sockets in self.gateways:
            socket = sockets.open.get(socket_id)
            if socket is not None:
                return sockets, socket
        return None

    def broadcast(self, channel: str, message: OutgoingText, exclude: str | None) -> None:
        """Send to all sockets of this node that hear the channel now."""
        for sockets in self.gateways:
            sockets.send(sockets.subscriptions.members(channel), message, exclude)

    # --- what other nodes ask for ---

    @event(BROADCAST)
    def on_broadcast(self, ctx: Context[Any]) -> None:
        """A hub of another node broadcasts; this node's own has done so already."""
        params = ctx.params
        if ctx.node_id is None or not isinstance(params, dict):
            return
        channel, text, exclude = params.get("channel"), params.get("text"), params.get("exclude")
        if isinstance(channel, str) and isinstance(text, str):
            self.broadcast(channel, OutgoingText(text.encode()), exclude if isinstance(exclude, str) else None)

    @action(visibility="public", params={"socket_id": "string", "text": "string"})
    def send(self, ctx: Context[Any]) -> bool:
        """Send a message to a socket of this node. Returns whether there is one of that id."""
        found = self.find(ctx.params["socket_id"])
        if found is not None:
            found[1].send(OutgoingText(ctx.params["text"].encode()))
        return found is not None

    @action(visibility="public", params={"socket_id": "string", "code": "number", "reason": "string"})
    def disconnect(self, ctx: Context[Any]) -> bool:
        """Close a socket of this node. Returns whether there is one of that id."""
        found = self.find(ctx.params["socket_id"])
        if found is not None:
            found[1].line.close(int(ctx.params["code"]), ctx.params["reason"])
        return found is not None
