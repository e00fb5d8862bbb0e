"""Every strategy keeps what all keep."""

from __future__ import annotations

import random

from tautomer.balancing import CpuUsage, Latencies, Latency, Random, RoundRobin, Shard
from tautomer.ports import Strategy

from .suite import StrategySuite


class TestRoundRobin(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        return RoundRobin()


class TestRandom(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        return Random(chance)


class TestCpuUsage(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        return CpuUsage(chance)


class TestLatency(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        latencies = Latencies()
        latencies.take("h1", 0.02)
        latencies.take("h2", 0.001)
        return Latency(chance, latencies)


class TestShard(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        return Shard(chance, "id")


class TestShardByMeta(StrategySuite):
    def make(self, chance: random.Random) -> Strategy:
        return Shard(chance, "#id", vnodes=3, ring_size=100)
