"""Streams over a real message broker: much, fast, slow, too large, and with the line cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tautomer import Broker, errors
from tests.cluster import Cluster
from tests.kernel.mesh import until
from tests.kernel.test_streams import Feed, Source, at_rest, everything, quick
from tests.programs import Program
from tests.servers import NatsServer

pytestmark = [pytest.mark.server, pytest.mark.slow]

MEGABYTE = 1024 * 1024

SENDER = """
import asyncio, sys
from tautomer import Broker, Service, Settings, action

class Big(Service):
    name = "big"

    @action
    async def give(self, ctx):
        piece = bytes(range(256)) * 4096
        for _ in range(ctx.params["megabytes"]):
            yield piece

async def main():
    broker = Broker("sender", Settings(transporter=sys.argv[1]))
    await broker.register(Big())
    async with broker:
        print("ready")
        await broker.wait_for_shutdown()

asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with NatsServer() as started:
        yield started


@pytest.fixture
async def cluster(server: NatsServer) -> AsyncIterator[Cluster]:
    made = Cluster(server.url)
    yield made
    await made.stop()


@pytest.fixture
async def apart(cluster: Cluster) -> tuple[Broker, Feed]:
    feed = Feed()
    await cluster.node("b", feed)
    return await cluster.node("a"), feed


def resident(pid: int | str) -> int:
    """Bytes of memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def test_many_small_items_back_to_back(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart

    assert [*range(5_000)] == await everything(await caller.call("feed.count", {"to": 5_000}))
    assert [*range(0, 10_000, 2)] == await everything(await caller.call("feed.double", stream=Source(*range(5_000))))
    await until(lambda: at_rest(caller, feed.broker))


async def test_an_item_over_the_brokers_limit_breaks_its_stream_and_no_other(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart
    stream = await caller.call("feed.mixed", {"items": ["a", "x" * 900_000]})
    assert 2 == len(await everything(stream))
    stream = await caller.call("feed.mixed", {"items": ["a", "x" * 900_000, "b"], "larger": 200_000})
    assert "a" == await anext(stream)
    with pytest.raises(errors.PayloadTooLargeError):
        await everything(stream)

    class Large:
        async def __aiter__(self) -> AsyncIterator[Any]:
            yield "small"
            yield "x" * 1_100_000

    with pytest.raises(errors.PayloadTooLargeError):
        await caller.call("feed.collect", stream=Large())
    await until(lambda: feed.broke)
    assert "PAYLOAD_TOO_LARGE" == feed.broke[0].type  # type: ignore[attr-defined]  # It came from there.
    assert "plain" == await caller.call("feed.plain")


async def test_a_slow_reader_gets_all_of_it(cluster: Cluster) -> None:
    feed = Feed()
    small = quick(stream_window_bytes=MEGABYTE)
    await cluster.node("b", feed, transit=small)
    caller = await cluster.node("a", transit=small)
    total = 0

    async for chunk in await caller.call("feed.bytes", {"count": 8, "size": MEGABYTE}):
        total += len(chunk)
        await asyncio.sleep(0.005)

    assert 8 * MEGABYTE == total


async def test_a_line_that_is_cut_in_the_middle_leaves_the_whole_or_an_error(
    cluster: Cluster, server: NatsServer
) -> None:
    feed = Feed()
    hurried = quick(stream_idle=1.0)
    await cluster.node("b", feed, transit=hurried)
    caller = await cluster.node("a", transit=hurried)
    stream = await caller.call("feed.count", {"to": 300, "pause": 0.002})
    read = [await anext(stream)]

    server.kill()
    server.start()

    try:
        read += await everything(stream)
    except errors.MoleculerError:
        assert [*range(len(read))] == read
    else:
        assert [*range(300)] == read
    await until(lambda: at_rest(caller, feed.broker), 10)


async def test_memory_stays_flat_over_two_hundred_megabytes(
    server: NatsServer, cluster: Cluster, tmp_path: Path
) -> None:
    """In both nodes, and in the message broker, which would cut off a reader that it has to keep 64 MiB for."""
    program = tmp_path / "sender.py"
    program.write_text(SENDER)
    with Program(program, server.url) as sender:
        await asyncio.to_thread(sender.wait_for, "ready")
        reader = await cluster.node("reader")
        await reader.wait_for_services("big", 10)
        await everything(await reader.call("big.give", {"megabytes": 4}))
        assert server.process is not None
        processes = ("self", sender.process.pid, server.process.pid)
        before = [resident(one) for one in processes]
        most = before
        total = 0

        async for chunk in await reader.call("big.give", {"megabytes": 200}):
            total += len(chunk)
            if total % (5 * MEGABYTE) == 0:
                most = [max(pair) for pair in zip(most, map(resident, processes), strict=True)]

    assert 200 * MEGABYTE == total
    assert [True, True, True] == [now - then < 40 * MEGABYTE for now, then in zip(most, before, strict=True)]
