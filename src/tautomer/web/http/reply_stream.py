"""Replies that are sent as they come: an async iterator's pieces, at the client's pace."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from tautomer.web.http.running import is_own_end

__all__ = ["close_stream", "reset_on_close", "send_stream"]

log = logging.getLogger("tautomer.web")

# Seconds for a stream to clean up after itself.
_CLOSE_TIME = 5.0
# Seconds for which a stream that never waits may have the loop for itself.
_TURN_TIME = 0.01
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def send_stream(
    chunks: AsyncIterator[bytes],
    write: Callable[[bytes], None],
    drained: Callable[[], Awaitable[None] | None],
    *,
    length: int | None,
    chunked: bool,
) -> None:
    """Write the pieces, framed as chunks (RFC 9112 section 7.1) or as they are.

    `drained` is asked after each piece: it gives None, or something to wait for before the next. A stream that never
    waits lets others have their turn all the same.

    Raises:
        TypeError: A piece is not bytes.
        ValueError: They are not `length` bytes together, if that is known.
        Whatever the iterator raises; what was written is then only a part.
    """
    clock = asyncio.get_running_loop().time
    turn_ends = clock() + _TURN_TIME
    left = length
    async for chunk in chunks:
        if not isinstance(chunk, bytes):
            raise TypeError(f"a reply stream gives bytes, not {type(chunk).__name__}")
        if not chunk:
            continue  # An empty chunk would end the body.
        if left is not None and (left := left - len(chunk)) < 0:
            raise ValueError("a reply stream is longer than it said")
        write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        waiting = drained()
        if waiting is not None:
            await waiting
        elif clock() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = clock() + _TURN_TIME
    if left:
        raise ValueError("a reply stream is shorter than it said")
    if chunked:
        write(b"0\r\n\r\n")


async def close_stream(chunks: AsyncIterator[bytes]) -> None:
    """Let a stream that may not have come to its end clean up. Raises nothing but what ends the task itself."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is None:
        return
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(_CLOSE_TIME):
            await aclose()
    except BaseException as error:
        if is_own_end(error, task):
            raise
        log.error("reply stream failed while it was closed", exc_info=error)


def reset_on_close(transport: asyncio.Transport) -> None:
    """Have the connection cut so that the client cannot take it for an end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            pass  # Gone already.
