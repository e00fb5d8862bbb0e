"""Files as bodies: opened and read in threads, whole or in the parts asked for.

Starlette's `FileResponse` is not used here: it pushes where a reply's body is pulled, so each download would
need a task and a queue beside its own; it answers a broken ``Range`` with 400 where ours is ignored, and knows no
conditional requests. What both would share is `os.stat` and a loop that reads.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import stat
from collections.abc import AsyncIterator
from email.utils import formatdate
from threading import Lock
from typing import BinaryIO, Final, NamedTuple
from urllib.parse import quote

from tautomer.errors import MoleculerClientError, NotFoundError
from tautomer.web.answers.conditional import header_of, if_changed
from tautomer.web.answers.file_reply import FileReply
from tautomer.web.answers.reply import BYTES_TYPE
from tautomer.web.exchange import Exchange
from tautomer.web.messages.entity_tag import is_strong_match, is_wanted
from tautomer.web.messages.message import Reply
from tautomer.web.messages.ranges import RangeNotSatisfiable, parse_ranges

__all__ = ["answer_file", "with_charset"]

CHUNK_BYTES: Final = 64 * 1024

_TEXT_TYPES: Final = frozenset({"application/json", "application/javascript"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Letters that every client reads in a quoted name.
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+.^_`~()@,;=\[\]{}-]")
_ATTR_CHARS: Final = "!#$&+-.^_`|~"  # RFC 8187


class _OpenFile(NamedTuple):
    file: BinaryIO
    size: int
    modified: str
    tag: str
    type: str


async def answer_file(reply: Reply, wanted: FileReply, declared: str | None, exchange: Exchange) -> Reply:
    """Make the file the body of the reply: whole, in parts, or not at all where the client has it (304).

    Args:
        declared: Content type that the action set, or None.

    Raises:
        NotFoundError: There is no such file, or none that may be read.
        MoleculerClientError: None of the parts asked for is in it (416), or the client wants another version of it (412).
    """
    found = await asyncio.to_thread(_open, wanted)
    body = FileBody(found.file)
    try:
        return _described(reply, wanted, declared, exchange, found, body)
    finally:
        if reply.body is not body:
            await body.aclose()


def _described(
    reply: Reply, wanted: FileReply, declared: str | None, exchange: Exchange, found: _OpenFile, body: FileBody
) -> Reply:
    request, headers = exchange.request, reply.headers
    media_type = wanted.type or declared or found.type
    headers.insert(0, ("Content-Type", media_type))
    for name, value in (("ETag", found.tag), ("Last-Modified", found.modified), ("Accept-Ranges", "bytes")):
        if header_of(reply, name.lower()) is None:
            headers.append((name, value))
    if wanted.filename is not None and header_of(reply, "content-disposition") is None:
        headers.append(("Content-Disposition", disposition(wanted.filename)))
    is_read = request.method in ("GET", "HEAD") and 200 <= reply.status <= 299
    if is_read and not is_wanted(request, header_of(reply, "etag"), header_of(reply, "last-modified")):
        raise MoleculerClientError("Precondition failed", 412, "PRECONDITION_FAILED")
    if if_changed(request, reply).status == 304:
        return reply

    asked = request.header("range")
    parts = None
    if asked is not None and reply.status == 200 and request.method == "GET":
        unless = request.header("if-range")
        if unless is None or is_strong_match(unless, header_of(reply, "etag") or "", found.modified):
            try:
                parts = parse_ranges(asked, found.size)
            except RangeNotSatisfiable:
                exchange.add_header("Content-Range", f"bytes */{found.size}")
                raise MoleculerClientError("Range not satisfiable", 416, "RANGE_NOT_SATISFIABLE") from None
    if parts is None:
        body.send([(b"", 0, found.size)])
    elif len(parts) == 1:
        reply.status = 206
        headers.append(("Content-Range", _content_range(parts[0], found.size)))
        body.send([(b"", *parts[0])])
    else:
        reply.status = 206
        _send_many(body, headers, parts, found, media_type, exchange.id)
    reply.body = body
    return reply


def _send_many(
    body: FileBody,
    headers: list[tuple[str, str]],
    parts: list[tuple[int, int]],
    found: _OpenFile,
    media_type: str,
    unique: str,
) -> None:
    """Several parts as ``multipart/byteranges`` (RFC 9110, section 14.6)."""
    # Of 80 random bits and a counter, so that no file holds it but by intent.
    boundary = unique.replace("-", "")
    headers[0] = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    pieces, before = [], f"--{boundary}"
    for part in parts:
        head = f"{before}\r\nContent-Type: {media_type}\r\nContent-Range: {_content_range(part, found.size)}\r\n\r\n"
        pieces.append((head.encode("utf-8"), *part))
        before = f"\r\n--{boundary}"
    body.send([*pieces, (f"{before}--\r\n".encode("ascii"), 0, 0)])


def _content_range(part: tuple[int, int], size: int) -> str:
    return f"bytes {part[0]}-{part[1] - 1}/{size}"


class FileBody(AsyncIterator[bytes]):
    """Parts of a file, each with a text before it, as the body of a reply.

    Attributes:
        length: Bytes of all, for ``Content-Length``.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # A thread may still read when the client has gone: its file must not become another one meanwhile.
        self._lock = Lock()
        self._over = False
        self._pieces: list[tuple[bytes, int, int]] = []
        self.length = 0

    def send(self, pieces: list[tuple[bytes, int, int]]) -> None:
        """What to send: a text, then the file from its first byte to the one after the last."""
        self._pieces = pieces
        self.length = sum(len(text) + end - begin for text, begin, end in pieces)

    async def __anext__(self) -> bytes:
        while self._pieces:
            text, begin, end = self._pieces[0]
            if text:
                self._pieces[0] = (b"", begin, end)
                return text
            if begin < end:
                chunk = await asyncio.to_thread(self._read, begin, min(CHUNK_BYTES, end - begin))
                if not chunk:
                    raise EOFError("the file has become shorter while it was sent")
                self._pieces[0] = (b"", begin + len(chunk), end)
                return chunk
            del self._pieces[0]
        raise StopAsyncIteration

    def _read(self, begin: int, count: int) -> bytes:
        try:
            with self._lock:
                self._file.seek(begin)
                return self._file.read(count)
        finally:
            if self._over:
                self._close()

    def _close(self) -> None:
        with self._lock:
            self._file.close()

    async def aclose(self) -> None:
        """Close the file, or have the thread do it that reads it. Twice is harmless.

        Nothing is waited for: who is cancelled while he waits for a thread would leave the file open.
        """
        self._over = True
        if not self._lock.locked():
            self._close()


