"""Frames of a client: put together whatever the pieces, and refused where RFC 6455 says so."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from tautomer.web.websocket import frames
from tautomer.web.websocket.deflate import Deflate
from tautomer.web.websocket.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameReader,
    SocketFault,
    close_frame,
    frame,
    read_close,
    unmasked,
)
from tests.web.websocket.masking import client_frame, masked

LIMIT = 100_000


def read(data: bytes | Sequence[bytes], **options: object) -> list[Frame]:
    """All that comes of these bytes, piece by piece, as a connection reads them."""
    reader = FrameReader(**{"bytes_max": LIMIT, **options})  # type: ignore[arg-type]  # By name.
    found = []
    for piece in [data] if isinstance(data, bytes) else data:
        text = reader.text_in(piece)
        if text is not None:
            found.append(Frame(TEXT, text))
            continue
        reader.push(piece)
        while (one := reader.next()) is not None:
            found.append(one)
    return found


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Frame], bytes]:
    """Messages, and a client's bytes for them: in any fragments, with control frames between."""
    messages, data = [], b""
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.booleans())
        payload = draw(st.text()).encode() if text else draw(st.binary(max_size=300))
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        mask = draw(st.binary(min_size=4, max_size=4))
        for index, part in enumerate(parts):
            opcode = 0 if index else TEXT if text else BINARY
            data += client_frame(opcode, part, fin=index == len(parts) - 1, mask=mask)
            if index < len(parts) - 1 and draw(st.booleans()):
                control = Frame(draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125)))
                messages.append(control)
                data += client_frame(control.opcode, control.payload)
        messages.append(Frame(TEXT if text else BINARY, payload))
    return messages, data


@given(conversations(), st.data())
def test_whatever_the_pieces_the_messages_are_whole(conversation: tuple[list[Frame], bytes], data: st.DataObject):
    messages, sent = conversation
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=20)))

    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    assert messages == read(pieces)


@given(conversations())
def test_byte_by_byte_it_is_the_same(conversation: tuple[list[Frame], bytes]):
    messages, sent = conversation

    assert messages == read([sent[index : index + 1] for index in range(len(sent))])


def outcome(data: bytes, before: bytes, short: bool) -> tuple[object, object]:
    """What one piece after others gives, by the short way or without: a text and no more, or all that there is."""
    reader = FrameReader(bytes_max=200)
    try:
        if before:
            reader.push(before)
            while reader.next() is not None:
                pass
        if short:
            text = reader.text_in(data)
            return ("none", None) if text is None else ("text", text)
        reader.push(data)
        found, more = reader.next(), reader.next()
    except SocketFault as fault:
        return "fault", fault.code
    return ("text", found.payload) if found is not None and found.opcode == TEXT and more is None else ("none", None)


@given(
    st.integers(0, 250).map(lambda length: b"x" * length) | st.binary(max_size=12),
    st.sampled_from([TEXT, BINARY, PING, CLOSE, 0]),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from([b"", b"\x81", client_frame(TEXT, b"a"), client_frame(TEXT, b"a", fin=False), client_frame(PING)]),
)
def test_the_short_way_says_nothing_else_than_the_long_one(
    payload: bytes, opcode: int, fin: bool, cut: int, before: bytes
):
    data = client_frame(opcode, payload, fin=fin)
    data = data[: len(data) - cut] or b"\x81"

    short = outcome(data, before, True)

    assert short == ("none", None) or short == outcome(data, before, False)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 200, 65535])
def test_a_text_in_one_frame_takes_the_short_way(length: int):
    data = client_frame(TEXT, b"x" * length)

    assert b"x" * length == FrameReader(bytes_max=0).text_in(data)
    assert b"x" * length == FrameReader(bytes_max=length + 2).text_in(data)
    assert length < 2 or FrameReader(bytes_max=length - 1).text_in(data) is None


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535, 65536, 65537])
def test_every_form_of_length_is_read_and_written(length: int):
    payload = b"x" * length

    assert [Frame(TEXT, payload)] == read(client_frame(TEXT, payload))
    theirs = Protocol(CLIENT)
    theirs.receive_data(frame(TEXT, payload))
    assert [TheirFrame(Opcode.TEXT, payload)] == theirs.events_received()


@given(st.binary())
def test_any_bytes_are_messages_or_a_fault(data: bytes):
    try:
        read(data)
    except SocketFault as fault:
        assert fault.code in (1002, 1007, 1009)  # noqa: PT017  # That there is none is as good.


@given(st.binary(), st.binary(min_size=4, max_size=4))
def test_the_mask_is_undone_with_and_without_the_library(data: bytes, mask: bytes):
    assert masked(data, mask) == unmasked(data, mask)
    with patch.object(frames, "_apply_mask", None):
        assert masked(data, mask) == unmasked(data, mask)


