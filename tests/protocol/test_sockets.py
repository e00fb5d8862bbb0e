"""Messages on a WebSocket."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.sockets import (
    MalformedMessage,
    MethodCall,
    error_message,
    event_message,
    parse_message,
    result_message,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(min_size=1), st.dictionaries(st.text(), values, max_size=4), values)
def test_what_a_client_asks_for_is_read(method: str, data: dict[str, Any], correlation_id: Any):
    text = json.dumps({"method": method, "data": data, "correlation_id": correlation_id, "more": 1}).encode()

    assert MethodCall(method, data, correlation_id) == parse_message(text)


@pytest.mark.parametrize("more", ["", ', "data": null', ', "data": {}'])
def test_without_data_there_are_no_arguments(more: str):
    assert MethodCall("ping", {}, None) == parse_message(f'{{"method": "ping"{more}}}'.encode())


@pytest.mark.parametrize(
    ("text", "correlation_id"),
    [
        ("", None),
        ("x", None),
        ("[]", None),
        ('"method"', None),
        ("1", None),
        ("null", None),
        ("{}", None),
        ('{"method": "a"} x', None),
        ('{"method": "\\ud800"}', None),
        ('{"method": NaN}', None),
        ('{"correlation_id": "c1"}', "c1"),
        ('{"method": 5, "correlation_id": ["c", 1]}', ["c", 1]),
        ('{"method": "", "correlation_id": 1}', 1),
        ('{"method": null, "correlation_id": {"a": 1.5}}', {"a": 1.5}),
        ('{"method": "a", "data": [], "correlation_id": 7}', 7),
        ('{"method": "a", "data": 0, "correlation_id": 7}', 7),
        ('{"method": "a", "data": false, "correlation_id": 7}', 7),
        ('{"method": "a", "data": "", "correlation_id": 7}', 7),
    ],
)
def test_what_is_no_message_is_told_with_its_correlation_id(text: str, correlation_id: object):
    with pytest.raises(MalformedMessage) as told:
        parse_message(text.encode())

    assert correlation_id == told.value.correlation_id


@pytest.mark.parametrize("depth", [63, 64])
def test_data_may_be_nested_so_deep_and_no_deeper(depth: int):
    """The message itself is one level."""
    text = b'{"method": "a", "data": {"x": %s}}' % (b"[" * (depth - 2) + b"]" * (depth - 2))

    if depth == 63:
        assert "a" == parse_message(text, 63).method
    else:
        with pytest.raises(MalformedMessage, match="deeper than 63"):
            parse_message(text, 63)


@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
@pytest.mark.parametrize("field", [b"data", b"correlation_id", b"other"])
def test_a_message_of_brackets_only_is_no_harm(field: bytes, opened: bytes):
    with pytest.raises(MalformedMessage):
        parse_message(b'{"method": "a", "%s": ' % field + opened * 200_000)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes):
    with suppress(MalformedMessage):
        parse_message(data)


@given(values, values)
def test_results_say_whether_they_are_one(data: Any, correlation_id: Any):
    good, bad = result_message(data, correlation_id), error_message({"value": data}, correlation_id)

    assert {"type": "result", "success": True, "data": data, "correlation_id": correlation_id} == json.loads(good)
    assert {"type": "result", "success": False, "error": {"value": data}, "correlation_id": correlation_id} == (
        json.loads(bad)
    )


@given(st.text(), values)
def test_an_event_is_a_name_and_its_data(event: str, data: Any):
    assert {"type": "event", "event": event, "data": data} == json.loads(event_message(event, data))


@pytest.mark.parametrize("data", [object(), {1: {2, object()}}, "\ud800"])
def test_what_has_no_json_form_is_told(data: Any):
    with pytest.raises(Exception):
        result_message(data, None)
