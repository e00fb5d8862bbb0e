"""Any packet, in any number, over a real NATS server to a node in a process of its own (promise M4).

What each field may hold is tested without a server in tests/kernel/test_mutations.py; here it is whether the process,
its line and its memory stand it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.protocol.values import COMMANDS, good, json_values

from .crew import Crew
from .intruder import Intruder
from .load import tell

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SENDERS = ("node-2", "node-3", "intruder")
LARGEST = 1_000_000


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good packet with fields left out, and any JSON in others."""
    command = draw(st.sampled_from(COMMANDS))
    packet = _addressed(good(command, draw(st.sampled_from(["4", "5"]))))
    packet["sender"] = draw(st.sampled_from(SENDERS))
    if "id" in packet:
        packet["id"] = f"id-{draw(st.integers(0, 1 << 62))}"
    for field in draw(st.lists(st.sampled_from([*packet]), max_size=3)):
        packet.pop(field, None)
    changes = draw(st.dictionaries(st.sampled_from([*_addressed(good(command)), "unknown"]), json_values(), max_size=4))
    return command, json.dumps({**packet, **changes}).encode()


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """Bytes of a good packet with some changed, and cut off somewhere; or any bytes at all."""
    command = draw(st.sampled_from(COMMANDS))
    if draw(st.booleans()):
        return command, draw(st.binary(max_size=300))
    data = bytearray(json.dumps(_addressed(good(command))).encode())
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return command, bytes(data[: draw(st.integers(0, len(data)))])


@st.composite
def outsized(draw: st.DrawFn) -> tuple[str, bytes]:
    """Too deep, or as large as the message broker lets through."""
    command = draw(st.sampled_from(COMMANDS))
    packet = _addressed(good(command))
    field = draw(st.sampled_from([*packet]))
    size = draw(st.sampled_from([200, 10_000, 200_000, LARGEST]))
    filling = draw(
        st.sampled_from(
            [
                b"[" * (size // 2) + b"]" * (size // 2),
                b'{"a":' * (size // 7) + b"1" + b"}" * (size // 7),
                b"[" * size,
                b'"' + b"x" * size + b'"',
                b"9" * size,
                b"1e" + b"9" * (size // 2),
                b'"' + b"\\ud83d" * (size // 6) + b'"',
                b"{" + b",".join(b'"k%d":1' % n for n in range(size // 10)) + b"}",
                b"[" + b",".join([b"{}"] * (size // 3)) + b"]",
            ]
        )
    )
    before = json.dumps({key: value for key, value in packet.items() if key != field}).encode()
    return command, (before[:-1] + b',"' + field.encode() + b'":' + filling + b"}")[:LARGEST]


BATCHES = st.lists(mutated() | broken(), min_size=20, max_size=40) | st.lists(outsized(), min_size=1, max_size=4)


def _addressed(packet: dict[str, Any]) -> dict[str, Any]:
    """For an action and an event that the worker has."""
    if "action" in packet:
        packet["action"] = "work.echo"
    if "event" in packet:
        packet["event"] = "faults.happened"
    return packet


class Victim:
    """One worker that gets everything, with one loop for all examples.

    Attributes:
        said: Packets so far.
        batches: After each, the worker was well.
    """

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self.crew = Crew(folder)
        self.said = self.batches = 0
        self.run(self._begin())

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coro)

    async def _begin(self) -> None:
        await self.crew.__aenter__()
        self.worker = await self.crew.worker("w1")
        self.intruder = await Intruder(self.crew.server.url).__aenter__()

    async def takes(self, batch: list[tuple[str, bytes]]) -> None:
        for command, data in batch:
            to = None if command in ("INFO", "HEARTBEAT", "DISCONNECT") else "w1"
            await self.intruder.say_bytes(command, data, to)
        self.said += len(batch)
        answer = await self.intruder.ask("w1", "work.echo", {"well": self.batches})
        self.intruder.heard.clear()
        assert answer["data"] == {"well": self.batches}
        self.batches += 1

    async def gauges(self) -> dict[str, Any]:
        answer = await self.intruder.ask("w1", "work.gauges")
        found: dict[str, Any] = answer["data"]
        return found

    async def close(self) -> None:
        try:
            await self.intruder.__aexit__(None, None, None)
        finally:
            await self.crew.__aexit__(None, None, None)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with asyncio.Runner() as runner:
        made = Victim(runner, tmp_path)
        try:
            yield made
        finally:
            made.run(made.close())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("examples", [40, pytest.param(300, marks=pytest.mark.full)])
def test_no_packet_ends_stuns_or_fattens_a_node(victim: Victim, examples: int) -> None:
    """Node survived 34 of 38 kinds."""

    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(batch=BATCHES)
    def feed(batch: list[tuple[str, bytes]]) -> None:
        victim.run(victim.takes(batch))

    first = victim.run(victim.gauges())
    feed()
    warm = victim.run(victim.gauges())
    last = warm

    tell(
        "packets of any content",
        said=victim.said,
        batches=victim.batches,
        survived=f"{victim.batches} of {victim.batches}",
        lines_lost=victim.worker.program.output.count("lost the connection"),
        memory_grown_MiB=(last["rss"] - first["rss"]) / MIB,
        in_flight=last["statistics"]["in_flight"],
        dropped=Counter(last["statistics"]["dropped"]),
    )
    assert victim.worker.running
    assert first["fds"] == last["fds"]
    assert (0, 1) == (last["statistics"]["pending"], last["statistics"]["in_flight"])
    assert last["tasks"] <= first["tasks"] + 3
    assert max(last["tables"].values()) <= max(first["tables"].values()) + 1_000
    assert last["rss"] - first["rss"] < 40 * MIB
