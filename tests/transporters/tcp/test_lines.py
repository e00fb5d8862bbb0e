"""Lines under real sockets: peers that vanish, do not read, say nonsense, or are too many."""

from __future__ import annotations

import asyncio

import pytest

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError, TransporterError
from tautomer.protocol.frames import frame_head
from tests.transporters.suite import until

from .nodes import End, RawServer, cut, ends, frame, speak, tokens


async def test_the_greeting_is_the_first_on_a_new_line() -> None:
    async with ends("a", "b") as (a, b):
        a.send("REQ", "b", b"1")
        await until(lambda: len(b.link.messages) == 2)

        assert [("MOL.GOSSIP_HELLO.b", b"hello"), ("MOL.REQ.b", b"1")] == b.link.messages
        assert "127.0.0.1" == b.transporter.came_from


async def test_all_of_one_turn_leaves_in_one_write() -> None:
    async with ends("a") as (a,), RawServer() as server:
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("EVENT", "raw", b"open")
        await until(lambda: server.received)
        server.received.clear()
        line = a.transporter._lines["raw"]
        assert line._transport is not None
        writes: list[bytes] = []
        line._transport = _Counting(line._transport, writes)  # type: ignore[assignment]  # All that is asked of it.

        for number in range(50):
            a.send("EVENT", "raw", b"%d" % number)
        await until(lambda: len(server.received) == 50 * 6 + 90)

        assert 1 == len(writes)


class _Counting:
    def __init__(self, transport: asyncio.WriteTransport, writes: list[bytes]) -> None:
        self._transport, self._writes = transport, writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def test_what_has_no_line_is_not_sent() -> None:
    async with ends("a", "b") as (a, b):
        for topic in ("MOL.INFO", "MOL.DISCOVER.b", "MOL.HEARTBEAT", "MOL-other.REQ.b", "nonsense"):
            a.transporter.send(topic, b"x")
        a.send("REQ", "b", b"end")
        await until(lambda: b.heard)

        assert [b"end"] == b.heard


async def test_a_question_that_does_not_travel_is_undelivered() -> None:
    async with ends("a") as (a,):
        a.send("DISCOVER", "a", b"x", "t-1")
        assert [] == a.link.tokens
        await until(lambda: a.link.tokens)

        assert ["t-1"] == a.link.tokens


async def test_a_namespace_with_dots_is_kept_apart_from_the_node() -> None:
    async with ends("a.1", "b.2", namespace="one.two") as (a, b):
        a.watcher.greets = False
        a.transporter.send("MOL-one.two.REQ.b.2", b"x")
        await until(lambda: b.link.messages)

        assert [("MOL-one.two.REQ.b.2", b"x")] == b.link.messages


# --- nobody there ---


async def test_what_was_surely_not_sent_is_told_before_the_node_is_lost() -> None:
    async with ends("a") as (a,):
        gone = await End("gone").start()
        a.knows(gone)
        await gone.transporter.close()

        for token in tokens(3):
            a.send("REQ", "gone", b"x", token)
        await until(lambda: a.watcher.lost)

        assert list(tokens(3)) == a.link.tokens
        assert [("gone", True)] == a.watcher.lost


async def test_what_is_sent_to_a_node_that_nobody_knows_is_undelivered_and_leaves_nothing_behind() -> None:
    async with ends("a") as (a,):
        a.send("REQ", "nobody", b"x", "t-1")
        await until(lambda: a.link.tokens)

        assert ["t-1"] == a.link.tokens
        assert {} == a.transporter._lines


async def test_what_was_sent_is_not_called_undelivered_when_the_node_dies() -> None:
    async with ends("a") as (a,), RawServer() as server:
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("REQ", "raw", b"x", "t-1")
        await until(lambda: len(server.received) > 11)

        server.reset()
        await until(lambda: a.watcher.lost)

        assert [] == a.link.tokens


