"""Component: the configuration of all commands of a process, and what they show of themselves."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from tautomer.commands.loops import Loops
from tautomer.commands.measures import Measures
from tautomer.commands.options import PoolOptions
from tautomer.commands.runtime import Listener, Runtime
from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.resilience.circuit import Circuit, CircuitBreaker
from tautomer.settings import CommandSettings, nearest

__all__ = ["Component", "Testing", "component"]

log = logging.getLogger("tautomer.commands")

KEYS: Final = (
    "executor_pool",
    "circuit_breaker_enabled",
    "circuit_breaker_impl",
    "circuit_breaker_options",
    "defaults",
)
"""What `Component.install` reads."""

_MISSPELT: Final = {
    "circuit_beaker_enabled": "circuit_breaker_enabled",
    "circuit_beaker_impl": "circuit_breaker_impl",
    "circuit_beaker_options": "circuit_breaker_options",
}
"""Blackgate's own spelling."""


class Component:
    """Settings of commands (resilience reference, section 4).

    ```python
    component.add("executor_pool", {"group_key": "service.session", "max_workers": 10})
    component.install()
    ```

    Keys:
        executor_pool: A list, made by `add`: ``{"group_key", "max_workers": 10, "max_queue": max_workers, "isolation": "auto"}``.
            A group without a pool gets one with these defaults.
        circuit_breaker_enabled: False for no circuits at all.
        circuit_breaker_options: Options of all circuits, on top of which a command says its own.
        circuit_breaker_impl: Class of circuits, or its dotted name; `CircuitBreaker` or a subclass of it.
        defaults: Options of all commands.

    Attributes:
        configurations: What was said.
        loops: Where commands run that are executed outside of any loop.
    """

    def __init__(self, host: Host | None = None) -> None:
        # Names and addresses of the machine, which take time to find out, are nothing to commands.
        self._host = host or Host(hostname="", ip_list=())
        self._listeners: dict[Listener, None] = {}
        self._runtime = Runtime(self._host, self._listeners)
        self._uncached: set[str] = set()
        self.configurations: dict[str, Any] = {}
        self.loops = Loops()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @property
    def runtime(self) -> Runtime:
        """Pools, circuits and counters that are in force."""
        return self._runtime

    # --- configuration ---

    def add(self, key: str, value: Any) -> None:
        """Append to the list under a key.

        Raises:
            TypeError: Something was `set` there that is no list.
        """
        listed = self.configurations.setdefault(key, [])
        if not isinstance(listed, list):
            raise TypeError(f"{key!r} was set to {listed!r:.80}, which is no list to add to")
        listed.append(value)

    def set(self, key: str, value: Any) -> None:
        """Set a key."""
        self.configurations[key] = value

    def delete(self, key: str) -> None:
        """Forget a key.

        Raises:
            KeyError: There is none.
        """
        del self.configurations[key]

    def install(self) -> None:
        """Read the configuration, make pools and circuits. Needs no loop. Again: pools are resized, others are kept.

        Raises:
            BrokerOptionsError: Something in it makes no sense; then nothing of it counts.
        """
        found = _known(self.configurations)
        pools: dict[str, PoolOptions] = {}
        listed = found.get("executor_pool", [])
        for one in listed if isinstance(listed, list | tuple) else [listed]:
            options = _pool(one)
            if options.group_key in pools and pools[options.group_key] != options:
                log.warning("two pools for one group: the last counts", extra={"group": options.group_key})
            pools[options.group_key] = options
        circuit = found.get("circuit_breaker_options", {})
        defaults = found.get("defaults", {})
        for name, value in (("circuit_breaker_options", circuit), ("defaults", defaults)):
            if not isinstance(value, Mapping):
                raise BrokerOptionsError(f"component: {name} is a mapping, not {value!r:.80}")
        enabled = found.get("circuit_breaker_enabled", True)
        if not isinstance(enabled, bool):
            raise BrokerOptionsError(f"component: circuit_breaker_enabled is true or false, not {enabled!r}")
        made_by = _implementation(found.get("circuit_breaker_impl"))
        self._runtime.configure_all(pools, defaults, circuit, enabled, made_by)

    def take(self, settings: CommandSettings) -> None:
        """What a broker's settings say, on top of what was said, and `install`.

        Raises:
            BrokerOptionsError: Something in it makes no sense.
        """
        pools = {_pool(one).group_key: one for one in settings.executor_pool}
        listed = self.configurations.get("executor_pool", [])
        before = [one for one in listed if _pool(one).group_key not in pools]
        self.configurations["executor_pool"] = [*before, *pools.values()]
        for name in ("circuit_breaker_options", "defaults"):
            own = getattr(settings, name)
            self.configurations[name] = {**self.configurations.get(name, {}), **own}
        if not settings.circuit_breaker_enabled:
            self.configurations["circuit_breaker_enabled"] = False
        self.install()

    def configure(self, command_key: str, **changes: Any) -> None:
        """Other options for one command key, from now on; while it runs, and before it is known.

        Raises:
            BrokerOptionsError: There is no such option, or it makes no sense.
        """
        self._runtime.configure(command_key, changes)

    # --- to look at, and to steer by hand ---

    def statistics(self) -> dict[str, Any]:
        """Pools, circuits and counters, by name."""
        runtime = self._runtime
        with runtime.lock:
            now = runtime.clock()
            pools = {name: pool.statistics() for name, pool in runtime.pools.items()}
            circuits = {
                name: {
                    "state": key.circuit.state.value,
                    "total": key.circuit.counts.total,
                    "errors": key.circuit.counts.errors,
                    "retry_after": key.circuit.retry_after(now),
                }
                for name, key in runtime.keys.items()
                if key.circuit is not None
            }
            commands = {
                name: {
                    "group": key.options.group_key,
                    "running": key.measures.running,
                    "events": dict(key.measures.events.ever),
                    "of_late": dict(key.measures.events.of_late(now)),
                }
                for name, key in runtime.keys.items()
            }
        return {"pools": pools, "circuits": circuits, "commands": commands}

    def circuit(self, command_key: str) -> CircuitBreaker | None:
        """The circuit of a command key that was used; None if it has none.

        Raises:
            KeyError: No command with that key was used yet.
        """
        return self._runtime.keys[command_key].circuit

    def open(self, command_key: str) -> None:
        """Hold a circuit open, until `reset`."""
        self.configure(command_key, circuit_breaker={"force_open": True, "force_closed": False, "metrics_only": False})
        log.warning("circuit opened by hand", extra={"key": command_key})

    def close(self, command_key: str) -> None:
        """Hold a circuit closed, until `reset`."""
        self.configure(command_key, circuit_breaker={"force_closed": True, "force_open": False, "metrics_only": False})
        log.warning("circuit closed by hand", extra={"key": command_key})

    def reset(self, command_key: str) -> None:
        """Close a circuit as new, and leave it to itself."""
        self.configure(command_key, circuit_breaker={"force_open": False, "force_closed": False, "metrics_only": False})
        circuit = self.circuit(command_key) if command_key in self._runtime.keys else None
        if circuit is not None:
            with self._runtime.lock:
                circuit.reset()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of circuits: ``(state, {key, group, counts, sleep})``, in whichever thread. Returns what ends it."""
        self._listeners[listener] = None

        def end() -> None:
            self._listeners.pop(listener, None)

        return end

    def warn_uncached(self, command_key: str) -> None:
        """Say once that a cache key is of no use: there is no request."""
        if command_key not in self._uncached:
            self._uncached.add(command_key)
            log.warning(
                "nothing is kept of a command with a cache key: it runs in no request; see `request_context`",
                extra={"command": command_key},
            )

    @contextmanager
    def testing(self, clock: Callable[[], float] | None = None) -> Iterator[Testing]:
        """For tests: pools, circuits and counters of their own, what would run in a thread runs at once, on this clock.

        The configuration is that of the process; what is changed in the block ends with it.
        """
        before, said = self._runtime, dict(self.configurations)
        host = self._host if clock is None else Host(clock=clock, hostname="", ip_list=())
        self._runtime = Runtime(host, self._listeners, inline=True)
        try:
            self.install()
            yield Testing(self)
        finally:
            self._runtime, self.configurations = before, said

    def _forked(self) -> None:
        """A child process has neither the threads nor the loops of its parent."""
        self._runtime = Runtime(self._host, self._listeners)
        self.loops = Loops()
        self.install()


class Testing:
    """What `Component.testing` gives."""

    __test__ = False  # No test class, whatever its name.

    def __init__(self, of: Component) -> None:
        self._component = of

    def trip(self, command_key: str) -> None:
        """Open a circuit, as if too much had failed."""
        runtime = self._component.runtime
        circuit = self._component.circuit(command_key)
        if circuit is None:
            raise BrokerOptionsError(f"command {command_key!r} has no circuit")
        with runtime.lock:
            circuit.trip(runtime.clock())

    def events(self, command_key: str) -> list[str]:
        """All events of a command key, in their order."""
        return list(self._measures(command_key).recorded or ())

    def state(self, command_key: str) -> Circuit | None:
        """Where a circuit stands; None if there is none."""
        circuit = self._component.circuit(command_key)
        return None if circuit is None else circuit.state

    def _measures(self, command_key: str) -> Measures:
        return self._component.runtime.keys[command_key].measures


def _known(configurations: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in configurations.items():
        if name in _MISSPELT:
            log.warning("a misspelt setting is taken for what it means", extra={"setting": name, "as": _MISSPELT[name]})
            found.setdefault(_MISSPELT[name], value)
        elif name in KEYS:
            found[name] = value
        else:
            raise BrokerOptionsError(f"component: there is no setting {name!r}{nearest(name, KEYS)}")
    return found


def _pool(one: object) -> PoolOptions:
    if isinstance(one, PoolOptions):
        return one
    if not isinstance(one, Mapping):
        raise BrokerOptionsError(
            f"executor_pool is a dict such as {{'group_key': 'x', 'max_workers': 10}}, not {one!r:.80}"
        )
    if "group_key" not in one:
        raise BrokerOptionsError(f"executor_pool needs a group_key: {dict(one)!r:.80}")
    return PoolOptions(**one)


def _implementation(said: object) -> type[CircuitBreaker]:
    if said is None:
        return CircuitBreaker
    made = said
    if isinstance(said, str):
        module, _, name = said.rpartition(".")
        try:
            made = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise BrokerOptionsError(f"component: there is no circuit_breaker_impl {said!r}: {error}") from error
    if isinstance(made, type) and issubclass(made, CircuitBreaker):
        return made
    raise BrokerOptionsError(f"component: circuit_breaker_impl is a class of circuit breakers, not {said!r:.80}")


component: Final = Component()
"""That of this process."""
