"""Numbering, order and window of streams: what the packets of a stream become at the other end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import MoleculerError, StreamError
from tautomer.protocol.streams import AHEAD_MAX, EMPTY, Incoming, Outgoing, item_of, weight

WINDOW = 1_000_000

Sent = tuple[int, Any, bool]
"""Number, item, whether it is the last."""


def packets(items: list[Any], chunk_bytes: int = 3) -> list[Sent]:
    """All packets of a stream."""
    outgoing = Outgoing(items[0] if items else EMPTY, chunk_bytes)
    sent: list[Sent] = [(outgoing.number(), None, False)]
    sent += [(*chunk, False) for item in items for chunk in outgoing.chunks(item)]
    return [*sent, (outgoing.number(), None, True)]


def push(incoming: Incoming, *sent: Sent) -> list[Any]:
    """Hand over packets, and read all that can be read after each."""
    read = []
    for seq, item, last in sent:
        incoming.push(seq, item, 0 if item is None else weight(item), last)
        while (one := incoming.take()) is not EMPTY:
            read.append(one)
    return read


byte_items = st.lists(st.binary(max_size=10), max_size=12)
object_items = st.lists(st.one_of(st.integers(), st.text(max_size=3), st.just({"a": [1]})), min_size=1, max_size=12)


@given(items=byte_items)
def test_bytes_are_cut_and_come_out_whole(items: list[bytes]) -> None:
    sent = packets(items)

    incoming = Incoming(WINDOW)
    read = push(incoming, *sent)

    assert b"".join(items) == b"".join(read)
    assert all(len(item) <= 3 for item in read)
    assert [*range(len(sent))] == [seq for seq, _, _ in sent]
    assert (True, None, 0) == (incoming.over, incoming.error, incoming.held)


@given(items=object_items, data=st.data())
def test_any_order_with_doubles_comes_out_whole(items: list[Any], data: st.DataObject) -> None:
    sent = packets(items)
    arrivals = data.draw(st.permutations(sent + data.draw(st.lists(st.sampled_from(sent), max_size=8))))

    incoming = Incoming(WINDOW)

    assert items == push(incoming, *arrivals)
    assert (True, None, 0) == (incoming.over, incoming.error, incoming.held)


@given(items=object_items, data=st.data())
def test_a_part_of_a_stream_never_looks_like_the_whole(items: list[Any], data: st.DataObject) -> None:
    """Whatever is lost: what is read is a beginning of what was sent, and the stream does not end well."""
    sent = packets(items)
    lost = data.draw(st.sets(st.sampled_from(sent).map(lambda one: one[0]), min_size=1))
    arrivals = data.draw(st.permutations([one for one in sent if one[0] not in lost]))

    incoming = Incoming(WINDOW)
    read = push(incoming, *arrivals)

    assert items[: len(read)] == read
    assert not incoming.over
    incoming.fail(StreamError("idle"))
    assert (True, 0) == (incoming.over, incoming.held)


@given(items=object_items, window=st.integers(100, 400), data=st.data())
def test_in_a_small_window_it_is_the_same_items_or_an_error(items: list[Any], window: int, data: st.DataObject) -> None:
    """With a reader that looks only now and then, the window is never overrun by more than one item."""
    incoming = Incoming(window)
    read: list[Any] = []
    heaviest = max(weight(item) for item in items)
    for seq, item, last in data.draw(st.permutations(packets(items))):
        incoming.push(seq, item, 0 if item is None else weight(item), last)
        assert incoming.held <= window + heaviest
        if data.draw(st.booleans()) and (one := incoming.take()) is not EMPTY:
            read.append(one)
    while (one := incoming.take()) is not EMPTY:
        read.append(one)

    assert incoming.over
    if incoming.error is None:
        assert items == read
    else:
        assert items[: len(read)] == read
        assert incoming.error.type in ("STREAM_GAP", "STREAM_WINDOW")
        assert 0 == incoming.held


def test_what_is_not_read_breaks_the_stream_at_the_window_and_is_freed() -> None:
    incoming = Incoming(100)
    incoming.push(0, None, 0)
    incoming.push(1, b"a", 60)
    incoming.push(2, b"b", 40)

    assert (False, 100) == (incoming.over, incoming.held)
    incoming.push(3, b"c", 1)
    assert incoming.error is not None
    assert ("STREAM_WINDOW", 0) == (incoming.error.type, incoming.held)
    assert incoming.take() is EMPTY


def test_one_item_is_let_in_whatever_it_weighs() -> None:
    incoming = Incoming(100)
    incoming.push(0, None, 0)
    incoming.push(1, b"a", 5_000)

    assert b"a" == incoming.take()
    assert not incoming.over


def test_a_gap_beyond_the_window_breaks_the_stream() -> None:
    incoming = Incoming(100)
    incoming.push(0, None, 0)
    incoming.push(2, b"b", 90)
    incoming.push(3, b"c", 90)

    assert incoming.error is not None
    assert "STREAM_GAP" == incoming.error.type


def test_a_packet_too_far_ahead_breaks_the_stream_however_small() -> None:
    incoming = Incoming(WINDOW)
    incoming.push(AHEAD_MAX, b"", 0)
    assert incoming.error is None

    incoming.push(AHEAD_MAX + 1, b"", 0)

    assert incoming.error is not None
    assert "STREAM_GAP" == incoming.error.type


@pytest.mark.parametrize(
    "arrivals",
    [
        [(0, None, False), (2, None, True), (3, 1, False)],
        [(0, None, False), (3, 1, False), (2, None, True)],
        [(0, None, False), (2, None, True), (4, None, True)],
        [(0, None, True)],
    ],
    ids=["after the end", "the end before what came", "two ends", "an end that opens"],
)
def test_a_stream_that_goes_on_after_its_end_is_broken(arrivals: list[Sent]) -> None:
    incoming = Incoming(WINDOW)

    push(incoming, *arrivals)

    assert incoming.error is not None
    assert "STREAM_ORDER" == incoming.error.type


def test_the_senders_error_comes_after_the_items_before_it() -> None:
    error = MoleculerError("broke")
    incoming = Incoming(WINDOW)
    incoming.push(2, None, 0, True, error)
    incoming.push(0, None, 0)
    incoming.push(1, "item", 1)

    assert (True, error) == (incoming.over, incoming.error)
    assert "item" == incoming.take()
    assert incoming.take() is EMPTY


def test_what_broke_once_is_not_told_otherwise_later() -> None:
    incoming = Incoming(WINDOW)
    first = StreamError("first")
    incoming.fail(first)
    incoming.fail(StreamError("second"))
    incoming.push(0, None, 0)

    assert (first, False) == (incoming.error, incoming.opened)


@pytest.mark.parametrize("seq", [-1, -(10**30), 10**30])
def test_a_number_of_any_size_does_no_harm(seq: int) -> None:
    incoming = Incoming(WINDOW)
    incoming.push(seq, "x", 1)

    assert incoming.take() is EMPTY
    assert 0 == incoming.held


@pytest.mark.parametrize(
    ("first", "objects"),
    [(EMPTY, False), (b"", False), (bytearray(b"a"), False), (memoryview(b"a"), False), ("a", True), (0, True)],
)
def test_the_first_item_says_what_kind_of_stream_it_is(first: object, objects: bool) -> None:
    assert objects == Outgoing(first, 10).objects


@pytest.mark.parametrize(("first", "item"), [(b"a", "text"), (b"a", None), ("text", None)])
def test_an_item_that_does_not_fit_is_refused(first: object, item: object) -> None:
    with pytest.raises(StreamError) as caught:
        list(Outgoing(first, 10).chunks(item))

    assert "STREAM_ITEM" == caught.value.type


def test_bytes_in_a_stream_of_objects_and_empty_bytes_are_items() -> None:
    outgoing = Outgoing("a", 2)

    assert [(0, b"ab"), (1, b"c"), (2, b"")] == [*outgoing.chunks(memoryview(b"abc")), *outgoing.chunks(b"")]


def test_a_packet_that_could_not_be_sent_leaves_no_gap() -> None:
    outgoing = Outgoing("a", 10)
    outgoing.number()
    next(outgoing.chunks("not sent"))

    outgoing.take_back()

    assert 1 == outgoing.number()


@pytest.mark.parametrize("objects", [True, False])
def test_a_buffer_of_node_is_bytes(objects: bool) -> None:
    assert b"ab\xff" == item_of({"type": "Buffer", "data": [97, 98, 255]}, objects)


def test_text_in_a_byte_stream_is_utf8_and_in_one_of_objects_itself() -> None:
    assert ("ü".encode(), "ü") == (item_of("ü", False), item_of("ü", True))


@pytest.mark.parametrize("data", [None, "ab", [256], [-1], [0.5], ["a"], [None]])
def test_what_claims_to_be_a_buffer_and_is_none_is_refused(data: object) -> None:
    with pytest.raises(StreamError):
        item_of({"type": "Buffer", "data": data}, False)


def test_weight_knows_no_depth() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert weight(deep) > 100_000
    assert weight(b"x" * 1000) >= 1000
