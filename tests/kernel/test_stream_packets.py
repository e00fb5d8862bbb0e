"""The packets of streams, against a node written by hand: shapes in both versions, and what a peer may get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, errors
from tautomer.settings import TransitSettings
from tautomer.transit.streaming import UNOPENED_MAX
from tests.kernel.mesh import Foreign, Mesh, dropped, service_info, until
from tests.kernel.test_streams import at_rest, everything

STREAMS = {"settle": 0, "stop_delay": 0, "announce_delay": 0}


class Echo(Service):
    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    @action
    async def collect(self, ctx: Context) -> Any:
        self.runs += 1
        stream = [item async for item in ctx.stream]
        return {"params": ctx.params, "items": [str(one) if isinstance(one, bytes) else one for one in stream]}

    @action
    async def give(self, ctx: Context) -> AsyncIterator[Any]:
        ctx.meta["m"] = 1
        ctx.response_headers["h"] = 2
        for item in ctx.params["items"]:
            yield item.encode() if ctx.params.get("bytes") else item
        if ctx.params.get("fail"):
            raise errors.MoleculerClientError("broke", 418, "BROKE")

    @action
    async def hang(self, ctx: Context) -> AsyncIterator[Any]:
        yield 1
        await asyncio.Event().wait()

    @action
    async def early(self, ctx: Context) -> str:
        return "early"


@pytest.fixture(params=["4", "5"])
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
async def peer(mesh: Mesh, version: str) -> Foreign:
    return await mesh.foreign(version=version)


@pytest.fixture
async def node(mesh: Mesh, peer: Foreign) -> Broker:
    """Knows the foreign node and its action ``far.run``."""
    broker = await mesh.node("n", Echo(), transit=TransitSettings(**STREAMS, stream_idle=0.3))
    peer.introduce(service_info("far", "run"))
    await until(lambda: "far.run" in broker.registry.actions)
    return broker


def flags(version: str, packet: dict[str, Any]) -> Any:
    """Where the marks of a stream stand."""
    return packet["meta" if version == "4" else "headers"]


def chunk(peer: Foreign, request_id: str, seq: int, item: Any = None, more: bool = True, **fields: Any) -> None:
    """One packet of a request stream."""
    peer.request("n", fields.pop("action", "echo.collect"), item, id=request_id, seq=seq, stream=more, **fields)


# --- what goes out ---


async def test_an_answer_of_objects(node: Broker, peer: Foreign, version: str) -> None:
    request_id = peer.request("n", "echo.give", {"items": ["a", 0]})
    await peer.hears("RES", id=request_id, stream=False)

    packets = peer.packets("RES", id=request_id)

    assert [(0, True, None), (1, True, "a"), (2, True, 0), (3, False, None)] == [
        (packet["seq"], packet["stream"], packet["data"]) for packet in packets
    ]
    assert [True] * 4 == [packet["success"] for packet in packets]
    assert [True] * 4 == [flags(version, packet)["$streamObjectMode"] for packet in packets]
    assert {"m": 1}.items() <= packets[0]["meta"].items()
    assert ("headers" in packets[0]) == (version == "5")
    if version == "5":
        assert {"h": 2, "$streamObjectMode": True} == packets[0]["headers"]
        assert {"m": 1} == packets[0]["meta"]
    assert not any("error" in packet for packet in packets)


async def test_an_answer_of_bytes(node: Broker, peer: Foreign, version: str) -> None:
    request_id = peer.request("n", "echo.give", {"items": ["ab"], "bytes": True})
    await peer.hears("RES", id=request_id, stream=False)

    packets = peer.packets("RES", id=request_id)

    assert [None, {"type": "Buffer", "data": [97, 98]}, None] == [packet["data"] for packet in packets]
    assert not any("$streamObjectMode" in flags(version, packet) for packet in packets)


async def test_an_answer_that_breaks(node: Broker, peer: Foreign, version: str) -> None:
    request_id = peer.request("n", "echo.give", {"items": ["a"], "fail": True})
    last = await peer.hears("RES", id=request_id, stream=False)

    assert (2, False, None) == (last["seq"], last["success"], last["data"])
    assert ("MoleculerClientError", "broke", 418, "n") == tuple(
        last["error"][key] for key in ("name", "message", "code", "nodeID")
    )


async def test_a_call_with_a_stream_of_objects(node: Broker, peer: Foreign, version: str) -> None:
    async def source() -> AsyncIterator[Any]:
        yield {"a": 1}
        yield b"b"

    calling = asyncio.ensure_future(node.call("far.run", {"p": 1}, stream=source(), meta={"m": 1}, headers={"h": 2}))
    last = await peer.hears("REQ", stream=False)
    peer.answer(last, data="done")

    assert "done" == await calling
    packets = peer.packets("REQ", id=last["id"])
    assert [
        (0, True, {"p": 1}),
        (1, True, {"a": 1}),
        (2, True, {"type": "Buffer", "data": [98]}),
        (3, False, None),
    ] == [(packet["seq"], packet["stream"], packet["params"]) for packet in packets]
    assert [True] * 4 == [flags(version, packet)["$streamObjectMode"] for packet in packets]
    assert [1, None, None, None] == [packet["meta"].get("m") for packet in packets]
    if version == "5":
        assert [2, None, None, None] == [packet["headers"].get("h") for packet in packets]
    assert {"far.run"} == {packet["action"] for packet in packets}


async def test_params_that_nobody_gave_are_null_beside_a_stream_in_protocol_4(
    node: Broker, peer: Foreign, version: str
) -> None:
    async def source() -> AsyncIterator[Any]:
        yield b"b"

    calling = asyncio.ensure_future(node.call("far.run", stream=source()))
    first = await peer.hears("REQ", seq=0)
    peer.answer(first)
    await calling

    assert (None if version == "4" else {}) == first["params"]


async def test_the_mark_of_objects_does_not_come_back_into_the_callers_meta(node: Broker, peer: Foreign) -> None:
    """Node 0.14 answers with all the meta that it got."""
    ctx = node.context()

    async def source() -> AsyncIterator[Any]:
        yield 1

    calling = asyncio.ensure_future(ctx.call("far.run", stream=source()))
    first = await peer.hears("REQ", seq=0)
    peer.answer(first, meta={**first["meta"], "m": 1})
    await calling

    assert {"m": 1} == ctx.meta


async def test_a_source_that_breaks_is_told_where_the_version_has_its_place(
    node: Broker, peer: Foreign, version: str
) -> None:
    async def source() -> AsyncIterator[Any]:
        yield b"b"
        raise errors.MoleculerClientError("mine", 418, "MINE")

    with pytest.raises(errors.MoleculerClientError):
        await node.call("far.run", stream=source())

    last = await peer.hears("REQ", stream=False)
    assert (2, None) == (last["seq"], last["params"])
    assert ("mine", 418) == tuple(flags(version, last)["$streamError"][key] for key in ("message", "code"))


async def test_the_stream_ends_when_the_call_is_answered(node: Broker, peer: Foreign, version: str) -> None:
    async def source() -> AsyncIterator[Any]:
        yield 1
        await asyncio.Event().wait()

    calling = asyncio.ensure_future(node.call("far.run", stream=source()))
    peer.answer(await peer.hears("REQ", seq=0), data="enough")

    assert "enough" == await calling
    last = await peer.hears("REQ", stream=False)
    assert "STREAM_CLOSED" == flags(version, last)["$streamError"]["type"]
    assert at_rest(node)


# --- what comes in ---


async def test_chunks_of_a_request_in_any_order_and_twice(node: Broker, peer: Foreign, version: str) -> None:
    order = [(2, "b", True), (1, "a", True), (1, "a", True), (3, None, False), (0, {"p": 1}, True), (2, "b", True)]
    for seq, item, more in order:
        chunk(peer, "s-1", seq, item, more)

    answer = await peer.hears("RES", id="s-1")

    assert {"params": {"p": 1}, "items": ["b'a'", "b'b'"]} == answer["data"]
    assert at_rest(node)


async def test_the_first_packet_again_after_the_end_does_not_run_the_action_again(node: Broker, peer: Foreign) -> None:
    for _ in range(2):
        chunk(peer, "s-1", 0, {})
        chunk(peer, "s-1", 1, more=False)
    await peer.hears("RES", id="s-1")

    assert await peer.finds_well("n")
    echo = node.get_local_service("echo")
    assert isinstance(echo, Echo)
    assert 1 == echo.runs
    assert 1 == len(peer.packets("RES", id="s-1"))


async def test_null_params_beside_a_stream_of_protocol_4_are_empty(node: Broker, peer: Foreign, version: str) -> None:
    chunk(peer, "s-1", 0, None)
    chunk(peer, "s-1", 1, more=False)

    assert ({} if version == "4" else None) == (await peer.hears("RES", id="s-1"))["data"]["params"]


async def test_the_marks_of_a_stream_are_not_shown_to_the_action(node: Broker, peer: Foreign, version: str) -> None:
    at = "meta" if version == "4" else "headers"
    for seq, item, more in [(0, {}, True), (1, "text", True), (2, None, False)]:
        chunk(peer, "s-1", seq, item, more, **{"meta": {}, at: {"$streamObjectMode": True}})

    answer = await peer.hears("RES", id="s-1")

    assert ["text"] == answer["data"]["items"]
    assert {} == answer["meta"]


@pytest.mark.parametrize("number", [None, "1", 1.5])
async def test_a_number_that_is_none(node: Broker, peer: Foreign, number: Any) -> None:
    peer.request("n", "echo.early", {}, id="s-1", seq=number, stream=True)

    answer = await peer.hears("RES", id="s-1")

    assert answer["success"] == (number is None)


async def test_a_first_packet_that_does_not_come_is_an_error_for_the_sender(node: Broker, peer: Foreign) -> None:
    chunk(peer, "s-1", 1, "a")

    answer = await peer.hears("RES", id="s-1")

    assert "STREAM_GAP" == answer["error"]["type"]
    assert at_rest(node)


async def test_streams_without_their_first_packet_are_few(node: Broker, peer: Foreign) -> None:
    for number in range(UNOPENED_MAX + 1):
        chunk(peer, f"s-{number}", 1, "a")

    answer = await peer.hears("RES", id=f"s-{UNOPENED_MAX}")

    assert "QUEUE_FULL" == answer["error"]["type"]
    assert UNOPENED_MAX == node.statistics()["transit"]["streams"]["receiving"]


async def test_a_chunk_that_is_lost_is_an_error_at_both_ends(node: Broker, peer: Foreign) -> None:
    chunk(peer, "s-1", 0, {})
    chunk(peer, "s-1", 2, "b")

    answer = await peer.hears("RES", id="s-1")

    assert "STREAM_IDLE" == answer["error"]["type"]


@pytest.mark.parametrize(
    ("packets", "kind"),
    [
        ([(0, {}, True), (5_000, "x", True)], "STREAM_GAP"),
        ([(0, {}, True), (2, None, False), (3, "x", True)], "STREAM_ORDER"),
        ([(0, {}, True), (1, {"type": "Buffer", "data": [300]}, True)], "STREAM_ITEM"),
        ([(5_000, "x", True)], "STREAM_GAP"),
    ],
    ids=["gap", "after the end", "no bytes", "gap before the first"],
)
async def test_what_breaks_a_stream_is_told_to_its_sender(
    node: Broker, peer: Foreign, packets: list[Any], kind: str
) -> None:
    for seq, item, more in packets:
        chunk(peer, "s-1", seq, item, more)

    answer = await peer.hears("RES", id="s-1")

    assert kind == answer["error"]["type"]
    assert await peer.finds_well("n")
    assert at_rest(node)


async def test_two_senders_with_one_id_are_two_streams(mesh: Mesh, node: Broker, peer: Foreign) -> None:
    other = await mesh.foreign("g", peer.version)
    chunk(peer, "s-1", 0, {"who": "f"})
    chunk(other, "s-1", 0, {"who": "g"})
    chunk(other, "s-1", 1, "mine")
    chunk(peer, "s-1", 1, more=False)
    chunk(other, "s-1", 2, more=False)

    first, second = await peer.hears("RES", id="s-1"), await other.hears("RES", id="s-1")

    assert ({"who": "f"}, []) == (first["data"]["params"], first["data"]["items"])
    assert ({"who": "g"}, ["b'mine'"]) == (second["data"]["params"], second["data"]["items"])


async def test_an_action_that_is_not_there_refuses_the_stream_once(node: Broker, peer: Foreign) -> None:
    for seq in range(5):
        chunk(peer, "s-1", seq, {}, seq < 4, action="echo.gone")
    assert await peer.finds_well("n")

    assert [404] == [packet["error"]["code"] for packet in peer.packets("RES", id="s-1")]
    assert at_rest(node)


async def test_what_comes_after_an_early_answer_is_dropped(node: Broker, peer: Foreign) -> None:
    chunk(peer, "s-1", 0, {}, action="echo.early")
    await peer.hears("RES", id="s-1")
    for seq in range(1, 4):
        chunk(peer, "s-1", seq, "x", seq < 3, action="echo.early")
    assert await peer.finds_well("n")

    assert 1 == len(peer.packets("RES", id="s-1"))
    assert at_rest(node)
    assert {} == dropped(node)


async def called(node: Broker, peer: Foreign) -> tuple[asyncio.Future[Any], dict[str, Any]]:
    """A call under way, and its REQ."""
    calling = asyncio.ensure_future(node.call("far.run"))
    return calling, await peer.hears("REQ")


async def test_chunks_of_an_answer_in_any_order_and_twice(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    for seq, item, more in [(2, "b", True), (3, None, False), (1, "a", True), (1, "a", True), (0, None, True)]:
        peer.answer(request, seq=seq, stream=more, data=item)

    assert [b"a", b"b"] == await everything(await calling)
    peer.answer(request, seq=3, stream=False)
    assert await peer.finds_well("n")
    assert at_rest(node)
    assert {} == dropped(node)


async def test_an_answer_of_somebody_else_is_no_part_of_the_stream(mesh: Mesh, node: Broker, peer: Foreign) -> None:
    other = await mesh.foreign("g", peer.version)
    calling, request = await called(node, peer)
    other.answer(request, seq=0, stream=True)
    peer.answer(request, seq=0, stream=True)
    other.answer(request, seq=1, stream=True, data="not mine")
    peer.answer(request, seq=1, stream=False)

    assert [] == await everything(await calling)


async def test_an_answer_whose_first_packet_does_not_come_fails_the_call(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=1, stream=True, data="a")

    with pytest.raises(errors.StreamError) as caught:
        await calling
    assert "STREAM_GAP" == caught.value.type
    assert at_rest(node)


async def test_a_call_that_ends_before_its_stream_is_opened_leaves_nothing(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=1, stream=True, data="a")
    await until(lambda: not at_rest(node) and node.statistics()["transit"]["streams"]["receiving"])

    calling.cancel()

    await until(lambda: at_rest(node))


async def test_an_answer_that_breaks_in_the_middle(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    error = {"name": "MoleculerClientError", "message": "theirs", "code": 418}
    peer.answer(request, seq=0, stream=True)
    peer.answer(request, seq=1, stream=True, data="a")
    peer.answer(request, seq=2, stream=False, success=False, error=error)
    stream = await calling

    assert b"a" == await anext(stream)
    with pytest.raises(errors.MoleculerClientError, match="theirs"):
        await anext(stream)
    assert at_rest(node)


async def test_a_node_that_leaves_in_the_middle_breaks_its_streams_at_once(node: Broker, peer: Foreign) -> None:
    calling, request = await called(node, peer)
    peer.answer(request, seq=0, stream=True)
    stream = await calling
    hanging = peer.request("n", "echo.hang")
    await peer.hears("RES", id=hanging, seq=1)
    chunk(peer, "s-1", 0, {})

    peer.say("DISCONNECT")

    with pytest.raises(errors.RequestRejectedError):
        await anext(stream)
    await until(lambda: at_rest(node))


async def test_the_mark_of_objects_does_not_reach_the_callers_meta(node: Broker, peer: Foreign, version: str) -> None:
    ctx = node.context()
    calling = asyncio.ensure_future(ctx.call("far.run"))
    request = await peer.hears("REQ")
    at = "meta" if version == "4" else "headers"
    for seq, more in [(0, True), (1, False)]:
        peer.answer(request, seq=seq, stream=more, **{"meta": {"m": 1}, at: {"$streamObjectMode": True, "m": 1}})
    await everything(await calling)

    assert {"m": 1} == ctx.meta


async def test_a_gateways_raw_call_gets_decoded_items(node: Broker, peer: Foreign) -> None:
    calling = asyncio.ensure_future(node.call("far.run", raw=True))
    request = await peer.hears("REQ")
    peer.answer(request, seq=0, stream=True)
    peer.answer(request, seq=1, stream=True, data={"type": "Buffer", "data": [97]})
    peer.answer(request, seq=2, stream=False)

    assert [b"a"] == await everything(await calling)
