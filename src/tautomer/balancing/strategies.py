"""Strategies by name and options, for a whole node and for single actions and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from tautomer.balancing.latencies import Latencies
from tautomer.balancing.options import OPTIONS, read_options, snake_case, wire_options
from tautomer.balancing.sampling import CpuUsage, Latency
from tautomer.balancing.turns import Chance, Random, RoundRobin
from tautomer.errors import BrokerOptionsError
from tautomer.ports import Strategy
from tautomer.settings import nearest

StrategyFactory: TypeAlias = Callable[..., Strategy]
"""A class or a function that makes a strategy; it is given the options by keyword."""

_NAMES: Final = {name.lower(): name for name in OPTIONS}


class Strategies:
    """Makes the strategies of one node: one for each action and each group of listeners.

    Args:
        chance: Source of chance.
        strategy: What to take where a definition says nothing: a name, or what makes one.
        options: Its options, in snake_case or as Node spells them.
        to_text: Makes a text of a shard key that is none, as JavaScript does.

    Raises:
        BrokerOptionsError: No strategy has that name, or an option is unknown or does not fit.

    Attributes:
        latencies: What `Latency` reads.
    """

    __slots__ = ("_chance", "_default", "_make", "_options", "_to_text", "latencies")

    def __init__(
        self,
        chance: Chance,
        strategy: str | StrategyFactory = "RoundRobin",
        options: Mapping[str, Any] | None = None,
        to_text: Callable[[object], str] = str,
    ) -> None:
        self._chance = chance
        self._to_text = to_text
        self._options = options or {}
        self.latencies = Latencies()
        self._default = strategy
        self._make = self.maker(strategy, self._options)

    def maker(self, strategy: str | StrategyFactory, options: Mapping[str, Any]) -> Callable[[], Strategy]:
        """A function that makes such a strategy.

        Raises:
            BrokerOptionsError: As above.
        """
        if not isinstance(strategy, str):
            if not callable(strategy):
                raise BrokerOptionsError(f"registry.strategy is a name or a class, not {strategy!r}")
            return partial(strategy, **options)
        name = _known(strategy)
        read = read_options(name, options)
        match name:
            case "RoundRobin":
                return RoundRobin
            case "Random":
                return partial(Random, self._chance)
            case "CpuUsage":
                return partial(CpuUsage, self._chance, **read)
            case "Latency":
                return partial(Latency, self._chance, self.latencies, **read)
        # Imported where it is used, as it brings the libraries of hashing with it.
        from tautomer.balancing.shard import Shard

        return partial(Shard, self._chance, to_text=self._to_text, **read)

    def own(self, defined: Mapping[str, Any], service: Mapping[str, Any]) -> Callable[[], Strategy] | None:
        """What makes the strategy of an action or event of this node; None if nothing is said of it.

        Args:
            defined: What its mark says: ``strategy``, and ``strategy_options`` (or ``strategyOptions``).
            service: The service's settings, where ``$strategy`` and ``$strategyOptions`` hold for all its actions
                and events.

        Raises:
            BrokerOptionsError: As above.
        """
        strategy, options = _said(defined, service)
        return None if strategy is None and options is None else self._specified(strategy, options)

    def wire(self, defined: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of INFO that say the same to other nodes. What has no name is not told."""
        strategy, options = _said(defined, service)
        name = self._default if strategy is None else strategy
        if not isinstance(name, str) or (strategy is None and options is None):
            return {}
        name = _known(name)
        return (
            {"strategy": name}
            if options is None
            else {"strategy": name, "strategyOptions": wire_options(name, options)}
        )

    def for_list(self, own: Callable[[], Strategy] | None, entry: Mapping[str, Any]) -> Strategy:
        """The strategy of a new list, by its first member. Never raises.

        Args:
            own: What `own` made for a member of this node, or None.
            entry: Its entry in INFO. What another node wrote wrong there counts as not said.
        """
        if own is not None:
            return own()
        strategy, options = entry.get("strategy"), entry.get("strategyOptions")
        if isinstance(strategy, Mapping):
            strategy = strategy.get("type")
        if strategy or options:
            try:
                return self._specified(
                    strategy if isinstance(strategy, str) and strategy else None,
                    _of_others(options) if isinstance(options, Mapping) else None,
                )()
            except BrokerOptionsError:
                pass
        return self._make()

    def _specified(
        self, strategy: str | StrategyFactory | None, options: Mapping[str, Any] | None
    ) -> Callable[[], Strategy]:
        if strategy is None:
            strategy = self._default
        if options is None:
            # As in Node, the node's own options hold for it, too: those that it has.
            options = self._options
            if isinstance(strategy, str):
                known = OPTIONS[_known(strategy)]
                options = {name: value for name, value in options.items() if snake_case(name) in known}
        return self.maker(strategy, options)


def _known(strategy: str) -> str:
    """The name as it is spelt here.

    Raises:
        BrokerOptionsError: No strategy has it.
    """
    found = _NAMES.get(strategy.lower())
    if found is None:
        hint = nearest(strategy.lower(), list(_NAMES))
        raise BrokerOptionsError(
            f"registry.strategy '{strategy}' is not known{hint}", {"strategy": strategy, "known": list(OPTIONS)}
        )
    return found


def _of_others(options: Mapping[str, Any]) -> dict[str, Any]:
    """How often this node pings is its own affair: nobody else is to make it send a flood."""
    return {name: value for name, value in options.items() if name not in ("pingInterval", "collectCount")}


def _said(
    defined: Mapping[str, Any], service: Mapping[str, Any]
) -> tuple[str | StrategyFactory | None, Mapping[str, Any] | None]:
    options = defined.get("strategy_options", defined.get("strategyOptions"))
    strategy = defined.get("strategy")
    if strategy is None and options is None:
        strategy, options = service.get("$strategy"), service.get("$strategyOptions")
    if options is not None and not isinstance(options, Mapping):
        raise BrokerOptionsError(f"strategy options are a dict, not {options!r}")
    return strategy, options
