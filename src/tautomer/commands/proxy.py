"""HTTPProxyCommand: a command that asks an upstream HTTP server in a client's place (resilience reference, section 12)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias
from weakref import WeakKeyDictionary

from tautomer.commands.command import Command
from tautomer.commands.forwarding import answer_headers, request_headers
from tautomer.commands.messages import ProxyRequest, ProxyResponse, query_of
from tautomer.commands.upstream.answer import Answer
from tautomer.commands.upstream.destination import AllowedHosts, destination
from tautomer.commands.upstream.errors import ProxyRefusedError, UpstreamError
from tautomer.commands.upstream.question import IDEMPOTENT, Question
from tautomer.errors import BrokerOptionsError, StreamError

if TYPE_CHECKING:
    from tautomer.commands.upstream.client import UpstreamClient

__all__ = ["WHOLE_BYTES_MAX", "HTTPProxyCommand", "close_content"]

log = logging.getLogger("tautomer.commands")

WHOLE_BYTES_MAX: Final = 64 * 1024
"""Bodies up to this length are read whole; longer ones, and those that do not tell their length, pass as they come."""

ANSWER_BYTES_MAX: Final = 10 * 1024 * 1024
"""Longest answer that is read whole because somebody wants it so, and sets no bound."""

_Clients: TypeAlias = "WeakKeyDictionary[asyncio.AbstractEventLoop, UpstreamClient]"


class HTTPProxyCommand(Command):
    """Passes a request on to an upstream server, and its answer back.

    ```python
    class APIService(HTTPProxyCommand):
        group_key = "api.v1"
        allowed_hosts = ["intra.service.com"]

        def before_request(self):
            self.request["url"] = "http://intra.service.com" + self.request["path"]
    ```

    It has a command's pool, circuit and fallback; its place in the pool is free again when the head of the answer (and a
    short body) is there.

    Attributes:
        allowed_hosts: Where requests may go: hosts, ``host:port``, ``*.domain``, addresses, networks (see
            `AllowedHosts`); None for anywhere.
        connect_timeout_seconds: For a connection: name, TCP, TLS.
        request_timeout_seconds: From the end of the request to the head of its answer.
        idle_timeout_seconds: In which a body, either way, may stand still. For each of the three 0 is no end.
        timeout_seconds: For all of it up to the head of the answer, waiting for a place and the client's own upload
            included. None: what the three above say, and the time of the request at the gateway.
        pool_max_size: Connections to one upstream.
        max_body: Longest body of a request, in bytes; 0 for no bound. Over it 413.
        max_answer: Longest body of an answer; 0 for no bound. Over it 502, or a broken body.
        stream: None: bodies up to 64 KiB are bytes, longer ones, and those that do not tell their length, iterators.
            True: of requests all are iterators. False: all are bytes, both ways.
        preserve_host: Whether the upstream sees the client's `Host`, and not its own.
        forwarded: Whether it is told where the request came from (``X-Forwarded-*``, `Forwarded`, `Via`).
        failure_statuses: Of answers that count as failures for the circuit; they are passed on.
        fallback_statuses: Of answers in whose place the fallback is asked, if there is one.
        tls: For ``https``; None for the system's certificates.
        request: What is asked; `before_request` may change it.
        response: What is answered; `after_response` may change it.
    """

    timeout_seconds = None
    # That the client left says nothing of the upstream.
    ignore = (StreamError,)

    allowed_hosts: ClassVar[Sequence[str] | None] = None
    connect_timeout_seconds: ClassVar[float] = 1.0
    request_timeout_seconds: ClassVar[float] = 30.0
    idle_timeout_seconds: ClassVar[float] = 60.0
    pool_max_size: ClassVar[int] = 300
    max_body: ClassVar[int] = 10 * 1024 * 1024
    max_answer: ClassVar[int] = 0
    stream: ClassVar[bool | None] = None
    preserve_host: ClassVar[bool] = False
    forwarded: ClassVar[bool] = True
    failure_statuses: ClassVar[Container[int]] = range(500, 600)
    fallback_statuses: ClassVar[Container[int]] = ()
    tls: ClassVar[ssl.SSLContext | None] = None

    _clients: ClassVar[_Clients] = WeakKeyDictionary()

    response: Any

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._clients = WeakKeyDictionary()

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._given = request
        self.request = ProxyRequest(request)
        self.response = None

    # --- hooks ---

    def before_request(self) -> Any:
        """Set ``self.request["url"]``, and change what else is to be changed; or answer, by setting `self.response`.

        May be ``async def``. What it raises is a failure of the command.
        """

    def after_response(self) -> Any:
        """Change `self.response`. May be ``async def``. What it raises is a failure of the command."""

    # --- the command ---

    async def run(self) -> Any:
        """Ask the upstream. With retries each attempt begins with the request as it came."""
        self.request, self.response = ProxyRequest(self._given), None
        await _made(self.before_request())
        if self.response is None:
            self.response = await self._asked()
        try:
            await _made(self.after_response())
        except BaseException:
            await close_content(self.response)
            raise
        return self.response

    def failure(self, result: Any) -> bool:
        """Whether an answer counts as a failure: by its status."""
        return _status(result) in self.failure_statuses or _status(result) in self.fallback_statuses

    def replace(self, result: Any) -> bool:
        """Whether the fallback's is to take the place of such an answer; else it is passed on."""
        return _status(result) in self.fallback_statuses

    async def _asked(self) -> ProxyResponse:
        body = _Body(self.request["data"])
        client = self._client()
        try:
            question = self._question(body)
            answer = await client.ask(question)
            return await self._response(answer, question.method)
        except UpstreamError as error:
            error.retryable = self._may_repeat(error, body)
            log.warning("upstream failed", extra={"command": type(self).__name__, "reason": error.reason[:200]})
            raise
        except ProxyRefusedError as error:
            log.warning("request not passed on", extra={"command": type(self).__name__, "reason": error.reason[:200]})
            raise

    def _may_repeat(self, error: UpstreamError, body: _Body) -> bool:
        """Whether another attempt does no harm: nothing of the body is gone, and it was not seen, or may be seen twice."""
        return not body.begun and (error.repeatable or self.request["method"] in IDEMPOTENT)

    def _question(self, body: _Body) -> Question:
        request = self.request
        url = request.get("url")
        if url is None:
            raise ValueError("before_request must set request['url']")
        if request["path"].startswith("//"):
            raise ProxyRefusedError("the path begins with two slashes, and so could be read as a host")
        to = destination(url, query_of(request))
        headers = request["headers"]
        lines = request_headers(headers.pairs).pairs
        host = headers.get("host") or (request["host"] if self.preserve_host else None)
        if host is not None:
            lines.insert(0, ("Host", host))
        data = request["data"]
        if data is not body.given:
            body = _Body(data)  # A hook has put another in its place, of which nothing is known.
        told = request["length"] if data is self._given.get("data") else None
        return Question(
            request["method"],
            to,
            lines,
            body.whole if body.pieces is None else body,
            told,
            body.pieces is not None and bool(request["asks_first"]),
        )

    async def _response(self, answer: Answer, method: str) -> ProxyResponse:
        """The answer as hooks see it; a short body is read, so that one that breaks off is a failure."""
        body, headers = answer.body, answer_headers(answer.headers)
        headers.pop("content-length", None)
        headers.pop("date", None)  # The gateway dates what it sends.
        response = ProxyResponse(answer.status, answer.reason, headers, body)
        length, most = body.length, self.max_answer
        if method == "HEAD" or answer.status in (204, 205, 304):
            return response
        if most and length is not None and length > most:
            await body.aclose()
            raise UpstreamError(f"its answer has {length} bytes, which is more than max_answer")
        # One in whose place a fallback may be asked is there in case that fails, too.
        is_wanted_whole = self.stream is False or answer.status in self.fallback_statuses
        if not is_wanted_whole and (length is None or length > WHOLE_BYTES_MAX):
            if most:
                response["content"] = _Bounded(body, most)
            return response
        try:
            content = await body.whole(most or ANSWER_BYTES_MAX)
        except BaseException:
            await body.aclose()
            raise
        if content is None:
            raise UpstreamError("its answer is longer than max_answer")
        response["content"] = content
        return response

    # --- connections ---

    @classmethod
    def _client(cls) -> UpstreamClient:
        """The connections of this class in the running loop.

        Raises:
            BrokerOptionsError: The web extra is not installed.
        """
        try:
            from tautomer.commands.upstream.client import UpstreamClient
        except ModuleNotFoundError as error:
            raise BrokerOptionsError(f"HTTPProxyCommand needs '{error.name}': pip install 'tautomer[web]'") from error
        loop = asyncio.get_running_loop()
        client = cls._clients.get(loop)
        if client is None:
            client = cls._clients[loop] = UpstreamClient(
                AllowedHosts(cls.allowed_hosts),
                size=cls.pool_max_size,
                connect_time=cls.connect_timeout_seconds,
                answer_time=cls.request_timeout_seconds,
                idle_time=cls.idle_timeout_seconds,
                tls=cls.tls,
            )
        return client

    @classmethod
    async def close_connections(cls) -> None:
        """Close the connections of this class in the running loop; what is under way breaks off. A gateway does so at stop."""
        client = cls._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()


