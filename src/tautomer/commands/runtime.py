"""Runtime: the pools, circuits and counters of a process, made from its configuration as they are needed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from tautomer._tasks import TaskScope
from tautomer.commands.measures import Measures
from tautomer.commands.options import (
    CommandOptions,
    PoolOptions,
    Retry,
    check_names,
    options_from,
    said_by,
)
from tautomer.commands.pools import Pool
from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.resilience.circuit import Circuit, CircuitBreaker
from tautomer.resilience.retry import Backoff, RetryBudget
from tautomer.resilience.rolling import RollingValues

__all__ = ["FALLBACKS", "CommandKey", "Listener", "Runtime"]

log = logging.getLogger("tautomer.commands")

FALLBACKS: Final = 10
"""Fallbacks that run at once, of all commands together."""

Listener: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Told of a circuit: ``opened``, ``half_opened`` or ``closed``, and ``{key, group, counts, sleep}``."""

_NAMES: Final = {Circuit.OPEN: "opened", Circuit.HALF_OPEN: "half_opened", Circuit.CLOSED: "closed"}


class CommandKey:
    """All that executions of one command key share.

    Attributes:
        name: The key.
        options: What holds now.
        circuit: None if it has none.
        measures: What is counted.
        budget: Of its retries; None if it has none.
        fallbacks: How many of its fallbacks run now.
        in_loop: Whether its `run` runs in the loop, as was seen last.
        batches: Sizes of its batches, if it belongs to a collapser.
    """

    __slots__ = ("batches", "budget", "circuit", "fallbacks", "in_loop", "measures", "name", "options", "said", "where")

    def __init__(self, name: str, said: dict[str, Any], where: tuple[str, str], measures: Measures) -> None:
        self.name = name
        self.said = said
        self.where = where
        self.options = CommandOptions()
        self.circuit: CircuitBreaker | None = None
        self.measures = measures
        self.budget: RetryBudget | None = None
        self.fallbacks = 0
        self.in_loop = False
        self.batches: RollingValues | None = None


