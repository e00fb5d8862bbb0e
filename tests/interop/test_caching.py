"""One Redis cache for Python and Node.js nodes of both lines; and the keys, asked anew of the real ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tautomer import Context, Service, action, event
from tests.cachers import vectors
from tests.servers import RedisServer

from .mesh import SHORT, Mesh, sees
from .peers import Peer, until

pytestmark = [pytest.mark.interop, pytest.mark.server, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


class Cached(Service):
    """Twin of node/cached.js."""

    name = "cached"

    def _where(self, ctx: Context) -> dict[str, Any]:
        return {"node": self.broker.id, "params": ctx.params, "none": None}

    @action(cache=True)
    async def all(self, ctx: Context) -> Any:
        return self._where(ctx)

    @action(cache={"keys": ["id"], "ttl": 30})
    async def get(self, ctx: Context) -> Any:
        return self._where(ctx)

    @action(cache={"keys": ["id"], "lock": True})
    async def locked(self, ctx: Context) -> Any:
        await asyncio.sleep(ctx.params["ms"] / 1000)
        return self._where(ctx)

    @action(cache={"keys": ["user.id", "list", "#tenant"]})
    async def nested(self, ctx: Context) -> Any:
        return self._where(ctx)

    @event("cache.clean.cached")
    async def clean(self, ctx: Context) -> None:
        await self.broker.cacher.clean(ctx.params["mask"])


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh_with_cache(node: str, nats_url: str, redis_url: str, line: str) -> AsyncIterator[Mesh]:
    """A Python node that makes the keys of this line, and a Node.js node, on one cache."""
    async with Mesh(nats_url, node) as mesh:
        cacher = {"type": "Redis", "options": {"redis": redis_url}}
        await mesh.add_node(line, services=[{"kind": "cached"}], broker={"cacher": cacher})
        ours = {"type": "Redis", "options": {"redis": redis_url, "keyFormat": line}}
        await mesh.add_python(services=[Cached()], cacher=ours)
        await mesh.meet()
        for peer in mesh.peers.values():
            await sees(peer, "cached.get", *mesh.peers)
        yield mesh


def sides(mesh: Mesh, line: str) -> list[tuple[Peer, Peer]]:
    python, node = mesh["py"], mesh[SHORT[line]]
    return [(python, node), (node, python)]


@pytest.mark.parametrize(
    ("name", "params", "meta"),
    [
        ("all", {"a": 1, "b": "text", "10": True, "c": None, "d": [1, "x", None], "e": 1.5}, {}),
        ("all", {}, {}),
        ("get", {"id": "5"}, {}),
        ("get", {"id": "日本語 😀"}, {}),
        ("get", {"other": 1}, {}),
        ("nested", {"user": {"id": 7}, "list": [1, [2]]}, {"tenant": "t-1"}),
    ],
)
async def test_what_one_kept_the_other_gives(
    mesh_with_cache: Mesh, line: str, name: str, params: dict[str, Any], meta: dict[str, Any]
) -> None:
    for number, (first, second) in enumerate(sides(mesh_with_cache, line)):
        # Another value for each direction, at the end, where it changes no order.
        asked = (
            {**params, "z": number}
            if name == "all"
            else {**params, **({"id": f"{params['id']}{number}"} if "id" in params else {})}
        )
        told = {**meta, "tenant": f"t-{number}"} if meta else meta
        if name == "get" and "id" not in params:
            await mesh_with_cache["py"].broker.cacher.clean("cached.get:undefined")
        made = await first.call(f"cached.{name}", asked, node_id=first.id, meta=told)
        again = await second.call(f"cached.{name}", asked, node_id=second.id, meta=told)

        assert {"node": first.id, "params": asked, "none": None} == made.value
        assert made.value == again.value


async def test_a_clean_at_one_is_a_clean_at_all(mesh_with_cache: Mesh, line: str) -> None:
    for number, (first, second) in enumerate(sides(mesh_with_cache, line)):
        params = {"id": 100 + number}
        await first.call("cached.get", params, node_id=first.id)
        # Of this test's own only: the other node's clean may come when the next test has begun.
        await second.tell("broadcast", "cache.clean.cached", {"mask": f"cached.get:*{100 + number}*"})

        async def is_made_anew(second: Peer = second, params: dict[str, Any] = params) -> bool:
            answer = await second.call("cached.get", params, node_id=second.id)
            return bool(answer.value["node"] == second.id)

        await until(is_made_anew)


async def test_what_one_cleans_the_other_has_no_more(mesh_with_cache: Mesh, line: str) -> None:
    """The clean runs at one only: what it deletes are the keys that the other has written, too."""
    for number, (cleaner, other) in enumerate(sides(mesh_with_cache, line)):
        kept, cleaned = {"id": f"kept-{number}"}, {"id": f"cleaned-{number}"}
        for params in (kept, cleaned):
            await other.call("cached.get", params, node_id=other.id)
            found = await cleaner.call("cached.get", params, node_id=cleaner.id)
            assert other.id == found.value["node"]

        await cleaner.tell("broadcast_local", "cache.clean.cached", {"mask": "cached.get:*cleaned-*"})
        both = [(await cleaner.call("cached.get", params, node_id=cleaner.id)).value for params in (kept, cleaned)]

        assert [other.id, cleaner.id] == [one["node"] for one in both]
        # And what was made anew is what both have now.
        assert both[1] == (await other.call("cached.get", cleaned, node_id=other.id)).value


async def test_of_both_together_one_runs(mesh_with_cache: Mesh, line: str) -> None:
    """They share the lock: whoever comes first, the other waits for its result."""
    for number in range(6):
        calls = [
            peer.call("cached.locked", {"id": number, "ms": 50}, node_id=peer.id)
            for first, second in sides(mesh_with_cache, line)[number % 2 :][:1]
            for peer in (first, second, first, second)
        ]
        answers = await asyncio.gather(*calls)

        assert 1 == len({answer.value["node"] for answer in answers}), answers


async def test_entries_are_the_same_bytes(mesh_with_cache: Mesh, line: str, redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    stored = []
    for peer in mesh_with_cache.peers.values():
        await client.flushdb()
        await peer.call("cached.get", {"id": "a b"}, node_id=peer.id)
        (key,) = await client.keys()
        value = await client.get(key)
        stored.append((key, json.loads(value) | {"node": ""}, await client.ttl(key) in (29, 30)))
    await client.aclose()

    assert stored[0] == stored[1]
    namespace = mesh_with_cache.namespace.encode()
    wanted = b'"a b"' if line == "0.15" else b"a b"
    assert b"MOL-" + namespace + b"-cached.get:" + wanted == stored[0][0]


async def test_the_recorded_keys_are_what_node_makes(node: str) -> None:
    assert vectors.recorded() == vectors.ask(node)
