"""WriteStall: whether a client still reads what waits for it."""

from __future__ import annotations

__all__ = ["WriteStall"]


class WriteStall:
    """Compares how many bytes wait for a client, from one look to the next. Pure: time is an argument."""

    __slots__ = ("_since", "_unwritten")

    def __init__(self) -> None:
        self._unwritten = 0
        self._since = 0.0

    def is_over(self, unwritten: int, now: float, limit: float) -> bool:
        """Whether the client has read none of what waits for it for longer than `limit` seconds; 0 for no end."""
        if unwritten != self._unwritten:
            self._unwritten = unwritten
            self._since = now
            return False
        return bool(unwritten and limit) and now - self._since > limit
