"""Cache: what a node keeps, and what it does while the store is out of reach."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from tautomer._tasks import TaskScope
from tautomer.cachers.locks import Locks
from tautomer.cachers.masks import mask
from tautomer.cachers.options import CacherOptions
from tautomer.host import Host
from tautomer.ports import ABSENT, Cacher, LocalCacher, Release

__all__ = ["Cache", "Filling"]

log = logging.getLogger("tautomer.cacher")

T = TypeVar("T")

WARN_EVERY: Final = 60.0
MISSED_MAX: Final = 1_000
"""Masks to be cleaned once the store is back; when there are more, everything is."""

_PROBE_FIRST, _PROBE_MOST, _PROBE_WAIT = 0.1, 5.0, 2.0
_CLEAN_WAIT: Final = 30.0
_PROBE_KEY: Final = "$probe"


class Filling:
    """A call that is to fill an entry.

    Attributes:
        key: Of the entry.
        cleaned: How often it was since the call began; then what the call gives may be out of date already.
    """

    __slots__ = ("cleaned", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.cleaned = 0


class Cache:
    """`broker.cacher`: results of actions, and whatever else a service wants to keep.

    None of its methods raises. While the store is out of reach, nothing is found, nothing is kept, and nothing waits; it
    is looked for in the background, and what was to be deleted and cleaned meanwhile is, before it is used again.

    Args:
        prefix: Stands before every key in a store that is shared.

    Attributes:
        options: How it was set up.
        peek: As `get`, at once and without counting; gives `ABSENT` for nothing. None where the store is elsewhere.
        hits, misses: Of the calls of cached actions.
    """

    def __init__(self, cacher: Cacher, options: CacherOptions, host: Host, prefix: str) -> None:
        self._cacher = cacher
        self._clock = host.clock
        self._prefix = prefix
        self._scope = TaskScope("cacher")
        self._warned_at: dict[str, float] = {}
        self._fillings: dict[Filling, None] = {}
        self._missed: dict[tuple[bool, str], None] = {}
        self._turns = Locks()
        self._refused = 0
        self._outages = 0
        self.options = options
        self.peek: Callable[[str], Any] | None = cacher.peek if isinstance(cacher, LocalCacher) else None
        # What is shared knows its prefix once it was opened.
        self._away = self.peek is None
        self.hits = 0
        self.misses = 0

    # --- for services ---

    @property
    def connected(self) -> bool:
        """Whether the store is within reach, as far as is known."""
        return not self._away

    async def get(self, key: str, default: Any = None) -> Any:
        """What is kept under this key, or `default`."""
        value = await self.find(key)
        return default if value is ABSENT else value

    async def get_with_ttl(self, key: str, default: Any = None) -> tuple[Any, float | None]:
        """The same, and the seconds it has left; None: no end."""
        value, left = await self.find_with_ttl(key)
        return (default, None) if value is ABSENT else (value, left)

    async def set(self, key: str, value: Any, ttl: float | None = None) -> bool:
        """Keep a value for `ttl` seconds: 0 for no end, None for the cacher's own. False: it is not kept."""
        seconds = self.options.ttl if ttl is None else ttl
        if self._away:
            return False
        kept = await self._ask(self._cacher.set(key, value, seconds or None))
        if kept is False:
            self._refused += 1
            if self._may_warn("refused"):
                # What follows the name of the action are params, and no business of a log.
                log.warning(
                    "not cached: too large, or of a kind that cannot be", extra={"key": key.partition(":")[0][:200]}
                )
        return kept is True

    async def delete(self, keys: str | Sequence[str]) -> None:
        """Forget what is under this key, or these."""
        told = [keys] if isinstance(keys, str) else list(keys)
        for filling in self._fillings:
            filling.cleaned += filling.key in told
        if self._away or await self._ask(self._cacher.delete(told)) is ABSENT:
            self._to_do_later(False, told)

    async def clean(self, masks: str | Sequence[str] = "**") -> None:
        """Forget all whose keys fit a mask, or one of these: ``*`` and ``**`` are any text, ``?`` any character."""
        told = [masks] if isinstance(masks, str) else list(masks)
        if self._fillings:
            fits = [mask(one) for one in told]
            for filling in self._fillings:
                filling.cleaned += any(fit(filling.key) for fit in fits)
        if self._away or await self._ask(self._cacher.clean(told), _CLEAN_WAIT) is ABSENT:
            self._to_do_later(True, told)

    async def lock(self, key: str, ttl: float = 15.0, wait: float | None = None) -> Release | None:
        """Be the only one in all that share the store to have this lock.

        Args:
            ttl: Seconds after which it is void if its holder's node dies.
            wait: Seconds to wait for it, 0 for none; `ttl` if not given.

        Returns:
            A function that gives it back, to be awaited; None: it was not to be had.
        """
        seconds = ttl if wait is None else wait
        if self.peek is not None or self._away:
            return await self._lock(key, ttl, seconds)
        # Of a node only one at a time asks the store, where who waits has to ask again and again.
        until = self._clock() + seconds
        turn = await self._turns.take(key, seconds)
        if turn is None:
            return None
        held: Release | None = None
        try:
            held = await self._lock(key, ttl, max(0.0, until - self._clock()))
        finally:
            if held is None:
                turn.release()
        if held is None:
            return None
        store = held

        async def release() -> None:
            try:
                await self._ask(_done(store))  # If the store is gone, its time will end it.
            finally:
                turn.release()

        return release

    async def _lock(self, key: str, ttl: float, wait: float) -> Release | None:
        if self._away:
            return None
        found = await self._ask(self._cacher.lock(key, ttl, wait), wait + 2 * self.options.wait)
        return None if found is ABSENT else found

    # --- for the middleware ---

    async def find(self, key: str) -> Any:
        """What is kept under this key, or `ABSENT`."""
        return ABSENT if self._away else await self._ask(self._cacher.get(key))

    async def find_with_ttl(self, key: str) -> tuple[Any, float | None]:
        found = ABSENT if self._away else await self._ask(self._cacher.get_with_ttl(key))
        return (ABSENT, None) if found is ABSENT else found

    def begin(self, key: str) -> Filling:
        """A call begins that is to fill this entry; `end` is to be called."""
        filling = Filling(key)
        self._fillings[filling] = None
        return filling

    async def fill(self, filling: Filling, value: Any, ttl: float | None) -> None:
        """Keep what the call gave, unless the entry was cleaned while it ran."""
        kept = not filling.cleaned and await self.set(filling.key, value, ttl)
        if kept and filling.cleaned:  # While it was being kept.
            await self.delete(filling.key)

    def end(self, filling: Filling) -> None:
        self._fillings.pop(filling, None)

    def mesh_joined(self) -> None:
        """The node was apart from the others, and may not have heard what was to be cleaned."""
        if isinstance(self._cacher, LocalCacher):
            for filling in self._fillings:
                filling.cleaned += 1
            self._cacher.forget()

    # --- life ---

    async def open(self) -> None:
        """Get ready. A store that is out of reach holds nobody up."""
        self._away = False
        await self._ask(self._get_ready())

    async def close(self) -> None:
        await self._scope.close(0)
        self._away = True
        try:
            async with asyncio.timeout(_PROBE_WAIT):
                await self._cacher.close()
        except Exception:
            log.debug("the cacher was not closed in good order", exc_info=True)

    def statistics(self) -> dict[str, Any]:
        return {
            "name": self._cacher.name,
            "hits": self.hits,
            "misses": self.misses,
            "refused": self._refused,
            "outages": self._outages,
            "connected": self.connected,
        }

    # --- out of reach ---

    async def _ask(self, asked: Coroutine[Any, Any, T], wait: float | None = None) -> T | Any:
        """Ask the store, for at most `wait` seconds, None for the usual time. `ABSENT`: it failed."""
        try:
            if self.peek is not None:
                return await asked
            async with asyncio.timeout(self.options.wait if wait is None else wait):
                return await asked
        except Exception as error:
            self._lost(error)
            return ABSENT

    async def _get_ready(self) -> None:
        await self._cacher.open(self._prefix)
        await self._catch_up()

    def _lost(self, error: Exception) -> None:
        if self._away or self._scope.closed:
            return
        self._away = True
        self._outages += 1
        if self._may_warn("away"):
            reason = f"no answer in {self.options.wait:g} s" if isinstance(error, TimeoutError) else str(error)
            log.warning(
                "cacher out of reach: calls run uncached until it is back",
                extra={"cacher": self._cacher.name, "reason": f"{type(error).__name__}: {reason[:200]}"},
            )
        self._scope.spawn(self._come_back(), "come back")

    async def _come_back(self) -> None:
        pause = _PROBE_FIRST
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PROBE_MOST)
            try:
                async with asyncio.timeout(_PROBE_WAIT):
                    await self._cacher.open(self._prefix)
                    await self._cacher.get(_PROBE_KEY)
                async with asyncio.timeout(_CLEAN_WAIT):
                    await self._catch_up()
            except Exception as error:
                if self._may_warn("away"):
                    log.warning(
                        "cacher still out of reach",
                        extra={"cacher": self._cacher.name, "reason": type(error).__name__},
                    )
                continue
            self._away = False
            log.info("cacher is back", extra={"cacher": self._cacher.name})
            return

    def _to_do_later(self, is_mask: bool, told: Sequence[str]) -> None:
        for one in told:
            self._missed[is_mask, one] = None
        if len(self._missed) > MISSED_MAX:
            self._missed = {(True, "**"): None}

    async def _catch_up(self) -> None:
        while self._missed:
            is_mask, one = next(iter(self._missed))
            await (self._cacher.clean([one]) if is_mask else self._cacher.delete([one]))
            self._missed.pop((is_mask, one), None)

    def _may_warn(self, what: str) -> bool:
        now = self._clock()
        told_at = self._warned_at.get(what)
        if told_at is not None and now - told_at < WARN_EVERY:
            return False
        self._warned_at[what] = now
        return True


async def _done(release: Release) -> bool:
    await release()
    return True
