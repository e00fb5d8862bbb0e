"""The built-in middlewares, each a policy put on hooks; and THE ORDER.

Outermost first, around the user's own middlewares and the handler:

1. Throttles: above Debounces, so that what it lets in is what is held back, as in Node; above all else, so that an
   event that is not heard costs nothing. Both are for listeners only.
2. Debounces: above the bulkhead, so that an event that is held back takes no place.
3. Fallbacks: above all that can fail.
4. CircuitBreakers: above Timeout, so that a timeout counts as a failure.
5. Timeout: above the bulkhead, so that the time counts from when the call arrives.
6. RateLimits: above caching, as a hit was asked for, too.
7. Caching: above the bulkhead, as a hit takes no place; above validation and the user's own, which a hit skips, as in Node.
8. Bulkheads: above validation, so that what is refused has cost nothing.
9. Validating: below everything that counts or shortens calls, above hooks and the user's own, which may
   rely on params that were checked.
10. ActionHooks: the innermost of all, as they belong to the service.

Other attempts stand around the choice of the endpoint, at the caller: see `tautomer.retrying`.
A built-in that is off for an action returns the handler unchanged, so that it is not in the chain.

`Compression` and `Encryption` are for whoever lists them among his own, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tautomer import middleware
from tautomer.errors import BrokerOptionsError
from tautomer.middleware import Middleware
from tautomer.middlewares.bulkhead import Bulkheads
from tautomer.middlewares.circuit_breaker import CircuitBreakers
from tautomer.middlewares.debounce import Debounces
from tautomer.middlewares.fallback import Fallbacks
from tautomer.middlewares.hooks import ActionHooks
from tautomer.middlewares.rate_limit import RateLimits
from tautomer.middlewares.throttle import Throttles
from tautomer.middlewares.timeout import Timeout
from tautomer.middlewares.validating import Validating
from tautomer.settings import Settings, nearest

if TYPE_CHECKING:
    from tautomer.cachers.cache import Cache
    from tautomer.middlewares.compression import Compression
    from tautomer.middlewares.encryption import Encryption

__all__ = [
    "ActionHooks",
    "Bulkheads",
    "CircuitBreakers",
    "Compression",
    "Debounces",
    "Encryption",
    "Fallbacks",
    "RateLimits",
    "Throttles",
    "Timeout",
    "Validating",
    "built_in",
    "resolve",
]

KNOWN: Final = ("Transmit.Compression", "Transmit.Encryption")
"""Names of those that may be listed, as in Node. The part after the dot will do."""


def built_in(settings: Settings, cache: Cache | None) -> tuple[Middleware, ...]:
    """The built-in middlewares, the outermost first; `cache` is the node's, or None."""
    return (
        Throttles(),
        Debounces(),
        Fallbacks(),
        CircuitBreakers(settings.circuit_breaker),
        Timeout(settings.request_timeout),
        RateLimits(),
        *_caching(cache),
        Bulkheads(settings.bulkhead, settings.max_workers),
        Validating(settings.validator),
        ActionHooks(),
    )


def _caching(cache: Cache | None) -> tuple[Middleware, ...]:
    if cache is None:
        return ()
    from tautomer.middlewares.caching import Caching  # Who caches nothing does not import how.

    return (Caching(cache),)


def resolve(given: Sequence[Middleware | type[Middleware] | str | Mapping[str, Any]]) -> tuple[Middleware, ...]:
    """Instances of what was listed: middlewares, classes of them, names, or ``{"type": name, "options": {…}}``.

    Raises:
        BrokerOptionsError: A name or an option is not known, or something in the list is none of these.
    """
    return middleware.resolve(
        [
            _named(one, {}) if isinstance(one, str) else _described(one) if isinstance(one, Mapping) else one
            for one in given
        ]
    )


def _described(given: Mapping[str, Any]) -> Middleware:
    name, options = given.get("type"), given.get("options") or {}
    if unknown := [str(key) for key in given if key not in ("type", "options")]:
        raise BrokerOptionsError(f"middlewares: unknown setting '{unknown[0]:.80}'; known: options, type")
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise BrokerOptionsError("middlewares: a mapping has 'type', a name, and 'options', a mapping")
    return _named(name, options)


def _named(name: str, options: Mapping[str, Any]) -> Middleware:
    full = next((one for one in KNOWN if name.lower() in (one.lower(), one.lower().partition(".")[2])), None)
    if full is None:
        raise BrokerOptionsError(f"middlewares: '{name:.80}' is not known{nearest(name, KNOWN)}", {"name": name[:80]})
    import inspect  # Who lists no name does not pay for it.

    kind = __getattr__(full.partition(".")[2])
    options_of = list(inspect.signature(kind).parameters)
    if unknown := [str(option) for option in options if option not in options_of]:
        told = "; ".join(f"unknown setting '{option:.80}'{nearest(option, options_of)}" for option in unknown)
        raise BrokerOptionsError(f"{full}: {told}", {"unknown": unknown})
    made: Middleware = kind(**options)
    return made


def __getattr__(name: str) -> Any:
    match name:  # Who does without imports neither them nor the codec.
        case "Compression":
            from tautomer.middlewares.compression import Compression

            return Compression
        case "Encryption":
            from tautomer.middlewares.encryption import Encryption

            return Encryption
    raise AttributeError(f"module 'tautomer.middlewares' has no attribute {name!r}")
