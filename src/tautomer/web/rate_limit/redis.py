"""RedisStore: hits that several gateways count together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tautomer.errors import BrokerOptionsError
from tautomer.web.rate_limit.store import Hit

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

__all__ = ["RedisServer", "RedisStore"]

CONNECTIONS_MAX: Final = 50


class RedisServer:
    """The connections to one Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.

    Raises:
        BrokerOptionsError: A library is not installed, or the URL is none.
    """

    def __init__(self, url: str) -> None:
        try:
            from limits.aio.storage import RedisStorage  # Only who counts in Redis needs it.
            from redis.asyncio import BlockingConnectionPool
        except ModuleNotFoundError as error:
            raise BrokerOptionsError(
                f"rateLimit.store needs '{error.name}': pip install 'tautomer[ratelimit,redis]'"
            ) from error
        try:
            self._pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS_MAX)
            pool: dict[str, Any] = {"connection_pool": self._pool}  # It alone says where to connect.
            self.storage: RedisStorage = RedisStorage(
                "async+redis://", implementation="redispy", key_prefix="tautomer", **pool
            )
        except ValueError:
            # Neither its words nor the URL: they may hold a password.
            raise BrokerOptionsError(
                "rateLimit.store is redis://[user:password@]host[:port][/number], rediss://… or unix:///path"
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class RedisStore:
    """Fixed windows, one for each key, which begins with the first hit.

    Args:
        server: Where they are counted.
        window: Seconds; Redis counts whole ones.
        name: Of what is limited. Stores of one name on one server count together.
        wall_ms: Milliseconds since 1970.
    """

    def __init__(self, server: RedisServer, window: float, name: str, wall_ms: Callable[[], int]) -> None:
        self._storage = server.storage
        self._window = math.ceil(window)
        self._name = name
        self._wall_ms = wall_ms

    async def hit(self, key: str) -> Hit:
        """Count one more hit of the key. Raises what the client library raises."""
        name = f"{self._name}/{key}"
        count = await self._storage.incr(name, self._window)
        if count == 1:
            return Hit(1, self._window)
        ends = await self._storage.get_expiry(name)  # Seconds since 1970: now, and the whole ones that are left.
        return Hit(count, max(0, round(ends - self._wall_ms() / 1000)))
