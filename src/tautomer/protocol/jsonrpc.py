"""JSON-RPC 2.0: from a body to calls, notifications and faults, and from outcomes to the body of the answer.

Pure, and the same for every carrier: HTTP, a WebSocket frame, a test. The law is the standard's (JSON-RPC reference,
sections 1, 3 and 4): of `result` and `error` an answer has exactly one, a notification is never answered, a batch is
answered in the order in which it was asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET

from tautomer.protocol.nesting import CROWDED, Uncollected, is_deeper

__all__ = [
    "ACCESS_DENIED",
    "APPLICATION_ERROR",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "MESSAGES",
    "METHOD_NOT_FOUND",
    "OVERLOADED",
    "PARSE_ERROR",
    "TIMED_OUT",
    "UNAVAILABLE",
    "Batch",
    "Call",
    "Failure",
    "Fault",
    "Limits",
    "Notification",
    "Outcome",
    "is_rpc",
    "not_found",
    "parse",
    "reply",
    "response",
]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
APPLICATION_ERROR: Final = -32000
ACCESS_DENIED: Final = -32001
TIMED_OUT: Final = -32002
OVERLOADED: Final = -32003
UNAVAILABLE: Final = -32004

MESSAGES: Final = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
    APPLICATION_ERROR: "Server error",
    ACCESS_DENIED: "Access denied",
    TIMED_OUT: "Request timed out",
    OVERLOADED: "Service overloaded",
    UNAVAILABLE: "Service not available",
}

NAME_CHARS_TOLD: Final = 100
"""A name that is not known is told back, but who sends a megabyte gets no megabyte back."""

Id: TypeAlias = "str | int | float | None"
Params: TypeAlias = "list[Any] | dict[str, Any] | None"
"""By position, by name, or none."""


class Failure(msgspec.Struct, frozen=True):
    """What went wrong, as an answer tells it.

    Attributes:
        code: The standard's, or an application's own.
        message: One short sentence; None for the usual one of the code.
        data: More about it, JSON or `msgspec.Raw`; None for nothing.
    """

    code: int
    message: str | None = None
    data: Any = None


Outcome: TypeAlias = "bytes | Failure"
"""A result as JSON, or what went wrong."""


class Call(msgspec.Struct, frozen=True):
    """Wants an answer under its id."""

    id: Id
    method: str
    params: Params = None


class Notification(msgspec.Struct, frozen=True):
    """Wants none."""

    method: str
    params: Params = None


class Fault(msgspec.Struct, frozen=True):
    """No request at all: it is answered by its failure, under the id if that could be known, else None."""

    id: Id
    failure: Failure


Item: TypeAlias = "Call | Notification | Fault"


class Batch(msgspec.Struct, frozen=True):
    """What a body holds.

    Attributes:
        items: In the order in which they stand.
        many: Whether they came in a list, so that the answer is one.
    """

    items: tuple[Item, ...]
    many: bool = False


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one body.

    Attributes:
        batch_max: Requests in a batch; over it nothing of it is run.
        depth_max: Levels of lists and objects in each other.
    """

    batch_max: int = 100
    depth_max: int = 64


LIMITS: Final = Limits()


class _Probe(msgspec.Struct):
    """The one member that tells JSON-RPC from other messages."""

    jsonrpc: Any = UNSET


_decode = msgspec.json.Decoder().decode
_probe = msgspec.json.Decoder(_Probe).decode
_encode = msgspec.json.Encoder().encode
_TRUE_IDS: Final = (str, int, float)


def parse(body: bytes | str, limits: Limits = LIMITS) -> Batch:
    """Read one body. Never raises: whatever cannot be read is a fault.

    Of equal members of an object the last wins; members that the standard does not know are ignored.
    """
    if isinstance(body, str):
        try:
            body = body.encode()
        except UnicodeEncodeError:
            return _refused(PARSE_ERROR, "the body is not UTF-8")
    opened = body.count(b"[") + body.count(b"{")
    try:
        if opened < CROWDED:
            value = _decode(body)
        else:
            with Uncollected(opened):
                value = _decode(body)
    except RecursionError:
        return _refused(PARSE_ERROR, f"nested deeper than {limits.depth_max} levels")
    except ValueError as error:
        return _refused(PARSE_ERROR, _reason(error))
    if opened > limits.depth_max and is_deeper(value, limits.depth_max, opened):
        return _refused(PARSE_ERROR, f"nested deeper than {limits.depth_max} levels")
    if type(value) is not list:
        return Batch((_item(value),))
    if not value:
        return _refused(INVALID_REQUEST, "a batch holds one request at least")
    if len(value) > limits.batch_max:
        return _refused(INVALID_REQUEST, f"batch too large: it holds at most {limits.batch_max} requests")
    return Batch(tuple([_item(one) for one in value]), many=True)


