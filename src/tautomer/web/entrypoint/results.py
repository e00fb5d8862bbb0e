"""From what a method with `@http` returns to the reply (entrypoints reference, section 5; architecture §15.4)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from tautomer.context import Context
from tautomer.web.answers.reply import meta_headers
from tautomer.web.messages.message import Reply

__all__ = ["Response", "payload_of"]

TEXT_TYPE: Final = "text/plain; charset=utf-8"
_SHAPES: Final = "a handler may return payload, (payload, status) or (payload, status, headers)"
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Response:
    """A whole response.

    Args:
        response: The body: text, bytes, or an iterator of these.
        status: 200 to 599.
        headers: Mapping, or pairs.
        mimetype: Of the body, without parameters.
        content_type: The whole header; goes before `mimetype`, and before one in `headers`.
    """

    def __init__(
        self,
        response: Any = b"",
        status: int = 200,
        headers: Any = None,
        mimetype: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.response = response
        self.status_code = int(status)
        self.headers = _lines(headers)
        given = content_type
        if given is None and mimetype is not None:
            given = f"{mimetype}; charset=utf-8" if mimetype.startswith("text/") else mimetype
        if given is not None:
            self.headers = [line for line in self.headers if line[0].lower() != "content-type"]
            self.headers.append(("Content-Type", given))


def payload_of(value: Any, ctx: Context[Any]) -> Any:
    """The payload of a result. Its status, headers and content type are put where the gateway looks for an action's.

    Raises:
        TypeError: It is a tuple of another shape, its headers cannot be sent, or the payload is nothing that can be.
    """
    if isinstance(value, Reply):
        return value
    if isinstance(value, Response):
        return _told(value.response, value.status_code, value.headers, ctx)
    if _is_foreign(value):
        return _told(value.get_data(), value.status_code, _lines(value.headers.items()), ctx)
    if isinstance(value, tuple):
        payload, status, headers = _split(value)
        return _told(payload, status, _lines(headers), ctx)
    return _told(value, None, [], ctx)


def _split(value: tuple[Any, ...]) -> tuple[Any, int, Any]:
    """Payload, status and headers, in the document's order where that fits, else in nameko's own."""
    match value:
        case (payload, status) if _is_status(status):
            return payload, int(status), None
        case (status, payload) if _is_status(status):
            return payload, int(status), None
        case (payload, status, headers) if _is_status(status) and _is_headers(headers):
            return payload, int(status), headers
        case (status, headers, payload) if _is_status(status) and _is_headers(headers):
            return payload, int(status), headers
    raise TypeError(f"{_SHAPES}, not a tuple of {', '.join(type(one).__name__ for one in value) or 'nothing'}")


def _is_status(value: object) -> bool:
    return isinstance(value, int | HTTPStatus) and not isinstance(value, bool) and 100 <= value <= 599


def _is_headers(value: object) -> bool:
    if value is None or isinstance(value, Mapping):
        return True
    return isinstance(value, list) and all(isinstance(one, list | tuple) and len(one) == 2 for one in value)


def _is_foreign(value: Any) -> bool:
    """Whether it is a response of another toolkit, such as Werkzeug's."""
    return callable(getattr(value, "get_data", None)) and hasattr(value, "status_code") and hasattr(value, "headers")


def _lines(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers
    lines = []
    for name, values in pairs:
        for one in values if isinstance(values, list | tuple) else (values,):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise TypeError(f"a header of a response has the name {name!r:.80}")
            if isinstance(one, bool) or not isinstance(one, str | int | float) or _CONTROL.search(str(one)):
                raise TypeError(f"the header {name} of a response is text in one line, or a number")
            if name.lower() != "content-length":
                lines.append((name, str(one)))
    return lines


def _told(payload: Any, status: int | None, headers: list[tuple[str, str]], ctx: Context[Any]) -> Any:
    meta: dict[str, Any] = {}
    if payload is None and status is None:
        status = 204
    if status is not None:
        meta["$statusCode"] = status
    if headers:
        # What the method put into the meta itself stands below what it returns.
        said = meta_headers(ctx.meta.get("$responseHeaders"), "http")
        merged: dict[str, tuple[str, list[str]]] = {
            name: (lines[0][0], [value for _, value in lines]) for name, lines in said.items()
        }
        fresh: dict[str, tuple[str, list[str]]] = {}
        for name, value in headers:
            fresh.setdefault(name.lower(), (name, []))[1].append(value)
        meta["$responseHeaders"] = dict((merged | fresh).values())
    types = [value for name, value in headers if name.lower() == "content-type"]
    if types:
        meta["$responseType"] = types[-1]
    elif isinstance(payload, str) and "$responseType" not in ctx.meta:
        meta["$responseType"] = TEXT_TYPE
    if meta:
        ctx.meta.update(meta)
    return _sendable(payload)


def _sendable(payload: Any) -> Any:
    if isinstance(payload, tuple | set | frozenset):
        return list(payload)
    if isinstance(payload, Iterator) and not isinstance(payload, AsyncIterator):
        return (one for one in payload)  # As a generator, which is how the gateway knows a stream.
    return payload
