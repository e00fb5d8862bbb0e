"""How often somebody may ask."""

from __future__ import annotations

from collections.abc import Awaitable

from tautomer.errors import RateLimitExceeded
from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply
from tautomer.web.rate_limit.limiter import RateLimiter, address_key
from tautomer.web.rate_limit.store import Hit

__all__ = ["rate_limit_stage"]


def rate_limit_stage(limiter: RateLimiter) -> Stage:
    """Count the request; over the limit it is answered 429 with ``Retry-After``."""

    hit_at_once = limiter.hit_at_once

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            hit = await limiter.count(exchange.request)
            if hit is not None:
                _tell(exchange, hit, limiter)
            return await call_next(exchange)

        def handle_at_once(exchange: Exchange) -> Awaitable[Reply]:
            assert hit_at_once is not None
            _tell(exchange, hit_at_once(address_key(exchange.request.client)), limiter)
            return call_next(exchange)

        return handle if hit_at_once is None else handle_at_once

    return stage


def _tell(exchange: Exchange, hit: Hit, limiter: RateLimiter) -> None:
    """Note what a client is told of its limit.

    Raises:
        RateLimitExceeded: It is over.
    """
    lines = limiter.headers(hit)
    if exchange.headers is None:
        exchange.headers = lines
    else:
        exchange.headers.extend(lines)
    if hit.hits > limiter.limit:
        exchange.add_header("Retry-After", str(limiter.seconds_left(hit)))
        raise RateLimitExceeded()
