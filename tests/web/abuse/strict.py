"""Replies read by two strict readers, which must agree: one by the grammar of RFC 9112, and llhttp."""

from __future__ import annotations

import re

import httptools

from tests.web.http.wire import Answer

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([\t\x20-\x7e]*)\r\n")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ((?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?)[\t ]*\r\n"
)
_CHUNK_LINE = re.compile(rb"([0-9a-f]+)\r\n")
_SINGLE = frozenset({"connection", "content-length", "date", "transfer-encoding", "x-request-id"})
_BODILESS = (204, 205, 304)


def replies(data: bytes) -> list[Answer]:
    """All replies in these bytes; fails where there is anything but whole, well-formed ones."""
    found, at = [], 0
    while at < len(data):
        answer, at = _reply(data, at)
        found.append(answer)
    other = _Reader()
    other.parser.feed_data(data)
    assert [(answer.status, answer.body) for answer in found] == other.found
    return found


def _reply(data: bytes, at: int) -> tuple[Answer, int]:
    first = _STATUS_LINE.match(data, at)
    assert first is not None, data[at : at + 200]
    answer = Answer(int(first[1]), first[2].decode(), "HTTP/1.1")
    at = first.end()
    while data[at : at + 2] != b"\r\n":
        line = _HEADER_LINE.match(data, at)
        assert line is not None, data[at : at + 200]
        name = line[1].decode().lower()
        assert name not in answer.headers or name not in _SINGLE, data[:at]
        answer.headers[name] = line[2].decode()
        at = line.end()
    at += 2
    assert "date" in answer.headers
    if "transfer-encoding" in answer.headers:
        assert "chunked" == answer.headers["transfer-encoding"]
        assert "content-length" not in answer.headers
        while True:
            chunk = _CHUNK_LINE.match(data, at)
            assert chunk is not None, data[at : at + 200]
            at = chunk.end() + int(chunk[1], 16)
            answer.body += data[chunk.end() : at]
            assert b"\r\n" == data[at : at + 2]
            at += 2
            if chunk[1] == b"0":
                return answer, at
    if answer.status in _BODILESS:
        assert answer.headers.get("content-length", "0") == "0"
        return answer, at
    length = int(answer.headers["content-length"])
    answer.body = data[at : at + length]
    assert length == len(answer.body)
    return answer, at + length


class _Reader:
    """What llhttp finds."""

    def __init__(self) -> None:
        self.found: list[tuple[int, bytes]] = []
        self.parser = httptools.HttpResponseParser(self)
        self._body = b""

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_status_code(), self._body))
