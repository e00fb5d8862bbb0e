"""SocketLine: one WebSocket to a JSON-RPC service, by which any number of calls are on their way at once."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from tautomer._tasks import TaskScope
from tautomer.client.failures import ServiceUnreachable, called_service_error
from tautomer.client.messages import MethodCall, Notification, decoded, written
from tautomer.client.tries import ANSWER_BYTES_MAX, Tries
from tautomer.errors import BrokerOptionsError
from tautomer.protocol.jsonrpc import not_found, response

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["OnNotification", "SocketLine", "pause"]

log = logging.getLogger("tautomer.client")

OnNotification: TypeAlias = Callable[[str, Any], object]
"""Told of the server's own notifications: method and params. It must not block."""

IN_FLIGHT_MAX: Final = 100
"""Messages with an answer on their way at once; more wait. A gateway runs no more of one socket either."""

PAUSE: Final = 0.1
"""Seconds before another try to open it, doubling with each that fails, a half more or less."""
PAUSE_MAX: Final = 5.0
HEARTBEAT: Final = 20.0
"""Seconds between pings, and for their answer."""
CLOSE_TIME: Final = 2.0

_decode = msgspec.json.Decoder().decode


class _Waiting:
    """Who waits for the answer to a message with these ids."""

    __slots__ = ("answer", "ids")

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = ids
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Link:
    """An open connection, to its end.

    Attributes:
        heard: Whether anything came by it.
        gone: Whether it has ended.
    """

    def __init__(self, connection: ClientConnection, url: str, on_notification: OnNotification | None) -> None:
        self.connection = connection
        self.heard = self.gone = False
        self._url = url
        self._on_notification = on_notification
        self._waiting: dict[int, _Waiting] = {}

    @property
    def is_open(self) -> bool:
        return not self.gone and self.connection.state.name == "OPEN"

    async def ask(self, text: bytes, ids: Sequence[int]) -> Any:
        """Send a message. Returns what is answered to it; None at once where it has no ids.

        Raises:
            ServiceUnreachable: The connection broke.
        """
        waiting = _Waiting(ids)
        self._waiting.update(dict.fromkeys(ids, waiting))
        try:
            # Looked at here, and again at once where it is sent: up to then nothing has left.
            if not self.is_open:
                raise ServiceUnreachable(f"the connection to {self._url} is closed", "unsent")
            await self._send(text)
            return await waiting.answer if ids else None
        finally:
            for id in ids:
                self._waiting.pop(id, None)

    async def read(self) -> None:
        """Take what comes until the connection ends."""
        from websockets.exceptions import ConnectionClosed

        reason = "it was closed"
        try:
            while True:
                text = await self.connection.recv()
                self.heard = True
                await self._on_message(text)
        except ConnectionClosed as error:
            reason = str(error)
        finally:
            self.gone = True
            for waiting in dict.fromkeys(self._waiting.values()):
                if not waiting.answer.done():
                    waiting.answer.set_exception(ServiceUnreachable(f"the connection to {self._url} broke: {reason}"))

    async def _send(self, text: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self.connection.send(text.decode())
        except ConnectionClosed as error:
            raise ServiceUnreachable(f"the connection to {self._url} broke: {error}") from error

    async def _on_message(self, text: str | bytes) -> None:
        try:
            value = _decode(text)
        except (ValueError, RecursionError):
            log.warning("message dropped: it is not JSON", extra={"url": self._url})
            return
        many = value if isinstance(value, list) else [value]
        asked = [one for one in many if isinstance(one, dict) and "method" in one]
        for one in asked:
            await self._on_request(one)
        if not asked or len(asked) < len(many):
            self._on_answer(value, many)

    def _on_answer(self, value: Any, many: list[Any]) -> None:
        ids = [one.get("id") for one in many if isinstance(one, dict)]
        known = (self._waiting.get(id) for id in ids if isinstance(id, int))
        waiting = next((one for one in known if one is not None), None)
        if waiting is None and ids == [None]:
            waiting = self._blamed()
        if waiting is None:
            # Mostly late: who asked has given up.
            log.debug("answer dropped: nobody waits for it", extra={"url": self._url})
        elif not waiting.answer.done():
            waiting.answer.set_result(value)

    def _blamed(self) -> _Waiting | None:
        """Whose message was refused as a whole, where no id says it: the only one, or the only batch."""
        all_of_them = list(dict.fromkeys(self._waiting.values()))
        batches = [one for one in all_of_them if len(one.ids) > 1]
        likely = all_of_them if len(all_of_them) == 1 else batches
        return likely[0] if len(likely) == 1 else None

    async def _on_request(self, request: dict[str, Any]) -> None:
        method, hear = request["method"], self._on_notification
        if "id" in request:
            id = request["id"]
            failure = not_found(str(method))
            await self._send(response(id if isinstance(id, str | int | float) else None, failure))
        elif hear is not None and isinstance(method, str):
            try:
                hear(method, request.get("params"))
            except Exception:
                log.exception("on_notification failed", extra={"method": method[:100]})


class SocketLine:
    """Opens a connection for the first message, and another for the next after one broke, until it is closed.

    Belongs to one event loop.

    Args:
        headers: Of the handshake.
        members: Put into each request.
        tries: How long a message may take, and what is sent again.
        on_notification: Told of what the server says of itself.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        members: Mapping[str, Any],
        tries: Tries,
        on_notification: OnNotification | None = None,
    ) -> None:
        self._url = url
        self._headers = headers
        self._members = members
        self._tries = tries
        self._on_notification = on_notification
        # Those of the callers may be the same twice; by the line each has one of its own.
        self._ids = itertools.count(1)
        self._places = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._scope = TaskScope("json-rpc line")
        self._link: _Link | None = None
        self._opening: asyncio.Task[_Link | Exception] | None = None
        self._closed = False
        self._failures = 0
        self._opens_at = 0.0
        self._random = random.SystemRandom()

    async def exchange(self, calls: Sequence[MethodCall | Notification], many: bool) -> Any:
        """Send these, and give the answer as it came but for the ids, which are the calls' own; None where none is due.

        Raises:
            CalledServiceError: The handshake, or all of it, was refused.
            ServiceUnreachable: Nobody listens there, or the connection broke.
            RequestTimeout: No answer in time.
            TypeError: Something is neither a call nor a notification, or has no form in JSON.
        """
        own: dict[int, MethodCall] = {}
        sent: list[MethodCall | Notification] = []
        for one in calls:
            if isinstance(one, MethodCall):
                id = next(self._ids)
                own[id] = one
                one = MethodCall(one.method_name, one.params, id)
            sent.append(one)
        text = written(sent, self._members, many)

        async def attempt() -> Any:
            if not own:
                return await (await self._opened()).ask(text, ())
            async with self._places:
                return await (await self._opened()).ask(text, tuple(own))

        return _renamed(await self._tries.run(attempt, self._url), own)

    async def close(self) -> None:
        """Close the connection, and fail what waits."""
        self._closed = True
        link = self._link
        if link is not None:
            await link.connection.close()
        # What reads has seen the close, and told those who wait.
        await self._scope.close(CLOSE_TIME if link is not None and self._opening is None else 0)

    async def _opened(self) -> _Link:
        link = self._link
        if link is not None and link.is_open:
            return link
        if self._closed:
            raise ServiceUnreachable(f"the client of {self._url} was closed")
        if self._opening is None:
            self._opening = self._scope.spawn(self._open(), "opening")
        # All who want it now share one try, and what comes of it.
        opening = self._opening
        await asyncio.wait((opening,))
        if opening.cancelled():
            raise ServiceUnreachable(f"the client of {self._url} was closed")
        opened = opening.result()
        if isinstance(opened, Exception):
            raise opened
        return opened

    async def _open(self) -> _Link | Exception:
        last = self._link
        if last is not None:
            # One that broke before a word came by it is no better than none.
            self._on_end(failed=not last.heard)
        if (left := self._opens_at - monotonic()) > 0:
            await asyncio.sleep(left)
        try:
            link = _Link(await self._connection(), self._url, self._on_notification)
        except Exception as error:
            self._link = None
            self._on_end(failed=isinstance(error, ServiceUnreachable))
            return error
        finally:
            self._opening = None
        self._link = link
        self._scope.spawn(link.read(), "reading")
        return link

    def _on_end(self, failed: bool) -> None:
        self._failures = self._failures + 1 if failed else 0
        if failed:
            self._opens_at = monotonic() + pause(self._failures, self._random.random())

    async def _connection(self) -> ClientConnection:
        """
        Raises:
            ServiceUnreachable: Nobody listens there, or it is no WebSocket. Nothing was sent.
            CalledServiceError: The handshake was refused.
            ValueError: The URL is none.
            BrokerOptionsError: The library that carries it is not installed.
        """
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
        except ModuleNotFoundError as error:
            needs = "a JSON-RPC client over WebSockets needs 'websockets': pip install 'tautomer[client]'"
            raise BrokerOptionsError(needs) from error

        class Once(connect):
            def process_redirect(self, exc: Exception) -> Exception:
                return exc  # The token is for the one who was named.

        try:
            return await Once(
                self._url,
                additional_headers=dict(self._headers),
                compression=None,
                proxy=None,
                open_timeout=self._tries.timeout,
                ping_interval=HEARTBEAT,
                ping_timeout=HEARTBEAT,
                close_timeout=CLOSE_TIME,
                max_size=ANSWER_BYTES_MAX,
            )
        except InvalidStatus as error:
            told = decoded(error.response.status_code, bytes(error.response.body or b""))
            raise called_service_error(told.get("error") if isinstance(told, dict) else None) from error
        except InvalidURI as error:
            raise ValueError(f"{self._url!r:.200} is no URL of a WebSocket") from error
        except (OSError, EOFError, InvalidHandshake) as error:
            raise ServiceUnreachable(f"nobody can be reached at {self._url}: {error}", "unsent") from error


def _renamed(answer: Any, own: Mapping[int, MethodCall]) -> Any:
    """The answer with the ids of the calls, those of a batch in their order: several may have one id."""
    many = answer if isinstance(answer, list) else [answer]
    places = {id: place for place, id in enumerate(own)}

    def id_of(one: Any) -> Any:
        id = one.get("id") if isinstance(one, dict) else None
        return id if isinstance(id, int) and id in own else None

    many.sort(key=lambda one: places.get(id_of(one), len(own)))
    for one in many:
        if (id := id_of(one)) is not None:
            one["id"] = own[id].id
    return answer


def pause(failures: int, chance: float) -> float:
    """Seconds before the next try to open a line, after so many that failed one after the other.

    Args:
        chance: From 0 to 1; so that not all clients of a service come back in the same moment.
    """
    return min(PAUSE_MAX, PAUSE * 2 ** min(failures - 1, 10)) * (0.5 + chance)  # type: ignore[no-any-return]  # A float.
