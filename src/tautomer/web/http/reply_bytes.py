"""Replies as bytes: status line, headers that may go out, framing."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from tautomer.web.messages.header_lines import PRINTABLE, header_line
from tautomer.web.messages.message import JSON_TYPE, Reply

__all__ = ["BODILESS", "CLOSE", "KEEP_ALIVE", "ReplyBytes"]

CLOSE = "Connection: close\r\n"
KEEP_ALIVE = "Connection: keep-alive\r\n"
BODILESS = frozenset({204, 205, 304})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NAMES_MAX = 512
_JSON_PAIR = (JSON_TYPE[0].lower().encode(), JSON_TYPE[1].encode())


class ReplyBytes:
    """Writes replies for one server; keeps what is the same in many of them.

    Args:
        wall_ms: Milliseconds since 1970, for the ``Date`` header.
    """

    __slots__ = ("_date", "_json_starts", "_names", "_starts", "_wall_ms")

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        # "Name: " for names that may go out.
        self._names: dict[str, str] = {}
        # By status: its line and the date; the same with the content type of JSON and the name of the request's id.
        self._starts: dict[int, str] = {}
        self._json_starts: dict[int, str] = {}
        self._date = ""
        self.refresh()

    def refresh(self) -> None:
        """Take the time for the ``Date`` header. To be called about once a second."""
        date = f"Date: {formatdate(self._wall_ms() / 1000, usegmt=True)}\r\n"
        if date != self._date:
            self._date = date
            self._starts.clear()
            self._json_starts.clear()

    def whole(self, reply: Reply, body: bytes, connection: str, request_id: str = "", head_only: bool = False) -> bytes:
        """A reply whose body is known, as one piece.

        Args:
            connection: `CLOSE`, `KEEP_ALIVE` or empty.
            request_id: Fit for a header, or empty for none.
        """
        status = reply.status
        headers = reply.headers
        if request_id and not head_only and len(headers) == 1 and headers[0] is JSON_TYPE and reply.reason is None:
            # Almost every reply of a gateway is of this form, and made in one go.
            known = self._json_starts.get(status)
            if known is not None:
                return (
                    f"{known}{request_id}\r\n{reply.lines}{connection}Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
        start = self._head(reply)
        if request_id:
            start = f"{start}X-Request-ID: {request_id}\r\n"
        start += reply.lines
        if status in BODILESS:
            # RFC 9110 sections 8.6, 15.3.6 and 15.4.5: only 205 says that its length is 0.
            framing = "Content-Length: 0\r\n\r\n" if status == 205 else "\r\n"
            return f"{start}{connection}{framing}".encode("latin-1")
        head = f"{start}{connection}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        return head if head_only else head + body

    def stream_head(
        self, reply: Reply, connection: str, request_id: str, *, length: int | None, chunked: bool
    ) -> bytes:
        """The head of a reply whose body follows in pieces: of a known length, in chunks, or until the connection ends."""
        told = f"X-Request-ID: {request_id}\r\n" if request_id else ""
        if length is not None:
            framing = f"Content-Length: {length}\r\n\r\n"
        else:
            framing = "Transfer-Encoding: chunked\r\n\r\n" if chunked else "\r\n"
        return f"{self._head(reply)}{told}{reply.lines}{connection}{framing}".encode("latin-1")

    def switching(self, reply: Reply, request_id: str) -> bytes:
        """The head after which the connection is a WebSocket."""
        told = f"X-Request-ID: {request_id}\r\n" if request_id else ""
        start = f"HTTP/1.1 101 Switching Protocols\r\n{self._date}Upgrade: websocket\r\nConnection: Upgrade\r\n"
        return f"{start}{self._lines(reply.headers, False)}{told}{reply.lines}\r\n".encode("ascii")

    def pairs(self, reply: Reply) -> list[tuple[bytes, bytes]]:
        """The reply's own headers, as ASGI has them. What must not go out is left out."""
        if len(reply.headers) == 1 and reply.headers[0] is JSON_TYPE and not reply.lines:
            return [_JSON_PAIR]
        lines = self._lines(reply.headers, reply.verbatim) + reply.lines
        pairs = [line.partition(": ") for line in lines.split("\r\n")[:-1]]
        return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, _, value in pairs]

    def _head(self, reply: Reply) -> str:
        """Status line, date and `Reply.headers`."""
        status, headers = reply.status, reply.headers
        head = self._starts.get(status)
        if head is None or reply.reason is not None:
            head = self._start(status, reply.reason)
        head += self._lines(headers, reply.verbatim)
        if len(headers) == 1 and headers[0] is JSON_TYPE and reply.reason is None and status not in BODILESS:
            self._json_starts[status] = f"{head}X-Request-ID: "
        return head

    def _lines(self, headers: list[tuple[str, str]], verbatim: bool) -> str:
        """Header lines, without those that must not go out."""
        names = self._names
        try:
            lines = "".join([f"{names[name]}{value}\r\n" for name, value in headers])
            # One look at all of them: nothing is left of what can be printed but our own line ends.
            if lines.encode("ascii").translate(None, PRINTABLE) == b"\r\n" * len(headers):
                return lines
        except (KeyError, UnicodeEncodeError):
            pass
        made = []
        for name, value in headers:
            line = header_line(name, value, verbatim)
            if line and len(names) < _NAMES_MAX:
                names[name] = f"{name}: "
            made.append(line)
        return "".join(made)

    def _start(self, status: int, reason: str | None) -> str:
        status = int.__index__(status)  # 200.0 would go out as such.
        if not 200 <= status <= 599:
            raise ValueError(f"a reply's status is 200 to 599, not {status!r}")
        if reason is not None and reason.isascii() and reason.isprintable():
            return f"HTTP/1.1 {status} {reason}\r\n{self._date}"
        start = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{self._date}"
        self._starts[status] = start
        return start
