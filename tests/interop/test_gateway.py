"""moleculer-web on a Node.js node, in front of a Python service: its routes come from INFO."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .mesh import Mesh
from .peers import until
from .probe import Books

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(node: str, nats_url: str) -> AsyncIterator[int]:
    """Where the gateway listens, once it knows the service's routes."""
    async with Mesh(nats_url, node) as mesh:
        gateway = await mesh.add_node("0.15", services=[{"kind": "gateway", "name": "api"}])
        await mesh.add_python(services=[Books()])
        await mesh.meet()
        found: int = (await gateway.program.ask("port", name="api"))["value"]

        async def routed() -> bool:
            return 200 == (await request(found, "GET", "/books/1"))[0]

        await until(routed)
        yield found


async def request(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and decoded body."""
    return await asyncio.to_thread(_request, port, method, path, body)


def _request(port: int, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


async def test_a_get_with_a_path_parameter_reaches_python(port: int) -> None:
    assert (200, {"id": "5", "title": "Résumé"}) == await request(port, "GET", "/books/5")


async def test_a_post_with_a_body_reaches_python(port: int) -> None:
    assert (200, {"made": "Ü"}) == await request(port, "POST", "/books/", {"title": "Ü"})


async def test_an_error_of_python_is_the_http_status(port: int) -> None:
    status, body = await request(port, "DELETE", "/books/5")

    assert 418 == status
    assert ("TeapotError", "TEAPOT", {"spout": True}) == (body["name"], body["type"], body["data"])