def _open(wanted: FileReply) -> _OpenFile:
    """Open a file and look at it; in a thread, as a disk may be slow.

    Raises:
        NotFoundError: It is not there, is none, or must not be read.
    """
    path = wanted.path
    try:
        if wanted.root is not None:
            root = os.path.realpath(wanted.root)
            path = os.path.realpath(os.path.join(root, path))
            if os.path.commonpath([root, path]) != root:
                raise NotFoundError
        # What is no file, a pipe say, must not keep the thread waiting.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        raise NotFoundError from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotFoundError
    return _OpenFile(
        os.fdopen(descriptor, "rb", buffering=0),
        status.st_size,
        formatdate(int(status.st_mtime), usegmt=True),
        f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
        _type(wanted.filename or path),
    )


def _type(name: str) -> str:
    media_type, encoding = mimetypes.guess_type(name)
    if encoding == "gzip":
        return "application/gzip"
    if media_type is None or encoding is not None:
        return BYTES_TYPE
    return with_charset(media_type)


def with_charset(media_type: str) -> str:
    """The type of a file of text says so: texts are UTF-8 here."""
    is_text = media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith("+json")
    return f"{media_type}; charset=utf-8" if is_text and ";" not in media_type else media_type


def disposition(filename: str) -> str:
    """``Content-Disposition`` for a file to be saved (RFC 6266): a plain name, and the full one where they differ."""
    name = _CONTROL.sub("", re.split(r"[/\\]", filename)[-1]) or "unnamed"
    plain = _NOT_PLAIN.sub("_", name)
    told = f'attachment; filename="{plain}"'
    if plain == name:
        return told
    return f"{told}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS, errors='replace')}"
