from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError
from tautomer.transporters.nats.outbox import PIECE_BYTES, Outbox


class TakesPieces:
    """Keeps what is written, and asks for a pause after each write if `full`. As uvloop's, it is none of asyncio's."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self.outbox = outbox
        self.writes: list[bytes] = []
        self.full = False
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        if self.full:
            self.outbox.pause()

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        TakesPieces.write(self, b"".join(pieces))

    def is_closing(self) -> bool:
        return self.closing


class FakeTransport(TakesPieces, asyncio.Transport):
    """One of asyncio's, which is to be given one text."""

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        raise AssertionError("what is to be joined is joined by the outbox")


def make(**bounds: int) -> Outbox:
    defaults = {"away_count_max": 1_000, "away_bytes_max": 1 << 23, "bytes_max": 1 << 26, "drain_bytes": 1 << 20}
    return Outbox(inbox=b"_INBOX.me.", **{**defaults, **bounds})


def opened(outbox: Outbox, kind: type[TakesPieces] = FakeTransport) -> TakesPieces:
    transport = kind(outbox)
    outbox.open(cast(asyncio.WriteTransport, transport), sys.maxsize, replies=True)
    return transport


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_all_that_one_turn_of_the_loop_publishes_leaves_in_one_write() -> None:
    outbox = make()
    transport = opened(outbox)

    outbox.publish("a", b"1")
    outbox.publish("b", b"22", "t-1")
    assert [] == transport.writes
    await turn()
    outbox.publish("a", b"3")
    await turn()

    assert [b"PUB a 1\r\n1\r\nPUB b _INBOX.me.t-1 2\r\n22\r\n", b"PUB a 1\r\n3\r\n"] == transport.writes


@pytest.mark.parametrize("kind", [FakeTransport, TakesPieces])
async def test_a_larger_message_leaves_between_those_before_and_after_it(kind: type[TakesPieces]) -> None:
    outbox = make()
    transport = opened(outbox, kind)

    outbox.publish("a", b"1", "t-1")
    outbox.publish("b", b"x" * 1024, "t-2")
    outbox.publish("a", b"3")
    await turn()
    outbox.publish("a", b"4")
    await turn()

    large = b"PUB b _INBOX.me.t-2 1024\r\n" + b"x" * 1024 + b"\r\n"
    assert [b"PUB a _INBOX.me.t-1 1\r\n1\r\n" + large + b"PUB a 1\r\n3\r\n", b"PUB a 1\r\n4\r\n"] == transport.writes


@pytest.mark.parametrize("kind", [FakeTransport, TakesPieces])
async def test_much_leaves_in_pieces_of_whole_messages(kind: type[TakesPieces]) -> None:
    outbox = make()
    transport = opened(outbox, kind)

    for size in (100_000, 100_000, 100_000, 300_000, 1, 2):
        outbox.publish("a", b"x" * size)
    await turn()

    assert [200_032, 100_016, 300_016, 25] == [len(write) for write in transport.writes]
    assert all(len(write) <= PIECE_BYTES or write.count(b"PUB ") == 1 for write in transport.writes)


async def test_a_line_that_takes_no_more_gets_nothing_until_it_asks() -> None:
    outbox = make()
    transport = opened(outbox)
    transport.full = True

    for _ in range(4):
        outbox.publish("a", b"x" * 200_000)
    await turn()
    await turn()
    assert 1 == len(transport.writes)
    transport.full = False
    outbox.resume()
    outbox.publish("a", b"last")
    await turn()

    assert 5 == len(transport.writes)
    assert transport.writes[-1].endswith(b"last\r\n")


async def test_what_a_lost_line_had_not_taken_is_lost_and_what_comes_after_waits() -> None:
    outbox = make()
    transport = opened(outbox)
    transport.closing = True

    outbox.publish("a", b"x")
    outbox.publish("b.c", b"x", "t-1")
    outbox.publish("b.c", b"x" * 5_000, "t-2")
    await turn()
    lost = outbox.away()
    outbox.publish("a", b"y")
    following = opened(outbox)

    assert [None, "t-1", "t-2"] == lost
    assert [] == transport.writes
    assert [b"PUB a 1\r\ny\r\n"] == following.writes


