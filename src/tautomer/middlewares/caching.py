"""Caching of what the actions of this node give."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tautomer._tasks import TaskScope
from tautomer.cachers.cache import Cache
from tautomer.cachers.copies import duplicate
from tautomer.cachers.keys import Keygen, key_maker, limited
from tautomer.cachers.options import CacheSettings, LockSettings, snake
from tautomer.context import Context, RawResult
from tautomer.errors import RequestSkippedError
from tautomer.middleware import Middleware, Verb
from tautomer.ports import ABSENT, Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.settings import chosen
from tautomer.stream import is_stream

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Caching"]

log = logging.getLogger("tautomer.cacher")

REFRESHING_MAX: Final = 100
"""Results that are made anew in the background at once. Of more, none is begun; the next call begins it."""


class Caching(Middleware):
    """Answers a call of an action with `cache` from what an earlier one gave, where the key is the same.

    Errors, streams and calls that bring a stream are not cached.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._scope = TaskScope("caching")

    def broadcast_local(self, next_broadcast: Verb) -> Verb:
        def tell(event: str, data: Any, options: Any) -> Any:
            if event == "$transporter.connected":
                self._cache.mesh_joined()
            return next_broadcast(event, data, options)

        return tell

    async def broker_starting(self, broker: Broker) -> None:
        await self._cache.open()

    async def broker_stopped(self, broker: Broker) -> None:
        await self._scope.close(0)
        await self._cache.close()

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        settings = _settings(endpoint)
        if not settings.enabled or endpoint.name.startswith("$"):
            return next_handler
        lock = settings.lock
        assert isinstance(lock, LockSettings)
        filling = _Filling(self._cache, self._scope, endpoint, settings.ttl, lock, next_handler)
        answer = filling.locked if lock.enabled else filling.plain
        asked = settings.enabled if callable(settings.enabled) else None
        key_of = self._keygen(endpoint.name, settings)
        return _around(
            self._cache, next_handler, key_of, answer, asked, may_peek=not (lock.enabled and lock.stale_time)
        )

    def _keygen(self, name: str, settings: CacheSettings) -> Keygen:
        options = self._cache.options
        own = settings.keygen or options.keygen
        if own is None:
            return key_maker(name, settings.keys, options.key_format, options.max_params_length, options.exact_keys)
        made = own

        def keygen(ctx: Context[Any]) -> str | None:
            key = made(ctx)
            return limited(key, options.max_params_length) if isinstance(key, str) else None

        return keygen


def _around(
    cache: Cache,
    next_handler: Handler,
    key_of: Keygen,
    answer: Callable[[Context[Any], str], Any],
    asked: Callable[[Context[Any]], Any] | None,
    *,
    may_peek: bool,
) -> Handler:
    peek = cache.peek if may_peek and cache.peek is not None else _nothing

    async def cached(ctx: Context[Any]) -> Any:
        meta = ctx._meta
        if (
            (meta is not None and meta.get("$cache") is False)
            or (asked is not None and not asked(ctx))
            or (ctx._extras is not None and ctx.stream is not None)
            or (key := key_of(ctx)) is None
        ):
            return await next_handler(ctx)
        value = peek(key)
        if value is ABSENT:
            return await answer(ctx, key)
        cache.hits += 1
        ctx.cached_result = True
        return value

    return cached


