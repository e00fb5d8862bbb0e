"""Replies as bytes: status line, headers that may go out, framing."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import quote

from tautomer.web.messages.message import JSON_TYPE, Reply

__all__ = ["BODILESS", "CLOSE", "KEEP_ALIVE", "ReplyBytes"]

log = logging.getLogger("tautomer.web")

CLOSE = "Connection: close\r\n"
KEEP_ALIVE = "Connection: keep-alive\r\n"
BODILESS = frozenset({204, 205, 304})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ASCII = "\t" + "".join(map(chr, range(0x20, 0x7F)))
# Framing and the connection are the server's own business (RFC 9110 section 7.6.1), and so is the date.
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
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
                return f"{known}{request_id}\r\n{connection}Content-Length: {len(body)}\r\n\r\n".encode() + body
        start = self._head(reply)
        if request_id:
            start = f"{start}X-Request-ID: {request_id}\r\n"
        if status in BODILESS:
            # RFC 9110 sections 8.6, 15.3.6 and 15.4.5: only 205 says that its length is 0.
            framing = "Content-Length: 0\r\n\r\n" if status == 205 else "\r\n"
            return f"{start}{connection}{framing}".encode("ascii")
        head = f"{start}{connection}Content-Length: {len(body)}\r\n\r\n".encode("ascii")
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
        return f"{self._head(reply)}{told}{connection}{framing}".encode("ascii")

    def pairs(self, reply: Reply) -> list[tuple[bytes, bytes]]:
        """The reply's own headers, as ASGI has them. What must not go out is left out."""
        if len(reply.headers) == 1 and reply.headers[0] is JSON_TYPE:
            return [_JSON_PAIR]
        lines = "".join([self._field(name, value) for name, value in reply.headers])
        pairs = [line.partition(": ") for line in lines.split("\r\n")[:-1]]
        return [(name.lower().encode("ascii"), value.encode("ascii")) for name, _, value in pairs]

    def _head(self, reply: Reply) -> str:
        """Status line, date and the reply's own headers."""
        status, headers = reply.status, reply.headers
        head = self._starts.get(status)
        if head is None or reply.reason is not None:
            head = self._start(status, reply.reason)
        for name, value in headers:
            prefix = self._names.get(name)
            if prefix is None or not (value.isascii() and value.isprintable()):
                head += self._field(name, value)
            else:
                head += f"{prefix}{value}\r\n"
        if len(headers) == 1 and headers[0] is JSON_TYPE and reply.reason is None and status not in BODILESS:
            self._json_starts[status] = f"{head}X-Request-ID: "
        return head

    def _start(self, status: int, reason: str | None) -> str:
        status = int.__index__(status)  # 200.0 would go out as such.
        if not 200 <= status <= 599:
            raise ValueError(f"a reply's status is 200 to 599, not {status!r}")
        if reason is not None and reason.isascii() and reason.isprintable():
            return f"HTTP/1.1 {status} {reason}\r\n{self._date}"
        start = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{self._date}"
        self._starts[status] = start
        return start

    def _field(self, name: str, value: str) -> str:
        """One header line, or nothing if it must not go out."""
        prefix = self._names.get(name) or self._admit(name)
        if _CONTROL.search(value):
            log.warning("reply header dropped: its value holds a control character", extra={"header": name})
            return ""
        # As moleculer-web does; a header has no charset of its own.
        return f"{prefix}{quote(value, safe=_ASCII, errors='replace')}\r\n" if prefix else ""

    def _admit(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            log.warning("reply header dropped: its name is no token", extra={"header": ascii(name)[:80]})
            return ""
        if name.lower() in _OURS:
            if name.lower() != "date":
                log.warning("reply header dropped: the server sets it", extra={"header": name})
            return ""
        if len(self._names) < _NAMES_MAX:
            self._names[name] = f"{name}: "
        return f"{name}: "
