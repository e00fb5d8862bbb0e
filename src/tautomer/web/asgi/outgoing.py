"""From a `Reply` to ASGI messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from tautomer.web.asgi.types import Message, Send
from tautomer.web.http.reply_bytes import BODILESS, ReplyBytes
from tautomer.web.http.reply_stream import close_stream
from tautomer.web.messages.message import Reply

__all__ = ["send_reply"]

PIECE_BYTES_MAX: Final = 64 * 1024
"""A longer body is handed over in pieces, so that it is seen whether the client reads."""

TURN_TIME: Final = 0.01
"""Seconds for which a stream may have the loop for itself."""


async def send_reply(
    reply: Reply,
    send: Send,
    replies: ReplyBytes,
    *,
    head_only: bool = False,
    more: list[tuple[bytes, bytes]],
) -> None:
    """Send head and body. A stream is closed whatever happens.

    Args:
        replies: Knows which headers may go out.
        head_only: Nothing of the body is sent, only its length told.
        more: Headers besides the reply's own.

    Raises:
        ValueError: A status that cannot be sent; then nothing was. Or a stream is not as long as it said.
        TypeError: The body is neither bytes nor a stream; nothing was sent. Or a stream gives something else than bytes.
        Whatever `send` and the stream raise.
    """
    try:
        start = {
            "type": "http.response.start",
            "status": _status(reply),
            "headers": [*replies.pairs(reply), *_length(reply), *more],
        }
        await send(start)
        if head_only or reply.status in BODILESS:
            await send(_piece(b"", False))
        elif isinstance(reply.body, bytes):
            await _send_bytes(reply.body, send)
        else:
            await _send_stream(reply.body, send)
    finally:
        if not isinstance(reply.body, bytes):
            await close_stream(reply.body)


async def _send_bytes(body: bytes, send: Send) -> None:
    at = 0
    while len(body) - at > PIECE_BYTES_MAX:
        await send(_piece(body[at : at + PIECE_BYTES_MAX], True))
        at += PIECE_BYTES_MAX
    await send(_piece(body[at:] if at else body, False))


async def _send_stream(pieces: AsyncIterator[bytes], send: Send) -> None:
    clock = asyncio.get_running_loop().time
    turn_ends = clock() + TURN_TIME
    left: int | None = getattr(pieces, "length", None)
    async for piece in pieces:
        message = _piece(piece, True)
        if left is not None and (left := left - len(piece)) < 0:
            raise ValueError("a reply stream is longer than it said")
        await send(message)
        if clock() > turn_ends:
            # Neither the stream nor the server may ever have waited for anything: others are to have their turn.
            await asyncio.sleep(0)
            turn_ends = clock() + TURN_TIME
    if left:
        raise ValueError("a reply stream is shorter than it said")
    await send(_piece(b"", False))


def _status(reply: Reply) -> int:
    if not 200 <= reply.status <= 599:
        raise ValueError(f"a reply's status is 200 to 599, not {reply.status!r}")
    return reply.status


def _length(reply: Reply) -> list[tuple[bytes, bytes]]:
    """The line that tells the length of the body, where there is one and it is known (RFC 9110 section 8.6)."""
    body = reply.body
    if not isinstance(body, bytes | AsyncIterator):
        raise TypeError(f"a reply's body is bytes or an async iterator, not {type(body).__name__}")
    if reply.status in (204, 304):
        return []
    if reply.status == 205:
        return [(b"content-length", b"0")]
    length = len(body) if isinstance(body, bytes) else getattr(body, "length", None)
    return [] if length is None else [(b"content-length", b"%d" % length)]


def _piece(piece: bytes, more: bool) -> Message:
    if not isinstance(piece, bytes):
        raise TypeError(f"a reply stream gives bytes, not {type(piece).__name__}")
    return {"type": "http.response.body", "body": piece, "more_body": more}
