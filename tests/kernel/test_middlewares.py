"""Middlewares: every hook is really called, in order, and what nobody overrides is not in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Middleware, Service, Settings, action, errors, event
from tautomer.context import RawResult
from tests.kernel.mesh import Foreign, Mesh, service_info, until

Notes = list[str]


class Math(Service):
    name = "math"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    @action
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    async def nested(self, ctx: Context) -> Any:
        await ctx.emit("told", "nested")
        return await ctx.call("math.add", {"a": 1, "b": 2})

    @event("told")
    async def on_told(self, ctx: Context) -> None:
        self.heard.append(ctx.params)


class Around(Middleware):
    """Notes when a handler is entered and left."""

    def __init__(self, name: str, notes: Notes) -> None:
        self.name, self.notes = name, notes

    async def local_action(self, next_handler: Any, endpoint: Any) -> Any:
        return self._around(next_handler, endpoint)

    async def remote_action(self, next_handler: Any, endpoint: Any) -> Any:
        await asyncio.sleep(0)
        self.notes.append(f"{self.name} composed {endpoint.name}")
        return self._around(next_handler, endpoint)

    def local_event(self, next_handler: Any, endpoint: Any) -> Any:
        return self._around(next_handler, endpoint)

    def _around(self, next_handler: Any, endpoint: Any) -> Any:
        if endpoint.name.startswith("$"):
            return next_handler

        async def handle(ctx: Context) -> Any:
            self.notes.append(f"{self.name} before {endpoint.name}")
            result = await next_handler(ctx)
            self.notes.append(f"{self.name} after {endpoint.name}")
            return result

        return handle


class Verbs(Middleware):
    """Notes each verb of the broker. `plain` hooks, as Node has them."""

    def __init__(self, name: str, notes: Notes) -> None:
        self.name, self.notes = name, notes

    def call(self, next_call: Any) -> Any:
        async def call(action: str, params: Any, options: dict[str, Any]) -> Any:
            self.notes.append(f"{self.name} call {action}")
            return await next_call(action, params, options)

        return call

    def emit(self, next_emit: Any) -> Any:
        return self._noted("emit", next_emit)

    def broadcast(self, next_broadcast: Any) -> Any:
        return self._noted("broadcast", next_broadcast)

    def broadcast_local(self, next_broadcast: Any) -> Any:
        return self._noted("broadcast_local", next_broadcast)

    def _noted(self, verb: str, following: Any) -> Any:
        def tell(event: str, data: Any, options: dict[str, Any]) -> Any:
            if not event.startswith("$"):
                self.notes.append(f"{self.name} {verb} {event}")
            return following(event, data, options)

        return tell


def two(kind: Callable[[str, Notes], Middleware], notes: Notes) -> list[Middleware]:
    return [kind("first", notes), kind("second", notes)]


# --- around handlers ---


async def test_local_actions_and_events_are_wrapped_the_first_outermost() -> None:
    notes: Notes = []
    async with Broker("a", Settings(middlewares=two(Around, notes))) as broker:
        await broker.register(Math)

        assert 3 == await broker.call("math.add", {"a": 1, "b": 2})
        await broker.emit("told")

    assert [
        f"{name} {when} {what}"
        for what in ("math.add", "told")
        for when, order in (("before", ("first", "second")), ("after", ("second", "first")))
        for name in order
    ] == notes


async def test_remote_actions_are_wrapped_at_the_first_call(mesh: Mesh) -> None:
    notes: Notes = []
    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=two(Around, notes))
    await here.wait_for_services("math", 5)
    assert [] == notes

    assert [3, 3, 3] == await asyncio.gather(*(here.call("math.add", {"a": 1, "b": 2}) for _ in range(3)))

    assert ["second composed math.add", "first composed math.add"] == notes[:2]
    assert 2 == len([note for note in notes if "composed" in note])
    assert ["first before math.add", "second before math.add"] == notes[2:4]
    assert ["second after math.add", "first after math.add"] == notes[-2:]


async def test_a_remote_chain_whose_first_caller_gave_up_is_composed_for_the_next(mesh: Mesh) -> None:
    entered = asyncio.Event()

    class Slow(Middleware):
        async def remote_action(self, next_handler: Any, endpoint: Any) -> Any:
            if not entered.is_set():
                entered.set()
                await asyncio.sleep(30)
            return next_handler

    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=[Slow()])
    await here.wait_for_services("math", 5)

    first = asyncio.ensure_future(here.call("math.add", {"a": 1, "b": 2}))
    await entered.wait()
    first.cancel()

    assert 3 == await here.call("math.add", {"a": 1, "b": 2})


async def test_a_wrapper_may_answer_instead_and_change_what_goes_in_and_out(mesh: Mesh) -> None:
    class Doubling(Middleware):
        def remote_action(self, next_handler: Any, endpoint: Any) -> Any:
            async def handle(ctx: Context) -> Any:
                if ctx.params["a"] == 0:
                    return "nothing to do"
                ctx.params = {**ctx.params, "a": ctx.params["a"] * 2}
                return {"result": await next_handler(ctx)}

            return handle

    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=[Doubling()])
    await here.wait_for_services("math", 5)

    assert {"result": 12} == await here.call("math.add", {"a": 5, "b": 2})
    assert "nothing to do" == await here.call("math.add", {"a": 0, "b": 2})


async def test_who_wraps_a_remote_action_sees_its_result_decoded(mesh: Mesh) -> None:
    seen: list[Any] = []

    class Looking(Middleware):
        def remote_action(self, next_handler: Any, endpoint: Any) -> Any:
            async def handle(ctx: Context) -> Any:
                seen.append(await next_handler(ctx))
                return seen[-1]

            return handle if endpoint.name == "math.add" else next_handler

    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=[Looking()])
    await here.wait_for_services("math", 5)

    assert 3 == await here.call("math.add", {"a": 1, "b": 2}, raw=True)
    assert [3] == seen
    unseen = await here.call("math.nested", raw=True)
    assert isinstance(unseen, RawResult)
    assert b"3" == unseen.data


# --- around verbs ---


async def test_verbs_are_wrapped_also_when_a_handler_uses_them() -> None:
    notes: Notes = []
    async with Broker("a", Settings(middlewares=two(Verbs, notes))) as broker:
        await broker.register(Math)
        notes.clear()

        assert 3 == await broker.call("math.nested")
        assert [3] == await broker.mcall([{"action": "math.add", "params": {"a": 1, "b": 2}}])
        await broker.emit("told")
        await broker.broadcast("told")
        await broker.broadcast_local("told")

    assert [
        f"{name} {what}"
        for what in (
            "call math.nested",
            "emit told",
            "call math.add",
            "call math.add",
            "emit told",
            "broadcast told",
            "broadcast_local told",
        )
        for name in ("first", "second")
    ] == notes


async def test_a_verb_gets_all_that_was_said_and_may_change_it() -> None:
    seen: list[dict[str, Any]] = []

    class Changing(Middleware):
        def call(self, next_call: Any) -> Any:
            def call(action: str, params: Any, options: dict[str, Any]) -> Any:
                seen.append(dict(options))
                return next_call("math.add", {**params, "b": 2}, {**options, "meta": {"x": 1}})

            return call

        def emit(self, next_emit: Any) -> Any:
            def emit(event: str, data: Any, options: dict[str, Any]) -> Any:
                seen.append(dict(options))
                return next_emit("told", f"changed {data}", options)

            return emit

    async with Broker("a", Settings(middlewares=[Changing()])) as broker:
        math = await broker.register(Math())
        ctx = broker.context()

        assert 3 == await broker.call("other.name", {"a": 1}, timeout=5.0)
        assert 3 == await ctx.call("other.name", {"a": 1})
        await broker.emit("anything", 1, "math", meta={"m": 1}, headers={"h": 1})

        assert {"x": 1} == ctx.meta
        assert ["changed 1"] == math.heard  # type: ignore[attr-defined]  # It is Math.
    assert [
        {"timeout": 5.0},
        {"parent": ctx},
        {"groups": "math", "meta": {"m": 1}, "headers": {"h": 1}, "parent": None},
    ] == seen


class Async(Middleware):
    """Hooks whose wrappers are written `async def`, as most would write them."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def emit(self, next_emit: Any) -> Any:
        return self._later(next_emit)

    def broadcast(self, next_broadcast: Any) -> Any:
        return self._later(next_broadcast)

    def broadcast_local(self, next_broadcast: Any) -> Any:
        return self._later(next_broadcast)

    def _later(self, following: Any) -> Any:
        async def tell(event: str, data: Any, options: dict[str, Any]) -> None:
            await asyncio.sleep(0)
            self.told.append(event)
            if data == "bad":
                raise ValueError("refused")
            await following(event, data, options)

        return tell


