"""Trace: what happened in a simulation, as a hash, and as lines for who wants to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

__all__ = ["Trace"]

DATA_CHARS_MAX = 400


class Trace:
    """Takes note of everything that happens, in its order. Two runs are the same if their hashes are.

    Args:
        tell: Called with each line, or None.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._tell = tell
        self.count = 0

    def note(self, now: float, text: str, data: bytes = b"") -> None:
        """One thing that happened."""
        self.count += 1
        self._hash.update(b"%r %b %b\n" % (now, text.encode(), data))
        if self._tell is not None:
            shown = data.decode("utf-8", "replace")
            if len(shown) > DATA_CHARS_MAX:
                shown = shown[:DATA_CHARS_MAX] + "…"
            self._tell(f"{now:12.6f} {text} {shown}".rstrip())

    def remark(self, now: float, text: str) -> None:
        """A line for the reader that does not count."""
        if self._tell is not None:
            self._tell(f"{now:12.6f} {text}")

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()
