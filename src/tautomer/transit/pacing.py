"""Pacing: who sends a stream runs only so far ahead of who reads it.

The wire acknowledges nothing, and a sender that is faster than its reader would fill the message broker until that
cuts the reader off. But every node answers a PING, and a message broker keeps the order between two nodes: the PONG
says that all before the PING has arrived. A node of this kind answers it only when its reader has caught up, so that
a slow reader slows the sender down; of a stream that nobody reads any more it answers none, and the sender ends by
its idle time. A Node.js node answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from tautomer.protocol.packets import Ping, Pong
from tautomer.transit.inbox import Inbox, Key

PREFIX: Final = "stream"

STEPS_A_WINDOW: Final = 8
"""PINGs that a whole window would take."""

AHEAD: Final = 4
"""The share of the window that may be under way unanswered is one of so many. With one item more, and the half that
may be unread when a PONG is sent, it stays within the window."""

ASK_AGAIN: Final = 2.0
"""Seconds after which a PING is sent again, as it may have been lost."""

PROVE_AFTER: Final = 64 * 1024
"""Bytes after which a stream first asks: early enough that no reader is behind yet. Shorter ones never do."""

PROVE: Final = 5.0
"""Seconds for the first PONG of a stream. A node that answers none is sent to unpaced."""

SendPing: TypeAlias = Callable[[str, str, str], None]
"""Node, protocol version and id of a PING."""


class Pace:
    """How far one stream is ahead."""

    __slots__ = ("_answered", "_ask", "_asked_at", "_off", "_prefix", "_sent", "_table", "_turn", "_window", "key")

    def __init__(self, table: dict[Key, Pace], key: Key, ask: Callable[[str], None], window: int) -> None:
        self.key = key
        self._table = table
        self._prefix = f"{PREFIX}:{key[0]}:{key[2]}:"
        self._ask = ask
        self._window = window
        self._sent = 0
        self._asked_at = 0
        self._answered = 0
        self._off = False
        self._turn: asyncio.Future[None] | None = None
        table[key] = self

    def sent(self, bytes: int) -> bool:
        """So much more is out. Whether the sender must wait for `room` now."""
        self._sent += bytes
        step = self._window // STEPS_A_WINDOW
        if self._sent - self._asked_at >= (step if self._asked_at else min(step, PROVE_AFTER)) and not self._off:
            self._asked_at = self._sent
            self._ask(f"{self._prefix}{self._sent}")
        return self._is_ahead()

    def _is_ahead(self) -> bool:
        return self._sent - self._answered > self._window // AHEAD and not self._off

    async def room(self) -> None:
        """Wait until the reader is near enough. Who calls this bounds it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PROVE
        while self._is_ahead():
            self._turn = loop.create_future()
            try:
                async with asyncio.timeout(ASK_AGAIN):
                    await self._turn
            except TimeoutError:
                if self._answered == 0 and loop.time() >= until:
                    self._off = True
                    return
                self._ask(f"{self._prefix}{self._asked_at}")
            finally:
                self._turn = None

    def answered(self, position: int) -> None:
        """What was sent up to this position has arrived, and was read but for half a window."""
        if self._answered < position <= self._asked_at:
            self._answered = position
            if self._turn is not None and not self._turn.done():
                self._turn.set_result(None)

    def end(self) -> None:
        self._table.pop(self.key, None)


class Pacing:
    """The paces of all streams that go out, and the answers for those that come in.

    Args:
        ping: Sends a PING; never raises.
        pong: Answers one; never raises.
        window: Bytes of one stream that may wait unread.
    """

    def __init__(self, ping: SendPing, pong: Callable[[Ping], None], window: int) -> None:
        self._ping = ping
        self._pong = pong
        self._window = window
        self._paces: dict[Key, Pace] = {}

    def pace(self, command: str, node_id: str, request_id: str, version: str) -> Pace:
        """For a stream that goes out to this node."""

        def ask(ping_id: str) -> None:
            self._ping(node_id, version, ping_id)

        return Pace(self._paces, (command, node_id, request_id), ask, self._window)

    def on_pong(self, packet: Pong) -> bool:
        """Whether a PONG is the answer to one of ours."""
        found = _parts(packet.id)
        if found is None:
            return False
        command, request_id, position = found
        pace = self._paces.get((command, packet.sender, request_id))
        if pace is not None:
            pace.answered(position)
        return True

    def hold(self, packet: Ping, inbox: Inbox) -> bool:
        """Keep a PING for later if the reader is behind. True if it is kept."""
        if 2 * inbox.incoming.held <= self._window:
            return False
        inbox.await_room(self._window // 2, lambda: self._pong(packet))
        return True


def key_of(packet: Ping) -> Key | None:
    """The stream that a PING belongs to, as it stands at its reader; None for any other PING."""
    found = _parts(packet.id)
    return None if found is None else (found[0], packet.sender, found[1])


def _parts(ping_id: object) -> tuple[str, str, int] | None:
    """Command, request id and position in the id of a PING."""
    if not isinstance(ping_id, str) or not ping_id.startswith(PREFIX):
        return None
    head, _, position = ping_id.rpartition(":")
    prefix, command, request_id = (*head.split(":", 2), "", "")[:3]
    if prefix != PREFIX or not request_id or not (position.isascii() and position.isdigit() and len(position) < 16):
        return None
    return command, request_id, int(position)
