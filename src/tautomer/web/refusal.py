"""Refusals: what the server answers by itself, without asking the gateway (reliability reference, section 5.1)."""

from __future__ import annotations

import msgspec

from tautomer.errors import MoleculerError
from tautomer.web.message import JSON_TYPE, Reply

__all__ = ["Refusal", "error_reply"]

# The gateway's classes where there is one for the status; clients of Node know these names.
_NAMES = {
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaTypeError",
    500: "MoleculerServerError",
    503: "ServiceUnavailableError",
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


def error_reply(status: int, type: str, message: str, *headers: tuple[str, str]) -> Reply:
    """An error as JSON, ``{"name", "message", "code", "type"}``."""
    body = {"name": _NAMES.get(status, "BadRequestError"), "message": message, "code": status, "type": type}
    return Reply(status, [JSON_TYPE, *headers], msgspec.json.encode(body))


def reply_to(error: MoleculerError, status: int) -> Reply:
    """An error of the gateway's tree as JSON, with its data."""
    body = {"name": error.name, "message": error.message, "code": status, "type": error.type, "data": error.data}
    return Reply(status, [JSON_TYPE], msgspec.json.encode(body))
