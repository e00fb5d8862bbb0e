"""Messages on a WebSocket: method, result and event, as nameko has them (entrypoints reference, section 10).

One JSON object each::

    client  {"method": "join_room", "data": {"room_id": "lobby"}, "correlation_id": "c1"}
    server  {"type": "result", "success": true, "data": {"status": "joined"}, "correlation_id": "c1"}
    server  {"type": "result", "success": false, "error": {"exc_type", "exc_path", …}, "correlation_id": "c1"}
    server  {"type": "event", "event": "new_message", "data": {"message": "hi"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET

from tautomer.protocol.nesting import CROWDED, Uncollected, is_deeper

__all__ = [
    "EVENT_START",
    "MalformedMessage",
    "MethodCall",
    "error_message",
    "event_message",
    "parse_message",
    "result_message",
]

EVENT_START: Final = b'{"type":"event",'
"""What an event begins with; name and data follow."""

DEPTH_MAX: Final = 64
"""Lists and objects in each other, in what a client sends (reliability reference, section 6)."""


class MalformedMessage(Exception):
    """What a client sent is no message.

    Attributes:
        reason: Text for people. Holds nothing that the client sent.
        correlation_id: As far as it could be read; else None.
    """

    def __init__(self, reason: str, correlation_id: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.correlation_id = correlation_id


class MethodCall(msgspec.Struct, frozen=True):
    """What a client asks for.

    Attributes:
        method: Name, with that of its service before it or without.
        data: Arguments by name.
        correlation_id: Any JSON value; goes back with the result.
    """

    method: Annotated[str, msgspec.Meta(min_length=1)]
    data: dict[str, Any] = {}
    correlation_id: Any = None


class _Message(msgspec.Struct):
    """The fields that count, of whatever kind: to say what is wrong with them. Others are ignored."""

    method: Any = UNSET
    data: Any = None
    correlation_id: Any = None


class _Result(msgspec.Struct, tag_field="type", tag="result"):
    success: bool
    data: Any
    correlation_id: Any


_decode = msgspec.json.Decoder(_Message).decode
_decode_right = msgspec.json.Decoder(MethodCall).decode
_encode = msgspec.json.Encoder().encode


def parse_message(text: bytes, depth_max: int = DEPTH_MAX) -> MethodCall:
    """Read a client's message. Of equal keys the last wins.

    Args:
        text: JSON in UTF-8.
        depth_max: How deep lists and objects may stand in each other; 0 for as deep as the decoder goes.

    Raises:
        MalformedMessage: It is no JSON, no object, too deep, has no method, or its data is no object.
    """
    opened = text.count(b"[") + text.count(b"{")
    if not 0 < depth_max < opened and opened < CROWDED:
        try:
            return _decode_right(text)
        except (ValueError, RecursionError):
            pass  # What is wrong is found out below, or that there are no data.
    try:
        if opened < CROWDED:
            message = _decode(text)
        else:
            with Uncollected(opened):
                message = _decode(text)
    except RecursionError:
        raise MalformedMessage("the message is nested too deep") from None
    except msgspec.ValidationError:
        raise MalformedMessage("a message is a JSON object") from None
    except ValueError:
        raise MalformedMessage("the message is not JSON") from None
    method, data, correlation_id = message.method, message.data, message.correlation_id
    if depth_max and opened > depth_max and is_deeper([data, correlation_id], depth_max, opened + 1):
        raise MalformedMessage(f"the message is nested deeper than {depth_max} levels")
    if type(method) is not str or not method:
        raise MalformedMessage("a message has a 'method', which is a text", correlation_id)
    if data is None:
        data = {}
    elif type(data) is not dict:
        raise MalformedMessage("'data' is an object, or null", correlation_id)
    return MethodCall(method, data, correlation_id)


def result_message(data: Any, correlation_id: Any) -> bytes:
    """The answer to a call that went well.

    Raises:
        Exception: The data has no JSON form; which, is a matter of what it is.
    """
    return _encode(_Result(True, data, correlation_id))


def error_message(error: Mapping[str, Any], correlation_id: Any) -> bytes:
    """The answer to a call that failed.

    Raises:
        Exception: The error has no JSON form.
    """
    return _encode({"type": "result", "success": False, "error": error, "correlation_id": correlation_id})


def event_message(event: str, data: Any) -> bytes:
    """What the server says of itself.

    Raises:
        Exception: The data has no JSON form.
    """
    return _encode({"type": "event", "event": event, "data": data})
