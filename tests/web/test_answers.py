"""From results and `ctx.meta` to answers, over a real socket."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from tautomer import Context, Service, action
from tautomer.context import RawResult
from tautomer.errors import SerializationError
from tautomer.web.answers.reply import build_reply
from tautomer.web.messages.message import Reply
from tests.web.conftest import OpenDoor
from tests.web.door import Door

JSON = "application/json; charset=utf-8"


async def answer_to(
    door: OpenDoor, result: Any, meta: dict[str, Any] | None = None, method: str = "GET", **entry: Any
) -> Any:
    class Any_(Service):
        name = "any"

        @action(**entry)
        def thing(self, ctx: Context) -> Any:
            ctx.meta.update(meta or {})
            return result

    at: Door = await door(Any_, routes=[{"aliases": {"/x": "any.thing"}}])
    return await at.ask(method, "/x")


@pytest.mark.parametrize(
    ("result", "kind", "body"),
    [
        ("text", JSON, b'"text"'),
        ("", JSON, b'""'),
        (5, JSON, b"5"),
        (0, JSON, b"0"),
        (1.5, JSON, b"1.5"),
        (True, JSON, b"true"),
        (False, JSON, b"false"),
        ([], JSON, b"[]"),
        ([1, "a", None], JSON, b'[1,"a",null]'),
        ((1, 2), JSON, b"[1,2]"),
        ({"a": {"b": "é"}}, JSON, '{"a":{"b":"é"}}'.encode()),
        ({"type": "user", "data": [1]}, JSON, b'{"type":"user","data":[1]}'),
        ({"type": "Buffer", "data": ["x"]}, JSON, b'{"type":"Buffer","data":["x"]}'),
        ({"type": "Buffer", "data": [1], "more": 1}, JSON, b'{"type":"Buffer","data":[1],"more":1}'),
        (datetime(2024, 1, 2, tzinfo=UTC), JSON, b'"2024-01-02T00:00:00Z"'),
        (float("nan"), JSON, b"null"),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        (bytearray(b"ab"), "application/octet-stream", b"ab"),
        (b"", "application/octet-stream", b""),
        ({"type": "Buffer", "data": [0, 255]}, "application/octet-stream", b"\x00\xff"),
        (None, None, b""),
    ],
)
async def test_a_result_without_a_type_of_its_own(door: OpenDoor, result, kind, body):
    answer = await answer_to(door, result)

    assert (200, kind, body) == (answer.status, answer.header("Content-Type"), answer.body)
    assert str(len(body)) == answer.header("Content-Length")


@pytest.mark.parametrize(
    ("result", "body"),
    [("<p>é</p>", "<p>é</p>".encode()), (5, b"5"), (True, b"true"), ({"a": 1}, b'{"a":1}'), (b"\xff", b"\xff")],
)
async def test_a_result_with_a_response_type(door: OpenDoor, result, body):
    answer = await answer_to(door, result, {"$responseType": "text/html"})

    assert (200, "text/html", body) == (answer.status, answer.header("Content-Type"), answer.body)


async def test_nothing_has_no_content_type_even_with_one_set(door: OpenDoor):
    answer = await answer_to(door, None, {"$responseType": "text/html"})

    assert (200, None, b"") == (answer.status, answer.header("Content-Type"), answer.body)


@pytest.mark.parametrize(
    ("entry", "meta", "kind"),
    [
        ({"responseType": "text/csv"}, {}, "text/csv"),
        ({"responseType": "text/csv"}, {"$responseType": "text/html"}, "text/html"),
        ({"responseHeaders": {"Content-Type": "text/xml"}}, {}, "text/xml"),
        ({"responseHeaders": {"content-type": "text/xml"}, "responseType": "text/csv"}, {}, "text/csv"),
        ({}, {"$responseHeaders": {"Content-Type": "text/xml"}}, "text/xml"),
    ],
)
async def test_who_says_the_type_of_a_response(door: OpenDoor, entry, meta, kind):
    answer = await answer_to(door, "a", meta, **entry)

    assert (kind, b"a") == (answer.header("Content-Type"), answer.body)
    assert 1 == sum(name == "content-type" for name, _ in answer.headers)


@pytest.mark.parametrize(("given", "status"), [(201, 201), ("202", 202), (404, 404), (599, 599), (200, 200)])
async def test_the_status_is_the_metas(door: OpenDoor, given, status):
    answer = await answer_to(door, "a", {"$statusCode": given})

    assert (status, b'"a"') == (answer.status, answer.body)


@pytest.mark.parametrize("given", [99, 199, 600, 999, 0, -1, "abc", "20", "2000", "²00", 200.5, True, [], {}])
async def test_a_status_that_cannot_be_sent_is_500_and_logged_with_the_action(door: OpenDoor, given, caplog):
    answer = await answer_to(door, "a", {"$statusCode": given})

    assert (500, "INVALID_STATUS_CODE") == (answer.status, answer.type)
    assert ["any.thing"] == [record.action for record in caplog.records if "status refused" in record.message]


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_body_has_none(door: OpenDoor, status):
    answer = await answer_to(door, {"a": 1}, {"$statusCode": status, "$responseHeaders": {"ETag": '"x"'}})

    assert (status, b"", None, '"x"') == (
        answer.status,
        answer.body,
        answer.header("Content-Type"),
        answer.header("ETag"),
    )


async def test_the_reason_is_the_metas(door: OpenDoor):
    assert "Brewed" == (await answer_to(door, "a", {"$statusMessage": "Brewed"})).reason


@pytest.mark.parametrize("given", ["a\r\nX: y", "\x00", 5])
async def test_a_reason_that_cannot_be_sent_is_the_usual_one(door: OpenDoor, given):
    answer = await answer_to(door, "a", {"$statusMessage": given})

    assert (200, "OK") == (answer.status, answer.reason)
    assert None is answer.header("X")


@pytest.mark.parametrize(
    ("status", "location"), [(201, "/x"), (302, "/x"), (308, "/x"), (200, None), (304, None), (404, None)]
)
async def test_a_location_goes_with_201_and_redirects(door: OpenDoor, status, location):
    answer = await answer_to(door, None, {"$statusCode": status, "$location": "/x"})

    assert location == answer.header("Location")


@pytest.mark.parametrize("given", ["/x\r\nSet-Cookie: a=b", 5, None])
async def test_a_location_that_cannot_be_sent_is_dropped(door: OpenDoor, given):
    answer = await answer_to(door, None, {"$statusCode": 302, "$location": given})

    assert (302, None, None) == (answer.status, answer.header("Location"), answer.header("Set-Cookie"))


async def test_response_headers_of_action_and_meta(door: OpenDoor):
    answer = await answer_to(
        door,
        "a",
        {
            "$responseHeaders": {
                "X-B": "meta",
                "Set-Cookie": ["a=1", "b=2"],
                "X-N": 5,
                "X-T": True,
                "X-E": "",
                "X-0": None,
            }
        },
        responseHeaders={"X-A": "action", "x-b": "action"},
    )

    names = ("X-A", "X-B", "X-N", "X-T", "X-E", "X-0")
    assert ("action", "meta", "5", "true", "", None) == tuple(answer.header(name) for name in names)
    assert ["a=1", "b=2"] == [value for name, value in answer.headers if name == "set-cookie"]
    assert 1 == sum(name == "x-b" for name, _ in answer.headers)


async def test_other_letters_in_a_header_are_percent_encoded(door: OpenDoor):
    answer = await answer_to(door, "a", {"$responseHeaders": {"X-A": "naïve 日"}})

    assert "na%C3%AFve %E6%97%A5" == answer.header("X-A")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nX-Evil: 1"},
        {"X-A": "a\nX-Evil: 1"},
        {"X-A": "\x00"},
        {"X-A": b"bytes"},
        {"X-A": {"X-Evil": "1"}},
        {"X-Evil: 1\r\nX-A": "a"},
        {"": "a"},
        {"X A": "a"},
        {"Content-Length": "1000"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"},
        {"Keep-Alive": "x"},
        {"X-Request-ID": "mine"},
        "X-Evil: 1",
        ["X-Evil"],
    ],
)
async def test_headers_that_cannot_be_sent_are_dropped_and_logged_with_the_action(door: OpenDoor, headers, caplog):
    answer = await answer_to(door, "abc", {"$responseHeaders": headers})

    assert (200, b'"abc"', "5") == (answer.status, answer.body, answer.header("Content-Length"))
    assert not {"x-evil", "x-a", "transfer-encoding", "keep-alive"} & {name for name, _ in answer.headers}
    assert "mine" != answer.header("X-Request-ID")
    assert any("any.thing" == getattr(record, "action", "") for record in caplog.records)


@pytest.mark.parametrize("result", [object(), {"a": {1, object()}}, {(1, 2): 3}, "\ud800"])
async def test_a_result_without_json_form_is_500(door: OpenDoor, result, caplog):
    with caplog.at_level(logging.ERROR):
        answer = await answer_to(door, result)

    assert (500, "SERIALIZATION_ERROR") == (answer.status, answer.type)
    assert "any.thing" in [getattr(record, "action", "") for record in caplog.records]


async def test_a_result_that_holds_itself_is_500(door: OpenDoor):
    knot: list[Any] = []
    knot.append(knot)

    assert (500, "SERIALIZATION_ERROR") == ((answer := await answer_to(door, knot)).status, answer.type)


async def test_head_tells_the_length_of_what_get_would_send(door: OpenDoor):
    answer = await answer_to(door, "text", method="HEAD")

    assert (200, b"", "6", JSON) == (
        answer.status,
        answer.body,
        answer.header("Content-Length"),
        answer.header("Content-Type"),
    )


# --- results that come undecoded from another node ---


@pytest.mark.parametrize(
    ("data", "meta", "kind", "body"),
    [
        (b'{"a":1}', {}, JSON, b'{"a":1}'),
        (b'{ "a" : 1 }', {}, JSON, b'{ "a" : 1 }'),
        (b'"text"', {}, JSON, b'"text"'),
        (b"null", {}, None, b""),
        (b'{"type":"Buffer","data":[104,105]}', {}, "application/octet-stream", b"hi"),
        (b'{ "type": "Buffer", "data": [104, 105] }', {}, "application/octet-stream", b"hi"),
        (b'{"data":[104,105],"type":"Buffer"}', {}, "application/octet-stream", b"hi"),
        (b'{"type":"Buffer","data":"x"}', {}, JSON, b'{"type":"Buffer","data":"x"}'),
        (b'{"name":"Buffer","x":1}', {}, JSON, b'{"name":"Buffer","x":1}'),
        (b'"text"', {"$responseType": "text/plain"}, "text/plain", b"text"),
        (b'{"a":1}', {"$responseType": "application/x"}, "application/x", b'{"a":1}'),
        (b"5", {"$responseType": "text/plain"}, "text/plain", b"5"),
        (b"null", {"$responseType": "text/plain"}, None, b""),
        (b'{"type":"Buffer","data":[104]}', {"$responseType": "image/png"}, "image/png", b"h"),
        (b'{"a":"\\ud800"}', {}, JSON, b'{"a":"\\ud800"}'),
        (b'["Buffer"]', {}, JSON, b'["Buffer"]'),
    ],
)
def test_raw_json_is_passed_on_unless_it_must_be_looked_at(data, meta, kind, body):
    reply = build_reply(RawResult(data), meta, {}, "any.thing")

    assert (kind, body) == (dict(reply.headers).get("Content-Type"), reply.body)


def test_raw_text_that_is_none_cannot_be_sent_as_text():
    with pytest.raises(SerializationError):
        build_reply(RawResult(b'"\\ud800"'), {"$responseType": "text/plain"}, {}, "any.thing")


def test_a_reply_goes_out_as_it_is_and_stays_the_same_for_the_next_time():
    given = Reply(418, [("A", "b"), ("X-Request-ID", "theirs")], b"x", "Teapot")

    made = build_reply(given, {"$statusCode": 200}, {}, "any.thing")
    made.headers.append(("X-Request-ID", "ours"))

    assert (418, [("A", "b"), ("X-Request-ID", "ours")], b"x", "Teapot") == (
        made.status,
        made.headers,
        made.body,
        made.reason,
    )
    assert 2 == len(given.headers)
