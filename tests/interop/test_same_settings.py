"""One settings dict, given to moleculer-web and to us: the same requests are answered alike."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tautomer import ApiGatewayService
from tautomer.context import Context
from tautomer.decorators import action
from tautomer.service import Service

from .mesh import Mesh
from .peers import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SETTINGS: dict[str, Any] = {
    "path": "/api",
    "routes": [
        {
            "path": "/a",
            "aliases": {
                "GET users": "things.list",
                "GET users/me": "things.list",
                "GET users/:id": "things.get",
                "POST   /users/": "things.create",
                "any": "things.list",
                "REST items": "things",
                "REST owners/:owner/items": {"action": "things", "only": ["list", "get"]},
                "REST few": {"action": "things", "except": ["remove"]},
                "GET opt{/:name}": "things.get",
                "GET files/*rest": "things.list",
                "GET r/:from-:to": "things.get",
                "GET f/:name.:ext": "things.get",
                "GET over": {"action": "things.get", "fullPath": "/over/there"},
                "GET written": {"action": "things.get", "method": "PUT", "path": "/other"},
                "GET typed": "call:things.get",
                "GET gone": "nobody.there",
                "GET inside": "things.inside",
                "GET black": "things.black",
                "GET unlisted": "$node.health",
            },
            "whitelist": ["things.*", "nobody.*"],
            "blacklist": ["things.black"],
            "bodyParsers": {"json": True},
        },
        {
            "path": "/d",
            "mappingPolicy": "all",
            "camelCaseNames": True,
            "whitelist": ["things.get", "things.listAll"],
        },
        {"path": "/internal", "mappingPolicy": "all", "whitelist": ["$node.actions", "v2.**"]},
        {"path": "/m", "mergeParams": False, "aliases": {"POST x/:id": "things.get"}, "bodyParsers": {"json": True}},
        {"path": "/s", "pathToRegexpOptions": {"sensitive": True}, "aliases": {"GET Users": "things.list"}},
        {"path": "/same", "name": "one", "aliases": {"GET x": "things.list"}},
        {"path": "/same", "name": "two", "aliases": {"GET y": "things.get"}},
        {"path": "/auto", "autoAliases": True, "whitelist": ["things.*"]},
    ],
}


class Things(Service):
    """Says which of its actions was called, and with what."""

    name = "things"

    @action(rest="GET /noted/:id")
    def get(self, ctx: Context[Any]) -> Any:
        return ["get", ctx.params]

    @action
    def list(self, ctx: Context[Any]) -> Any:
        return ["list"]

    @action(name="listAll", rest={"method": "POST", "path": "/all", "fullPath": "/whole/path"})
    def list_all(self, ctx: Context[Any]) -> Any:
        return ["listAll"]

    @action
    def create(self, ctx: Context[Any]) -> Any:
        return ["create", ctx.params]

    @action
    def update(self, ctx: Context[Any]) -> Any:
        return ["update", ctx.params]

    @action
    def patch(self, ctx: Context[Any]) -> Any:
        return ["patch", ctx.params]

    @action
    def remove(self, ctx: Context[Any]) -> Any:
        return ["remove", ctx.params]

    @action(visibility="public")
    def inside(self, ctx: Context[Any]) -> Any:
        return "secret"

    @action
    def black(self, ctx: Context[Any]) -> Any:
        return "secret"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(node: str, nats_url: str) -> AsyncIterator[tuple[int, int]]:
    """Where moleculer-web listens, and where we do."""
    async with Mesh(nats_url, node) as mesh:
        theirs = await mesh.add_node("0.15", services=[{"kind": "gateway", "name": "api", "settings": SETTINGS}])
        ours = ApiGatewayService("gate", settings={**SETTINGS, "port": 0, "ip": "127.0.0.1"})
        await mesh.add_python(services=[Things(), ours])
        await mesh.meet()
        found: int = (await theirs.program.ask("port", name="api"))["value"]
        for port in (found, ours.port):

            async def routed(port: int = port) -> bool:
                return 200 == (await request(port, "GET", "/api/auto/things/noted/1"))[0]

            await until(routed)
        yield found, ours.port


async def request(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status, and the decoded body; of an error its type."""
    return await asyncio.to_thread(_request, port, method, path, body)


