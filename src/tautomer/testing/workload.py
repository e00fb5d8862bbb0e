"""Workload: services that are asked for all sorts of things, while all sorts of things go wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from tautomer.errors import MoleculerError
from tautomer.pinging import PING_WAIT
from tautomer.service import Service
from tautomer.settings import RegistrySettings, TransitSettings
from tautomer.testing.checkers import Checkers, tables_left
from tautomer.testing.faults import FAULTS, Fault
from tautomer.testing.kinds import KINDS, Kind
from tautomer.testing.network import Conditions
from tautomer.testing.nodes import SimNode
from tautomer.testing.simulation import Simulation
from tautomer.testing.workers import NAMES, STREAM_IDLE, TIMEOUT_MAX, Door, Observer, Worker

__all__ = ["Profile", "Workload"]

EXPECTED_ERRORS: Final = (
    "event handler failed",
    # Of a predecessor whose last words come when it has died; `Observer` looks at who it is.
    "node id in use elsewhere: give one of the two another id",
)

STRATEGIES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("RoundRobin", {}),
    ("Random", {}),
    ("CpuUsage", {}),
    ("Latency", {"ping_interval": 1.0}),
    ("Shard", {"shard_key": "number"}),
)

HEALED_WITHIN: Final = 2.0
"""Seconds beyond a heartbeat interval until all agree (M3)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one run goes; drawn from the seed.

    Attributes:
        nodes: How many.
        seconds: Virtual ones of faults and load.
        pause: Mean seconds between two things that are asked.
        heartbeat: Interval and timeout in seconds.
        tells_undelivered: Whether the broker can tell that nobody listens.
        prefer_local: As of `RegistrySettings`.
        protocols: Which versions the nodes speak, by turns.
        gateway: Whether the first node has one.
        busy_end: Whether all stop while calls are under way, or only when all is quiet.
        delay: Mean delay of a message in seconds.
        line_order: As of `Conditions`.
        disable_balancer: As of `Settings`.
        faults: Those that occur in this run. A few at a time find more than all at once.
    """

    nodes: int
    seconds: float
    pause: float
    heartbeat: tuple[float, float]
    tells_undelivered: bool
    prefer_local: bool
    protocols: tuple[Literal["auto", "4", "5"], ...]
    gateway: bool
    busy_end: bool
    delay: float
    line_order: bool
    faults: tuple[Fault, ...]
    disable_balancer: bool = False

    @classmethod
    def draw(cls, seed: int, faults: Sequence[Fault] = FAULTS) -> Profile:
        chance = random.Random(f"{seed}/profile")
        return cls(
            nodes=chance.randint(2, 5),
            seconds=chance.uniform(6.0, 16.0),
            pause=chance.choice((0.02, 0.05)),
            heartbeat=chance.choice(((1.0, 3.5), (1.0, 3.5), (5.0, 30.0))),
            tells_undelivered=chance.random() < 0.6,
            prefer_local=chance.random() < 0.4,
            protocols=chance.choice((("auto",), ("auto",), ("auto", "4"), ("auto", "5"))),
            gateway=chance.random() < 0.5,
            busy_end=chance.random() < 0.3,
            delay=chance.choice((0.0005, 0.005, 0.03)),
            line_order=chance.random() < 0.3,
            faults=tuple(fault for fault in faults if chance.random() < 0.35),
            disable_balancer=chance.random() < 0.15,
        )

    def describe(self) -> str:
        """For whoever replays a run."""
        return (
            f"{self.nodes} nodes, {self.seconds:.1f} s, heartbeat {self.heartbeat[0]:g}/{self.heartbeat[1]:g} s, "
            f"delay {self.delay:g} s{', in line order' if self.line_order else ''}, {'tells' if self.tells_undelivered else 'does not tell'} undelivered, "
            f"{'prefers' if self.prefer_local else 'does not prefer'} local, protocols {' '.join(self.protocols)}"
            f"{', gateway' if self.gateway else ''}{', busy end' if self.busy_end else ''}"
            f"{', balancer disabled' if self.disable_balancer else ''}; "
            f"faults: {', '.join(fault.__name__ for fault in self.faults) or 'none'}"
        )


class Workload:
    """Some nodes with services, kept busy and broken by turns; then healed, looked at, and stopped.

    Args:
        kinds: What is asked; see `KINDS`.

    Attributes:
        streams: Those that were read to their end, or as far as was wanted.
    """

    def __init__(self, sim: Simulation, profile: Profile, *, kinds: Sequence[Kind] = KINDS) -> None:
        self.sim = sim
        self.profile = profile
        self.random = random.Random(f"{sim.seed}/workload")
        self.checkers = Checkers.watch(sim, profile.heartbeat[1])
        self._kinds = kinds
        self.streams = 0
        self._numbers = 0
        self._asked: list[asyncio.Task[None]] = []
        self._breaking: list[asyncio.Task[None]] = []

    @classmethod
    def simulation(cls, seed: int, profile: Profile, trace: Callable[[str], None] | None = None) -> Simulation:
        """The simulation for such a run."""
        interval, timeout = profile.heartbeat
        return Simulation(
            seed,
            conditions=Conditions(delay=profile.delay, line_order=profile.line_order),
            tells_undelivered=profile.tells_undelivered,
            trace=trace,
            expected_errors=EXPECTED_ERRORS,
            heartbeat_interval=interval,
            heartbeat_timeout=timeout,
            shutdown_timeout=2.0,
            transit=TransitSettings(
                connect_wait=1.0, stream_idle=STREAM_IDLE, stream_chunk_bytes=1_024, stream_window_bytes=16 * 1_024
            ),
            disable_balancer=profile.disable_balancer,
        )

    def number(self) -> int:
        """A number for one thing that is asked."""
        self._numbers += 1
        return self._numbers

    def name(self) -> str:
        """One of the services."""
        return self.random.choice(NAMES)

    def timeout(self) -> float:
        return self.random.choice((0.05, 0.3, 1.0, TIMEOUT_MAX))

    def delay(self) -> float:
        return self.random.choice((0.0, 0.0, 0.0, 0.02, 0.2, 2.0))

    def worker(self, name: str) -> Worker:
        return Worker(self, name)

    # --- one run ---

    async def run(self) -> None:
        """All of it. What is wrong stands in `checkers` and in `sim.problems()`."""
        sim = self.sim
        self._begin()
        await sim.settled()
        end = sim.now + self.profile.seconds
        loops = [sim.background(self._ask(end), "ask"), sim.background(self._break(end), "break")]
        await asyncio.wait(loops)
        for loop in loops:
            loop.result()
        await self._heal()
        await self._prove()
        if self.profile.busy_end:
            self._ask_much()
        else:
            await self._rest()
        nodes = sim.living
        await sim.stop()
        await asyncio.wait(self._asked)
        for node in nodes:
            self.checkers.others += tables_left(node)
        self.checkers.calls.finish(self.checkers.runs)

    def _begin(self) -> None:
        for number in range(self.profile.nodes):
            names = [name for name in NAMES if self.random.random() < 0.6] or [self.name()]
            sources: list[Callable[[], Service]] = [lambda: Observer(self)]
            sources += [lambda name=name: self.worker(name) for name in names]  # type: ignore[misc]  # Bound early.
            if number == 0 and self.profile.gateway:
                sources.append(Door)
            protocol = self.profile.protocols[number % len(self.profile.protocols)]
            strategy, options = self.random.choice(STRATEGIES)
            registry = RegistrySettings(
                prefer_local=self.profile.prefer_local, strategy=strategy, strategy_options=options
            )
            self.sim.node(f"n{number}", *sources, protocol=protocol, registry=registry)

    async def _ask(self, end: float) -> None:
        """Something, of somebody, again and again."""
        while self.sim.now < end:
            await asyncio.sleep(self.random.expovariate(1 / self.profile.pause))
            ready = [node for node in self.sim.living if node.broker.started]
            if ready:
                node, kind = self.random.choice(ready), self.random.choice(self._kinds)
                self._asked.append(node.spawn(self._one(kind, node), kind.__name__))

    async def _one(self, kind: Kind, node: SimNode) -> None:
        try:
            await kind(self, node)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.checkers.others.append(f"{kind.__name__} at {node.id} failed with {error!r}")

    async def _break(self, end: float) -> None:
        """One fault, or several together, again and again; all are over at the end."""
        if not self.profile.faults:
            return
        while (left := end - self.sim.now) > 0.2:
            await asyncio.sleep(self.random.uniform(0.0, 1.5))
            seconds = min(self.random.choice((0.3, 1.0, 3.0, 6.0)), left)
            fault = self.random.choice(self.profile.faults)
            self._breaking.append(self.sim.background(fault(self.sim, self.random, seconds), fault.__name__))  # type: ignore[arg-type]
        if self._breaking:
            await asyncio.wait(self._breaking)
            for task in self._breaking:
                task.result()

    async def _heal(self) -> None:
        """M3: after the last fault, all agree within one heartbeat interval and 2 s."""
        sim = self.sim
        sim.heal()
        await asyncio.sleep(self.profile.heartbeat[0] + HEALED_WITHIN)
        sim.note("healed")
        self.checkers.others += [f"M3: {difference}" for difference in sim.differences()]

    async def _prove(self) -> None:
        """What is offered can be called, and what is told is heard, by every node and once."""
        sim, problems = self.sim, self.checkers.others
        offered = [name for name in NAMES if any(node.broker.get_local_service(name) for node in sim.living)]
        for node in sim.living:
            for name in offered:
                number = self.number()
                result = await self.expect(
                    node, partial(node.call, f"{name}.echo", {"number": number}, timeout=2.0), 2.0, number, direct=True
                )
                if isinstance(result, BaseException):
                    problems.append(f"M3: when all was healed, {name}.echo called by {node.id} gave {result!r}")
            number = self.number()
            await node.emit("thing.some", {"number": number})
            await asyncio.sleep(1.0)
            wanted = sorted([f"{name} on_thing" for name in offered])
            heard = [one for one in self.checkers.events.listeners(number) if one.endswith("on_thing")]
            if wanted != heard:
                problems.append(f"E1: when all was healed, an event of {node.id} was heard by {heard}, not {wanted}")

    def _ask_much(self) -> None:
        """Of everybody, at once."""
        for node in self.sim.living:
            for kind in self._kinds:
                self._asked.append(node.spawn(self._one(kind, node), kind.__name__))

    async def _rest(self) -> None:
        """C6: when nothing is asked any more, nothing is kept."""
        if self._asked:
            _done, waiting = await asyncio.wait(self._asked, timeout=3 * TIMEOUT_MAX)
            self.checkers.others += sorted(f"C1: {task.get_name()} does not end" for task in waiting)
        await asyncio.sleep(TIMEOUT_MAX + 2 * STREAM_IDLE + 1.0)
        for node in self.sim.living:
            left = list(tables_left(node))
            if left:  # A ping may be under way, of those that measure.
                await asyncio.sleep(PING_WAIT)
                left = [one for one in tables_left(node) if one in left]
            self.checkers.others += left

    # --- for the kinds ---

    async def expect(
        self,
        node: SimNode,
        asked: Callable[[], Awaitable[Any]],
        timeout: float | None,
        number: int,
        direct: bool = False,
        action: str | None = None,
    ) -> Any:
        """Ask, and tell the checkers how it ends. Returns the result, or the error.

        Args:
            direct: It is a single call.
            action: It is a single call of this action, which may run at any node.
        """
        calls = self.checkers.calls
        call = calls.begin(number, node, timeout, direct or action is not None, action)
        try:
            result = await asked()
        except asyncio.CancelledError:
            call.abandoned = True
            raise
        except BaseException as error:
            calls.end(call, error)
            self.sim.note(f"call {number} of {node.id}: {type(error).__name__}")
            return error
        calls.end(call, None)
        self.sim.note(f"call {number} of {node.id}: done")
        return result

    def right(self, number: int, result: Any) -> None:
        """An answer must be the one to this question."""
        if not isinstance(result, MoleculerError) and result.get("number") != number:
            self.checkers.others.append(f"call {number} got the answer {result!r}")
