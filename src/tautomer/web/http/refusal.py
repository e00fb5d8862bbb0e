"""Refusals: what the server answers by itself, without asking the gateway (reliability reference, section 5.1)."""

from __future__ import annotations

from typing import Final

import msgspec

from tautomer.errors import MoleculerClientError, MoleculerError, PayloadTooLarge
from tautomer.web.messages.message import JSON_TYPE, Reply

__all__ = ["BUSY", "INTERNAL", "LATE", "NO_UPGRADE", "Refusal", "error_reply"]

# The gateway's classes where there is one for the status; clients of Node know these names.
_NAMES = {
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaTypeError",
    500: "MoleculerServerError",
    503: "ServiceUnavailableError",
    504: "RequestTimeoutError",
    505: "MoleculerServerError",
}


class Refusal(Exception):
    """A request that is not taken. The connection is closed after the answer.

    Attributes:
        status: HTTP status.
        type: Stable text for programs, such as ``"HEADERS_TOO_LARGE"``.
        message: Text for people. Holds nothing that the client sent.
    """

    def __init__(self, status: int, type: str, message: str) -> None:
        super().__init__(status, type, message)
        self.status = status
        self.type = type
        self.message = message

    def reply(self) -> Reply:
        return error_reply(self.status, self.type, self.message)

    def error(self) -> MoleculerError:
        """The same for a request that runs already, in which the gateway makes the answer."""
        if self.status == 413:
            return PayloadTooLarge({"reason": self.message})
        return MoleculerClientError(self.message, self.status, self.type)


def error_reply(status: int, type: str, message: str, *headers: tuple[str, str]) -> Reply:
    """An error as JSON, ``{"name", "message", "code", "type"}``."""
    body = {"name": _NAMES.get(status, "BadRequestError"), "message": message, "code": status, "type": type}
    return Reply(status, [JSON_TYPE, *headers], msgspec.json.encode(body))


def reply_to(error: MoleculerError, status: int) -> Reply:
    """An error of the gateway's tree as JSON, with its data."""
    body = {"name": error.name, "message": error.message, "code": status, "type": error.type, "data": error.data}
    return Reply(status, [JSON_TYPE], msgspec.json.encode(body))


BUSY = error_reply(503, "SERVICE_UNAVAILABLE", "The server is busy.", ("Retry-After", "1"))
INTERNAL = error_reply(500, "INTERNAL_ERROR", "Internal server error")
LATE: Final = error_reply(504, "REQUEST_TIMEOUT", "The request got no answer in time.")
"""For a request whose time is over, and whose task does not end all the same."""

NO_UPGRADE: Final = Refusal(400, "UPGRADE_REFUSED", "There is no WebSocket here.")
