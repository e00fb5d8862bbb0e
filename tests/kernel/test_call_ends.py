"""Whatever happens to calls, in whatever order: each ends once, is run by one node at most, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tautomer import Broker, errors
from tautomer.host import Host
from tests.kernel.mesh import Clock, Foreign, Mesh, service_info, token_of, until

CALLS = 4
NODES = ["f", "g"]
numbers = st.integers(0, CALLS - 1)
Step = tuple[str, Any]
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["call", "answer", "refuse", "fail", "undelivered", "unsent", "cancel"]), numbers),
        st.tuples(st.sampled_from(["lost", "back"]), st.sampled_from(NODES)),
        st.tuples(st.just("time"), st.sampled_from([0.1, 0.3, 1.0, 5.0, 20.0])),
        st.tuples(st.sampled_from(["down", "up", "turn", "turn", "stop"]), st.none()),
    ),
    max_size=25,
)


class Play:
    """One caller, two nodes written by hand that offer the same action, and what happens.

    Attributes:
        not_run: Ids of the attempts that surely did not run, as the play made it so.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.clock = Clock()
        self.peers: dict[str, Foreign] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.not_run: set[str] = set()
        self.answered: set[str] = set()
        self.instances = 0
        self.is_down = False
        self.stopping: asyncio.Task[None] | None = None

    async def begin(self) -> Play:
        self.caller: Broker = await self.mesh.node("a", host=Host(clock=self.clock))
        for name in NODES:
            self.peers[name] = await self.mesh.foreign(name)
            self.come_back(name)
        await until(lambda: len(self.caller.registry.actions.get("far.do", ())) == 2)
        assert self.caller.transit is not None
        self.transit = self.caller.transit
        return self

    def come_back(self, name: str) -> None:
        self.instances += 1
        self.peers[name].introduce(service_info("far", "do"), instanceID=f"i-{self.instances}", seq=self.instances)

    def attempts(self, number: int) -> list[tuple[Foreign, dict[str, Any]]]:
        """The requests of this call that were heard, those of one node in their order."""
        return [
            (peer, request)
            for peer in self.peers.values()
            for request in peer.packets("REQ", requestID=f"call-{number}")
        ]

    def open_attempt(self, number: int) -> tuple[Foreign, dict[str, Any]] | None:
        over = self.not_run | self.answered
        return next((one for one in self.attempts(number) if one[1]["id"] not in over), None)

    def answer(self, number: int, how: str) -> None:
        attempt = self.open_attempt(number)
        if attempt is None:
            return
        peer, request = attempt
        if how == "answer":
            peer.answer(request, data=number)
        elif how == "fail":
            peer.answer(request, success=False, error={"name": "Error", "message": "m"})
        else:
            data = {"action": "far.do", "nodeID": peer.node_id}
            error = {"name": "ServiceNotAvailableError", "message": "m", "code": 404, "data": data}
            peer.answer(request, success=False, error=error)
            self.not_run.add(request["id"])
        self.answered.add(request["id"])

    def never_arrived(self, number: int, tell: Callable[[str], None]) -> None:
        attempt = self.open_attempt(number)
        if attempt is not None and (token := token_of(self.transit, attempt[1]["id"])) is not None:
            self.not_run.add(attempt[1]["id"])
            tell(token)

    async def step(self, what: str, value: Any) -> None:
        match what:
            case "call":
                if value == len(self.tasks):
                    call = self.caller.call("far.do", timeout=15.0, request_id=f"call-{value}")
                    self.tasks.append(asyncio.ensure_future(call))
            case "answer" | "refuse" | "fail":
                self.answer(value, what)
            case "undelivered":
                self.never_arrived(value, self.transit.undelivered)
            case "unsent":
                if self.is_down:
                    self.never_arrived(value, self.transit.unsent)
            case "cancel":
                if value < len(self.tasks):
                    self.tasks[value].cancel()
            case "lost":
                self.peers[value].say("DISCONNECT")
            case "back":
                self.come_back(value)
            case "time":
                self.clock.now += value
            case "down":
                if not self.is_down:
                    self.transit.down("cut")
                self.is_down = True
            case "up":
                if self.is_down:
                    self.transit.up()
                self.is_down = False
            case "turn":
                await asyncio.sleep(0.002)
            case "stop":
                self.stopping = self.stopping or asyncio.ensure_future(self.caller.stop())

    async def end(self) -> None:
        """Let all the time pass that anything could wait for."""
        for _ in range(400):
            if all(task.done() for task in self.tasks):
                break
            await asyncio.sleep(0.005)
            self.clock.now += 0.5
        assert [] == [number for number, task in enumerate(self.tasks) if not task.done()]
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        kinds = (int, errors.MoleculerError, asyncio.CancelledError)
        assert [] == [result for result in results if not isinstance(result, kinds)]

        tables = self.transit.statistics()
        assert (0, 0, 0) == (tables["pending"], tables["offline"], len(self.transit.requesting._tokens))
        for number in range(len(self.tasks)):
            ids = [request["id"] for _, request in self.attempts(number)]
            assert len(set(ids)) == len(ids)
            # Whoever was asked before the last surely did not run it.
            assert len([id for id in ids if id not in self.not_run]) <= 1
            result = results[number]
            if isinstance(result, errors.MoleculerError) and result.outcome == "not run":
                assert set(ids) <= self.not_run


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(steps)
def test_each_call_ends_once_at_one_node_at_most_and_leaves_nothing_behind(story: list[Step]) -> None:
    async def play() -> None:
        mesh = Mesh()
        try:
            made = await Play(mesh).begin()
            for what, value in [("call", 0), ("call", 1), ("turn", None), *story]:
                await made.step(what, value)
            await made.end()
        finally:
            await mesh.close()

    asyncio.run(play())
