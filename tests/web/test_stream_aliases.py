"""Aliases of type ``stream``: the body is the stream of the call."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer.errors import MoleculerClientError, ServiceSchemaError
from tautomer.web.settings.loading import read_settings
from tests.kernel.mesh import until
from tests.web.door import ask, parse
from tests.web.uploading import Client, Files, opened

ROUTE: dict[str, Any] = {
    "aliases": {
        "PUT /take/:id": "stream:files.take",
        "PUT /swallow": "stream:files.swallow",
        "PUT /ignore": {"action": "files.ignore", "type": "stream"},
        "PUT /fail": "stream:files.fail",
        "PUT /shout": "stream:files.shout",
        "PUT /small": {"action": "stream:files.take", "busboyConfig": {"limits": {"fileSize": 5}}},
        "PUT /missing": "stream:nobody.home",
    },
    "busboyConfig": {"limits": {"fileSize": "1mb"}},
}


@pytest.fixture(params=["here", "there"])
async def files(request: pytest.FixtureRequest) -> AsyncIterator[tuple[int, Files]]:
    async with opened(request.param, ROUTE) as (gateway, service, _):
        yield gateway.port, service


async def test_the_action_reads_the_body_and_gets_query_and_path_as_params(files: tuple[int, Files]) -> None:
    body = bytes(range(256)) * 2_000

    answer = await ask(files[0], "PUT", "/take/7?id=8&q=1", body=body, headers={"Content-Type": "application/json"})

    expected = {"size": len(body), "md5": hashlib.md5(body).hexdigest(), "params": {"id": "7", "q": "1"}, "user": None}
    assert expected == answer.json


async def test_a_request_without_a_body_is_an_empty_stream(files: tuple[int, Files]) -> None:
    answer = await ask(files[0], "PUT", "/take/7")

    assert (200, 0) == (answer.status, answer.json["size"])


async def test_the_action_begins_before_the_body_is_there(files: tuple[int, Files]) -> None:
    port, service = files
    client = await Client.begin(port, "PUT /take/1", "Content-Length: 6")
    await client.send(b"abc")
    await until(lambda: service.got == 3)
    await client.send(b"def")

    assert 6 == (await client.answer()).json["size"]
    client.writer.write(b"PUT /take/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    assert {"id": "2"} == (await client.answer()).json["params"]
    await client.close()


async def test_a_client_that_leaves_midway_breaks_the_stream_and_ends_the_call(files: tuple[int, Files]) -> None:
    port, service = files
    client = await Client.begin(port, "PUT /take/1", "Content-Length: 6")
    await client.send(b"abc")
    await until(lambda: service.got == 3)

    await client.close()

    await until(lambda: bool(service.ended))
    assert service.ended[0] in ("cancelled", "STREAM_ABORTED", "STREAM_CLOSED")


@pytest.mark.parametrize("alias", ["take/1", "swallow"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [(b"100001\r\n", 413, "PAYLOAD_TOO_LARGE"), (b"3\r\nabcdef", 400, "BAD_REQUEST")],
)
async def test_a_body_that_breaks_is_the_answer_whatever_the_action_makes_of_it(
    files: tuple[int, Files], alias: str, body: bytes, status: int, kind: str
) -> None:
    client = await Client.begin(files[0], f"PUT /{alias}", "Transfer-Encoding: chunked")
    await client.send(b"3\r\nabc\r\n", body)

    answer = await client.answer()

    assert (status, kind, "close") == (answer.status, answer.type, answer.header("connection"))
    await client.close()


async def test_a_declared_length_over_the_limit_is_refused_before_the_action_runs(files: tuple[int, Files]) -> None:
    port, service = files
    client = await Client.begin(port, "PUT /small", "Content-Length: 6")

    answer = await client.answer()

    assert (413, "PAYLOAD_TOO_LARGE", 0) == (answer.status, answer.type, service.calls)
    await client.close()


async def test_an_action_may_answer_without_reading(files: tuple[int, Files]) -> None:
    client = await Client.begin(files[0], "PUT /ignore", "Content-Length: 60000")
    await client.send(b"abc")

    answer = await client.answer()

    assert ("ignored", "close") == (answer.json, answer.header("connection"))
    await client.close()


async def test_what_the_action_raises_midway_is_the_answer(files: tuple[int, Files]) -> None:
    client = await Client.begin(files[0], "PUT /fail", "Content-Length: 60000")
    await client.send(b"abc")

    answer = await client.answer()

    assert (409, "NO_ROOM", "close") == (answer.status, answer.type, answer.header("connection"))
    await client.close()


async def test_a_body_may_stream_through_the_action_and_back(files: tuple[int, Files]) -> None:
    client = await Client.begin(files[0], "PUT /shout", "Content-Length: 6")
    await client.send(b"abc")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert (200, "chunked") == (parse(head).status, parse(head).header("transfer-encoding"))
    assert b"3\r\nABC\r\n" == await client.reader.readexactly(8)
    await client.send(b"def")

    assert b"3\r\nDEF\r\n0\r\n\r\n" == await client.rest()
    await client.close()


async def test_a_missing_service_is_known_before_the_body_is_asked_for(files: tuple[int, Files]) -> None:
    client = await Client.begin(files[0], "PUT /missing", "Content-Length: 60000", "Expect: 100-continue")

    answer = await client.answer()

    assert (503, "close") == (answer.status, answer.header("connection"))
    await client.close()


async def test_guards_run_before_the_body_is_asked_for() -> None:
    async def before(ctx: Any, route: Any, request: Any) -> None:
        if request.header("x-token") is None:
            raise MoleculerClientError("who are you", 401, "NO_TOKEN")

    async with opened("here", {**ROUTE, "onBeforeCall": before}) as (gateway, service, _):
        expecting = ["Content-Length: 3", "Expect: 100-continue"]
        refused = await Client.begin(gateway.port, "PUT /take/1", *expecting)
        let_in = await Client.begin(gateway.port, "PUT /take/1", *expecting, "X-Token: x")

        assert (401, 0) == ((await refused.answer()).status, service.calls)
        assert 100 == (await let_in.answer()).status
        await let_in.send(b"abc")
        assert 3 == (await let_in.answer()).json["size"]
        await refused.close()
        await let_in.close()


async def test_an_upload_that_is_forbidden_looks_as_if_it_led_nowhere() -> None:
    async with opened("here", {**ROUTE, "whitelist": ["other.*"]}) as (gateway, service, _):
        client = await Client.begin(gateway.port, "PUT /take/1", "Content-Length: 6", "Expect: 100-continue")

        assert (404, 0) == ((await client.answer()).status, service.calls)
        await client.close()


async def test_params_that_are_not_merged_stand_side_by_side() -> None:
    async with opened("here", {**ROUTE, "mergeParams": False}) as (gateway, _, _):
        answer = await ask(gateway.port, "PUT", "/take/7?q=1", body=b"x")

        assert {"query": {"q": "1"}, "params": {"id": "7"}} == answer.json["params"]


async def test_the_time_of_an_upload_is_the_routes_or_that_of_the_body_and_the_call() -> None:
    route = {**ROUTE, "callOptions": {"timeout": 0.1}}
    async with opened("there", {"path": "/short", **route}, {"path": "/long", **ROUTE}, limits={"request_time": 0}) as (
        gateway,
        *_,
    ):
        short = await Client.begin(gateway.port, "PUT /short/take/1", "Content-Length: 6")
        await short.send(b"abc")
        assert 504 == (await short.answer()).status
        long = await Client.begin(gateway.port, "PUT /long/take/1", "Content-Length: 6")
        await long.send(b"abc")
        await long.send(b"def")
        assert 200 == (await long.answer()).status
        await short.close()
        await long.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limits": {"fileSize": "huge"}}, "busboyConfig.limits.fileSize is a number of bytes"),
        ({"limits": {"filesize": 1}}, "did you mean 'file_size'"),
        ({"limits": {"headerPairs": 10}}, "use 'headerSize'"),
        ({"preservePath": True}, "a path from a stranger is no file name"),
        ({"onFileSizeLimit": len}, "answered with 413"),
        ({"isPartAFile": len}, "is a file"),
        ({"empty": "yes"}, "busboyConfig.empty is true or false"),
    ],
)
@pytest.mark.parametrize("place", ["route", "alias"])
def test_settings_of_uploads_that_are_wrong_stop_the_start(given: Any, told: str, place: str) -> None:
    alias = {"action": "stream:a.b", **({"busboyConfig": given} if place == "alias" else {})}
    route = {"aliases": {"PUT /x": alias}, **({"busboyConfig": given} if place == "route" else {})}

    with pytest.raises(ServiceSchemaError) as raised:
        read_settings({"routes": [route]}, {})

    assert 1 == len(raised.value.data["faults"])
    assert told in raised.value.message


def test_an_aliass_settings_stand_over_its_routes() -> None:
    route = {
        "aliases": {"PUT /x": {"action": "stream:a.b", "busboyConfig": {"limits": {"files": 1}}}},
        "busboyConfig": {"limits": {"files": 2, "fileSize": 7}, "empty": True, "preservePath": False},
    }

    read = read_settings({"routes": [route]}, {})[0].routes[0]

    assert (2, 7, True) == (read.uploads.files_max, read.uploads.file_bytes_max, read.uploads.empty)
    own = read.aliases[0].uploads
    assert own is not None
    assert (1, 7, True) == (own.files_max, own.file_bytes_max, own.empty)
