"""The error tree. Its wire forms are in `tautomer.error_wire`.

    TautomerError
    ├─ DependencyError                      500, a dependency of a service failed; no wire form of its own
    └─ MoleculerError                       500
       ├─ MoleculerRetryableError           500, may be tried again
       │  ├─ MoleculerServerError           500
       │  ├─ BrokerDisconnectedError        502 BAD_GATEWAY          not sent
       │  ├─ ServiceNotFoundError           404 SERVICE_NOT_FOUND    not run
       │  │  └─ UnknownService              503 UNKNOWN_SERVICE      a proxy's: nobody offers any of it
       │  ├─ ServiceNotAvailableError       404 SERVICE_NOT_AVAILABLE not run
       │  ├─ RequestTimeoutError            504 REQUEST_TIMEOUT      outcome unknown
       │  ├─ RequestRejectedError           503 REQUEST_REJECTED     outcome unknown (node lost) or not run (leaving)
       │  ├─ QueueIsFullError               429 QUEUE_FULL           not run
       │  └─ CommandError                   500, of commands (resilience reference, section 3)
       │     ├─ CommandTimeout              504 COMMAND_TIMEOUT      also a `TimeoutError`
       │     ├─ CommandRejected             503 COMMAND_REJECTED     no place in its pool
       │     └─ CircuitOpen                 503 CIRCUIT_OPEN         its circuit is open
       ├─ MoleculerClientError              400
       │  ├─ ValidationError                422 VALIDATION_ERROR
       │  ├─ PayloadTooLarge                413 (HTTP)
       │  └─ RateLimitExceeded              429 (HTTP)
       ├─ RequestSkippedError               514 REQUEST_SKIPPED
       ├─ MaxCallLevelError                 500 MAX_CALL_LEVEL
       ├─ ServiceSchemaError                500 SERVICE_SCHEMA_ERROR
       ├─ BrokerOptionsError                500 BROKER_OPTIONS_ERROR
       │  └─ NodeIdTakenError               500 NODE_ID_TAKEN        another node of the mesh has this id
       ├─ GracefulStopTimeoutError          500 GRACEFUL_STOP_TIMEOUT
       ├─ ProtocolVersionMismatchError      500 PROTOCOL_VERSION_MISMATCH
       ├─ InvalidPacketDataError            500 INVALID_PACKET_DATA
       ├─ SerializationError                500 SERIALIZATION_ERROR
       ├─ PayloadTooLargeError              413 PAYLOAD_TOO_LARGE    a message over what the broker takes
       ├─ TransporterError                  500 TRANSPORTER_ERROR    the line cannot be had; no retry cures it
       ├─ JsonRpcError                      an application's own code, for JSON-RPC clients
       ├─ RemoteError                       what a node raised under a name unknown here
       ├─ BadRequestError 400, UnAuthorizedError 401, ForbiddenError 403, NotFoundError 404,
       │  MethodNotAllowedError 405, InvalidRequestBodyError 400, UnsupportedMediaTypeError 415,
       │  InvalidResponseTypeError 500, ServiceUnavailableError 503                       (HTTP gateway)

Class names, codes and types are those of the Moleculer protocol (section 8.1) and of moleculer-web
(gateway reference, section 4.6). `code` is a number so that a gateway can use it as the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

__all__ = [
    "BadRequestError",
    "BrokerDisconnectedError",
    "BrokerOptionsError",
    "CircuitOpen",
    "CommandError",
    "CommandRejected",
    "CommandTimeout",
    "DependencyError",
    "ForbiddenError",
    "GracefulStopTimeoutError",
    "InvalidPacketDataError",
    "InvalidRequestBodyError",
    "InvalidResponseTypeError",
    "JsonRpcError",
    "MaxCallLevelError",
    "MethodNotAllowedError",
    "MoleculerClientError",
    "MoleculerError",
    "MoleculerRetryableError",
    "MoleculerServerError",
    "NodeIdTakenError",
    "NotFoundError",
    "PayloadTooLarge",
    "PayloadTooLargeError",
    "ProtocolVersionMismatchError",
    "QueueIsFullError",
    "RateLimitExceeded",
    "RemoteError",
    "RequestRejectedError",
    "RequestSkippedError",
    "RequestTimeoutError",
    "SerializationError",
    "ServiceNotAvailableError",
    "ServiceNotFoundError",
    "ServiceSchemaError",
    "ServiceUnavailableError",
    "StreamError",
    "TautomerError",
    "TransporterError",
    "UnAuthorizedError",
    "UnknownService",
    "UnsupportedMediaTypeError",
    "ValidationError",
]


Outcome = Literal["not run", "unknown", "failed"]
"""What is known of a call that ended with an error (promise C3)."""


class TautomerError(Exception):
    """Root of everything this package raises on purpose."""


class DependencyError(TautomerError):
    """A dependency of a service failed around a call. What it raised is the cause, and for this node's log only.

    Attributes:
        service: Full name of the service.
        dependency: Its attribute.
        hook: ``get_dependency``, ``worker_setup`` or ``worker_result``.
    """

    def __init__(self, service: str, dependency: str, hook: str) -> None:
        super().__init__(service, dependency, hook)
        self.service = service
        self.dependency = dependency
        self.hook = hook

    def __str__(self) -> str:
        return f"'{self.dependency}' of service '{self.service}' failed in {self.hook}"


class MoleculerError(TautomerError):
    """An error with a wire form.

    A subclass may have a constructor of its own and need not call this one: what it leaves out is
    that of the class.

    Attributes:
        message: Text for people.
        code: Number from 400 to 599, which is also the HTTP status, or a text such as ``"E_CONN"``. Others
            are for this node only: from another one they arrive as 500.
        type: Stable text for programs, or None.
        data: Anything that can be serialised, or None.
        retryable: Whether the caller may try again.
        outcome: What is known of the call that this error was made for: ``"not run"`` (surely: nothing was sent, nobody
            listened, or it was refused), ``"unknown"`` (sent, and no word of its end: it may have run, wholly or in
            part) or ``"failed"`` (whoever ran it said so). Never on the wire. An error that a handler lets through
            is still about the call inside; from another node it arrives as ``"failed"``.
        node_id: Node on which it was raised, or None for this one.
        remote_stack: Stack of the node that raised it, for our log only.
    """

    message: str = ""
    code: int | str = 500
    type: str | None = None
    data: Any = None
    retryable: bool = False
    outcome: Outcome = "failed"
    node_id: str | None = None
    remote_stack: str | None = None

    def __init__(
        self,
        message: str = "",
        code: int | str | None = None,
        type: str | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = str(message)
        if code is not None:
            self.code = code
        if type is not None:
            self.type = type
        self.data = data

    def __str__(self) -> str:
        return self.message

    @property
    def name(self) -> str:
        """The class selector on the wire."""
        return self.__class__.__name__


class MoleculerRetryableError(MoleculerError):
    """May be tried again."""

    retryable = True


class MoleculerServerError(MoleculerRetryableError):
    """The server's fault."""