async def test_of_what_left_in_part_only_what_came_later_is_called_undelivered() -> None:
    async with ends("a") as (a,), RawServer() as server:
        server.reading = False
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("EVENT", "raw", b"open")
        await until(lambda: server.writers)
        line = a.transporter._lines["raw"]
        while not line._paused:
            a.send("REQ", "raw", b"x" * 300_000, "t-early")
            a.send("REQ", "raw", b"x" * 300_000, "t-early")
            await asyncio.sleep(0)
        a.send("REQ", "raw", b"x", "t-late")

        server.reset()
        await until(lambda: a.watcher.lost)

        assert ["t-late"] == a.link.tokens


async def test_the_second_address_is_tried_when_the_first_does_not_answer() -> None:
    async with ends("a", "b") as (a, b):
        a.transporter.locate("b", ["no-such-host.invalid", "127.0.0.1"], b.transporter.port)
        a.send("REQ", "b", b"x")
        await until(lambda: b.heard)


async def test_a_line_that_was_lost_is_opened_again_by_the_next_message() -> None:
    async with ends("a") as (a,), RawServer() as server:
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("REQ", "raw", b"one")
        await until(lambda: b"one" in server.received)
        server.reset()
        await until(lambda: a.watcher.lost)

        a.send("REQ", "raw", b"two")
        await until(lambda: b"two" in server.received)

        assert 2 == bytes(server.received).count(b"hello")


async def test_who_hung_up_is_not_told_of_a_loss_and_may_speak_again() -> None:
    async with ends("a", "b") as (a, b):
        a.send("REQ", "b", b"one")
        await until(lambda: b.heard)

        a.transporter.hang_up("b")
        a.send("REQ", "b", b"two")
        await until(lambda: len(b.heard) == 2)

        assert [] == a.watcher.lost


# --- bounds ---


async def test_a_node_that_does_not_read_fills_a_bounded_buffer() -> None:
    async with ends("a", out_bytes_max=2_000_000, drain_bytes=500_000) as (a,), RawServer() as server:
        server.reading = False
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("EVENT", "raw", b"x")
        await until(lambda: server.writers)

        async def flood() -> None:
            for _ in range(200):
                a.send("EVENT", "raw", b"x" * 200_000)
                await asyncio.sleep(0)

        with pytest.raises(BrokerDisconnectedError, match="'raw' takes messages too slowly"):
            await flood()
        draining = asyncio.create_task(a.transporter.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        server.reset()
        await asyncio.wait_for(draining, 5)

        assert [("raw", True)] == a.watcher.lost


async def test_tiny_messages_have_a_bound_too() -> None:
    async with ends("a", out_bytes_max=100_000) as (a,):
        a.transporter.locate("far", ["127.0.0.1"], 1)
        sent = 0

        def flood() -> None:
            nonlocal sent
            for _ in range(10_000):
                a.send("EVENT", "far", b"")
                sent += 1

        with pytest.raises(BrokerDisconnectedError):
            flood()

        assert 500 < sent < 1_000


async def test_a_slow_node_gets_all_in_order() -> None:
    async with ends("a", "b") as (a, b):
        for number in range(300):
            a.send("EVENT", "b", b"%d " % number + b"x" * 20_000)
            await a.transporter.drain()
        await until(lambda: len(b.heard) == 300)

        assert list(range(300)) == [int(data.split()[0]) for data in b.heard]


async def test_a_message_that_node_would_not_read_is_not_sent() -> None:
    async with ends("a", "b") as (a, _b):
        limit = a.transporter.message_bytes_max
        assert limit == 1024 * 1024 - 64 * 1024

        with pytest.raises(PayloadTooLargeError):
            a.send("REQ", "b", b"x" * (limit + 1))


async def test_over_the_bound_the_line_used_least_lately_is_closed() -> None:
    async with ends("a", "b", "c", "d", max_connections=2) as (a, b, c, d):
        for one in (b, c):
            a.send("REQ", one.id, b"x")
            await until(lambda one=one: one.heard)  # type: ignore[misc]  # Bound now.
        a.send("REQ", "b", b"x")
        await until(lambda: len(b.heard) == 2)

        a.send("REQ", "d", b"x")
        await until(lambda: d.heard)

        assert {"b", "d"} == {id for id, line in a.transporter._lines.items() if line.standing}
        assert [] == a.watcher.lost


async def test_lines_over_the_bound_are_not_taken_in() -> None:
    async with ends("a", accept_max=2) as (a,):
        lines = [await speak(a.transporter.port, frame("EVENT", b"%d" % number)) for number in range(2)]
        await until(lambda: len(a.heard) == 2)

        reader, writer = await speak(a.transporter.port, frame("EVENT", b"late"))

        assert await cut(reader)
        assert 2 == len(a.heard)
        for _, one in [*lines, (reader, writer)]:
            one.close()


# --- strangers ---


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        bytes(64),
        frame_head(2, 1024 * 1024),
        b"\x02\x00\x00\x00\x05\x07rest",
        b"\xff" * 100,
        frame_head(9, 0),
    ],
)
async def test_nonsense_costs_whoever_says_it_the_line_and_nobody_else(nonsense: bytes) -> None:
    async with ends("a", "b") as (a, b):
        b.send("REQ", "a", b"before")
        await until(lambda: a.heard)
        reader, writer = await speak(a.transporter.port, frame("REQ", b"good") + nonsense)

        assert await cut(reader)
        b.send("REQ", "a", b"after")
        await until(lambda: b"after" in a.heard)

        assert [b"before", b"good", b"after"] == a.heard
        writer.close()


