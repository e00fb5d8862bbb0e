"""Strategies: which of several ready endpoints is asked. Pure; they never see an empty list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tautomer.balancing.latencies import Latencies
from tautomer.balancing.sampling import CpuUsage, Latency
from tautomer.balancing.strategies import Strategies, StrategyFactory
from tautomer.balancing.turns import Chance, Random, RoundRobin

if TYPE_CHECKING:
    from tautomer.balancing.shard import Shard

__all__ = [
    "Chance",
    "CpuUsage",
    "Latencies",
    "Latency",
    "Random",
    "RoundRobin",
    "Shard",
    "Strategies",
    "StrategyFactory",
]


def __getattr__(name: str) -> Any:
    if name != "Shard":
        raise AttributeError(f"module 'tautomer.balancing' has no attribute {name!r}")
    from tautomer.balancing.shard import Shard

    return Shard
