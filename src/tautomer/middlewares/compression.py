"""Compression: what leaves a node is deflated, as Node's `Transmit.Compression` does (Moleculer protocol section 10)."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from tautomer.errors import BrokerOptionsError, PayloadTooLargeError
from tautomer.middleware import Middleware, Verb
from tautomer.protocol.codec import Refused
from tautomer.settings import a_size

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Compression"]

log = logging.getLogger("tautomer.transit")

METHODS: Final = {"deflate": zlib.MAX_WBITS, "deflateRaw": -zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}
"""How each is told to zlib: by its window, whose sign and size say which wrapper is meant."""

_PLAIN: Final = b"\0"
_COMPRESSED: Final = b"\1"

_OTHERWISE: Final = "does its sender compress otherwise, or not at all?"


class Compression(Middleware):
    """Compresses the messages between nodes. All of them must have it, with the same method.

    A byte goes before each message: 0 for one that is as it was, 1 for a compressed one. It works on the event loop,
    where Node has threads for it: a MiB of JSON takes 40 ms to compress, at level 1 10 ms, and 5 ms to read.

    Args:
        method: ``"deflate"``, ``"deflateRaw"`` or ``"gzip"``.
        threshold: Bytes, or a text such as ``"1kb"``. What is smaller stays as it is.
        bytes_max: Bytes of a message before it was compressed, or a text such as ``"16mb"``; 0 for no end. A larger one
            is not sent (`PayloadTooLargeError`), and one that came is dropped: a few bytes could fill the memory.
        level: From 1, quick, to 9, small. Whoever reads it need not know.

    Raises:
        BrokerOptionsError: There is no such method or level, or something else is no size.
    """

    sees_results = False

    def __init__(
        self,
        method: str = "deflate",
        threshold: int | str = "1kb",
        bytes_max: int | float | str = "16mb",
        level: int = 6,
    ) -> None:
        if method not in METHODS:
            raise BrokerOptionsError(f"Compression: method is one of {', '.join(METHODS)}, not {method!r:.80}")
        self._method = method
        if threshold == inf:
            raise BrokerOptionsError("Compression: threshold is a size; to compress nothing, leave the middleware out")
        self._threshold = _size("threshold", threshold)
        self._bytes_max = _size("bytes_max", bytes_max)
        if level not in range(1, 10) or isinstance(level, bool):
            raise BrokerOptionsError(f"Compression: level is a number from 1 to 9, not {level!r:.80}")
        self._level = level

    def __repr__(self) -> str:
        return f"<Compression {self._method}>"

    def broker_created(self, broker: Broker) -> None:
        log.info("messages are compressed", extra={"node": broker.id, "method": self._method})

    def transporter_send(self, next_send: Verb) -> Verb:
        threshold, window, most = self._threshold, METHODS[self._method], self._bytes_max or inf
        level = self._level

        def send(topic: str, data: bytes, token: str | None = None) -> None:
            size = len(data)
            if size >= threshold:
                if size > most:
                    raise PayloadTooLargeError(f"a message of {size} bytes is over the {most} of Compression.bytes_max")
                smaller = zlib.compress(data, level, window)
                if len(smaller) < size:
                    next_send(topic, _COMPRESSED + smaller, token)
                    return
            next_send(topic, _PLAIN + data, token)

        return send

    def transporter_receive(self, next_receive: Verb) -> Verb:
        inflate = _inflater(METHODS[self._method], self._bytes_max)

        def receive(topic: str, data: bytes) -> None:
            next_receive(topic, data[1:] if data[:1] == _PLAIN else inflate(data))

        return receive


def _inflater(window: int, bytes_max: int) -> Callable[[bytes], bytes]:
    # One byte more shows that there would be more; 0 means no bound to zlib, too.
    most = bytes_max + 1 if bytes_max else 0

    def inflate(data: bytes) -> bytes:
        """Undo the compression of a message, mark and all.

        Raises:
            Refused: It has no mark, is broken, cut off, followed by something, or over the bound.
        """
        if data[:1] != _COMPRESSED:
            raise _refused(f"{_OTHERWISE} it begins with {data[:1]!r}")
        stream = zlib.decompressobj(window)
        try:
            whole = stream.decompress(memoryview(data)[1:], most)
        except zlib.error as error:
            raise _refused(f"{_OTHERWISE} {error}") from None
        if bytes_max and len(whole) > bytes_max:
            raise _refused(f"{len(data)} bytes inflate to over {bytes_max}, which is Compression.bytes_max")
        if not stream.eof or stream.unused_data:
            raise _refused("it is cut off" if not stream.eof else "something follows it")
        return whole

    return inflate


def _refused(detail: str) -> Refused:
    return Refused("uninflatable", f"a message cannot be inflated: {detail}")


def _size(name: str, value: object) -> int:
    try:
        return a_size(value)
    except ValueError as error:
        raise BrokerOptionsError(f"Compression: {name} {error}") from None
