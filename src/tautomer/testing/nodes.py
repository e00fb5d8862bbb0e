"""SimNode: one node of a simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from tautomer.broker import Broker
from tautomer.context import CallOptions
from tautomer.service import Service
from tautomer.settings import Settings
from tautomer.testing.clock import Machine, SimHost, SimulationError
from tautomer.testing.network import SimTransporter

if TYPE_CHECKING:
    from tautomer.testing.simulation import Simulation

__all__ = ["NodeCrashedError", "ServiceSource", "SimNode", "View"]

T = TypeVar("T")

ServiceSource = Service | type[Service] | Callable[[], Service]
"""A service, its class, or a function that makes one. A node can be restarted with the latter two only."""

View = tuple[str | None, tuple[str, ...]]
"""Instance of a node, and the names of its actions and events."""


class NodeCrashedError(SimulationError):
    """The node on which this ran was crashed."""


class SimNode:
    """One node of a simulation. What its methods do is done on it, and ends when it crashes.

    Attributes:
        broker: The real thing.
        host: Its clocks and chance.
        machine: All that runs as its process.
        alive: Neither crashed nor stopped.
    """

    def __init__(
        self, sim: Simulation, id: str, number: int, services: tuple[ServiceSource, ...], **options: Any
    ) -> None:
        self.id = id
        self.machine = Machine(id)
        self.alive = True
        self._sim = sim
        self._services = services
        self._options = options
        self._failed: BaseException | None = None
        self.host = SimHost.at(sim.loop, id if number == 1 else f"{id}-{number}", sim.seed)
        self.transporter: SimTransporter = sim.network.transporter(id)
        middlewares = options.get("middlewares", ())
        settings = {name: value for name, value in options.items() if name != "middlewares"}
        self.broker: Broker = self.machine.context.run(
            lambda: Broker(id, Settings(transporter=self.transporter, **settings), middlewares, self.host)
        )
        self._starting = self.spawn(self._begin(), f"start {id}")

    def __repr__(self) -> str:
        return f"<SimNode {self.id}>"

    async def _begin(self) -> None:
        try:
            for source in self._services:
                self.broker.create_service(source if isinstance(source, Service) else source())
            await self.broker.start()
        except Exception as error:
            self._failed = error
            self.alive = False

    async def ready(self) -> SimNode:
        """Wait until it has started.

        Raises:
            NodeCrashedError: It was crashed before.
            Exception: Why it could not.
        """
        await asyncio.wait((self._starting,))
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        if self._starting.cancelled():
            raise NodeCrashedError(f"{self.id} was crashed while it started")
        return self

    @property
    def failure(self) -> BaseException | None:
        """Why it could not start, if nobody was told yet."""
        return self._failed

    def spawn(self, coro: Coroutine[Any, Any, T], label: str = "test") -> asyncio.Task[T]:
        """Run a coroutine on this node, as if its own code did. Whoever spawns it looks after its failure."""
        # Not by a TaskScope: the test may be plain code, outside the loop, and a crash ends it all by itself.
        return self.machine.context.run(self._sim.loop.create_task, coro, name=label)

    async def _on_node(self, coro: Coroutine[Any, Any, T], label: str) -> T:
        if self.machine.dead:
            coro.close()
            raise NodeCrashedError(f"{self.id} was crashed")
        task = self.spawn(coro, label)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled() and self.machine.dead:
            raise NodeCrashedError(f"{self.id} was crashed")
        return task.result()

    async def call(self, action: str, params: Any = None, **options: Unpack[CallOptions]) -> Any:
        """As `Broker.call`.

        Raises:
            NodeCrashedError: This node was crashed meanwhile.
            MoleculerError: As `Broker.call`.
        """
        return await self._on_node(self.broker.call(action, params, **options), action)

    async def mcall(self, calls: Any, *, settled: bool = False, **options: Unpack[CallOptions]) -> Any:
        """As `Broker.mcall`."""
        return await self._on_node(self.broker.mcall(calls, settled=settled, **options), "mcall")

    async def emit(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> None:
        """As `Broker.emit`, awaited."""
        await self._on_node(_told(lambda: self.broker.emit(event, data, groups, **options)), event)

    async def broadcast(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> None:
        """As `Broker.broadcast`, awaited."""
        await self._on_node(_told(lambda: self.broker.broadcast(event, data, groups, **options)), event)

    async def register(self, service: Service | type[Service]) -> Service:
        """As `Broker.register`."""
        return await self._on_node(self.broker.register(service), "register")

    async def destroy_service(self, service: Service | str) -> None:
        """As `Broker.destroy_service`."""
        await self._on_node(self.broker.destroy_service(service), "destroy_service")

    async def stop(self) -> None:
        """As `Broker.stop`."""
        try:
            await self._on_node(self.broker.stop(), f"stop {self.id}")
        finally:
            self.alive = False

    def machine_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of this node that are not done, oldest first."""
        return list(self._sim.loop.tasks(self.machine))

    def takes_for_living(self, node_id: str) -> bool:
        """Whether this node believes that the other is there."""
        node = self.broker.registry.nodes.get(node_id)
        return node is not None and node.available

    def view(self) -> dict[str, View]:
        """What this node knows of the nodes it takes for available: instance, and the names of actions and events."""
        registry = self.broker.registry
        found = {}
        for node_id in sorted(registry.nodes):
            node = registry.nodes[node_id]
            if node.available:
                services = [service for service in registry.services if service.node_id == node_id]
                names = sorted(name for service in services for name in (*service.actions, *service.events))
                found[node_id] = (node.instance_id, tuple(names))
        return found


async def _told(tell: Callable[[], Awaitable[None]]) -> None:
    await tell()
