"""Faults: what goes wrong in a simulation, one function each. Each is over when it returns."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from tautomer.testing.network import Split
from tautomer.testing.simulation import Simulation

__all__ = ["FAULTS", "Fault"]

Fault: TypeAlias = Callable[[Simulation, random.Random, float], Awaitable[None]]
"""Breaks something in the simulation, drawing from the source of chance, for about so many seconds."""


def _one(sim: Simulation, chance: random.Random) -> str | None:
    """A node that can be broken: one that has started, and runs."""
    ready = [node.id for node in sim.living if node.broker.started and not node.machine.stalled]
    return chance.choice(ready) if ready else None


def _pair(sim: Simulation, chance: random.Random) -> tuple[str, str] | None:
    ids = [node.id for node in sim.living]
    return None if len(ids) < 2 else (lambda pair: (pair[0], pair[1]))(chance.sample(ids, 2))


async def crash(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A node dies and comes back as a new process; sometimes at once, sometimes not before the end."""
    node_id = _one(sim, chance)
    if node_id is None or len(sim.living) < 2:
        return
    sim.crash(node_id)
    await asyncio.sleep(seconds if chance.random() < 0.7 else 0.05)
    if not sim.nodes[node_id].alive:
        sim.restart(node_id)


async def stop(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A node is stopped in good order and started again."""
    node_id = _one(sim, chance)
    if node_id is None or len(sim.living) < 2:
        return
    sim.note(f"node {node_id} stops")
    node = sim.nodes[node_id]
    try:
        await node.stop()
    finally:
        node.alive = False
    await asyncio.sleep(seconds / 2)
    if not sim.nodes[node_id].alive:
        sim.restart(node_id)


async def split(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """Some nodes and the others do not hear each other."""
    ids = [node.id for node in sim.living]
    if not ids:
        return
    part = chance.sample(ids, chance.randint(1, max(1, len(ids) - 1)))
    made = sim.network.split(part)
    await _keep_apart(sim, made, seconds)


async def split_one_way(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A node hears the others, but they do not hear it, or the other way round."""
    pair = _pair(sim, chance)
    if pair is None:
        return
    made = sim.network.split(pair[0], pair[1] if chance.random() < 0.5 else None, one_way=True)
    await _keep_apart(sim, made, seconds)


async def _keep_apart(sim: Simulation, made: Split, seconds: float) -> None:
    """Mend a split after a while, unless all was healed meanwhile."""
    sim.note(f"split {made}")
    await asyncio.sleep(seconds)
    if made in sim.network.splits:
        sim.network.splits.remove(made)


async def lose_line(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A node loses its line to the broker, and notices at once or later."""
    node_id = _one(sim, chance)
    if node_id is None:
        return
    sim.note(f"line of {node_id} is cut")
    sim.network.disconnect(node_id, chance.choice((0.0, 0.0, seconds / 2)))
    await asyncio.sleep(seconds)
    sim.note(f"line of {node_id} can be had again")
    sim.network.reconnect(node_id)


async def lose_all_lines(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """The broker goes away and comes back."""
    ids = [node.id for node in sim.living]
    sim.note("the broker goes")
    for node_id in ids:
        sim.network.disconnect(node_id, chance.uniform(0.0, 0.1))
    await asyncio.sleep(seconds)
    sim.note("the broker is back")
    for node_id in ids:
        sim.network.reconnect(node_id)


async def clog(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """What one node sends to another is held back."""
    pair = _pair(sim, chance)
    if pair is not None:
        sim.note(f"{pair[0]} > {pair[1]} is clogged")
        sim.network.clog(*pair, sim.now + seconds)
        await asyncio.sleep(seconds)


async def slow_link(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """Messages from one node to another take long."""
    pair = _pair(sim, chance)
    if pair is not None:
        sim.note(f"{pair[0]} > {pair[1]} is slow")
        sim.network.between[pair] = dataclasses.replace(sim.network.conditions, delay=0.3, delay_least=0.5)
        await asyncio.sleep(seconds)
        sim.network.between.pop(pair, None)


async def stall(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A node stands still."""
    node_id = _one(sim, chance)
    if node_id is not None:
        sim.stall(node_id, seconds)
        await asyncio.sleep(seconds)


async def jump(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """A wall clock is set."""
    node_id = _one(sim, chance)
    if node_id is not None:
        sim.jump(node_id, chance.choice((-3600.0, 3600.0, -1e7, 0.5)))


async def lossy(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """Messages are lost."""
    await _for_a_while(sim, seconds, loss=chance.choice((0.01, 0.05, 0.3)))


async def doubling(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """Messages come twice."""
    await _for_a_while(sim, seconds, duplication=chance.choice((0.05, 0.3)))


async def reordering(sim: Simulation, chance: random.Random, seconds: float) -> None:
    """Messages overtake each other."""
    await _for_a_while(sim, seconds, reorder=chance.choice((0.05, 0.3)))


async def _for_a_while(sim: Simulation, seconds: float, **changes: Any) -> None:
    network = sim.network
    sim.note(f"links change: {changes}")
    network.conditions = dataclasses.replace(network.conditions, **changes)
    await asyncio.sleep(seconds)
    over: dict[str, Any] = dict.fromkeys(changes, 0.0)
    network.conditions = dataclasses.replace(network.conditions, **over)


FAULTS: Final[tuple[Fault, ...]] = (
    crash,
    stop,
    split,
    split_one_way,
    lose_line,
    lose_all_lines,
    clog,
    slow_link,
    stall,
    jump,
    lossy,
    doubling,
    reordering,
)
