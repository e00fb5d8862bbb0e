"""From an exception to the error of a result message (entrypoints reference, section 10).

nameko's four keys, and the gateway's `code`, `type` and `data` beside them. What was raised on purpose is told; of
anything else the client learns no more than that something went wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from tautomer.error_wire import is_on_purpose
from tautomer.errors import MoleculerError
from tautomer.web.answers.failures import told

__all__ = ["failure", "is_expected"]

log = logging.getLogger("tautomer.web")

_DEPTH_MAX: Final = 16
_TEXT_MAX: Final = 4_096

_INTERNAL: Final[Mapping[str, Any]] = {
    "exc_type": "InternalServerError",
    "exc_path": "tautomer.web.errors.InternalServerError",
    "exc_args": [],
    "value": "Internal server error",
    "code": 500,
    "type": "INTERNAL_ERROR",
}


def is_expected(error: BaseException, expected: tuple[str, ...]) -> bool:
    """Whether its class, or one that it is a kind of, is among these names."""
    return any(one.__name__ in expected for one in type(error).__mro__)


def failure(
    error: BaseException, action: str, expected: tuple[str, ...], request_id: str, debug: bool
) -> Mapping[str, Any]:
    """What a client is told of an error. Never raises.

    Args:
        action: What was being called, for the log.
        expected: Names of exceptions that the method's mark says clients are told of.
        request_id: To find the error in the log by.
        debug: Tell everything.
    """
    if isinstance(error, MoleculerError) and is_on_purpose(error):
        return _told(error, action)
    if is_expected(error, expected):
        log.warning("socket method failed as expected", extra={"action": action, "error": type(error).__name__})
        return {**_nameko(error), "code": _code(error), "type": None}
    try:
        log.error("socket method failed", exc_info=error, extra={"action": action, "request": request_id})
    except Exception:  # What is shown of an error is its own code.
        log.error("socket method failed with an error that cannot be shown", extra={"action": action})
    if debug:
        return {**_nameko(error), "code": 500, "type": "INTERNAL_ERROR"}
    return {**_INTERNAL, "data": {"requestID": request_id}}


def _told(error: MoleculerError, action: str) -> dict[str, Any]:
    body = told(error, action)
    kind = type(error)
    return {
        "exc_type": body["name"],
        "exc_path": f"{kind.__module__}.{body['name']}" if kind.__module__.startswith("tautomer.") else body["name"],
        "exc_args": [body["message"]] if body["message"] else [],
        "value": body["message"],
        "code": body["code"],
        "type": body.get("type"),
        **({"data": body["data"]} if "data" in body else {}),
    }


def _nameko(error: BaseException) -> dict[str, Any]:
    kind = type(error)
    return {
        "exc_type": kind.__name__,
        "exc_path": f"{kind.__module__}.{kind.__qualname__}",
        "exc_args": [_as_texts(one) for one in getattr(error, "args", ())],
        "value": _text(error),
    }


def _as_texts(value: object, depth: int = 0) -> Any:
    """Lists and mappings as they are, and all else as text."""
    if depth < _DEPTH_MAX:
        if isinstance(value, dict):
            return {_text(key): _as_texts(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_as_texts(one, depth + 1) for one in value]
    return _text(value)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    # Half a surrogate pair has no place in UTF-8.
    return text[:_TEXT_MAX].encode(errors="replace").decode()


def _code(error: BaseException) -> int:
    """As for HTTP: a number of its own from 400 to 599, else 400 (entrypoints reference, section 6)."""
    for name in ("status", "status_code", "code"):
        code = getattr(error, name, None)
        if type(code) is int and 400 <= code <= 599:
            return code
    return 400
