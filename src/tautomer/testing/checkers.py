"""Checkers: what was promised, held against what happens in a simulation.

Each sees facts as they come and keeps a list of what is wrong. C1, M3 and so on are the names of the promises in
the reliability reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tautomer.context import Context
from tautomer.errors import BrokerDisconnectedError, MoleculerError, QueueIsFullError
from tautomer.service import Service
from tautomer.testing.nodes import SimNode
from tautomer.testing.simulation import Simulation

__all__ = ["Call", "Calls", "Checkers", "Deaths", "Events", "Runs", "tables_left"]

GRACE: Final = 0.1
"""Seconds that a call may end after its deadline (C1)."""
SIGNS_OF_LIFE: Final = ("INFO", "HEARTBEAT", "DISCOVER")


class _Envelope(msgspec.Struct):
    """What a checker reads of a packet."""

    id: str | None = None
    seq: int | None = None
    success: bool | None = None
    ver: str = ""


class _Asking(msgspec.Struct):
    """What a checker reads of a request."""

    params: Any = None
    seq: int | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode
_asking = msgspec.json.Decoder(_Asking).decode


def allowed_until(sim: Simulation, node_id: str, at: float, grace: float) -> float:
    """`at` and the grace, and longer if the node stands still at that time."""
    limit = at + grace
    for stalled, begin, end in sim.stalls:
        if stalled == node_id and begin <= limit <= end + grace:
            limit = end + grace
    return limit


@dataclass(slots=True)
class Call:
    """One call of the workload.

    Attributes:
        number: Goes with it in its params, and with no other call.
        deadline: On the virtual clock, or None.
        direct: Whether it is a single call.
        others: Where it may run as well as anywhere (see `Calls.able`); empty if its caller chose the node.
        abandoned: Its node was crashed, or its caller went away.
    """

    number: int
    node_id: str
    deadline: float | None
    direct: bool
    began: float
    action: str | None
    others: tuple[tuple[SimNode, Service], ...]
    ended: float | None = None
    error: BaseException | None = None
    abandoned: bool = False


class Calls:
    """C1: every call ends once, by its deadline. C3: what "was surely not run" did not run.

    Nothing is asked for a call that has ended (C4). And what did not run where it was sent goes to another node that would have run it.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self.all: dict[int, Call] = {}
        self.problems: list[str] = []
        self._not_run: dict[int, tuple[str, MoleculerError]] = {}
        self._inner: list[BaseException] = []
        sim.network.on_send.append(self._sent)

    def begin(self, number: int, node: SimNode, timeout: float | None, direct: bool, action: str | None = None) -> Call:
        """A call begins. `action` is given where any node may run it."""
        now = self._sim.now
        deadline = None if timeout is None else now + timeout
        able = [] if action is None else [(one, self.able(node, one, action, now)) for one in self._sim.living]
        others = tuple((one, service) for one, service in able if service is not None)
        call = self.all[number] = Call(number, node.id, deadline, direct, now, action, others)
        return call

    def able(self, caller: SimNode, node: SimNode, action: str, since: float) -> Service | None:
        """The node's service that offers the action, if the caller knows of it and their lines have stood."""
        endpoints = caller.broker.registry.actions.get(action)
        endpoint = None if endpoints is None else endpoints.on_node(node.id)
        known = endpoint is not None and endpoint.available and node.alive and node.broker.started
        if not known or max(caller.transporter.stood_since, node.transporter.stood_since) > since:
            return None
        return node.broker.get_local_service(action.split(".")[0])

    def inner(self, number: int, node_id: str, error: MoleculerError) -> None:
        """A call inside a handler failed."""
        if error in self._inner:
            return  # Let through by a handler of the same node.
        self._inner.append(error)
        if error.outcome == "not run":
            self._not_run[number] = node_id, error

    def end(self, call: Call, error: BaseException | None) -> None:
        now = self._sim.now
        if call.ended is not None:
            self.problems.append(f"C1: call {call.number} ended twice")
        call.ended, call.error = now, error
        if error is not None and not isinstance(error, MoleculerError):
            self.problems.append(f"C3: call {call.number} of {call.node_id} ended with {error!r}")
        # What a local handler lets through is about the call inside.
        elif call.direct and error is not None and error.outcome == "not run" and error not in self._inner:
            self._not_run[call.number] = call.node_id, error
            self._check_others(call, error)
        if call.deadline is not None:
            limit = allowed_until(self._sim, call.node_id, call.deadline, GRACE)
            if now > limit:
                self.problems.append(
                    f"C1: call {call.number} of {call.node_id} ended {now - call.deadline:.3f} s after its deadline"
                )

    def _sent(self, sender: str, _receiver: str, topic: str, data: bytes) -> None:
        if ".REQ" not in topic or (packet := _asking(data)).seq:
            return
        number = packet.params.get("number") if isinstance(packet.params, dict) else None
        call = self.all.get(number) if isinstance(number, int) else None
        if call is not None and (call.ended is not None or call.abandoned):
            self.problems.append(f"C4: {sender} asks at {self._sim.now:.3f} for call {number}, which has ended")

    def finish(self, runs: Runs) -> None:
        for call in self.all.values():
            if call.ended is None and not call.abandoned:
                self.problems.append(f"C1: call {call.number} of {call.node_id} never ended")
        for number, (node_id, error) in self._not_run.items():
            if number in runs.numbers:
                self.problems.append(f"C3: call {number} of {node_id} ended with {error!r} as not run, and it did run")

    def _check_others(self, call: Call, error: MoleculerError) -> None:
        """Whoever could run it all the time should have been asked."""
        now = self._sim.now
        if isinstance(error, QueueIsFullError | BrokerDisconnectedError) or (call.deadline or now + 1.0) <= now + GRACE:
            return
        caller = self._sim.nodes[call.node_id]
        for node, service in call.others:
            if service is self.able(caller, node, str(call.action), call.began):
                self.problems.append(
                    f"C2: call {call.number} of {call.node_id} ended with {error!r} as not run, and {node.id} offers it"
                )