async def test_events_go_out_unawaited_also_through_async_wrappers() -> None:
    middleware = Async()
    async with Broker("a", Settings(middlewares=[middleware])) as broker:
        math = await broker.register(Math())

        broker.emit("told", 1)
        await broker.emit("told", 2)
        broker.broadcast("told", 3)
        await until(lambda: len(math.heard) == 3)  # type: ignore[attr-defined]  # It is Math.
        with pytest.raises(ValueError, match="refused"):
            await broker.emit("told", "bad")

        assert [1, 2, 3] == math.heard  # type: ignore[attr-defined]  # As above.
    assert "$broker.started" in middleware.told


async def test_whoever_waits_for_services_is_woken_whatever_middlewares_do(mesh: Mesh) -> None:
    class Silencing(Middleware):
        def broadcast_local(self, next_broadcast: Any) -> Any:
            return lambda event, data, options: None

    here = await mesh.node("a", middlewares=[Silencing()])
    waiting = asyncio.ensure_future(here.wait_for_services("math", 5))
    await asyncio.sleep(0)
    await mesh.node("b", Math)

    await waiting


# --- around packets and bytes ---


class Packets(Middleware):
    def __init__(self, name: str, notes: Notes) -> None:
        self.name, self.notes = name, notes

    def transit_publish(self, next_publish: Any) -> Any:
        def publish(command: str, packet: Any, topic: str, *rest: Any) -> None:
            self.notes.append(f"{self.name} > {command}")
            next_publish(command, packet, topic, *rest)

        return publish

    def transit_received(self, next_received: Any) -> Any:
        def received(command: str, packet: Any) -> None:
            self.notes.append(f"{self.name} < {command}")
            next_received(command, packet)

        return received


