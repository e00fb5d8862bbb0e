"""UpstreamPool: the connections of one proxy, kept for the next request."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from typing import Final, TypeAlias

from tautomer._tasks import Sweep
from tautomer.commands.upstream.connection import UpstreamConnection
from tautomer.commands.upstream.destination import AllowedHosts, Destination
from tautomer.commands.upstream.errors import UpstreamBusyError, UpstreamError, UpstreamTimeoutError

__all__ = ["UpstreamPool"]

log = logging.getLogger("tautomer.commands")

IDLE_TIME: Final = 4.0
"""Seconds for which an idle connection is kept: less than the 5 after which Node's servers close theirs, as a request that
meets the closing cannot always be sent again."""

_SWEEP: Final = 1.0

_Origin: TypeAlias = tuple[str, str, int]


class _Lines:
    """The connections to one origin."""

    __slots__ = ("count", "idle", "users", "waiting")

    def __init__(self) -> None:
        # Who wants one just now.
        self.users = 0
        # Open ones, and those that are being opened.
        self.count = 0
        self.idle: list[UpstreamConnection] = []
        self.waiting: deque[asyncio.Future[None]] = deque()


class UpstreamPool:
    """Opens connections, lends them, and closes those that nobody needs.

    Args:
        allowed: Asked before each name is looked up, and of each address before it is connected to.
        size: Connections to one origin (scheme, host, port). As many requests may wait for one.
        connect_time: Seconds for name, connection and TLS; also for waiting until one is free.
        tls: For ``https``; None for the system's certificates.
    """

    def __init__(
        self, allowed: AllowedHosts, size: int, connect_time: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = allowed
        self._size = size
        self._connect_time = connect_time
        self._tls = tls
        self._origins: dict[_Origin, _Lines] = {}
        self._open: dict[UpstreamConnection, _Lines] = {}
        self._sweep = Sweep(_SWEEP, self._close_idle)
        self._closed = False

    def statistics(self) -> dict[str, int]:
        """``{"open", "idle", "waiting"}``, over all origins."""
        lines = self._origins.values()
        return {
            "open": len(self._open),
            "idle": sum(len(one.idle) for one in lines),
            "waiting": sum(len(one.waiting) for one in lines),
        }

    async def connection(self, to: Destination, *, fresh: bool = False) -> UpstreamConnection:
        """One that is idle, else a new one.

        Args:
            fresh: Not one that was used before.

        Raises:
            ProxyRefusedError: Host or address is not allowed.
            UpstreamError: It cannot be opened.
            UpstreamTimeoutError: Not in time.
            UpstreamBusyError: There are as many as there may be, and none came free in time.
        """
        self._allowed.check_host(to)
        origin = (to.scheme, to.host, to.port)
        lines = self._origins.setdefault(origin, _Lines())
        lines.users += 1
        try:
            return await self._free(to, lines, fresh)
        finally:
            lines.users -= 1
            if not lines.users and not lines.count:
                self._origins.pop(origin, None)

    async def _free(self, to: Destination, lines: _Lines, fresh: bool) -> UpstreamConnection:
        try:
            async with asyncio.timeout(self._connect_time or None):
                while lines.count >= self._size and not lines.idle:
                    await self._turn(lines)
        except TimeoutError:
            raise UpstreamBusyError(f"all {self._size} connections to {to.authority} are in use") from None
        while lines.idle and not fresh:
            connection = lines.idle.pop()
            if connection.is_idle:
                return connection
            self._drop(connection)  # It is closing, and only has not said so yet.
        if lines.count >= self._size:
            self._drop(lines.idle[0])
        lines.count += 1
        try:
            return await self._opened(to, lines)
        except BaseException:
            lines.count -= 1
            self._wake(lines)
            raise

    async def _turn(self, lines: _Lines) -> None:
        if len(lines.waiting) >= self._size:
            raise UpstreamBusyError("as many requests wait for a connection as may")
        turn = asyncio.get_running_loop().create_future()
        lines.waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._wake(lines)  # It was this one's turn, and somebody else can use it.
            else:
                lines.waiting.remove(turn)
            raise

    async def _opened(self, to: Destination, lines: _Lines) -> UpstreamConnection:
        if self._closed:
            raise UpstreamError("the proxy has stopped", repeatable=True)
        try:
            async with asyncio.timeout(self._connect_time or None):
                connection = await self._connected(to)
        except TimeoutError:
            raise UpstreamTimeoutError(f"no connection within {self._connect_time:g} s", repeatable=True) from None
        self._open[connection] = lines
        return connection

    async def _connected(self, to: Destination) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(to.host, to.port, type=1)
        except (OSError, UnicodeError) as error:
            raise UpstreamError(f"its name cannot be resolved: {error}", repeatable=True) from error
        # The address that was looked at is the one that is connected to: a second look-up may give another.
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        for address in addresses:
            self._allowed.check_address(to, address)
        context = self._context() if to.scheme == "https" else None
        reason: Exception | None = None
        for address in addresses:
            try:
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self._came_free, self._went),
                    address,
                    to.port,
                    ssl=context,
                    server_hostname=to.host if context else None,
                )
                return connection
            except OSError as error:  # ssl.SSLError is one, too.
                reason = error
        raise UpstreamError(f"no connection: {reason}", repeatable=True) from reason

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    # --- what connections tell ---

    def _came_free(self, connection: UpstreamConnection) -> None:
        lines = self._open.get(connection)
        if lines is None or self._closed:
            connection.close()
            return
        lines.idle.append(connection)
        self._wake(lines)
        self._sweep.wake()

    def _went(self, connection: UpstreamConnection) -> None:
        lines = self._open.pop(connection, None)
        if lines is None:
            return
        if connection in lines.idle:
            lines.idle.remove(connection)
        lines.count -= 1
        self._wake(lines)
        if not lines.count and not lines.users:
            self._origins = {origin: known for origin, known in self._origins.items() if known is not lines}

    def _drop(self, connection: UpstreamConnection) -> None:
        """Close an idle one; it counts no more at once."""
        self._went(connection)
        connection.close()

    @staticmethod
    def _wake(lines: _Lines) -> None:
        while lines.waiting:
            turn = lines.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _close_idle(self) -> bool:
        before = asyncio.get_running_loop().time() - IDLE_TIME
        for connection in [one for one in self._open if one.is_idle and one.idle_since <= before]:
            if connection in self._open[connection].idle:
                self._drop(connection)
        return any(lines.idle for lines in self._origins.values())

    def close(self) -> None:
        """Close all, also those that are in use. It opens no more."""
        self._closed = True
        self._sweep.stop()
        for connection in [*self._open]:
            self._drop(connection)
