"""Load for simulations: calls that come whether or not the ones before them are answered, and what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tautomer import Context, Service, action
from tautomer.errors import MoleculerError
from tautomer.testing import Simulation
from tautomer.testing.network import SimNetwork


@dataclass
class One:
    """One call.

    Attributes:
        began: When it was made.
        ended: When it had its answer.
        outcome: ``"ok"``, or the name of the error.
    """

    began: float
    ended: float
    outcome: str


@dataclass
class Load:
    """Calls of one action from one node, at random times (Poisson), so many a second.

    Attributes:
        calls: Those that have ended.
    """

    sim: Simulation
    caller: str
    action: str
    timeout: float
    options: dict[str, Any] = field(default_factory=dict)
    calls: list[One] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, rate: float, seconds: float) -> None:
        """So many a second, for so long; then wait for the last answer."""
        sim = self.sim
        end = sim.now + seconds
        while sim.now < end:
            await asyncio.sleep(sim.random.expovariate(rate))
            task = sim.background(self._one(), "load")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        while self._running:
            await asyncio.sleep(0.01)

    async def _one(self) -> None:
        began, outcome = self.sim.now, "ok"
        try:
            await self.sim[self.caller].call(self.action, timeout=self.timeout, **self.options)
        except MoleculerError as error:
            outcome = type(error).__name__
        self.calls.append(One(began, self.sim.now, outcome))

    def between(self, begin: float, end: float) -> list[One]:
        """The calls that were made in this time."""
        return [one for one in self.calls if begin <= one.began < end]

    def good(self, begin: float, end: float) -> float:
        """Answers a second that came in this time, each within its deadline."""
        in_time = [one for one in self.calls if one.outcome == "ok" and one.ended - one.began <= self.timeout]
        return sum(begin <= one.ended < end for one in in_time) / (end - begin)

    def outcomes(self, begin: float, end: float) -> dict[str, int]:
        """How often each outcome was, of the calls that were made in this time."""
        return dict(Counter(one.outcome for one in self.between(begin, end)).most_common())


def percentile(values: list[float], part: float) -> float:
    """Under which so great a part of them lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


class Requests:
    """Counts the requests that are sent, whether or not anybody hears them."""

    def __init__(self, network: SimNetwork) -> None:
        self.at: list[float] = []
        self._network = network
        network.on_send.append(self._sent)

    def _sent(self, sender: str, _receiver: str, topic: str, _data: bytes) -> None:
        if ".REQ." in topic or ".REQB." in topic:
            self.at.append(asyncio.get_running_loop().time())

    def between(self, begin: float, end: float) -> int:
        return sum(begin <= at < end for at in self.at)


class Pool(Service):
    """An action that waits for one of a few connections to something else, and then for that.

    Attributes:
        connections: How many there are.
        takes: Seconds that each use takes.
        works: Whether the use goes well.
    """

    name = "pool"

    def __init__(self, connections: int = 10, takes: float = 0.01) -> None:
        super().__init__()
        self.connections = asyncio.Semaphore(connections)
        self.takes = takes

    async def use(self) -> None:
        async with self.connections:
            await asyncio.sleep(self.takes * self.broker.host.random.uniform(0.8, 1.2))

    @action
    async def plain(self, ctx: Context[Any]) -> str:
        await self.use()
        return "done"

    @action(idempotent=True)
    async def read(self, ctx: Context[Any]) -> str:
        await self.use()
        return "done"
