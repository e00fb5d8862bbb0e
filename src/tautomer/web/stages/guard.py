"""The guard: around all other stages of a route."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tautomer.web.exchange import FAILURES, AnyStage, Exchange, Failed, Handler, compose, passed
from tautomer.web.messages.message import Reply

__all__ = ["guarded"]


def guarded(
    stages: Sequence[AnyStage],
    handler: Handler,
    clock: Callable[[], float],
    timeout: float,
    failed: Failed,
    challenge: bool = False,
) -> Handler:
    """The stages before the handler, and around all: the end of the request's time, an answer to every error, and the
    lines for every answer.

    Args:
        challenge: Whether a 401 says how to do better (RFC 9110, 15.5.2): ``WWW-Authenticate: Bearer`` if nothing else.
    """
    steps, call_next = compose(stages, handler)

    async def handle(exchange: Exchange) -> Reply:
        request = exchange.request
        if timeout:
            request.ends = clock() + timeout
        try:
            reply = await passed(steps, exchange)
            if reply is None:
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


def _challenge(reply: Reply) -> None:
    if not any(name.lower() == "www-authenticate" for name, _ in reply.headers):
        reply.headers.append(("WWW-Authenticate", "Bearer"))
