"""The memory transporter."""

from __future__ import annotations

import asyncio

import pytest

from tautomer.errors import BrokerDisconnectedError, BrokerOptionsError
from tautomer.host import Host
from tautomer.transporters import memory, resolve
from tautomer.transporters.memory import MemoryTransporter
from tests.transporters.suite import RecordingLink, TransporterSuite, until


class TestMemory(TransporterSuite):
    def make(self) -> MemoryTransporter:
        return MemoryTransporter("memory://suite")


async def joined(url: str, *topics: str) -> tuple[MemoryTransporter, RecordingLink]:
    transporter, link = MemoryTransporter(url), RecordingLink()
    await transporter.connect(link)
    await transporter.subscribe(topics)
    return transporter, link


async def test_nodes_of_another_name_are_not_heard() -> None:
    here, link = await joined("memory://one", "t")
    there, other = await joined("memory://two", "t")

    here.send("t", b"x")
    await until(lambda: link.messages)

    assert [] == other.messages
    await here.close()
    await there.close()


async def test_too_many_messages_on_the_way_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "QUEUED_MAX", 3)
    transporter, link = await joined("memory://full", "t")

    for _ in range(3):
        transporter.send("t", b"x")
    with pytest.raises(BrokerDisconnectedError, match="too many"):
        transporter.send("t", b"x")
    await until(lambda: len(link.messages) == 3)
    transporter.send("t", b"x")
    await until(lambda: len(link.messages) == 4)

    await transporter.close()


async def test_answers_to_answers_leave_the_loop_its_other_work() -> None:
    class Echo(RecordingLink):
        def received(self, topic: str, data: bytes) -> None:
            super().received(topic, data)
            transporter.send(topic, data)

    transporter, link = MemoryTransporter("memory://echo"), Echo()
    await transporter.connect(link)
    await transporter.subscribe(["t"])
    transporter.send("t", b"x")

    async with asyncio.timeout(5):
        for _ in range(20):
            await asyncio.sleep(0)

    assert 10 < len(link.messages) <= 21
    await transporter.close()


async def test_a_link_that_fails_does_not_keep_messages_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A `Link` does not raise. One that does is a bug, and must not become everybody's."""

    class Failing(RecordingLink):
        def received(self, topic: str, data: bytes) -> None:
            raise ValueError("broken")

    failing = MemoryTransporter("memory://failing")
    await failing.connect(Failing())
    await failing.subscribe(["t"])
    transporter, link = await joined("memory://failing", "t")

    transporter.send("t", b"1")
    transporter.send("t", b"2")
    await until(lambda: len(link.messages) == 2)

    assert [b"1", b"2"] == [data for _, data in link.messages]
    assert ["taking in a message failed"] * 2 == [record.message for record in caplog.records]
    await failing.close()
    await transporter.close()


async def test_nothing_is_kept_of_a_bus_that_everybody_left() -> None:
    before = set(memory._buses)
    first, _ = await joined("memory://left", "t")
    second, _ = await joined("memory://left")
    assert before != set(memory._buses)

    await first.close()
    await second.close()

    assert before == set(memory._buses)


# --- by URL ---


@pytest.mark.parametrize("chosen", ["memory", "Memory", "memory://", "memory://name", " memory:// "])
def test_memory_by_url(chosen: str) -> None:
    assert isinstance(resolve(chosen, Host()), MemoryTransporter)


def test_nothing_means_a_node_that_is_alone() -> None:
    assert resolve(None, Host()) is None
    assert resolve("", Host()) is None


def test_a_transporter_that_is_given_is_taken() -> None:
    transporter = MemoryTransporter()

    assert resolve(transporter, Host()) is transporter


@pytest.mark.parametrize(
    "chosen", ["carrier-pigeon://loft", "redis://user:s3cret@host:1", "x", "://", "nat://s3cret@a"]
)
def test_an_unknown_scheme_names_the_known_and_tells_no_secret(chosen: str) -> None:
    with pytest.raises(BrokerOptionsError, match="nats://") as caught:
        resolve(chosen, Host())

    assert "s3cret" not in f"{caught.value} {caught.value.data}"
