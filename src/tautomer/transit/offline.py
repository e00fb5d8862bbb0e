"""Offline: what waits while the line to the message broker is away. Bounded in time, number and bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tautomer.errors import BrokerDisconnectedError
from tautomer.settings import TransitSettings

Send = Callable[[str, bytes], object]


class Offline:
    """Calls wait here as themselves, not as bytes: whoever gives up takes nothing back, and what leaves late says how
    much time is left. Answers and events, which nobody awaits, wait as messages.

    Nothing waits for longer than `offline_wait`, and nothing begins to wait when the line has been away for longer:
    it fails at once as not sent (reliability reference, section 4).

    Attributes:
        back_at: When the line came back, or None while it is away or was never lost.
    """

    def __init__(self, clock: Callable[[], float], settings: TransitSettings) -> None:
        self._clock = clock
        self._wait = settings.offline_wait
        self._count_max = settings.offline_max
        self._bytes_max = settings.offline_bytes_max
        self._away_since: float | None = None
        self.back_at: float | None = None
        self._pausing = 0
        # In the order in which they came; the number is the due time on the clock, then the bytes.
        self._calls: dict[asyncio.Future[None], tuple[float, int]] = {}
        self._messages: list[tuple[float, str, bytes]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._calls) + len(self._messages) + self._pausing

    @property
    def returning(self) -> bool:
        """Whether the line came back so lately that the others may not have theirs yet."""
        return self.back_at is not None and self._clock() - self.back_at < self._wait

    def gone(self) -> None:
        """The line is away from now on."""
        self._away_since, self.back_at = self._clock(), None

    def back(self, send: Send) -> None:
        """The line stands again: send the messages, wake the calls."""
        now = self._clock()
        self._away_since, self.back_at = None, now
        messages, self._messages = self._messages, []
        for due, topic, data in messages:
            self._bytes -= len(data)
            if now < due:
                send(topic, data)
        for call in self._calls:
            if not call.done():
                call.set_result(None)

    def keep(self, topic: str, data: bytes) -> None:
        """Keep a message that nobody awaits.

        Raises:
            BrokerDisconnectedError: There is no place for it, or no hope.
        """
        self._admit(len(data))
        self._messages.append((self._clock() + self._wait, topic, data))
        self._bytes += len(data)

    async def wait(self, size: int, deadline: float | None) -> None:
        """Return when the line is back.

        Raises:
            BrokerDisconnectedError: There is no place, no hope, or the time is over.
        """
        if self._away_since is None:
            return  # It came back before the caller's turn.
        self._admit(size)
        due = self._clock() + self._wait
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls[call] = due if deadline is None or due < deadline else deadline, size
        self._bytes += size
        try:
            await call
        finally:
            del self._calls[call]
            self._bytes -= size

    async def pause(self, seconds: float) -> bool:
        """Wait so long for another node to come back as well. False, at once, if too much waits already."""
        if len(self) >= self._count_max:
            return False
        self._pausing += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._pausing -= 1
        return True

    def end_overdue(self, now: float) -> None:
        """Forget the messages, and fail the calls, that have waited for long enough."""
        while self._messages and self._messages[0][0] <= now:
            self._bytes -= len(self._messages.pop(0)[2])
        for call, (due, _) in self._calls.items():
            if due <= now and not call.done():
                call.set_exception(BrokerDisconnectedError())

    def close(self) -> None:
        """Nobody waits any more."""
        self._away_since, self.back_at = None, None
        self._messages.clear()
        for call in self._calls:
            if not call.done():
                call.set_exception(BrokerDisconnectedError())

    def _admit(self, size: int) -> None:
        away = self._away_since
        if away is not None and self._clock() - away >= self._wait:
            raise BrokerDisconnectedError(
                f"The message broker has been away for over {self._wait:g} s (transit.offline_wait); the message was not sent."
            )
        if len(self) >= self._count_max or self._bytes + size > self._bytes_max:
            raise BrokerDisconnectedError(
                f"The message broker is away, and as much waits for it as may (transit.offline_max {self._count_max} "
                f"messages, transit.offline_bytes_max {self._bytes_max} bytes); the message was not sent."
            )
