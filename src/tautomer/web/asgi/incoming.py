"""From an ASGI scope to a `Request`: the limits and refusals of our own server (reliability reference, section 5.1)."""

from __future__ import annotations

import asyncio
import re
from typing import Final
from urllib.parse import quote

from tautomer.web.asgi.scope import ROOT_PATH
from tautomer.web.asgi.types import ClientLeft, Receive, Scope
from tautomer.web.http.head import HeadReader
from tautomer.web.http.refusal import Refusal
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Reply, Request

__all__ = ["announced_length", "body_due", "read_body", "read_head", "too_large"]

_LENGTH = re.compile(r"[0-9]{1,18}")
# Characters that may stand in a path as they are (RFC 3986 section 3.3).
_PATH: Final = "/:@!$&'()*+,;=-._~"


def read_head(scope: Scope, heads: HeadReader) -> tuple[Request, bool, Reply | None]:
    """The request without its body, whether a body may follow, and a reply if no gateway need see it.

    What the server says of the client and the scheme is believed: it knows which proxies to trust.

    Raises:
        Refusal: 400, 414, 417 or 431.
    """
    headers = scope["headers"]
    fields = "".join([f"\n{name.decode('latin-1')}:{value.decode('latin-1')}\r" for name, value in headers])
    # HTTP/2 could smuggle in a line end or a colon, and so other headers than the outer server has seen.
    if fields.count("\n") != len(headers) or any(b":" in name for name, _ in headers):
        raise Refusal(400, "BAD_REQUEST", "Malformed request: a header is malformed.")
    version = scope["http_version"]
    peer = scope.get("client")
    request, framing, fixed = heads.take_over(
        scope["method"], _target(scope), version, f"{fields}\n\r\n", "" if peer is None else str(peer[0])
    )
    request.scheme = scope.get("scheme", "http")
    root = scope.get("root_path", "")
    if root and (request.path == root or request.path.startswith(f"{root}/")):
        # The gateway stands below other paths of its host, which are none of its business.
        request.path = request.path[len(root) :] or "/"
        request.locals[ROOT_PATH] = root
    # In HTTP/2 and later it is the frames that say whether there is a body.
    return request, framing.length != 0 or version[:1] != "1", fixed


def _target(scope: Scope) -> str:
    raw = scope.get("raw_path")
    # Some servers leave the query in.
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"], safe=_PATH)
    query = scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path


def announced_length(request: Request) -> int:
    """Bytes that the client says its body has; 0 where it does not say."""
    length = request.header("content-length")
    return int(length) if length is not None and _LENGTH.fullmatch(length) else 0


async def read_body(receive: Receive, limits: HttpLimits, bytes_max: int) -> bytes:
    """The whole body, under its bounds.

    Args:
        bytes_max: Its longest; 0 for no end.

    Raises:
        Refusal: 408 where it comes too slowly, 413 as soon as it is too long.
        ClientLeft: It ended in the middle.
    """
    pieces: list[bytes] = []
    received = 0
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(None) as limit:
            while True:
                limit.reschedule(body_due(limits, began, received))
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                piece = message.get("body", b"")
                received += len(piece)
                if 0 < bytes_max < received:
                    raise too_large(bytes_max)
                pieces.append(piece)
                if not message.get("more_body", False):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except TimeoutError:
        raise Refusal(408, "REQUEST_TIMEOUT", "The body did not come in time.") from None


def too_large(bytes_max: int) -> Refusal:
    return Refusal(413, "PAYLOAD_TOO_LARGE", f"The body is larger than {bytes_max} bytes.")


def body_due(limits: HttpLimits, began: float, received: int) -> float | None:
    """When a body of which that much has come is too slow, on the loop's clock; None for never."""
    dues = []
    if limits.body_rate_bytes:
        dues.append(began + limits.body_grace + received / limits.body_rate_bytes)
    if limits.request_time:
        dues.append(began + limits.request_time)
    return min(dues, default=None)
