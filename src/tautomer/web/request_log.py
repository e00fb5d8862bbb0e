"""RequestLog: the lines about requests and their answers, for gateways that are told to write them.

Never in a line: headers, cookies, the query, the body; of params and results nothing under a name that is a secret's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from tautomer.errors import MoleculerError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.records import LogSettings

__all__ = ["RequestLog", "log_refusal", "masked"]

log = logging.getLogger("tautomer.web")

MASK: Final = "***"
_DEPTH_MAX: Final = 8
_ITEMS_MAX: Final = 100
_TEXT_MAX: Final = 500
_SECRET_PARTS: Final = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "authorization", "cookie"),
    *("apikey", "privatekey", "credential", "session", "cardnumber"),
)
_SECRET_NAMES: Final = frozenset({"pass", "pin", "otp", "cvv", "cvc", "auth", "jwt"})


class RequestLog:
    """Writes a line for each request when it comes, and one for its answer.

    Args:
        settings: Which lines at which level.
        clock: Monotonic seconds.
        own_request: Called with ``(request)`` in place of the first line, or None.
        own_response: Called with ``(request, reply, seconds)`` in place of the second, or None.
    """

    def __init__(
        self,
        settings: LogSettings,
        clock: Callable[[], float],
        own_request: Callable[..., Any] | None = None,
        own_response: Callable[..., Any] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._own_request = own_request
        self._own_response = own_response

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        settings = self._settings
        levels = (settings.request, settings.response, settings.response_data)
        return any(one is not None for one in (*levels, self._own_request, self._own_response))

    def around(
        self, look: Callable[[Request], Reply | None], answer: Callable[[Request], Awaitable[Reply]]
    ) -> Callable[[Request], Awaitable[Reply]]:
        """`answer`, with a line before and after it; `look` finds the route, or gives the reply itself."""

        async def handle(request: Request) -> Reply:
            begun = self._clock()
            ready = look(request)
            exchange: Any = request.matched  # An `Exchange`, or None.
            if exchange is not None and not exchange.alias.route.settings.logging:
                return await answer(request)
            self._came(request)
            reply = await answer(request) if ready is None else ready
            self._answered(request, reply, self._clock() - begun)
            return reply

        return handle

    def _came(self, request: Request) -> None:
        if self._own_request is not None:
            _asked(self._own_request, request)
        elif self._settings.request is not None:
            log.log(self._settings.request, "request", extra=_traces(request))

    def _answered(self, request: Request, reply: Reply, seconds: float) -> None:
        settings = self._settings
        if self._own_response is not None:
            _asked(self._own_response, request, reply, seconds)
        elif settings.response is not None:
            told = {**_traces(request), "status": reply.status, "ms": round(seconds * 1000, 1)}
            log.log(settings.response, "response", extra=told)
        if settings.response_data is not None and reply.status < 400 and log.isEnabledFor(settings.response_data):
            log.log(settings.response_data, "response data", extra={"request": request.id, "data": _data(reply)})


def log_refusal(error: BaseException, request: Request) -> None:
    """A line for an error of 400 to 499 that was raised on purpose; others have one of their own anyway."""
    if isinstance(error, MoleculerError) and isinstance(error.code, int) and 400 <= error.code < 500:
        told = {"status": error.code, "type": error.type, "error": error.name, "reason": error.message[:_TEXT_MAX]}
        log.warning("request refused", extra={**_traces(request), **told})


def masked(value: Any, depth: int = 0) -> Any:
    """A value as it may stand in a log: without what its names call secret, and of a bounded size. Never raises."""
    if isinstance(value, str):
        return value if len(value) <= _TEXT_MAX else value[:_TEXT_MAX] + "…"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:_ITEMS_MAX]
        return {masked(str(name)): MASK if _is_secret(str(name)) else masked(one, depth + 1) for name, one in items}
    if isinstance(value, list | tuple):
        return [masked(one, depth + 1) for one in value[:_ITEMS_MAX]]
    return f"<{type(value).__name__}>"


def _is_secret(name: str) -> bool:
    bare = name.lower().replace("_", "").replace("-", "").replace(" ", "")
    return bare in _SECRET_NAMES or any(part in bare for part in _SECRET_PARTS)


def _data(reply: Reply) -> Any:
    """The body, if it is JSON; else its kind or size."""
    body = reply.body
    if not isinstance(body, bytes):
        return "<stream>"
    try:
        return masked(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        return f"<{len(body)} bytes>"


def _traces(request: Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "client": request.client, "request": request.id}


def _asked(own: Callable[..., Any], *arguments: object) -> None:
    """Call a method of the service's; what it raises is its own fault, not the request's."""
    try:
        own(*arguments)
    except Exception as error:
        name = getattr(own, "__name__", "method")
        log.error("the gateway's own log method failed", exc_info=error, extra={"method": name})