def is_rpc(text: bytes) -> bool:
    """Whether a message, where others are spoken too, is meant to be JSON-RPC: an object with `jsonrpc`, or a list."""
    if text[:1] == b"{" and b'"jsonrpc"' not in text:
        return False
    try:
        value = _probe(text)
    except (ValueError, RecursionError):
        # Broken, or a list of whatever.
        return text.lstrip()[:1] == b"["
    return value.jsonrpc is not UNSET


def reply(batch: Batch, outcomes: Iterable[Outcome], null_errors: bool = False) -> bytes | None:
    """The body of the answer; None where there is nothing to be said.

    Args:
        outcomes: Of the batch's calls, in their order. Faults and notifications have none.
        null_errors: As `response`.
    """
    ended = iter(outcomes)
    answers = [
        response(item.id, next(ended) if isinstance(item, Call) else item.failure, null_errors)
        for item in batch.items
        if not isinstance(item, Notification)
    ]
    if not answers:
        return None
    return b"[" + b",".join(answers) + b"]" if batch.many else answers[0]


def response(id: Id, outcome: Outcome, null_errors: bool = False) -> bytes:
    """One answer.

    Args:
        null_errors: Put ``"error":null`` beside a result. That breaks the law, but gemstone's clients look for it.
    """
    # Ids of more digits than any machine's number are told back digit by digit.
    told = b"null" if id is None else _encode(id)
    if type(outcome) is bytes:
        end = b',"error":null,"id":' if null_errors else b',"id":'
        return b'{"jsonrpc":"2.0","result":' + outcome + end + told + b"}"
    assert isinstance(outcome, Failure)
    return b'{"jsonrpc":"2.0","error":' + _error(outcome) + b',"id":' + told + b"}"


def not_found(method: str, candidates: Iterable[str] = ()) -> Failure:
    """There is no such method, or several of that name."""
    data: dict[str, Any] = {"method": method[:NAME_CHARS_TOLD]}
    if several := list(candidates):
        data["candidates"] = several
    return Failure(METHOD_NOT_FOUND, data=data)


def _item(value: object) -> Item:
    if type(value) is not dict:
        return _fault(None, "a request is an object")
    id = value.get("id", UNSET)
    if id is not UNSET and id is not None and type(id) not in _TRUE_IDS:
        return _fault(None, "'id' is a text, a number or null")
    known: Id = None if id is UNSET else id
    if value.get("jsonrpc") != "2.0":
        return _fault(known, "'jsonrpc' is the text \"2.0\"")
    method = value.get("method")
    if type(method) is not str:
        return _fault(known, "'method' is a text")
    params = value.get("params", UNSET)
    if params is UNSET:
        params = None
    elif type(params) is not list and type(params) is not dict:
        return _fault(known, "'params' is a list, an object, or left out")
    return Notification(method, params) if id is UNSET else Call(known, method, params)


def _fault(id: Id, reason: str) -> Fault:
    return Fault(id, Failure(INVALID_REQUEST, data={"reason": reason}))


def _refused(code: int, reason: str) -> Batch:
    return Batch((Fault(None, Failure(code, data={"reason": reason})),))


def _reason(error: ValueError) -> str:
    """A decoder's complaint in words that hold nothing of the body."""
    if isinstance(error, UnicodeDecodeError):
        return "the body is not UTF-8"
    reason = str(error)
    # So the decoder says it of an empty body, and of half of a surrogate pair.
    return "the body is empty, cut short, or a text in it holds half a character" if "truncated" in reason else reason


def _error(failure: Failure) -> bytes:
    message = MESSAGES.get(failure.code, "Error") if failure.message is None else failure.message
    error: dict[str, Any] = {"code": failure.code, "message": message}
    if failure.data is not None:
        error["data"] = failure.data
    try:
        return _encode(error)
    except (TypeError, ValueError, RecursionError):
        # Data without a JSON form, or half a surrogate pair in the message.
        return _encode({"code": failure.code, "message": message.encode("utf-8", "replace").decode()})
