"""Files as results."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import Context, Service, action
from tautomer.web import FileReply, Request
from tautomer.web.answers.files import CHUNK_BYTES, disposition
from tests.cluster import Cluster
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor
from tests.web.door import Door, ask, gateway

TEXT = b"0123456789abcdefghij"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * (10 * CHUNK_BYTES // 256))
    (tmp_path / "below").mkdir()
    return tmp_path


async def opened(door: OpenDoor, folder: Path, meta: Mapping[str, Any] | None = None, **options: Any) -> Door:
    class Files(Service):
        name = "files"

        @action
        def get(self, ctx: Context) -> FileReply:
            ctx.meta.update(meta or {})
            return FileReply(folder / ctx.params["name"], **options)

        @action
        def below(self, ctx: Context) -> FileReply:
            return FileReply(ctx.params["name"], root=folder / "below")

    return await door(Files, routes=[{"aliases": {"/f/:name": "files.get", "/below": "files.below"}}])


async def test_a_whole_file(door: OpenDoor, folder: Path) -> None:
    at = await opened(door, folder)

    for _ in range(2):  # The second is the quick way.
        answer = await at.get("/f/a.txt")
        assert (200, TEXT, str(len(TEXT))) == (answer.status, answer.body, answer.header("Content-Length"))
        assert ("text/plain; charset=utf-8", "bytes") == (answer.header("Content-Type"), answer.header("Accept-Ranges"))
        assert answer.header("ETag").startswith('"')
        assert answer.header("Last-Modified").endswith("GMT")
        assert answer.header("Content-Disposition") is None


@pytest.mark.parametrize("name", ["big.bin", "empty"])
async def test_large_and_empty_files(door: OpenDoor, folder: Path, name: str) -> None:
    at = await opened(door, folder)

    answer = await at.get(f"/f/{name}")

    expected = (folder / name).read_bytes()
    assert (200, str(len(expected)), True) == (answer.status, answer.header("Content-Length"), expected == answer.body)


async def test_the_head_of_a_file(door: OpenDoor, folder: Path) -> None:
    at = await opened(door, folder)

    answer = await at.ask("HEAD", "/f/a.txt", headers={"Range": "bytes=0-1"})

    assert (200, b"", str(len(TEXT))) == (answer.status, answer.body, answer.header("Content-Length"))


async def test_a_function_as_alias_may_give_a_file(door: OpenDoor, folder: Path) -> None:
    def give(_request: Request) -> FileReply:
        return FileReply(folder / "a.txt", filename="ä.txt", type="text/csv")

    at = await door(routes=[{"aliases": {"GET /x": give}}])

    answer = await at.get("/x")

    assert ("text/csv", TEXT) == (answer.header("Content-Type"), answer.body)
    assert "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A4.txt" == answer.header("Content-Disposition")


@pytest.mark.parametrize("name", ["missing", "below", "a.txt%2e", "%c3%a4", "pipe"])
async def test_what_is_no_file_is_not_found(door: OpenDoor, folder: Path, name: str) -> None:
    os.mkfifo(folder / "pipe")
    at = await opened(door, folder)
    nowhere = await at.get("/nowhere")

    answer = await at.get(f"/f/{name}")

    assert (404, nowhere.body) == (answer.status, answer.body)


@pytest.mark.parametrize(
    "name", ["../a.txt", "/etc/passwd", "", ".", "..", "x/../../a.txt", "link", "in/../../a.txt", "a\x00b", "a" * 5000]
)
async def test_a_root_keeps_a_name_in(door: OpenDoor, folder: Path, name: str) -> None:
    (folder / "below" / "link").symlink_to(folder / "a.txt")
    (folder / "below" / "in").mkdir()
    at = await opened(door, folder)

    answer = await at.send("POST", "/below", {"name": name})

    assert (404, "NOT_FOUND") == (answer.status, answer.type)


async def test_a_name_below_the_root_is_found(door: OpenDoor, folder: Path) -> None:
    (folder / "below" / "b.json").write_bytes(b"{}")
    at = await opened(door, folder)

    answer = await at.send("POST", "/below", {"name": "./x/../b.json"})

    assert (200, "application/json; charset=utf-8", b"{}") == (
        answer.status,
        answer.header("Content-Type"),
        answer.body,
    )


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("bytes=2-5", b"2345", "bytes 2-5/20"),
        ("bytes=-3", b"hij", "bytes 17-19/20"),
        ("bytes=18-99", b"ij", "bytes 18-19/20"),
    ],
)
async def test_a_part(door: OpenDoor, folder: Path, asked: str, body: bytes, told: str) -> None:
    at = await opened(door, folder)

    answer = await at.get("/f/a.txt", Range=asked)

    assert (206, body, told) == (answer.status, answer.body, answer.header("Content-Range"))
    assert (str(len(body)), "text/plain; charset=utf-8") == tuple(
        map(answer.header, ("Content-Length", "Content-Type"))
    )


async def test_several_parts(door: OpenDoor, folder: Path) -> None:
    at = await opened(door, folder)

    answer = await at.get("/f/a.txt", Range="bytes=15-,0-2")

    kind, _, boundary = answer.header("Content-Type").partition("; boundary=")
    assert (206, "multipart/byteranges", str(len(answer.body))) == (
        answer.status,
        kind,
        answer.header("Content-Length"),
    )
    part = "--{}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {}/20\r\n\r\n{}\r\n".format
    assert (
        part(boundary, "0-2", "012") + part(boundary, "15-19", "fghij") + f"--{boundary}--\r\n" == answer.body.decode()
    )


@pytest.mark.parametrize("asked", ["bytes=20-", "bytes=0-0,1-1,2-2,3-3,4-4,5-5"])
async def test_parts_that_cannot_be_had(door: OpenDoor, folder: Path, asked: str) -> None:
    at = await opened(door, folder)

    for _ in range(2):
        answer = await at.get("/f/a.txt", Range=asked)
        assert (416, "RANGE_NOT_SATISFIABLE", "bytes */20") == (
            answer.status,
            answer.type,
            answer.header("Content-Range"),
        )


@pytest.mark.parametrize("asked", ["bytes=x", "lines=1-2", "bytes=3-1"])
async def test_a_broken_range_is_ignored(door: OpenDoor, folder: Path, asked: str) -> None:
    at = await opened(door, folder)

    answer = await at.get("/f/a.txt", Range=asked)

    assert (200, TEXT) == (answer.status, answer.body)


async def test_a_part_of_what_the_client_has_already_or_else_the_whole(door: OpenDoor, folder: Path) -> None:
    at = await opened(door, folder)
    first = await at.get("/f/a.txt")
    tag, date = first.header("ETag"), first.header("Last-Modified")

    same = [await at.get("/f/a.txt", Range="bytes=0-1", **{"If-Range": known}) for known in (tag, date)]
    others = ('"other"', f"W/{tag}", "Sat, 01 Jan 2000 00:00:00 GMT", "x")
    other = [await at.get("/f/a.txt", Range="bytes=0-1", **{"If-Range": known}) for known in others]

    assert [(206, b"01")] * 2 == [(answer.status, answer.body) for answer in same]
    assert [(200, TEXT)] * 4 == [(answer.status, answer.body) for answer in other]


async def test_a_file_that_the_client_has_is_not_sent_again(door: OpenDoor, folder: Path) -> None:
    at = await opened(door, folder, filename="a.txt")
    first = await at.get("/f/a.txt")
    tag, date = first.header("ETag"), first.header("Last-Modified")

    for known in ({"If-None-Match": tag}, {"If-None-Match": f"W/{tag}"}, {"If-Modified-Since": date}):
        answer = await at.get("/f/a.txt", Range="bytes=0-1", **known)
        assert (304, b"", tag) == (answer.status, answer.body, answer.header("ETag"))
        assert [] == [name for name, _ in answer.headers if name.startswith("content-")]

    (folder / "a.txt").write_bytes(b"changed")
    assert 200 == (await at.get("/f/a.txt", **{"If-None-Match": tag})).status


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_another_version_than_the_client_wants_is_not_sent(door: OpenDoor, folder: Path, method: str) -> None:
    at = await opened(door, folder)
    first = await at.get("/f/a.txt")

    for known in ({"If-Match": '"other"'}, {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}):
        refused = await at.ask(method, "/f/a.txt", headers=known)
        # After any other method the action has done its work: saying that it did not would be wrong.
        assert (200 if method == "POST" else 412) == refused.status
        assert method != "GET" or refused.type == "PRECONDITION_FAILED"
    for known in ({"If-Match": str(first.header("ETag"))}, {"If-Unmodified-Since": str(first.header("Last-Modified"))}):
        assert 200 == (await at.ask(method, "/f/a.txt", headers=known)).status


async def test_what_the_action_sets_stands(door: OpenDoor, folder: Path) -> None:
    headers = {"ETag": '"v1"', "Cache-Control": "private", "Content-Disposition": "inline"}
    meta = {"$statusCode": 404, "$responseType": "text/html", "$responseHeaders": headers}
    at = await opened(door, folder, meta, filename="x")

    answer = await at.get("/f/a.txt", Range="bytes=0-1", **{"If-None-Match": '"v1"'})

    assert (404, "text/html", TEXT) == (answer.status, answer.header("Content-Type"), answer.body)
    assert ['"v1"', "private", "inline"] == [answer.header(name) for name in headers]
    assert 1 == sum(name == "etag" for name, _ in answer.headers)


async def test_a_file_that_becomes_shorter_cuts_the_connection(door: OpenDoor, folder: Path) -> None:
    big = folder / "big.bin"
    with big.open("r+b") as file:
        file.truncate(50 * 1024 * 1024)
    at = await opened(door, folder)
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port, limit=1024)
    writer.write(b"GET /f/big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")

    os.truncate(big, 1024)
    body = b""
    try:
        while data := await reader.read(65536):
            body += data
    except ConnectionResetError:
        pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()

    assert b"Content-Length: 52428800" in head
    assert len(body) < 50 * 1024 * 1024


async def test_a_client_that_leaves_has_the_file_closed(door: OpenDoor, folder: Path) -> None:
    with (folder / "big.bin").open("r+b") as file:
        file.truncate(200 * 1024 * 1024)
    at = await opened(door, folder)
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"GET /f/big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert open_files(folder) == 1

    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()

    await until(lambda: open_files(folder) == 0)


def open_files(folder: Path) -> int:
    """How many files below a folder this process has open."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder))
        except OSError:
            pass
    return found


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"b\\c.txt', 'attachment; filename="c.txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("a\r\nX-Evil: 1", "attachment; filename=\"aX-Evil_ 1\"; filename*=UTF-8''aX-Evil%3A%201"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("naïve €.pdf", "attachment; filename=\"na_ve _.pdf\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.pdf"),
        ("/", 'attachment; filename="unnamed"'),
    ],
)
def test_names_to_save_under(name: str, told: str) -> None:
    assert told == disposition(name)


@given(st.text())
def test_any_name_is_one_clean_line(name: str) -> None:
    told = disposition(name)

    assert told.isascii()
    assert told.isprintable()
    assert 2 == told.count('"')


def test_a_path_has_no_json_form() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(FileReply("/etc/passwd"))


async def test_a_file_of_another_node_is_an_error_that_does_not_tell_its_path(folder: Path) -> None:
    class Far(Service):
        name = "far"

        @action
        def get(self, ctx: Context) -> FileReply:
            return FileReply(folder / "a.txt")

    cluster = Cluster()
    await cluster.node("b", Far)
    made = gateway({"aliases": {"/x": "far.get"}})
    await cluster.node("a", made)

    answer = await ask(made.port, "GET", "/x")
    await cluster.stop()

    assert 500 == answer.status
    assert str(folder).encode() not in answer.body
