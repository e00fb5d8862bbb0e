"""Errors with a text of their own, for hooks of a gateway: ``raise UnauthorizedError("Invalid token")``.

The message comes first, as in moleculerpy-web (gateway reference, section 4.7). `tautomer.errors` has moleculer-web's
of some of the same names, whose text is fixed and whose first argument is the type. Both are answered alike: their code
is the status, and name, message, type and data the body.
"""

from __future__ import annotations

from typing import Any, Final

from tautomer.errors import MoleculerError, UnAuthorizedError

__all__ = [
    "ERR_INVALID_TOKEN",
    "ERR_NO_TOKEN",
    "ERR_ORIGIN_NOT_ALLOWED",
    "ERR_ORIGIN_NOT_FOUND",
    "ERR_UNABLE_DECODE_PARAM",
    "BadRequest",
    "BadRequestError",
    "ChannelError",
    "Conflict",
    "ConflictError",
    "ConnectionNotFound",
    "Forbidden",
    "ForbiddenError",
    "GatewayError",
    "GatewayTimeoutError",
    "IncorrectSignature",
    "InternalServerError",
    "MalformedRequest",
    "MethodNotAllowed",
    "MethodNotAllowedError",
    "MethodNotFound",
    "NotFound",
    "NotFoundError",
    "PayloadTooLarge",
    "PayloadTooLargeError",
    "RateLimitExceededError",
    "ServiceUnavailableError",
    "TooManyRequests",
    "UnAuthorizedError",
    "Unauthorized",
    "UnauthorizedError",
    "UnprocessableEntity",
    "UnprocessableEntityError",
    "UnserializableValueError",
    "UnsupportedMediaType",
    "UnsupportedMediaTypeError",
]

ERR_NO_TOKEN: Final = "NO_TOKEN"
ERR_INVALID_TOKEN: Final = "INVALID_TOKEN"
ERR_UNABLE_DECODE_PARAM: Final = "UNABLE_DECODE_PARAM"
ERR_ORIGIN_NOT_FOUND: Final = "ORIGIN_NOT_FOUND"
ERR_ORIGIN_NOT_ALLOWED: Final = "ORIGIN_NOT_ALLOWED"


class GatewayError(MoleculerError):
    """An error of a gateway.

    Args:
        message: Text for people; that of the class if left out.
        status_code: HTTP status, 400 to 599; that of the class if left out.
        type: Stable text for programs; that of the class if left out.
        data: Anything that has a JSON form.
    """

    type = "GATEWAY_ERROR"
    message = "Gateway error"

    def __init__(
        self, message: str = "", status_code: int | None = None, type: str | None = None, data: Any = None
    ) -> None:
        super().__init__(message or self.message, status_code, type, data)


class BadRequestError(GatewayError):
    code = 400
    type = "BAD_REQUEST"
    message = "Bad request"


class UnauthorizedError(GatewayError):
    """Nobody knows who asks."""

    code = 401
    type = "UNAUTHORIZED"
    message = "Unauthorized"


class ForbiddenError(GatewayError):
    """Who asks is known, and may not."""

    code = 403
    type = "FORBIDDEN"
    message = "Forbidden"


class NotFoundError(GatewayError):
    code = 404
    type = "NOT_FOUND"
    message = "Not found"


class MethodNotAllowedError(GatewayError):
    code = 405
    type = "METHOD_NOT_ALLOWED"
    message = "Method not allowed"


class ConflictError(GatewayError):
    code = 409
    type = "CONFLICT"
    message = "Conflict"


class PayloadTooLargeError(GatewayError):
    code = 413
    type = "PAYLOAD_TOO_LARGE"
    message = "Payload too large"


class UnsupportedMediaTypeError(GatewayError):
    code = 415
    type = "UNSUPPORTED_MEDIA_TYPE"
    message = "Unsupported media type"


class UnprocessableEntityError(GatewayError):
    code = 422
    type = "UNPROCESSABLE_ENTITY"
    message = "Unprocessable entity"


class RateLimitExceededError(GatewayError):
    code = 429
    type = "RATE_LIMIT_EXCEEDED"
    message = "Rate limit exceeded"


class InternalServerError(GatewayError):
    code = 500
    type = "INTERNAL_SERVER_ERROR"
    message = "Internal server error"


class ServiceUnavailableError(GatewayError):
    code = 503
    type = "SERVICE_UNAVAILABLE"
    message = "Service unavailable"


class GatewayTimeoutError(GatewayError):
    code = 504
    type = "GATEWAY_TIMEOUT"
    message = "Gateway timeout"


# nameko's, by its names (entrypoints reference, sections 6 and 10): kinds of a bad request all, so that
# ``except BadRequest`` goes on catching them.


class ConnectionNotFound(BadRequestError):
    """There is no such socket.

    Attributes:
        socket_id: The id that was given; also the first of `args`, and the message.
    """

    code = 404
    type = "CONNECTION_NOT_FOUND"

    def __init__(self, socket_id: str) -> None:
        super().__init__(str(socket_id))
        self.socket_id = socket_id


class MalformedRequest(BadRequestError):
    """What a client sent is no message."""

    type = "MALFORMED_REQUEST"
    message = "Malformed request"


class MethodNotFound(BadRequestError):
    """A client asked for a method that nobody has. Its message is the name."""

    code = 404
    type = "METHOD_NOT_FOUND"


class IncorrectSignature(BadRequestError):
    """A method was called with arguments that it does not take, or without some that it needs."""

    type = "INCORRECT_SIGNATURE"
    message = "Incorrect signature"


class ChannelError(BadRequestError, ValueError):
    """A socket cannot hear that channel: it is no text of a fitting length, or one too many.

    Its name is often made of what a client has sent, so clients are told.
    """

    type = "CHANNEL_REFUSED"
    message = "No such channel can be heard"


class UnserializableValueError(GatewayError):
    """A value has no JSON form."""

    code = 500
    type = "UNSERIALIZABLE_VALUE"
    message = "The value has no JSON form"


# The same under the names that methods with `@http` know them by.
BadRequest = BadRequestError
Unauthorized = UnauthorizedError
Forbidden = ForbiddenError
NotFound = NotFoundError
MethodNotAllowed = MethodNotAllowedError
Conflict = ConflictError
PayloadTooLarge = PayloadTooLargeError
UnsupportedMediaType = UnsupportedMediaTypeError
UnprocessableEntity = UnprocessableEntityError
TooManyRequests = RateLimitExceededError
