"""Brokers in one process that find each other over TCP: the kernel's side of gossip."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, Settings, action, event
from tautomer.errors import RequestRejectedError, ServiceNotAvailableError
from tautomer.settings import RegistrySettings, TransitSettings
from tests.transporters.suite import until

from .nodes import RawServer, frame, speak

QUICK = TransitSettings(settle=0.05, settle_quiet=0.01, stop_delay=0.02, announce_delay=0.01)


class Named(Service):
    """Named as its node."""

    def __init__(self, name: str) -> None:
        self.heard: list[Any] = []
        super().__init__(name)

    @action
    async def echo(self, ctx: Context[Any]) -> Any:
        return ctx.params

    @action
    async def hang(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(30)

    @event("told")
    def told(self, ctx: Context[Any]) -> None:
        self.heard.append(ctx.params)


class Mesh:
    """Nodes whose addresses stand in everybody's configuration."""

    def __init__(self, *ids: str, query: str = "gossip_period=0.1") -> None:
        held = [socket.create_server(("127.0.0.1", 0)) for _ in ids]
        self.ports = {id: sock.getsockname()[1] for id, sock in zip(ids, held, strict=True)}
        for sock in held:
            sock.close()
        peers = ",".join(f"127.0.0.1:{port}/{id}" for id, port in self.ports.items())
        self.url = f"tcp://{peers}?udp_discovery=off&host=127.0.0.1&{query}"
        self.brokers: list[Broker] = []

    async def start(self, id: str, *services: Service, **settings: Any) -> Broker:
        settings = {"transporter": self.url, "transit": QUICK, "shutdown_timeout": 0.2, **settings}
        broker = Broker(id, Settings(**settings))
        for service in services or (Named(id),):
            await broker.register(service)
        await broker.start()
        self.brokers.append(broker)
        return broker

    async def close(self) -> None:
        for broker in self.brokers:
            if broker.started:
                await broker.stop()


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    made = Mesh("a", "b", "c")
    yield made
    await made.close()


def sees(broker: Broker, id: str) -> bool:
    return broker.registry.has_service(id)


def die(broker: Broker) -> None:
    """All its sockets end at once, as by a kill; the broker itself does not notice."""
    transporter = broker.transit._transporter  # type: ignore[union-attr]  # It has one.
    transporter._up = False
    for server in transporter._listener._servers:
        server.close()
    for inbound in list(transporter._listener._inbound):
        inbound.abort()
    for line in transporter._lines.values():
        line.abort()


async def test_three_nodes_meet_and_call_and_tell_each_other(mesh: Mesh) -> None:
    a, b, c = [await mesh.start(id) for id in "abc"]
    await until(lambda: all(sees(one, id) for one in (a, b, c) for id in "abc"))

    assert {"n": 1} == await a.call("c.echo", {"n": 1})
    await b.broadcast("told", 7)
    listeners = [one.get_local_service(one.id) for one in (a, b, c)]
    await until(lambda: all(listener.heard for listener in listeners))  # type: ignore[union-attr]  # Named.
    node = a.registry.nodes["b"]
    assert (mesh.ports["b"], "127.0.0.1") == (node.port, node.hostname)
    assert "b" == (await a.ping("b"))["nodeID"]


async def test_a_node_that_dies_is_lost_at_once_with_its_calls(mesh: Mesh) -> None:
    a, b = await mesh.start("a"), await mesh.start("b")
    await until(lambda: sees(a, "b"))
    call = asyncio.create_task(a.call("b.hang", timeout=20.0))
    await a.call("b.echo")

    die(b)

    with pytest.raises(RequestRejectedError):
        await asyncio.wait_for(call, 3)
    assert not sees(a, "b")
    with pytest.raises(ServiceNotAvailableError):
        await a.call("b.echo")


async def test_what_could_not_be_sent_surely_did_not_run(mesh: Mesh) -> None:
    a, b = await mesh.start("a"), await mesh.start("b")
    await until(lambda: sees(a, "b"))
    a.transit._transporter.hang_up("b")  # type: ignore[union-attr]  # As when the line was idle for long.
    die(b)

    with pytest.raises(ServiceNotAvailableError):
        await a.call("b.echo", timeout=5.0)


async def test_a_broken_line_to_a_living_node_is_mended_at_once(mesh: Mesh) -> None:
    a, b = await mesh.start("a"), await mesh.start("b")
    await until(lambda: sees(a, "b") and sees(b, "a"))
    told: list[str] = []

    class Ears(Service):
        name = "ears"

        @event("$node.*")
        def on_node(self, ctx: Context[Any]) -> None:
            told.append(ctx.event_name or "")

    await a.register(Ears())
    for inbound in list(b.transit._transporter._listener._inbound):  # type: ignore[union-attr]  # It has one.
        inbound.abort()
    await until(lambda: "$node.disconnected" in told and "$node.connected" in told)

    assert sees(a, "b")
    assert {} == await a.call("b.echo")


async def test_who_leaves_says_so_first(mesh: Mesh) -> None:
    a, b = await mesh.start("a"), await mesh.start("b")
    told: list[Any] = []

    class Ears(Service):
        name = "ears"

        @event("$node.disconnected")
        def gone(self, ctx: Context[Any]) -> None:
            told.append((ctx.params["node"]["id"], ctx.params["unexpected"]))

    await a.register(Ears())
    await until(lambda: sees(a, "b") and sees(b, "ears"))
    await b.stop()
    await until(lambda: told)

    assert [("b", False)] == told


