"""Whatever comes in, the node neither raises nor falls silent (promise M4; ready-made properties 1 and 2)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tautomer import Broker, Context, Service, action, errors, event
from tests.kernel.mesh import Foreign, Mesh, service_info
from tests.protocol.values import COMMANDS, good, json_values

ABSENT = object()
VALUES = [ABSENT, None, True, False, 0, -1, 1.5, 10**30, 1e300, "", "text", "a b", [], [1], {}, {"x": {"y": [None]}}]

fuzzed = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Math(Service):
    name = "math"

    @action(params={"a": "number"})
    async def add(self, ctx: Context) -> Any:
        return ctx.params["a"]

    @action
    async def show(self, ctx: Context) -> Any:
        return {"params": ctx.params, "meta": ctx.meta, "headers": ctx.headers, "left": ctx.request_timeout}

    @event("user.*")
    def on_user(self, ctx: Context) -> None: ...


class Victim:
    """One node that gets everything, with one loop for all examples.

    Attributes:
        faults: Lines of the log that tell of a bug of ours.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.faults: list[str] = []
        self.broker, self.peer = runner.run(self._join())

    async def _join(self) -> tuple[Broker, Foreign]:
        self.mesh = Mesh()
        broker = await self.mesh.node("a", Math)
        peer = await self.mesh.foreign("node-2")
        peer.introduce(service_info("far", "do"))
        await broker.wait_for_services("far", 5)
        return broker, peer

    def takes(self, command: str, data: bytes) -> None:
        """Hand over one message, as a transporter does, and see that the node is as before."""
        self.run(self._take(command, data))

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coro)

    async def _take(self, command: str, data: bytes) -> None:
        assert self.broker.transit is not None
        topic = f"MOL.{command}" if command in ("INFO", "HEARTBEAT", "DISCONNECT") else f"MOL.{command}.a"
        self.broker.transit.received(topic, data)
        answer = await self.peer.ask("a", "math.add", {"a": 8})
        self.peer.heard.clear()

        assert 8 == answer["data"]
        assert [] == self.faults

    def close(self) -> None:
        self._runner.run(self.mesh.close())


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    class Faults(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            made.faults.append(record.getMessage())

    handler = Faults(logging.ERROR)
    with asyncio.Runner() as runner:
        made = Victim(runner)
        logging.getLogger("tautomer").addHandler(handler)
        try:
            yield made
        finally:
            logging.getLogger("tautomer").removeHandler(handler)
            made.close()


def encoded(packet: dict[str, Any]) -> bytes:
    return json.dumps(packet).encode()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_may_be_missing_or_of_any_type(victim: Victim, command: str) -> None:
    packet = good(command)
    for field in packet:
        for value in VALUES:
            changed = {key: one for key, one in packet.items() if key != field}
            if value is not ABSENT:
                changed[field] = value
            victim.takes(command, encoded(changed))


@pytest.mark.parametrize("field", ["name", "version", "fullName", "settings", "metadata", "actions", "events"])
def test_every_field_of_a_service_may_be_missing_or_of_any_type(victim: Victim, field: str) -> None:
    service = service_info("far", "do", version=1, events={"far.done": {"name": "far.done", "group": "g"}})
    for seq, value in enumerate(VALUES, 1_000):
        changed = {key: one for key, one in service.items() if key != field}
        if value is not ABSENT:
            changed[field] = value
        victim.takes("INFO", encoded({**good("INFO"), "services": [changed], "seq": seq, "instanceID": field}))


@pytest.mark.slow
@fuzzed
@given(command=st.sampled_from(COMMANDS), data=st.binary(max_size=200))
@example(command="REQ", data=b'{"sender":"node-2","ver":"5"')
@example(command="INFO", data=b'"\\ud83d"')
def test_any_bytes(victim: Victim, command: str, data: bytes) -> None:
    victim.takes(command, data)


@pytest.mark.slow
@fuzzed
@given(command=st.sampled_from(COMMANDS), data=st.data())
def test_a_good_message_with_broken_bytes(victim: Victim, command: str, data: st.DataObject) -> None:
    message = bytearray(encoded(good(command)))
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        message[data.draw(st.integers(0, len(message) - 1), label="place")] = data.draw(
            st.integers(0, 255), label="byte"
        )

    victim.takes(command, bytes(message[: data.draw(st.integers(0, len(message)), label="length")]))


@pytest.mark.slow
@fuzzed
@given(command=st.sampled_from(COMMANDS), data=st.data())
def test_a_good_packet_with_any_json_in_it(victim: Victim, command: str, data: st.DataObject) -> None:
    packet = good(command, data.draw(st.sampled_from(["4", "5"]), label="version"))
    changes = data.draw(
        st.dictionaries(st.sampled_from([*packet, "unknown"]), json_values(), max_size=4), label="changes"
    )

    victim.takes(command, encoded({**packet, **changes}))


@pytest.mark.slow
@fuzzed
@given(
    services=st.lists(
        st.dictionaries(st.sampled_from(["name", "version", "actions", "events"]), json_values()), max_size=3
    ),
    seq=st.integers(2),
)
def test_an_info_with_any_json_as_its_services(victim: Victim, services: list[Any], seq: int) -> None:
    victim.takes("INFO", encoded({**good("INFO"), "services": services, "seq": seq, "sender": "node-3"}))


@pytest.mark.slow
def test_every_call_ends_whatever_its_answer(victim: Victim) -> None:
    """Promise C1: a result or an error, by its deadline; and nothing of it stays behind (C6)."""
    packet = good("RES")
    answers = [
        {**packet, field: value} if value is not ABSENT else {k: v for k, v in packet.items() if k != field}
        for field in packet
        for value in VALUES
    ]

    async def ask_for_all() -> list[Any]:
        peer, broker = victim.peer, victim.broker
        peer.introduce(service_info("far", "do"), seq=10**9, instanceID="again")
        await peer.ask("a", "math.add", {"a": 8})
        peer.heard.clear()
        calls = [asyncio.ensure_future(broker.call("far.do", timeout=0.2)) for _ in answers]
        while len(peer.packets("REQ")) < len(answers):
            await asyncio.sleep(0)
        for request, answer in zip(peer.packets("REQ"), answers, strict=True):
            known = {"id": request["id"]} if answer.get("id") == "id-1" else {}
            peer.say_bytes("RES", encoded({**answer, **known}), "a")
        return await asyncio.gather(*calls, return_exceptions=True)

    results = victim.run(ask_for_all())

    failed = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(error, errors.MoleculerError) for error in failed)
    assert len(failed) < len(results)
    assert 0 == victim.broker.statistics()["transit"]["pending"]
    assert [] == victim.faults
