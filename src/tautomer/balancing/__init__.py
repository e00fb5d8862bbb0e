"""Strategies: which of several ready endpoints is asked. Pure; they never see an empty list."""

from __future__ import annotations

from tautomer.balancing.latencies import Latencies
from tautomer.balancing.sampling import CpuUsage, Latency
from tautomer.balancing.shard import Shard
from tautomer.balancing.strategies import Strategies, StrategyFactory
from tautomer.balancing.turns import Chance, Random, RoundRobin

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
