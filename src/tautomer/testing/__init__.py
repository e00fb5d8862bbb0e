"""For tests: one service with stand-ins, a whole mesh on a virtual clock, and a clock that stands still."""

from __future__ import annotations

from tautomer.testing.clock import DeadlockError, FakeClock, LivelockError, SimHost, SimLoop, SimulationError
from tautomer.testing.network import Conditions, SimNetwork, SimTransporter
from tautomer.testing.nodes import NodeCrashedError, SimNode
from tautomer.testing.recorder import RecordedCall, RecordedEvent, Recorder
from tautomer.testing.simulation import Simulation
from tautomer.testing.sockets import Answer, SimSocket
from tautomer.testing.tester import ServiceTester

__all__ = [
    "Answer",
    "Conditions",
    "DeadlockError",
    "FakeClock",
    "LivelockError",
    "NodeCrashedError",
    "RecordedCall",
    "RecordedEvent",
    "Recorder",
    "ServiceTester",
    "SimHost",
    "SimLoop",
    "SimNetwork",
    "SimNode",
    "SimSocket",
    "SimTransporter",
    "Simulation",
    "SimulationError",
]
