"""Losses: nodes that something waits for, and what becomes of the calls to one that is gone."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from tautomer.protocol.pending import Pending, PendingRequests

F = TypeVar("F")
C = TypeVar("C")

INTERVAL: Final = 1.0
"""Seconds between two looks for nodes that keep a call waiting."""

GRACE: Final = 0.25
"""Seconds in which what a node sent before its end, and what the broker says of later requests to it, still counts."""

ASKED_SECONDS: Final = 10.0
"""Seconds for which word that nobody listened is waited for."""

ASKED_MAX: Final = 1_000
"""Questions of which that is remembered."""


class Losses(Generic[F, C]):
    """Says which nodes to probe, and which calls end because their node is gone.

    A node that has kept a call waiting for a second is probed once a second: where the message broker can tell that
    nobody listens, a node that died without a word is known within two. Nothing is noted for a single call: the oldest
    call of each node is remembered from look to look, and one that is found again has waited that long.

    Times are seconds on any clock that does not go back.
    """

    __slots__ = ("_asked", "_doubtful", "_looked_at", "_oldest", "_table")

    def __init__(self, table: PendingRequests[F, C]) -> None:
        self._table = table
        self._oldest: dict[str, Pending[F, C]] = {}
        self._looked_at = 0.0
        self._asked: dict[str, tuple[str, float]] = {}
        self._doubtful: list[tuple[float, str, Pending[F, C]]] = []

    def to_probe(self, now: float) -> list[str]:
        """The nodes to probe now, longest waiting first; mostly none."""
        if now - self._looked_at < INTERVAL:
            return []
        self._looked_at = now
        for token in [token for token, (_, at) in self._asked.items() if now - at >= ASKED_SECONDS]:
            del self._asked[token]
        oldest: dict[str, Pending[F, C]] = {}
        for pending in self._table.by_id.values():
            if pending.node_id:  # Else the message broker chose it.
                oldest.setdefault(pending.node_id, pending)
        before, self._oldest = self._oldest, oldest
        return [node_id for node_id, pending in oldest.items() if before.get(node_id) is pending]

    def asked(self, node_id: str, token: str, now: float) -> None:
        """A probe with this token has left, or a request of which the call has ended without an answer."""
        if not node_id:
            return
        asked = self._asked
        if len(asked) >= ASKED_MAX:
            del asked[next(iter(asked))]  # The oldest: word of the others comes within milliseconds, if ever.
        asked[token] = node_id, now

    def unheard(self, token: str) -> str | None:
        """Nobody listened to what was sent with this token: the node that is gone, or None if it is not known."""
        asked = self._asked.pop(token, None)
        return None if asked is None else asked[0]

    def lost(self, node_id: str, now: float) -> None:
        """This node is gone. What waits for it now ends soon, unless an answer is on its way already."""
        due = now + GRACE
        self._doubtful += [(due, key, one) for key, one in self._table.by_id.items() if one.node_id == node_id]

    def take(self, now: float) -> list[Pending[F, C]]:
        """The calls that end now because their node is gone, out of the table."""
        due = [one for one in self._doubtful if one[0] <= now]
        if not due:
            return []
        del self._doubtful[: len(due)]
        waiting = self._table.by_id
        return [waiting.pop(key) for _, key, pending in due if waiting.get(key) is pending]

    def forget(self) -> None:
        """The line is away: what it says of nodes counts no more."""
        self._oldest.clear()
        self._asked.clear()
