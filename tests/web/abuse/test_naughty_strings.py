"""Texts that break programs, by every way into an action: they come back as they were, or are refused as invalid.

And on their way they become nothing but params: no meta, no subject, no line of a log (S3, S7).
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tautomer import Context, Service, action
from tautomer.logs import JsonFormatter, PlainFormatter
from tautomer.transporters.memory import MemoryTransporter
from tautomer.web.messages.message import Request
from tests.cluster import Cluster
from tests.web.door import open_door
from tests.web.http.wire import Answer, get, post

from .naughty_strings import NAUGHTY
from .running import RunningDoor, running_door
from .strict import replies


class Echo(Service):
    name = "echo"

    @action
    async def params(self, ctx: Context) -> Any:
        return {"params": ctx.params, "meta": dict(ctx.meta), "caller": ctx.caller, "headers": dict(ctx.headers)}

    @action
    async def failing(self, ctx: Context) -> None:
        raise ValueError(*ctx.params.values())


def take_the_header(ctx: Context, _route: object, request: Request) -> None:
    ctx.params["header"] = request.header("x-naughty")


ALIASES = {
    "/echo": "echo.params",
    "/echo/:text": "echo.params",
    "/failing": "echo.failing",
    "/failing/:text": "echo.failing",
}
ROUTES = [
    {"path": "/header", "aliases": ALIASES, "onBeforeCall": take_the_header},
    {"path": "/all", "mappingPolicy": "all"},
    {"aliases": ALIASES},
]


@pytest.fixture(scope="module")
def at() -> Iterator[RunningDoor]:
    with running_door(Echo(), routes=ROUTES, logRequest="info") as opened:
        yield opened


def answer_to(at: RunningDoor, raw: bytes) -> Answer:
    return replies(at.exchange(raw))[0]


def echoed(answer: Answer, **params: object) -> bool:
    """Whether an action got just these params, and nothing else of the request."""
    return answer.status == 200 and answer.json == {"params": params, "meta": {}, "caller": "api", "headers": {}}


def refused(answer: Answer, type: str) -> bool:
    """Whether it was refused so, in words that hold nothing of the request."""
    return (answer.status, answer.type) == (400, type)


def test_there_are_enough_of_them() -> None:
    assert 300 <= len(NAUGHTY)


@pytest.mark.slow
def test_in_a_path(at: RunningDoor) -> None:
    for text in NAUGHTY:
        answer = answer_to(at, get(f"/echo/{quote(text, safe='')}", "Connection: close"))

        if text == "":
            assert echoed(answer)
        elif text in (".", "..") or re.search(r"[\x00-\x1f\x7f-\x9f/\\]", text):
            assert refused(answer, "INVALID_PATH"), text
        elif len(quote(text, safe="")) > 8_000:
            assert 414 == answer.status
        else:
            assert echoed(answer, text=text), text


@pytest.mark.slow
def test_in_a_query(at: RunningDoor) -> None:
    for text in NAUGHTY:
        target = f"/echo?q={quote(text, safe='')}"
        answer = answer_to(at, get(target, "Connection: close"))

        assert echoed(answer, q=text) if len(target) < 8_000 else answer.status == 414, text


@pytest.mark.slow
def test_as_a_name_in_a_query(at: RunningDoor) -> None:
    for text in NAUGHTY:
        if "[" in text or "]" in text or len(quote(text, safe="")) > 8_000:
            continue  # A name of several parts.
        answer = answer_to(at, get(f"/echo?{quote(text, safe='')}=x&other=y", "Connection: close"))

        assert echoed(answer, **({text: "x"} if text else {}), other="y"), text


@pytest.mark.slow
def test_in_json_as_value_and_as_name(at: RunningDoor) -> None:
    for text in NAUGHTY:
        params = {"v": text, text: [text, {text: text}]}
        for ascii_only in (True, False):
            body = json.dumps(params, ensure_ascii=ascii_only).encode()
            answer = answer_to(at, post(body, "Content-Type: application/json", "Connection: close", path="/echo"))

            assert echoed(answer, **params), text


@pytest.mark.slow
def test_in_a_form(at: RunningDoor) -> None:
    for text in NAUGHTY:
        body = f"a=b&v={quote(text, safe='')}".encode()
        answer = answer_to(
            at, post(body, "Content-Type: application/x-www-form-urlencoded", "Connection: close", path="/echo")
        )

        assert echoed(answer, a="b", v=text), text


@pytest.mark.slow
def test_in_a_header(at: RunningDoor) -> None:
    for text in NAUGHTY:
        raw = text.encode().decode("latin-1")
        if "\r\n" in raw:
            continue  # These would be lines of their own.
        answer = answer_to(at, get("/header/echo", f"X-Naughty: {raw}", "Connection: close"))

        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", raw):
            assert refused(answer, "BAD_REQUEST"), text
        else:
            assert echoed(answer, header=raw.strip(" \t")), text


@pytest.mark.slow
def test_as_ids_agents_and_cookies_they_change_nothing(at: RunningDoor) -> None:
    names = [
        "X-Request-ID",
        "X-Correlation-ID",
        "User-Agent",
        "Cookie",
        "Referer",
        "Origin",
        "Authorization",
        "X-Forwarded-For",
        "Accept-Language",
    ]
    for text in NAUGHTY:
        raw = text.encode().decode("latin-1")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", raw) or len(raw) > 3_000:
            continue
        answer = answer_to(at, get("/echo", *(f"{name}: {raw}" for name in names), "Connection: close"))

        assert echoed(answer), text
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["x-request-id"])


@pytest.mark.slow
def test_as_the_name_of_an_action(at: RunningDoor) -> None:
    for text in NAUGHTY:
        answer = answer_to(at, get(f"/all/{quote(text, safe='')}", "Connection: close"))

        assert answer.status in (400, 404, 414), text
        assert "application/json; charset=utf-8" == answer.headers["content-type"]


@pytest.mark.slow
@pytest.mark.parametrize("formatter", [PlainFormatter, JsonFormatter])
def test_in_the_log_they_are_escaped(at: RunningDoor, formatter: type[logging.Formatter]) -> None:
    """Whatever is logged of a request: its path, the text of an error that holds it, and the names in its headers."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter())
    logger = logging.getLogger("tautomer")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        for text in NAUGHTY:
            answer_to(at, get(f"/echo/{quote(text, safe='')}", "Connection: close"))
            answer_to(at, get(f"/failing?q={quote(text, safe='')}", "Connection: close"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

    lines = written.getvalue().split("\n")[:-1]
    assert 300 < len(lines)
    for line in lines:
        # Nothing that ends a line, moves a cursor or turns the direction of what follows.
        assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", line), (
            line
        )
        if formatter is JsonFormatter:
            assert {"ts", "level", "logger", "msg"} <= json.loads(line).keys()
        else:
            # A line of a stack stands in, so that none can pretend to be a line of its own.
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ +tautomer\.|  ", line), line
            assert "2026-01-01" not in line[:10]


@pytest.mark.slow
async def test_on_the_bus_they_are_in_no_subject_and_no_meta(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    topics: set[str] = set()
    packets: list[dict[str, Any]] = []
    send = MemoryTransporter.send

    def listened(self: MemoryTransporter, topic: str, data: bytes, token: str | None = None) -> None:
        topics.add(topic)
        if topic.startswith("MOL.REQ"):
            packets.append(json.loads(data))
        send(self, topic, data, token)

    monkeypatch.setattr(MemoryTransporter, "send", listened)
    await cluster.node("far", Echo)
    opened = await open_door(routes=ROUTES, broker=await cluster.node("gateway"))
    asked = 0
    for text in NAUGHTY:
        if len(text) > 1_000:
            continue
        params = {"v": text, text: text}
        answer = await opened.send("POST", f"/echo?q={quote(text, safe='')}", params, **{"X-Request-ID": quote(text)})
        asked += 1
        assert {**params, "q": text} == answer.json["params"]
        assert {} == answer.json["meta"]
        await opened.get(f"/all/{quote(text, safe='')}")

    assert {"MOL.REQ.far", "MOL.RES.gateway"} <= topics
    assert {topic for topic in topics if not re.fullmatch(r"MOL\.[A-Z]+(\.far|\.gateway)?", topic)} == set()
    assert asked == len(packets)
    for packet in packets:
        assert ("echo.params", "gateway", {}) == (packet["action"], packet["sender"], packet["meta"])
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", packet["requestID"])