async def test_packets_go_through_the_hooks_both_ways(mesh: Mesh, peer: Foreign) -> None:
    notes: Notes = []
    here = await mesh.node("a", Math, middlewares=two(Packets, notes))
    peer.introduce(service_info("far", "do", events={"told": {"name": "told"}}))
    await here.wait_for_services("far", 5)
    notes.clear()

    task = asyncio.ensure_future(here.call("far.do", timeout=5))
    request = await peer.hears("REQ")
    peer.answer(request, data=1)
    assert 1 == await task
    await peer.ask("a", "math.add", {"a": 1, "b": 2})
    await here.emit("told")

    expected = ["> REQ", "< RES", "< REQ", "> RES", "> EVENT"]
    assert [f"{name} {what}" for what in expected for name in ("first", "second")] == notes


async def test_a_packet_can_be_changed_and_held_back(mesh: Mesh, peer: Foreign) -> None:
    class Marking(Middleware):
        def transit_publish(self, next_publish: Any) -> Any:
            def publish(command: str, packet: Any, *rest: Any) -> None:
                if command == "RES":
                    packet.meta = {**packet.meta, "marked": True}
                next_publish(command, packet, *rest)

            return publish

        def transit_received(self, next_received: Any) -> Any:
            return lambda command, packet: None if command == "PING" else next_received(command, packet)

    await mesh.node("a", Math, middlewares=[Marking()])
    peer.say("PING", "a", time=1, id="1")
    answer = await peer.ask("a", "math.add", {"a": 1, "b": 2})

    assert {"marked": True} == answer["meta"]
    assert [] == peer.packets("PONG")


class Xor(Middleware):
    """Encryption, as far as a test needs it."""

    def __init__(self, key: int) -> None:
        self.key = key

    def transporter_send(self, next_send: Any) -> Any:
        return lambda topic, data, token=None: next_send(topic, self._turned(data), token)

    def transporter_receive(self, next_receive: Any) -> Any:
        return lambda topic, data: next_receive(topic, self._turned(data))

    def _turned(self, data: bytes) -> bytes:
        return bytes(byte ^ self.key for byte in data)


