"""RateLimiter: one limit of one route."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from inspect import isawaitable
from ipaddress import IPv6Address
from math import ceil, inf
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from tautomer.errors import ServiceUnavailableError
from tautomer.web.messages.message import Request
from tautomer.web.rate_limit.memory import MemoryStore
from tautomer.web.rate_limit.redis import RedisServer, RedisStore
from tautomer.web.rate_limit.store import Hit, OwnStore, RateLimitStore
from tautomer.web.settings.records import RateLimit, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["RateLimiter", "RateLimiters", "address_key"]

log = logging.getLogger("tautomer.web")

STORE_TIME: Final = 0.1
"""Seconds that a request waits for a store."""
STORE_PAUSE: Final = 1.0
"""Seconds for which a store is not asked after it failed, or every request would wait for it."""
WARNING_PAUSE: Final = 60.0

_KEY_CHARS_MAX: Final = 128


class RateLimiter:
    """Counts requests, and knows what happens when the store cannot.

    Args:
        settings: How often within which time.
        clock: Monotonic seconds.
        wall_ms: Milliseconds since 1970, for ``X-Rate-Limit-Reset``.

    Attributes:
        limit: Hits that a window allows.
        clock: As above.
        hit_at_once: Counts a hit of `address_key`, at this time, where that is what is counted, and here; else None.
    """

    def __init__(
        self, settings: RateLimit, store: RateLimitStore, clock: Callable[[], float], wall_ms: Callable[[], int]
    ) -> None:
        self.settings = settings
        self.limit = settings.limit
        self._store = store
        self.clock = clock
        self._wall_ms = wall_ms
        # Where nothing need be awaited, what a request costs is a look into a dict.
        self.hit_at_once = store.windows.hit if isinstance(store, MemoryStore) and settings.key is None else None
        self._limits = (
            f"X-Rate-Limit-Limit: {settings.limit}\r\n"
            f'RateLimit-Policy: "default";q={settings.limit};w={ceil(settings.window)}\r\n'
        )
        self._asks_again = self._warns_again = -inf

    async def count(self, request: Request) -> Hit | None:
        """Count the request. None where it has no key, or where the store failed and the limit then lets all in.

        Raises:
            ServiceUnavailableError: The store failed, and the limit then lets nobody in.
        """
        key = await self._key(request)
        if not key:
            return None
        if self.clock() >= self._asks_again:
            try:
                async with asyncio.timeout(STORE_TIME):
                    hit = self._store.hit(key)
                    return await hit if isawaitable(hit) else hit
            except Exception as error:
                self._failed(error)
        if self.settings.fail_open:
            return None
        raise ServiceUnavailableError("RATE_LIMIT_STORE_DOWN")

    def lines(self, hits: int, resets_in: float, reset: str) -> str:
        """What a client is told: moleculer-web's names, and those of draft-ietf-httpapi-ratelimit-headers-10.

        Args:
            reset: As `reset_line` made it for this window.
        """
        if not self.settings.headers:
            return ""
        left = str(self.limit - hits) if hits < self.limit else "0"
        return (
            f"{self._limits}X-Rate-Limit-Remaining: {left}\r\n{reset}"
            f'RateLimit: "default";r={left};t={ceil(resets_in) or 1}\r\n'
        )

    def reset_line(self, resets_in: float) -> str:
        """When there is room again, in milliseconds since 1970; the same for all hits of a window."""
        return f"X-Rate-Limit-Reset: {self._wall_ms() + int(resets_in * 1000 + 0.5)}\r\n"

    @staticmethod
    def seconds_left(resets_in: float) -> int:
        """Whole seconds until there is room again, at least 1."""
        return ceil(resets_in) or 1

    async def _key(self, request: Request) -> str:
        if self.settings.key is None:
            return address_key(request.client)
        key = self.settings.key(request)
        if isawaitable(key):
            key = await key
        if key is None or key is False or key == "":
            return ""
        text = str(key)
        # A stranger may have written it: what is kept of it is short.
        return text if len(text) <= _KEY_CHARS_MAX else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    def _failed(self, error: Exception) -> None:
        now = self.clock()
        self._asks_again = now + STORE_PAUSE
        if now >= self._warns_again:
            self._warns_again = now + WARNING_PAUSE
            log.warning(
                "rate limit store failed: %s",
                "requests are let in uncounted" if self.settings.fail_open else "requests are refused",
                # Not its text: that may hold the URL, and so a password.
                extra={"error": type(error).__name__, "seconds_max": STORE_TIME},
            )


def address_key(client: str) -> str:
    """What an address is counted by: of IPv6 the network of 64 bits, as each home and host has all of one (RFC 7421)."""
    if ":" not in client:
        return client or "unix"
    try:
        address = IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    mapped = address.ipv4_mapped
    return str(IPv6Address(int(address) >> 64 << 64) if mapped is None else mapped)


class RateLimiters:
    """The limiters of a gateway's routes, one for each route with a limit.

    Args:
        gateway: Full name of the gateway's service: gateways of one name share what they count in Redis.
    """

    def __init__(self, broker: Broker, gateway: str) -> None:
        self._broker = broker
        self._gateway = gateway
        # A route keeps its own.
        self._limiters: WeakValueDictionary[str, RateLimiter] = WeakValueDictionary()
        self._servers: dict[str, RedisServer] = {}

    def of(self, route: RouteSettings) -> RateLimiter | None:
        """The limiter of a route, the same for all its aliases; None where it has no limit.

        Raises:
            BrokerOptionsError: As `RedisServer`.
        """
        settings = route.guards.rate_limit
        if settings is None:
            return None
        name = route.name or route.path
        limiter = self._limiters.get(name)
        if limiter is None or limiter.settings is not settings:
            host = self._broker.host
            limiter = RateLimiter(settings, self._store(settings, name), self._broker.clock, host.wall_ms)
            self._limiters[name] = limiter
        return limiter

    def _store(self, settings: RateLimit, name: str) -> RateLimitStore:
        store, wall_ms = settings.store, self._broker.host.wall_ms
        if store is None:
            return MemoryStore(settings.window, self._broker.clock)
        if callable(store):
            return OwnStore(store(settings.window, settings, self._broker), settings.window, wall_ms)
        server = self._servers.get(store)
        if server is None:
            server = self._servers[store] = RedisServer(store)
        return RedisStore(server, settings.window, f"{self._gateway}/{name}", wall_ms)

    async def close(self) -> None:
        """Close what is connected."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