class _Body(AsyncIterator[bytes]):
    """A request's body, and whether any of it is gone.

    Attributes:
        given: As it stood in the request.
        whole: All of it, where it is bytes.
        pieces: Else whatever gives them.
        begun: Whether somebody has asked for the first.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.begun = False
        self.whole = b""
        self.pieces: AsyncIterator[bytes] | None = None
        if isinstance(given, str):
            self.whole = given.encode()
        elif isinstance(given, bytes | bytearray | memoryview):
            self.whole = bytes(given)
        elif hasattr(given, "__aiter__"):
            self.pieces = aiter(given)
        elif given is not None:
            raise TypeError(f"request['data'] is bytes, a text or an async iterator of bytes, not {given!r:.80}")

    async def __anext__(self) -> bytes:
        assert self.pieces is not None
        self.begun = True
        while not (piece := await anext(self.pieces)):
            pass  # An empty chunk would end the body.
        return piece


class _Bounded(AsyncIterator[bytes]):
    """A body that breaks when it is longer than it may be."""

    def __init__(self, body: Any, bytes_max: int) -> None:
        self._body = body
        self._left = bytes_max
        self.length = body.length

    async def __anext__(self) -> bytes:
        piece: bytes = await anext(self._body)
        self._left -= len(piece)
        if self._left < 0:
            await self.aclose()
            raise UpstreamError("its answer is longer than max_answer")
        return piece

    async def aclose(self) -> None:
        await self._body.aclose()


async def close_content(response: Any) -> None:
    """Let go of a body that nobody will read."""
    content = response.get("content") if isinstance(response, Mapping) else None
    aclose: Callable[[], Awaitable[None]] | None = getattr(content, "aclose", None)
    if aclose is not None:
        await aclose()


def _status(result: Any) -> int:
    found = result.get("status_code") if isinstance(result, Mapping) else None
    return found if isinstance(found, int) else 200


async def _made(result: Any) -> None:
    if isawaitable(result):
        await result