Step = tuple[str, int]


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.sampled_from([0, 10, 1_017, 1_018, 150_000, 300_000])),
            st.tuples(st.sampled_from(["pause", "resume", "away", "open", "full", "turn"]), st.just(0)),
        ),
        max_size=40,
    ),
    st.sampled_from([FakeTransport, TakesPieces]),
)
def test_whatever_the_line_does_each_message_leaves_once_whole_and_in_order_or_is_lost_with_its_line(
    steps: list[Step], kind: type[TakesPieces]
) -> None:
    async def play() -> None:
        outbox = make()
        transports: list[TakesPieces] = []
        expected: list[bytes] = []
        number = 0
        for step, size in steps:
            standing = bool(transports) and not transports[-1].closing
            if step == "publish":
                number += 1
                payload = b"%06d" % number + b"x" * size
                expected.append(b"PUB a %d\r\n%b\r\n" % (len(payload), payload))
                outbox.publish("a", payload)
            elif step == "open" and not standing:
                transports.append(opened(outbox, kind))
            elif step == "away" and standing:
                transports[-1].closing = True
                del expected[len(expected) - len(outbox.away()) :]
            elif step == "full" and standing:
                transports[-1].full = True
            elif step == "pause" and standing:
                outbox.pause()
            elif step == "resume" and standing:
                transports[-1].full = False
                outbox.resume()
            elif step == "turn":
                await turn()
        if transports and not transports[-1].closing:
            transports[-1].closing = True
            del expected[len(expected) - len(outbox.away()) :]
        transports.append(opened(outbox, kind))

        assert b"".join(expected) == b"".join(write for transport in transports for write in transport.writes)
        assert 0 == len(outbox)

    asyncio.run(play())


async def test_drain_waits_above_the_mark_and_emptied_for_the_last() -> None:
    outbox = make(drain_bytes=500_000)
    transport = opened(outbox)
    transport.full = True
    for _ in range(5):
        outbox.publish("a", b"x" * 200_000)

    draining = asyncio.ensure_future(outbox.drain())
    emptying = asyncio.ensure_future(outbox.emptied())
    await turn()
    assert (False, False) == (draining.done(), emptying.done())
    transport.full = False
    outbox.resume()
    await turn()

    assert (True, True) == (draining.done(), emptying.done())


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_nobody_waits_for_room_for_ever(end: str) -> None:
    outbox = make(drain_bytes=1)
    outbox.publish("a", b"x")
    draining = asyncio.ensure_future(outbox.drain())
    await turn()

    if end == "close":
        outbox.close()
        await draining
    else:
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining

    assert [] == outbox._turns.waiting


async def test_each_state_has_its_bound_and_says_which() -> None:
    outbox = make(away_count_max=2, bytes_max=40)
    outbox.publish("a", b"1")
    outbox.publish("a", b"2")
    with pytest.raises(BrokerDisconnectedError, match="is away and the buffer is full"):
        outbox.publish("a", b"3")

    opened(outbox)
    for _ in range(3):
        outbox.publish("a", b"x")
    with pytest.raises(BrokerDisconnectedError, match="too slowly"):
        outbox.publish("a", b"x")

    outbox.close()
    with pytest.raises(BrokerDisconnectedError, match="closed"):
        outbox.publish("a", b"x")


async def test_what_waits_and_is_too_large_for_the_next_server_is_dropped_alone() -> None:
    outbox = make()
    transport = FakeTransport(outbox)
    for size in (10, 11, 9, 2_000):
        outbox.publish("a", b"x" * size)

    dropped = outbox.open(transport, 10, replies=False)

    assert 2 == dropped
    assert [b"PUB a 10\r\nxxxxxxxxxx\r\nPUB a 9\r\nxxxxxxxxx\r\n"] == transport.writes
    with pytest.raises(PayloadTooLargeError):
        outbox.publish("a", b"x" * 11)


def test_many_topics_are_not_all_remembered() -> None:
    outbox = make(away_count_max=10_000)

    for number in range(9_000):
        outbox.publish(f"topic.{number}", b"")

    assert len(outbox._heads) < 5_000
