"""From an action's result and `ctx.meta` to a reply (gateway reference, sections 4.1 and 4.2).

What comes from actions may come from other nodes, so it is checked before it reaches a client:
what has no place in an answer is dropped and logged with the action's name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Mapping
from typing import Any, Final

import msgspec

from tautomer.context import RawResult
from tautomer.errors import MoleculerServerError, SerializationError
from tautomer.instances import json_form
from tautomer.stream import is_stream
from tautomer.web.answers.file_reply import FileReply
from tautomer.web.messages.message import JSON_TYPE, Reply

__all__ = [
    "BODILESS",
    "BYTES_TYPE",
    "Unfinished",
    "build_reply",
    "encode_json",
    "encoded",
    "meta_headers",
    "own_reply",
    "shown",
]

log = logging.getLogger("tautomer.web")

BYTES_TYPE: Final = "application/octet-stream"

BODILESS: Final = (204, 205, 304)
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

_VALIDATORS: Final = frozenset({"etag", "last-modified"})
_JSON_KINDS: Final = frozenset({dict, list, str, int, float, bool})

encode_json = msgspec.json.Encoder(enc_hook=json_form).encode
_decode_json = msgspec.json.Decoder().decode


class Unfinished(Exception):
    """Not an error: the reply needs time, or a look at the request. `tautomer.web.answers.finishing` takes it from here.

    Raised, as then the usual reply does not pay for the question.

    Attributes:
        reply: As far as it is known.
        result: A stream or a file that becomes its body; None where it has its body.
        declared: Content type that the action asked for, or None.
    """

    def __init__(self, reply: Reply, result: Any = None, declared: str | None = None) -> None:
        super().__init__()
        self.reply = reply
        self.result = result
        self.declared = declared


def build_reply(result: Any, meta: Mapping[str, Any] | None, entry: Mapping[str, Any], action: str) -> Reply:
    """The reply to a call that went well.

    Args:
        result: What the action returned; a `Reply` goes out as it is.
        meta: The context's, with what the action put there: ``$statusCode``, ``$statusMessage``,
            ``$responseType``, ``$responseHeaders``, ``$location``.
        entry: `responseType` and `responseHeaders` of the action, empty for most.
        action: Name for the log.

    Raises:
        Unfinished: The result is a stream or a file, or it says by what it can be compared (ETag, Last-Modified).
        SerializationError: The result has no JSON form.
        MoleculerServerError: ``$statusCode`` is none that can be sent, type ``INVALID_STATUS_CODE``.
    """
    if not entry and (not meta or _says_nothing(meta)):
        if type(result) is RawResult:
            data = result.data
            # A cheap look for all the rare forms at once; `_body` then looks closely.
            if data[:1] != b"n" and _BUFFER not in data[:_BUFFER_NEAR] and _BUFFER not in data[-_BUFFER_NEAR:]:
                return Reply(200, [JSON_TYPE], data)
        elif type(result) in _JSON_KINDS:
            try:
                if type(result) is not dict or result.get("type") != "Buffer":
                    return Reply(200, [JSON_TYPE], encode_json(result))
            except Exception as error:  # A user's class may raise anything while it is looked at.
                raise _unserializable(action, error) from error
    if isinstance(result, Reply):
        reply = own_reply(result)
        if any(name.lower() in _VALIDATORS for name, _ in reply.headers):
            raise Unfinished(reply)
        return reply
    return _shaped(result, meta or {}, entry, action)


def _says_nothing(meta: Mapping[str, Any]) -> bool:
    """Whether nothing in the meta is about the reply: it holds the user, say."""
    for key in meta:  # noqa: SIM110  # `all` of a generator costs four times as much.
        if key[:1] == "$":
            return False
    return True


def own_reply(reply: Reply) -> Reply:
    """A copy to which the gateway may add: a hook may give the same reply again and again.

    Of subclasses of text, number and bytes only these are taken over, and not what they make of themselves.

    Raises:
        TypeError: A header, status or reason of another kind.
    """
    plain = str.__str__
    headers = [(plain(name), plain(value)) for name, value in reply.headers if name.lower() != "x-request-id"]
    body = bytes(memoryview(reply.body)) if isinstance(reply.body, bytes) else reply.body
    reason = None if reply.reason is None else plain(reply.reason)
    return Reply(int.__index__(reply.status), headers, body, reason, verbatim=bool(reply.verbatim))


def shown(value: object) -> str:
    """A foreign value for a log line, cut short. Its class may raise what it likes."""
    try:
        return f"{value!r:.200}"
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


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
    late = isinstance(result, FileReply | Generator) or is_stream(result)
    try:
        body, usual = (b"", None) if late else _body(result, kind)
    except Exception as error:  # A user's class may raise anything while it is looked at.
        raise _unserializable(action, error) from error
    reply = Reply(status, [line for lines in headers.values() for line in lines], body)
    if status in BODILESS:
        reply.body = b""
    elif usual is not None:
        reply.headers.insert(0, usual if kind is None else ("Content-Type", kind))
    if status == 201 or (300 <= status < 400 and status != 304):
        location = _text(meta.get("$location"), "$location", action)
        if location is not None:
            reply.headers.append(("Location", location))
    reply.reason = _text(meta.get("$statusMessage"), "$statusMessage", action)
    if late or not _VALIDATORS.isdisjoint(headers):
        raise Unfinished(reply, result if late else None, kind)
    return reply


def _body(result: Any, kind: str | None) -> tuple[bytes, tuple[str, str] | None]:
    """Body, and the content type it has where nobody set one; None with an empty body."""
    if type(result) is RawResult:
        data = result.data
        looks_like_buffer = data[:1] == b"{" and (_BUFFER in data[:_BUFFER_NEAR] or _BUFFER in data[-_BUFFER_NEAR:])
        if data != b"null" and not looks_like_buffer and (kind is None or data[:1] != b'"'):
            return data, JSON_TYPE
        try:
            result = _decode_json(data)
        except (ValueError, RecursionError):
            # A lone surrogate, say: JSON to Node, no text here. What need not be looked at goes on as it came.
            if kind is None or looks_like_buffer:
                return data, JSON_TYPE
            raise
    if result is None:
        return b"", None
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result), ("Content-Type", BYTES_TYPE)
    if isinstance(result, dict):
        buffer = _node_buffer(result)
        if buffer is not None:
            return buffer, ("Content-Type", BYTES_TYPE)
    if isinstance(result, str) and kind is not None:
        return result.encode(), JSON_TYPE
    return encode_json(result), JSON_TYPE


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


def encoded(result: Any, action: str) -> bytes:
    """A result as JSON.

    Raises:
        SerializationError: It has no JSON form; the log says why.
    """
    try:
        return encode_json(result)
    except Exception as error:  # A user's class may raise anything while it is looked at.
        raise _unserializable(action, error) from error


def _unserializable(action: str, error: Exception) -> SerializationError:
    log.error("result cannot be sent: it has no JSON form", extra={"action": action, "reason": shown(error)})
    return SerializationError("The result cannot be serialized.")


def _status(given: object, action: str) -> int:
    """A status that can be sent; 200 if none was set. Digits in a text are taken, as moleculer-web does."""
    if given is None:
        return 200
    status = given
    if isinstance(status, str) and len(status) == 3 and status.isascii() and status.isdigit():
        status = int(status)
    if isinstance(status, int) and not isinstance(status, bool):
        status = int.__index__(status)
        if 200 <= status <= 599:
            return status
    log.error("status refused: $statusCode is 200 to 599", extra={"action": action, "status": shown(given)})
    raise MoleculerServerError("The action set a status that cannot be sent.", type="INVALID_STATUS_CODE")


def _text(given: object, key: str, action: str) -> str | None:
    """A text that may stand in the head of a reply, without blanks around it, or None (RFC 9110 section 5.5)."""
    if given is None:
        return None
    if isinstance(given, str):
        # Not what a subclass says of itself: of an enumeration that is the name of a member.
        text = str.__str__(given)
        if not _CONTROL.search(text):
            return text.strip(" \t") or None
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
    try:
        return _checked_headers(given, action)
    except Exception as error:  # A user's class may raise anything while it is looked at.
        log.warning("dropped from a reply: all response headers", extra={"action": action, "reason": shown(error)})
        return {}


def _checked_headers(given: Mapping[Any, Any], action: str) -> dict[str, list[tuple[str, str]]]:
    headers: dict[str, list[tuple[str, str]]] = {}
    for key, value in given.items():
        name = str.__str__(key) if isinstance(key, str) else ""
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            log.warning(
                "dropped from a reply: a header that actions may not set",
                extra={"action": action, "header": shown(key)},
            )
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            is_empty = isinstance(one, str) and not str.__str__(one).strip(" \t")
            text = "" if is_empty else _text(_in_digits(one), name, action)
            if text is not None:
                headers.setdefault(name.lower(), []).append((name, text))
    return headers


def _in_digits(value: object) -> object:
    """A number or truth value as a header has it; anything else as it is, and so a number too long to be written."""
    try:
        return str(value).lower() if isinstance(value, int | float) else value
    except ValueError:
        return value
