"""From an exception to an answer that tells a client what it may know (promise S4).

Raised on purpose: its name, message, code, type and data. Anything else: "Internal server error" and
the request id; the real one is in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any, Final
from urllib.parse import quote

from tautomer.error_wire import is_on_purpose
from tautomer.errors import (
    MaxCallLevelError,
    MoleculerError,
    NotFoundError,
    ProtocolVersionMismatchError,
    QueueIsFullError,
    RequestRejectedError,
    RequestSkippedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    ValidationError,
)
from tautomer.web.answers.reply import encode_json, meta_headers, shown
from tautomer.web.messages.accept import quality
from tautomer.web.messages.message import JSON_TYPE, Reply, Request

__all__ = ["NOT_FOUND_BODY", "failure_reply", "not_found_body", "told", "wants_problem"]

log = logging.getLogger("tautomer.web")

PROBLEM_TYPE: Final = "application/problem+json"

_TELLS_WHEN: Final = (429, 503)
_WAIT_MAX: Final = 86_400.0
_TITLES: Final = {status.value: status.phrase for status in HTTPStatus}
# What is said of the errors that tell of nodes.
_TEXTS: Final[tuple[tuple[type[MoleculerError], str], ...]] = (
    (ServiceNotFoundError, "Service {} is not found."),
    (ServiceNotAvailableError, "Service {} is not available."),
    (RequestTimeoutError, "Request to {} got no answer in time."),
    (RequestSkippedError, "Call of {} was skipped: the time of its caller is used up."),
    (RequestRejectedError, "Request to {} was rejected."),
    (QueueIsFullError, "Queue is full, {} was not run."),
    (MaxCallLevelError, "Calls are nested too deep."),
    (ProtocolVersionMismatchError, "A node speaks another version of the protocol."),
)
# What a validator knows of a fault beyond these would echo the request's values, or name a node.
_UNTOLD: Final = frozenset({"actual", "expected", "nodeID", "action", "label"})


def failure_reply(error: BaseException, request: Request, action: str, meta: Mapping[str, Any] | None) -> Reply:
    """The answer to an error, in the form of Moleculer or, for clients that prefer it, of RFC 9457. Never raises.

    Args:
        request: Its id is told where the error is hidden, so that it can be found in the log.
        action: What was being called, for the log.
        meta: The context's: its ``$responseHeaders`` hold for errors too.
    """
    if is_on_purpose(error):
        assert isinstance(error, MoleculerError)
        body = told(error, action)
    else:
        log.error("request failed: unexpected error", exc_info=error, extra=_traces(error, request.id, action))
        body = {
            "name": "MoleculerServerError",
            "message": "Internal server error",
            "code": 500,
            "type": "INTERNAL_ERROR",
            "data": {"requestID": request.id},
        }
    headers = [JSON_TYPE]
    status = body["code"]
    if wants_problem(request):
        # Who does not ask for this form is never sent it by a cache; the other form says the same to anybody.
        headers = [("Content-Type", PROBLEM_TYPE), ("Vary", "Accept")]
        body = _as_problem(body, request.id)
    wanted = meta_headers(meta.get("$responseHeaders"), action) if meta else {}
    if status in _TELLS_WHEN and "retry-after" not in wanted and (wait := _retry_after(error)):
        headers.append(("Retry-After", wait))
    if wanted:
        # The body is ours and JSON, whatever the action had in mind for its result.
        headers += [line for name, lines in wanted.items() if name != "content-type" for line in lines]
    return Reply(status, headers, _encoded(body, action))


def _retry_after(error: BaseException) -> str | None:
    """Whole seconds after which whoever refused may be asked again, if it said so."""
    data = getattr(error, "data", None)
    wait = data.get("retryAfter") if isinstance(data, Mapping) else None
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= _WAIT_MAX:
        return None
    return str(max(1, ceil(wait)))


def wants_problem(request: Request) -> bool:
    """Whether the client names the type of RFC 9457, and likes it no less than plain JSON."""
    if PROBLEM_TYPE not in request.lower:
        return False
    accept = request.header("accept") or ""
    weight = quality(accept, PROBLEM_TYPE, named=True)
    return weight > 0 and weight >= quality(accept, "application/json")


def _as_problem(body: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """The members of RFC 9457, section 3.1, and Moleculer's own beside them; its `type` ends the URN."""
    status = body["code"]
    kind = body.get("type")
    problem = {
        "type": f"urn:problem-type:{quote(kind, safe='')}" if isinstance(kind, str) and kind else "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": body["message"],
        "instance": request_id,
    }
    return {**problem, **{key: body[key] for key in ("name", "code", "data") if key in body}}


def told(error: MoleculerError, action: str) -> dict[str, Any]:
    """What a client may know of an error: `name`, `message`, `code`, `type` and `data`, as far as there are any."""
    message, data = _without_nodes(error)
    body: dict[str, Any] = {
        "name": error.name,
        "message": message,
        "code": _status(error.code) or 500,
        "type": error.type,
        "data": data,
    }
    return {key: value for key, value in body.items() if value is not None}


def _without_nodes(error: MoleculerError) -> tuple[str, Any]:
    """Message and data as a client may see them: without the names of nodes, and without values it sent."""
    for kind, text in _TEXTS:
        if isinstance(error, kind):
            # Their own texts name the node, ours as well as those of other nodes.
            data = (
                {key: value for key, value in error.data.items() if key != "nodeID"}
                if isinstance(error.data, Mapping)
                else {}
            )
            action = data.get("action") or data.get("service")
            return text.format(f"'{action}'" if isinstance(action, str) else "an action"), data or None
    if isinstance(error, ValidationError) and isinstance(error.data, list | tuple):
        return error.message, [_fault(one) for one in error.data]
    return error.message, error.data


def _fault(one: Any) -> Any:
    return {key: value for key, value in one.items() if key not in _UNTOLD} if isinstance(one, Mapping) else one


def _encoded(body: dict[str, Any], action: str) -> bytes:
    try:
        return encode_json(body)
    except Exception as error:  # A user's class may raise anything while it is looked at.
        log.warning("error data dropped: it has no JSON form", extra={"action": action, "reason": shown(error)})
        body.pop("data", None)
    try:
        return encode_json(body)
    except Exception:
        # Nothing of it can be trusted to be text.
        return encode_json({"name": "MoleculerError", "message": "Error", "code": body["code"]})


def _traces(error: BaseException, request_id: str, action: str) -> dict[str, Any]:
    traces: dict[str, Any] = {"request": request_id, "action": action}
    if isinstance(error, MoleculerError):
        if error.node_id is not None:
            traces["node"] = error.node_id
        if error.remote_stack is not None:
            traces["remote_stack"] = error.remote_stack
    return traces


def _status(code: object) -> int | None:
    """The code of an error as the status of an answer, if it is one."""
    if isinstance(code, int) and not isinstance(code, bool):
        status = int.__index__(code)
        if 400 <= status <= 599:
            return status
    return None


NOT_FOUND_BODY: Final = encode_json(told(NotFoundError(), ""))
"""The body of every 404 of a path that leads nowhere."""


def not_found_body(action: str) -> bytes:
    """The body of a 404 of a path that names an action which nobody has: what `told` makes of the error, at a fifth of its cost."""
    said = {"message": f"Service '{action}' is not found.", "data": {"action": action}}
    return encode_json({**_NO_SERVICE, **said})


_NO_SERVICE: Final = told(ServiceNotFoundError(""), "")
