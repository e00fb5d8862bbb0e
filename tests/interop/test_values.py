"""Whatever JSON can say arrives as it was sent, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from .mesh import SHORT, Mesh, Pair
from .peers import UNDEFINED

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

DEEP: Any = "bottom"
for _ in range(48):  # With what is around it that makes 99 levels; 100 are taken.
    DEEP = [{"down": DEEP}]

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "integer": -7,
    "largest safe integer": 2**53 - 1,
    "2 to the 53": 2**53,
    "smallest safe integer": -(2**53) + 1,
    "over 32 bits": 2**32 + 1,
    "float": 0.1,
    "large float": 1.7976931348623157e308,
    "small float": 5e-324,
    "exponent": 1e21,
    "empty text": "",
    "text": "plain",
    "unicode": 'Ä ß 日本語 🎉 \u0000 \u2028 \u2029 \\ " / \x7f \ufeff',
    "empty list": [],
    "list": [1, "two", None, [3.5], {}],
    "empty map": {},
    "map": {"a": 1, "ключ": {"": None, "a.b": [], "$x": False, "with blank": 0}},
    "deep": DEEP,
}

MEGABYTE = 1_000_000


@pytest.mark.parametrize("name", VALUES)
async def test_a_value_comes_back_as_it_was_sent(pair: Pair, name: str) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.echo", {"value": VALUES[name]})

    assert {"value": VALUES[name]} == answer.value


@pytest.mark.parametrize("name", [name for name in VALUES if VALUES[name] is not None])
async def test_a_value_may_be_the_whole_of_the_params(pair: Pair, name: str) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.echo", VALUES[name])

    assert VALUES[name] == answer.value


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (5, {"type": "number", "json": "5"}),
        ("text", {"type": "string", "json": '"text"'}),
        (False, {"type": "boolean", "json": "false"}),
        ({"a": [None, 1.5]}, {"type": "object", "json": '{"a":[null,1.5]}'}),
        (UNDEFINED, {"type": "object", "json": "{}"}),
    ],
)
async def test_the_callee_sees_the_type_that_was_sent(pair: Pair, params: Any, expected: dict[str, str]) -> None:
    """Params that are not given are an empty map at the callee."""
    answer = await pair.caller.call(f"{pair.callee.id}.seen", params)

    assert expected == answer.value


async def test_null_params_of_node_stay_null(couple: Mesh, line: str) -> None:
    node = couple[SHORT[line]]

    assert {"type": "null", "json": "null"} == (await node.call("py.seen", None)).value
    assert (await node.call("py.echo", None)).value is None


async def test_nothing_from_node_is_none_in_python(couple: Mesh, line: str) -> None:
    """Node leaves `data` out of the answer when a handler returns `undefined`."""
    node = couple[SHORT[line]]

    assert (await couple["py"].call(f"{node.id}.nothing")).value is None


async def test_none_from_python_is_null_in_node(couple: Mesh, line: str) -> None:
    node = couple[SHORT[line]]

    assert (await node.call("py.nothing")).value is None


async def test_bytes_travel_as_nodes_buffer_object(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.bytes")

    assert {"type": "Buffer", "data": [97, 98, 99]} == answer.value


async def test_a_date_travels_as_iso_text(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.date")

    assert answer.value in ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z")


@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_a_megabyte_goes_there_and_back(pair: Pair, letter: str) -> None:
    text = letter * (MEGABYTE // len(letter.encode()))

    answer = await pair.caller.call(f"{pair.callee.id}.echo", text)

    assert text == answer.value


async def test_params_over_the_servers_limit_are_a_clear_error_and_the_line_stays(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.echo", "x" * 1_100_000)

    assert answer.error is not None
    assert ("PayloadTooLargeError" if pair.caller.line == "python" else "NatsError") == answer.error["name"]
    assert 1 == (await pair.caller.call(f"{pair.callee.id}.echo", 1)).value


async def test_a_result_over_the_servers_limit_is_a_clear_error_at_the_caller(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.text", {"length": 1_100_000}, timeout=5.0)

    assert answer.error is not None
    assert ("PayloadTooLargeError" if pair.callee.line == "python" else "NatsError") == answer.error["name"]
    assert pair.callee.id == answer.error["nodeID"]


async def test_half_a_character_of_node_comes_back_as_it_was(couple: Mesh, line: str) -> None:
    """JavaScript's texts may hold a lone surrogate, which UTF-8 cannot."""
    answer = await couple[SHORT[line]].call("py.echo", {"text": "half \ud800"}, timeout=5.0)

    assert {"text": "half \ud800"} == answer.value
