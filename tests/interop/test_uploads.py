"""Uploads and downloads through our gateway, to and from an action of a Node.js node."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tautomer import ApiGatewayService
from tests.web.door import ask
from tests.web.uploading import END, TYPE, Client, field, file

from .mesh import SHORT, Mesh

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

BODY = bytes(range(256)) * 2_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(node: str, nats_url: str, line: str) -> AsyncIterator[int]:
    """Of a gateway on a Python node; the streaming service is Node's."""
    id = SHORT[line]
    aliases = {
        "PUT /take/:id": f"stream:{id}-streams.take",
        "PUT /shout": f"stream:{id}-streams.shout",
        "PUT /ignore": f"stream:{id}-streams.ignore",
        "POST /files": f"multipart:{id}-streams.take",
        "GET /give": f"{id}-streams.give",
    }
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", "routes": [{"aliases": aliases}]})
    async with Mesh(nats_url, node) as mesh:
        await mesh.add_node(line, services=[{"kind": "streams", "name": id}])
        await mesh.add_python(services=[gateway])
        await mesh.meet()
        yield gateway.port


def content(body: bytes) -> dict[str, Any]:
    return {"bytes": len(body), "md5": hashlib.md5(body).hexdigest(), "error": None}


def seen(taken: dict[str, Any]) -> dict[str, Any]:
    return {key: taken[key] for key in ("bytes", "md5", "error")}


async def test_a_node_reads_a_body_as_a_stream(port: int, line: str) -> None:
    taken = (await ask(port, "PUT", "/take/7?q=1", body=BODY)).json

    assert content(BODY) == seen(taken)
    # 0.14 gets the stream in place of the params.
    assert (None if line == "0.14" else {"id": "7", "q": "1"}) == taken["params"]


async def test_a_node_reads_each_file_of_a_form(port: int, line: str) -> None:
    body = field("album", "x") + file(BODY, "a", "../one.bin") + file(b"two", "b") + END

    first, second = (await ask(port, "POST", "/files", body=body, headers={"Content-Type": TYPE})).json

    assert (content(BODY), content(b"two")) == (seen(first), seen(second))
    if line == "0.15":
        told = {"$fieldname": "a", "$filename": "one.bin", "$encoding": "7bit", "$mimetype": "text/css", "album": "x"}
        assert told == first["params"]


async def test_a_body_streams_through_a_node_and_back(port: int) -> None:
    answer = await ask(port, "PUT", "/shout", body=b"abc" * 10_000)

    assert b"".join(pieces(answer.body)) == b"ABC" * 10_000


async def test_a_nodes_stream_is_the_answer(port: int) -> None:
    answer = await ask(port, "GET", "/give?kind=texts")

    assert "äöü".encode() == b"".join(pieces(answer.body))


async def test_a_node_may_answer_without_reading(port: int) -> None:
    client = await Client.begin(port, "PUT /ignore", "Content-Length: 600000")
    await client.send(b"abc")

    assert "answered" == (await client.answer()).json
    await client.close()


def pieces(body: bytes) -> list[bytes]:
    """Of a chunked body."""
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return found
