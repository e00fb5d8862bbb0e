"""The guard: around all other stages of a route."""

from __future__ import annotations

from collections.abc import Callable

from tautomer.web.exchange import FAILURES, Around, Exchange, Failed, Handler
from tautomer.web.messages.message import Reply

__all__ = ["guard_stage"]


def guard_stage(clock: Callable[[], float], timeout: float, failed: Failed, challenge: bool = False) -> Around:
    """Around all others: the end of the request's time, an answer to every error, and the lines for every answer.

    Args:
        challenge: Whether a 401 says how to do better (RFC 9110, 15.5.2): ``WWW-Authenticate: Bearer`` if nothing else.
    """

    def wrap(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            request = exchange.request
            if timeout:
                request.ends = clock() + timeout
            try:
                reply = await call_next(exchange)
            except FAILURES as error:
                reply = await failed(exchange, error)
            else:
                request.ends = None
                if request.late:
                    request.take_cancel_back()
            if challenge and reply.status == 401:
                _challenge(reply)
            return exchange.dressed(reply)

        return handle

    return Around(wrap)


def _challenge(reply: Reply) -> None:
    if not any(name.lower() == "www-authenticate" for name, _ in reply.headers):
        reply.headers.append(("WWW-Authenticate", "Bearer"))
