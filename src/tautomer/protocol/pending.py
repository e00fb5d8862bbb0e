"""Requests that wait for an answer, by id and by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

F = TypeVar("F")


class Pending(msgspec.Struct, Generic[F], eq=False):
    """One request that waits.

    Attributes:
        action: Full action name.
        node_id: The node that was asked; only it may answer. Empty where the message broker chose: then the first
            node that is `known` may.
        deadline: On the clock of the caller, or None for no end.
        waiter: What is to be told; the table never looks at it.
        token: What the transporter was given to report that nobody listens, or None.
    """

    action: str
    node_id: str
    deadline: float | None
    waiter: F
    token: str | None = None


class PendingRequests(Generic[F]):
    """The table of outgoing requests. Bounded: the limit is part of the type.

    Attributes:
        by_id: What waits, oldest first. The one who sends puts in and takes out here; the others use the methods.
        orphans: Answers that nobody waited for: late, doubled, or from the wrong node.
    """

    __slots__ = ("_known", "by_id", "limit", "orphans")

    def __init__(self, limit: int, known: Callable[[str], bool] | None = None) -> None:
        self._known = known
        self.by_id: dict[str, Pending[F]] = {}
        self.limit = limit
        self.orphans = 0

    def __len__(self) -> int:
        return len(self.by_id)

    def take(self, request_id: str, sender: str | None = None) -> Pending[F] | None:
        """The request that this answer is for, now out of the table; None if nobody asked `sender` that."""
        pending = self.by_id.get(request_id)
        if pending is None or (sender is not None and not self.is_from(pending, sender)):
            self.orphans += 1
            return None
        del self.by_id[request_id]
        return pending

    def is_from(self, pending: Pending[F], sender: str) -> bool:
        """Whether it is this node that may answer."""
        return pending.node_id == sender or (not pending.node_id and self._known is not None and self._known(sender))

    def drop(self, request_id: str) -> Pending[F] | None:
        """Forget one, answered or not."""
        return self.by_id.pop(request_id, None)

    def take_overdue(self, now: float) -> list[Pending[F]]:
        """All whose deadline has passed, oldest first, now out of the table."""
        ids = [
            request_id
            for request_id, pending in self.by_id.items()
            if pending.deadline is not None and pending.deadline <= now
        ]
        return [self.by_id.pop(request_id) for request_id in ids]

    def take_all(self) -> list[Pending[F]]:
        """Everything, oldest first."""
        taken = list(self.by_id.values())
        self.by_id.clear()
        return taken
