"""Requests that wait for an answer, by id and by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

F = TypeVar("F")
C = TypeVar("C")


class Token:
    """What a transporter is given with a request, to say by it that nobody listens.

    Attributes:
        request_id: The request that it was sent with last, as long as that is not answered.
    """

    __slots__ = ("request_id", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.request_id: str | None = None


class Tokens:
    """The tokens of one node.

    Only that of an answered request is used again: for any other, a late "nobody listens" may still come, and would be
    taken for the next request's.

    Attributes:
        free: Those to be used again. Who sends takes them from here, or makes one, and puts back what is answered.
    """

    __slots__ = ("_by_text", "_made", "free")

    def __init__(self) -> None:
        self._by_text: dict[str, Token] = {}
        self._made = 0
        self.free: list[Token] = []

    def __len__(self) -> int:
        """Those that are out with a request."""
        return len(self._by_text) - len(self.free)

    def text(self) -> str:
        """A new one, of which nothing is kept."""
        self._made += 1
        return str(self._made)

    def make(self) -> Token:
        token = Token(self.text())
        self._by_text[token.text] = token
        return token

    def drop(self, text: str) -> str | None:
        """The request that waits with this token, if any. It is not used again."""
        token = self._by_text.get(text)
        if token is None or token.request_id is None:
            return None
        del self._by_text[text]
        request_id, token.request_id = token.request_id, None
        return request_id


class Pending(msgspec.Struct, Generic[F, C], eq=False):
    """One request that waits.

    Attributes:
        action: Full action name.
        node_id: The node that was asked; only it may answer. Empty where the message broker chose: then the first
            node that is `known` may.
        deadline: On the clock of the caller, or None for no end.
        future: What is to be told; the table never looks at it, nor at the other two.
        ctx: Whose call it is.
        token: What the transporter was given to report that nobody listens, or None.
    """

    action: str
    node_id: str
    deadline: float | None
    future: F
    ctx: C
    token: Token | None = None


class PendingRequests(Generic[F, C]):
    """The table of outgoing requests. Bounded: the limit is part of the type.

    Attributes:
        by_id: What waits, oldest first. The one who sends puts in and takes out here; the others use the methods.
        orphans: Answers that nobody waited for: late, doubled, or from the wrong node.
    """

    __slots__ = ("_known", "by_id", "limit", "orphans")

    def __init__(self, limit: int, known: Callable[[str], bool] | None = None) -> None:
        self._known = known
        self.by_id: dict[str, Pending[F, C]] = {}
        self.limit = limit
        self.orphans = 0

    def __len__(self) -> int:
        return len(self.by_id)

    def take(self, request_id: str, sender: str | None = None) -> Pending[F, C] | None:
        """The request that this answer is for, now out of the table; None if nobody asked `sender` that."""
        pending = self.by_id.get(request_id)
        if pending is None or (sender is not None and not self.is_from(pending, sender)):
            self.orphans += 1
            return None
        del self.by_id[request_id]
        return pending

    def is_from(self, pending: Pending[F, C], sender: str) -> bool:
        """Whether it is this node that may answer."""
        return pending.node_id == sender or (not pending.node_id and self._known is not None and self._known(sender))

    def drop(self, request_id: str) -> Pending[F, C] | None:
        """Forget one, answered or not."""
        return self.by_id.pop(request_id, None)

    def take_overdue(self, now: float) -> list[Pending[F, C]]:
        """All whose deadline has passed, oldest first, now out of the table."""
        ids = [
            request_id
            for request_id, pending in self.by_id.items()
            if pending.deadline is not None and pending.deadline <= now
        ]
        return [self.by_id.pop(request_id) for request_id in ids]

    def take_all(self) -> list[Pending[F, C]]:
        """Everything, oldest first."""
        taken = list(self.by_id.values())
        self.by_id.clear()
        return taken
