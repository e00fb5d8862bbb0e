"""Aliases of type ``multipart``: a call for each file, as it arrives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.kernel.mesh import until
from tests.web.door import Answer, ask
from tests.web.uploading import END, TYPE, Client, Files, field, file, file_head, opened

ROUTE: dict[str, Any] = {
    "aliases": {
        "POST /take/:id": "multipart:files.take",
        "POST /one": {"action": "multipart:files.take", "busboyConfig": {"limits": {"files": 1}}},
        "POST /empty": {"action": "multipart:files.count", "busboyConfig": {"empty": True}},
        "POST /small": {"action": "multipart:files.take", "busboyConfig": {"limits": {"fileSize": 5}}},
        "POST /swallow": "multipart:files.swallow",
        "POST /ignore": "multipart:files.ignore",
        "POST /fail": "multipart:files.fail",
        "POST /shout": "multipart:files.shout",
        "POST /shout-one": {"action": "multipart:files.shout", "busboyConfig": {"limits": {"files": 1}}},
        "POST /missing": "multipart:nobody.home",
    }
}


@pytest.fixture(params=["here", "there"])
async def files(request: pytest.FixtureRequest) -> AsyncIterator[tuple[int, Files]]:
    async with opened(request.param, ROUTE) as (gateway, service, _):
        yield gateway.port, service


async def send(port: int, target: str, body: bytes, **headers: str) -> Answer:
    return await ask(port, "POST", target, body=body, headers={"Content-Type": TYPE, **headers})


def told(name: str = "f", filename: str = "x.txt") -> dict[str, str]:
    return {"$fieldname": name, "$filename": filename, "$encoding": "7bit", "$mimetype": "text/css"}


async def test_the_action_is_called_for_each_file_with_the_fields_so_far(files: tuple[int, Files]) -> None:
    big = b"0123456789" * 50_000
    body = (
        field("a", "1")
        + field("id", "mine")
        + file(big)
        + field("a", "2")
        + field("$filename", "forged")
        + file(b"", "g", "../y.txt")
        + field("late", "x")
        + END
    )

    answer = await send(files[0], "/take/7?q=1&a=9", body)

    first, second = answer.json
    assert (len(big), hashlib.md5(big).hexdigest()) == (first["size"], first["md5"])
    assert {"a": "1", "id": "mine", "q": "1", **told()} == first["params"]
    assert 0 == second["size"]
    assert {"a": "2", "id": "mine", "q": "1", **told("g", "y.txt")} == second["params"]


async def test_where_one_file_is_all_that_may_come_its_result_is_the_answer(files: tuple[int, Files]) -> None:
    answer = await send(files[0], "/one", file(b"abc") + END)
    two = await send(files[0], "/one", file(b"abc") + file(b"def") + END)

    assert 3 == answer.json["size"]
    assert (413, "PAYLOAD_TOO_LARGE") == (two.status, two.type)


async def test_without_a_file_there_is_nothing_to_do_unless_that_was_allowed(files: tuple[int, Files]) -> None:
    port, service = files

    missing = await send(port, "/take/1", field("a", "1") + END)
    assert (400, "INVALID_BODY", "File missing in the request") == (
        missing.status,
        missing.type,
        missing.json["message"],
    )
    assert 0 == service.calls
    assert [] == (await send(port, "/empty", END)).json
    fields_only = await send(port, "/empty?q=1", field("a", "1") + END)
    assert [{"params": {"a": "1", "q": "1"}, "stream": False}] == fields_only.json


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/json"}, b"{}"),
        ({"Content-Type": ""}, file(b"x") + END),
        ({"Content-Type": "multipart/form-data"}, file(b"x") + END),
        ({}, file(b"x")),
        ({}, file(b"x")[:-8]),
        ({}, b""),
    ],
    ids=["json", "no type", "no boundary", "no end", "cut", "no body"],
)
async def test_what_is_no_whole_form_is_400(files: tuple[int, Files], headers: dict[str, str], body: bytes) -> None:
    answer = await send(files[0], "/take/1", body, **headers)

    assert (400, "INVALID_BODY") == (answer.status, answer.type)


async def test_a_packed_form_is_415(files: tuple[int, Files]) -> None:
    answer = await send(files[0], "/take/1", b"x", **{"Content-Encoding": "gzip"})

    assert (415, "UNSUPPORTED_ENCODING") == (answer.status, answer.type)


@pytest.mark.parametrize("alias", ["take/1", "swallow"])
async def test_a_form_that_is_cut_breaks_the_stream_whatever_the_action_makes_of_it(
    files: tuple[int, Files], alias: str
) -> None:
    answer = await send(files[0], f"/{alias}", file_head() + b"abc")

    assert (400, "INVALID_BODY") == (answer.status, answer.type)


async def test_a_file_over_its_limit_is_413_and_told(files: tuple[int, Files]) -> None:
    port, service = files
    client = await Client.begin(port, "POST /small", f"Content-Type: {TYPE}", "Content-Length: 100000")
    await client.send(file_head("photo", "a.png"), b"123456")

    answer = await client.answer()

    assert (413, "PAYLOAD_TOO_LARGE", "close") == (answer.status, answer.type, answer.header("connection"))
    part = {"fieldname": "photo", "filename": "a.png", "encoding": "7bit", "mimetype": "text/css"}
    assert part == answer.json["data"]
    await until(lambda: len(service.ended) == service.calls)
    assert "whole" not in service.ended
    await client.close()


async def test_what_an_action_does_not_read_of_a_file_is_skipped(files: tuple[int, Files]) -> None:
    port, service = files

    answer = await send(port, "/ignore", file(b"x" * 500_000) + field("a", "1") + file(b"y") + END)

    assert (["ignored", "ignored"], 2) == (answer.json, service.calls)


async def test_a_call_that_fails_is_the_answer_and_no_other_is_made(files: tuple[int, Files]) -> None:
    port, service = files

    answer = await send(port, "/fail", file(b"x") + file(b"y") + END)

    assert (409, "NO_ROOM", 1) == (answer.status, answer.type, service.calls)


async def test_a_file_is_read_while_it_arrives_and_the_connection_serves_on(files: tuple[int, Files]) -> None:
    port, service = files
    body = file(b"abcdef") + END
    client = await Client.begin(port, "POST /take/1", f"Content-Type: {TYPE}", f"Content-Length: {len(body)}")
    at = body.index(b"def")
    await client.send(body[:at])
    await until(lambda: service.got == 3)
    await client.send(body[at:-4])
    await client.send(body[-4:])

    assert [6] == [one["size"] for one in (await client.answer()).json]
    client.writer.write(b"PUT /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    assert 404 == (await client.answer()).status
    await client.close()


async def test_a_client_that_leaves_midway_breaks_the_stream_and_ends_the_call(files: tuple[int, Files]) -> None:
    port, service = files
    client = await Client.begin(port, "POST /take/1", f"Content-Type: {TYPE}", "Content-Length: 100000")
    await client.send(file_head(), b"abc")
    await until(lambda: service.got == 3)

    await client.close()

    await until(lambda: bool(service.ended))
    assert service.ended[0] in ("cancelled", "STREAM_ABORTED", "STREAM_CLOSED")


async def test_a_missing_service_is_known_before_the_body_is_asked_for(files: tuple[int, Files]) -> None:
    expecting = [f"Content-Type: {TYPE}", "Content-Length: 100000", "Expect: 100-continue"]
    client = await Client.begin(files[0], "POST /missing", *expecting)

    assert 503 == (await client.answer()).status
    await client.close()


async def test_an_answer_that_streams_is_for_one_file_only(files: tuple[int, Files]) -> None:
    port, _ = files

    one = await send(port, "/shout-one", file(b"abc") + END)
    many = await send(port, "/shout", file(b"abc") + END)

    assert (200, b"3\r\nABC\r\n0\r\n\r\n") == (one.status, one.body)
    assert (501, "STREAM_OF_OBJECTS") == (many.status, many.type)


async def test_params_that_are_not_merged_stand_beside_the_fields() -> None:
    async with opened("here", {**ROUTE, "mergeParams": False}) as (gateway, _, _):
        answer = await send(gateway.port, "/take/7?q=1", field("a", "1") + file(b"x") + END)

        expected = {"query": {"q": "1"}, "params": {"id": "7"}, "a": "1", **told()}
        assert expected == answer.json[0]["params"]


async def test_many_files_are_one_call_each(files: tuple[int, Files]) -> None:
    answer = await send(files[0], "/take/1", b"".join(file(b"x" * n) for n in range(50)) + END)
    too_many = await send(files[0], "/take/1", file(b"x") * 101 + END)

    assert list(range(50)) == [one["size"] for one in answer.json]
    assert (413, "PAYLOAD_TOO_LARGE") == (too_many.status, too_many.type)