class _Filling:
    """What is done for an action where nothing is at hand: look in the store, else run, and keep what it gives."""

    def __init__(
        self,
        cache: Cache,
        scope: TaskScope,
        endpoint: Endpoint,
        ttl: float | None,
        lock: LockSettings,
        next_handler: Handler,
    ) -> None:
        self._cache = cache
        self._scope = scope
        self._endpoint = endpoint
        self._ttl = ttl
        self._lock = lock
        self._next = next_handler

    async def plain(self, ctx: Context[Any], key: str) -> Any:
        if self._cache.peek is None and (value := await self._cache.find(key)) is not ABSENT:
            return self._hit(ctx, value)
        self._cache.misses += 1
        return await self._run(ctx, key)

    async def locked(self, ctx: Context[Any], key: str) -> Any:
        """Of those that ask for the same at once, one runs."""
        value = await self._look(ctx, key)
        if value is not ABSENT:
            return self._hit(ctx, value)
        release = await self._wait(ctx, key)
        try:
            # Whoever had the lock before has left the result; who waited in vain looks, too.
            value = await self._cache.find(key)
            if value is not ABSENT:
                return self._hit(ctx, value)
            self._cache.misses += 1
            return await self._run(ctx, key)
        finally:
            if release is not None:
                await release()

    def _hit(self, ctx: Context[Any], value: Any) -> Any:
        self._cache.hits += 1
        ctx.cached_result = True
        return value

    async def _run(self, ctx: Context[Any], key: str) -> Any:
        filling = self._cache.begin(key)
        try:
            result = await self._next(ctx)
            if not is_stream(result) and type(result) is not RawResult and not _is_fallback(ctx):
                await self._cache.fill(filling, result, self._ttl)
            return result
        finally:
            self._cache.end(filling)

    async def _look(self, ctx: Context[Any], key: str) -> Any:
        if not self._lock.stale_time:
            return await self._cache.find(key)
        value, left = await self._cache.find_with_ttl(key)
        if value is not ABSENT and left is not None and left < self._lock.stale_time:
            await self._begin_refresh(ctx, key)
        return value

    async def _wait(self, ctx: Context[Any], key: str) -> Any:
        """The lock, or None if it is not to be had in its time.

        Raises:
            RequestSkippedError: The call's own time was over first.
        """
        wait = self._lock.ttl
        deadline = ctx.deadline
        clock = ctx.broker.clock
        if deadline is not None:
            wait = min(wait, max(0.0, deadline - clock()))
        release = await self._cache.lock(key, self._lock.ttl, wait)
        if release is None and deadline is not None and clock() >= deadline:
            raise RequestSkippedError(self._endpoint.name, ctx.broker.node_id)
        return release

    async def _begin_refresh(self, ctx: Context[Any], key: str) -> None:
        if len(self._scope) >= REFRESHING_MAX or self._scope.closed:
            return
        release = await self._cache.lock(key, self._lock.ttl, 0)
        if release is None:
            return  # Somebody is at it.
        # The call will be answered, and its context is its caller's, before this one has run.
        own = ctx.copy()
        try:
            own.params, own._meta = duplicate(ctx.params), duplicate(ctx._meta)
        except Exception:
            log.debug("a result was not made anew: its params cannot be copied", exc_info=True)
            await release()
            return
        own.deadline, own.timeout, own._id = ctx.broker.clock() + self._lock.ttl, None, None
        self._scope.spawn(self._refresh(own, key, release), f"refresh {self._endpoint.name}")

    async def _refresh(self, ctx: Context[Any], key: str, release: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(self._lock.ttl):
                await self._run(ctx, key)
        except Exception as error:
            # As Node does: the next call runs, and its caller sees what is wrong.
            log.warning(
                "a stale result could not be made anew",
                extra={"action": self._endpoint.name, "reason": type(error).__name__},
            )
            await self._cache.delete(key)
        finally:
            await release()


def _settings(endpoint: Endpoint) -> CacheSettings:
    """What the action says, or its service for all of its own by ``$cache``."""
    usual = CacheSettings()
    if endpoint.definition is None:
        return usual
    own = endpoint.definition.extra.get("cache")
    if own is None:
        service = getattr(endpoint.definition.method, "__self__", None)
        own = getattr(service, "settings", {}).get("$cache")
    if isinstance(own, Mapping):
        own = {snake(str(name)): one for name, one in own.items()}
    return chosen(usual, own, f"cache of '{endpoint.name}'")


def _is_fallback(ctx: Context[Any]) -> bool:
    """Whether a command's fallback has had a part in the result, here or in a call inside."""
    return ctx.fallback_result or (ctx._meta is not None and ctx._meta.get("$fallback") is True)


def _nothing(_key: str) -> Any:
    return ABSENT
