"""What goes to a JSON-RPC service and what comes back, without a line between."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from tautomer.client import (
    AccessDeniedError,
    CalledServiceError,
    InvalidParams,
    MethodCall,
    MethodNotFound,
    Notification,
    ParseError,
)
from tautomer.client.failures import called_service_error
from tautomer.client.messages import Credentials, located, params_of, read_batch, read_single, written


def body(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode()


@pytest.mark.parametrize(
    ("status", "answer", "result", "error"),
    [
        (200, body(result=5, id=1), 5, None),
        (200, body(result=None, id=1), None, None),
        (200, body(result=5, error=None, id=1), 5, None),  # gemstone
        (200, body(result=None, error={"code": 1, "message": "x"}, id=1), None, {"code": 1, "message": "x"}),
        (200, body(error={"code": 1, "message": "x"}, id=None), None, {"code": 1, "message": "x"}),
        (415, body(error={"code": 1, "message": "x"}, id=None), None, {"code": 1, "message": "x"}),
    ],
)
def test_answers_of_all_habits(status: int, answer: bytes, result: Any, error: Any) -> None:
    read = read_single(status, answer, MethodCall("f", None, 1))

    assert (result, error, 1) == (read.result, read.error, read.id)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (200, b"", "not a JSON-RPC response"),
        (200, b"[]", "not a JSON-RPC response"),
        (200, b"{}", "not a JSON-RPC response"),
        (200, b"<html>", "not a JSON-RPC response"),
        (200, body(result=5, id=2), "id 2"),
        (200, body(result=5), "id None"),
        (200, body(error={"code": 1}, id=7), "id 7"),
        (502, b"<html>" + b"x" * 1000, "HTTP status 502: <html>xxx"),
        (404, b'{"name":"NotFoundError"}', "HTTP status 404"),
    ],
)
def test_what_is_no_answer_is_told(status: int, answer: bytes, told: str) -> None:
    with pytest.raises(CalledServiceError) as caught:
        read_single(status, answer, MethodCall("f", None, 1))

    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_old_server_drops_an_id_of_0() -> None:
    assert 5 == read_single(200, body(result=5), MethodCall("f", None, 0)).result


def test_answers_of_a_batch_in_any_order() -> None:
    first, second = MethodCall("f", None, 1), MethodCall("f", None, 2)
    answer = b"[" + body(error={"code": 1, "message": "x"}, id=2) + b"," + body(result=1, id=1) + b"]"

    read = read_batch(200, answer, [first, second])

    assert (2, 1, {"code": 1, "message": "x"}) == (len(read), read.responses[0].result, read.responses[1].error)
    assert read.responses[1] is read.get_response_for_call(second)
    assert read.get_response_for_call(MethodCall("f", None, 3)) is None


def test_a_batch_refused_as_a_whole_or_answered_in_part() -> None:
    with pytest.raises(CalledServiceError, match="Invalid Request"):
        read_batch(200, body(error={"code": -32600, "message": "Invalid Request"}, id=None), [MethodCall("f", None, 1)])
    with pytest.raises(CalledServiceError, match="nothing for id 2"):
        read_batch(200, b"[" + body(result=1, id=1) + b"]", [MethodCall("f", None, 1), MethodCall("f", None, 2)])
    assert 0 == len(read_batch(204, b"", []))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-32700, ParseError),
        (-32601, MethodNotFound),
        (-32602, InvalidParams),
        (-32001, AccessDeniedError),
        (7, CalledServiceError),
        (None, CalledServiceError),
        ([], CalledServiceError),
    ],
)
def test_errors_by_their_code(code: Any, kind: type[CalledServiceError]) -> None:
    error = called_service_error({"code": code, "message": "x", "data": 5})

    assert (kind, code, "x", 5) == (type(error), error.code, error.message, error.data)
    assert {"code": code, "message": "x", "data": 5} == error.args[0]


def test_requests() -> None:
    calls = [MethodCall("f", [datetime.date(2026, 1, 2)], 0), Notification("g", {"a": 1})]

    assert [
        {"jsonrpc": "2.0", "method": "f", "params": ["2026-01-02"], "id": 0, "auth_token": "t"},
        {"jsonrpc": "2.0", "method": "g", "params": {"a": 1}, "auth_token": "t"},
    ] == json.loads(written(calls, {"auth_token": "t"}, many=True))
    with pytest.raises(TypeError, match="MethodCall"):
        written(["f"], {}, many=True)  # type: ignore[list-item]  # On purpose.


def test_arguments_are_by_position_or_by_name() -> None:
    assert ([1], {"a": 1}, None) == (params_of([1], {}), params_of([], {"a": 1}), params_of([], {}))
    with pytest.raises(ValueError, match="at the same time"):
        params_of([1], {"a": 1})


@pytest.mark.parametrize(
    ("options", "headers", "members"),
    [
        (None, {}, {}),
        ({"auth_type": "header", "auth_token": "t"}, {"X-Api-Token": "t"}, {}),
        ({"auth_type": "header", "auth_params": "X", "auth_token": "t"}, {"X": "t"}, {}),
        ({"auth_type": "cookie", "auth_token": "t"}, {"Cookie": "AuthToken=t"}, {}),
        ({"auth_type": "request", "auth_token": "t"}, {}, {"auth_token": "t"}),
    ],
)
def test_how_a_token_is_shown(options: Any, headers: Any, members: Any) -> None:
    made = Credentials(options)

    assert (headers, members) == (made.headers, made.members)


@pytest.mark.parametrize("options", [{"auth_type": "basic", "auth_token": "t"}, {"auth_type": "header"}])
def test_a_token_that_cannot_be_shown(options: Any) -> None:
    with pytest.raises(ValueError):
        Credentials(options)


def test_what_registries_of_all_ages_tell() -> None:
    told = ["http://a/api", {"host": "b", "port": 5, "name": "x"}, 7, {}]

    assert ["http://a/api", "http://b:5/api"] == located(told)
    assert [] == located(None)


def test_what_gemstone_s_document_shows_is_read_and_complained_of() -> None:
    with pytest.warns(UserWarning, match="'response'"):
        assert 5 == read_single(200, body(response=5, error=None, id=1), MethodCall("f", None, 1)).result
