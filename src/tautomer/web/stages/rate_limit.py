"""How often somebody may ask."""

from __future__ import annotations

from tautomer.errors import RateLimitExceeded
from tautomer.web.exchange import Asks, Exchange, Stage
from tautomer.web.rate_limit.limiter import RateLimiter, address_key
from tautomer.web.rate_limit.store import Hit

__all__ = ["rate_limit_stage"]


def rate_limit_stage(limiter: RateLimiter) -> Stage | Asks:
    """Count the request; over the limit it is answered 429 with ``Retry-After``."""
    hit_at_once, clock = limiter.hit_at_once, limiter.clock

    def tell(exchange: Exchange, hit: Hit | None) -> None:
        if hit is not None:
            _tell(exchange, hit, limiter)

    if hit_at_once is None:
        return Asks(lambda exchange: limiter.count(exchange.request), tell)
    return lambda exchange: _tell(exchange, hit_at_once(address_key(exchange.request.client), clock()), limiter)


def _tell(exchange: Exchange, hit: Hit, limiter: RateLimiter) -> None:
    """Note what a client is told of its limit.

    Raises:
        RateLimitExceeded: It is over.
    """
    exchange.lines += limiter.lines(hit)
    if hit.hits > limiter.limit:
        exchange.add_header("Retry-After", str(limiter.seconds_left(hit.resets_in)))
        raise RateLimitExceeded()
