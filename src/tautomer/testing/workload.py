"""Workload: services that are asked for all sorts of things, while all sorts of things go wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.errors import MoleculerClientError, MoleculerError
from tautomer.service import Service
from tautomer.settings import RegistrySettings, TransitSettings
from tautomer.testing.checkers import Checkers, tables_left
from tautomer.testing.faults import FAULTS, Fault
from tautomer.testing.network import Conditions
from tautomer.testing.nodes import SimNode
from tautomer.testing.simulation import Simulation
from tautomer.web.service import ApiGatewayService

__all__ = ["KINDS", "Kind", "Profile", "Workload"]

NAMES: Final = ("red", "green", "blue")
"""Of the services; each is at some of the nodes."""

TIMEOUT_MAX: Final = 4.0

EXPECTED_ERRORS: Final = (
    "event handler failed",
    # Of a predecessor whose last words come when it has died; `Observer` looks at who it is.
    "node id in use elsewhere: give one of the two another id",
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
        )

    def describe(self) -> str:
        """For whoever replays a run."""
        return (
            f"{self.nodes} nodes, {self.seconds:.1f} s, heartbeat {self.heartbeat[0]:g}/{self.heartbeat[1]:g} s, "
            f"delay {self.delay:g} s{', in line order' if self.line_order else ''}, {'tells' if self.tells_undelivered else 'does not tell'} undelivered, "
            f"{'prefers' if self.prefer_local else 'does not prefer'} local, protocols {' '.join(self.protocols)}"
            f"{', gateway' if self.gateway else ''}{', busy end' if self.busy_end else ''}; "
            f"faults: {', '.join(fault.__name__ for fault in self.faults) or 'none'}"
        )


class Worker(Service):
    """One service of the workload. What its handlers do is told to the checkers."""

    def __init__(self, load: Workload, name: str) -> None:
        super().__init__(name)
        self.load = load

    @action
    async def echo(self, ctx: Context[Any]) -> Any:
        """Gives back the number, after a while."""
        return await self._run(ctx, self._echo(ctx))

    async def _echo(self, ctx: Context[Any]) -> Any:
        if delay := ctx.params.get("delay"):
            await asyncio.sleep(delay)
        return {"number": ctx.params["number"], "node": ctx.broker.id}

    @action
    async def nest(self, ctx: Context[Any]) -> Any:
        """Asks others, so deep."""
        return await self._run(ctx, self._nest(ctx))

    async def _nest(self, ctx: Context[Any]) -> Any:
        depth = ctx.params["depth"]
        name = NAMES[(ctx.params["number"] + depth) % len(NAMES)]
        if depth == 0:
            return await ctx.call(f"{name}.echo", {**ctx.params})
        return await ctx.call(f"{name}.nest", {**ctx.params, "depth": depth - 1}, timeout=TIMEOUT_MAX)

    @action
    async def fail(self, ctx: Context[Any]) -> Any:
        """Fails on purpose."""
        return await self._run(ctx, self._fail(ctx))

    async def _fail(self, ctx: Context[Any]) -> Any:
        raise MoleculerClientError("on purpose", 422, "ON_PURPOSE", {"number": ctx.params["number"]})

    async def _run(self, ctx: Context[Any], work: Any) -> Any:
        runs = self.load.checkers.runs
        runs.begin(ctx, ctx.params["number"])
        cancelled = False
        try:
            return await work
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            work.close()
            runs.end(ctx, cancelled)

    @event("thing.*")
    async def on_thing(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"{self.name} on_thing")
        await asyncio.sleep(0.01)

    @event("thing.plain", group="plain")
    def on_plain(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"plain {self.name}")

    @event("thing.**", group="listeners")
    async def on_any(self, ctx: Context[Any]) -> None:
        self.load.checkers.events.heard(ctx, f"listeners {self.name}")
        if ctx.params["number"] % 7 == 0:
            raise MoleculerClientError("on purpose")


class Observer(Service):
    """Tells the checkers whom its node takes for lost."""

    name = "observer"

    def __init__(self, load: Workload) -> None:
        super().__init__()
        self.load = load

    @event("$node.disconnected")
    def on_lost(self, ctx: Context[Any]) -> None:
        if ctx.params["unexpected"]:
            self.load.checkers.deaths.lost(ctx.broker.id, ctx.params["node"]["id"])

    @event("$node.conflict")
    def on_conflict(self, ctx: Context[Any]) -> None:
        if ctx.params["instanceID"] not in self.load.sim.predecessors(ctx.broker.id):
            self.load.checkers.others.append(f"M5: {ctx.broker.id} hears of a namesake {ctx.params}")


class Door(ApiGatewayService):
    """The gateway of the workload."""

    settings = {
        "port": 80,
        "routes": [
            {
                "aliases": {f"GET /{name}": f"{name}.echo" for name in NAMES},
                "callOptions": {"timeout": TIMEOUT_MAX},
            }
        ],
    }


class Workload:
    """Some nodes with services, kept busy and broken by turns; then healed, looked at, and stopped.

    Args:
        kinds: What is asked; see `KINDS`.
        strict: As for `Checkers.watch`.
    """

    def __init__(
        self,
        sim: Simulation,
        profile: Profile,
        *,
        kinds: Sequence[Kind] | None = None,
        strict: Collection[str] = (),
    ) -> None:
        self.sim = sim
        self.profile = profile
        self.random = random.Random(f"{sim.seed}/workload")
        self.checkers = Checkers.watch(sim, profile.heartbeat[1], strict)
        self._kinds = KINDS if kinds is None else kinds
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
            transit=TransitSettings(connect_wait=1.0),
            registry=RegistrySettings(prefer_local=profile.prefer_local),
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
            self.sim.node(f"n{number}", *sources, protocol=protocol)

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
        await asyncio.sleep(TIMEOUT_MAX + 1.0)
        for node in self.sim.living:
            self.checkers.others += tables_left(node)

    # --- for the kinds ---

    async def expect(
        self,
        node: SimNode,
        asked: Callable[[], Awaitable[Any]],
        timeout: float | None,
        number: int,
        direct: bool = False,
    ) -> Any:
        """Ask, and tell the checkers how it ends. Returns the result, or the error."""
        calls = self.checkers.calls
        call = calls.begin(number, node.id, timeout, direct)
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


Kind: TypeAlias = Callable[[Workload, SimNode], Awaitable[None]]
"""One thing to ask: runs on the given node, raises nothing."""


async def call(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    params = {"number": number, "delay": load.delay()}
    result = await load.expect(
        node, lambda: node.broker.call(f"{name}.echo", params, timeout=timeout), timeout, number, direct=True
    )
    load.right(number, result)


async def call_one_node(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    target = load.random.choice(sorted(load.sim.nodes))
    params = {"number": number, "delay": load.delay()}
    result = await load.expect(
        node,
        lambda: node.broker.call(f"{name}.echo", params, timeout=timeout, node_id=target),
        timeout,
        number,
        direct=True,
    )
    load.right(number, result)
    if not isinstance(result, BaseException) and result["node"] != target:
        load.checkers.others.append(f"call {number} was meant for {target}, and {result['node']} answered")


async def call_nested(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    params = {"number": number, "depth": load.random.randint(0, 3), "delay": load.delay()}
    result = await load.expect(node, lambda: node.broker.call(f"{name}.nest", params, timeout=timeout), timeout, number)
    load.right(number, result)


async def call_cancelled(load: Workload, node: SimNode) -> None:
    """The caller goes away before the end."""
    number, name = load.number(), load.name()
    params = {"number": number, "delay": load.delay()}
    try:
        async with asyncio.timeout(load.random.uniform(0.0, 0.1)):
            await load.expect(node, lambda: node.broker.call(f"{name}.echo", params, timeout=1.0), 1.0, number)
    except TimeoutError:
        pass


async def call_failing(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    result = await load.expect(
        node,
        lambda: node.broker.call(f"{name}.fail", {"number": number}, timeout=timeout),
        timeout,
        number,
        direct=True,
    )
    if not isinstance(result, MoleculerError):
        load.checkers.others.append(f"call {number} of an action that fails gave {result!r}")
    elif result.type == "ON_PURPOSE" and result.data.get("number") != number:
        load.checkers.others.append(f"call {number} got the error {result!r} of {result.data}")


async def call_many(load: Workload, node: SimNode) -> None:
    number, timeout = load.number(), load.timeout()
    names = [load.name() for _ in range(load.random.randint(1, 4))]
    calls: Any = [{"action": f"{name}.echo", "params": {"number": number, "delay": load.delay()}} for name in names]
    settled = load.random.random() < 0.7
    result = await load.expect(
        node, lambda: node.broker.mcall(calls, settled=settled, timeout=timeout), timeout, number
    )
    if isinstance(result, list) and len(result) != len(names):
        load.checkers.others.append(f"mcall {number} of {len(names)} gave {len(result)} results")


async def emit(load: Workload, node: SimNode) -> None:
    await _tell(load, node, "emit")


async def broadcast(load: Workload, node: SimNode) -> None:
    await _tell(load, node, "broadcast")


async def _tell(load: Workload, node: SimNode, verb: str) -> None:
    name = load.random.choice(("thing.plain", "thing.some", "thing.some.more"))
    groups = load.random.choice((None, None, ["listeners"], [load.name()]))
    try:
        await getattr(node.broker, verb)(name, {"number": load.number()}, groups)
    except MoleculerError:
        pass  # The line is away, and its buffer full.


async def ping(load: Workload, node: SimNode) -> None:
    await node.broker.ping(load.random.choice(sorted(load.sim.nodes)), timeout=0.5)


async def ask_gateway(load: Workload, node: SimNode) -> None:
    """An HTTP request from outside: it is answered, or its connection is cut with the node."""
    gateway = load.sim.nodes["n0"]
    if not load.profile.gateway or not gateway.alive:
        return
    number, name = load.number(), load.name()
    try:
        answer = await load.sim.http("n0", "GET", f"/{name}?number={number}")
    except ConnectionError:
        return
    if answer.status not in (200, 404, 503, 504):
        load.checkers.others.append(f"HTTP request {number} was answered {answer.status} {answer.body!r}")
    elif answer.status == 200 and answer.json["number"] != str(number):
        load.checkers.others.append(f"HTTP request {number} got the answer {answer.json}")


async def change_services(load: Workload, node: SimNode) -> None:
    """A service is withdrawn, or offered."""
    name = load.name()
    found = node.broker.get_local_service(name)
    if found is None:
        await node.broker.register(load.worker(name))
    elif found.load is not None:  # type: ignore[attr-defined]  # A worker.
        await node.broker.destroy_service(found)


KINDS: Final[tuple[Kind, ...]] = (
    call,
    call,
    call,
    call_one_node,
    call_nested,
    call_nested,
    call_cancelled,
    call_failing,
    call_many,
    emit,
    emit,
    broadcast,
    ping,
    ask_gateway,
    change_services,
)
