"""What goes to a JSON-RPC service and comes back. Pure; the clients carry it.

What comes back is read as the standard has it, and as gemstone's servers speak: with `result` and `error` side by side,
one of them null, or with `response` in the place of `result` (JSON-RPC reference, section 8).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tautomer.client.failures import CalledServiceError, called_service_error
from tautomer.instances import json_form

__all__ = [
    "BatchResult",
    "Credentials",
    "MethodCall",
    "Notification",
    "Result",
    "decoded",
    "located",
    "params_of",
    "read_batch",
    "read_single",
    "result_of",
    "results_of",
    "written",
]

Params = Sequence[Any] | Mapping[str, Any] | None

SHOWN_CHARS: Final = 200

_encode = msgspec.json.Encoder(enc_hook=json_form).encode
_decode = msgspec.json.Decoder().decode


class MethodCall:
    """A call whose answer is wanted. Equal to another of the same id.

    Args:
        params: A list by position, a mapping by name, or None.
        id: Made by the client if it is None.
    """

    def __init__(self, method_name: str, params: Params = None, id: str | int | None = None) -> None:
        self.method_name = method_name
        self.params = params
        self.id = id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MethodCall) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"MethodCall({self.method_name!r}, id={self.id!r})"


class Notification:
    """A call whose answer is not."""

    def __init__(self, method_name: str, params: Params = None) -> None:
        self.method_name = method_name
        self.params = params

    def __repr__(self) -> str:
        return f"Notification({self.method_name!r})"


class Result(msgspec.Struct, frozen=True):
    """What became of a call: one of `result` and `error` (the error object) says it."""

    result: Any
    error: Any
    id: Any
    method_call: Any


class BatchResult:
    """The results of a batch, in the order of its calls.

    Attributes:
        responses: A `Result` for each call.
    """

    def __init__(self, responses: Sequence[Result]) -> None:
        self.responses = list(responses)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.responses)

    def __len__(self) -> int:
        return len(self.responses)

    def get_response_for_call(self, call: MethodCall) -> Result | None:
        """The result of one of the calls, or None if it is none of these."""
        return next((one for one in self.responses if one.method_call == call), None)


class Credentials:
    """How a client shows its token.

    Args:
        options: ``{"auth_type": "header" | "cookie" | "request", "auth_params": name, "auth_token": value}``, or None.

    Raises:
        ValueError: The type is none of the three, or there is no token.
    """

    NAMES: Final = {"header": "X-Api-Token", "cookie": "AuthToken", "request": "auth_token"}

    def __init__(self, options: Mapping[str, Any] | None) -> None:
        self.headers: dict[str, str] = {}
        self.members: dict[str, Any] = {}
        if not options:
            return
        kind, token = options.get("auth_type"), options.get("auth_token")
        if kind not in self.NAMES:
            raise ValueError(f"auth_type is one of {', '.join(self.NAMES)}, not {kind!r}")
        if not isinstance(token, str):
            raise ValueError("options hold the token as 'auth_token', a text")
        name = str(options.get("auth_params") or self.NAMES[kind])
        if kind == "header":
            self.headers[name] = token
        elif kind == "cookie":
            self.headers["Cookie"] = f"{name}={token}"
        else:
            self.members[name] = token


def params_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Params:
    """Arguments as params.

    Raises:
        ValueError: Some are by position and some by name.
    """
    if args and kwargs:
        raise ValueError("Cannot have positional arguments and keyword arguments at the same time")
    return list(args) if args else dict(kwargs) if kwargs else None


def written(calls: Sequence[MethodCall | Notification], members: Mapping[str, Any], many: bool) -> bytes:
    """The body of a request.

    Raises:
        TypeError: Something is neither a call nor a notification, or has no form in JSON.
    """
    requests = [_request(call, members) for call in calls]
    return _encode(requests if many else requests[0])


def _request(call: MethodCall | Notification, members: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(call, MethodCall | Notification):
        raise TypeError(f"a batch holds MethodCall and Notification, not {call!r:.80}")
    request: dict[str, Any] = {**members, "jsonrpc": "2.0", "method": call.method_name}
    if call.params is not None:
        request["params"] = call.params
    if isinstance(call, MethodCall):
        request["id"] = call.id
    return request


def read_single(status: int, body: bytes, call: MethodCall) -> Result:
    """The answer to one call.

    Raises:
        CalledServiceError: It is no answer to it.
    """
    return result_of(decoded(status, body), call)


def read_batch(status: int, body: bytes, calls: Sequence[MethodCall]) -> BatchResult:
    """The answers to a batch.

    Raises:
        CalledServiceError: It was refused as a whole, or one answer is missing.
    """
    if not calls:
        if status >= 400:
            decoded(status, body)
        return BatchResult([])
    return results_of(decoded(status, body), calls)


def results_of(answers: Any, calls: Sequence[MethodCall]) -> BatchResult:
    """The same of answers that were decoded."""
    if isinstance(answers, dict) and answers.get("error"):
        raise called_service_error(answers["error"])
    if not isinstance(answers, list):
        raise CalledServiceError("not a JSON-RPC response")
    left = [one for one in answers if isinstance(one, dict)]
    results = []
    for call in calls:
        # Of several with one id each takes the next.
        index = next((n for n, one in enumerate(left) if one.get("id") == call.id), None)
        if index is None:
            raise CalledServiceError(f"the answer holds nothing for id {call.id!r}")
        results.append(result_of(left.pop(index), call))
    return BatchResult(results)


def located(answer: Any) -> list[str]:
    """URLs in what a registry tells: texts, or (gemstone up to 0.3.1) host and port."""
    urls = []
    for one in answer if isinstance(answer, list) else ():
        if isinstance(one, str):
            urls.append(one)
        elif isinstance(one, Mapping) and "host" in one and "port" in one:
            urls.append(f"http://{one['host']}:{one['port']}/api")
    return urls


def decoded(status: int, body: bytes) -> Any:
    """What HTTP brought.

    Raises:
        CalledServiceError: It is nothing of JSON-RPC.
    """
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        value = UNSET
    # An error of HTTP with an answer of the protocol is as the answer says.
    if value is UNSET or (status >= 400 and not (isinstance(value, dict) and "jsonrpc" in value)):
        text = body[: 4 * SHOWN_CHARS].decode("utf-8", "replace")[:SHOWN_CHARS]
        reason = f"HTTP status {status}: {text}" if status >= 400 else "not a JSON-RPC response"
        raise CalledServiceError(reason)
    return value


def result_of(answer: Any, call: MethodCall) -> Result:
    """The answer to one call, decoded.

    Raises:
        CalledServiceError: It is no answer to it.
    """
    if not isinstance(answer, dict):
        raise CalledServiceError("not a JSON-RPC response")
    error = answer.get("error")
    id = answer.get("id")
    if error is not None:
        if id is not None and id != call.id:
            raise CalledServiceError(f"an answer to id {id!r:.80}, not to {call.id!r}")
        return Result(None, error, call.id, call)
    result = answer.get("result", UNSET)
    if result is UNSET and (result := answer.get("response", UNSET)) is not UNSET:
        # Once: Python's own filter for warnings sees to that.
        warnings.warn("a service answers with 'response' where JSON-RPC has 'result'", stacklevel=2)
    if result is UNSET:
        raise CalledServiceError("not a JSON-RPC response")
    # Old servers leave an id of 0 out.
    if id != call.id and not (id is None and call.id == 0):
        raise CalledServiceError(f"an answer to id {id!r:.80}, not to {call.id!r}")
    return Result(result, None, call.id, call)
