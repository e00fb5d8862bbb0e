"""Answer: what came back to one request, and what of it is kept."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]

SECONDS: Final = 10.0
"""A gateway that has not answered by then hangs."""

HANGS: Final = -1
"""Stands for the status where no answer came."""

CUT: Final = -2
"""Stands for the status where the connection ended without an answer."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BOUNDARY = re.compile("boundary=([0-9A-Za-z]+)")
# The connection is the server's business, the date the clock's.
_NEVER_KEPT: Final = frozenset({"date", "connection", "keep-alive", "server"})
_MARKS: Final = ("cut", "ended", "surplus")


@dataclass(frozen=True)
class Answer:
    """Status, reason, header lines (names in lower case, sorted) and decoded body.

    Attributes:
        body: JSON where it is JSON by its content type, text where it is UTF-8, else bytes.
        cut: Whether the connection ended before the body did.
        ended: Whether the whole process ended.
        surplus: Whether bytes followed that are no answer, and that no length had announced.
    """

    status: int
    reason: str = ""
    headers: Headers = ()
    body: Any = ""
    cut: bool = False
    ended: bool = False
    surplus: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the recording."""
        kept: dict[str, Any] = {"status": self.status, "reason": self.reason}
        kept["headers"] = [f"{name}: {value}" for name, value in self.headers]
        match self.body:
            case bytes():
                kept["base64"] = base64.b64encode(self.body).decode()
            case Json(value):
                kept["json"] = value
            case text:
                kept["text"] = text
        return kept | {name: True for name in _MARKS if getattr(self, name)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Answer:
        split = (line.partition(": ") for line in kept["headers"])
        body: Any = kept.get("text", "")
        if "base64" in kept:
            body = base64.b64decode(kept["base64"])
        elif "json" in kept:
            body = Json(kept["json"])
        headers = tuple((name, value) for name, _, value in split)
        return cls(kept["status"], kept["reason"], headers, body, **{name: name in kept for name in _MARKS})


@dataclass(frozen=True)
class Json:
    """A body that was JSON. The order of keys is nothing; 1 and true are not the same, nor are 1 and "1"."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and _spelt(self.value) == _spelt(other.value)

    def __hash__(self) -> int:
        return hash(_spelt(self.value))


def _spelt(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


async def exchange(host: str, port: int, request: bytes) -> list[Answer]:
    """Send the bytes on a connection of their own, and read until the other side closes it.

    One answer, unless the bytes are several requests.
    """
    reader, writer = await asyncio.open_connection(host, port, limit=2**24)
    raw = bytearray()
    late = 0
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(request)
            while chunk := await reader.read(65536):
                raw += chunk
    except TimeoutError:
        late = HANGS
    except ConnectionError:
        pass  # Whatever came before it is the answer.
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass
    answers = []
    rest = bytes(raw)
    while rest.startswith(b"HTTP/1."):
        answer, rest = parse(rest, request.startswith(b"HEAD "))
        answers.append(answer)
    last = answers.pop() if answers else Answer(late or CUT)
    return [*answers, replace(last, cut=last.cut or bool(late), surplus=bool(rest))]


async def ask_all(host: str, port: int, requests: Iterable[bytes]) -> list[Answer]:
    """The answers to all of them, asked one after the other.

    ``{etag}`` in a request stands for the tag in the last answer: servers make their own of files.
    """
    answers: list[Answer] = []
    for request in requests:
        answers += await exchange(host, port, tagged(request, answers))
    return answers


def tagged(request: bytes, answers: Sequence[Answer]) -> bytes:
    """The request with the tag of the last answer."""
    tag = dict(answers[-1].headers).get("etag", "") if answers else ""
    return request.replace(b"{etag}", tag.encode())


def parse(raw: bytes, bodiless: bool = False) -> tuple[Answer, bytes]:
    """Read one answer, and what follows it; `bodiless` where it has no body whatever its headers say."""
    while raw.startswith(b"HTTP/1.1 100 "):
        raw = raw.partition(b"\r\n\r\n")[2]
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status, _, reason = first.partition(" ")[2].partition(" ")
    headers = sorted((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    named = dict(headers)
    cut, rest = False, b""
    if bodiless or status in ("204", "304"):
        body, rest = b"", body
    elif named.get("transfer-encoding") == "chunked":
        body, rest, cut = _joined(body)
    elif "content-length" in named:
        length = int(named["content-length"])
        cut = len(body) < length
        body, rest = body[:length], body[length:]
    kept = tuple((name, _masked(name, value)) for name, value in headers if name not in _NEVER_KEPT)
    kind = named.get("content-type", "")
    if (boundary := _BOUNDARY.search(kind)) is not None:
        body = body.replace(boundary[1].encode(), b"<boundary>")
    return Answer(int(status), reason, kept, _read(body, kind), cut), rest


def _joined(body: bytes) -> tuple[bytes, bytes, bool]:
    """The chunks of a body put together, what follows them, and whether the last one is missing."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        if count == 0:
            return whole, body.removeprefix(b"\r\n"), False
        whole, body = whole + body[:count], body[count + 2 :]
    return whole, b"", True


def _read(body: bytes, kind: str) -> Any:
    if kind.startswith("application/json"):
        try:
            value = json.loads(body)
            json.dumps(value, ensure_ascii=False).encode()
            return Json(_without_ids(value))
        except ValueError:
            pass  # Not JSON, or with a lone surrogate in it, which no file in UTF-8 can hold.
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _masked(name: str, value: str) -> str:
    """What differs from run to run is told by its kind only."""
    if name == "x-request-id":
        return _UUID.sub("<id>", value)
    if name == "x-rate-limit-reset":
        return f"<{len(value)} digits>" if value.isdigit() else value
    if name == "content-type":
        return _BOUNDARY.sub("boundary=<boundary>", value)
    if name == "retry-after":
        return re.sub("[0-9]+", "<seconds>", value)
    if name == "ratelimit":
        return re.sub("(?<=;t=)[0-9]+", "<seconds>", value)
    return value


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "<id>" if key == "requestID" else _without_ids(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_ids(one) for one in value]
    return value


def rendered(cases: Mapping[str, Iterable[Answer]]) -> str:
    """As JSON with one answer a line, so that differences can be read."""
    shown = [
        f" {_line(name)}: [\n" + ",\n".join(f"  {_line(answer.as_json())}" for answer in answers) + "\n ]"
        for name, answers in cases.items()
    ]
    return "{\n" + ",\n".join(shown) + "\n}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