async def test_frames_may_come_in_any_pieces() -> None:
    async with ends("a") as (a,):
        _, writer = await speak(a.transporter.port, b"")
        stream = frame("REQ", b"one") + frame("RES", b"") + frame("EVENT", b"x" * 70_000)
        for byte in stream[:20]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(stream[20:])
        await until(lambda: len(a.heard) == 3)

        assert [b"one", b"", b"x" * 70_000] == a.heard
        writer.close()


async def test_half_a_frame_and_a_hang_up_leave_nothing() -> None:
    async with ends("a") as (a,):
        _, writer = await speak(a.transporter.port, frame("REQ", b"whole") + frame("REQ", b"half")[:8])
        await until(lambda: a.heard)
        writer.close()
        await until(lambda: not a.transporter._listener._inbound)

        assert [b"whole"] == a.heard


async def test_what_the_other_end_says_on_our_line_is_not_listened_to() -> None:
    async with ends("a") as (a,), RawServer() as server:
        a.transporter.locate("raw", ["127.0.0.1"], server.port)
        a.send("REQ", "raw", b"x")
        await until(lambda: server.writers)
        server.writers[0].write(frame("REQ", b"wrong way"))
        await server.writers[0].drain()
        a.send("REQ", "raw", b"y")
        await until(lambda: b"y" in server.received)

        assert [] == a.heard


# --- listening ---


async def test_a_taken_port_is_told_with_its_remedy() -> None:
    async with ends("a") as (a,):
        with pytest.raises(TransporterError, match=r"port \d+ on 127\.0\.0\.1 is in use.*tcp\.port"):
            await End("b", port=a.transporter.port).start()


async def test_the_entry_with_our_own_id_names_our_port() -> None:
    async with ends("probe") as (probe,):
        port = probe.transporter.port
    one = await End("me", url=f"tcp://127.0.0.1:{port}/me,127.0.0.1:4000/other").start()

    assert port == one.transporter.port
    assert ("other", "127.0.0.1", 4000, True) in one.watcher.sightings
    await one.transporter.close()


async def test_closing_hands_over_what_was_sent_to_a_line_that_is_still_being_opened() -> None:
    async with ends("a", "b") as (a, b):
        a.send("EVENT", "b", b"last")
        await a.transporter.close()
        await until(lambda: b.heard)

        assert [b"last"] == b.heard
