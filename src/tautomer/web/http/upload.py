"""Upload: a body that arrives while its request runs, at the pace of whoever reads it."""

from __future__ import annotations

from collections.abc import Callable

from tautomer.incoming import IncomingBody
from tautomer.web.http.body_framing import ChunkedBody, LengthBody
from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits

__all__ = ["Upload", "overdue"]


def overdue(limits: HttpLimits, now: float, started: float, body_started: float, received: int) -> Refusal | None:
    """Why a body that still arrives is too late at `now`; None if it is not.

    Args:
        started: When the first byte of the request came.
        body_started: When its body began.
        received: Bytes of the body so far, with their framing.
    """
    past_grace = now - body_started - limits.body_grace
    slow = past_grace > 0 and received < past_grace * limits.body_rate_bytes
    if slow or (limits.request_time and now - started > limits.request_time):
        return Refusal(408, "REQUEST_TIMEOUT", "The body did not come in time.")
    return None


class Upload:
    """Reads the framing, hands the bytes on, and holds the client back while its reader is behind.

    Time in which the client had to wait for us is not counted as its own.

    Args:
        body: Where the body ends.
        started: When the first byte of the request came.
        keep_alive: Whether the connection may serve another request once all has come.

    Attributes:
        incoming: What the request reads.
        broken: It will never be whole; nothing more is to be fed.
    """

    __slots__ = (
        "_body",
        "_body_started",
        "_clock",
        "_go_on",
        "_held_since",
        "_limits",
        "_pause",
        "_received",
        "_resume",
        "_started",
        "broken",
        "incoming",
        "keep_alive",
    )

    _pause: Callable[[], None]
    _resume: Callable[[], None]

    def __init__(
        self,
        body: LengthBody | ChunkedBody,
        limits: HttpLimits,
        clock: Callable[[], float],
        started: float,
        keep_alive: bool,
    ) -> None:
        self._body = body
        self._limits = limits
        self._clock = clock
        self._body_started = clock()
        self._started = started
        self.keep_alive = keep_alive
        self._received = 0
        # Since when the client waits for us; None while we wait for the client.
        self._held_since: float | None = None
        self._go_on: Callable[[], None] | None = None
        self.incoming = IncomingBody(self._wanted)
        self.broken = False

    def holds(self, pause: Callable[[], None], resume: Callable[[], None], go_on: Callable[[], None] | None) -> None:
        """How the client is held back.

        Args:
            go_on: Tells a client to send that waits for that word (``Expect: 100-continue``); None for one that does not.
        """
        self._pause = pause
        self._resume = resume
        self._go_on = go_on
        if go_on is not None:
            self._held_since = self._body_started

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; return None while more is due, else the bytes after the body's end.

        Raises:
            Refusal: The framing is bad, or the body too long. The reader has been told.
        """
        if self.broken:
            return None
        if self._go_on is not None:
            self._go_on = self._held_since = None  # It did not wait for our word.
        self._received += len(data)
        try:
            rest = self._body.feed(data)
        except Refusal as refusal:
            self.refuse(refusal)
            raise
        chunk = self._body.take()
        if chunk:
            self.incoming.push(chunk)
        if rest is not None:
            self.incoming.end()
            return rest
        if self.incoming.is_full and self._held_since is None:
            self._held_since = self._clock()
            self._pause()
        return None

    def refuse(self, refusal: Refusal) -> None:
        """Take no more of it; its reader is told why."""
        self.fail(refusal.error())
        self._pause()

    def fail(self, error: Exception) -> None:
        """It will not come to its end."""
        self.broken = True
        self.incoming.fail(error)

    def overdue(self, now: float) -> Refusal | None:
        """Why the client is too slow at `now`; None if it is not, or waits for us."""
        if self.broken or self._held_since is not None:
            return None
        return overdue(self._limits, now, self._started, self._body_started, self._received)

    def _wanted(self) -> None:
        if self.broken or self._held_since is None:
            return
        held = self._clock() - self._held_since
        self._held_since = None
        self._started += held
        self._body_started += held
        if self._go_on is not None:
            self._go_on()
            self._go_on = None
        self._resume()