class Runtime:
    """One for a process; tests have one of their own each.

    Args:
        host: Clock and chance.
        listeners: Told of each change of a circuit.
        inline: Run in the loop what would run in a thread; for tests.

    Attributes:
        lock: Held for a few lines by whoever touches a circuit or a counter, from whichever thread.
        pools: By name.
        keys: By command key.
        fallback_pool: Where all `def fallback` run.
        batches: Batches that are being collected outside of any request, by collapser and loop.
    """

    def __init__(self, host: Host, listeners: Mapping[Listener, None], inline: bool = False) -> None:
        self.clock = host.clock
        self.chance: random.Random = host.random
        self.inline = inline
        self.lock = RLock()
        self.pools: dict[str, Pool] = {}
        self.keys: dict[str, CommandKey] = {}
        self.wall_ms = host.wall_ms
        self.batches: dict[Any, Any] = {}
        self._listeners = listeners
        self.fallback_pool = Pool(PoolOptions(group_key="fallbacks", max_workers=FALLBACKS, max_queue=0), *self._world)
        self._classes: WeakKeyDictionary[type, CommandKey] = WeakKeyDictionary()
        self._scopes: WeakKeyDictionary[asyncio.AbstractEventLoop, TaskScope] = WeakKeyDictionary()
        self._defaults: dict[str, Any] = {}
        self._circuit_defaults: dict[str, Any] = {}
        self._circuits_enabled = True
        self._circuit_class = CircuitBreaker
        self._changes: dict[str, dict[str, Any]] = {}

    @property
    def _world(self) -> tuple[Callable[[], float], bool]:
        # Asked for each time: a broker may lend its clock later.
        return lambda: self.clock(), self.inline

    # --- configuration ---

    def configure_all(
        self,
        pools: Mapping[str, PoolOptions],
        defaults: Mapping[str, Any],
        circuit: Mapping[str, Any],
        circuits_enabled: bool,
        made_by: type[CircuitBreaker] = CircuitBreaker,
    ) -> None:
        """What `Component.install` has read. Pools that are there already are resized, others are left alone.

        Raises:
            BrokerOptionsError: A default makes no sense.
        """
        check_names(defaults, "defaults")
        options_from({**defaults, "circuit_breaker": dict(circuit)}, {}, "defaults")
        with self.lock:
            self._defaults, self._circuit_defaults = dict(defaults), dict(circuit)
            self._circuits_enabled, self._circuit_class = circuits_enabled, made_by
            for name, options in pools.items():
                if name in self.pools:
                    self.pools[name].resize(options)
                else:
                    self.pools[name] = Pool(options, *self._world)
            for key in self.keys.values():
                self._apply(key)

    def configure(self, name: str, changes: Mapping[str, Any]) -> None:
        """Other options for one command key from now on, whether it is known already or not.

        Raises:
            BrokerOptionsError: There is no such option, or it makes no sense.
        """
        where = f"configure({name!r})"
        check_names(changes, where)
        if "command_key" in changes:
            raise BrokerOptionsError(f"{where}: the command key itself cannot be another")
        options_from(changes, {}, where)
        with self.lock:
            before = self._changes.get(name, {})
            merged = {**before, **changes}
            if isinstance(merged.get("circuit_breaker"), Mapping) and isinstance(
                before.get("circuit_breaker"), Mapping
            ):
                merged["circuit_breaker"] = {**before["circuit_breaker"], **merged["circuit_breaker"]}
            self._changes[name] = merged
            if name in self.keys:
                self._apply(self.keys[name])

    # --- keys and pools ---

    def key_of(self, cls: type, base: type) -> CommandKey:
        """The key of a class of commands; made at its first use.

        Raises:
            BrokerOptionsError: It says something that makes no sense, or another class has the same key and says otherwise.
        """
        found = self._classes.get(cls)
        if found is not None:
            return found
        said = said_by(cls, base)
        name = said.pop("command_key", None) or cls.__qualname__
        if not isinstance(name, str):
            raise BrokerOptionsError(f"command_key of {cls.__qualname__} is a text, not {name!r}")
        where = (cls.__module__, cls.__qualname__)
        with self.lock:
            key = self.keys.get(name)
            if key is None:
                key = CommandKey(name, said, where, Measures([] if self.inline else None))
                self._apply(key)
                self.keys[name] = key
            elif key.where == where:
                if key.said != said:  # The class was defined anew, as one does at a prompt.
                    key.said = said
                    self._apply(key)
            elif self._options(said, name) != self._options(key.said, name):
                raise BrokerOptionsError(
                    f"command_key {name!r} is that of {cls.__qualname__} and of {key.where[1]}, which differ in their "
                    "group or options: give one of the two another command_key"
                )
            self._classes[cls] = key
        return key

    def pool_of(self, options: CommandOptions) -> Pool:
        """The pool of a command; one with the defaults is made where nobody configured it."""
        name = options.pool_key
        pool = self.pools.get(name)
        if pool is None:
            with self.lock:
                pool = self.pools.get(name)
                if pool is None:
                    pool = self.pools[name] = Pool(PoolOptions(group_key=name), *self._world)
        return pool

    def scope(self, loop: asyncio.AbstractEventLoop) -> TaskScope:
        """The tasks of one loop."""
        found = self._scopes.get(loop)
        if found is None:
            with self.lock:
                # A scope knows its loop, and so would keep it for ever.
                for gone in [one for one in self._scopes if one.is_closed()]:
                    del self._scopes[gone]
                found = self._scopes.setdefault(loop, TaskScope("commands"))
        return found

    def _options(self, said: Mapping[str, Any], name: str) -> CommandOptions:
        changes = self._changes.get(name, {})
        merged = {**self._defaults, **said, **changes}
        own, changed = said.get("circuit_breaker"), changes.get("circuit_breaker")
        if isinstance(own, Mapping) and isinstance(changed, Mapping):
            merged["circuit_breaker"] = {**own, **changed}
        if not self._circuits_enabled:
            merged["circuit_breaker"] = False
        return options_from(merged, self._circuit_defaults, f"command {name!r}")

    def _apply(self, key: CommandKey) -> None:
        before, options = key.options, self._options(key.said, key.name)
        key.options = options
        spender = options.retry or options.hedge
        if spender is None:
            key.budget = None
        elif key.budget is None or spender != (before.retry or before.hedge):
            key.budget = RetryBudget(spender.budget, spender.budget_per_second)
        settings = options.circuit_breaker
        if settings is None:
            key.circuit = None
            return
        if key.circuit is None:
            key.circuit = self._circuit_class(settings.options, partial(self._changed, key))
        else:
            key.circuit.configure(settings.options)
        was_forced = key.circuit.state in (Circuit.FORCED_OPEN, Circuit.FORCED_CLOSED, Circuit.METRICS_ONLY)
        if settings.forced is not None:
            key.circuit.force(settings.forced)
        elif was_forced:
            key.circuit.reset()

    def _changed(self, key: CommandKey, _before: Circuit, after: Circuit) -> None:
        circuit = key.circuit
        assert circuit is not None
        counts = {"total": circuit.counts.total, "errors": circuit.counts.errors, "slow": circuit.counts.slow}
        told: dict[str, Any] = {"key": key.name, "group": key.options.group_key, "counts": counts}
        told["sleep"] = circuit.sleep
        state = _NAMES.get(after, after.value)
        log.log(logging.WARNING if after is Circuit.OPEN else logging.INFO, f"circuit {state}", extra=told)
        for listener in list(self._listeners):
            try:
                listener(state, told)
            except Exception:
                log.exception("a listener to circuits failed", extra={"key": key.name})


def backoff_of(retry: Retry) -> Backoff:
    """The pauses between attempts."""
    return Backoff(delay=retry.delay, factor=retry.factor, max_delay=retry.max_delay, jitter=retry.jitter)
