"""Depth of values: measured without a stack, refused over the limit; and packets that are all brackets."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import SerializationError
from tautomer.protocol.codec import CONTAINERS_MAX, DEPTH_MAX, Codec, Refused
from tautomer.protocol.nesting import is_deeper
from tautomer.serializers.json import JSONSerializer

from .coding import BinarySerializer
from .values import COMMANDS, good, json_values


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def containers(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + sum(map(containers, value.values() if isinstance(value, dict) else value))
    return 0


@given(value=json_values(), most=st.integers(0, 6), too_many=st.integers(0, 3))
def test_a_value_is_deeper_where_a_plain_count_says_so(value: Any, most: int, too_many: int) -> None:
    assert (depth(value) > most) == is_deeper(value, most, containers(value) + too_many)


def nested(levels: int, as_lists: bool = True) -> bytes:
    opening, closing = (b"[", b"]") if as_lists else (b'{"a":', b"}")
    return opening * (levels - 1) + (b"[]" if as_lists else b"{}") + closing * (levels - 1)


def packet(command: str, field: str, value: bytes) -> bytes:
    return json.dumps({**good(command), field: "@"}).encode().replace(b'"@"', value)


@pytest.mark.parametrize("as_lists", [True, False])
@pytest.mark.parametrize(("command", "field"), [("REQ", "params"), ("EVENT", "data"), ("REQ", "timeout")])
def test_a_packet_has_at_most_a_hundred_levels(command: str, field: str, as_lists: bool) -> None:
    codec = Codec(JSONSerializer())

    codec.decode(command, packet(command, field, nested(DEPTH_MAX - 1, as_lists)))
    with pytest.raises(Refused) as caught:
        codec.decode(command, packet(command, field, nested(DEPTH_MAX, as_lists)))

    assert ("undecodable", "nested deeper than 100 levels") == (caught.value.reason, caught.value.detail)
    assert ("id-1" if command == "REQ" else None) == caught.value.request_id


def test_so_has_an_info_in_its_services() -> None:
    codec = Codec(JSONSerializer())
    info = good("INFO")
    info["services"][0]["settings"] = {"deep": "@"}
    text = json.dumps(info).encode()

    codec.decode("INFO", text.replace(b'"@"', nested(DEPTH_MAX - 2)))
    with pytest.raises(Refused, match="deeper than 100"):
        codec.decode("INFO", text.replace(b'"@"', nested(DEPTH_MAX - 1)))


@pytest.mark.parametrize("keep_raw", [True, False])
def test_whoever_waits_for_an_answer_hears_that_it_is_too_deep(keep_raw: bool) -> None:
    codec = Codec(JSONSerializer())
    if keep_raw:
        codec.keep_raw()

    answer: Any = codec.decode("RES", packet("RES", "data", nested(DEPTH_MAX)))

    with pytest.raises(SerializationError, match="deeper than 100"):
        codec.value(answer.data)


def test_so_has_a_packet_of_another_serializer() -> None:
    codec = Codec(BinarySerializer())
    encode = BinarySerializer().encode

    codec.decode("REQ", encode({**good("REQ"), "params": json.loads(nested(DEPTH_MAX - 1))}))
    with pytest.raises(Refused, match="deeper than 100"):
        codec.decode("REQ", encode({**good("REQ"), "params": json.loads(nested(DEPTH_MAX))}))


def test_brackets_side_by_side_and_in_texts_are_not_depth() -> None:
    params = json.dumps([["[[[{"] * 3] * 1_000).encode()

    read: Any = Codec(JSONSerializer()).decode("REQ", packet("REQ", "params", params))

    assert 1_000 == len(read.params)
    assert gc.isenabled()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_packet_that_is_all_brackets_is_not_read(command: str) -> None:
    """It would hold up the loop for long: 1 MiB of ``[],`` makes 350,000 lists."""
    crowd = b"[" + b"[]," * CONTAINERS_MAX + b"1]"

    with pytest.raises(Refused) as caught:
        Codec(JSONSerializer()).decode(command, packet(command, "unknown", crowd))

    assert "undecodable" == caught.value.reason


def test_as_many_that_hold_something_are() -> None:
    rows = b"[" + b"[1,2]," * CONTAINERS_MAX + b"1]"

    read: Any = Codec(JSONSerializer()).decode("REQ", packet("REQ", "params", rows))

    assert CONTAINERS_MAX + 1 == len(read.params)
    assert gc.isenabled()
