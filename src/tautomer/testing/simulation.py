"""Simulation: brokers on a virtual clock and a simulated network, from one seed."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextvars import Context
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from tautomer.service import Service
from tautomer.testing.clock import Machine, SimLoop, SimulationError
from tautomer.testing.network import Conditions, SimNetwork, SimTransporter, Split
from tautomer.testing.nodes import ServiceSource, SimNode, View
from tautomer.testing.sockets import Answer, SimSocket, request_bytes
from tautomer.testing.trace import Trace

__all__ = ["Simulation"]

T = TypeVar("T")

STOP_LIMIT: Final = 120.0
"""Virtual seconds in which all nodes must have stopped."""

REST: Final = 2.0
"""Virtual seconds after the stop, in which whatever was forgotten shows itself."""


class Simulation:
    """A mesh of real brokers in one thread, in which hours take seconds and each run of a seed is the same.

    ```python
    with Simulation(seed=7) as sim:
        sim.node("a", Users)
        sim.node("b")
        sim.run_until(sim.settled())
        sim.split("a")
        ...
    ```

    At the end of the `with` all nodes are stopped, and nothing may be left of them.

    Args:
        seed: All chance of the simulation comes from it.
        conditions: Of the network's links.
        tells_undelivered: Whether the message broker can tell that nobody listens, as NATS does.
        trace: Called with a line for each thing that happens.
        expected_errors: Messages of ERROR log lines that are no fault.
        settings: Of every node; those of `node` come on top.

    Attributes:
        loop: The virtual clock and its event loop.
        network: Everything between the nodes.
        nodes: By id: the newest of each.
        random: For tests that draw something.
        stalls: Which node stood still, from when to when.
        errors: What was logged as an ERROR, and is not expected.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        conditions: Conditions | None = None,
        tells_undelivered: bool = True,
        trace: Callable[[str], None] | None = None,
        expected_errors: Collection[str] = (),
        **settings: Any,
    ) -> None:
        self.seed = seed
        self.loop = SimLoop()
        self.loop.set_exception_handler(self._on_loop_exception)
        self.trace = Trace(trace)
        self.network = SimNetwork(seed, conditions, tells_undelivered=tells_undelivered, trace=self.trace)
        self.random = random.Random(f"{seed}/simulation")
        self.nodes: dict[str, SimNode] = {}
        self.stalls: list[tuple[str, float, float]] = []
        self.errors: list[str] = []
        self._settings = settings
        self._expected = tuple(expected_errors)
        self._all: list[SimNode] = []
        self._logs = _Logs(self)
        self._logs.attach()
        self._closed = False

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            error.add_note(f"in Simulation(seed={self.seed}), at {self.now:.6f}")
            self._discard()
        else:
            self.close()

    def __getitem__(self, node_id: str) -> SimNode:
        return self.nodes[node_id]

    @property
    def now(self) -> float:
        """Seconds on the virtual clock."""
        return self.loop.time()

    # --- nodes ---

    def node(self, id: str, *services: ServiceSource, **settings: Any) -> SimNode:
        """A new node; its start begins at once, and is through after `await node.ready()`.

        Args:
            services: It offers these.
            settings: As for `Settings`; `middlewares` among them.
        """
        known = self.nodes.get(id)
        if known is not None and known.alive:
            raise SimulationError(f"there is a node '{id}' already")
        return self._add(id, services, {**self._settings, **settings})

    def _add(self, id: str, services: tuple[ServiceSource, ...], settings: dict[str, Any]) -> SimNode:
        number = 1 + sum(node.id == id for node in self._all)
        node = self.nodes[id] = SimNode(self, id, number, services, **settings)
        self._all.append(node)
        self.note(f"node {id} starts")
        return node

    def crash(self, id: str) -> Simulation:
        """Kill a node: it says nothing any more, and nothing of it goes on."""
        node = self._living(id)
        self.note(f"node {id} crashes")
        node.alive = False
        node.transporter.die()
        self.loop.kill(node.machine)
        return self

    def restart(self, id: str) -> SimNode:
        """Start a node that crashed or stopped again, as a new process.

        Raises:
            SimulationError: It runs still, or it was given a service that is no class and no function.
        """
        node = self.nodes[id]
        if node.alive:
            raise SimulationError(f"node '{id}' runs; crash or stop it first")
        if any(isinstance(source, Service) for source in node._services):
            raise SimulationError(
                f"node '{id}' was given a service that was made already; give its class, or a function that makes it"
            )
        return self._add(id, node._services, node._options)

    def stall(self, id: str, seconds: float) -> Simulation:
        """The node stands still for so long, as after SIGSTOP; then it takes in what has come."""
        machine = self._living(id).machine
        self.note(f"node {id} stalls for {seconds:g} s")
        self.stalls.append((id, self.now, self.now + seconds))
        self.loop.stall(machine)
        self.loop.call_later(seconds, self._wake, machine, context=Context())
        return self

    def _wake(self, machine: Machine) -> None:
        if not machine.dead and machine.stalled:
            self.note(f"node {machine.name} goes on")
            self.loop.wake(machine)

    def jump(self, id: str, seconds: float) -> Simulation:
        """Set the wall clock of a node forward, or back."""
        self.note(f"wall clock of {id} jumps by {seconds:g} s")
        self._living(id).host.jump(seconds)
        return self

    def _living(self, id: str) -> SimNode:
        node = self.nodes[id]
        if not node.alive:
            raise SimulationError(f"node '{id}' does not run")
        return node

    @property
    def living(self) -> list[SimNode]:
        """The nodes that run, oldest first."""
        return [node for node in self._all if node.alive]

    # --- the network ---

    def split(
        self, a: str | Collection[str], b: str | Collection[str] | None = None, *, one_way: bool = False
    ) -> Simulation:
        """Part nodes from others (everybody else, if not given): neither hears the other; `one_way`: only `b` not `a`."""
        split: Split = self.network.split(a, b, one_way=one_way)
        self.note(f"split {split}")
        return self

    def heal(self) -> Simulation:
        """End every split, clog, lost line, loss and duplication. Crashed nodes stay so, and stalled ones, too."""
        self.note("heal")
        self.network.heal()
        return self

    # --- time ---

    def run(self, seconds: float) -> Simulation:
        """Let so many seconds pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        return self

    def run_until(self, coro: Awaitable[T], within: float = 3600.0) -> T:
        """Run a coroutine of the test to its end, and give its result.

        Raises:
            SimulationError: It takes longer than `within` seconds.
            DeadlockError: Everybody waits for ever.
        """

        async def limited() -> T:
            limit = asyncio.timeout(within)
            try:
                async with limit:
                    return await coro
            except TimeoutError as error:
                if limit.expired():
                    raise SimulationError(f"not done within {within:g} s\n{self.loop.stacks()}") from error
                raise

        return self.loop.run_until_complete(limited())

    async def settled(self, within: float = 60.0) -> None:
        """Wait until every node has started and all know of all.

        Raises:
            SimulationError: It takes too long.
            Exception: A node could not start.
        """
        for node in list(self.nodes.values()):
            if node.alive or node.failure is not None:
                await node.ready()
        end = self.now + within
        while differences := self.differences():
            if self.now > end:
                raise SimulationError("the nodes do not agree: " + "; ".join(differences))
            await asyncio.sleep(0.01)

    def background(self, coro: Coroutine[Any, Any, T], label: str) -> asyncio.Task[T]:
        """Run a coroutine of the test beside the others. Whoever starts it looks after its failure."""
        return self.loop.create_task(coro, name=label)

    # --- the gateway ---

    async def http(
        self,
        node: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        json: Any = None,
        port: int | None = None,
        client: str = "192.0.2.1",
    ) -> Answer:
        """One HTTP request to the gateway of a node, on a connection of its own.

        Args:
            json: A value to send as JSON, instead of `body`.
            port: Where a node listens on several.
            client: Address that the request seems to come from.

        Raises:
            ConnectionError: Nobody listens there, or the connection was cut before the answer.
        """
        lines = dict(headers or {})
        if json is not None:
            body = msgspec.json.encode(json)
            lines.setdefault("Content-Type", "application/json")
        socket = self.socket(node, port=port, client=client)
        try:
            socket.send(request_bytes(method, path, lines, body))
            return Answer.parse(await socket.read_all())
        finally:
            socket.close()

    def socket(self, node: str, *, port: int | None = None, client: str = "192.0.2.1") -> SimSocket:
        """A connection to the gateway of a node, byte by byte.

        Raises:
            ConnectionRefusedError: Nobody listens there.
        """
        servers = [server for server in self.nodes[node].machine.servers if server.is_serving()]
        for server in servers:
            if port in (None, server.port):
                return server.connect(client)
        raise ConnectionRefusedError(f"no gateway listens at node '{node}'")

    # --- what is to be seen ---

    def note(self, text: str) -> None:
        """Put a line into the trace, and its hash."""
        self.trace.note(self.now, text)

    def differences(self, aside: Collection[str] = ()) -> list[str]:
        """In what the living nodes' views differ from what is so (promise M3); empty when all agree.

        Args:
            aside: Ids of nodes that do not count.
        """
        living = [node for node in self.living if node.broker.started]
        truth = {node.id: node.view()[node.id] for node in living}
        found = []
        for node in living:
            view = node.view()
            for other in sorted({*truth, *view} - set(aside)):
                seen, so = view.get(other), truth.get(other)
                if seen != so:
                    found.append(f"{node.id} of {other}: {_difference(seen, so)}")
        return found

    def common_view(self) -> set[str]:
        """The ids of the nodes that every living node takes for available."""
        views = [set(node.view()) for node in self.living]
        return set.intersection(*views) if views else set()

    def predecessors(self, id: str) -> list[str | None]:
        """The instance ids of the nodes of that id that do not run any more."""
        return [n.broker.registry.local_node.instance_id for n in self._all if n.id == id and not n.alive]

    def orphan_tasks(self) -> list[str]:
        """Tasks of nodes that do not run any more."""
        return [
            f"{task.get_name()} of {task.machine.name}"
            for task in self.loop.tasks()
            if task.machine is not None and not self._runs(task.machine)
        ]

    def orphan_timers(self) -> list[str]:
        """Timers of nodes that do not run any more; messages that are still on their way to them are the network's."""
        gone = [node for node in self._all if not node.alive]
        return [
            f"{timer!r} of {node.id}"
            for node in gone
            for timer in self.loop.timers(node.machine)
            if not isinstance(getattr(timer._callback, "__self__", None), SimTransporter)  # type: ignore[attr-defined]
        ]

    def _runs(self, machine: Machine) -> bool:
        return any(node.alive and node.machine is machine for node in self._all)

    def _on_loop_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{self.now:.6f} event loop: {context.get('message')}: {error!r}")

    def logged(self, record: logging.LogRecord) -> None:
        """A line of a log, of WARNING or above."""
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        text = f"{record.levelname} {record.name}: {record.getMessage()} {fields}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        self.trace.remark(self.now, text)
        if record.levelno >= logging.ERROR and record.getMessage() not in self._expected:
            self.errors.append(f"{self.now:.6f} {text}")

    # --- the end ---

    async def stop(self) -> None:
        """Stop all nodes, the newest first, and rest a while.

        Raises:
            SimulationError: One does not stop.
        """
        for node in reversed(self.living):
            limit = asyncio.timeout(STOP_LIMIT)
            try:
                async with limit:
                    await node.stop()
            except TimeoutError as error:
                raise SimulationError(f"node '{node.id}' does not stop\n{self.loop.stacks()}") from error
        await asyncio.sleep(REST)

    def problems(self) -> list[str]:
        """What is wrong once all nodes have stopped: what is left of them, and what was logged as an error."""
        found = [f"task left: {name}" for name in self.orphan_tasks()]
        found += [f"timer left: {name}" for name in self.orphan_timers()]
        found += [f"node {n.id} could not start: {n.failure!r}" for n in self._all if n.failure is not None]
        return found + self.errors

    def close(self) -> None:
        """Stop all nodes.

        Raises:
            SimulationError: Something is left, or an error was logged.
        """
        if self._closed:
            return
        try:
            self.run_until(self.stop())
        except BaseException:
            self._discard()
            raise
        problems = self.end()
        if problems:
            raise SimulationError(f"in Simulation(seed={self.seed}): " + "\n".join(problems))

    def end(self) -> list[str]:
        """End everything as it is, and say what is wrong (`problems`)."""
        gc.collect()  # Tells of failures that nobody asked for.
        problems = self.problems()
        self._discard()
        return problems

    def _discard(self) -> None:
        """End everything, whatever state it is in."""
        self._closed = True
        self.loop.set_exception_handler(lambda _loop, _context: None)
        try:
            for node in self._all:
                node.alive = False
                node.transporter.die()
                self.loop.kill(node.machine)
            for task in self.loop.tasks():
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(1.0))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        except SimulationError:
            pass  # It was in no good state; that was told already.
        finally:
            self._logs.detach()
            self.loop.close()


def _difference(seen: View | None, so: View | None) -> str:
    if seen is None:
        return "not seen"
    if so is None:
        return "is gone, and still seen"
    if seen[0] != so[0]:
        return f"instance {seen[0]} is seen, and it is {so[0]}"
    missing = sorted((Counter(so[1]) - Counter(seen[1])).elements())
    left = sorted((Counter(seen[1]) - Counter(so[1])).elements())
    return f"missing {missing}, left over {left}"


_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Logs(logging.Handler):
    """Hears what is logged while a simulation runs."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__(logging.WARNING)
        self._sim = sim

    def attach(self) -> None:
        for name in ("tautomer", "asyncio"):
            logging.getLogger(name).addHandler(self)

    def detach(self) -> None:
        for name in ("tautomer", "asyncio"):
            logging.getLogger(name).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._sim.logged(record)
