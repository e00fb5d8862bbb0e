"""Redis: results shared by all nodes of a mesh, Node.js ones too.

Keys, values and locks are those of Node's cacher (protocol sections 11.3 to 11.5).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tautomer.cachers.options import CacherOptions
from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.ports import ABSENT, Release

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisCacher"]

LINES_MAX: Final = 50
"""Connections to the server. Who finds all in use waits for one."""

_SCAN: Final = 500
_PAUSE, _PAUSE_MAX = 0.02, 0.2
_RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class RedisCacher:
    """Values are JSON, as Node writes them.

    Args:
        options: `redis`, `value_bytes_max` and `wait` are its own.

    Raises:
        BrokerOptionsError: The library is missing, or the URL is none.
    """

    name = "Redis"

    def __init__(self, options: CacherOptions, host: Host) -> None:
        self._options = options
        self._host = host
        self._prefix = "MOL-"
        self._encode = msgspec.json.Encoder().encode
        self._client = _connect(options)

    async def open(self, prefix: str) -> None:
        self._prefix = prefix
        await self._client.ping()

    async def get(self, key: str) -> Any:
        name = self._name(key)
        return ABSENT if name is None else _value(await self._client.get(name))

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        name = self._name(key)
        if name is None:
            return ABSENT, None
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(name)
            pipeline.pttl(name)
            data, left = await pipeline.execute()
        return _value(data), left / 1000 if left >= 0 else None

    async def set(self, key: str, value: Any, ttl: float | None) -> bool:
        name = self._name(key)
        try:
            data = self._encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False
        if name is None or len(data) > self._options.value_bytes_max:
            return False
        await self._client.set(name, data, px=None if ttl is None else max(1, round(ttl * 1000)))
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        names = [name for key in keys if (name := self._name(key)) is not None]
        if names:
            await self._client.delete(*names)

    async def clean(self, masks: Sequence[str]) -> None:
        for mask in masks:
            pattern = re.sub(r"([*?])", r"\\\1", _literal(self._prefix)) + _literal(re.sub(r"\*+", "*", mask))
            match, place = pattern.encode("utf-8", "replace"), 0
            while True:
                place, found = await self._soon(self._client.scan(place, match=match, count=_SCAN))
                if found:
                    await self._soon(self._client.unlink(*found))
                if not place:
                    break

    async def lock(self, key: str, ttl: float, wait: float) -> Release | None:
        name = self._name(f"{key}-lock")
        if name is None:
            return None
        token, clock = self._host.new_id(), self._host.clock
        until, pause = clock() + wait, _PAUSE

        async def release() -> None:
            await self._client.eval(_RELEASE, 1, name, token)

        try:
            while not await self._take(name, token, ttl):
                left = until - clock()
                if left <= 0:
                    return None
                # Not all who wait at once ask again at once.
                await asyncio.sleep(min(left, pause * self._host.random.uniform(0.5, 1.5)))
                pause = min(pause * 2, _PAUSE_MAX)
        except asyncio.CancelledError:
            await self._soon(release())  # It may have been had at the very moment.
            raise
        return release

    async def close(self) -> None:
        await self._client.aclose()

    async def _take(self, name: bytes, token: str, ttl: float) -> bool:
        return bool(await self._soon(self._client.set(name, token, nx=True, px=max(1, round(ttl * 1000)))))

    async def _soon(self, asked: Awaitable[Any]) -> Any:
        """One step of what may take longer as a whole."""
        async with asyncio.timeout(self._options.wait):
            return await asked

    def _name(self, key: str) -> bytes | None:
        """The key in the store. One with half a surrogate pair has none that is its own."""
        try:
            return (self._prefix + key).encode()
        except UnicodeEncodeError:
            return None


def _connect(options: CacherOptions) -> Redis:
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as missing:
        raise BrokerOptionsError('the Redis cacher needs: pip install "tautomer[redis]"') from missing
    try:
        pool = BlockingConnectionPool.from_url(
            options.redis,
            max_connections=LINES_MAX,
            # Whoever asks ends the wait. With a time of its own the library writes through `wait_for`, which on
            # Python 3.11 now and then takes a cancel for nothing; then the call would wait on.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        # The error would show the URL, with its password (promise S5).
        raise BrokerOptionsError("the URL of the Redis cacher is none, such as redis://localhost:6379/0") from None
    return Redis.from_pool(pool)


def _value(data: Any) -> Any:
    """What was stored; nothing, if somebody else stored what is no JSON."""
    if data is None:
        return ABSENT
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return ABSENT


def _literal(text: str) -> str:
    """Brackets stand for themselves: keys are full of them."""
    return re.sub(r"([\[\]\\])", r"\\\1", text)