class Runs:
    """C2: a call runs at most once. C4: no handler goes on past its deadline; a cancelled one has no result.

    Attributes:
        numbers: Of the calls for which a handler ran, and how often it did; those of the gateway are texts.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._ids: dict[str, int] = {}
        self._cancelled: dict[str, None] = {}
        self.numbers: dict[int | str, int] = {}
        self.count = 0
        self.problems: list[str] = []
        sim.network.on_send.append(self._sent)

    def begin(self, ctx: Context[Any], number: int | str) -> None:
        self.count += 1
        self.numbers[number] = calls = self.numbers.get(number, 0) + 1
        self._ids[ctx.id] = times = self._ids.get(ctx.id, 0) + 1
        if times > 1:
            self.problems.append(f"C2: request {ctx.id} (call {number}) ran {times} times at {ctx.broker.id}")
        elif calls > 1:
            # Nothing tries again what may have run: a second attempt means that the first surely did not.
            self.problems.append(f"C2: call {number} ran {calls} times, last at {ctx.broker.id}")

    def end(self, ctx: Context[Any], cancelled: bool) -> None:
        if cancelled and ctx.node_id is not None:
            self._cancelled[ctx.id] = None
        if ctx.deadline is not None:
            now, node_id = self._sim.now, ctx.broker.id
            if now > allowed_until(self._sim, node_id, ctx.deadline, GRACE):
                self.problems.append(
                    f"C4: {ctx.endpoint.name} at {node_id} ran on for {now - ctx.deadline:.3f} s after its deadline"
                )

    def _sent(self, sender: str, _receiver: str, topic: str, data: bytes) -> None:
        if self._cancelled and ".RES." in topic:
            packet = _envelope(data)
            if packet.success and packet.id in self._cancelled:
                self.problems.append(f"C4: request {packet.id} was cancelled at {sender}, and gave a result")


class Events:
    """E1: an emitted event reaches one member of a group at most, a broadcast each node at most once."""

    def __init__(self) -> None:
        self._heard: dict[tuple[object, ...], int] = {}
        self.count = 0
        self.problems: list[str] = []

    def listeners(self, number: int) -> list[str]:
        """Who heard the event of this number, as often as they did."""
        return sorted(str(key[1]) for key, times in self._heard.items() if key[0] == number for _ in range(times))

    def heard(self, ctx: Context[Any], listener: str) -> None:
        self.count += 1
        broadcast = ctx.event_type != "emit"
        key = (ctx.params["number"], listener, ctx.broker.id if broadcast else None)
        self._heard[key] = times = self._heard.get(key, 0) + 1
        if times > 1:
            self.problems.append(
                f"E1: {ctx.event_type} {ctx.params['number']} reached '{listener}' {times} times, last at {ctx.broker.id}"
            )


class Deaths:
    """M1: a dead node is not asked for long. M2: who was heard in time is not taken for dead."""

    def __init__(self, sim: Simulation, timeout: float) -> None:
        self._sim = sim
        self._timeout = timeout
        self._seen: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], float] = {}
        self.problems: list[str] = []
        sim.network.on_send.append(self._sent)
        sim.network.on_deliver.append(self._delivered)
        sim.network.on_undelivered.append(self._undelivered)

    def _delivered(self, sender: str, receiver: str, topic: str, data: bytes) -> None:
        kind = topic.split(".")[1]
        spoken = self._sim.nodes[receiver].broker.settings.protocol
        if kind in SIGNS_OF_LIFE and spoken in ("auto", _envelope(data).ver):
            self._seen[receiver, sender] = self._sim.now
            self._told.pop((receiver, sender), None)

    def _undelivered(self, node_id: str, topic: str) -> None:
        _, kind, target = topic.split(".", 2)
        # Of requests and probes. Where the line came back lately, the other's may not have (promise M2).
        if kind in ("REQ", "PING") and not self._is_returning(node_id):
            self._told[node_id, target] = self._sim.now

    def _sent(self, sender: str, _receiver: str, topic: str, data: bytes) -> None:
        _, kind, target = (*topic.split(".", 2), "")[:3]
        # What follows the first packet of a stream asks nobody.
        if kind != "REQ" or target == sender or _envelope(data).seq:
            return
        now, pair = self._sim.now, (sender, target)
        if self._is_returning(sender):
            return  # Where nobody else is known, who was there before is asked again.
        if pair in self._told:
            self.problems.append(
                f"M1: {sender} asks {target} at {now:.3f}, of which it was told at {self._told[pair]:.3f} that nobody listens"
            )
        if not self._sim.nodes[target].alive:
            # Two more sweeps where it stood still itself: it reads before it judges.
            seen = self._seen.get(pair, 0.0)
            if now > allowed_until(self._sim, sender, seen + self._timeout, 1.0 + 2 * GRACE):
                limit = allowed_until(self._sim, sender, seen + self._timeout, 3.0 + 2 * GRACE)
                if now > limit or not any(stalled == sender for stalled, _, _ in self._sim.stalls):
                    self.problems.append(f"M1: {sender} asks {target} at {now:.3f}, last heard at {seen:.3f}, dead")

    def _is_returning(self, node_id: str) -> bool:
        transit = self._sim.nodes[node_id].broker.transit
        return transit is not None and transit.offline.returning

    def lost(self, node_id: str, other: str) -> None:
        """A node takes another for lost."""
        now, pair = self._sim.now, (node_id, other)
        silent = now - self._seen.get(pair, 0.0)
        if pair not in self._told and silent < self._timeout:
            self.problems.append(
                f"M2: {node_id} takes {other} for lost at {now:.3f}, {silent:.3f} s after a sign of life"
            )


@dataclass(slots=True)
class Checkers:
    """All of them.

    Attributes:
        others: What is found at the end: views (M3), tables (C6).
    """

    calls: Calls
    runs: Runs
    events: Events
    deaths: Deaths
    others: list[str] = field(default_factory=list)

    @classmethod
    def watch(cls, sim: Simulation, heartbeat_timeout: float) -> Checkers:
        """Look at this simulation from now on."""
        checkers = cls(Calls(sim), Runs(sim), Events(), Deaths(sim, heartbeat_timeout))

        def on_kept(node_id: str, topic: str) -> None:
            checkers.others.append(
                f"{node_id} sends to {topic} at {sim.now:.3f}, though it knows that its line is away"
            )

        sim.network.on_kept.append(on_kept)
        return checkers

    def problems(self) -> list[str]:
        return [*self.calls.problems, *self.runs.problems, *self.events.problems, *self.deaths.problems, *self.others]


AT_REST: Final = ("heartbeat", "sweep", "pings")
"""Names of the tasks of a node that runs and does nothing."""


def tables_left(node: SimNode) -> Iterator[str]:
    """C6: what a node that has nothing to do still holds."""
    statistics = node.broker.statistics()
    sizes = {
        "running events": statistics["events"]["running"],
        "queued events": statistics["events"]["queued"],
        "pending calls": statistics["transit"]["pending"],
        "requests in flight": statistics["transit"]["in_flight"],
        "things that wait for the line": statistics["transit"]["offline"],
        **{f"of streams, {what}": size for what, size in statistics["transit"]["streams"].items()},
    }
    for what, size in sizes.items():
        if size:
            yield f"C6: {size} {what} at {node.id} when all was over"
    tasks = [task.get_name() for task in node.machine_tasks() if task.get_name() not in AT_REST]
    if tasks:
        yield f"C6: tasks at {node.id} when all was over: {', '.join(tasks)}"
