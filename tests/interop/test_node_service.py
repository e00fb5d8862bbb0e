"""`$node` and PING: what each side says of the mesh when the other asks."""

from __future__ import annotations

from typing import Any

import pytest

from .mesh import SHORT, Mesh, Pair
from .peers import Peer

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NODE_FIELDS = {
    *("id", "instanceID", "available", "local", "lastHeartbeatTime", "config", "client", "metadata", "ipList"),
    *("hostname", "udpAddress", "cpu", "cpuSeq", "seq", "offlineSince"),
}
"""All but `port`, which Node.js has only with the TCP transporter."""

WITH_SERVICES = {"withServices": True}


async def ask(pair: Pair, action: str, params: dict[str, Any] | None = None) -> Any:
    answer = await pair.caller.call(f"$node.{action}", params or {}, node_id=pair.callee.id)
    assert answer.error is None
    return answer.value


async def test_list_tells_of_both_nodes(pair: Pair) -> None:
    nodes = {node["id"]: node for node in await ask(pair, "list")}

    assert {pair.caller.id, pair.callee.id} == set(nodes)
    assert nodes[pair.callee.id].keys() >= NODE_FIELDS
    assert nodes[pair.caller.id].keys() >= NODE_FIELDS
    assert (True, False) == (nodes[pair.callee.id]["local"], nodes[pair.caller.id]["local"])
    assert all(node["available"] for node in nodes.values())
    types = {"python": "python", "0.14": "nodejs", "0.15": "nodejs"}
    for peer in pair:
        assert types[peer.line] == nodes[peer.id]["client"]["type"]
        assert nodes[peer.id]["instanceID"]
        assert nodes[peer.id]["hostname"]
        assert nodes[peer.id]["ipList"]


async def test_list_with_services_has_them(couple: Mesh, line: str) -> None:
    """Only asked of Python: Node.js cannot send this answer of its own, which has a circle in it."""
    nodes = {node["id"]: node for node in await ask(Pair(couple[SHORT[line]], couple["py"]), "list", WITH_SERVICES)}

    for peer in couple.peers.values():
        assert {"$node", peer.id} <= {service["name"] for service in nodes[peer.id]["services"]}


async def test_services_tells_who_offers_what(pair: Pair) -> None:
    services = await ask(pair, "services", {"withActions": True, "skipInternal": True})

    found = {service["fullName"]: service for service in services}
    assert {pair.caller.id, pair.callee.id, "node-ears", "python-ears"} == set(found)
    for peer in pair:
        assert [peer.id] == found[peer.id]["nodes"]
        assert found[peer.id]["available"]
        assert {"a": "number", "b": "number"} == found[peer.id]["actions"][f"{peer.id}.add"]["params"]


async def test_services_with_text_flags_converts_them(pair: Pair) -> None:
    """The command line of either side sends flags as texts."""
    services = await ask(pair, "services", {"skipInternal": "true", "onlyLocal": "1"})

    names = {service["name"] for service in services}
    assert pair.callee.id in names
    assert names.isdisjoint({"$node", pair.caller.id})


async def test_actions_tells_of_every_endpoint(pair: Pair) -> None:
    actions = {one["name"]: one for one in await ask(pair, "actions", {"withEndpoints": True, "skipInternal": True})}

    for peer in pair:
        echo = actions[f"{peer.id}.echo"]
        assert (1, True, peer is pair.callee) == (echo["count"], echo["available"], echo["hasLocal"])
        assert [peer.id] == [endpoint["nodeID"] for endpoint in echo["endpoints"]]
    assert f"{pair.caller.id}.guarded" not in actions
    assert f"{pair.caller.id}.own" not in actions


async def test_events_tells_who_listens(pair: Pair) -> None:
    events = {one["group"]: one for one in await ask(pair, "events", {"withEndpoints": True})}

    for peer, group in ((pair.caller, _ears(pair.caller)), (pair.callee, _ears(pair.callee))):
        ears = events[group]
        assert ("late", 1, True, peer is pair.callee) == tuple(
            ears[key] for key in ("name", "count", "available", "hasLocal")
        )
        assert [peer.id] == [endpoint["nodeID"] for endpoint in ears["endpoints"]]


def _ears(peer: Peer) -> str:
    return "python-ears" if peer.line == "python" else "node-ears"


async def test_health_and_options_are_told(pair: Pair) -> None:
    health = await ask(pair, "health")
    options = await ask(pair, "options")

    assert health.keys() >= {"cpu", "mem", "os", "process", "client", "net", "time"}
    assert pair.callee.id == options["nodeID"]


async def test_secure_settings_do_not_leave_their_node(pair: Pair) -> None:
    (service,) = [one for one in await pair.caller.services() if one["fullName"] == pair.callee.id]

    assert {"shown": 1} == service["settings"]
    assert {"line": "python" if pair.callee.line == "python" else "node"} == service["metadata"]


async def test_ping_of_one_node_tells_the_round_trip_in_ms(pair: Pair) -> None:
    pong = await pair.caller.ping(pair.callee.id)

    assert pair.callee.id == pong["nodeID"]
    assert 0 <= pong["elapsedTime"] < 500
    assert -500 < pong["timeDiff"] < 500


async def test_ping_of_several_tells_of_the_silent_ones_too(pair: Pair) -> None:
    pongs = await pair.caller.ping([pair.callee.id, "nobody"], timeout=0.3)

    assert pair.callee.id == pongs[pair.callee.id]["nodeID"]
    assert pongs["nobody"] is None


async def test_ping_without_a_name_asks_everyone(pair: Pair) -> None:
    assert {pair.callee.id} == set(await pair.caller.ping())


async def test_ping_of_a_silent_node_is_nothing(pair: Pair) -> None:
    assert await pair.caller.ping("nobody", timeout=0.2) is None


@pytest.mark.parametrize("action", ["list", "services", "actions", "events", "health", "options"])
async def test_python_has_every_field_that_node_has(couple: Mesh, line: str, action: str) -> None:
    """What a tool written for Node reads must be there; its own kind of option or value is not compared."""
    flags = {
        "services": {"withActions": True, "withEvents": True},
        "actions": {"withEndpoints": True},
        "events": {"withEndpoints": True},
    }
    answers = {
        peer.id: await ask(Pair(couple["py"], peer), action, flags.get(action))
        for peer in (couple["py"], couple[SHORT[line]])
    }

    ours, nodes = answers["py"], answers[SHORT[line]]
    if isinstance(nodes, list):
        ours, nodes = _fields(ours), _fields(nodes)
        assert nodes <= ours
    elif action == "health":
        assert {key: set(nodes[key]) - set(ours[key]) for key in nodes} == {key: set() for key in nodes}


def _fields(items: list[dict[str, Any]]) -> set[str]:
    return {key for item in items for key in item}
