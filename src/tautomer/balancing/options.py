"""Options of strategies: ours in snake_case and seconds, Node's in camelCase and its own units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tautomer.definitions import camel_case
from tautomer.errors import BrokerOptionsError
from tautomer.settings import nearest


class Whole(msgspec.Struct, frozen=True):
    """A whole number from `least` to `most`; None where that is `optional`."""

    least: int
    most: int
    optional: bool = False

    def fits(self, value: object) -> bool:
        if value is None:
            return self.optional
        return type(value) is int and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"


class Number(msgspec.Struct, frozen=True):
    """A number from `least` to `most`. `wire` is what one of ours is in Node's unit."""

    least: float
    most: float
    wire: float = 1

    def fits(self, value: object) -> bool:
        return (type(value) is int or type(value) is float) and self.least <= value <= self.most

    def from_wire(self, value: Any) -> Any:
        """In our unit. An integer of any length may come; one that is too much for a float fits nowhere."""
        number = type(value) is float or (type(value) is int and abs(value) < 1e15)
        return value / self.wire if number else value

    def __str__(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}"


class Key(msgspec.Struct, frozen=True):
    """A path, or a function of the context."""

    def fits(self, value: object) -> bool:
        return value is None or isinstance(value, str) or callable(value)

    def __str__(self) -> str:
        return "a path into the params (with '#': into the meta) or a function of the context"


Kind = Whole | Number | Key

MOST: Final = 1_000_000
"""Other nodes announce options, too: none of them may cost much here."""

OPTIONS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "RoundRobin": {},
    "Random": {},
    "CpuUsage": {"sample_count": Whole(-1, MOST), "low_cpu_usage": Number(0, 1000)},
    "Latency": {
        "sample_count": Whole(-1, MOST),
        "low_latency": Number(0, 3600, wire=1000),
        "collect_count": Whole(1, 1000),
        "ping_interval": Number(0.1, 86_400),
    },
    "Shard": {
        "shard_key": Key(),
        "vnodes": Whole(1, 10_000),
        "ring_size": Whole(1, 2**32, optional=True),
        "cache_size": Whole(0, 100_000),
    },
}


def read_options(strategy: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the strategy takes them, from either spelling.

    Raises:
        BrokerOptionsError: One is unknown or does not fit; all of them are told.
    """
    known = OPTIONS[strategy]
    read: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        snake = snake_case(str(name))
        kind = known.get(snake)
        if isinstance(kind, Number) and snake != name:
            value = kind.from_wire(value)
        if kind is None:
            faults.append(f"unknown option '{name}'{nearest(str(name), list(known)) if known else '; it has none'}")
            continue
        if not kind.fits(value):
            shown = "that many digits" if type(value) is int and abs(value) > 1e30 else repr(value)[:80]
            faults.append(f"{name} is {kind}, not {shown}")
        read[snake] = value
    if faults:
        raise BrokerOptionsError(f"strategy {strategy}: " + "; ".join(faults), {"strategy": strategy})
    return read


def wire_options(strategy: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as Node reads them. A function has no wire form."""
    told: dict[str, Any] = {}
    for name, value in read_options(strategy, given).items():
        kind = OPTIONS[strategy][name]
        if not callable(value):
            told[camel_case(name)] = value * kind.wire if isinstance(kind, Number) else value
    return told


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0]}", name).lower()
