"""From an action's result and `ctx.meta` to a reply (gateway reference, sections 4.1 and 4.2).

What comes from actions may come from other nodes, so it is checked before it reaches a client:
what has no place in an answer is dropped and logged with the action's name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tautomer.context import RawResult
from tautomer.errors import MoleculerServerError, SerializationError
from tautomer.stream import is_stream
from tautomer.web.message import JSON_TYPE, Reply
from tautomer.web.reply_stream import StreamBody

__all__ = ["build_reply", "encode_json", "meta_headers", "own_reply"]

log = logging.getLogger("tautomer.web")

BYTES_TYPE: Final = "application/octet-stream"

_BODILESS: Final = (204, 205, 304)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# The server frames, the gateway numbers: neither is an action's business.
_OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)
# `JSON.stringify` of a Node Buffer, from whichever end its keys are written.
_BUFFER: Final = b'"Buffer"'
_BUFFER_NEAR: Final = 40

_JSON_KINDS: Final = frozenset({dict, list, str, int, float, bool})

encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


def build_reply(result: Any, meta: Mapping[str, Any] | None, entry: Mapping[str, Any], action: str) -> Reply:
    """The reply to a call that went well.

    Args:
        result: What the action returned; a `Reply` goes out as it is, a stream of bytes or texts as it comes.
        meta: The context's, with what the action put there: ``$statusCode``, ``$statusMessage``,
            ``$responseType``, ``$responseHeaders``, ``$location``.
        entry: `responseType` and `responseHeaders` of the action, empty for most.
        action: Name for the log.

    Raises:
        SerializationError: The result has no JSON form.
        MoleculerServerError: ``$statusCode`` is none that can be sent, type ``INVALID_STATUS_CODE``.
    """
    if not meta and not entry:
        if type(result) is RawResult:
            data = result.data
            # A cheap look for all the rare forms at once; `_body` then looks closely.
            if data[:1] != b"n" and _BUFFER not in data[:_BUFFER_NEAR] and _BUFFER not in data[-_BUFFER_NEAR:]:
                return Reply(200, [JSON_TYPE], data)
        elif type(result) in _JSON_KINDS and (type(result) is not dict or result.get("type") != "Buffer"):
            try:
                return Reply(200, [JSON_TYPE], encode_json(result))
            except Exception as error:  # A user's class may raise anything while it is looked at.
                raise _unserializable(action, error) from error
    if isinstance(result, Reply):
        return own_reply(result)
    return _shaped(result, meta or {}, entry, action)


def own_reply(reply: Reply) -> Reply:
    """A copy to which the gateway may add: a hook may give the same reply again and again."""
    headers = [line for line in reply.headers if line[0].lower() != "x-request-id"]
    return Reply(reply.status, headers, reply.body, reply.reason)


def _shaped(result: Any, meta: Mapping[str, Any], entry: Mapping[str, Any], action: str) -> Reply:
    status = _status(meta.get("$statusCode"), action)
    # A header of the meta stands for the action's own of that name.
    headers = {
        **meta_headers(entry.get("responseHeaders"), action),
        **meta_headers(meta.get("$responseHeaders"), action),
    }
    declared = headers.pop("content-type", None)
    kind = _text(meta.get("$responseType"), "$responseType", action) or _text(
        entry.get("responseType"), "responseType", action
    )
    if kind is None and declared:
        kind = declared[0][1]
    body, usual = _body(result, kind, action)
    reply = Reply(status, [line for lines in headers.values() for line in lines], body)
    if status in _BODILESS:
        reply.body = body if isinstance(body, StreamBody) else b""  # The server sends none of it, and closes it.
    elif usual is not None:
        reply.headers.insert(0, usual if kind is None else ("Content-Type", kind))
    if status == 201 or (300 <= status < 400 and status != 304):
        location = _text(meta.get("$location"), "$location", action)
        if location is not None:
            reply.headers.append(("Location", location))
    reply.reason = _text(meta.get("$statusMessage"), "$statusMessage", action)
    return reply


def _body(result: Any, kind: str | None, action: str) -> tuple[bytes | StreamBody, tuple[str, str] | None]:
    """Body, and the content type it has where nobody set one; None with an empty body."""
    if type(result) is RawResult:
        data = result.data
        looks_like_buffer = data[:1] == b"{" and (_BUFFER in data[:_BUFFER_NEAR] or _BUFFER in data[-_BUFFER_NEAR:])
        if data != b"null" and not looks_like_buffer and (kind is None or data[:1] != b'"'):
            return data, JSON_TYPE
        try:
            result = _decode_json(data)
        except (ValueError, RecursionError) as error:
            # A lone surrogate, say: JSON to Node, no text here. What need not be looked at goes on as it came.
            if kind is None or looks_like_buffer:
                return data, JSON_TYPE
            raise _unserializable(action, error) from error
    if result is None:
        return b"", None
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result), ("Content-Type", BYTES_TYPE)
    if isinstance(result, dict):
        buffer = _node_buffer(result)
        if buffer is not None:
            return buffer, ("Content-Type", BYTES_TYPE)
    if is_stream(result):
        return StreamBody(result), ("Content-Type", BYTES_TYPE)
    if isinstance(result, str) and kind is not None:
        try:
            return result.encode(), JSON_TYPE
        except UnicodeEncodeError as error:
            raise _unserializable(action, error) from error
    return _encoded(result, action), JSON_TYPE


def _node_buffer(result: Mapping[str, Any]) -> bytes | None:
    """The bytes of a Node Buffer in JSON form, or None if it is any other object."""
    if len(result) != 2 or result.get("type") != "Buffer":
        return None
    data = result.get("data")
    if not isinstance(data, list):
        return None
    try:
        return bytes(data)
    except (TypeError, ValueError):
        return None


def _encoded(result: Any, action: str) -> bytes:
    try:
        return encode_json(result)
    except Exception as error:  # A user's class may raise anything while it is looked at.
        raise _unserializable(action, error) from error


def _unserializable(action: str, error: Exception) -> SerializationError:
    log.error("result cannot be sent: it has no JSON form", extra={"action": action, "reason": str(error)[:200]})
    return SerializationError("The result cannot be serialized.")


def _status(given: object, action: str) -> int:
    """A status that can be sent; 200 if none was set. Digits in a text are taken, as moleculer-web does."""
    if given is None:
        return 200
    status = given
    if isinstance(status, str) and len(status) == 3 and status.isascii() and status.isdigit():
        status = int(status)
    if isinstance(status, int) and not isinstance(status, bool) and 200 <= status <= 599:
        return status
    log.error("status refused: $statusCode is 200 to 599", extra={"action": action, "status": repr(given)[:80]})
    raise MoleculerServerError("The action set a status that cannot be sent.", type="INVALID_STATUS_CODE")


def _text(given: object, key: str, action: str) -> str | None:
    """A text that may stand in the head of a reply, or None."""
    if given is None or given == "":
        return None
    if isinstance(given, str) and not _CONTROL.search(given):
        return given
    log.warning("dropped from a reply: not a text without control characters", extra={"action": action, "key": key})
    return None


def meta_headers(given: object, action: str) -> dict[str, list[tuple[str, str]]]:
    """Headers that an action asked for, by name in lower case; a list as value repeats the header.

    Names that are no tokens, framing and connection headers, and values with control characters are
    dropped and logged.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        log.warning("dropped from a reply: response headers are a mapping", extra={"action": action})
        return {}
    headers: dict[str, list[tuple[str, str]]] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            log.warning(
                "dropped from a reply: a header that actions may not set",
                extra={"action": action, "header": repr(name)[:80]},
            )
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            text = str(one).lower() if isinstance(one, int | float) else one
            if text == "" or (text := _text(text, name, action)) is not None:
                headers.setdefault(name.lower(), []).append((name, text))
    return headers
