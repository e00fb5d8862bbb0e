"""Frames of the TCP transporter: any split, any bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.frames import KINDS, FrameError, FrameReader, frame_head

FRAMES = st.lists(st.tuples(st.sampled_from(sorted(KINDS.values())), st.binary(max_size=300)), max_size=8)


def wire(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(frame_head(kind, len(payload)) + payload for kind, payload in frames)


def read(pieces: list[bytes], bytes_max: int = 1024) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    reader = FrameReader(lambda kind, payload: found.append((kind, payload)), bytes_max)
    for piece in pieces:
        reader.feed(piece)
    return found


def test_heads_are_as_captured_from_node() -> None:
    assert bytes.fromhex("300000003808") == frame_head(KINDS["GOSSIP_HELLO"], 50)
    assert bytes.fromhex("070000010402") == frame_head(KINDS["REQ"], 254)


@given(FRAMES, st.data())
def test_any_split_gives_the_same_frames(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = wire(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]

    assert frames == read([stream[a:b] for a, b in itertools.pairwise(edges)])


@given(FRAMES)
def test_byte_by_byte_gives_the_same_frames(frames: list[tuple[int, bytes]]) -> None:
    assert frames == read([bytes([byte]) for byte in wire(frames)])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_is_a_frame_error_or_nothing(pieces: list[bytes]) -> None:
    try:
        read(pieces)
    except FrameError:
        pass


@given(FRAMES, st.binary(min_size=6, max_size=40))
def test_frames_before_garbage_are_delivered(frames: list[tuple[int, bytes]], garbage: bytes) -> None:
    found: list[tuple[int, bytes]] = []
    reader = FrameReader(lambda kind, payload: found.append((kind, payload)), 1024)

    try:
        reader.feed(wire(frames) + garbage)
    except FrameError:
        pass

    assert frames == found[: len(frames)]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\x01\x00\x00\x00\x06\x02", "check byte"),
        (bytes([5 ^ 2, 0, 0, 0, 5, 2]), "5 bytes"),
        (bytes([0xFF ^ 0xFF ^ 0xFF ^ 0xFF ^ 2, 0xFF, 0xFF, 0xFF, 0xFF, 2]), "4294967295 bytes"),
        (frame_head(2, 1024 - 5), "1025 bytes"),
        (frame_head(0, 0), "type 0"),
        (frame_head(9, 0), "type 9"),
    ],
)
def test_a_wrong_head_is_refused_before_more_is_read(head: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        read([head])


def test_the_largest_frame_is_read() -> None:
    payload = b"x" * (1024 - 6)

    assert [(2, payload)] == read([frame_head(2, len(payload)), payload])


def test_payloads_are_bytes() -> None:
    ((_, payload),) = read([frame_head(3, 2), b"{", b"}"])

    assert type(payload) is bytes
