"""Streams between Python and Node.js, both ways, in both protocol versions."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tautomer.errors import MoleculerError, RequestRejectedError

from .mesh import SHORT, Mesh, Pair
from .peers import until
from .streams import Streams

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

OBJECTS: list[Any] = [{"a": 1}, [1, {"b": None}], 0, "", "text", False, 1.5, {"ключ": "🎉"}]

BROKEN = {"message": "source broke", "code": 418, "type": "SOURCE", "data": {"at": 1}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def couple(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    """A Node.js node and a Python one with the streaming service on each."""
    async with Mesh(nats_url, node) as mesh:
        id = SHORT[line]
        await mesh.add_node(line, services=[{"kind": "streams", "name": id}])
        await mesh.add_python(services=[Streams("py")])
        await mesh.meet()
        yield mesh


def content(count: int, size: int) -> dict[str, Any]:
    whole = bytes(i % 251 for i in range(count * size))
    return {"bytes": len(whole), "md5": hashlib.md5(whole).hexdigest(), "items": [], "error": None}


NOTHING = content(0, 0)


async def fetch(pair: Pair, **params: Any) -> dict[str, Any]:
    """What the caller reads when the callee gives a stream."""
    wanted = {"action": f"{pair.callee.id}-streams.give", "params": params}
    answer = await pair.caller.call(f"{pair.caller.id}-streams.fetch", wanted)
    assert answer.error is None, answer.error
    return dict(answer.value)


async def push(pair: Pair, action: str = "take", params: Any = None, meta: Any = None, **source: Any) -> Any:
    """What the callee answers to a call with a stream."""
    wanted = {"action": f"{pair.callee.id}-streams.{action}", "params": params or {}, "meta": meta, "source": source}
    answer = await pair.caller.call(f"{pair.caller.id}-streams.push", wanted)
    assert answer.error is None, answer.error
    return answer.value


def only(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in NOTHING}


SIZES = {"one byte": (1, 1), "many small": (500, 7), "64 KiB": (3, 65536), "over 256 KiB": (2, 300_000)}


@pytest.mark.parametrize("size", SIZES)
async def test_a_result_of_bytes_arrives_byte_for_byte(pair: Pair, size: str) -> None:
    count, each = SIZES[size]

    found = await fetch(pair, kind="bytes", count=count, size=each)

    assert content(count, each) == only(found)
    assert {"given": "bytes"} == found["meta"]


@pytest.mark.parametrize("size", SIZES)
async def test_a_stream_of_bytes_beside_a_request_arrives_byte_for_byte(pair: Pair, size: str) -> None:
    count, each = SIZES[size]

    assert content(count, each) == only(await push(pair, kind="bytes", count=count, size=each))


@pytest.mark.parametrize("way", ["result", "request"])
async def test_ten_megabytes_arrive_byte_for_byte(pair: Pair, way: str) -> None:
    told = {"kind": "bytes", "count": 10, "size": 1_000_000}

    found = await (fetch(pair, **told) if way == "result" else push(pair, **told))

    assert content(10, 1_000_000) == only(found)


async def test_texts_in_a_stream_of_bytes_are_utf8(pair: Pair) -> None:
    told = "äöü".encode()

    found = await fetch(pair, kind="texts")

    assert (len(told), hashlib.md5(told).hexdigest(), []) == (found["bytes"], found["md5"], found["items"])


async def test_a_result_of_objects_arrives_item_by_item_and_leaves_no_mark(pair: Pair, line: str) -> None:
    found = await fetch(pair, kind="objects", items=OBJECTS)

    assert {**NOTHING, "items": OBJECTS} == only(found)
    if line == "0.15" or pair.caller.line == "python":  # 0.14 leaks the flag into the meta of its own callers.
        assert {"given": "objects"} == found["meta"]


async def test_objects_beside_a_request_arrive_item_by_item_and_leave_no_mark(pair: Pair, line: str) -> None:
    found = await push(pair, kind="objects", items=OBJECTS, meta={"m": 1})

    assert {**NOTHING, "items": OBJECTS} == only(found)
    if line == "0.15" or pair.callee.line == "python":
        assert {"m": 1} == found["meta"]


async def test_params_and_meta_come_with_the_stream(pair: Pair, line: str) -> None:
    """Node 0.14 knows no params beside a stream; its callers have meta for that."""
    found = await push(pair, kind="bytes", count=1, size=3, params={"name": "a"}, meta={"m": 1})

    assert ({} if line == "0.14" else {"name": "a"}) == (found["params"] or {})
    assert {"m": 1} == found["meta"]


@pytest.mark.parametrize("way", ["result", "request"])
async def test_an_empty_stream_is_empty(pair: Pair, way: str) -> None:
    assert NOTHING == only(await (fetch(pair, kind="empty") if way == "result" else push(pair, kind="empty")))


@pytest.mark.parametrize("kind", ["broken", "broken objects"])
async def test_a_result_that_breaks_in_the_middle_is_an_error_at_the_caller(pair: Pair, kind: str) -> None:
    found = await fetch(pair, kind=kind)

    assert BROKEN.items() <= found["error"].items()
    assert (4, []) == (found["bytes"], found["items"]) if kind == "broken" else (0, [{"part": 1}])


@pytest.mark.parametrize("kind", ["broken", "broken objects"])
async def test_a_request_stream_that_breaks_is_an_error_at_the_handler(couple: Mesh, line: str, kind: str) -> None:
    pair = Pair(couple[SHORT[line]], couple["py"])

    found = await push(pair, kind=kind)

    assert BROKEN.items() <= found["error"].items()


@pytest.mark.parametrize("kind", ["broken", "broken objects"])
async def test_a_source_of_python_that_breaks_fails_the_call_with_its_own_error(
    couple: Mesh, line: str, kind: str
) -> None:
    wanted = {"action": f"{SHORT[line]}-streams.take", "source": {"kind": kind}}

    answer = await couple["py"].call("py-streams.push", wanted)

    assert answer.error is not None
    assert BROKEN.items() <= answer.error.items()


async def test_a_stream_there_and_a_stream_back_under_one_call(pair: Pair) -> None:
    found = await push(pair, action="shout", kind="texts")

    assert (len("ÄÖÜ".encode()), None) == (found["bytes"], found["error"])


async def test_an_answer_that_does_not_wait_for_the_stream_is_the_answer(pair: Pair) -> None:
    assert "answered" == await push(pair, action="ignore", kind="endless")
    assert content(1, 1) == only(await push(pair, kind="bytes", count=1, size=1))


async def test_many_streams_at_once_do_not_mix(pair: Pair) -> None:
    async def one(number: int) -> bool:
        told = {"kind": "bytes", "count": 20, "size": 100 + number}
        found = await (fetch(pair, **told) if number % 2 else push(pair, **told))
        return content(20, 100 + number) == only(found)

    assert [True] * 40 == await asyncio.gather(*(one(number) for number in range(40)))


async def test_an_unknown_action_refuses_a_call_with_a_stream(pair: Pair) -> None:
    wanted = {"action": f"{pair.callee.id}-streams.gone", "source": {"kind": "bytes", "count": 2, "size": 2}}

    answer = await pair.caller.call(f"{pair.caller.id}-streams.push", wanted)

    assert answer.error is not None
    assert 404 == answer.error["code"]


async def test_nothing_of_any_stream_is_left(couple: Mesh, line: str) -> None:
    """Runs after the others of its module."""
    broker = couple["py"].broker

    async def none_left() -> bool:
        told = broker.statistics()["transit"]
        return {"receiving": 0, "sending": 0, "waiting_bytes": 0} == told["streams"] and 0 == told["pending"]

    await until(none_left)
    assert 0 == broker.statistics()["transit"]["in_flight"]


async def test_what_is_closed_early_is_free_at_once_and_the_line_goes_on(couple: Mesh, line: str) -> None:
    py = couple["py"].broker
    stream = await py.call(f"{SHORT[line]}-streams.give", {"kind": "endless", "ms": 1})
    assert {"n": 0} == await anext(stream)

    await stream.aclose()

    assert {"receiving": 0, "sending": 0, "waiting_bytes": 0} == py.statistics()["transit"]["streams"]
    with pytest.raises(MoleculerError, match="closed"):
        await anext(stream)
    assert 1 == (await couple["py"].call(f"{SHORT[line]}.echo", 1)).value


async def test_a_node_killed_in_the_middle_of_a_stream_ends_it_with_an_error(mesh: Mesh, line: str) -> None:
    id = SHORT[line]
    await mesh.add_node(line, services=[{"kind": "streams", "name": id}])
    py = await mesh.add_python(services=[Streams("py")])
    await mesh.meet()
    stream = await py.broker.call(f"{id}-streams.give", {"kind": "endless"})
    await anext(stream)

    await mesh[id].program.kill()

    # A call to it: the message broker says that nobody listens, and presence knows.
    assert (await py.call(f"{id}.echo", timeout=1.0)).error is not None
    with pytest.raises(RequestRejectedError):
        await asyncio.wait_for(read_all(stream), 5)


async def test_a_node_killed_while_it_reads_fails_the_call_and_closes_the_source(mesh: Mesh, line: str) -> None:
    id = SHORT[line]
    await mesh.add_node(line, services=[{"kind": "streams", "name": id}], broker={"heartbeatInterval": 1})
    py = await mesh.add_python(heartbeat_timeout=3.0, heartbeat_interval=1.0)
    await mesh.meet()
    sent = asyncio.Event()
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[Any]:
        try:
            while True:
                yield {"n": 1}
                sent.set()
                await asyncio.sleep(0.005)
        finally:
            closed.set()

    calling = asyncio.ensure_future(py.broker.call(f"{id}-streams.take", stream=endless()))
    await sent.wait()
    await mesh[id].program.kill()

    with pytest.raises(RequestRejectedError):
        await asyncio.wait_for(calling, 10)
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_python_node_that_stops_in_the_middle_is_an_error_at_nodes_reader(mesh: Mesh, line: str) -> None:
    id = SHORT[line]
    await mesh.add_node(line, services=[{"kind": "streams", "name": id}])
    py = await mesh.add_python(services=[Streams("py")], shutdown_timeout=0.1)
    await mesh.meet()
    wanted = {"action": "py-streams.give", "params": {"kind": "endless"}}
    reading = asyncio.ensure_future(mesh[id].call(f"{id}-streams.fetch", wanted))

    async def flows() -> bool:
        return bool(py.broker.statistics()["transit"]["streams"]["sending"])

    await until(flows)
    await asyncio.sleep(0.1)  # So that Node.js has begun to read.
    await py.leave()

    found = (await reading).value
    assert found["error"] is not None
    assert {"n": 0} == found["items"][0]


async def read_all(stream: AsyncIterator[Any]) -> None:
    async for _ in stream:
        pass
