"""The handshake of a WebSocket: what a request must bring, and what it is answered (RFC 6455, section 4.2). Pure."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tautomer.errors import MoleculerClientError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.websocket.deflate import Deflate, negotiate

__all__ = ["Agreement", "agree", "upgrade_required"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the two sides agreed upon.

    Attributes:
        deflate: How messages may be compressed, or None.
        headers: Lines of the answer beside ``Upgrade`` and ``Connection``.
        protocol: Subprotocol, or None.
    """

    deflate: Deflate | None
    headers: tuple[tuple[str, str], ...]
    protocol: str | None = None


def upgrade_required() -> Reply:
    """The answer to a plain request where a WebSocket is (RFC 9110, section 15.5.22)."""
    return Reply(
        426,
        [("Sec-WebSocket-Version", _VERSION), ("Content-Type", "text/plain; charset=utf-8")],
        b"Here is a WebSocket: ask for it by 'Upgrade: websocket'.\n",
        # Not among the headers: an action may not say this.
        lines="Upgrade: websocket\r\n",
    )


def agree(
    request: Request, *, compression: bool, protocols: Sequence[str] = (), keyed: bool = True
) -> Agreement | None:
    """What comes of a handshake; None for a version that is not spoken (426 then).

    Args:
        compression: Whether an offer of permessage-deflate is taken.
        protocols: Subprotocols that are spoken; of those that the client names the first of its list is taken.
        keyed: Whether the handshake is this side's to answer; else an outer server has seen to version, key and
            extensions.

    Raises:
        MoleculerClientError: 400 ``BAD_HANDSHAKE``: the key is not one of 16 bytes.
    """
    headers: list[tuple[str, str]] = []
    deflate = None
    if keyed:
        if request.header("sec-websocket-version") != _VERSION:
            return None
        headers.append(("Sec-WebSocket-Accept", _accept(request.header("sec-websocket-key") or "")))
        agreed = negotiate(request.header("sec-websocket-extensions") or "") if compression else None
        if agreed is not None:
            deflate = agreed[0]
            headers.append(("Sec-WebSocket-Extensions", agreed[1]))
    wanted = [one.strip() for one in (request.header("sec-websocket-protocol") or "").split(",")]
    protocol = next((one for one in wanted if one in protocols), None)
    if protocol is not None and keyed:
        headers.append(("Sec-WebSocket-Protocol", protocol))
    return Agreement(deflate, tuple(headers), protocol)


def _accept(key: str) -> str:
    try:
        fits = len(b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        raise MoleculerClientError("Sec-WebSocket-Key is 16 bytes in base64", 400, "BAD_HANDSHAKE")
    return b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