class MoleculerClientError(MoleculerError):
    """The caller's fault; trying again changes nothing."""

    code = 400


class BrokerDisconnectedError(MoleculerRetryableError):
    """The line to the message broker is away, and was for too long or too much waits for it: nothing was sent.

    Attributes:
        unsent_bytes: Size of the message, where it may wait until the line is back; None where it may not.
    """

    code = 502
    type = "BAD_GATEWAY"
    outcome: Outcome = "not run"
    unsent_bytes: int | None = None

    def __init__(self, message: str = "The broker's transporter is disconnected; the message was not sent.") -> None:
        super().__init__(message)


class _DataError:
    """Marks the errors whose text Node makes of their data: there it must be an object (protocol section 8.3)."""


def _where(node_id: str | None) -> str:
    return f" on node '{node_id}'" if node_id else ""


class _ActionError(_DataError, MoleculerError):
    """About one action, perhaps on one node: the data is ``{"action", "nodeID"}``."""

    _template: ClassVar[str]

    def __init__(self, action: str | None = None, node_id: str | None = None, **more: Any) -> None:
        data: dict[str, Any] = {"action": action}
        if node_id is not None:
            data["nodeID"] = node_id
        data.update(more)
        super().__init__(self._template.format(action=action, where=_where(node_id)), data=data)

    @property
    def action(self) -> str | None:
        found = self.data.get("action") if isinstance(self.data, Mapping) else None
        return found if isinstance(found, str) else None


class ServiceNotFoundError(_ActionError, MoleculerRetryableError):
    """Nobody offers the action (or service): surely not run."""

    code = 404
    type = "SERVICE_NOT_FOUND"
    outcome: Outcome = "not run"
    _template = "Service '{action}' is not found{where}."


class UnknownService(ServiceNotFoundError):
    """What an `RpcProxy` raises where nobody in the mesh offers the service, whatever its methods: surely not run."""

    code = 503
    type = "UNKNOWN_SERVICE"
    _template = "Unknown service '{action}'{where}."


class ServiceNotAvailableError(_ActionError, MoleculerRetryableError):
    """The action is known, but none that offers it can be asked now: surely not run."""

    code = 404
    type = "SERVICE_NOT_AVAILABLE"
    outcome: Outcome = "not run"
    _template = "Service '{action}' is not available{where}."


class RequestTimeoutError(_ActionError, MoleculerRetryableError):
    """The answer did not come in time. The action may still have run."""

    code = 504
    type = "REQUEST_TIMEOUT"
    outcome: Outcome = "unknown"
    _template = "Request to '{action}' got no answer in time{where}."


