"""Strategies that look at no endpoint: one after the other, and any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from tautomer.context import Context

T = TypeVar("T")


class Chance(Protocol):
    """The part of `random.Random` that strategies need."""

    def randrange(self, stop: int, /) -> int: ...


class RoundRobin:
    """One after the other. A list that got shorter starts again at its head, as in Node."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def select(self, endpoints: Sequence[T], ctx: Context[Any] | None) -> T:
        index = self._next
        if index >= len(endpoints):
            index = 0
        self._next = index + 1
        return endpoints[index]


class Random:
    """Any, each as likely as the others."""

    __slots__ = ("_chance",)

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def select(self, endpoints: Sequence[T], ctx: Context[Any] | None) -> T:
        return endpoints[self._chance.randrange(len(endpoints))]
