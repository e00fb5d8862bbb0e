"""Strategies: which of several ready endpoints is asked. Pure; they never see an empty list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tautomer.errors import BrokerOptionsError
from tautomer.ports import Strategy

if TYPE_CHECKING:
    from tautomer.context import Context

E = TypeVar("E")


class RoundRobin:
    """One after the other. A list that got shorter starts again at its head, as in Node."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def select(self, endpoints: Sequence[E], ctx: Context[Any] | None) -> E:
        index = self._next
        if index >= len(endpoints):
            index = 0
        self._next = index + 1
        return endpoints[index]


StrategyFactory = Callable[[], Strategy]

_BY_NAME: dict[str, StrategyFactory] = {"roundrobin": RoundRobin}


def strategy_factory(chosen: str | StrategyFactory) -> StrategyFactory:
    """What makes a strategy for each action and each group of listeners.

    Raises:
        BrokerOptionsError: No strategy has that name, or it makes none.
    """
    if not isinstance(chosen, str):
        if not callable(chosen):
            raise BrokerOptionsError(f"registry.strategy is a name or a class, not {chosen!r}")
        return chosen
    found = _BY_NAME.get(chosen.lower())
    if found is None:
        known = ", ".join(sorted(factory.__name__ for factory in _BY_NAME.values()))
        raise BrokerOptionsError(f"registry.strategy '{chosen}' is not known; known: {known}", {"strategy": chosen})
    return found
