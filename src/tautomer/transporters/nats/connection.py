"""One line to one server: handshake, pings, and the moment it is lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from tautomer.errors import TransporterError
from tautomer.transporters.nats.options import NatsOptions, NatsTls, ServerAddress
from tautomer.transporters.nats.protocol import (
    PING,
    PONG,
    Deliver,
    NatsProtocolError,
    Parser,
    ServerInfo,
    connect_line,
)

__all__ = ["Connection", "LineLostError", "Owner", "cause_of"]

# What a transport may hold before it asks us to wait: one piece of the outbox.
_HIGH_WATER_BYTES = 256 * 1024

# Answers to pings that nobody reads. Past this the server only talks and never listens.
_UNREAD_BYTES_MAX = 4 * 1024 * 1024

# Complaints after which the server keeps the connection. After any other it hangs up.
_HARMLESS = ("permissions violation", "invalid subject", "invalid publish subject", "maximum subscriptions exceeded")


class LineLostError(ConnectionError):
    """The connection ended; the text says why. Another one may work."""


class Owner(Protocol):
    """Whom a `Connection` tells. None of these may raise."""

    def on_lost(self, connection: Connection, reason: str) -> None:
        """Once, and not before `Connection.stand`."""

    def on_info(self, connection: Connection, info: ServerInfo) -> None:
        """The server told something new about itself or its cluster."""

    def on_complaint(self, text: str) -> None:
        """The server refused something, but keeps the connection."""

    def on_headers(self, sid: bytes, subject: bytes, headers: bytes, payload: bytes) -> None: ...

    def on_fault(self, error: Exception) -> None: ...

    def on_pause(self, connection: Connection) -> None:
        """The line takes no more for now."""

    def on_resume(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Lives once: `open`, `stand`, then lost. The owner makes another.

    Attributes:
        server: Whom it leads to.
        info: What the server said last about itself.
        gone: Why it is no more, or None.
    """

    def __init__(self, server: ServerAddress, owner: Owner, options: NatsOptions) -> None:
        self.server = server
        self.info = ServerInfo()
        self.gone: str | None = None
        self._owner = owner
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # Nothing is delivered before the handshake is over: until then anybody on the way could write to us.
        self._parser = Parser(self, {})
        self._after_read: Callable[[], None] = _nothing
        self._standing = False
        self._informed: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        # One entry for every PING under way, oldest first; None where nobody waits.
        self._pongs: deque[asyncio.Future[None] | None] = deque()
        self._missed = 0
        self._timer: asyncio.TimerHandle | None = None

    # The handshake.

    async def open(self, fields: Callable[[ServerInfo], Mapping[str, object]]) -> None:
        """Connect, encrypt if asked to, sign in; return when the server has let us in.

        Args:
            fields: Makes the fields of CONNECT from what the server said.

        Raises:
            TransporterError: Refused for a reason that does not go away by itself.
            OSError: No connection (also TimeoutError, `LineLostError`, ssl.SSLError).
        """
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                await self._shake_hands(fields)
        except BaseException as error:
            await self.abort()
            if isinstance(error, LineLostError) and _is_refusal(text := str(error)):
                raise TransporterError(_refused(self.server, text, self.info.auth_required)) from error
            if isinstance(error, ssl.SSLCertVerificationError):
                raise TransporterError(
                    f"the certificate of NATS at {self.server} is not believed: {error.verify_message}; "
                    "give the file of its authority as tls.ca_file, or the name in it as tls.server_name"
                ) from error
            raise

    async def _shake_hands(self, fields: Callable[[ServerInfo], Mapping[str, object]]) -> None:
        tls = self._options.tls or (NatsTls() if self.server.tls else None)
        first = tls is not None and tls.handshake_first
        await self._loop.create_connection(
            lambda: self,
            self.server.host,
            self.server.port,
            ssl=tls.context() if tls and first else None,
            server_hostname=self._tls_name(tls) if tls and first else None,
        )
        await self._informed
        if not first and (tls or self.info.tls_required):
            if not (self.info.tls_required or self.info.tls_available):
                raise TransporterError(
                    f"NATS at {self.server} offers no TLS; set it up there, or use nats:// without tls options"
                )
            await self._encrypt(tls or NatsTls())
        # One write: a server that refuses us closes at once, and bytes still unread there would turn its last words
        # into a reset.
        self.write(connect_line(fields(self.info)) + PING)
        await self._pong()

    def _tls_name(self, tls: NatsTls) -> str:
        return tls.server_name or self.server.tls_name or self.server.host

    async def _encrypt(self, tls: NatsTls) -> None:
        transport = self._transport
        if transport is None:
            raise LineLostError(self.gone or "closed by the server")
        # Whatever came after INFO came in the clear from anybody: forgotten.
        self._parser = Parser(self, {}, self.info.max_payload)
        try:
            encrypted = await self._loop.start_tls(transport, self, tls.context(), server_hostname=self._tls_name(tls))
        except BaseException:
            # The protocol underneath is no longer ours, and nobody will tell us that it ended.
            transport.abort()
            self._settle("TLS failed")
            self._finish()
            raise
        if encrypted is None:
            raise LineLostError(self.gone or "closed by the server during the TLS handshake")
        self._transport = encrypted
        encrypted.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def stand(self, handlers: Mapping[bytes, Deliver], after_read: Callable[[], None]) -> asyncio.Transport:
        """From now on deliver messages to these handlers, ping the server, and tell the owner of the end.

        Args:
            handlers: By sid, see `Parser`.
            after_read: Called when all that was read in one go is delivered.

        Raises:
            LineLostError: It is lost already.
        """
        if self.gone is not None or self._transport is None or self._transport.is_closing():
            raise LineLostError(self.gone or "closed by the server")
        self._standing = True
        self._parser = Parser(self, handlers, self.info.max_payload)
        self._after_read = after_read
        self._schedule_ping()
        return self._transport

    # Pings.

    async def round_trip(self) -> None:
        """Return when the server has dealt with all that it was sent before.

        Raises:
            LineLostError: The connection ended first.
        """
        self.write(PING)
        await self._pong()

    def _pong(self) -> asyncio.Future[None]:
        """The answer to a PING that was just written."""
        pong = self._loop.create_future()
        if self.gone is not None:
            _fail(pong, self.gone)
        else:
            self._pongs.append(pong)
        return pong

    def _schedule_ping(self) -> None:
        self._timer = self._loop.call_later(self._options.ping_interval, self._ping)

    def _ping(self) -> None:
        # Misses are counted by our own steps, not by the clock: a stall of this process is no fault of the line.
        if self._missed >= self._options.ping_misses:
            self.lose(f"no answer to {self._missed} pings")
            return
        self._missed += 1
        self._pongs.append(None)
        self.write(PING)
        self._schedule_ping()

    # What the server says.

    def on_info(self, info: ServerInfo) -> None:
        self.info = info
        if not self._informed.done():
            self._informed.set_result(None)
        if self._standing:
            self._owner.on_info(self, info)

    def on_ping(self) -> None:
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() > _UNREAD_BYTES_MAX + _HIGH_WATER_BYTES:
            self.lose("the server sends but does not read")
            return
        self.write(PONG)

    def on_pong(self) -> None:
        self._missed = 0
        if self._pongs:
            pong = self._pongs.popleft()
            if pong is not None and not pong.done():
                pong.set_result(None)

    def on_error(self, text: str) -> None:
        if self._standing and text.lower().startswith(_HARMLESS):
            self._owner.on_complaint(_printable(text))
        else:
            self.lose(f"the server said '{_printable(text)}'")

    def on_headers(self, sid: bytes, subject: bytes, headers: bytes, payload: bytes) -> None:
        self._owner.on_headers(sid, subject, headers, payload)

    def on_fault(self, error: Exception) -> None:
        self._owner.on_fault(error)

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.gone is not None:
            return
        try:
            self._parser.feed(data)
        except NatsProtocolError as error:
            self.lose(f"it speaks no NATS, or bytes were lost: {error}")
        self._after_read()

    def pause_writing(self) -> None:
        self._owner.on_pause(self)

    def resume_writing(self) -> None:
        self._owner.on_resume(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle("closed by the server" if exc is None else cause_of(exc))
        self._finish()

    # The end.

    def write(self, line: bytes) -> None:
        """Write whole control lines now, between the messages of the outbox."""
        transport = self._transport
        # A transport that is closing has not told us yet; uvloop's would raise.
        if transport is not None and self.gone is None and not transport.is_closing():
            transport.write(line)

    def lose(self, reason: str) -> None:
        """Give the connection up at once."""
        if self._transport is not None:
            self._transport.abort()
        self._settle(reason)

    async def abort(self) -> None:
        """Hang up at once, and return when the socket is closed."""
        self.lose("given up")
        if self._transport is not None:
            await asyncio.shield(self._closed)

    async def hang_up(self, patience: float) -> None:
        """Write out what the transport holds, close, and return when the socket is closed."""
        self._standing = False
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(patience):
                    await asyncio.shield(self._closed)
            except TimeoutError:
                pass
        await self.abort()

    def _settle(self, reason: str) -> None:
        if self.gone is not None:
            return
        self.gone = reason
        if self._timer is not None:
            self._timer.cancel()
        waiting = [self._informed, *(pong for pong in self._pongs if pong is not None)]
        self._pongs.clear()
        for waiter in waiting:
            if not waiter.done():
                _fail(waiter, reason)
        if self._standing:
            self._standing = False
            self._owner.on_lost(self, reason)

    def _finish(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)


def _fail(waiter: asyncio.Future[None], reason: str) -> None:
    waiter.set_exception(LineLostError(reason))
    waiter.exception()  # Looked at, so that nothing is logged where nobody waits for it.


def _is_refusal(text: str) -> bool:
    text = text.lower()
    return "authorization violation" in text or ("authentication" in text and ("expired" in text or "revoked" in text))


def _refused(server: ServerAddress, text: str, asked: bool) -> str:
    remedy = "check user, password, token, nkey_seed or credentials_file"
    if asked:
        remedy += ", or give them: nats://user:password@host:port"
    return f"NATS at {server} does not let us in: {text}; {remedy}"


def _printable(text: str) -> str:
    """Foreign text for logs and errors."""
    return "".join(char if char.isprintable() else "?" for char in text[:200])


def cause_of(error: BaseException) -> str:
    """A failed connection in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, LineLostError):
        return str(error)
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    return str(error) or type(error).__name__


def _nothing() -> None:
    """Nothing waits for the end of a reading yet."""
