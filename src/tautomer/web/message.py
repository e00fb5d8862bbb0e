"""Request and Reply: what passes between a server and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from tautomer.web.content import charset_of, decode_json, decode_text, inflate
from tautomer.web.cookies import parse_cookies
from tautomer.web.limits import DEFAULT_LIMITS, HttpLimits
from tautomer.web.query import QueryValue, parse_query
from tautomer.web.target import split_target

__all__ = ["JSON_TYPE", "Headers", "Reply", "Request"]

JSON_TYPE: Final = ("Content-Type", "application/json; charset=utf-8")
"""The header line of almost every reply: being this very object, it is known to be fit."""


@lru_cache(maxsize=256)
def _needle(name: str) -> str:
    return f"\n{name.lower()}:"


def _glue(name: str) -> str:
    return "; " if name == "cookie" else ", "


class Headers(Mapping[str, str]):
    """Request headers. Names in any case; several lines of one name are joined by ``", "``.

    Iterates over the names in lower case.
    """

    __slots__ = ("_joined", "pairs")

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        #: Every line as it came: (name, value), the name as the client wrote it.
        self.pairs = pairs
        joined: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            joined[name] = f"{joined[name]}{_glue(name)}{value}" if name in joined else value
        self._joined = joined

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._joined)})"

    def getlist(self, name: str) -> list[str]:
        """The lines of one name, not joined."""
        name = name.lower()
        return [value for other, value in self.pairs if other.lower() == name]


class Request(msgspec.Struct, eq=False):
    """One HTTP request, body read. All access is synchronous; what nobody asks for is never decoded.

    Attributes:
        method: As sent: upper case for every known method.
        target: Request target as sent.
        path: Percent-decoded once and checked; begins with ``/``.
        query_string: What follows the first ``?``, as sent.
        fields: Header lines as sent (ISO 8859-1), each between LF and CR, and LF CR LF at the end. No line holds
            a bare CR or LF, so that a plain search finds a header.
        lower: The same in lower case.
        http_version: ``"1.1"`` or ``"1.0"``.
        scheme: ``"http"`` or ``"https"``.
        limits: Bounds for what is decoded from the body and the query.
        cancellable: Whether the request's task is cancelled when the client leaves. True for GET and HEAD;
            the gateway may say otherwise.
        client: Address of the socket's peer, without port; empty for a Unix socket.
        raw_body: The body as it came, not inflated.
        body_bytes_max: Bound of this request's body, before and after inflating; 0 for none.
        id: Request id; the gateway sets it, to letters, digits and ``-._``, and the server tells it as ``X-Request-ID``.
        ends: When the time of the request is over, on the server's clock; None for no end. The gateway sets it.
        late: Whether the server has cancelled the request's task because its time was over.
        matched: What the gateway found out when it first looked at the request; None before.
    """

    method: str
    target: str
    path: str
    query_string: str
    fields: str
    lower: str
    http_version: str = "1.1"
    scheme: str = "http"
    limits: HttpLimits = DEFAULT_LIMITS
    cancellable: bool = False
    client: str = ""
    raw_body: bytes = b""
    body_bytes_max: int = DEFAULT_LIMITS.body_bytes_max
    id: str = ""
    ends: float | None = None
    late: bool = False
    matched: object = None
    _body: bytes | None = None
    _query: dict[str, QueryValue] | None = None
    _form: dict[str, QueryValue] | None = None
    _headers: Headers | None = None
    _cookies: dict[str, str] | None = None
    _json: object | UnsetType = UNSET
    _locals: dict[str, object] | None = None

    @classmethod
    def build(
        cls,
        method: str = "GET",
        target: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        http_version: str = "1.1",
        scheme: str = "http",
        client: str = "",
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> Request:
        """A request from its parts, for tests and for other servers' doors.

        Raises:
            BadRequestError: `INVALID_PATH`.
            ValueError: The target is not visible ASCII, or a header holds a line end.
        """
        if not (target.isascii() and target.isprintable()) or " " in target:
            raise ValueError("a target holds visible ASCII only; the rest is percent-encoded")
        lines = [f"{name}:{value}" for name, value in headers]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header holds a line end")
        fields = "".join([f"\n{line}\r" for line in lines]) + "\n\r\n"
        path, query_string = split_target(target)
        return cls(
            method,
            target,
            path,
            query_string,
            fields,
            fields.lower(),
            http_version,
            scheme,
            limits,
            method in ("GET", "HEAD"),
            client,
            body,
            limits.body_bytes_max,
        )

    def __repr__(self) -> str:
        # Neither headers nor query: they may hold secrets, and this text may reach a log.
        return f"<Request {self.method} {self.path}>"

    def header(self, name: str) -> str | None:
        """One header's value, or None. Cheaper than `headers` for a few names; lines are joined as there."""
        needle = _needle(name)
        at = self.lower.find(needle)
        if at < 0:
            return None
        values = []
        while at >= 0:
            start = at + len(needle)
            end = self.fields.index("\r", start)
            values.append(self.fields[start:end].strip(" \t"))
            at = self.lower.find(needle, end)
        return values[0] if len(values) == 1 else _glue(name.lower()).join(values)

    def take_cancel_back(self) -> bool:
        """To be called in the task of a request that is `late`, when whatever was too slow has ended.

        Returns whether the server's cancel was the only one: False where somebody else wants the task to end, too.
        """
        self.late = False
        task = asyncio.current_task()
        return task is None or task.uncancel() == 0

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            lines = self.fields[1:-4].split("\r\n") if len(self.fields) > 4 else []
            split = [line.partition(":") for line in lines]
            self._headers = Headers(tuple((name, value.strip(" \t")) for name, _, value in split))
        return self._headers

    @property
    def cookies(self) -> dict[str, str]:
        if self._cookies is None:
            self._cookies = parse_cookies(self.header("cookie") or "")
        return self._cookies

    @property
    def content_type(self) -> str:
        """The whole ``Content-Type`` header, or an empty string."""
        return self.header("content-type") or ""

    @property
    def mimetype(self) -> str:
        """``Content-Type`` in lower case and without parameters, or an empty string."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """Charset of the body in lower case; ``utf-8`` where none is named."""
        return charset_of(self.content_type)

    @property
    def query(self) -> dict[str, QueryValue]:
        """The query string as `qs` reads it: see `tautomer.web.query`.

        Raises:
            BadRequestError: `TOO_MANY_PARAMS`.
        """
        if self._query is None:
            self._query = parse_query(self.query_string, self.limits)
        return self._query

    @property
    def body(self) -> bytes:
        """The body, inflated.

        Raises:
            UnsupportedMediaTypeError: `UNSUPPORTED_ENCODING`.
            BadRequestError: `INVALID_BODY`.
            PayloadTooLarge: Over the limit after inflating.
        """
        if self._body is None:
            encoding = self.header("content-encoding")
            raw = self.raw_body
            self._body = inflate(raw, encoding, self.body_bytes_max) if encoding and raw else raw
        return self._body

    @property
    def text(self) -> str:
        """The body as text by its charset.

        Raises:
            UnsupportedMediaTypeError: The charset is unknown, and as `body`.
            BadRequestError: `INVALID_BODY`, not of this charset, and as `body`.
        """
        return decode_text(self.body, self.charset)

    @property
    def json(self) -> object:
        """The body as JSON, whatever its content type says. Scalars are let through.

        Raises:
            UnsupportedMediaTypeError: The charset is not UTF-8, and as `body`.
            BadRequestError: `INVALID_BODY` (also an empty body) or `TOO_DEEP`, and as `body`.
        """
        if self._json is UNSET:
            self._json = decode_json(self.body, self.charset, self.limits.json_depth_max)
        return self._json

    @property
    def form(self) -> dict[str, QueryValue]:
        """The body as an urlencoded form, read as `query` is.

        Raises:
            UnsupportedMediaTypeError: The charset is unknown, and as `body`.
            BadRequestError: `INVALID_BODY` or `TOO_MANY_PARAMS`, and as `body`.
        """
        if self._form is None:
            self._form = parse_query(self.text, self.limits)
        return self._form

    @property
    def locals(self) -> dict[str, object]:
        """Whatever the gateway keeps with this request."""
        if self._locals is None:
            self._locals = {}
        return self._locals


class Reply(msgspec.Struct, eq=False):
    """An answer. The server adds framing, ``Date``, ``Connection`` and the request's id, and drops what an app must not set.

    Attributes:
        status: 200 to 599. What is not becomes 500.
        headers: Name and value; names may repeat. Those with control bytes, framing and hop-by-hop ones are
            dropped and logged.
        body: Bytes, or an async iterator of bytes that is sent as it comes, under the client's pace. Its
            `aclose`, where it has one, is always called.
        reason: Text beside the status, or None for the usual one.
    """

    status: int = 200
    headers: list[tuple[str, str]] = []
    body: bytes | AsyncIterator[bytes] = b""
    reason: str | None = None
