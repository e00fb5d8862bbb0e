"""How far a sender runs ahead of its reader, with a reader written by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tautomer import Broker, errors
from tautomer.settings import TransitSettings
from tautomer.transit import pacing
from tests.kernel.mesh import Foreign, Mesh, service_info, until
from tests.kernel.test_stream_packets import Echo, called, chunk
from tests.kernel.test_streams import Feed, at_rest, everything

CHUNK = 1_000
WINDOW = 16 * CHUNK


@pytest.fixture
async def node(mesh: Mesh, peer: Foreign) -> Broker:
    settings = TransitSettings(
        settle=0,
        stop_delay=0,
        announce_delay=0,
        stream_window_bytes=WINDOW,
        stream_chunk_bytes=CHUNK,
        stream_idle=0.3,
    )
    broker = await mesh.node("n", Feed(), Echo(), transit=settings)
    peer.introduce(service_info("far", "run"))
    await until(lambda: "far.run" in broker.registry.actions)
    return broker


async def quiet(peer: Foreign) -> None:
    """Wait until nothing more comes."""
    heard = -1
    while heard != len(peer.heard):
        heard = len(peer.heard)
        await asyncio.sleep(0.02)


def pings(peer: Foreign) -> list[dict[str, Any]]:
    return [packet for command, packet, alone in peer.heard if command == "PING" and alone]


def sent(peer: Foreign) -> int:
    """Items that came so far."""
    return sum(packet["data"] is not None for packet in peer.packets("RES") if packet.get("seq"))


def pong(peer: Foreign, ping: dict[str, Any]) -> None:
    peer.say("PONG", "n", time=ping["time"], id=ping["id"], arrived=ping["time"])


async def test_a_sender_waits_for_the_answer_to_its_ping(node: Broker, peer: Foreign) -> None:
    peer.request("n", "feed.bytes", {"count": 40, "size": CHUNK})
    await quiet(peer)
    first = sent(peer)

    assert WINDOW // pacing.AHEAD // CHUNK <= first <= WINDOW // pacing.AHEAD // CHUNK + 1
    while pings(peer):
        told = pings(peer)
        peer.heard = [one for one in peer.heard if one[0] != "PING"]
        pong(peer, told[-1])
        await quiet(peer)
    assert 40 == sent(peer)
    assert at_rest(node)


async def test_a_short_stream_asks_nothing(node: Broker, peer: Foreign) -> None:
    request_id = peer.request("n", "feed.count", {"to": 3})
    await peer.hears("RES", id=request_id, stream=False)

    assert [] == pings(peer)


async def test_a_node_that_answers_no_ping_is_sent_to_all_the_same(
    node: Broker, peer: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "PROVE", 0.05)
    monkeypatch.setattr(pacing, "ASK_AGAIN", 0.02)

    peer.request("n", "feed.bytes", {"count": 40, "size": CHUNK})

    await until(lambda: sent(peer) == 40)


async def test_a_reader_that_answered_once_and_then_no_more_is_given_up_after_the_idle_time(
    node: Broker, peer: Foreign
) -> None:
    request_id = peer.request("n", "feed.bytes", {"count": 40, "size": CHUNK})
    await until(lambda: pings(peer))
    pong(peer, pings(peer)[0])

    last = await peer.hears("RES", id=request_id, stream=False)

    assert "STREAM_IDLE" == last["error"]["type"]
    assert at_rest(node)


async def test_a_stream_that_misses_a_packet_breaks_though_its_sender_asks_whether_there_is_room(
    node: Broker, peer: Foreign
) -> None:
    """What came after the gap fills more than half of the window, but it is not the reader that is behind."""
    chunk(peer, "s-1", 0)
    for seq in range(2, 12):
        chunk(peer, "s-1", seq, {"type": "Buffer", "data": [1] * CHUNK})
    peer.say("PING", "n", time=1, id="stream:REQ:s-1:10000")

    answer = await peer.hears("RES", id="s-1")

    assert "STREAM_IDLE" == answer["error"]["type"]
    assert at_rest(node)


@pytest.mark.parametrize(
    "id", ["stream", "stream:", "stream:RES", "stream:RES:x", "stream:RES:x:", "stream:RES:x:y", "stream:RES:x:²", 5]
)
async def test_a_ping_that_only_looks_like_one_of_a_stream_is_answered(node: Broker, peer: Foreign, id: Any) -> None:
    peer.say("PING", "n", time=1, id=id)
    peer.say("PONG", "n", time=1, id=id, arrived=1)

    assert id == (await peer.hears("PONG"))["id"]
    assert await peer.finds_well("n")


async def test_a_ping_is_answered_once_the_reader_has_caught_up(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=0, stream=True)
    for seq in range(1, 13):
        peer.answer(request, seq=seq, stream=True, data="x" * CHUNK)
    ping_id = f"stream:RES:{request['id']}:12000"
    peer.say("PING", "n", time=1, id=ping_id)
    stream = await calling
    await quiet(peer)
    assert [] == peer.packets("PONG")

    for _ in range(4):
        await anext(stream)
    assert [] == peer.packets("PONG")
    await anext(stream)

    assert ping_id == (await peer.hears("PONG"))["id"]


async def test_of_a_stream_that_nobody_reads_any_more_no_ping_is_answered(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=0, stream=True)
    await (await calling).aclose()

    peer.say("PING", "n", time=1, id=f"stream:RES:{request['id']}:1")

    assert await peer.finds_well("n")
    assert [] == peer.packets("PONG")


async def test_who_waits_for_its_reader_is_not_taken_for_idle(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=0, stream=True)
    for seq in range(1, 13):
        peer.answer(request, seq=seq, stream=True, data="x" * CHUNK)
    peer.say("PING", "n", time=1, id=f"stream:RES:{request['id']}:12000")
    stream = await calling
    await asyncio.sleep(0.5)  # The idle time, and half of it more.
    peer.answer(request, seq=13, stream=False)

    assert 12 == len(await everything(stream))


async def test_a_sender_that_falls_silent_is_idle_once_its_reader_has_caught_up(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=0, stream=True)
    peer.answer(request, seq=1, stream=True, data="x" * CHUNK)

    with pytest.raises(errors.StreamError, match="nothing came"):
        await everything(await calling)
