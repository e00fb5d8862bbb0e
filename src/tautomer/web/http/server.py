"""HttpServer: our own HTTP/1.1 server. Knows nothing of routes: a `Request` in, a `Reply` out."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import socket
import ssl
import time
from collections.abc import Callable

from tautomer._tasks import Sweep
from tautomer.errors import BrokerOptionsError
from tautomer.web.http.connection import Connection
from tautomer.web.http.head import HeadReader
from tautomer.web.http.reply_bytes import ReplyBytes
from tautomer.web.http.running import RunningRequests
from tautomer.web.http.server_state import AtOnce, Handle, OnUpgrade, ServerState
from tautomer.web.http.unix_socket import UnixListener
from tautomer.web.messages.limits import DEFAULT_LIMITS, BodyPlan, HttpLimits
from tautomer.web.messages.message import Request

__all__ = ["HttpServer", "nobody"]

log = logging.getLogger("tautomer.web")

# Clients that the system lets in ahead of us.
_BACKLOG = 1024
# Clients that the loop takes in before it turns to those it has: asyncio takes as many as it was given as backlog, and
# a thousand at once would hold up everybody for a fifth of a second.
_ACCEPTED_AT_ONCE = 32
# Open files left for all else, among them connections that are taken in to be told that there are too many.
_FILES_SPARED = 300
# Seconds for cut connections to be gone.
_ABORT_TIME = 1.0


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def nobody(client: str) -> bool:
    """No proxy is ours."""
    return False


def _within_files(limits: HttpLimits) -> HttpLimits:
    """The limits, with fewer connections where this process may not have so many files open.

    Without a file to spare it could take in nobody, and reach no message broker either.
    """
    try:
        import resource
    except ImportError:  # Not on Windows, which counts no files.
        return limits
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = files - min(_FILES_SPARED, files // 2)
    if files < 0 or limits.connections_max <= most:
        return limits
    log.info(
        "fewer connections are taken than the limit says: raise 'ulimit -n' for more",
        extra={"limit": limits.connections_max, "taken": most, "open_files": files},
    )
    return dataclasses.replace(limits, connections_max=most)


class HttpServer:
    """Serves `handle` on one address.

    `handle` gets each request in a task of its own. It should raise nothing but `CancelledError`; anything else
    is logged and answered with 500. It is cancelled when its client leaves, if the request is `cancellable` or its body has
    not all come, and when the clock reaches the request's `ends`, which then is `late`.

    Args:
        handle: The gateway.
        at_once: Looks at each request first. The reply that it gives (a body of bytes) needs no task; None
            leaves the request to `handle`. It must not raise.
        limits: What a stranger may ask for.
        host: Address or name to listen on.
        port: TCP port, 0 for any free one.
        path: Path of a Unix socket; then `host` and `port` are not used.
        mode: Permissions of that path; the process's usual ones if None.
        ssl_context: Speaks TLS when given.
        reuse_port: Lets several processes listen on one port; the system deals out the connections.
        clock: Monotonic seconds.
        wall_ms: Milliseconds since 1970, for the ``Date`` header.
        on_upgrade: Called for ``Upgrade: websocket``: why that is refused; None where the request is handled as any other,
            and may be answered by a `Takeover`. Without it such requests are refused.
        body_plan: What is to become of the body of this request, of which the head is known; for routes that take more,
            or less, than `limits.body_bytes_max`, or read bodies as they come.
        request_id: The id of a request that the server answers by itself; empty for none.
        trusted_peer: Whether an address is a proxy of ours, and so not bound by the limit for one peer.
    """

    def __init__(
        self,
        handle: Handle,
        at_once: AtOnce | None = None,
        *,
        limits: HttpLimits = DEFAULT_LIMITS,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str | None = None,
        mode: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = _wall_ms,
        on_upgrade: OnUpgrade | None = None,
        body_plan: Callable[[Request], BodyPlan] | None = None,
        request_id: Callable[[Request], str] = lambda _request: "",
        trusted_peer: Callable[[str], bool] = nobody,
    ) -> None:
        limits = _within_files(limits)
        self._host = host
        self._port = port
        self._path = path
        self._mode = mode
        self._unix: UnixListener | None = None
        self._ssl_context = ssl_context
        self._handshake_time = (limits.header_time or None) if ssl_context else None
        self._reuse_port = reuse_port
        self._listener: asyncio.Server | None = None
        self._sockets: tuple[socket.socket, ...] = ()
        self._sweep = Sweep(limits.sweep_interval, self._look)
        self._state = ServerState(
            handle=handle,
            at_once=at_once,
            limits=limits,
            clock=clock,
            heads=HeadReader(limits, "http" if ssl_context is None else "https"),
            replies=ReplyBytes(wall_ms),
            running=RunningRequests(clock, self._on_stuck),
            scheme="http" if ssl_context is None else "https",
            on_upgrade=on_upgrade,
            body_plan=body_plan,
            request_id=request_id,
            trusted_peer=trusted_peer,
            on_busy=self._on_busy,
        )
        self._state.empty.set()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Listening sockets; empty before `start` and after `stop`."""
        return self._sockets

    @property
    def port(self) -> int:
        """The port listened on, also where 0 was asked for. 0 for a Unix socket, and before `start`."""
        for sock in self._sockets:
            name = sock.getsockname()
            if isinstance(name, tuple):
                return int(name[1])
        return 0

    @property
    def address(self) -> str:
        """Where clients find the server: an URL, or ``unix:`` and the path."""
        if self._path is not None:
            return f"unix:{self._path}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._state.scheme}://{host}:{self.port or self._port}"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            BrokerOptionsError: The address cannot be had; says which, why, and what to do.
        """
        loop = asyncio.get_running_loop()
        try:
            if self._path is not None:
                self._unix = UnixListener(self._path, self._mode)
                self._listener = await loop.create_unix_server(
                    self._connect,
                    sock=self._unix.sock,
                    ssl=self._ssl_context,
                    backlog=_ACCEPTED_AT_ONCE,
                    ssl_handshake_timeout=self._handshake_time,
                )
            else:
                self._listener = await loop.create_server(
                    self._connect,
                    self._host,
                    self._port,
                    ssl=self._ssl_context,
                    backlog=_ACCEPTED_AT_ONCE,
                    reuse_port=self._reuse_port or None,
                    ssl_handshake_timeout=self._handshake_time,
                )
        except OSError as error:
            raise BrokerOptionsError(self._complaint(error)) from error
        self._sockets = tuple(self._listener.sockets)
        for sock in self._sockets:
            with socket.fromfd(sock.fileno(), sock.family, sock.type) as listener:
                listener.listen(_BACKLOG)

    def _complaint(self, error: OSError) -> str:
        where = f"port {self._port} on {self._host}"
        if error.errno == errno.EADDRINUSE:
            return f"{where} is already in use: stop the other program, or set another port (0 for any free one)"
        if error.errno == errno.EACCES:
            return f"{where} needs rights this process does not have: set a port of 1024 or more"
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            return f"cannot listen on {where}: '{self._host}' is no address of this machine"
        return f"cannot listen on {where}: {error.strerror or error}"

    async def stop(self, grace: float) -> None:
        """Take no more connections, let running requests end, and close. Twice is harmless.

        Idle connections are closed at once, running ones after their reply, which says ``Connection: close``.
        What still runs after `grace` seconds is cancelled and cut off.
        """
        state = self._state
        state.stopping = True
        await self._pause_accepting()
        waiting = self._accept_waiting()
        self._close_listener()
        async with asyncio.TaskGroup() as group:
            for sock in waiting:
                group.create_task(self._adopt(sock))
        for connection in list(state.connections):
            connection.retire()
        await self._emptied(grace)
        cancelled = await state.running.close()
        cut = len(state.connections)
        for connection in list(state.connections):
            connection.abort()
        await self._emptied(_ABORT_TIME)
        self._sweep.stop()
        if cancelled or cut:
            log.warning("http requests cut at stop", extra={"cancelled": cancelled, "connections": cut})

    async def _pause_accepting(self) -> None:
        """Let the loop finish with whom it has accepted: asyncio drops them when its server is closed first."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            try:
                loop.remove_reader(sock.fileno())
            except NotImplementedError:
                pass  # A loop that does not poll sockets.
        for _ in range(2):
            await asyncio.sleep(0)

    def _accept_waiting(self) -> list[socket.socket]:
        """Clients that the system has let in, but the loop has not seen yet. Closing the socket resets them."""
        waiting = []
        for sock in self._sockets:
            with socket.fromfd(sock.fileno(), sock.family, sock.type) as listener:
                listener.setblocking(False)
                try:
                    while True:
                        waiting.append(listener.accept()[0])
                except OSError:  # Mostly that there are no more.
                    pass
        return waiting

    async def _adopt(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        try:
            await loop.connect_accepted_socket(
                self._connect, sock, ssl=self._ssl_context, ssl_handshake_timeout=self._handshake_time
            )
        except OSError:
            sock.close()  # It has left again.

    async def _emptied(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._state.empty.wait()
        except TimeoutError:
            pass

    def _close_listener(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self._sockets = ()
        if self._unix is not None:
            self._unix.remove()

    def statistics(self) -> dict[str, object]:
        """Counts since the start, and what there is now.

        Shape: ``{"connections", "requests_running", "connections_total", "requests_total",
        "refused": {type: count}}``.
        """
        state = self._state
        return {
            "connections": len(state.connections),
            "requests_running": len(state.running.tasks),
            "connections_total": state.connections_total,
            "requests_total": state.requests_total,
            "refused": dict(state.refused),
        }

    def _connect(self) -> Connection:
        return Connection(self._state)

    def _on_stuck(self, request: Request) -> None:
        for connection in list(self._state.connections):
            connection.give_up(request)

    def _on_busy(self) -> None:
        if not self._sweep.running:
            self._state.replies.refresh()
            self._sweep.wake()

    def _look(self) -> bool:
        state = self._state
        state.replies.refresh()
        now = state.clock()
        for connection in list(state.connections):
            try:
                connection.look(now)
            except Exception as error:
                log.error("connection check failed", exc_info=error)
                connection.abort()
        return bool(state.connections)
