"""JSON-RPC: what a body holds, and what is answered; with the simplest of all runners between the two."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    Call,
    Failure,
    Fault,
    Limits,
    Notification,
    Outcome,
    is_rpc,
    not_found,
    parse,
    reply,
    response,
)
from tests.rpc_cases import EDGES, STANDARD, read, written


def boom() -> None:
    raise ValueError("boom")


def broken() -> None:
    raise TypeError("broken() missing 1 required positional argument")


def only(*, name: str) -> str:
    return name


METHODS: dict[str, Callable[..., Any]] = {
    "subtract": lambda minuend, subtrahend: minuend - subtrahend,
    "math.subtract": lambda minuend, subtrahend: minuend - subtrahend,
    "sum": lambda *numbers: sum(numbers),
    "update": lambda *values: None,
    "notify_hello": lambda number: None,
    "get_data": lambda: ["hello", 5],
    "nothing": lambda: None,
    "echo": lambda value: value,
    "boom": boom,
    "broken": broken,
    "only": only,
    "options": lambda **options: options,
    "greet": lambda name="you": name,
}


def run(call: Call | Notification) -> Outcome:
    method = METHODS.get(call.method)
    if method is None:
        return not_found(call.method)
    params = call.params or []
    if call.method == "sum" and isinstance(params, dict):
        params = params["numbers"]
        if not isinstance(params, list):
            return Failure(INVALID_PARAMS)
    try:
        signature = inspect.signature(method)
        bound = signature.bind(**params) if isinstance(params, dict) else signature.bind(*params)
    except TypeError:
        return Failure(INVALID_PARAMS)
    try:
        return msgspec.json.encode(method(*bound.args, **bound.kwargs))
    except Exception:
        return Failure(INTERNAL_ERROR)


def answer(body: bytes | str) -> bytes | None:
    batch = parse(body)
    return reply(batch, [run(one) for one in batch.items if isinstance(one, Call)])


def test_there_are_a_hundred_edges() -> None:
    assert len(EDGES) >= 100
    assert len(EDGES) == len({request for _, request, _ in EDGES})


@pytest.mark.parametrize(("request_", "expected"), [case[1:] for case in STANDARD], ids=[case[0] for case in STANDARD])
def test_the_standard_s_examples(request_: str, expected: str | None) -> None:
    assert read(None if expected is None else written(expected)) == read(answer(written(request_)))


@pytest.mark.parametrize(("request_", "expected"), [case[1:] for case in EDGES], ids=[case[0] for case in EDGES])
def test_the_edges(request_: str, expected: str | None) -> None:
    assert read(None if expected is None else written(expected)) == read(answer(written(request_).encode()))


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", b'{"a":"\xff"}', "[]".encode("utf-16"), "\ud800"])
def test_what_is_not_utf_8_is_a_parse_error(body: bytes | str) -> None:
    assert -32700 == read(answer(body))["error"]["code"]


def test_a_fault_says_nothing_of_the_body() -> None:
    told = answer('{"jsonrpc":"2.0","method":"secret","password":"hunter2')

    assert told is not None
    assert b"hunter2" not in told
    assert b"cut short" in told


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5_000_000,
        b'{"jsonrpc":"2.0","method":"nothing","id":' + b"1" * 10_000_000 + b"}",
        b'{"jsonrpc":"2.0","method":"' + b"x" * 1_000_000 + b'","id":1}',
        b"{" + b",".join([b'"jsonrpc":"2.0"'] * 100_000) + b"}",
    ],
    ids=["nesting", "number", "name", "members"],
)
def test_bombs_are_answered_quickly_and_briefly(body: bytes) -> None:
    begun = time.process_time()
    told = answer(body)

    assert told is not None
    assert len(told) < 1000
    assert time.process_time() - begun < 1.0


def test_a_batch_over_its_limit_is_one_fault() -> None:
    batch = parse("[1,2,3]", Limits(batch_max=2))

    assert not batch.many
    assert [Fault] == [type(item) for item in batch.items]


def test_a_failure_whose_data_has_no_json_form_is_told_without_it() -> None:
    told = json.loads(response(1, Failure(7, "half \ud800", object())))

    assert {"code": 7, "message": "half ?"} == told["error"]


def test_gemstone_s_clients_find_the_error_they_look_for() -> None:
    batch = parse(written('[{R,"method":"nothing","id":1},{R,"method":"foobar","id":2}]'))

    told = json.loads(reply(batch, [b"5", not_found("foobar")], null_errors=True) or b"")

    assert {"jsonrpc": "2.0", "result": 5, "error": None, "id": 1} == told[0]
    assert {"jsonrpc", "error", "id"} == set(told[1])


def test_two_answers_share_nothing() -> None:
    first = json.loads(response(1, not_found("a")))
    second = json.loads(response(2, not_found("b")))

    assert ("a", 1, "b", 2) == (
        first["error"]["data"]["method"],
        first["id"],
        second["error"]["data"]["method"],
        second["id"],
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
members = st.sampled_from(["2.0", "1.0", "subtract", "nothing", 2.0, 1, [], {}, [1, 2], None])
requests = st.dictionaries(st.sampled_from(["jsonrpc", "method", "params", "id", "x"]), members | values, max_size=5)
bodies = (
    st.binary(max_size=60)
    | values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | requests.map(lambda one: json.dumps(one).encode("utf-8", "surrogatepass"))
    | st.lists(requests | values, max_size=6).map(lambda many: json.dumps(many).encode("utf-8", "surrogatepass"))
)


@given(bodies)
def test_any_bytes_are_read_and_answered_with_one_answer_for_each_call_and_fault(body: bytes) -> None:
    batch = parse(body)
    told = reply(batch, [run(one) for one in batch.items if isinstance(one, Call)])

    wanted = [item for item in batch.items if not isinstance(item, Notification)]
    if not wanted:
        assert told is None
        return
    assert told is not None
    made = json.loads(told)
    answers = made if batch.many else [made]
    assert [item.id for item in wanted] == [one["id"] for one in answers]
    for one in answers:
        assert "2.0" == one["jsonrpc"]
        assert ("result" in one) != ("error" in one)
        assert set(one) <= {"jsonrpc", "result", "error", "id"}


ids = st.none() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    ids, st.text(), st.none() | st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3)
)
def test_a_request_is_read_as_it_was_written(id: Any, method: str, params: Any) -> None:
    told = {"jsonrpc": "2.0", "method": method, "id": id, **({} if params is None else {"params": params})}

    assert (Call(id, method, params),) == parse(json.dumps(told)).items


@pytest.mark.parametrize(
    ("text", "rpc"),
    [
        (b'{"jsonrpc":"2.0","method":"f","id":1}', True),
        (b' {"method":"f","jsonrpc":1}', True),
        (b'[{"jsonrpc":"2.0"}]', True),
        (b"[", True),
        (b"[]", True),
        (b'{"method":"f","data":{"jsonrpc":"2.0"}}', False),
        (b'{"method":"jsonrpc"}', False),
        (b'{"jsonrpc":', False),
        (b"", False),
        (b"5", False),
        (b"no json", False),
        (b"\xff", False),
        (b"{" * 100_000 + b'"jsonrpc"', False),
    ],
)
def test_where_others_are_spoken_it_is_known_by_its_member(text: bytes, rpc: bool) -> None:
    assert rpc == is_rpc(text)


@given(text=st.binary())
def test_whatever_comes_is_one_or_the_other(text: bytes) -> None:
    assert is_rpc(text) in (True, False)
