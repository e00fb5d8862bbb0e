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


async def both(couple: Mesh, line: str, action: str, params: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """What the Python node and the Node.js one say of the same mesh."""
    asking = couple["py"]
    return await ask(Pair(asking, asking), action, params), await ask(Pair(asking, couple[SHORT[line]]), action, params)


async def test_the_internal_service_is_nodes_to_the_letter(couple: Mesh, line: str) -> None:
    ours, nodes = (
        next(one for one in told if one["name"] == "$node")
        for told in await both(couple, line, "services", {"withActions": True, "withEvents": True, "onlyLocal": True})
    )

    assert {**nodes, "nodes": ["py"]} == ours


@pytest.mark.parametrize(
    "params",
    [{}, {"withActions": True, "withEvents": True}, {"grouping": False}, {"onlyLocal": True, "withActions": True}],
    ids=str,
)
async def test_a_service_is_told_with_the_same_keys(couple: Mesh, line: str, params: dict[str, Any]) -> None:
    ours, nodes = ({one["name"]: one for one in told} for told in await both(couple, line, "services", {**params}))

    assert set(nodes["$node"]) == set(ours["$node"])
    probes = ours["py"], nodes[SHORT[line]]
    assert set(probes[0]) == set(probes[1])
    if "withActions" in params:
        kinds = [{name.partition(".")[2]: set(entry) for name, entry in one["actions"].items()} for one in probes]
        assert kinds[0] == kinds[1]
    for shared in ours.keys() & nodes.keys():
        assert {key: type(value) for key, value in nodes[shared].items()} == {
            key: type(value) for key, value in ours[shared].items()
        }


@pytest.mark.parametrize("params", [{}, {"withEndpoints": True}, {"onlyLocal": True, "withEndpoints": True}], ids=str)
@pytest.mark.parametrize("action", ["actions", "events"])
async def test_actions_and_events_are_told_alike(couple: Mesh, line: str, action: str, params: dict[str, Any]) -> None:
    """What both know must be the same but for who is local, and the order of endpoints."""

    def compared(told: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (one["name"], one.get("group", "")): {
                **one,
                "hasLocal": None,
                "endpoints": sorted(one.get("endpoints", ()), key=str) if "endpoints" in one else None,
            }
            for one in told
        }

    ours, nodes = map(compared, await both(couple, line, action, params))

    shared = ours.keys() & nodes.keys()
    assert shared or "onlyLocal" in params
    assert {key: nodes[key] for key in shared} == {key: ours[key] for key in shared}
    if "onlyLocal" not in params:
        own = {"py.guarded"} if action == "actions" else set()
        assert {SHORT[line] + ".guarded"} & {name for name, _ in nodes} == {
            name for name, _ in nodes.keys() - ours.keys()
        }
        assert own == {name for name, _ in ours.keys() - nodes.keys()}


async def test_list_is_told_with_the_same_keys_and_kinds(couple: Mesh, line: str) -> None:
    ours, nodes = ({one["id"]: one for one in told} for told in await both(couple, line, "list"))

    assert set(nodes) == set(ours)
    # Node.js has a `port` of its own only.
    assert set(nodes[SHORT[line]]) == set(ours["py"]) == NODE_FIELDS | {"port"}
    for one in ours:
        kinds = {key: type(ours[one][key]) for key in nodes[one]}
        assert {key: kind for key, kind in kinds.items() if key not in ("cpu", "cpuSeq", "port")} == {
            key: type(value) for key, value in nodes[one].items() if key not in ("cpu", "cpuSeq", "port")
        }


async def test_health_is_told_with_the_same_keys(couple: Mesh, line: str) -> None:
    """Of the heap of JavaScript there is nothing to tell, and who runs the process and how is not for everybody."""
    ours, nodes = await both(couple, line, "health")

    assert {key: set(value) for key, value in nodes.items() if key != "process"} == {
        key: set(value) for key, value in ours.items() if key != "process"
    }
    assert set(nodes["process"]) == set(ours["process"])
    assert nodes["os"]["arch"] == ours["os"]["arch"]
    assert nodes["os"]["platform"] == ours["os"]["platform"]
    assert abs(nodes["os"]["uptime"] - ours["os"]["uptime"]) < 60
    assert nodes["time"]["utc"][-3:] == ours["time"]["utc"][-3:]
    assert len(nodes["time"]["iso"]) == len(ours["time"]["iso"])


async def test_options_have_nodes_names_and_kinds(couple: Mesh, line: str) -> None:
    """Each side has options that the other has not."""
    ours, nodes = await both(couple, line, "options")

    assert set(ours) <= set(nodes)
    assert set(ours["registry"]) <= set(nodes["registry"])
    assert set(ours["transit"]) <= set(nodes["transit"])
    for key in ("nodeID", "namespace", "disableBalancer", "internalServices", "metadata", "heartbeatTimeout"):
        expected = {**nodes, "nodeID": "py"}[key]
        assert expected == ours[key]


async def test_metrics_that_are_off_are_an_error(pair: Pair) -> None:
    answer = await pair.caller.call("$node.metrics", {"includes": ["a.*"]}, node_id=pair.callee.id)
    assert answer.error is not None
    assert (400, "METRICS_DISABLED") == (answer.error["code"], answer.error["type"])

    odd = await pair.caller.call("$node.metrics", {"includes": 5}, node_id=pair.callee.id)
    assert odd.error is not None
    assert "VALIDATION_ERROR" == odd.error["type"]