class RequestSkippedError(_ActionError):
    """The deadline was over before the call was made: surely not run."""

    code = 514
    type = "REQUEST_SKIPPED"
    outcome: Outcome = "not run"
    _template = "Call of '{action}' was skipped: the time of its caller is used up{where}."


class RequestRejectedError(_ActionError, MoleculerRetryableError):
    """The node was lost with the call in flight (it may have run), or refused it while leaving (`outcome` tells which)."""

    code = 503
    type = "REQUEST_REJECTED"
    outcome: Outcome = "unknown"
    _template = "Request to '{action}' was rejected{where}: the node is gone or leaving."


class QueueIsFullError(_ActionError, MoleculerRetryableError):
    """Too much is waiting already: surely not run."""

    code = 429
    type = "QUEUE_FULL"
    outcome: Outcome = "not run"
    _template = "Queue is full, '{action}' was not run{where}."


class CommandError(MoleculerRetryableError):
    """A command was not run, or not to its end. What `run` itself raises is raised as it is.

    `outcome` stays ``"failed"``: it is about the action that lets this through, which may have done other things before.

    Attributes:
        failure_type: Hystrix's name of it.
        fallback_error: What the fallback raised, if there was one.
    """

    type = "COMMAND_FAILED"
    failure_type: str = "COMMAND_EXCEPTION"
    fallback_error: BaseException | None = None
    _template: ClassVar[str] = "Command '{command}' of group '{group}' failed."

    def __init__(self, command: str | None = None, group: str | None = None, retry_after: float | None = None) -> None:
        data: dict[str, Any] = {"command": command, "group": group}
        if retry_after is not None:
            data["retryAfter"] = round(retry_after, 3)
        super().__init__(self._template.format(command=command, group=group), data=data)

    @property
    def retry_after(self) -> float | None:
        """Seconds until it is worth to ask again; None if nobody knows."""
        found = self.data.get("retryAfter") if isinstance(self.data, Mapping) else None
        return found if isinstance(found, int | float) else None


class CommandTimeout(CommandError, TimeoutError):
    """It gave no result in time. It may still run."""

    code = 504
    type = "COMMAND_TIMEOUT"
    outcome: Outcome = "unknown"
    failure_type = "TIMEOUT"
    _template = "Command '{command}' of group '{group}' gave no result in time."


class CommandRejected(CommandError):
    """There was no place for it in the pool of its group: it surely was not run."""

    code = 503
    type = "COMMAND_REJECTED"
    failure_type = "REJECTED_THREAD_EXECUTION"
    _template = "Command '{command}' was rejected: the pool of group '{group}' is full."


class CircuitOpen(CommandError):
    """Too much of late went wrong with it: it surely was not run. `retry_after` is the rest of the sleep."""

    code = 503
    type = "CIRCUIT_OPEN"
    failure_type = "SHORTCIRCUIT"
    _template = "Circuit of command '{command}' of group '{group}' is open."


class ValidationError(MoleculerClientError):
    """Params do not fit the schema. `data` lists every fault: ``{"type", "message", "field", ...}``."""

    code = 422
    type = "VALIDATION_ERROR"

    def __init__(
        self, message: str = "Parameters validation error!", type: str | None = None, data: Any = None
    ) -> None:
        super().__init__(message, type=type, data=data)


class MaxCallLevelError(_DataError, MoleculerError):
    """Calls are nested too deep: most likely a circle."""

    type = "MAX_CALL_LEVEL"
    outcome: Outcome = "not run"

    def __init__(self, node_id: str | None, level: int) -> None:
        super().__init__(
            f"Request level has reached the limit ({level}){_where(node_id)}.", data={"nodeID": node_id, "level": level}
        )


class _MessageDataError(MoleculerError):
    def __init__(self, message: str = "", data: Any = None) -> None:
        super().__init__(message, data=data)


class ServiceSchemaError(_MessageDataError):
    """A service is written wrong."""

    type = "SERVICE_SCHEMA_ERROR"


class BrokerOptionsError(_MessageDataError):
    """The broker is set up wrong."""

    type = "BROKER_OPTIONS_ERROR"


class NodeIdTakenError(BrokerOptionsError):
    """Another node of the mesh has this node's id: the newcomer gives way (promise M5)."""

    type = "NODE_ID_TAKEN"

    def __init__(self, node_id: str, instance_id: str | None = None, hostname: str | None = None) -> None:
        super().__init__(
            f"node id '{node_id}' is already in use by instance '{instance_id}' on host '{hostname}': "
            "give one of the two another id",
            {"nodeID": node_id, "instanceID": instance_id, "hostname": hostname},
        )


