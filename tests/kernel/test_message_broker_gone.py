"""Calls over a real NATS server that goes away, and to nodes that are killed (reliability reference, section 4)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors
from tautomer.host import Host
from tautomer.settings import TransitSettings
from tautomer.transporters.nats import NatsOptions, NatsTransporter
from tests.kernel.mesh import until
from tests.kernel.worker_program import Work
from tests.programs import Program
from tests.servers import NatsServer

pytestmark = [pytest.mark.server, pytest.mark.slow]

WORKER = Path(__file__).with_name("worker_program.py")


class Ledger(Service):
    """Counts how often each number ran."""

    name = "ledger"

    def __init__(self) -> None:
        super().__init__()
        self.ran: Counter[int] = Counter()

    @action
    async def note(self, ctx: Context) -> int:
        self.ran[ctx.params["n"]] += 1
        await asyncio.sleep(0.005)
        return int(ctx.params["n"])


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with NatsServer() as server:
        yield server


@asynccontextmanager
async def nodes(*brokers: Broker) -> AsyncIterator[None]:
    try:
        for broker in brokers:
            await broker.start()
        yield
    finally:
        for broker in reversed(brokers):
            await broker.stop()


def node(name: str, server: NatsServer, **settings: Any) -> Broker:
    return Broker(name, Settings(transporter=server.url, shutdown_timeout=0.2, **settings))


class Load:
    """Calls `ledger.note` at a fixed rate, whatever becomes of the calls before.

    Attributes:
        ends: For each number: seconds of its begin and its end, and its error or None.
    """

    def __init__(self, caller: Broker, rate: float, timeout: float) -> None:
        self._caller = caller
        self._pause = 1 / rate
        self._timeout = timeout
        self._calls: list[asyncio.Task[None]] = []
        self._caller_task: asyncio.Task[None] | None = None
        self.ends: dict[int, tuple[float, float, BaseException | None]] = {}

    async def __aenter__(self) -> Load:
        self._caller_task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._caller_task is not None
        self._caller_task.cancel()
        await asyncio.gather(*self._calls)

    async def _run(self) -> None:
        due, number = time.monotonic(), 0
        while True:
            due += self._pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += 1
            self._calls.append(asyncio.create_task(self._call(number)))

    async def _call(self, number: int) -> None:
        begin, failure = time.monotonic(), None
        try:
            assert number == await self._caller.call("ledger.note", {"n": number}, timeout=self._timeout)
        except errors.MoleculerError as error:
            failure = error
        self.ends[number] = begin, time.monotonic(), failure


@pytest.mark.parametrize("away", [1.0, 3.5])
async def test_a_message_broker_killed_under_load_costs_only_what_was_on_its_way(
    server: NatsServer, away: float
) -> None:
    ledger = Ledger()
    callee, caller = node("callee", server), node("caller", server)
    callee.create_service(ledger)
    async with nodes(callee, caller):
        await caller.wait_for_services("ledger", 5)
        async with Load(caller, rate=100, timeout=8.0) as load:
            await asyncio.sleep(0.5)
            server.kill()
            killed = time.monotonic()
            await asyncio.sleep(away)
            server.start()
            back = time.monotonic()
            await asyncio.sleep(2.0)

        failed = {number: end for number, end in load.ends.items() if end[2] is not None}
        # What was on its way at the cut may be lost; it began before.
        assert {"unknown"} >= {end[2].outcome for end in failed.values()}  # type: ignore[union-attr]  # They failed.
        assert all(begin < killed + 0.1 for begin, _, _ in failed.values())
        assert len(failed) <= 10
        late = [end for begin, end, failure in load.ends.values() if failure is None and killed + 0.1 < begin < back]
        assert late
        assert max(late) < back + 1.5
        assert max(end - begin for begin, end, _ in load.ends.values() if begin > back + 1.0) < 0.5
        assert {1} == set(ledger.ran.values())
        assert 0 == caller.statistics()["transit"]["pending"] == caller.statistics()["transit"]["offline"]
        assert callee.registry.nodes["caller"].available


async def test_a_message_broker_that_stays_away_is_told_at_once(server: NatsServer) -> None:
    callee = node("callee", server)
    caller = node("caller", server, transit=TransitSettings(offline_wait=0.5))
    callee.create_service(Ledger())
    async with nodes(callee, caller):
        await caller.wait_for_services("ledger", 5)
        server.kill()
        await until(lambda: not caller.connected)

        begin = time.monotonic()
        with pytest.raises(errors.BrokerDisconnectedError):
            await caller.call("ledger.note", {"n": 1})
        assert 0.5 <= time.monotonic() - begin < 1.0
        begin = time.monotonic()
        with pytest.raises(errors.BrokerDisconnectedError) as caught:
            await caller.call("ledger.note", {"n": 2})
        assert time.monotonic() - begin < 0.05
        assert ("not run", True) == (caught.value.outcome, caught.value.retryable)
        server.start()


async def test_calls_to_a_killed_node_end_soon_and_new_ones_go_to_the_living(server: NatsServer) -> None:
    caller, living = node("caller", server), node("living", server)
    living.create_service(Work())
    with Program(WORKER, "victim", server.url) as victim:
        victim.wait_for("ready")
        async with nodes(caller, living):
            await until(lambda: len(caller.registry.actions.get("work.who", ())) == 2)
            waiting = [asyncio.create_task(caller.call("work.hang", node_id="victim", timeout=30.0)) for _ in range(20)]
            assert {"victim", "living"} == {await caller.call("work.who") for _ in range(4)}

            victim.end(signal.SIGKILL)
            killed = time.monotonic()
            await asyncio.sleep(0.05)  # The server has noticed: what it was given before then went to the dead.
            answers = []
            while time.monotonic() < killed + 1.0:
                answers += await asyncio.gather(*(caller.call("work.who", timeout=5.0) for _ in range(20)))
                await asyncio.sleep(0.005)
            ends = await asyncio.gather(*waiting, return_exceptions=True)

            assert time.monotonic() - killed < 3.0
            assert {errors.RequestRejectedError} == {type(end) for end in ends}
            assert {"unknown"} == {end.outcome for end in ends if isinstance(end, errors.RequestRejectedError)}
            assert {"living"} == set(answers)
            assert 0 == caller.statistics()["transit"]["pending"]


async def test_calls_in_flight_to_a_killed_node_end_though_nobody_calls_it_anew(server: NatsServer) -> None:
    caller = node("caller", server)
    with Program(WORKER, "victim", server.url) as victim:
        victim.wait_for("ready")
        async with nodes(caller):
            await caller.wait_for_services("work", 5)
            waiting = [asyncio.create_task(caller.call("work.hang", timeout=30.0)) for _ in range(20)]
            await until(lambda: caller.statistics()["transit"]["pending"] == 20)
            # It answers what came after them, so they have arrived: else nobody would have listened, and they had not run.
            assert await caller.ping("victim") is not None

            victim.send(signal.SIGKILL)
            killed = time.monotonic()
            ends = await asyncio.gather(*waiting, return_exceptions=True)

            assert {errors.RequestRejectedError} == {type(end) for end in ends}
            assert time.monotonic() - killed < 3.0


async def test_a_node_that_only_hangs_is_not_taken_for_dead(server: NatsServer) -> None:
    caller = node("caller", server)
    with Program(WORKER, "victim", server.url) as victim:
        victim.wait_for("ready")
        async with nodes(caller):
            await caller.wait_for_services("work", 5)
            victim.send(signal.SIGSTOP)
            try:
                with pytest.raises(errors.RequestTimeoutError) as caught:
                    await caller.call("work.who", timeout=3.0)
                assert "unknown" == caught.value.outcome
                assert caller.registry.nodes["victim"].available
            finally:
                victim.send(signal.SIGCONT)
            assert "victim" == await caller.call("work.who", timeout=3.0)


class FreezingProxy:
    """Passes bytes to a server until it is frozen: then it keeps the connections, and nothing passes any more."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> FreezingProxy:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._tasks += [asyncio.create_task(self._pass(reader, back)), asyncio.create_task(self._pass(there, writer))]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if not self._open.is_set():
                    await self._open.wait()
                    return  # What was on its way is lost.
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def test_a_frozen_line_is_noticed_by_pings_and_kills_nobody(server: NatsServer) -> None:
    """With shorter intervals than the default ones, which notice it within 15 s."""
    assert (5.0, 2) == (NatsOptions().ping_interval, NatsOptions().ping_misses)
    ledger = Ledger()
    async with FreezingProxy(server.port) as proxy:
        options = NatsOptions(ping_interval=0.3, connect_timeout=0.5)
        transporter = NatsTransporter(f"nats://127.0.0.1:{proxy.port}", Host(), options)
        callee = node("callee", server)
        caller = Broker("caller", Settings(transporter=transporter))
        callee.create_service(ledger)
        async with nodes(callee, caller):
            await caller.wait_for_services("ledger", 5)

            proxy.freeze()
            frozen = time.monotonic()
            lost = asyncio.create_task(caller.call("ledger.note", {"n": 1}, timeout=1.5))
            await until(lambda: not caller.connected)
            assert time.monotonic() - frozen < 1.5
            waiting = asyncio.create_task(caller.call("ledger.note", {"n": 2}, timeout=10.0))
            await asyncio.sleep(0.5)
            proxy.thaw()

            assert 2 == await waiting
            with pytest.raises(errors.RequestTimeoutError) as caught:
                await lost
            assert "unknown" == caught.value.outcome
            assert {1} == set(ledger.ran.values())
            assert caller.registry.nodes["callee"].available
