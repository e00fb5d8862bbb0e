"""MountedProxy: a proxy command that has all below one path of the gateway (resilience reference, sections 12 and 16)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from tautomer.commands.forwarding import forwarded_headers, request_headers
from tautomer.commands.header_lines import HeaderLines
from tautomer.commands.messages import ProxyResponse
from tautomer.commands.proxy import WHOLE_BYTES_MAX, HTTPProxyCommand, close_content
from tautomer.errors import MoleculerServerError, PayloadTooLarge
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.messages.message import JSON_TYPE, Reply, Request
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.routing.patterns import EVERY_METHOD

__all__ = ["MountedProxy", "a_proxy", "proxy_reply"]

TEXT_TYPE: Final = ("Content-Type", "text/plain; charset=utf-8")

ProxyClass: TypeAlias = type[HTTPProxyCommand]

# Told by our own server.
_OURS: Final = frozenset({"content-length", "date", "x-request-id"})
_BODILESS: Final = frozenset({204, 205, 304})


class MountedProxy:
    """Answers requests of one or more routes by a proxy command.

    The guards of the route stand before it, and `onAfterCall` gets its reply.

    Args:
        command: Made anew for each request.
    """

    def __init__(self, command: ProxyClass) -> None:
        self.command = command
        self.__name__ = command.__name__

    @property
    def commands(self) -> tuple[ProxyClass, ...]:
        """All that may answer."""
        return (self.command,)

    @property
    def body_bytes_max(self) -> int:
        """Longest body of a request; 0 for no bound."""
        longest = [command.max_body for command in self.commands]
        return 0 if 0 in longest else max(longest)

    @property
    def aliases(self) -> tuple[AliasDef, ...]:
        """The aliases that lead here: the path of the route itself, and all below it, by any method."""
        limits = UploadLimits(file_bytes_max=self.body_bytes_max)
        return tuple(
            AliasDef(EVERY_METHOD, path, self.__name__, handler=self, reads_params=False, kind="proxy", uploads=limits)
            for path in ("", "/*proxy_path")
        )

    async def __call__(self, request: Request) -> Reply:
        """The upstream's answer, or the fallback's; a long body is a stream.

        Raises:
            UpstreamError: The upstream failed, and there is no fallback.
            CommandError: It was not asked: its circuit is open, or its pool is full; or not in time.
            ProxyRefusedError: It would lead to where the proxy does not go.
        """
        return await self.answer(request, self.command, (_below(request),))

    @staticmethod
    async def answer(request: Request, command: ProxyClass, path_args: Iterable[str]) -> Reply:
        """The answer of this command."""
        # Who is gone waits for nothing, whatever the method: the upstream is told by the end of its connection.
        request.cancellable = True
        made = command(await _given(request, command, path_args))
        result = await made
        try:
            return proxy_reply(result)
        except BaseException:
            await close_content(result)
            raise

    async def close(self) -> None:
        """Close its connections."""
        for command in self.commands:
            await command.close_connections()


def a_proxy(value: object) -> MountedProxy:
    """A setting's value as a proxy.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, MountedProxy):
        return value
    if not isinstance(value, type) or not issubclass(value, HTTPProxyCommand):
        raise ValueError(f"is a subclass of HTTPProxyCommand, not {value!r:.80}")
    return MountedProxy(value)


# --- from a request ---


async def _given(request: Request, command: ProxyClass, path_args: Iterable[str]) -> dict[str, Any]:
    """The request as commands have it. A body that is to be whole is waited for, before anybody's place is taken."""
    length = _length(request)
    host, scheme = request.header("host"), request.scheme
    headers = request_headers(request.headers.pairs)
    if command.forwarded:
        forwarded_headers(
            headers,
            peer=request.peer or request.client,
            scheme=scheme,
            host=_outer_host(request) or host,
            http_version=request.http_version,
            request_id=request.id,
        )
    return {
        "method": request.method,
        "path": raw_path(request),
        "path_args": tuple(path_args),
        "query_string": request.query_string,
        "data": await _data(request, command, length),
        "length": length,
        "asks_first": "100-continue" in (request.header("expect") or "").lower(),
        "headers": headers,
        "remote_addr": request.client,
        "scheme": scheme,
        "host": host,
    }


