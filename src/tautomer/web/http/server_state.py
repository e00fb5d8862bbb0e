"""What the connections of one HTTP server have in common."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

from tautomer.web.http.head import HeadReader
from tautomer.web.http.refusal import Refusal
from tautomer.web.http.reply_bytes import CLOSE, ReplyBytes
from tautomer.web.http.running import RunningRequests
from tautomer.web.messages.limits import BodyPlan, HttpLimits
from tautomer.web.messages.message import Reply, Request

__all__ = ["Client", "Handle", "OnUpgrade", "ServerState"]

Handle: TypeAlias = Callable[[Request], Awaitable[Reply]]
AtOnce: TypeAlias = Callable[[Request], Reply | None]
"""The gateway: a request in, an awaitable of its reply out."""

OnUpgrade: TypeAlias = Callable[[Request], Refusal | None]
"""Says why an ``Upgrade: websocket`` is refused; None where the request is handled, and the reply may be a `Takeover`."""

# Connections over the limit that are told so before they are closed. More are closed without a word.
_TOLD_MAX = 100


class Client(Protocol):
    """A connection, as the server sees it."""

    client: str

    def look(self, now: float) -> None:
        """Act on what is overdue."""

    def retire(self) -> None:
        """The server stops: close when idle, else after the running request."""

    def abort(self) -> None:
        """Close now, whatever runs."""

    def give_up(self, request: Request) -> None:
        """If this request runs here: answer for it, as it does not end itself, and close."""


@dataclass(slots=True, eq=False)
class ServerState:
    """Attributes are read by the connections, and changed through the methods.

    Attributes:
        stopping: No connection is kept for another request.
        running: Requests that have a task.
        connections: Open ones, oldest first.
        empty: Set while there are none.
        refused: Refusals so far, by type.
    """

    handle: Handle
    at_once: AtOnce | None
    limits: HttpLimits
    clock: Callable[[], float]
    heads: HeadReader
    replies: ReplyBytes
    running: RunningRequests[Request]
    scheme: str
    on_upgrade: OnUpgrade | None
    body_plan: Callable[[Request], BodyPlan] | None
    request_id: Callable[[Request], str]
    trusted_peer: Callable[[str], bool]
    on_busy: Callable[[], None]
    stopping: bool = False
    connections: dict[Client, None] = field(default_factory=dict)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    refused: Counter[str] = field(default_factory=Counter)
    connections_total: int = 0
    requests_total: int = 0
    _peers: Counter[str] = field(default_factory=Counter)

    def open(self, connection: Client) -> Refusal | None:
        """Count a new connection; return why it cannot be taken, if so."""
        self.connections[connection] = None
        self.connections_total += 1
        self.empty.clear()
        self._peers[connection.client] += 1
        self.on_busy()
        limits = self.limits
        over = self._over(len(self.connections), limits.connections_max)
        if connection.client and not self.trusted_peer(connection.client):
            over = max(over, self._over(self._peers[connection.client], limits.connections_per_peer_max))
        if over > _TOLD_MAX:
            self.refused["TOO_MANY_CONNECTIONS"] += 1
            connection.abort()
        elif over > 0:
            return Refusal(503, "TOO_MANY_CONNECTIONS", "There are too many connections.")
        return None

    def refusal(self, refusal: Refusal, request: Request | None) -> bytes:
        """Count a refusal, and make the answer, which is the last of its connection.

        Args:
            request: What is refused; None where its head has not been read, and so names no id.
        """
        self.refused[refusal.type] += 1
        reply = refusal.reply()
        request_id = "" if request is None else request.id
        return self.replies.whole(reply, cast(bytes, reply.body), CLOSE, request_id)

    def replace(self, connection: Client, other: Client) -> None:
        """Put another in the place of a connection: it is the same one, and speaks another protocol from now on."""
        del self.connections[connection]
        self.connections[other] = None

    @staticmethod
    def _over(count: int, limit: int) -> int:
        return count - limit if limit else 0

    def close(self, connection: Client) -> None:
        """Forget a connection that is gone. Twice is harmless."""
        if connection not in self.connections:
            return
        del self.connections[connection]
        self._peers[connection.client] -= 1
        if not self._peers[connection.client]:
            del self._peers[connection.client]
        if not self.connections:
            self.empty.set()