def _request(port: int, method: str, path: str, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        content = reply.read()
        told = json.loads(content) if content else None
        return reply.status, told if reply.status == 200 else told and told.get("type")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("GET /api/a/users", None),
        ("GET /api/a/users/", None),
        ("GET /API/A/Users", None),
        ("GET /api/a/users/me", None),
        ("GET /api/a/users/5", None),
        ("GET /api/a/users/AbC?x=1&y=2", None),
        ("GET /api/a/users/a%20b+c", None),
        ("GET /api/a/users/%2541", None),
        ("GET /api/a/users/%C3%A9?id=other", None),
        ("POST /api/a/users", {"name": "Ü"}),
        ("POST /api/a/users?name=b", {"name": "a", "deep": {"x": [1]}}),
        ("PATCH /api/a/any", None),
        ("GET /api/a/items", None),
        ("GET /api/a/items/5", None),
        ("POST /api/a/items", {"a": 1}),
        ("PUT /api/a/items/5", {"id": 6, "b": 1}),
        ("PATCH /api/a/items/5", {}),
        ("DELETE /api/a/items/5", None),
        ("GET /api/a/owners/7/items/5", None),
        ("GET /api/a/owners/7/items", None),
        ("DELETE /api/a/none", None),
        ("PATCH /api/a/few/1", None),
        ("GET /api/a/opt", None),
        ("GET /api/a/opt/x", None),
        ("GET /api/a/opt/x/y", None),
        ("GET /api/a/files/a/b.txt", None),
        ("GET /api/a/files", None),
        ("GET /api/a/r/1-2-3", None),
        ("GET /api/a/r/1", None),
        ("GET /api/a/f/a.b.c", None),
        ("GET /over/there?x=1", None),
        ("GET /api/a/over", None),
        ("PUT /api/a/other", None),
        ("GET /api/a/typed", None),
        ("GET /api/a/inside", None),
        ("GET /api/a/black", None),
        ("GET /api/a/unlisted", None),
        ("GET /api/d/things/get?x=1", None),
        ("DELETE /api/d/things.get", None),
        ("GET /api/d/things/list-all", None),
        ("GET /api/d/things/list_all", None),
        ("GET /api/d/things/remove", None),
        ("GET /api/d/nobody/there", None),
        ("GET /api/internal/~node/list", None),
        ("GET /api/internal/things/get", None),
        ("POST /api/m/x/5?q=1", {"a": 1}),
        ("POST /api/m/x/5", None),
        ("GET /api/s/Users", None),
        ("GET /api/s/users", None),
        ("GET /api/same/x", None),
        ("GET /api/same/y", None),
        ("GET /api/auto/things/noted/5", None),
        ("POST /whole/path", None),
        ("GET /api/nowhere", None),
        ("GET /", None),
    ],
)
async def test_the_same_settings_give_the_same_answers(ports: tuple[int, int], line: str, body: Any) -> None:
    theirs, ours = [await request(port, *line.split(), body) for port in ports]

    assert theirs == ours


@pytest.mark.parametrize(
    ("line", "theirs", "ours"),
    [
        # Nobody offers the action: ours has a type.
        ("GET /api/a/gone", 503, 503),
        # A path that has other methods.
        ("DELETE /api/a/few/1", 404, 405),
        ("HEAD /api/a/users", 404, 200),
        # What else can be read in two ways.
        ("GET /api/a/users/a%2Fb", 200, 400),
        ("GET /api/a/users/%00", 200, 400),
        # A rest of a path is one text, not a list; an empty segment is none.
        ("GET /api/a/files/a//b", 200, 404),
    ],
)
async def test_where_we_differ_it_is_on_purpose(ports: tuple[int, int], line: str, theirs: int, ours: int) -> None:
    assert [theirs, ours] == [(await request(port, *line.split()))[0] for port in ports]
