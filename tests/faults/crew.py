"""Workers in processes of their own and a caller in this one, on a NATS server of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tautomer import Broker, Service, Settings
from tests.programs import Program
from tests.servers import NatsServer

from .gauges import memory
from .ledger import Ledger

ROOT = Path(__file__).parents[2]


async def until(claim: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.005)


class Worker:
    """A `tests.faults.worker` process."""

    def __init__(self, node_id: str, program: Program) -> None:
        self.id = node_id
        self.program = program

    @property
    def pid(self) -> int:
        return self.program.process.pid

    @property
    def memory(self) -> int:
        return memory(self.pid)

    @property
    def running(self) -> bool:
        return self.program.process.poll() is None

    def kill(self) -> None:
        """End it as a crash would."""
        self.program.send(signal.SIGKILL)
        self.program.process.wait()

    def stop(self) -> None:
        """Let it stand still, as a long pause of its machine would."""
        self.program.send(signal.SIGSTOP)

    def go_on(self) -> None:
        self.program.send(signal.SIGCONT)


class Crew:
    """Use as an async context manager; it ends all that it began.

    Attributes:
        server: The NATS server, running.
        ledger: What the workers ran.
    """

    def __init__(self, folder: Path) -> None:
        self.server = NatsServer()
        self.ledger = Ledger(folder / "ledger")
        self._programs: list[Program] = []
        self._brokers: list[Broker] = []

    async def __aenter__(self) -> Self:
        self.server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for broker in reversed(self._brokers):
                await broker.stop()
        finally:
            for program in self._programs:
                program.__exit__(None, None, None)
            self.server.close()
            self.ledger.close()

    async def worker(
        self,
        node_id: str,
        url: str | None = None,
        env: dict[str, str] | None = None,
        program: tuple[str, ...] = ("tests.faults.worker",),
        **settings: Any,
    ) -> Worker:
        """Start one; it says that it is ready. `program` is its module, and the arguments before its options."""
        options = {
            "id": node_id,
            "url": url or self.server.url,
            "settings": settings,
            "ledger": str(self.ledger.path),
        }
        started = Program(sys.executable, "-m", *program, json.dumps(options), cwd=ROOT, env=env)
        self._programs.append(started)
        await asyncio.to_thread(started.wait_for, "ready")
        return Worker(node_id, started)

    async def caller(
        self,
        node_id: str = "caller",
        *services: Service,
        sees: list[str] | None = None,
        url: str | None = None,
        **settings: Any,
    ) -> Broker:
        """Start a node in this process; it knows the workers named in `sees` when this returns."""
        broker = Broker(node_id, Settings(transporter=url or self.server.url, shutdown_timeout=0.2, **settings))
        for service in services:
            await broker.register(service)
        self._brokers.append(broker)
        await broker.start()
        await until(lambda: set(sees or ()) <= set(offering(broker)))
        return broker


def offering(broker: Broker, action: str = "work.echo") -> list[str]:
    """Ids of the nodes that this one would ask for the action."""
    found = broker.registry.actions.get(action)
    return [] if found is None else [endpoint.node_id for endpoint in found.all if endpoint.available]
