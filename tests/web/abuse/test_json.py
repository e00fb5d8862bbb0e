"""JSON bodies: accepted and echoed as they are, or refused with the one answer of the reference, section 5.1."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from tautomer import Context, Service, action
from tests.web.http.wire import Answer, get, post

from .json_cases import ACCEPTED, ACCEPTED_ELEMENTS, REFUSED, REFUSED_ELEMENTS, TOO_DEEP
from .running import RunningDoor, running_door
from .strict import replies


class Echo(Service):
    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.got: Any = None
        self.runs = 0

    @action
    async def body(self, ctx: Context) -> Any:
        self.runs += 1
        self.got = ctx.params["body"]
        return self.got

    @action
    async def fine(self, ctx: Context) -> str:
        return "fine"


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def at(echo: Echo) -> Iterator[RunningDoor]:
    aliases = {"POST /body": "echo.body", "GET /fine": "echo.fine"}
    with running_door(echo, routes=[{"aliases": aliases, "mergeParams": False}]) as opened:
        yield opened


def sent(at: RunningDoor, body: bytes, content_type: str = "application/json") -> Answer:
    """The answer; the connection is good for another request."""
    data = at.exchange(post(body, f"Content-Type: {content_type}", path="/body") + get("/fine", "Connection: close"))
    answer, behind = replies(data)
    assert b'"fine"' == behind.body
    return answer


def test_there_are_enough_of_them() -> None:
    assert 350 <= sum(map(len, (ACCEPTED, ACCEPTED_ELEMENTS, REFUSED, REFUSED_ELEMENTS, TOO_DEEP)))


def same(one: object, other: object) -> bool:
    """Equal, and of the same types all through; -0.0 is not 0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@pytest.mark.slow
@pytest.mark.parametrize(
    "documents", [ACCEPTED, [b"[%b]" % one for one in ACCEPTED_ELEMENTS]], ids=["whole", "elements"]
)
def test_what_is_json_reaches_the_action_and_comes_back(at: RunningDoor, echo: Echo, documents: list[bytes]) -> None:
    for document in documents:
        answer = sent(at, document)

        value = json.loads(document.removeprefix(b"\xef\xbb\xbf"))
        assert (document[:100], 200) == (document[:100], answer.status)
        assert same(value, echo.got), document[:100]
        assert same(value, json.loads(answer.body)), document[:100]


@pytest.mark.slow
@pytest.mark.parametrize("documents", [REFUSED, [b"[%b]" % one for one in REFUSED_ELEMENTS]], ids=["whole", "elements"])
def test_what_is_none_is_400_and_no_action_runs(at: RunningDoor, echo: Echo, documents: list[bytes]) -> None:
    runs = echo.runs
    found = {document[:100]: sent(at, document) for document in documents}

    wrong = {document: answer.body for document, answer in found.items() if answer.status != 400}
    assert {} == wrong
    assert dict.fromkeys(found, "INVALID_BODY") == {document: answer.type for document, answer in found.items()}
    assert runs == echo.runs


@pytest.mark.parametrize("document", TOO_DEEP, ids=lambda document: f"{len(document)} bytes")
def test_what_is_too_deep_says_so(at: RunningDoor, echo: Echo, document: bytes) -> None:
    answer = sent(at, document)

    assert (400, "TOO_DEEP") == (answer.status, answer.type)


@pytest.mark.parametrize(
    ("content_type", "status", "type"),
    [
        ("application/json; charset=utf-16", 415, "UNSUPPORTED_TYPE"),
        ("application/json; charset=utf-7", 415, "UNSUPPORTED_TYPE"),
        ("application/json; charset=latin1", 415, "UNSUPPORTED_TYPE"),
        ("application/json; charset=idna", 415, "UNSUPPORTED_TYPE"),
        ("application/json; charset=../../x", 415, "UNSUPPORTED_TYPE"),
        ("application/json5", 415, "UNSUPPORTED_TYPE"),
        ("application/json-patch+json", 415, "UNSUPPORTED_TYPE"),
        ("text/json", 415, "UNSUPPORTED_TYPE"),
        ("application/xml", 415, "UNSUPPORTED_TYPE"),
        ("application/x-python-pickle", 415, "UNSUPPORTED_TYPE"),
        ("application/yaml", 415, "UNSUPPORTED_TYPE"),
        ("application/json, text/plain", 415, "UNSUPPORTED_TYPE"),
        ("", 415, "UNSUPPORTED_TYPE"),
        (";", 415, "UNSUPPORTED_TYPE"),
        ("application/json; charset", 200, None),
        ('application/json;charset="UTF-8"', 200, None),
        ("APPLICATION/JSON ; a=b", 200, None),
    ],
)
def test_the_type_decides_what_is_read(
    at: RunningDoor, echo: Echo, content_type: str, status: int, type: str | None
) -> None:
    runs = echo.runs
    answer = sent(at, b"[1]", content_type)

    assert (status, type) == (answer.status, None if answer.status == 200 else answer.type)
    assert (status == 200) == echo.runs - runs
