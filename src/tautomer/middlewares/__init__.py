"""The built-in middlewares, each a policy put on hooks; and THE ORDER.

Outermost first, around the user's own middlewares and the handler:

1. Throttles: above Debounces, so that what it lets in is what is held back, as in Node; above all else, so that an
   event that is not heard costs nothing. Both are for listeners only.
2. Debounces: above the bulkhead, so that an event that is held back takes no place.
3. Fallbacks: above all that can fail.
4. CircuitBreakers: above Timeout, so that a timeout counts as a failure.
5. Timeout: above the bulkhead, so that the time counts from when the call arrives.
6. Caching: above the bulkhead, as a hit takes no place; above validation and the user's own, which a hit skips, as in Node.
7. Bulkheads: above validation, so that what is refused has cost nothing.
8. Validating: below everything that counts or shortens calls, above hooks and the user's own, which may
   rely on params that were checked.
9. ActionHooks: the innermost of all, as they belong to the service.

Other attempts stand around the choice of the endpoint, at the caller: see `tautomer.retrying`.
A built-in that is off for an action returns the handler unchanged, so that it is not in the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tautomer.middleware import Middleware
from tautomer.middlewares.bulkhead import Bulkheads
from tautomer.middlewares.circuit_breaker import CircuitBreakers
from tautomer.middlewares.debounce import Debounces
from tautomer.middlewares.fallback import Fallbacks
from tautomer.middlewares.hooks import ActionHooks
from tautomer.middlewares.throttle import Throttles
from tautomer.middlewares.timeout import Timeout
from tautomer.middlewares.validating import Validating
from tautomer.settings import Settings

if TYPE_CHECKING:
    from tautomer.cachers.cache import Cache

__all__ = ["ActionHooks", "Bulkheads", "CircuitBreakers", "Fallbacks", "Timeout", "Validating", "built_in"]


def built_in(settings: Settings, cache: Cache | None) -> tuple[Middleware, ...]:
    """The built-in middlewares, the outermost first; `cache` is the node's, or None."""
    return (
        Throttles(),
        Debounces(),
        Fallbacks(),
        CircuitBreakers(settings.circuit_breaker),
        Timeout(settings.request_timeout),
        *_caching(cache),
        Bulkheads(settings.bulkhead),
        Validating(),
        ActionHooks(),
    )


def _caching(cache: Cache | None) -> tuple[Middleware, ...]:
    if cache is None:
        return ()
    from tautomer.middlewares.caching import Caching  # Who caches nothing does not import how.

    return (Caching(cache),)
