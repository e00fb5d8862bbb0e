"""The built-in middlewares, each a policy put on hooks; and THE ORDER.

Outermost first, around the user's own middlewares and the handler:

1. Timeout: above validation, so that the time counts from when the call arrives.
2. Validating: below everything that counts or shortens calls, above the user's own, who may rely
   on params that were checked.

A built-in that is off for an action returns the handler unchanged, so that it is not in the chain.
"""

from __future__ import annotations

from tautomer.middleware import Middleware
from tautomer.middlewares.timeout import Timeout
from tautomer.middlewares.validating import Validating

__all__ = ["Timeout", "Validating", "built_in"]


def built_in(request_timeout: float | None) -> tuple[Middleware, ...]:
    """The built-in middlewares, the outermost first."""
    return (Timeout(request_timeout), Validating())