class Framed(Middleware):
    """Compression, as far as a test needs it: it is not the same backwards, so that the order shows."""

    def transporter_send(self, next_send: Any) -> Any:
        return lambda topic, data, token=None: next_send(topic, b"<" + data + b">", token)

    def transporter_receive(self, next_receive: Any) -> Any:
        def receive(topic: str, data: bytes) -> None:
            if data[:1] != b"<" or data[-1:] != b">":
                raise ValueError("not framed")
            next_receive(topic, data[1:-1])

        return receive


@pytest.mark.parametrize(
    "layers", [[Xor(0x5A)], [Framed(), Xor(0x5A)], [Xor(0x5A), Framed()]], ids=["xor", "framed, xor", "xor, framed"]
)
async def test_nodes_that_encrypt_alike_understand_each_other(mesh: Mesh, layers: list[Middleware]) -> None:
    there = await mesh.node("b", Math, middlewares=layers)
    here = await mesh.node("a", middlewares=layers)
    await here.wait_for_services("math", 5)

    assert 3 == await here.call("math.add", {"a": 1, "b": 2}, timeout=5)
    await here.emit("told", "x")
    await until(lambda: there.get_local_service("math").heard)  # type: ignore[union-attr]  # It is Math.
    assert b"3" == (await here.call("math.add", {"a": 1, "b": 2}, raw=True)).data


async def test_a_node_that_does_not_encrypt_is_not_understood_and_harms_nobody(mesh: Mesh, peer: Foreign) -> None:
    here = await mesh.node("a", Math, middlewares=[Framed(), Xor(0x5A)])

    peer.introduce(service_info("far", "do"))
    peer.say_bytes("REQ", b"", "a")
    await mesh.node("b", Math, middlewares=[Framed(), Xor(0x5A)])
    await until(lambda: "b" in here.registry.nodes)

    assert "f" not in here.registry.nodes
    assert here.transit is not None
    assert {"undecodable": 2} == here.transit.dropped


# --- life cycle: the order is in test_lifecycle.py ---


async def test_a_middleware_that_fails_at_stop_does_not_hold_it_up(
    mesh: Mesh, peer: Foreign, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Middleware):
        def broker_stopping(self, broker: Broker) -> None:  # type: ignore[override]  # It may be plain.
            raise ValueError("broken")

        async def service_stopping(self, service: Service) -> None:
            raise ValueError("broken")

        async def broker_stopped(self, broker: Broker) -> None:
            raise ValueError("broken")

    node = await mesh.node("a", Math, internal_services=False, middlewares=[Failing()])
    with caplog.at_level(logging.ERROR, "tautomer.middleware"):
        await node.stop()

    await peer.hears("DISCONNECT")
    assert ["broker_stopping", "service_stopping", "broker_stopped"] == [
        record.hook  # type: ignore[attr-defined]
        for record in caplog.records
    ]


async def test_a_middleware_that_fails_at_start_fails_the_start_and_undoes_it(mesh: Mesh, peer: Foreign) -> None:
    told: Notes = []

    class Failing(Middleware):
        async def broker_started(self, broker: Broker) -> None:
            raise ValueError("broken")

        async def broker_stopped(self, broker: Broker) -> None:
            told.append("broker_stopped")

    with pytest.raises(ValueError, match="broken"):
        await mesh.node("a", Math, middlewares=[Failing()])

    await peer.hears("DISCONNECT")
    assert ["broker_stopped"] == told


# --- what is off is not in the chain ---


