"""Bodies that came whole, read by the first parser of the route that takes them (gateway reference, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from tautomer.errors import BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError
from tautomer.web.messages.content import CHARSETS, charset_of, decode_text
from tautomer.web.messages.message import Request
from tautomer.web.messages.query import FORM_RULES, QueryValue, parse_query
from tautomer.web.settings.body_parsers import BodyParser, BodyParsers

__all__ = ["read_body"]

_EMPTY: Final[dict[str, Callable[[], object]]] = {
    "json": dict,
    "urlencoded": dict,
    "multipart": dict,
    "text": str,
    "raw": bytes,
}


def read_body(request: Request, parsers: BodyParsers) -> Any:
    """The body as its parser gives it: an object or a list, a text, bytes; `UNSET` where there is none, or nobody to read it.

    Bodies are read for every method, as moleculer-web does. One that is there and empty is an empty object, text or bytes.

    Raises:
        UnsupportedMediaTypeError: No parser is on for its content type, its charset is not known, or it is packed
            in a way that is not.
        BadRequestError: `INVALID_BODY` (a JSON scalar too), `TOO_DEEP`, `TOO_MANY_PARAMS`.
        PayloadTooLarge: Over the parser's limit, as it came or unpacked.
    """
    if not parsers.in_order or not (request.raw_body or _is_framed(request)):
        return UNSET
    mimetype = request.mimetype
    for parser in parsers.in_order:
        if parser.takes(request, mimetype):
            return _parsed(request, parser) if request.raw_body else _EMPTY[parser.kind]()
    if not request.raw_body:
        return UNSET
    raise UnsupportedMediaTypeError(data={"reason": "a body of this Content-Type is not read here"})


def _is_framed(request: Request) -> bool:
    """Whether the head announces a body, however short (RFC 9112 section 6)."""
    return "\ncontent-length:" in request.lower or "\ntransfer-encoding:" in request.lower


def _parsed(request: Request, parser: BodyParser) -> Any:
    _check(request, parser)
    match parser.kind:
        case "json":
            body = request.json
            if parser.strict and not isinstance(body, dict | list):
                raise BadRequestError("INVALID_BODY", {"reason": "a JSON body is an object or a list"})
            return body
        case "urlencoded":
            return _form(request, parser)
        case "text":
            return decode_text(request.body, charset_of(request.content_type, parser.charset))
        case "multipart":
            return {**request.form, **request.files}
    return request.body


def _check(request: Request, parser: BodyParser) -> None:
    limit = request.limits.body_bytes_max if parser.bytes_max is None else parser.bytes_max
    if limit != request.body_bytes_max:
        # The route takes more, for another parser.
        request.body_bytes_max = limit
        if limit and len(request.raw_body) > limit:
            raise PayloadTooLarge({"limit": limit})
    if not parser.inflate and (request.header("content-encoding") or "identity").strip().lower() != "identity":
        raise UnsupportedMediaTypeError("UNSUPPORTED_ENCODING", {"reason": "packed bodies are not read here"})


def _form(request: Request, parser: BodyParser) -> dict[str, QueryValue]:
    if parser.rules is FORM_RULES and parser.charset == "utf-8" and request.mimetype != "multipart/form-data":
        return request.form
    charset = charset_of(request.content_type, parser.charset)
    text = decode_text(request.body, charset)
    request._form = parse_query(text, request.limits, parser.rules, CHARSETS[charset])
    return request._form
