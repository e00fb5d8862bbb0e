"""An error for each name, and what a caller on another node is to see of it. Its twin is node/failures.js."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tautomer import errors

AT = {"action": "some.action", "nodeID": "some-node"}

GENERIC = ("MoleculerError", "MoleculerRetryableError", "MoleculerServerError", "MoleculerClientError")
ABOUT_AN_ACTION = (
    "ServiceNotFoundError",
    "ServiceNotAvailableError",
    "RequestTimeoutError",
    "RequestSkippedError",
    "RequestRejectedError",
    "QueueIsFullError",
)
ABOUT_THE_SETUP = ("ServiceSchemaError", "BrokerOptionsError")


class TeapotError(errors.MoleculerClientError):
    """A user's own class, which no other node knows."""

    retryable = True

    def __init__(self) -> None:
        super().__init__("short and stout", 418, "TEAPOT", {"spout": True})


_ONES: dict[str, Callable[[], Exception]] = {
    "ValidationError": lambda: errors.ValidationError("not valid", "SOME_TYPE", [{"type": "required", "field": "a"}]),
    "MaxCallLevelError": lambda: errors.MaxCallLevelError("some-node", 7),
    "GracefulStopTimeoutError": lambda: errors.GracefulStopTimeoutError({"name": "some"}),
    "ProtocolVersionMismatchError": lambda: errors.ProtocolVersionMismatchError("some-node", "5", "3"),
    "InvalidPacketDataError": lambda: errors.InvalidPacketDataError({"a": 1}),
    "BrokerDisconnectedError": lambda: errors.BrokerDisconnectedError(),
    "custom": TeapotError,
    "unexpected": lambda: TypeError("unexpected"),
}


def failure(kind: str) -> Exception:
    """The error of this name, made as a user's code would make it."""
    if kind in GENERIC:
        error: Exception = getattr(errors, kind)("went wrong", 456, "SOME_TYPE", {"a": [1, None, "ü"]})
    elif kind in ABOUT_AN_ACTION:
        error = getattr(errors, kind)("some.action", "some-node")
    elif kind in ABOUT_THE_SETUP:
        error = getattr(errors, kind)("went wrong", {"a": 1})
    else:
        error = _ONES[kind]()
    return error


def _expected(code: int, type: str, retryable: bool, data: Any) -> dict[str, Any]:
    return {"code": code, "type": type, "retryable": retryable, "data": data}


EXPECTED: dict[str, dict[str, Any]] = {
    "MoleculerError": _expected(456, "SOME_TYPE", False, {"a": [1, None, "ü"]}),
    "MoleculerRetryableError": _expected(456, "SOME_TYPE", True, {"a": [1, None, "ü"]}),
    "MoleculerServerError": _expected(456, "SOME_TYPE", True, {"a": [1, None, "ü"]}),
    "MoleculerClientError": _expected(456, "SOME_TYPE", False, {"a": [1, None, "ü"]}),
    "ServiceNotFoundError": _expected(404, "SERVICE_NOT_FOUND", True, AT),
    "ServiceNotAvailableError": _expected(404, "SERVICE_NOT_AVAILABLE", True, AT),
    "RequestTimeoutError": _expected(504, "REQUEST_TIMEOUT", True, AT),
    "RequestSkippedError": _expected(514, "REQUEST_SKIPPED", False, AT),
    "RequestRejectedError": _expected(503, "REQUEST_REJECTED", True, AT),
    "QueueIsFullError": _expected(429, "QUEUE_FULL", True, AT),
    "ValidationError": _expected(422, "SOME_TYPE", False, [{"type": "required", "field": "a"}]),
    "MaxCallLevelError": _expected(500, "MAX_CALL_LEVEL", False, {"nodeID": "some-node", "level": 7}),
    "ServiceSchemaError": _expected(500, "SERVICE_SCHEMA_ERROR", False, {"a": 1}),
    "BrokerOptionsError": _expected(500, "BROKER_OPTIONS_ERROR", False, {"a": 1}),
    "GracefulStopTimeoutError": _expected(500, "GRACEFUL_STOP_TIMEOUT", False, {"name": "some"}),
    "ProtocolVersionMismatchError": _expected(
        500, "PROTOCOL_VERSION_MISMATCH", False, {"nodeID": "some-node", "actual": "5", "received": "3"}
    ),
    "InvalidPacketDataError": _expected(500, "INVALID_PACKET_DATA", False, {"a": 1}),
}
"""Code, type, retryable and data by class name: the table of protocol section 8.1."""
