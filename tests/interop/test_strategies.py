"""Strategies against Moleculer's own: the same key goes to the same node, whoever asks."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from typing import Any

import pytest

from tautomer.balancing import Shard
from tautomer.context import Context
from tautomer.decorators import action
from tautomer.service import Service
from tautomer.settings import RegistrySettings
from tautomer.validation.javascript import to_text
from tests.balancing.making import Drawn, call, endpoint

from .mesh import SHORT, Mesh, sees
from .npm import HERE
from .peers import MODULES

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

KEYS: list[Any] = [
    *(f"user-{number}" for number in range(200)),
    *range(50),
    *("", "é", "😀", "a b", "0", "-1"),
    *(1.5, -0.25, 1e21, 1e-7, 123456789012, True, False, [1, 2], ["a", None], {"a": 1}),
]

CASES: list[dict[str, Any]] = [
    {"nodes": nodes, "options": options, "calls": [{"params": {"id": key}, "meta": {}} for key in KEYS]}
    for nodes in (
        ["node-1"],
        ["node-3", "node-1", "node-2"],
        [f"host-{number}" for number in range(17)],
        ["B", "a", "Z", "b", "ä", "😀", "\uffee"],
    )
    for options in (
        {"shardKey": "id"},
        {"shardKey": "id", "vnodes": 1},
        {"shardKey": "id", "vnodes": 97},
        {"shardKey": "id", "ringSize": 1000},
        {"shardKey": "id", "ringSize": 7, "vnodes": 3},
    )
] + [
    {"nodes": ["a", "b", "c", "d"], "options": {"shardKey": path}, "calls": calls}
    for calls in [
        [
            {"params": {"user": {"id": "x", "ids": [1, {"n": 2}]}, "user.id": "y"}, "meta": {"user": {"id": "m"}}},
            {"params": {"user": {"id": "x", "ids": [1, {"n": 2}]}}, "meta": {}},
            {"params": {}, "meta": {"user": {"id": 7}}},
            {"params": None, "meta": {}},
            {"params": "text", "meta": {}},
            {"params": [{"id": 1}], "meta": {}},
        ]
    ]
    for path in (
        "user.id",
        "#user.id",
        "user.ids[0]",
        "user.ids[1].n",
        "user.ids.1.n",
        "[0].id",
        "0.id",
        "user",
        "#",
        "",
    )
]


@pytest.mark.timeout(60)
async def test_a_shard_is_owned_by_whom_node_says(node: str, line: str) -> None:
    wanted = json.dumps({"moleculer": MODULES[line], "cases": CASES})
    done = await asyncio.to_thread(
        subprocess.run,
        [node, str(HERE / "node" / "shard.js")],
        input=wanted,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    for case, owners in zip(CASES, json.loads(done.stdout), strict=True):
        given = {"shardKey": "shard_key", "ringSize": "ring_size"}
        options = {given.get(name, name): value for name, value in case["options"].items()}
        strategy = Shard(Drawn(0), to_text=to_text, **options)
        members = tuple(endpoint(node_id) for node_id in case["nodes"])
        ours = []
        for one in case["calls"]:
            ctx = call(one["params"], one["meta"])
            ours.append(None if strategy._key_of(ctx) is None else strategy.select(members, ctx).node_id)
        assert owners == ours, case["options"]


class Sharded(Service):
    name = "sharded"

    @action(strategy="Shard", strategy_options={"shard_key": "id"})
    async def get(self, ctx: Context[Any]) -> str:
        return str(self.broker.id)


async def test_node_obeys_what_a_python_service_says_of_its_strategy(mesh: Mesh, line: str) -> None:
    owners = [f"py-{number}" for number in range(3)]
    caller = await mesh.add_node(line)
    for node_id in owners:
        await mesh.add_python(node_id, [Sharded()])
    python = await mesh.add_python("asking", registry=RegistrySettings(prefer_local=False))
    for peer in (caller, python):
        await sees(peer, "sharded.get", *owners)
    keys = random.Random(5).sample(range(10_000), 30)

    asked = {
        peer.id: [(await peer.call("sharded.get", {"id": key}, timeout=5.0)).value for key in keys]
        for peer in (caller, python)
    }

    assert asked[SHORT[line]] == asked["asking"]
    assert set(owners) == set(asked["asking"])
