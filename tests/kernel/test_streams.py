"""Streams as a user sees them: on one node and between nodes, whole or an error at both ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, errors
from tautomer.settings import TransitSettings
from tests.cluster import Cluster
from tests.kernel.mesh import until

QUICK: dict[str, Any] = {"settle": 0.2, "settle_quiet": 0.01, "stop_delay": 0.01, "announce_delay": 0.01}


def quick(**more: Any) -> TransitSettings:
    return TransitSettings(**{**QUICK, **more})


class Feed(Service):
    """Attributes: closed counts the sources that were closed or came to their end."""

    name = "feed"

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.read: list[Any] = []
        self.broke: list[BaseException] = []

    @action
    async def count(self, ctx: Context) -> AsyncIterator[int]:
        ctx.meta["counted"] = ctx.params["to"]
        try:
            for number in range(ctx.params["to"]):
                yield number
                await asyncio.sleep(ctx.params.get("pause", 0))
        finally:
            self.closed += 1

    @action
    async def bytes(self, ctx: Context) -> AsyncIterator[Any]:
        for _ in range(ctx.params["count"]):
            yield b"x" * ctx.params["size"]

    @action
    async def fails(self, ctx: Context) -> AsyncIterator[int]:
        for number in range(ctx.params["after"]):
            yield number
        raise errors.MoleculerClientError("broke", 418, "BROKE")

    @action
    async def exits(self, ctx: Context) -> AsyncIterator[int]:
        yield 1
        raise SystemExit(3)

    @action
    async def hangs(self, ctx: Context) -> AsyncIterator[int]:
        try:
            for number in range(ctx.params["after"]):
                yield number
            await asyncio.Event().wait()
        finally:
            self.closed += 1

    @action
    async def mixed(self, ctx: Context) -> AsyncIterator[Any]:
        for item in ctx.params["items"]:
            yield item.encode() if isinstance(item, str) and item.startswith("b") else item
            if "larger" in ctx.params:
                yield "x" * (900_000 + ctx.params["larger"])

    @action
    async def iterator(self, ctx: Context) -> AsyncIterator[int]:
        return self.count(ctx)

    @action
    async def collect(self, ctx: Context) -> Any:
        if ctx.stream is None:
            return None
        try:
            async for item in ctx.stream:
                self.read.append(item)
        except errors.MoleculerError as error:
            self.broke.append(error)
            raise
        return {"params": ctx.params, "items": list(self.read) if not isinstance(self.read[0], bytes) else None}

    @action
    async def first(self, ctx: Context) -> Any:
        return await anext(ctx.stream)

    @action
    async def double(self, ctx: Context) -> AsyncIterator[int]:
        async for item in ctx.stream:
            yield 2 * item

    @action
    async def later(self, ctx: Context) -> AsyncIterator[Any]:
        yield 0
        await asyncio.sleep(0.1)
        yield await ctx.call("feed.plain")

    @action
    async def plain(self, ctx: Context) -> str:
        return "plain"


class Source:
    """Numbers to send; knows whether it was closed."""

    def __init__(self, *items: Any, then: BaseException | None = None, hang: bool = False) -> None:
        self.closed = False
        self._items, self._then, self._hang = items, then, hang

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for item in self._items:
                yield item
                await asyncio.sleep(0)
            if self._then is not None:
                raise self._then
            if self._hang:
                await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.stop()


@pytest.fixture(params=["here", "there"])
async def pair(cluster: Cluster, request: pytest.FixtureRequest) -> tuple[Broker, Feed]:
    """Who calls, and the service, on the same node or on another."""
    feed = Feed()
    if request.param == "here":
        return await cluster.node("a", feed), feed
    await cluster.node("b", feed)
    return await cluster.node("a"), feed


@pytest.fixture
async def apart(cluster: Cluster) -> tuple[Broker, Feed]:
    """Who calls, and the service on another node."""
    feed = Feed()
    await cluster.node("b", feed)
    return await cluster.node("a"), feed


async def everything(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


def at_rest(*brokers: Broker) -> bool:
    """Whether nothing of any stream or call is left."""
    told = [broker.statistics()["transit"] for broker in brokers]
    idle = {"receiving": 0, "sending": 0, "waiting_bytes": 0}
    return all(idle == one["streams"] and not one["pending"] and not one["in_flight"] for one in told)


# --- the same here and there ---


async def test_an_async_generator_is_a_stream_for_its_caller(pair: tuple[Broker, Feed]) -> None:
    caller, feed = pair

    stream = await caller.call("feed.count", {"to": 100})

    assert [*range(100)] == await everything(stream)
    assert 1 == feed.closed


async def test_meta_of_a_generator_is_there_with_the_stream(pair: tuple[Broker, Feed]) -> None:
    ctx = pair[0].context(meta={"own": 1})

    await everything(await ctx.call("feed.count", {"to": 1}))

    assert {"own": 1, "counted": 1} == ctx.meta


async def test_an_async_iterator_that_is_returned_is_a_stream_too(pair: tuple[Broker, Feed]) -> None:
    assert [0, 1, 2] == await everything(await pair[0].call("feed.iterator", {"to": 3}))


async def test_an_empty_stream_is_empty(pair: tuple[Broker, Feed]) -> None:
    assert [] == await everything(await pair[0].call("feed.count", {"to": 0}))
    assert [] == await everything(await pair[0].call("feed.double", stream=Source()))


async def test_a_generator_that_fails_before_its_first_item_fails_the_call(pair: tuple[Broker, Feed]) -> None:
    with pytest.raises(errors.MoleculerClientError) as caught:
        await pair[0].call("feed.fails", {"after": 0})

    assert 418 == caught.value.code


async def test_a_generator_that_fails_later_fails_its_reader(pair: tuple[Broker, Feed]) -> None:
    stream = await pair[0].call("feed.fails", {"after": 2})

    assert [0, 1] == [await anext(stream), await anext(stream)]
    with pytest.raises(errors.MoleculerClientError) as caught:
        await anext(stream)
    assert (418, "BROKE") == (caught.value.code, caught.value.type)


async def test_a_handler_reads_what_its_caller_sends(pair: tuple[Broker, Feed]) -> None:
    caller, _ = pair
    source = Source(1, 2, 3)

    answer = await caller.call("feed.collect", {"name": "a"}, stream=source)

    assert {"params": {"name": "a"}, "items": [1, 2, 3]} == answer
    assert source.closed


async def test_without_a_stream_there_is_none(pair: tuple[Broker, Feed]) -> None:
    assert await pair[0].call("feed.collect") is None


async def test_a_stream_there_and_a_stream_back(pair: tuple[Broker, Feed]) -> None:
    source = Source(*range(50))

    assert [*range(0, 100, 2)] == await everything(await pair[0].call("feed.double", stream=source))
    await until(lambda: source.closed)


async def test_a_nested_call_sends_a_stream(pair: tuple[Broker, Feed]) -> None:
    ctx = pair[0].context()

    answer = await ctx.call("feed.collect", stream=Source("a"), timeout=5.0)

    assert ["a"] == answer["items"]


async def test_the_source_is_closed_when_the_answer_does_not_wait_for_it(pair: tuple[Broker, Feed]) -> None:
    source = Source(1, hang=True)

    assert 1 == await pair[0].call("feed.first", stream=source)
    await until(lambda: source.closed)


async def test_a_generator_that_wants_to_end_the_process_ends_its_stream(apart: tuple[Broker, Feed]) -> None:
    caller, _ = apart

    stream = await caller.call("feed.exits")

    assert 1 == await anext(stream)
    with pytest.raises(errors.MoleculerError):
        await anext(stream)
    assert [0] == await everything(await caller.call("feed.count", {"to": 1}))


async def test_a_stream_sent_along_that_wants_to_end_the_process_fails_the_call(apart: tuple[Broker, Feed]) -> None:
    caller, _ = apart

    async def exits() -> AsyncIterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises((errors.MoleculerError, KeyboardInterrupt)):
        await caller.call("feed.collect", stream=exits())
    assert [0] == await everything(await caller.call("feed.count", {"to": 1}))


async def test_closing_early_closes_the_generator_here(cluster: Cluster) -> None:
    feed = Feed()
    broker = await cluster.node("a", feed)

    async with aclosing(await broker.call("feed.hangs", {"after": 1})) as stream:
        assert 0 == await anext(stream)

    assert 1 == feed.closed


async def test_a_stream_outlives_the_time_of_its_call(pair: tuple[Broker, Feed]) -> None:
    """And the calls that its generator makes have time of their own."""
    stream = await pair[0].call("feed.later", timeout=0.05)

    assert [0, "plain"] == await everything(stream)


async def test_a_call_whose_stream_does_not_begin_in_time_fails(pair: tuple[Broker, Feed]) -> None:
    caller, feed = pair

    with pytest.raises(errors.RequestTimeoutError):
        await caller.call("feed.hangs", {"after": 0}, timeout=0.05)

    await until(lambda: feed.closed == 1)


@pytest.mark.parametrize("given", [[1, 2], "text", 5, b"bytes"])
async def test_what_is_no_async_iterable_cannot_be_sent(pair: tuple[Broker, Feed], given: Any) -> None:
    with pytest.raises(TypeError, match="async iterable"):
        await pair[0].call("feed.collect", stream=given)


# --- between nodes ---


async def test_bytes_come_in_chunks_of_the_size_that_is_set(apart: tuple[Broker, Feed]) -> None:
    chunks = await everything(await apart[0].call("feed.bytes", {"count": 2, "size": 100_000}))

    assert [65_536, 34_464] * 2 == [len(chunk) for chunk in chunks]


async def test_bytes_among_objects_stay_bytes(apart: tuple[Broker, Feed]) -> None:
    items = await everything(await apart[0].call("feed.mixed", {"items": [1, "bytes"]}))

    assert [1, b"bytes"] == items


@pytest.mark.parametrize("items", [["bytes", 1], ["bytes", None], [1, None], [None]])
async def test_an_item_that_does_not_fit_breaks_the_stream(apart: tuple[Broker, Feed], items: list[Any]) -> None:
    stream = await apart[0].call("feed.mixed", {"items": items})

    with pytest.raises(errors.StreamError) as caught:
        await everything(stream)
    assert "STREAM_ITEM" == caught.value.type


async def test_a_source_that_fails_fails_call_and_handler(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart

    with pytest.raises(KeyError):
        await caller.call("feed.collect", stream=Source(1, 2, then=KeyError("mine")))

    await until(lambda: feed.broke)
    assert [1, 2] == feed.read
    assert "KeyError" == feed.broke[0].name  # type: ignore[attr-defined]  # It came from there.


async def test_a_source_that_fails_at_once_is_not_sent_at_all(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart

    with pytest.raises(KeyError):
        await caller.call("feed.collect", stream=Source(then=KeyError("mine")))

    assert at_rest(caller, feed.broker)
    assert [] == feed.read


async def test_a_slow_reader_slows_the_sender_down(cluster: Cluster) -> None:
    feed = Feed()
    window = 5 * 65_536
    await cluster.node("b", feed, transit=quick(stream_window_bytes=window))
    caller = await cluster.node("a", transit=quick(stream_window_bytes=window))
    stream = await caller.call("feed.bytes", {"count": 100, "size": 65_536})
    total = 0

    async for chunk in stream:
        total += len(chunk)
        assert caller.statistics()["transit"]["streams"]["waiting_bytes"] <= window
        for _ in range(20):
            await asyncio.sleep(0)

    assert 100 * 65_536 == total


async def test_a_reader_that_pauses_for_longer_than_the_idle_time_is_waited_for_no_longer(cluster: Cluster) -> None:
    feed = Feed()
    window = 8 * 65_536
    callee = await cluster.node("b", feed, transit=quick(stream_window_bytes=window, stream_idle=0.2))
    caller = await cluster.node("a", transit=quick(stream_window_bytes=window, stream_idle=0.05))
    stream = await caller.call("feed.bytes", {"count": 100, "size": 65_536})

    await until(lambda: at_rest(callee))

    with pytest.raises(errors.StreamError) as caught:
        await everything(stream)
    assert "STREAM_IDLE" == caught.value.type


async def test_who_reads_too_slowly_breaks_the_stream_and_memory_does_not_grow(cluster: Cluster) -> None:
    """Where the sender is not slowed down: its own window is larger."""
    feed = Feed()
    await cluster.node("b", feed, transit=quick(stream_idle=0.3))
    caller = await cluster.node("a", transit=quick(stream_window_bytes=200_000))
    stream = await caller.call("feed.bytes", {"count": 100, "size": 65_536})
    most = 0

    async def watch() -> None:
        nonlocal most
        while caller.transit.statistics()["streams"]["receiving"]:  # type: ignore[union-attr]
            most = max(most, caller.transit.statistics()["streams"]["waiting_bytes"])  # type: ignore[union-attr]
            await asyncio.sleep(0)

    await watch()

    with pytest.raises(errors.StreamError) as caught:
        await everything(stream)
    assert "STREAM_WINDOW" == caught.value.type
    assert 65_536 < most <= 200_000
    await until(lambda: at_rest(caller, feed.broker))


async def test_a_reader_that_keeps_up_gets_any_amount(cluster: Cluster) -> None:
    feed = Feed()
    await cluster.node("b", feed)
    caller = await cluster.node("a", transit=quick(stream_window_bytes=1_000_000))
    total = 0

    async for chunk in await caller.call("feed.bytes", {"count": 80, "size": 65_536}):
        total += len(chunk)

    assert 80 * 65_536 == total


async def test_a_source_that_gives_nothing_for_the_idle_time_is_an_error_at_both_ends(cluster: Cluster) -> None:
    feed = Feed()
    await cluster.node("b", feed, transit=quick(stream_idle=0.1))
    caller = await cluster.node("a")
    stream = await caller.call("feed.hangs", {"after": 1})

    assert 0 == await anext(stream)
    with pytest.raises(errors.StreamError) as caught:
        await anext(stream)

    assert "STREAM_IDLE" == caught.value.type
    assert 1 == feed.closed


async def test_a_stream_of_which_nothing_comes_for_the_idle_time_breaks(cluster: Cluster) -> None:
    feed = Feed()
    await cluster.node("b", feed, transit=quick(stream_idle=0))
    caller = await cluster.node("a", transit=quick(stream_idle=0.1))
    stream = await caller.call("feed.hangs", {"after": 1})

    assert 0 == await anext(stream)
    with pytest.raises(errors.StreamError) as caught:
        await anext(stream)

    assert "STREAM_IDLE" == caught.value.type
    assert at_rest(caller)


async def test_closing_early_frees_this_side_and_what_still_comes_is_no_orphan(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart
    stream = await caller.call("feed.count", {"to": 30, "pause": 0.002})
    assert 0 == await anext(stream)

    await stream.aclose()
    await stream.aclose()

    assert at_rest(caller)
    with pytest.raises(errors.StreamError, match="closed"):
        await anext(stream)
    await until(lambda: feed.closed == 1)
    assert {} == caller.transit.dropped  # type: ignore[union-attr]  # It has one.


async def test_a_stream_that_is_forgotten_is_freed(apart: tuple[Broker, Feed]) -> None:
    caller, _ = apart
    stream = await caller.call("feed.hangs", {"after": 1})
    assert not at_rest(caller)

    del stream
    gc.collect()

    await until(lambda: at_rest(caller))  # The loop holds it for as long as the turn in which it came.


async def test_a_cancelled_reader_frees_this_side(apart: tuple[Broker, Feed]) -> None:
    caller, _ = apart
    stream = await caller.call("feed.hangs", {"after": 1})
    assert 0 == await anext(stream)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)

    assert at_rest(caller)


async def test_a_cancelled_call_closes_its_source_and_ends_the_handlers_stream(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart
    source = Source(1, hang=True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await caller.call("feed.collect", stream=source)

    await until(lambda: source.closed and feed.broke)
    assert isinstance(feed.broke[0], errors.StreamError)
    await until(lambda: at_rest(caller, feed.broker))


async def test_a_stream_has_one_reader(apart: tuple[Broker, Feed]) -> None:
    stream = await apart[0].call("feed.hangs", {"after": 1})
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="one reader"):
        await anext(stream)

    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_stream_is_sent_once(apart: tuple[Broker, Feed]) -> None:
    """A middleware that tries again would send what is left of it."""
    caller, _ = apart
    ctx: list[Context] = []
    endpoint = caller.registry.actions["feed.collect"].all[0]
    request = endpoint.handler

    async def twice(one: Context) -> Any:
        ctx.append(one)
        await request(one)
        return await request(one)

    endpoint.handler = twice
    with pytest.raises(errors.StreamError, match="read once"):
        await caller.call("feed.collect", stream=Source(1))
    assert at_rest(caller)


async def test_a_node_that_leaves_lets_its_streams_end_first(cluster: Cluster) -> None:
    feed = Feed()
    callee = await cluster.node("b", feed, shutdown_timeout=5.0)
    caller = await cluster.node("a")
    stream = await caller.call("feed.count", {"to": 20, "pause": 0.005})
    assert 0 == await anext(stream)

    stopping = asyncio.ensure_future(callee.stop())

    assert [*range(1, 20)] == await everything(stream)
    await stopping


async def test_a_stream_that_does_not_end_is_cut_at_stop_and_its_reader_is_told(cluster: Cluster) -> None:
    feed = Feed()
    callee = await cluster.node("b", feed, shutdown_timeout=0.05)
    caller = await cluster.node("a")
    stream = await caller.call("feed.hangs", {"after": 1})
    assert 0 == await anext(stream)

    await callee.stop()

    with pytest.raises(errors.StreamError, match="cut off"):
        await anext(stream)
    assert 1 == feed.closed
    assert at_rest(caller)


async def test_a_node_that_stops_cuts_the_streams_that_it_sends_and_reads(cluster: Cluster) -> None:
    feed = Feed()
    callee = await cluster.node("b", feed)
    caller = await cluster.node("a", shutdown_timeout=0.01)
    stream = await caller.call("feed.hangs", {"after": 1})
    source = Source(1, hang=True)
    calling = asyncio.ensure_future(caller.call("feed.collect", stream=source))
    await until(lambda: feed.read)

    await caller.stop()

    with pytest.raises(errors.RequestRejectedError):
        await calling
    with pytest.raises(errors.RequestRejectedError):
        await everything(stream)
    assert source.closed
    await until(lambda: feed.broke and at_rest(callee))


async def test_a_node_that_has_stopped_sends_no_stream(apart: tuple[Broker, Feed]) -> None:
    caller, _ = apart
    await caller.stop()

    with pytest.raises(errors.RequestRejectedError):
        await caller.call("feed.collect", stream=Source(1))


async def test_many_streams_at_once_do_not_mix(apart: tuple[Broker, Feed]) -> None:
    caller, feed = apart

    async def one(number: int) -> list[int]:
        return await everything(await caller.call("feed.double", stream=Source(*range(number))))

    found = await asyncio.gather(*(one(number) for number in range(100)))

    assert [[2 * item for item in range(number)] for number in range(100)] == found
    await until(lambda: at_rest(caller, feed.broker))
