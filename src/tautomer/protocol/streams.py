"""The packets of a stream: numbered on the way out, put in order on the way in (protocol section 3.3).

A stream is opened by packet 0, which carries no item; the items follow as 1, 2, …; the last packet ends it,
well or with an error. The wire has no acknowledgement and no cancel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from tautomer.errors import MoleculerError, StreamError

OBJECT_MODE: Final = "$streamObjectMode"
"""Key in the meta (protocol 4) or the headers (protocol 5) of each packet of a stream of objects."""

STREAM_ERROR: Final = "$streamError"
"""Key in the meta (protocol 4) or the headers (protocol 5) of a REQ that ends a stream with an error."""

AHEAD_MAX: Final = 1_024
"""How many packets past the one due may come, however small they are."""

EMPTY: Final = object()
"""What `Incoming.take` gives where nothing can be read now."""

BINARY: Final = (bytes, bytearray, memoryview)


class Outgoing:
    """Numbers and cuts what one stream sends.

    Attributes:
        objects: Whether it is a stream of objects; else one of bytes.
    """

    __slots__ = ("_chunk_bytes", "_next", "objects")

    def __init__(self, first: object, chunk_bytes: int) -> None:
        """The first item decides: bytes (or no item at all) make a byte stream, anything else one of objects."""
        self.objects = first is not EMPTY and not isinstance(first, BINARY)
        self._chunk_bytes = chunk_bytes
        self._next = 0

    def number(self) -> int:
        """The number of a packet without an item: 0 when it opens the stream, later that of the end."""
        seq = self._next
        self._next += 1
        return seq

    def take_back(self) -> None:
        """The packet of the latest number could not be sent: the next one gets it, or there would be a gap."""
        self._next -= 1

    def chunks(self, item: Any) -> Iterator[tuple[int, Any]]:
        """Number and item of each packet for one item; bytes come in pieces of at most `chunk_bytes`.

        Raises:
            StreamError: The item has no place in this stream, type ``STREAM_ITEM``.
        """
        if isinstance(item, BINARY):
            data = item if type(item) is bytes else bytes(item)
            for begin in range(0, len(data) or 1, self._chunk_bytes):
                yield self.number(), data[begin : begin + self._chunk_bytes]
        elif item is None:
            # To Node's streams, null is the end.
            raise StreamError("None cannot be an item of a stream between nodes", type="STREAM_ITEM")
        elif not self.objects:
            kind = type(item).__name__
            raise StreamError(f"a stream that began with bytes gives bytes, not {kind}", type="STREAM_ITEM")
        else:
            yield self.number(), item


class Incoming:
    """Puts the packets of one stream in order, and keeps the items until they are read.

    A packet that was seen before is ignored, since a transporter may deliver twice. What breaks the stream
    frees all that it holds.

    Args:
        window: Bytes that may wait, early ones and unread ones together. One item is let in whatever it weighs.

    Attributes:
        held: Bytes that wait.
        opened: Whether packet 0 came.
        over: Whether nothing can come any more: the end came with all before it, or the stream broke.
        error: How it ended, if not well.
    """

    __slots__ = ("_due", "_early", "_end", "_ready", "_window", "error", "held", "opened", "over")

    def __init__(self, window: int) -> None:
        self._window = window
        self._due = 0
        self._early: dict[int, tuple[Any, int, MoleculerError | None]] = {}
        self._end: int | None = None
        self._ready: deque[tuple[Any, int]] = deque()
        self.held = 0
        self.opened = False
        self.over = False
        self.error: MoleculerError | None = None

    def push(self, seq: int, item: Any, bytes: int, last: bool = False, error: MoleculerError | None = None) -> None:
        """Take in one packet. What is wrong with it breaks the stream; nothing is raised.

        Args:
            bytes: What the item weighs in the window.
            last: It ends the stream, and carries no item.
            error: It ends the stream with this.
        """
        if self.over or seq < self._due or seq in self._early:
            return
        if fault := self._fault(seq, bytes, last):
            self.fail(fault)
            return
        if last:
            self._end = seq
        self._early[seq] = (item, bytes, error)
        self.held += bytes
        while (found := self._early.pop(self._due, None)) is not None:
            self._in_order(*found)

    def _fault(self, seq: int, bytes: int, last: bool) -> StreamError | None:
        end = self._end
        if end is not None and (seq > end or last):
            return StreamError(f"packet {seq} of a stream came after its end, {end}", type="STREAM_ORDER")
        if last and (seq == 0 or any(early > seq for early in self._early)):
            return StreamError(f"packet {seq} ends a stream that goes on after it", type="STREAM_ORDER")
        held = self.held
        too_much = held > 0 and held + bytes > self._window
        # The packet that closes a gap frees the others: it is let in while they alone fit, if the reader keeps up.
        if too_much and seq == self._due and not self._ready and held <= self._window:
            too_much = False
        if seq - self._due > AHEAD_MAX or (too_much and self._early):
            lost = f"packet {self._due} of a stream is missing, and what came after it fills the window"
            return StreamError(lost, type="STREAM_GAP")
        if too_much:
            slow = f"a stream is read too slowly: {held} bytes wait, the window is {self._window}"
            return StreamError(slow, type="STREAM_WINDOW")
        return None

    def _in_order(self, item: Any, bytes: int, error: MoleculerError | None) -> None:
        seq = self._due
        self._due += 1
        if seq == 0:
            self.opened = True
            self.held -= bytes
        elif seq == self._end:
            self.error, self.over = error, True
            self.held -= bytes
        else:
            self._ready.append((item, bytes))

    @property
    def readable(self) -> bool:
        """Whether an item can be read now."""
        return bool(self._ready)

    def take(self) -> Any:
        """The next item, now out of the window; `EMPTY` if none can be read now."""
        if not self._ready:
            return EMPTY
        item, bytes = self._ready.popleft()
        self.held -= bytes
        return item

    def fail(self, error: MoleculerError) -> None:
        """Break the stream: what it holds is freed. One whose end is here already is not broken by what comes later."""
        if not self.over:
            self.over, self.error = True, error
            self.clear()

    def clear(self) -> None:
        """Free what waits."""
        self._early.clear()
        self._ready.clear()
        self.held = 0


def weight(value: object) -> int:
    """About how many bytes of memory a decoded value takes."""
    if isinstance(value, BINARY):
        return 40 + len(value)
    total = 0
    rest: list[object] = [value]
    # Without recursion: what came over the wire may be nested as deep as the decoder allows.
    while rest:
        one = rest.pop()
        if isinstance(one, str | bytes):
            total += 50 + len(one)
        elif isinstance(one, dict):
            total += 64 + 100 * len(one)
            rest.extend(one)
            rest.extend(one.values())
        elif isinstance(one, list | tuple):
            total += 56 + 8 * len(one)
            rest.extend(one)
        else:
            total += 32
    return total


def item_of(wire: object, objects: bool) -> Any:
    """The item of a packet. A Node Buffer is bytes in either kind of stream; text in a byte stream is UTF-8.

    Raises:
        StreamError: It claims to be a Buffer and is none, type ``STREAM_ITEM``.
    """
    if type(wire) is dict and wire.get("type") == "Buffer":
        try:
            return bytes(_octets(wire.get("data")))
        except (TypeError, ValueError) as error:
            raise StreamError("a Buffer in a stream holds what is no byte", type="STREAM_ITEM") from error
    if not objects and isinstance(wire, str):
        return wire.encode(errors="replace")
    return wire


def _octets(data: object) -> list[int]:
    if not isinstance(data, list):
        raise TypeError
    return data
