"""From exceptions to what JSON-RPC clients are told (JSON-RPC reference, section 3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from tautomer.error_wire import is_on_purpose
from tautomer.errors import JsonRpcError, MoleculerError, ValidationError
from tautomer.protocol.jsonrpc import (
    ACCESS_DENIED,
    APPLICATION_ERROR,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    OVERLOADED,
    TIMED_OUT,
    Failure,
)
from tautomer.protocol.rpc_errors import code_of, detail_of, expected_data, words
from tautomer.web.answers.failures import told
from tautomer.web.answers.reply import encode_json

__all__ = ["expected_failure", "failure_of", "refusal_of"]

log = logging.getLogger("tautomer.web")


def failure_of(error: BaseException, action: str, request_id: str, timeout: float | None, debug: bool) -> Failure:
    """What a client is told of an exception. Never raises.

    Args:
        request_id: Told where the exception is not, so that it can be found in the log.
        timeout: Seconds that the call had.
        debug: Tell class and text of what nobody expected, too.
    """
    if isinstance(error, JsonRpcError):
        # From another node it may hold anything.
        own = error.data if isinstance(error.data, Mapping) else {}
        code = own.get("code")
        return Failure(
            code if type(code) is int else APPLICATION_ERROR, error.message, _encoded(own.get("data"), action)
        )
    if isinstance(error, ValidationError):
        _message, faults = _public(error, action)
        return Failure(INVALID_PARAMS, None, _encoded({"reason": error.message, "errors": faults}, action))
    known = code_of(error)
    if known is not None:
        return Failure(known, None, _encoded(detail_of(known, error, action, timeout), action))
    if is_on_purpose(error):
        assert isinstance(error, MoleculerError)
        body = told(error, action)
        message = body.pop("message")
        return Failure(APPLICATION_ERROR, message, _encoded(body, action))
    log.error("request failed: unexpected error", exc_info=error, extra={"request": request_id, "action": action})
    data: dict[str, Any] = {"requestID": request_id}
    if debug:
        data |= {"class": type(error).__name__, "info": words(error)}
    return Failure(INTERNAL_ERROR, None, data)


def expected_failure(error: BaseException, entry: Mapping[str, Any], action: str) -> Failure | None:
    """What is told of an exception that the method's mark lists; None for any other."""
    data = expected_data(error, entry)
    return None if data is None else Failure(APPLICATION_ERROR, data["info"], _encoded(data, action))


def refusal_of(error: BaseException, status: int, request_id: str) -> Failure:
    """What is told where a request was refused before it was read, with this status."""
    if status == 401 or status == 403:
        return Failure(ACCESS_DENIED)
    if status == 429 or status == 503:
        return Failure(OVERLOADED)
    if status == 504:
        return Failure(TIMED_OUT)
    if status < 500 and isinstance(error, MoleculerError):
        return Failure(INVALID_REQUEST, data={"reason": error.message})
    return Failure(INTERNAL_ERROR, data={"requestID": request_id})


def _public(error: MoleculerError, action: str) -> tuple[str, Any]:
    body = told(error, action)
    return body["message"], body.get("data")


def _encoded(data: Any, action: str) -> Any:
    """The data by the gateway's encoder, which knows more types; None where even that finds no form."""
    if data is None:
        return None
    try:
        return msgspec.Raw(encode_json(data))
    except Exception as error:  # A user's class may raise anything while it is looked at.
        log.warning("error data dropped: it has no JSON form", extra={"action": action, "reason": type(error).__name__})
        return None
