"""What actions put into the head of a reply, of any text and type: one well-formed reply comes of it, never two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError
from tautomer.web.messages.message import Reply
from tests.web.http.wire import Answer, get

from .running import RunningDoor, running_door
from .strict import replies
from .test_odd_results import Mute, OddNumber, OddText, Spiky, looks_only


class Shaped(Service):
    """Puts what the test says into the meta, and gives what it says."""

    name = "shaped"

    def __init__(self) -> None:
        super().__init__()
        self.meta: Any = {}
        self.result: Any = None
        self.fails = False

    @action
    async def thing(self, ctx: Context) -> Any:
        ctx.meta.update(self.meta)
        if self.fails:
            raise MoleculerClientError("no", 409, "NO")
        return self.result

    @action
    async def fine(self, ctx: Context) -> str:
        return "fine"


ALIASES = {"GET /thing": "shaped.thing", "GET /fine": "shaped.fine"}


@pytest.fixture(scope="module")
def shaped() -> Shaped:
    return Shaped()


@pytest.fixture(scope="module")
def at(shaped: Shaped) -> Iterator[RunningDoor]:
    routes = [{"aliases": ALIASES}, {"path": "/stages", "aliases": ALIASES, "onBeforeCall": looks_only}]
    with running_door(shaped, routes=routes) as opened:
        yield opened


BREAKING = [
    "\r\n", "\n", "\r", "\r\n\r\n", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x7f", "\x1b[2J", "\u010d\u010a",
    "\udc0d\udc0a", "\ud800", "%0d%0a", "\\r\\n", "\uff1a", "\u560d\u560a", "é", "日本", "🙂", "\u202e", "\ufeff", " ", "\t", ":", "",
    "a\r\nSet-Cookie: a=b", "a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "chunked", "close", "0", "a" * 10_000,
]  # fmt: skip
texts = st.lists(st.sampled_from(BREAKING) | st.text(max_size=10), max_size=4).map("".join)


@dataclass(frozen=True)
class Thing:
    """Stands for one of the things below while Hypothesis looks at it: it could not even show some of them."""

    name: str


THINGS: dict[str, object] = {
    "None": None, "True": True, "False": False, "0": 0, "-1": -1, "5": 5, "1.5": 1.5, "nan": float("nan"), "inf": float("inf"),
    "10**5000": 10**5_000, "bytes": b"bytes", "list": [], "dict": {}, "list of lines": ["a\r\nb"], "tuple": ("a", "b"), "full dict": {"a": 1},
    "object": object(), "odd text": OddText("odd"), "odd number": OddNumber(302), "odd status": OddNumber(201), "mute": Spiky(Mute()),
    "spiky": Spiky(ValueError()), "ellipsis": ..., "class": int, "bytes name": b"X-Bytes", "201": 201, "200.0": 200.0,
}  # fmt: skip


def real(value: Any) -> Any:
    """The value with the things that are meant."""
    if isinstance(value, Thing):
        return THINGS[value.name]
    if isinstance(value, list):
        return [real(one) for one in value]
    if isinstance(value, dict):
        return {real(key): real(one) for key, one in value.items()}
    return value


odd_things = st.sampled_from(list(THINGS)).map(Thing)
things = texts | odd_things | st.lists(texts | odd_things, max_size=3)
names = (
    st.sampled_from(
        [
            "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Proxy-Connection",
            "Date", "X-Request-ID", "Content-Type", "Location", "Set-Cookie", "Content-Length ", " Content-Length", "Content-Length:", "Content-\nLength",
            "X", "", "a b", "HTTP/1.1 200 OK", "\u212aeep-Alive", "conten\u0131-length", "X-É",
        ]
    )
    | texts
    | st.sampled_from(["odd text", "5", "None", "bytes name", "tuple"]).map(Thing)
)  # fmt: skip
statuses = st.sampled_from([None, 200, 201, 204, 205, 302, 304, 404, 500, 599, "201"]) | st.integers(-10, 1000) | things
metas = st.fixed_dictionaries(
    {},
    optional={
        "$statusCode": statuses,
        "$statusMessage": things,
        "$location": things,
        "$responseType": things,
        "$responseHeaders": st.dictionaries(names, things, max_size=5) | things,
    },
)
results = st.sampled_from([None, "text", {"a": 1}, b"bytes", "", []])


def asked(at: RunningDoor, path: str) -> Answer:
    """The reply, after one that is fine, and before another one, on one connection."""
    data = at.exchange(get("/fine") + get(path) + get("/fine", "Connection: close"))
    before, answer, after = replies(data)
    assert b'"fine"' == before.body == after.body
    return answer


@pytest.mark.slow
@settings(max_examples=400)
@given(metas, results, st.sampled_from(["", "/stages"]), st.booleans())
@example({"$statusCode": Thing("200.0")}, "text", "", False)
@example({"$statusCode": Thing("10**5000")}, "text", "", False)
@example({"$responseHeaders": {"A": Thing("10**5000"), "B": "b"}}, "text", "", True)
@example({"$responseHeaders": Thing("mute")}, "text", "", True)
def test_any_meta_makes_one_reply(
    at: RunningDoor, shaped: Shaped, meta: dict[str, Any], result: Any, way: str, fails: bool
) -> None:
    shaped.meta, shaped.result, shaped.fails = real(meta), result, fails

    answer = asked(at, f"{way}/thing")

    assert answer.headers["x-request-id"] != "other"
    assert "connection" not in answer.headers
    assert answer.status == 409 if fails else 200 <= answer.status <= 599


@pytest.mark.slow
@settings(max_examples=200)
@given(st.dictionaries(names, things, max_size=8))
def test_a_header_that_cannot_be_sent_takes_no_other_along(
    at: RunningDoor, shaped: Shaped, headers: dict[Any, Any]
) -> None:
    shaped.meta, shaped.result, shaped.fails = {"$responseHeaders": real({**headers, "X-Good": "good"})}, "text", False

    answer = asked(at, "/thing")

    assert (200, "good") == (answer.status, answer.headers["x-good"])
    assert len(answer.body) == int(answer.headers["content-length"])


@pytest.mark.slow
@settings(max_examples=200)
@given(texts)
@example(" \t")
@example(" \x85")
@example("\t:é ")
def test_a_text_that_is_sent_can_be_read_back(at: RunningDoor, shaped: Shaped, text: str) -> None:
    """As it was, or percent-encoded: nothing of it is lost on the way."""
    shaped.meta = {"$statusCode": 302, "$location": text, "$responseHeaders": {"X-Text": text}}
    shaped.result, shaped.fails = None, False

    answer = asked(at, "/thing")

    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        assert not {"location", "x-text"} & answer.headers.keys()
    elif text.isascii():
        assert (text.strip(" \t"), text.strip(" \t")) == (answer.headers.get("location", ""), answer.headers["x-text"])
    else:
        assert answer.headers["location"] == answer.headers["x-text"]
        assert answer.headers["x-text"].isascii()


def test_a_reply_of_200_0_does_not_spoil_those_of_200(at: RunningDoor, shaped: Shaped) -> None:
    """Both are one key of a dict."""
    shaped.meta, shaped.result, shaped.fails = {"$statusCode": 200.0}, "text", False

    assert 500 == asked(at, "/thing").status
    shaped.meta, shaped.result = {}, Reply(200.0)  # type: ignore[arg-type]  # That is the point.
    assert 500 == asked(at, "/thing").status
    shaped.result = "text"
    assert (200, "OK") == (asked(at, "/thing").status, asked(at, "/thing").reason)