FAULTS = {
    "an unmasked frame": (b"\x81\x01a", 1002),
    "the first reserved bit, nothing agreed upon": (client_frame(TEXT, b"a", rsv=4), 1002),
    "the second reserved bit": (client_frame(TEXT, b"a", rsv=2), 1002),
    "the third reserved bit": (client_frame(TEXT, b"a", rsv=1), 1002),
    "a reserved bit on a ping": (client_frame(PING, b"", rsv=4), 1002),
    **{f"opcode {code}": (client_frame(code), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping in fragments": (client_frame(PING, b"", fin=False), 1002),
    "a close in fragments": (client_frame(CLOSE, b"", fin=False), 1002),
    "a long ping": (client_frame(PING, b"x" * 126), 1002),
    "a long close": (client_frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "nothing to continue": (client_frame(0, b"a"), 1002),
    "nothing to continue any more": (client_frame(TEXT, b"a") + client_frame(0, b"a"), 1002),
    "a message within another": (client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b"), 1002),
    "a length of 64 bits": (b"\x82\xff" + b"\xff" * 8 + b"\x00" * 4, 1002),
    "a byte that no text has": (client_frame(TEXT, b"a\xff"), 1007),
    "half a character": (client_frame(TEXT, "é".encode()[:1]), 1007),
    "half a surrogate pair": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a character beyond the last": (client_frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "half a character in the last fragment": (client_frame(TEXT, b"a", fin=False) + client_frame(0, b"\xc3"), 1007),
    "over the limit": (client_frame(TEXT, b"x" * (LIMIT + 1)), 1009),
    "fragments over the limit": (client_frame(TEXT, b"x" * LIMIT, fin=False) + client_frame(0, b"x"), 1009),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_code(name: str):
    data, code = FAULTS[name]

    with pytest.raises(SocketFault) as whole:
        read(data)
    with pytest.raises(SocketFault) as in_pieces:
        read([data[index : index + 1] for index in range(len(data))])

    assert (code, code) == (whole.value.code, in_pieces.value.code)


def test_a_frame_over_the_limit_is_refused_by_its_announced_length():
    with pytest.raises(SocketFault) as fault:
        read(client_frame(TEXT, b"x" * (LIMIT + 1))[:14])

    assert 1009 == fault.value.code


@pytest.mark.parametrize("count", [3, 4])
def test_a_message_has_so_many_fragments_and_no_more(count: int):
    data = client_frame(TEXT, b"a", fin=False) + client_frame(0, fin=False) * (count - 2) + client_frame(0, b"b")

    if count == 3:
        assert [Frame(TEXT, b"ab")] == read(data, fragments_max=3)
    else:
        with pytest.raises(SocketFault) as fault:
            read(data, fragments_max=3)
        assert 1009 == fault.value.code


def test_a_broken_text_is_found_with_the_byte_that_breaks_it():
    """Not with the end of its frame, nor of the message."""
    data = client_frame(TEXT, b"good" + b"\xff" + b"x" * 1000, fin=False)

    reader = FrameReader(LIMIT)
    reader.push(data[: 8 + 4])
    assert reader.next() is None
    reader.push(data[8 + 4 : 8 + 5])
    with pytest.raises(SocketFault) as fault:
        reader.next()

    assert 1007 == fault.value.code


@given(st.text(), st.lists(st.integers(0, 400), max_size=3))
def test_compressed_messages_are_inflated(text: str, cuts: list[int]):
    deflate = Deflate()
    packed = deflate.deflate(text.encode())
    cuts = sorted(min(cut, len(packed)) for cut in cuts)
    parts = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]

    data = b"".join(
        client_frame(0 if index else TEXT, part, fin=index == len(parts) - 1, rsv=0 if index else 4)
        for index, part in enumerate(parts)
    )

    assert [Frame(TEXT, text.encode())] == read(data, deflate=deflate)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (Deflate().deflate(b"x" * (LIMIT + 1)), 1009),
        (Deflate().deflate(b"x" * 100 * LIMIT), 1009),
        (b"\xff\xff\xff\xff", 1002),
        (Deflate().deflate(b"\xff"), 1007),
    ],
)
def test_a_bomb_and_broken_ones_are_refused(payload: bytes, code: int):
    with pytest.raises(SocketFault) as fault:
        read(client_frame(TEXT, payload, rsv=4), deflate=Deflate())

    assert code == fault.value.code


def test_a_message_just_at_the_limit_is_taken_compressed_too():
    payload = Deflate().deflate(b"x" * LIMIT)

    assert [Frame(TEXT, b"x" * LIMIT)] == read(client_frame(TEXT, payload, rsv=4), deflate=Deflate())


def test_only_the_first_fragment_says_that_a_message_is_compressed():
    with pytest.raises(SocketFault):
        read(client_frame(TEXT, b"a", fin=False, rsv=4) + client_frame(0, b"b", rsv=4), deflate=Deflate())


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_a_close_says_why(code: int):
    assert (code, "bye é") == read_close(close_frame(code, "bye é")[2:])


def test_a_close_may_say_nothing():
    assert (1000, "") == read_close(b"")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        (b"\x03\xe8\xff", 1007),
        *(
            (number.to_bytes(2, "big"), 1002)
            for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535)
        ),
    ],
)
def test_a_malformed_close_is_a_fault(payload: bytes, code: int):
    with pytest.raises(SocketFault) as fault:
        read_close(payload)

    assert code == fault.value.code


def test_a_long_reason_is_cut_between_characters():
    assert 125 >= len(close_frame(1000, "é" * 100)) - 2
    assert (1000, "é" * 61) == read_close(close_frame(1000, "é" * 100)[2:])
