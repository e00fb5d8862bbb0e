"""Request and Reply: what passes between a server and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from tautomer.incoming import IncomingBody
from tautomer.web.messages.content import CHARSETS, charset_of, decode_json, decode_text, inflate
from tautomer.web.messages.cookies import parse_cookies
from tautomer.web.messages.limits import DEFAULT_LIMITS, HttpLimits
from tautomer.web.messages.query import FORM_RULES, QueryValue, parse_query
from tautomer.web.messages.target import split_target

__all__ = ["JSON_TYPE", "Headers", "Reply", "Request"]

JSON_TYPE: Final = ("Content-Type", "application/json; charset=utf-8")
"""The header line of almost every reply: being this very object, it is known to be fit."""

_FOUND_MAX: Final = 64


@lru_cache(maxsize=256)
def _needle(name: str) -> str:
    # What is no name would else be found in values; two line ends in a row are nowhere.
    return "\n\n" if ":" in name or "\n" in name else f"\n{name.lower()}:"


def _values(fields: str, lower: str, name: str) -> list[str]:
    """The values of the lines of one name; cut out of the head, as hardly anybody asks for all of it."""
    needle = _needle(name)
    at = lower.find(needle)
    values = []
    while at >= 0:
        start = at + len(needle)
        end = fields.index("\r", start)
        values.append(fields[start:end].strip(" \t"))
        at = lower.find(needle, end)
    return values


def _value(fields: str, lower: str, name: str) -> str | None:
    """The value of a name, its lines joined; None where there is none."""
    needle = _needle(name)
    at = lower.find(needle)
    if at < 0:
        return None
    start = at + len(needle)
    end = fields.index("\r", start)
    if lower.find(needle, end) < 0:
        return fields[start:end].strip(" \t")
    return ("; " if name.lower() == "cookie" else ", ").join(_values(fields, lower, name))


def _fields(headers: Iterable[tuple[str, str]]) -> str:
    """Header lines as `Request.fields` holds them."""
    lines = [f"{name}:{value}" for name, value in headers]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header holds a line end")
    return "".join([f"\n{line}\r" for line in lines]) + "\n\r\n"


class Headers(Mapping[str, str]):
    """Request headers. Names in any case; several lines of one name are joined by ``", "``.

    Iterates over the names in lower case.

    Args:
        fields: As `Request.fields`.
        lower: The same in lower case.
    """

    __slots__ = ("_fields", "_found", "_lower", "_pairs")

    def __init__(self, fields: str, lower: str) -> None:
        self._fields = fields
        self._lower = lower
        # What was asked for so far: requests that are alike in all headers share this object.
        self._found: dict[str, str | None] = {}
        self._pairs: tuple[tuple[str, str], ...] | None = None

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every line as it came: (name, value), the name as the client wrote it."""
        if self._pairs is None:
            lines = self._fields[1:-4].split("\r\n") if len(self._fields) > 4 else []
            split = [line.partition(":") for line in lines]
            self._pairs = tuple([(name, value.strip(" \t")) for name, _, value in split])
        return self._pairs

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value  # type: ignore[no-any-return]

    def get(self, name: str, default: Any = None) -> Any:
        """One header's value, or `default`."""
        try:
            value = self._found[name]
        except KeyError:
            value = _value(self._fields, self._lower, name)
            if len(self._found) < _FOUND_MAX:
                self._found[name] = value
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _needle(name) in self._lower

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([name.lower() for name, _ in self.pairs]))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.pairs})

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"

    def getlist(self, name: str) -> list[str]:
        """The lines of one name, not joined."""
        return _values(self._fields, self._lower, name)


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
        scheme: ``"http"`` or ``"https"``; what a trusted proxy says where one has spoken.
        limits: Bounds for what is decoded from the body and the query.
        cancellable: Whether the request's task is cancelled when the client leaves. True for GET and HEAD;
            the gateway may say otherwise.
        client: Address of the socket's peer, without port; empty for a Unix socket. Where the peer is a trusted proxy
            of the gateway's, the address that it speaks for.
        peer: Address of the socket's peer, where it is a trusted proxy that has spoken; else empty.
        raw_body: The body as it came, not inflated.
        body_bytes_max: Bound of this request's body, before and after inflating; 0 for none.
        id: Request id; the gateway sets it, to letters, digits and ``-._``, and the server tells it as ``X-Request-ID``.
        ends: When the time of the request is over, on the server's clock; None for no end. The gateway sets it.
        late: Whether the server has cancelled the request's task because its time was over.
        matched: What the gateway found out when it first looked at the request; None before.
        ctx: The context of all calls made for the request, once a route's stages have begun: ``request.ctx.call(…)``.
        alias: The alias that it matched, likewise.
        incoming: The body as it comes, where the request runs before it is there (aliases of type ``stream`` and
            ``multipart``); None where it is whole, in `raw_body`, or there is none.
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
    ctx: Any = None
    alias: Any = None
    incoming: IncomingBody | None = None
    peer: str = ""
    _body: bytes | None = None
    _query: dict[str, QueryValue] | None = None
    _form: dict[str, QueryValue] | None = None
    _files: Mapping[str, Mapping[str, Any]] | None = None
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
        fields = _fields(headers)
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
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(self.fields, self.lower)
        return headers.get(name)  # type: ignore[no-any-return]

    def take_cancel_back(self) -> bool:
        """To be called in the task of a request that is `late`, when whatever was too slow has ended.

        Returns whether the server's cancel was the only one: False where somebody else wants the task to end, too.
        """
        self.late = False
        task = asyncio.current_task()
        return task is None or task.uncancel() == 0

    def rewrite(
        self,
        *,
        headers: Iterable[tuple[str, str]] | None = None,
        query_string: str | None = None,
        body: bytes | None = None,
    ) -> None:
        """Put others in the place of what came, for all who look from now on. What is None stays.

        Raises:
            ValueError: A header holds a line end.
        """
        if headers is not None:
            self.fields = _fields(headers)
            self.lower = self.fields.lower()
            self._headers = self._cookies = None
        if query_string is not None:
            self.query_string = query_string
            self._query = None
        if body is not None:
            self.raw_body = body
            self._json = UNSET
        self._body = self._form = None  # They hang on headers, too.

    @property
    def params(self) -> Any:
        """What the action gets; there from the hooks on. A hook may change it, or put another in its place."""
        return None if self.ctx is None else self.ctx.params

    @params.setter
    def params(self, params: Any) -> None:
        self.ctx.params = params

    @property
    def route(self) -> Any:
        """Settings of the route that the request takes, once its stages have begun; None before."""
        return None if self.alias is None else self.alias.route.settings

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = Headers(self.fields, self.lower)
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
        """The query string as `qs` reads it: see `tautomer.web.messages.query`.

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
        """The fields of a form: urlencoded, with nested keys as `qs` reads them, or multipart, of equal names the last.

        Raises:
            UnsupportedMediaTypeError: The charset is unknown, and as `body`.
            BadRequestError: `INVALID_BODY` or `TOO_MANY_PARAMS`, and as `body`.
            PayloadTooLarge: A multipart form over its limits, and as `body`.
        """
        if self._form is None:
            if self.mimetype == "multipart/form-data":
                self._read_multipart()
            else:
                self._form = parse_query(self.text, self.limits, FORM_RULES, CHARSETS[self.charset])
        return self._form or {}

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """The files of a multipart form: ``{"filename", "content_type", "size", "data"}`` by field; empty for any other body.

        Raises:
            As `form`.
        """
        if self._files is None and self.mimetype == "multipart/form-data":
            self._read_multipart()
        return self._files or {}

    def _read_multipart(self) -> None:
        from tautomer.web.messages.multipart import read_form  # Only who reads such forms needs their parser.

        fields, self._files = read_form(self.content_type, self.body)
        self._form = {**fields}

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
            `aclose`, where it has one, is always called; its `length`, where it has one, is the ``Content-Length``.
        reason: Text beside the status, or None for the usual one.
        lines: More headers, as `header_line` makes them. The gateway's own, which are the same in many replies.
        verbatim: Whether characters of headers outside ASCII go out as they are (ISO 8859-1): so they came from another
            server. Else they are percent-encoded.
    """

    status: int = 200
    headers: list[tuple[str, str]] = []
    body: bytes | AsyncIterator[bytes] = b""
    reason: str | None = None
    lines: str = ""
    verbatim: bool = False
