"""Rate limits of actions: how often each may be asked for on this node."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.errors import RateLimitExceeded
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.resilience.ratelimit import FixedWindows
from tautomer.settings import ActionRateLimit, chosen

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["RateLimits"]

_KEY_CHARS_MAX: Final = 128
_USUAL: Final = ActionRateLimit()


class RateLimits(Middleware):
    """Where an action of this node has a `rate_limit`, it is not run more often than that.

    Who comes more often gets `RateLimitExceeded` (429), whose data say when there is room again (``retryAfter``, seconds).
    """

    def __init__(self) -> None:
        self._broker: Broker | None = None

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        own = None if endpoint.definition is None else endpoint.definition.extra.get("rate_limit")
        settings = chosen(_USUAL, own, f"rate_limit of '{endpoint.name}'")
        if not settings.enabled:
            return next_handler
        from tautomer.cachers.keys import HASH_CHARS, key_maker  # Who limits nothing does not import how.

        assert self._broker is not None
        clock, node_id = self._broker.clock, self._broker.node_id
        key_of = key_maker("", settings.keys, length_max=max(HASH_CHARS, _KEY_CHARS_MAX))
        windows, limit = FixedWindows(settings.window), settings.limit

        async def limited(ctx: Context[Any]) -> Any:
            now = clock()
            window = windows.hit(key_of(ctx) or "", now)
            if window.hits > limit:
                seconds = max(1, ceil(window.ends - now))
                told = {"action": endpoint.name, "nodeID": node_id, "limit": limit, "retryAfter": seconds}
                raise RateLimitExceeded(None, told)
            return await next_handler(ctx)

        return limited