async def test_what_nobody_overrides_is_not_in_the_chain(mesh: Mesh) -> None:
    class Nothing(Middleware):
        def local_action(self, next_handler: Any, endpoint: Any) -> Any:
            return next_handler

    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=[Nothing(), Middleware()])
    await here.wait_for_services("math", 5)
    math = await here.register(Math())
    transit = here.transit
    assert transit is not None
    await here.call("math.add", {"a": 1, "b": 2}, node_id="b")
    local, remote = here.registry.actions["math.add"].local, here.registry.actions["math.add"].on_node("b")
    assert local is not None
    assert remote is not None

    assert math.add == local.handler  # type: ignore[attr-defined]  # It is Math.
    assert transit.request == remote.handler.func  # type: ignore[attr-defined]  # Bound to its endpoint, and nothing more.
    assert math.on_told == here.registry.events.audiences["told"].lists[0].local[0].handler  # type: ignore[attr-defined]
    assert transit._send == transit._transporter.send
    assert transit._publish == transit._encode_and_send
    assert transit.receiving.is_plain
    assert transit.received == transit.receiving._take
    assert {} == here._publishing._verbs
    assert not here._calling.wrapped


# --- what is set up wrong ---


@pytest.mark.parametrize("hook", ["local_action", "local_event"])
@pytest.mark.parametrize("nonsense", [None, 5, "text"])
async def test_a_hook_that_returns_nonsense_fails_the_start_and_says_where(hook: str, nonsense: Any) -> None:
    odd = type("Odd", (Middleware,), {hook: lambda self, next_handler, endpoint: nonsense})
    broker = Broker("a", Settings(middlewares=[odd], internal_services=False))
    await broker.register(Math)

    with pytest.raises(errors.BrokerOptionsError, match=rf"Odd\.{hook} returned {nonsense!r} for '(math\.|told)"):
        await broker.start()
    assert not broker.started


async def test_a_remote_hook_that_returns_nonsense_fails_the_call(mesh: Mesh) -> None:
    class Odd(Middleware):
        def remote_action(self, next_handler: Any, endpoint: Any) -> Any: ...

    await mesh.node("b", Math)
    here = await mesh.node("a", middlewares=[Odd])
    await here.wait_for_services("math", 5)

    for _ in range(2):
        with pytest.raises(errors.BrokerOptionsError, match=r"Odd\.remote_action returned None for 'math\.add'"):
            await here.call("math.add", {"a": 1, "b": 2})


VERBS = ["call", "emit", "broadcast", "broadcast_local", "transit_publish", "transit_received"]
BYTES = ["transporter_send", "transporter_receive"]


@pytest.mark.parametrize("hook", [*VERBS, *BYTES])
def test_a_hook_of_a_verb_that_returns_nonsense_is_refused_when_the_broker_is_built(hook: str) -> None:
    odd = type("Odd", (Middleware,), {hook: lambda self, following: None})

    with pytest.raises(errors.BrokerOptionsError, match=rf"Odd\.{hook} returned None"):
        Broker("a", Settings(middlewares=[odd], transporter="memory://"))


@pytest.mark.parametrize("hook", [*VERBS, *BYTES])
def test_a_hook_of_a_verb_that_is_async_is_refused(hook: str) -> None:
    async def wrap(self: Any, following: Any) -> Any: ...

    with pytest.raises(errors.BrokerOptionsError, match=rf"Odd\.{hook} is `async`"):
        Broker("a", Settings(middlewares=[type("Odd", (Middleware,), {hook: wrap})], transporter="memory://"))


@pytest.mark.parametrize("odd", [5, object(), Math])
def test_what_is_no_middleware_is_refused(odd: Any) -> None:
    with pytest.raises(errors.BrokerOptionsError, match="none of the hooks"):
        Broker("a", Settings(middlewares=[odd]))


# --- where they are listed ---


async def test_classes_and_instances_may_be_listed() -> None:
    built: Notes = []

    class One(Middleware):
        def broker_created(self, broker: Broker) -> None:
            built.append(f"{type(self).__name__} {broker.id}")

    class Two(One): ...

    Broker("a", Settings(middlewares=[One, Two()]))

    assert ["One a", "Two a"] == built


async def test_those_given_directly_win_over_the_settings() -> None:
    notes: Notes = []
    settings = Settings(middlewares=[Around("settings", notes)])
    async with Broker("a", settings, middlewares=[Around("direct", notes)]) as broker:
        await broker.register(Math)
        await broker.call("math.add", {"a": 1, "b": 2})

    assert {"direct"} == {note.split()[0] for note in notes}