async def _data(request: Request, command: ProxyClass, length: int | None) -> bytes | AsyncIterator[bytes]:
    incoming = request.incoming
    if incoming is None:
        return request.raw_body
    most = command.max_body
    if most and length is not None and length > most:
        raise PayloadTooLarge({"limit": most})
    # The server knows the bound of the whole mount, of which other commands may take more.
    body = incoming if request.body_bytes_max == most else _up_to(incoming, most)
    is_short = length is not None and length <= WHOLE_BYTES_MAX
    if command.stream is True or (command.stream is None and not is_short):
        return body
    return b"".join([piece async for piece in body])


async def _up_to(body: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in body:
        size += len(piece)
        if bytes_max and size > bytes_max:
            raise PayloadTooLarge({"limit": bytes_max})
        yield piece


def _length(request: Request) -> int | None:
    """Bytes of the body, where the head tells them."""
    told = request.header("content-length")
    if told is None or "\ntransfer-encoding:" in request.lower:
        return None
    return int(told) if told.strip().isdigit() else None


def raw_path(request: Request) -> str:
    """The path as the client wrote it, without the query."""
    path = request.target.partition("?")[0]
    if path[:1] == "/":
        return path
    # The absolute form: a server is asked as if it were a proxy. The host in it has no say.
    return "/" + path.partition("://")[2].partition("/")[2]


def _below(request: Request) -> str:
    """What of the path comes behind that of the route."""
    own = [one for one in request.route.path.split("/") if one]
    return "/".join(raw_path(request).split("/")[len(own) + 1 :])


def _outer_host(request: Request) -> str | None:
    """The host that the client meant, where a trusted proxy of ours has told it."""
    if not request.peer:
        return None
    told = request.header("x-forwarded-host")
    return told.rpartition(",")[2].strip() or None if told else None


# --- to a reply ---


def proxy_reply(result: Any) -> Reply:
    """What a command gave as a reply: `ProxyResponse`, a dict of its keys, ``(payload, status[, headers])``, or a payload.

    Raises:
        MoleculerServerError: The status cannot be sent, type ``INVALID_STATUS_CODE``.
        TypeError: The content is nothing that can be sent.
    """
    status, reason, given, content = _parts(result)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise MoleculerServerError("The proxy set a status that cannot be sent.", type="INVALID_STATUS_CODE")
    headers = given if isinstance(given, HeaderLines) else HeaderLines(given or ())
    lines = [(name, value) for name, value in headers.pairs if name.lower() not in _OURS]
    if status in _BODILESS:
        body: bytes | AsyncIterator[bytes] = content if hasattr(content, "__anext__") else b""
        return Reply(status, lines, body, reason or None, verbatim=True)
    if hasattr(content, "__anext__"):
        return Reply(status, lines, content, reason or None, verbatim=True)
    body, usual = _encoded(content)
    if usual is not None and body and "content-type" not in headers and not _is_as_it_came(result):
        lines.insert(0, usual)
    return Reply(status, lines, body, reason or None, verbatim=True)


def _parts(result: Any) -> tuple[Any, Any, Any, Any]:
    if isinstance(result, Mapping) and "status_code" in result:
        return result["status_code"], result.get("reason"), result.get("headers"), result.get("content")
    if isinstance(result, tuple) and len(result) in (2, 3):
        payload, status, *more = result
        return status, None, more[0] if more else None, payload
    return 200, None, None, result


def _is_as_it_came(result: Any) -> bool:
    """Whether the body is a server's: what type it did not name is not ours to guess."""
    return isinstance(result, ProxyResponse) and isinstance(result["content"], bytes)


def _encoded(content: Any) -> tuple[bytes, tuple[str, str] | None]:
    """Bytes, and their content type where nobody named one."""
    if content is None:
        return b"", None
    if isinstance(content, bytes | bytearray | memoryview | str):
        body = content.encode() if isinstance(content, str) else bytes(content)
        return body, JSON_TYPE if _is_json(body) else TEXT_TYPE
    return msgspec.json.encode(content), JSON_TYPE


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return True
