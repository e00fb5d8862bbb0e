"""What clients raise: the answer was an error, or there was none.

RemoteServiceError
├─ CalledServiceError      the service answered with an error, or with what is no answer
│  ├─ ParseError, MethodNotFound, InvalidParams, AccessDeniedError
├─ ServiceUnreachable      also a ConnectionError
└─ RequestTimeout          also a TimeoutError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tautomer.errors import TautomerError
from tautomer.protocol.jsonrpc import ACCESS_DENIED, INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR

__all__ = [
    "AccessDeniedError",
    "CalledServiceError",
    "InvalidParams",
    "MethodNotFound",
    "ParseError",
    "RemoteServiceError",
    "RequestTimeout",
    "ServiceUnreachable",
    "called_service_error",
]


class RemoteServiceError(TautomerError):
    """A call of a remote service went wrong."""


class CalledServiceError(RemoteServiceError):
    """The service said so. ``args[0]`` is the error object, or a text where there was none.

    Attributes:
        code: Of the error, None where there was none.
        message: Of the error.
        data: Of the error, or None.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        told = error if isinstance(error, Mapping) else {}
        self.code = told.get("code")
        self.message = str(told.get("message", "")) if told else str(error)
        self.data = told.get("data")

    def __str__(self) -> str:
        return self.message if self.code is None else f"{self.code}: {self.message}"


class ParseError(CalledServiceError):
    """The service could not read what was sent."""


class MethodNotFound(CalledServiceError):
    """It has no such method."""


class InvalidParams(CalledServiceError):
    """The arguments do not fit the method."""


class AccessDeniedError(CalledServiceError):
    """The method is private, and the token was not accepted."""


class ServiceUnreachable(RemoteServiceError, ConnectionError):
    """Nobody listens there, or the connection broke."""


class RequestTimeout(RemoteServiceError, TimeoutError):
    """No answer in time. The method may have run."""


_BY_CODE: Mapping[int, type[CalledServiceError]] = {
    PARSE_ERROR: ParseError,
    METHOD_NOT_FOUND: MethodNotFound,
    INVALID_PARAMS: InvalidParams,
    ACCESS_DENIED: AccessDeniedError,
}


def called_service_error(error: Any) -> CalledServiceError:
    """The exception of an error object."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return _BY_CODE.get(code, CalledServiceError)(error) if isinstance(code, int) else CalledServiceError(error)
