"""For tests: services with stand-ins, methods called past what leads to them, a whole mesh on a virtual clock, and a clock that stands still."""

from __future__ import annotations

from tautomer.testing.clock import DeadlockError, FakeClock, LivelockError, SimHost, SimLoop, SimulationError
from tautomer.testing.entrypoints import EntrypointWaiterTimeout, WaitResult, entrypoint_hook, entrypoint_waiter
from tautomer.testing.network import Conditions, SimNetwork, SimTransporter
from tautomer.testing.nodes import NodeCrashedError, SimNode
from tautomer.testing.recorder import RecordedCall, RecordedEvent, Recorder
from tautomer.testing.shared_state import SharedStateWarning
from tautomer.testing.simulation import Simulation
from tautomer.testing.sockets import Answer, SimSocket
from tautomer.testing.stand_ins import ExtensionNotFound, replace_dependencies, worker_factory
from tautomer.testing.tester import ServiceTester

__all__ = [
    "Answer",
    "Conditions",
    "DeadlockError",
    "EntrypointWaiterTimeout",
    "ExtensionNotFound",
    "FakeClock",
    "LivelockError",
    "NodeCrashedError",
    "RecordedCall",
    "RecordedEvent",
    "Recorder",
    "ServiceTester",
    "SharedStateWarning",
    "SimHost",
    "SimLoop",
    "SimNetwork",
    "SimNode",
    "SimSocket",
    "SimTransporter",
    "Simulation",
    "SimulationError",
    "WaitResult",
    "entrypoint_hook",
    "entrypoint_waiter",
    "replace_dependencies",
    "worker_factory",
]
