"""Lines that others opened to us: frames come in on them, and nothing goes out."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

from tautomer.errors import TransporterError
from tautomer.protocol.frames import FrameError, FrameReader
from tautomer.transporters.tcp.options import TcpOptions

__all__ = ["Listener"]

log = logging.getLogger("tautomer.transporter.tcp")

BACKLOG = 256
NO_LINE = "the nodes that send so many lines are not all of one mesh, or tcp.accept_max is too low"

Take = Callable[[str, int, bytes], None]
"""Takes the address that a frame came from, its type and its payload. It does not raise."""


class Listener:
    """A server socket and the lines taken in on it.

    Attributes:
        port: Where it listens, once started.
        refused: Lines over `accept_max`.
    """

    def __init__(self, take: Take, options: TcpOptions) -> None:
        self.take = take
        self.options = options
        self.port = 0
        self.refused = 0
        self._servers: list[asyncio.Server] = []
        self._inbound: dict[_Inbound, None] = {}
        self._empty: asyncio.Future[None] | None = None

    async def start(self, port: int) -> None:
        """Listen.

        Raises:
            TransporterError: The port or the address cannot be had.
        """
        options = self.options
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in (options.host or "") else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if options.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((options.host or "", port))
            self._servers.append(await loop.create_server(lambda: _Inbound(self), sock=sock, backlog=BACKLOG))
        except OSError as error:
            sock.close()
            raise TransporterError(_complaint(options.host, port, error)) from error
        self.port = sock.getsockname()[1]

    def enter(self, inbound: _Inbound) -> bool:
        """Take a line in, unless there are too many."""
        if len(self._inbound) >= self.options.accept_max:
            self.refused += 1
            if self.refused == 1 or self.refused % 1_000 == 0:
                log.warning("line refused: %s", NO_LINE, extra={"lines": len(self._inbound), "refused": self.refused})
            return False
        self._inbound[inbound] = None
        return True

    def leave(self, inbound: _Inbound) -> None:
        self._inbound.pop(inbound, None)
        if not self._inbound and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def close(self, patience: float) -> None:
        """Take no more lines in; give the others a moment to close theirs, then close them."""
        for server in self._servers:
            server.close()
        if self._inbound and patience:
            self._empty = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(patience):
                    await self._empty
            except TimeoutError:
                pass
        for inbound in list(self._inbound):
            inbound.abort()
        self._servers.clear()


class _Inbound(asyncio.Protocol):
    """One line that another node opened."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader: FrameReader | None = None
        self._transport: asyncio.Transport | None = None
        self._came_from = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._came_from = str(name[0]) if name else ""
        if self._listener.enter(self):
            take = partial(self._listener.take, self._came_from)
            self._reader = FrameReader(take, self._listener.options.max_packet_size)
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        try:
            reader.feed(data)
        except FrameError as error:
            log.warning("line cut: %s", error, extra={"address": self._came_from})
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.leave(self)

    def abort(self) -> None:
        transport, self._transport, self._reader = self._transport, None, None
        if transport is not None:
            transport.abort()


def _complaint(host: str | None, port: int, error: OSError) -> str:
    where = f"TCP port {port} on {host or 'all addresses'}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program: stop it, or set another tcp.port (None for any free one)"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"cannot listen on {where}: it is no address of this machine; set tcp.host"
    return f"cannot listen on {where}: {error.strerror or error}"
