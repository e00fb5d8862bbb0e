"""A NATS client that stays connected: server pool, reconnects, subscriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from tautomer._tasks import TaskScope
from tautomer.errors import BrokerDisconnectedError, TransporterError
from tautomer.host import Host
from tautomer.transporters.nats.connection import Connection, LineLostError, cause_of
from tautomer.transporters.nats.credentials import connect_credentials
from tautomer.transporters.nats.options import NatsOptions, ServerAddress
from tautomer.transporters.nats.outbox import Outbox, checked_subject
from tautomer.transporters.nats.pool import Backoff, ServerPool
from tautomer.transporters.nats.protocol import (
    Deliver,
    ServerInfo,
    status_of,
    subscribe_line,
    unsubscribe_line,
)

__all__ = ["NatsClient", "Watcher"]

log = logging.getLogger("tautomer.transporter.nats")

_INBOX_SID = b"1"
_NO_RESPONDERS = 503

# Complaints that are remembered so as to be logged once.
_COMPLAINTS_MAX = 1_000


class Watcher(Protocol):
    """Whom a client tells how the line is. The part of `ports.Link` that it needs."""

    def undelivered(self, token: str) -> None: ...

    def unsent(self, token: str) -> None: ...

    def up(self) -> None: ...

    def down(self, reason: str) -> None: ...


class NatsClient:
    """Keeps one connection to one of several servers, for as long as it is open.

    A task of its own gets a lost line back. `outbox.publish` is how messages leave.

    Attributes:
        outbox: Takes messages at any time, also before `connect`.
        info: What the server said last, or None before the first connection.
    """

    def __init__(self, servers: Sequence[ServerAddress], host: Host, options: NatsOptions) -> None:
        self.info: ServerInfo | None = None
        self._host = host
        self._options = options
        self._pool = ServerPool(servers, host.random, options.shuffle)
        self._backoff = Backoff(options.pause, options.pause_max, host.random)
        # Nobody can guess it, so nobody can tell us in the server's name that nobody listens.
        self._inbox = b"_INBOX.%028x." % host.random.getrandbits(112)
        self.outbox = Outbox(
            inbox=self._inbox,
            away_count_max=options.pending_messages_max,
            away_bytes_max=options.pending_bytes_max,
            bytes_max=options.out_bytes_max,
            drain_bytes=options.drain_bytes,
        )
        self._handlers: dict[bytes, Deliver] = {}
        self._subscriptions: dict[bytes, tuple[bytes, bytes]] = {_INBOX_SID: (self._inbox + b"*", b"")}
        self._sids = 1
        self._watcher: Watcher | None = None
        self._connection: Connection | None = None
        self._up_since = 0.0
        self._away_since = host.clock()
        self._scope = TaskScope("transporter.nats")
        self._up = asyncio.Event()
        # Set when the keeper has something to do: the line is lost, or the server is about to go.
        self._trouble = asyncio.Event()
        self._closed = False
        self._logged_causes = ""
        self._complaints: set[str] = set()
        self._faults = 0

    @property
    def connected(self) -> bool:
        return self._connection is not None

    # Coming up.

    async def connect(self, watcher: Watcher) -> None:
        """Return when a server has let us in; try all of them again and again until then.

        Raises:
            TransporterError: No retry cures it, or `close` was called meanwhile.
        """
        self._watcher = watcher
        await self._come_back(first=True)
        self._scope.spawn(self._keep(), "keeper")

    async def _keep(self) -> None:
        """Answer to every trouble, one at a time, for as long as the client is open."""
        while True:
            await self._trouble.wait()
            self._trouble.clear()
            try:
                if self._connection is None:
                    await self._come_back(first=False)
                elif self._connection.info.ldm:
                    await self._move(self._connection)
            except Exception:
                log.exception("getting the connection to NATS back failed; trying again")
                await asyncio.sleep(self._pause())
                self._trouble.set()

    async def _come_back(self, first: bool) -> None:
        pause = not first
        while True:
            if pause:
                await asyncio.sleep(self._pause())
            pause = True
            connection = await self._dial(self._pool.round(), refusals_end_it=first)
            if self._closed:
                if connection is not None:
                    await connection.abort()
                raise TransporterError("the NATS transporter was closed while it was connecting")
            if connection is not None and self._adopt(connection):
                break
        if not first:
            self._tell_up()

    async def _dial(self, servers: Iterable[ServerAddress], refusals_end_it: bool) -> Connection | None:
        """Try servers in turn; return the first connection that was let in, or None."""
        causes = []
        for server in servers:
            connection = Connection(server, self, self._options)
            try:
                await connection.open(partial(self._introduction, server))
            except TransporterError as error:
                if refusals_end_it:
                    raise
                causes.append(str(error))
            except OSError as error:
                causes.append(f"{server}: {cause_of(error)}")
            else:
                return connection
        self._log_failure("; ".join(causes))
        return None

    def _pause(self) -> float:
        """Seconds until the next try; it is short at first, for each of the following outages, too."""
        return self._backoff.next(self._host.clock() - self._away_since)

    def _log_failure(self, causes: str) -> None:
        """Say once what is wrong, and again only when that changes."""
        if causes != self._logged_causes:
            self._logged_causes = causes
            log.warning(
                "no connection to NATS (%s); trying again. Start a server with `nats-server`, or set `transporter` to where one is",
                causes,
                extra={"servers": str(self._pool)},
            )

    def _introduction(self, server: ServerAddress, info: ServerInfo) -> dict[str, object]:
        from tautomer._version import __version__

        return {
            "verbose": False,
            "pedantic": False,
            "tls_required": server.tls or self._options.tls is not None or info.tls_required,
            "lang": "python",
            "version": __version__,
            "protocol": 1,
            "echo": True,
            "name": self._options.name,
            "headers": info.headers,
            "no_responders": info.headers,
            **connect_credentials(self._options, server, info.nonce),
        }

    def _adopt(self, connection: Connection) -> bool:
        """Make this connection the one in use: subscriptions first, then what waited. False if it is lost already."""
        try:
            transport = connection.stand(self._handlers, self.outbox.flush_soon)
        except LineLostError as error:
            self._log_failure(f"{connection.server}: {error}")
            return False
        self._connection = connection
        self._up_since = self._host.clock()
        self._pool.used(connection.server)
        connection.write(
            b"".join(subscribe_line(subject, sid, group) for sid, (subject, group) in self._subscriptions.items())
        )
        dropped = self.outbox.open(transport, connection.info.max_payload, connection.info.headers)
        if dropped:
            log.warning("%d waiting messages were dropped: this server takes smaller ones only", dropped)
        self.on_info(connection, connection.info)
        self._logged_causes = ""
        log.info("connected to NATS at %s", connection.server, extra={"server_id": connection.info.server_id})
        self._up.set()
        return True

    async def _move(self, old: Connection) -> None:
        """The server is about to go: have another before letting go of it."""
        others = self._pool.others(old.server)
        new = await self._dial(others, refusals_end_it=False) if others else None
        try:
            if new is not None and new.info.server_id == old.info.server_id:  # The same one by another name.
                await new.abort()
                new = None
            if new is not None and self._connection is old:
                self._let_go("the server is about to go; moving to another", moving=True)
                await self._take_leave(old)
        except asyncio.CancelledError:
            if new is not None:
                await new.abort()
            raise
        if new is not None and self._adopt(new):
            self._tell_up()
        elif self._connection is None:
            self._trouble.set()
        elif others:
            await asyncio.sleep(self._pause())
            self._trouble.set()

    def _tell_up(self) -> None:
        if self._watcher is not None:
            self._watcher.up()

    def _let_go(self, reason: str, moving: bool = False) -> None:
        """No line is in use any more."""
        self._connection = None
        self._away_since = self._host.clock()
        self._up.clear()
        unsent = self.outbox.away(moving)
        if unsent:
            log.warning("%d messages that the line had not taken yet are lost with it", len(unsent))
        if not self._closed and self._watcher is not None:
            self._watcher.down(reason)
            for token in unsent:
                if token is not None:
                    self._watcher.unsent(token)

    async def _take_leave(self, connection: Connection) -> None:
        """Subscribe to nothing, take what the server had sent by then, hang up."""
        try:
            async with asyncio.timeout(self._options.close_timeout):
                connection.write(b"".join(map(unsubscribe_line, self._subscriptions)))
                await connection.round_trip()
        except (TimeoutError, LineLostError):
            pass
        finally:
            await connection.hang_up(patience=1.0)

    # What the connection says.

    def on_lost(self, connection: Connection, reason: str) -> None:
        if connection is not self._connection:
            return
        # A line that never stands for long must not be tried again at full speed.
        if self._host.clock() - self._up_since >= self._options.pause_max:
            self._backoff.reset()
        if not self._closed:
            log.warning("lost the connection to NATS at %s: %s; getting it back", connection.server, reason)
        self._let_go(reason)
        self._trouble.set()

    def on_info(self, connection: Connection, info: ServerInfo) -> None:
        if connection is not self._connection:
            return
        self.info = info
        self.outbox.limit(info.max_payload)
        if self._options.discover_servers and info.connect_urls:
            self._pool.learn(info.connect_urls, connection.server)
        if info.ldm:
            log.info("NATS at %s is about to go (lame-duck mode)", connection.server)
            self._trouble.set()

    def on_complaint(self, text: str) -> None:
        if text not in self._complaints and len(self._complaints) < _COMPLAINTS_MAX:
            self._complaints.add(text)
            log.error("NATS refuses something: %s; look at the permissions of this user", text)

    def on_headers(self, sid: bytes, subject: bytes, headers: bytes, payload: bytes) -> None:
        if sid == _INBOX_SID:
            if status_of(headers) == _NO_RESPONDERS and self._watcher is not None:
                self._watcher.undelivered(subject[len(self._inbox) :].decode("utf-8", "replace"))
        elif (deliver := self._handlers.get(sid)) is not None:
            deliver(payload)

    def on_fault(self, error: Exception) -> None:
        # A bug that meets every message must not fill the disk.
        self._faults += 1
        if self._faults & (self._faults - 1) == 0:
            log.error("taking in a message failed (%d so far)", self._faults, exc_info=error)

    def on_pause(self, connection: Connection) -> None:
        if connection is self._connection:
            self.outbox.pause()

    def on_resume(self, connection: Connection) -> None:
        if connection is self._connection:
            self.outbox.resume()

    # What the user asks for.

    def subscribe(self, subject: str, deliver: Deliver, group: str = "") -> bytes:
        """Deliver messages of this subject from now on, and after each reconnect. See `round_trip`.

        Returns what `unsubscribe` takes.

        Raises:
            TransporterError: Subject or group cannot be one.
        """
        self._sids += 1
        sid = b"%d" % self._sids
        entry = (checked_subject(subject), checked_subject(group) if group else b"")
        self._subscriptions[sid] = entry
        self._handlers[sid] = deliver
        if self._connection is not None:
            self._connection.write(subscribe_line(entry[0], sid, entry[1]))
        return sid

    async def unsubscribe(self, sid: bytes) -> None:
        """End a subscription. Messages on the way are still delivered before this returns.

        Raises:
            BrokerDisconnectedError: As `round_trip`.
        """
        if self._subscriptions.pop(sid, None) is not None and self._connection is not None:
            self._connection.write(unsubscribe_line(sid))
            await self.round_trip()
        self._handlers.pop(sid, None)

    async def round_trip(self) -> None:
        """Return when a server has taken in all that was asked of it; waits for the line if it is away.

        Raises:
            BrokerDisconnectedError: The client was closed.
        """
        while not self._closed:
            connection = self._connection
            if connection is None:
                await self._up.wait()
                continue
            try:
                await connection.round_trip()
                return
            except LineLostError:
                continue
        raise BrokerDisconnectedError("The NATS transporter is closed.")

    async def close(self) -> None:
        """Take no more, hand over what came in, send what waits (bounded time), hang up. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        await self._scope.close(grace=0)
        connection = self._connection
        try:
            if connection is not None:
                await self._hand_over(connection)
        finally:
            if unsent := len(self.outbox):
                log.warning("%d messages were not sent: the transporter was closed before", unsent)
            self.outbox.close()
            self._connection = None
            self._up.set()  # Whoever waits for the line looks at `_closed` next.
            if connection is not None:
                await connection.hang_up(patience=1.0)

    async def _hand_over(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._options.close_timeout):
                # What the server had sent before it took this in comes before its answer; and answers that are given
                # to that on the spot still go out.
                connection.write(b"".join(map(unsubscribe_line, self._subscriptions)))
                await connection.round_trip()
                await self.outbox.emptied()
                await connection.round_trip()
        except LineLostError as error:
            log.warning("the connection to NATS was lost while it was closed: %s", error)
        except TimeoutError:
            log.warning("NATS at %s took too long to take in what was left", connection.server)
