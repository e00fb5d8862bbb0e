"""Simulation: nodes that start, die, part and come back, and a gateway, on virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tautomer import ApiGatewayService, Context, Service, action, event
from tautomer.errors import BrokerOptionsError, RequestTimeoutError, ServiceNotAvailableError
from tautomer.testing import NodeCrashedError, Simulation, SimulationError


class Users(Service):
    name = "users"

    @action(rest="GET /:id")
    async def get(self, ctx: Context[Any]) -> dict[str, Any]:
        return {"id": ctx.params["id"], "node": ctx.broker.id}

    @action
    async def slow(self, ctx: Context[Any]) -> str:
        await asyncio.sleep(ctx.params["seconds"])
        return "done"


class Gateway(ApiGatewayService):
    settings = {"port": 3000, "path": "/api", "routes": [{"path": "/", "aliases": {"REST users": "users"}}]}


def settled(sim: Simulation, **nodes: Any) -> Simulation:
    for node_id, services in nodes.items():
        sim.node(node_id, *services)
    sim.run_until(sim.settled())
    return sim


def test_a_call_reaches_the_node_that_has_the_action() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        assert {"id": 5, "node": "a"} == sim.run_until(sim["b"].call("users.get", {"id": 5}))


def test_an_hour_of_nothing_is_short_and_leaves_all_as_it_was() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        sim.run(3600)

        assert {"a", "b"} == sim.common_view()


def test_a_timeout_is_felt_on_virtual_time() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        began = sim.now

        with pytest.raises(RequestTimeoutError):
            sim.run_until(sim["b"].call("users.slow", {"seconds": 1000}, timeout=100))

        assert 100 <= sim.now - began <= 100.1


def test_a_crash_says_nothing_and_is_noticed_by_silence() -> None:
    sim = Simulation(1, tells_undelivered=False, heartbeat_interval=1.0, heartbeat_timeout=3.0)
    with settled(sim, a=[Users], b=[]):
        sim.crash("a").run(1.0)
        assert sim["b"].takes_for_living("a")

        sim.run(4.0)
        assert not sim["b"].takes_for_living("a")
        with pytest.raises(ServiceNotAvailableError):
            sim.run_until(sim["b"].call("users.get", {"id": 5}))


def test_where_the_broker_can_tell_a_crash_is_noticed_by_the_next_call() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        sim.crash("a")

        with pytest.raises(ServiceNotAvailableError):
            sim.run_until(sim["b"].call("users.get", {"id": 5}))

        assert not sim["b"].takes_for_living("a")


def test_whoever_calls_from_a_node_that_crashes_is_told() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:

        async def scenario() -> None:
            calling = asyncio.ensure_future(sim["b"].call("users.slow", {"seconds": 10}))
            await asyncio.sleep(1)
            sim.crash("b")
            await calling

        with pytest.raises(NodeCrashedError, match="b was crashed"):
            sim.run_until(scenario())
        with pytest.raises(NodeCrashedError):
            sim.run_until(sim["b"].call("users.get", {"id": 1}))


def test_nothing_of_a_crashed_node_goes_on() -> None:
    ticks: list[float] = []

    class Ticking(Service):
        name = "ticking"

        async def started(self) -> None:
            self.task = asyncio.get_running_loop().create_task(self.tick())

        async def tick(self) -> None:
            try:
                while True:
                    await asyncio.sleep(1)
                    ticks.append(1)
            finally:
                self.broker.broadcast("last.words")
                await asyncio.sleep(5)
                ticks.append(99)

    heard: list[str] = []

    class Listener(Service):
        name = "listener"

        @event("last.words")
        def on_words(self, ctx: Context[Any]) -> None:
            heard.append("words")

    with settled(Simulation(1), a=[Ticking], b=[Listener]) as sim:
        sim.run(3)
        before = list(ticks)
        sim.crash("a").run(10)

        assert [1, 1, 1] == before == ticks
        assert [] == heard


def test_a_restart_is_another_instance_and_is_seen_by_all() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        before = sim["a"].broker.registry.local_node.instance_id
        sim.crash("a").restart("a")
        sim.run_until(sim.settled())

        assert before != sim["a"].broker.registry.local_node.instance_id
        assert {"id": 1, "node": "a"} == sim.run_until(sim["b"].call("users.get", {"id": 1}))


def test_a_service_that_was_made_already_cannot_be_restarted() -> None:
    with settled(Simulation(1), a=[Users()], b=[]) as sim:
        sim.crash("a")

        with pytest.raises(SimulationError, match="give its class"):
            sim.restart("a")


def test_a_split_parts_until_it_heals() -> None:
    sim = Simulation(1, heartbeat_interval=1.0, heartbeat_timeout=3.0)
    with settled(sim, a=[Users], b=[], c=[]):
        sim.split("a").run(5)
        assert ({"a"}, {"b", "c"}) == (set(sim["a"].view()), set(sim["b"].view()))

        sim.heal().run(3)
        assert {"a", "b", "c"} == sim.common_view()
        assert [] == sim.differences()


def test_a_stalled_node_answers_when_it_goes_on() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        began = sim.now
        sim.stall("a", 8.0)

        assert {"id": 1, "node": "a"} == sim.run_until(sim["b"].call("users.get", {"id": 1}))
        assert 8.0 <= sim.now - began < 8.1


def test_a_node_that_stood_still_takes_nobody_for_dead() -> None:
    """Promise M2: what came in meanwhile is read first."""
    with settled(Simulation(1, heartbeat_interval=1.0, heartbeat_timeout=3.0), a=[], b=[]) as sim:
        sim.stall("a", 20.0).run(20.5)

        assert sim["a"].takes_for_living("b")


def test_the_wall_clock_may_jump() -> None:
    with settled(Simulation(1), a=[Users], b=[]) as sim:
        sim.jump("a", 3600).jump("b", -86_400).run(60)

        assert {"a", "b"} == sim.common_view()
        assert {"id": 1, "node": "a"} == sim.run_until(sim["b"].call("users.get", {"id": 1}))


# --- the gateway ---


def test_an_http_request_reaches_an_action_of_another_node() -> None:
    with settled(Simulation(1), a=[Users], web=[Gateway]) as sim:
        answer = sim.run_until(sim.http("web", "GET", "/api/users/5"))

        assert (200, {"id": "5", "node": "a"}) == (answer.status, answer.json)
        assert "application/json; charset=utf-8" == answer.headers["content-type"]


def test_a_body_reaches_the_gateway() -> None:
    class Echo(Service):
        name = "echo"

        @action
        async def it(self, ctx: Context[Any]) -> Any:
            return ctx.params

    gateway = ApiGatewayService(settings={"port": 0, "routes": [{"aliases": {"POST /echo": "echo.it"}}]})
    with settled(Simulation(1), a=[Echo], web=[gateway]) as sim:
        answer = sim.run_until(sim.http("web", "POST", "/echo", json={"a": 1}))

        assert {"a": 1} == answer.json


def test_a_request_for_a_crashed_node_is_told_that_it_is_away() -> None:
    with settled(Simulation(1), a=[Users], web=[Gateway]) as sim:
        sim.crash("a")

        answer = sim.run_until(sim.http("web", "GET", "/api/users/5"))
        assert (503, "SERVICE_UNAVAILABLE") == (answer.status, answer.json["type"])


def test_bytes_go_in_and_out_of_a_socket() -> None:
    with settled(Simulation(1), a=[Users], web=[Gateway]) as sim:

        async def scenario() -> tuple[bytes, bytes]:
            socket = sim.socket("web")
            socket.send(b"GET /api/users/1 HTTP/1.1\r\nHo")
            await asyncio.sleep(1)
            socket.send(b"st: x\r\n\r\n")
            head = await socket.read_until(b"\r\n\r\n")
            body = await socket.read_exactly(len(b'{"id":"1","node":"a"}'))
            socket.close()
            return head, body

        head, body = sim.run_until(scenario())
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'{"id":"1","node":"a"}' == body


def test_a_client_that_is_silent_is_told_so_on_virtual_time() -> None:
    with settled(Simulation(1), web=[Gateway]) as sim:
        socket = sim.socket("web")
        socket.send(b"GET /api/users/1 HTT")

        assert (sim.run_until(socket.read_all())).startswith(b"HTTP/1.1 408 ")
        assert socket.ended


def test_a_client_that_reads_nothing_is_waited_for_and_then_cut() -> None:
    class Big(Service):
        name = "big"

        @action
        async def get(self, ctx: Context[Any]) -> str:
            return "x" * 300_000

    gateway = ApiGatewayService(settings={"port": 0, "routes": [{"aliases": {"GET /big": "big.get"}}]})
    with settled(Simulation(1), a=[Big], web=[gateway]) as sim:
        socket = sim.socket("web")
        socket.reading = False
        socket.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        sim.run(5)
        socket.reading = True
        sim.run(1)

        assert 300_000 < len(sim.run_until(socket.read()))


def test_the_crash_of_a_gateway_cuts_its_connections() -> None:
    with settled(Simulation(1), a=[Users], web=[Gateway]) as sim:

        async def scenario() -> None:
            asking = asyncio.ensure_future(sim.http("web", "GET", "/api/users/1"))
            await asyncio.sleep(0.002)
            sim.crash("web")
            await asking

        with pytest.raises(ConnectionResetError):
            sim.run_until(scenario())
        with pytest.raises(ConnectionRefusedError):
            sim.socket("web")


def test_where_no_gateway_is_nobody_can_connect() -> None:
    with settled(Simulation(1), a=[Users]) as sim, pytest.raises(ConnectionRefusedError, match="no gateway listens"):
        sim.run_until(sim.http("a", "GET", "/"))


def test_a_port_can_be_had_once_a_node() -> None:
    class Second(Gateway):
        name = "second"

    sim = Simulation(1)
    with sim:
        sim.node("a", Gateway, Second)
        with pytest.raises(BrokerOptionsError, match="already in use"):
            sim.run_until(sim.settled())


# --- what is found at the end ---


def test_a_task_that_is_left_is_told() -> None:
    class Careless(Service):
        name = "careless"

        async def started(self) -> None:
            self.task = asyncio.get_running_loop().create_task(asyncio.sleep(1e6), name="forgotten")

    with pytest.raises(SimulationError, match="task left: forgotten of a"), settled(Simulation(1), a=[Careless]):
        pass


def test_a_timer_that_is_left_is_told() -> None:
    class Careless(Service):
        name = "careless"

        async def started(self) -> None:
            asyncio.get_running_loop().call_later(1e6, print)

    with pytest.raises(SimulationError, match="timer left"), settled(Simulation(1), a=[Careless]):
        pass


def test_an_error_in_the_log_is_told() -> None:
    with pytest.raises(SimulationError, match="something broke"), settled(Simulation(1), a=[]):
        logging.getLogger("tautomer.x").error("something broke")


def test_an_error_that_is_expected_is_not_told() -> None:
    with settled(Simulation(1, expected_errors=["something broke"]), a=[]):
        logging.getLogger("tautomer.x").error("something broke")


def test_a_failure_that_nobody_looked_at_is_told() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("oh")

    sim = settled(Simulation(1), a=[])
    sim["a"].spawn(fail())
    sim.run(1)

    with pytest.raises(SimulationError, match="ZeroDivisionError"):
        sim.close()


def test_a_node_that_cannot_start_says_why() -> None:
    class Broken(Service):
        name = "broken"

        async def started(self) -> None:
            raise ZeroDivisionError("oh")

    with Simulation(1) as sim:
        sim.node("a", Broken)
        with pytest.raises(ZeroDivisionError):
            sim.run_until(sim.settled())


def test_a_failing_test_says_which_seed_it_was() -> None:
    with pytest.raises(ZeroDivisionError) as raised, Simulation(4711):
        raise ZeroDivisionError

    assert any("seed=4711" in note for note in raised.value.__notes__)


def test_a_test_that_takes_for_ever_is_ended() -> None:
    with Simulation(1) as sim, pytest.raises(SimulationError, match="not done within 60 s"):
        sim.run_until(asyncio.sleep(1e6), within=60)


def test_a_second_node_of_one_id_is_refused() -> None:
    with settled(Simulation(1), a=[]) as sim, pytest.raises(SimulationError, match="a node 'a' already"):
        sim.node("a")
