"""Request heads: from raw bytes to a checked `Request` without its body, or a refusal.

llhttp (by `httptools`) reads every head for form: token characters, line ends, control bytes, folding. It is
asked for nothing but a yes or no, as headers are cut out of the raw head only when somebody looks at them.
What it lets through is checked here: two ``Host`` lines, ``gzip, chunked``, chunked in HTTP/1.0, foreign
versions and protocols, doubled blanks in the request line, and sizes (RFC 9112 sections 2, 3 and 6).
"""

from __future__ import annotations

import re
import sys
from typing import TypeAlias

import httptools
import msgspec

from tautomer.errors import BadRequestError
from tautomer.web.http.refusal import Refusal, error_reply, reply_to
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Headers, Reply, Request
from tautomer.web.messages.target import split_target

__all__ = ["CHUNKED", "PLAIN", "Framing", "HeadReader", "LastHead"]

CHUNKED = -1

_Parser = httptools.HttpRequestParser

# llhttp knows these by name and refuses most others. The rest it also knows belongs to other protocols (RTSP)
# or has no meaning here, so every other token is shown to it as a GET.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NAMES = {name.encode(): name for name in _METHODS}
_SAFE = frozenset({"GET", "HEAD"})
_REFUSED_METHODS = frozenset({"TRACE", "CONNECT"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
# 18 digits are more than any disk holds, and no number of them overflows anything.
_LENGTH = re.compile(r"[0-9]{1,18}")
# RFC 9110 section 7.2: a name or address, and a port. Nothing is routed by it, but a proxy may read more into it.
_HOST = re.compile(r"[ \t]*(?:\[[0-9A-Za-z.:%~_-]+\]|[0-9A-Za-z.~_!$&'()*+,;=%-]*)(?::[0-9]*)?[ \t]*")
# The headers that decide on framing, found in one pass over a head in lower case. As no line of a head that
# llhttp accepts holds a bare CR or LF, or is folded, this finds exactly the lines of these names.
_FRAMING = re.compile(r"\n(?=[hctue])(host|connection|content-length|transfer-encoding|expect|upgrade):([^\r]*)")
# Header lines and the blank one, as `Request.fields` has them.
_FIELDS = re.compile(r"(?:\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r)*\n\r\n")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# "a:" and its line end.
_HEADER_BYTES_MIN = 4
# Version and header lines that come again byte for byte, as from probes, proxies and programs, are read once. Only
# such as hold nothing personal are kept for all, and the first ones stay: who sends many different ones just does
# not profit. Any others are kept by the connection they came on.
_KEPT_MAX = 512
_KEPT_SIZE_MAX = 512
# Heads over this are not looked up: they would hardly be found, and a hash takes time.
_LOOKED_UP_MAX = 1024
_KEPT = re.compile(
    r"(?:\n(?:host|user-agent|accept|accept-encoding|accept-language|connection|origin):[^\r]*\r)+\n\r\n"
)
# A target of these (and no escape or dot segment) is one in which llhttp and we find nothing to look at twice.
_PLAIN_TARGET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._~!$&'()*+,;=:@?-"
_ALLOW = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")


class Framing(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What the connection must know of a request.

    Attributes:
        keep_alive: Whether the client wants to keep the connection.
        length: Bytes of body, 0 for none, `CHUNKED` where the body says itself how long it is.
        expects_continue: The client waits for ``100 Continue`` before it sends the body.
        upgrade: Protocol named by ``Upgrade``, in lower case, or an empty string.
    """

    keep_alive: bool = True
    length: int = 0
    expects_continue: bool = False
    upgrade: str = ""


PLAIN = Framing()

# Header lines as received and in lower case, the version, whether the connection is kept, and all of them to look up.
_Kept: TypeAlias = tuple[str, str, str, bool, Headers]
LastHead: TypeAlias = tuple[bytes, _Kept]
"""Version and header lines of the last request on a connection, as they came and as they were read."""

# What comes of a head: all of a `Request` but the client, the framing, and a reply if no gateway need see it.
_Read: TypeAlias = tuple[tuple[str, str, str, str, str, str, str, str, HttpLimits, bool], Framing, "Reply | None"]


class HeadReader:
    """Reads heads under the limits of one server, whose `scheme` is ``"http"`` or ``"https"``."""

    __slots__ = (
        "_header_max",
        "_headers_max",
        "_kept",
        "_limits",
        "_line_max",
        "_lines_max",
        "_looked_up_max",
        "_scheme",
        "_small",
    )

    def __init__(self, limits: HttpLimits, scheme: str) -> None:
        self._kept: dict[bytes, _Kept] = {}
        self._limits = limits
        self._scheme = scheme
        self._line_max = limits.request_line_bytes_max or sys.maxsize
        self._header_max = limits.header_bytes_max or sys.maxsize
        self._headers_max = limits.headers_bytes_max or sys.maxsize
        self._lines_max = limits.headers_max or sys.maxsize
        # A whole head up to this size cannot have a request line over its limit.
        self._looked_up_max = min(_LOOKED_UP_MAX, self._line_max)
        # Header lines up to this size cannot be over any limit.
        self._small = min(self._header_max, self._headers_max, self._lines_max * _HEADER_BYTES_MIN)

    def last(self, raw: bytes, request: Request) -> LastHead | None:
        """What `known` needs to know the next head of this connection by, if it differs in no header.

        `request` was read from `raw`, has no body, and keeps its connection.
        """
        if len(raw) > self._looked_up_max or request.method not in _METHODS:
            return None
        rest = raw.split(b" ", 2)[2]
        if rest in self._kept:
            return None
        return rest, (request.fields, request.lower, request.http_version, True, request.headers)

    def known(self, raw: bytes, client: str, last: LastHead | None = None) -> tuple[Request, bool] | None:
        """A request without a body of which all but the request line was read before, and whether to keep its connection.

        None for any other head, for a part of one, and for more than one.
        """
        if len(raw) > self._looked_up_max:
            return None
        pieces = raw.split(b" ", 2)
        kept = self._kept.get(pieces[-1])
        if kept is None:
            if last is None or last[0] != pieces[-1]:
                return None
            kept = last[1]
        if len(pieces) != 3:
            return None
        method = _NAMES.get(pieces[0])
        # What is left is a target, and of this one nothing can be doubted.
        if method is None or pieces[1].translate(None, _PLAIN_TARGET):
            return None
        target = pieces[1].decode()
        if target[:1] != "/" or "/." in target:
            return None
        path, _, query_string = target.partition("?")
        fields, lower, version, keep_alive, headers = kept
        request = Request(
            method,
            target,
            path,
            query_string,
            fields,
            lower,
            version,
            self._scheme,
            self._limits,
            method in _SAFE,
            client,
            _headers=headers,
        )
        return request, keep_alive

    def read(self, raw: bytes, client: str) -> tuple[Request, Framing, Reply | None]:
        """Read one whole head, from its request line to the blank line, both included.

        A reply is returned for a request that no gateway need see; the framing is sound even then.

        Raises:
            Refusal: 400, 414, 417, 431 or 505.
        """
        parts, framing, fixed = self._read(raw)
        return Request(*parts, client), framing, fixed

    def _read(self, raw: bytes) -> _Read:
        """The long way: every line is looked at."""
        text = raw.decode("latin-1")
        start, found, fields = text.partition(" HTTP/1.1\r")
        method, _, target = start.partition(" ")
        version = "1.1"
        if not found or " " in target or "\r" in start or len(start) > self._line_max - 9:
            method, target, version, fields = self._request_line(text)
        if len(fields) > self._small:
            self._check_sizes(fields)
        try:
            # A parser for each head costs 0.15 µs, and no request can leave anything behind in it for the next.
            _Parser(None).feed_data(raw if method in _METHODS else _as_known(method, raw))
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise _bad(str(error)) from None
        lower = fields.lower()
        framing = _read_framing(version, _FRAMING.findall(lower))
        path, query_string, fixed = _read_target(method, target)
        safe = method in _SAFE
        parts = (method, target, path, query_string, fields, lower, version, self._scheme, self._limits, safe)
        if (
            not framing.length
            and method in _METHODS
            and len(self._kept) < _KEPT_MAX
            and len(fields) < _KEPT_SIZE_MAX
            and _KEPT.fullmatch(lower)
        ):
            self._kept[raw.split(b" ", 2)[2]] = fields, lower, version, framing.keep_alive, Headers(fields, lower)
        return parts, framing, fixed

    def take_over(
        self, method: str, target: str, version: str, fields: str, client: str
    ) -> tuple[Request, Framing, Reply | None]:
        """As `read`, for a head that another server has read.

        Args:
            version: ``"1.0"``, ``"1.1"``, ``"2"`` or ``"3"``. From 2 on no header says how long the body is.
            fields: As `Request.fields`.

        Raises:
            Refusal: 400, 414, 417 or 431.
        """
        if not _TOKEN.fullmatch(method):
            raise _bad("the method is not a token")
        if len(method) + len(target) > self._line_max - 10:
            raise _line_too_long(self._line_max)
        if not _VISIBLE.fullmatch(target):
            raise _bad("the target holds other characters than visible ASCII")
        if not _FIELDS.fullmatch(fields):
            raise _bad("a header is malformed")
        if len(fields) > self._small:
            self._check_sizes(fields)
        lower = fields.lower()
        framing = _read_framing(version, _FRAMING.findall(lower)) if version[:1] == "1" else PLAIN
        path, query, fixed = _read_target(method, target)
        safe = method in _SAFE
        made = Request(method, target, path, query, fields, lower, version, self._scheme, self._limits, safe, client)
        return made, framing, fixed

    def check_part(self, part: bytearray, seen: int) -> None:
        """Look at a head of which the end has not come yet, so that what cannot become right is refused now.

        Only what lies past the `seen` bytes of earlier looks is read closely: a head may come byte by byte.

        Raises:
            Refusal: 400, 414, 431 or 505.
        """
        if not _TOKEN.match(chr(part[0])):
            raise _bad("the request line does not begin with a method")
        at = part.find(b"\n", seen)
        while at >= 0:
            if part[at - 1] != 13:
                raise _bad("a line ends without a carriage return")
            at = part.find(b"\n", at + 1)
        eol = part.find(b"\r\n")
        if eol < 0:
            # A CR at the end may be the first half of the line's end.
            if len(part.rstrip(b"\r")) > self._line_max:
                raise _line_too_long(self._line_max)
            return
        if eol + 2 > seen:
            self._request_line(part[:eol].decode("latin-1"))
        if len(part) - eol > self._small:
            self._check_sizes(part[eol + 1 :].decode("latin-1"))

    def _request_line(self, text: str) -> tuple[str, str, str, str]:
        """Method, target, version and header lines; the long way, which says what is wrong."""
        line, _, fields = text.partition("\r")
        if len(line) > self._line_max:
            raise _line_too_long(self._line_max)
        try:
            method, target, version = line.split(" ")
        except ValueError:
            raise _bad("the request line is not 'METHOD target HTTP/1.1'") from None
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            if _VERSION.fullmatch(version):
                raise Refusal(505, "HTTP_VERSION", "This server speaks HTTP/1.1 and HTTP/1.0.")
            raise _bad("the request line does not end with a version")
        return method, target, version[5:], fields

    def _check_sizes(self, fields: str) -> None:
        if len(fields) > self._headers_max + 4:
            raise _headers_too_large(f"the headers are larger than {self._headers_max} bytes")
        if len(fields) > self._header_max and max(map(len, fields[1:].split("\r\n"))) > self._header_max:
            raise _headers_too_large(f"a header is larger than {self._header_max} bytes")
        if fields.count("\n") - 2 > self._lines_max:
            raise _headers_too_large(f"there are more than {self._lines_max} headers")


def _read_target(method: str, target: str) -> tuple[str, str, Reply | None]:
    """Path and query, or the reply to a request that no route could take."""
    if method in _REFUSED_METHODS:
        return "", "", error_reply(405, "METHOD_NOT_ALLOWED", "Method not allowed", _ALLOW)
    try:
        path, query_string = split_target(target)
    except BadRequestError as error:
        if target == "*" and method == "OPTIONS":
            return "", "", Reply(204, [_ALLOW])
        return "", "", reply_to(error, 400)
    return path, query_string, None


def _as_known(method: str, raw: bytes) -> bytes:
    """The head as llhttp takes it."""
    if not _TOKEN.fullmatch(method):
        raise _bad("the method is not a token")
    # The target of CONNECT has a form of its own.
    return raw if method == "CONNECT" else b"GET" + raw[len(method) :]


def _read_framing(version: str, lines: list[tuple[str, str]]) -> Framing:
    named = dict(lines)
    if len(named) != len(lines):
        named = _joined(lines)
    if "host" in named:
        if not _HOST.fullmatch(named["host"]):
            raise _bad("the host is no name with a port")
    elif version == "1.1":
        raise _bad("a request names its host")
    keep_alive = version == "1.1"
    options = named["connection"].strip(" \t") if "connection" in named else ""
    if options and options != "keep-alive":
        tokens = _tokens(options)
        keep_alive = (keep_alive or "keep-alive" in tokens) and "close" not in tokens
        upgrades = _tokens(named.get("upgrade", "")) if "upgrade" in tokens else []
    else:
        keep_alive = keep_alive or options == "keep-alive"
        upgrades = []
    length = _length(version, named) if "content-length" in named or "transfer-encoding" in named else 0
    expects = False
    # Neither `Expect` nor `Upgrade` means anything in HTTP/1.0 (RFC 9110 sections 7.8 and 10.1.1).
    if "expect" in named and version == "1.1":
        if named["expect"].strip(" \t") != "100-continue":
            raise Refusal(417, "EXPECTATION_FAILED", "The only expectation is '100-continue'.")
        expects = length != 0
    upgrade = upgrades[0] if upgrades and version == "1.1" else ""
    if keep_alive and not length and not upgrade:
        return PLAIN
    return Framing(keep_alive, length, expects, upgrade)


def _joined(lines: list[tuple[str, str]]) -> dict[str, str]:
    """Headers that came more than once as one list, as RFC 9110 section 5.3 has it; but there is one host."""
    named: dict[str, str] = {}
    for name, value in lines:
        if name == "host" and name in named:
            raise _bad("a request names its host once")
        named[name] = f"{named[name]},{value}" if name in named else value
    return named


def _length(version: str, named: dict[str, str]) -> int:
    if "transfer-encoding" not in named:
        length = named["content-length"].strip(" \t")
        if not _LENGTH.fullmatch(length):
            raise _bad("Content-Length is one number of bytes")
        return int(length)
    if "content-length" in named:
        raise _bad("a request has a Content-Length or a Transfer-Encoding, not both")
    if version == "1.0":
        raise _bad("HTTP/1.0 knows no Transfer-Encoding")
    if named["transfer-encoding"].strip(" \t") != "chunked":
        raise _bad("the only Transfer-Encoding is 'chunked'")
    return CHUNKED


def _tokens(text: str) -> list[str]:
    return [token for part in text.split(",") if (token := part.strip(" \t"))]


def _bad(reason: str) -> Refusal:
    return Refusal(400, "BAD_REQUEST", f"Malformed request: {reason}.")


def _line_too_long(bytes_max: int) -> Refusal:
    return Refusal(414, "URI_TOO_LONG", f"The request line is longer than {bytes_max} bytes.")


def _headers_too_large(reason: str) -> Refusal:
    return Refusal(431, "HEADERS_TOO_LARGE", f"The request is refused: {reason}.")
