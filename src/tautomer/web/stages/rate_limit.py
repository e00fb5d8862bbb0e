"""How often somebody may ask."""

from __future__ import annotations

from typing import NoReturn

from tautomer.errors import RateLimitExceeded
from tautomer.web.exchange import Asks, Exchange, Stage
from tautomer.web.rate_limit.limiter import RateLimiter, address_key
from tautomer.web.rate_limit.store import Hit

__all__ = ["rate_limit_stage"]


def rate_limit_stage(limiter: RateLimiter) -> Stage | Asks:
    """Count the request; over the limit it is answered 429 with ``Retry-After``."""
    hit_at_once, clock, limit = limiter.hit_at_once, limiter.clock, limiter.limit

    def count(exchange: Exchange) -> None:
        assert hit_at_once is not None
        now = clock()
        window = hit_at_once(address_key(exchange.request.client), now)
        resets_in = window.ends - now
        reset = window.note or limiter.reset_line(resets_in)
        window.note = reset
        exchange.lines += limiter.lines(window.hits, resets_in, reset)
        if window.hits > limit:
            _refuse(exchange, limiter.seconds_left(resets_in))

    def tell(exchange: Exchange, hit: Hit | None) -> None:
        if hit is not None:
            exchange.lines += limiter.lines(hit.hits, hit.resets_in, limiter.reset_line(hit.resets_in))
            if hit.hits > limit:
                _refuse(exchange, limiter.seconds_left(hit.resets_in))

    return count if hit_at_once is not None else Asks(lambda exchange: limiter.count(exchange.request), tell)


def _refuse(exchange: Exchange, seconds: int) -> NoReturn:
    exchange.add_header("Retry-After", str(seconds))
    raise RateLimitExceeded()