class GracefulStopTimeoutError(_DataError, MoleculerError):
    """A service did not stop within its time."""

    type = "GRACEFUL_STOP_TIMEOUT"

    def __init__(self, service: Any = None) -> None:
        named = service.get("name") if isinstance(service, Mapping) else service
        super().__init__(
            f"Service '{named}' did not stop in time." if named else "The broker did not stop in time.",
            data={"service": service},
        )


class ProtocolVersionMismatchError(_DataError, MoleculerError):
    """A node speaks a protocol version that we do not."""

    type = "PROTOCOL_VERSION_MISMATCH"

    def __init__(self, node_id: str | None, actual: Any, received: Any) -> None:
        super().__init__(
            f"Protocol version of node '{node_id}' is '{received}', here it is '{actual}'.",
            data={"nodeID": node_id, "actual": actual, "received": received},
        )


class InvalidPacketDataError(_DataError, MoleculerError):
    """A packet does not hold what its type asks for."""

    type = "INVALID_PACKET_DATA"

    def __init__(self, data: Any = None) -> None:
        super().__init__("Invalid packet.", data=data)


class SerializationError(MoleculerError):
    """A value has no wire form."""

    type = "SERIALIZATION_ERROR"


class PayloadTooLargeError(MoleculerError):
    """The message is larger than what the message broker takes: not sent."""

    code = 413
    type = "PAYLOAD_TOO_LARGE"


class TransporterError(MoleculerError):
    """The line to the message broker cannot be had, and trying again would not help."""

    type = "TRANSPORTER_ERROR"


class StreamError(MoleculerError):
    """A stream between nodes broke. `type` says how; see `Stream`."""

    type = "STREAM_ERROR"


class RemoteError(MoleculerError):
    """A node raised an error whose class has no twin here; `name` is what it called it."""

    def __init__(
        self,
        name: str = "Error",
        message: str = "",
        code: int | str | None = None,
        type: str | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message, code, type, data)
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def exc_type(self) -> str:
        """The same, under nameko's name."""
        return self._name

    @property
    def value(self) -> str:
        """The message, under nameko's name."""
        return self.message


# The gateway's: moleculer-web's classes, so that a service behind it may raise them and they arrive as themselves.


class _TypeDataError(MoleculerError):
    """Built from (type, data) with a fixed text, as moleculer-web's are."""

    text: ClassVar[str]

    def __init__(self, type: str | None = None, data: Any = None) -> None:
        super().__init__(self.text, type=type, data=data)


class BadRequestError(_TypeDataError):
    code = 400
    text = "Bad request"


class UnAuthorizedError(_TypeDataError):
    code = 401
    type = "INVALID_TOKEN"
    text = "Unauthorized"


class ForbiddenError(_TypeDataError):
    code = 403
    text = "Forbidden"


class NotFoundError(_TypeDataError):
    code = 404
    type = "NOT_FOUND"
    text = "Not found"


class MethodNotAllowedError(_TypeDataError):
    """The path exists, but not for this method. `data` is ``{"allow": [...]}``."""

    code = 405
    type = "METHOD_NOT_ALLOWED"
    text = "Method not allowed"


class ServiceUnavailableError(_TypeDataError):
    """An alias exists, but nobody serves its action now."""

    code = 503
    type = "SERVICE_UNAVAILABLE"
    text = "Service unavailable"


class UnsupportedMediaTypeError(_TypeDataError):
    code = 415
    type = "UNSUPPORTED_TYPE"
    text = "Unsupported media type"


class RateLimitExceeded(_TypeDataError, MoleculerClientError):
    code = 429
    type = "RATE_LIMIT_EXCEEDED"
    text = "Rate limit exceeded"


class PayloadTooLarge(MoleculerClientError):
    code = 413
    type = "PAYLOAD_TOO_LARGE"

    def __init__(self, data: Any = None) -> None:
        super().__init__("Payload too large", data=data)


class InvalidRequestBodyError(MoleculerError):
    code = 400
    type = "INVALID_REQUEST_BODY"

    def __init__(self, message: str = "Invalid request body", type: str | None = None, data: Any = None) -> None:
        super().__init__(message, type=type, data=data)


class InvalidResponseTypeError(MoleculerError):
    type = "INVALID_RESPONSE_TYPE"

    def __init__(self, data_type: str = "") -> None:
        super().__init__(f"Invalid response format: {data_type}", data={"dataType": data_type})


class JsonRpcError(MoleculerError):
    """What a method tells a JSON-RPC client, under a code of its own (JSON-RPC reference, section 3).

    To the mesh, and to other doors, it is an error with the status 500 and the data ``{"code", "data"}``.
    """

    type = "JSON_RPC_ERROR"

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        # These belong to the standard.
        if type(code) is not int or -32768 <= code < -32099:
            raise ValueError(f"a JSON-RPC code is a whole number outside -32768 to -32100, not {code!r:.80}")
        super().__init__(message, data={"code": code, "data": data})