async def test_one_started_again_under_its_name_is_taken_with_its_new_services(mesh: Mesh) -> None:
    a, b = await mesh.start("a"), await mesh.start("b", Named("b"), Named("old"))
    await until(lambda: sees(a, "old"))
    before = a.registry.nodes["b"].instance_id

    await b.stop()
    await mesh.start("b", Named("new"))
    await until(lambda: sees(a, "new"))

    assert not sees(a, "old")
    assert before != a.registry.nodes["b"].instance_id


async def test_services_that_change_are_told_at_once(mesh: Mesh) -> None:
    slow = Mesh("a", "b", query="gossip_period=60")
    a, b = await slow.start("a"), await slow.start("b")
    await until(lambda: sees(a, "b") and sees(b, "a"))

    await a.register(Named("fresh"))
    await until(lambda: sees(b, "fresh"))
    await a.destroy_service("fresh")
    await until(lambda: not sees(b, "fresh"))
    await slow.close()


async def test_a_node_of_one_version_sees_those_that_speak_it(mesh: Mesh) -> None:
    four = await mesh.start("a", protocol="4")
    five = await mesh.start("b", protocol="5")
    both = await mesh.start("c")
    await until(lambda: sees(both, "a") and sees(both, "b"))

    assert ("4", "5") == (
        both.transit.presence.membership.version_of("a"),
        both.transit.presence.membership.version_of("b"),
    )  # type: ignore[union-attr]  # It has one.
    assert 1 == await both.call("a.echo", 1)
    assert 2 == await both.call("b.echo", 2)
    assert not sees(four, "b")
    assert not sees(five, "a")


async def test_what_a_middleware_does_to_bytes_it_does_to_gossip_too(mesh: Mesh) -> None:
    class Mirror(Middleware):
        def transporter_send(self, next: Any) -> Any:
            return lambda topic, data, token=None: next(topic, data[::-1], token)

        def transporter_receive(self, next: Any) -> Any:
            return lambda topic, data: next(topic, data[::-1])

    a = await mesh.start("a", middlewares=[Mirror])
    b = await mesh.start("b", middlewares=[Mirror])
    plain = await mesh.start("c")
    await until(lambda: sees(a, "b") and sees(b, "a"))

    assert 1 == await a.call("b.echo", 1)
    assert not sees(plain, "a")


async def test_an_info_that_is_refused_takes_no_node_away_from_others(mesh: Mesh) -> None:
    asked = 0

    class Count(Middleware):
        def transit_received(self, next: Any) -> Any:
            def count(command: str, packet: Any) -> None:
                nonlocal asked
                asked += command == "GOSSIP_REQ" and packet.sender == "a"
                next(command, packet)

            return count

    strict = await mesh.start("a", registry=RegistrySettings(services_max=2))
    b = await mesh.start("b", Named("b"), Named("b2"), Named("b3"))
    c = await mesh.start("c", Named("c"), middlewares=[Count])
    await until(lambda: sees(c, "b3") and sees(strict, "c"))
    await until(lambda: "info" in strict.transit.dropped)  # type: ignore[union-attr]  # It has one.
    asked = 0
    await until(lambda: asked >= 4)  # Rounds in which the strict one says what it knows.

    assert sees(c, "b3")
    assert not sees(strict, "b3")
    assert b.started


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b'{"ver":"5","sender":"x y"}', b'{"ver":"5","sender":"s","online":{"a":[1e400]}}'],
)
@pytest.mark.parametrize("command", ["GOSSIP_REQ", "GOSSIP_RES", "GOSSIP_HELLO", "REQ", "RES", "EVENT", "PING", "PONG"])
async def test_no_frame_of_a_stranger_harms(mesh: Mesh, command: str, payload: bytes) -> None:
    a = await mesh.start("a")
    _, writer = await speak(mesh.ports["a"], frame(command, payload) + frame("PING", b'{"ver":"5","sender":"s"}'))
    await writer.drain()
    writer.close()
    await until(lambda: not a.transit._transporter._listener._inbound)  # type: ignore[union-attr]  # It has one.

    assert 1 == await a.call("a.echo", 1)


async def test_a_stranger_is_only_connected_to_where_it_came_from(mesh: Mesh) -> None:
    async with RawServer() as server:
        a = await mesh.start("a")
        hello = b'{"host":"203.0.113.1","port":%d,"ver":"5","sender":"s"}' % server.port
        _, writer = await speak(mesh.ports["a"], frame("GOSSIP_HELLO", hello))
        await until(lambda: b'"sender":"a"' in server.received)
        writer.close()

        assert a.started


async def test_nodes_over_the_bound_are_refused_and_counted(mesh: Mesh) -> None:
    a = await mesh.start("a", registry=RegistrySettings(nodes_max=3))
    hellos = [b'{"host":"h","port":9,"ver":"5","sender":"s%d"}' % number for number in range(20)]
    _, writer = await speak(mesh.ports["a"], b"".join(frame("GOSSIP_HELLO", hello) for hello in hellos))
    await until(lambda: a.transit.dropped.get("nodes") == 19)  # type: ignore[union-attr]  # Two are in the configuration.
    writer.close()
