"""`$node`: what a node tells of itself and of the mesh, in the shapes that Node's tools read (protocol section 5.4)."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action, errors, event
from tautomer.host import Host
from tests.kernel.mesh import Clock, Foreign, Mesh, service_info, until

NODE_ACTIONS = {"list", "services", "actions", "events", "health", "options", "metrics"}


class Users(Service):
    name = "users"
    version = 2
    settings = {"page": 10}
    metadata = {"team": "a"}

    @action(params={"id": "number"}, rest="GET /:id", cache=False)
    async def get(self, ctx: Context) -> None: ...

    @action(visibility="protected")
    async def inner(self, ctx: Context) -> None: ...

    @action(visibility="private")
    async def hidden(self, ctx: Context) -> None: ...

    @event("user.*", group="audit")
    def on_user(self, ctx: Context) -> None: ...


@pytest.fixture
async def node(mesh: Mesh, peer: Foreign) -> Broker:
    """Knows a foreign node that has a service of the same name, and one of its own."""
    broker = await mesh.node("a", Users, metadata={"zone": 1})
    peer.introduce(
        service_info(
            "users", "get", fullName="v2.users", version=2, actions={"v2.users.get": {"name": "v2.users.get"}}
        ),
        service_info("far", "do", events={"user.made": {"name": "user.made"}}),
        hostname="box",
        client={"type": "nodejs"},
        metadata={"m": 1},
        config={"c": 1},
        ipList=["192.0.2.7"],
    )
    await broker.wait_for_services("far", 5)
    return broker


async def ask(node: Broker, name: str, **params: Any) -> Any:
    """The answer as another node would read it."""
    return json.loads(json.dumps(await node.call(f"$node.{name}", params)))


def by(key: str, listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one[key]: one for one in listed}


async def test_it_has_moleculers_actions_and_none_is_cached_or_traced(node: Broker) -> None:
    entries = {name: list_.local.entry for name, list_ in node.registry.actions.items() if list_.local is not None}

    internal = {name.removeprefix("$node."): entry for name, entry in entries.items() if name.startswith("$node.")}
    assert set(internal) == NODE_ACTIONS
    assert {(False, False)} == {(entry["cache"], entry["tracing"]) for entry in internal.values()}


async def test_it_can_be_left_out(mesh: Mesh) -> None:
    node = await mesh.node("a", internal_services=False)

    assert [] == node.services
    with pytest.raises(errors.ServiceNotFoundError):
        await node.call("$node.list")


# --- list ---


async def test_list_tells_of_every_node(node: Broker) -> None:
    nodes = by("id", await ask(node, "list"))

    assert {"a", "f"} == set(nodes)
    fields = {
        *("id", "instanceID", "available", "local", "lastHeartbeatTime", "config", "client", "metadata", "ipList"),
        *("port", "hostname", "udpAddress", "cpu", "cpuSeq", "seq", "offlineSince"),
    }
    assert {frozenset(fields)} == {frozenset(one) for one in nodes.values()}
    own, far = nodes["a"], nodes["f"]
    assert (True, True, {"zone": 1}, "python") == (
        own["local"],
        own["available"],
        own["metadata"],
        own["client"]["type"],
    )
    assert (False, True, {"m": 1}, "box") == (far["local"], far["available"], far["metadata"], far["hostname"])
    assert ("i-f", {"c": 1}, {"type": "nodejs"}, ["192.0.2.7"], 1) == (
        far["instanceID"],
        far["config"],
        far["client"],
        far["ipList"],
        far["seq"],
    )


async def test_list_tells_stamps_as_wall_time(mesh: Mesh, peer: Foreign) -> None:
    clock = Clock()
    node = await mesh.node("a", host=Host(clock=clock, wall_ms=lambda: 5_000_000))
    peer.introduce()
    peer.say("HEARTBEAT", cpu=3)
    await until(lambda: "f" in node.registry.nodes and node.registry.nodes["f"].cpu == 3)
    clock.now += 2.0
    peer.say("DISCONNECT")
    await until(lambda: not node.registry.nodes["f"].available)
    clock.now += 1.5

    far = by("id", await ask(node, "list"))["f"]

    assert (4_996_500, 4_998_500) == (far["lastHeartbeatTime"], far["offlineSince"])
    assert (3, 1, False) == (far["cpu"], far["cpuSeq"], far["available"])


async def test_list_leaves_out_on_request_who_is_away(node: Broker, peer: Foreign) -> None:
    peer.say("DISCONNECT")
    await until(lambda: not node.registry.nodes["f"].available)

    assert {"a": True, "f": False} == {one["id"]: one["available"] for one in await ask(node, "list")}
    assert ["a"] == [one["id"] for one in await ask(node, "list", onlyAvailable=True)]


async def test_list_has_services_on_request(node: Broker) -> None:
    nodes = by("id", await ask(node, "list", withServices=True))

    assert {"$node", "v2.users"} == set(by("fullName", nodes["a"]["services"]))
    assert {"v2.users", "far"} == set(by("fullName", nodes["f"]["services"]))


# --- services ---


async def test_services_of_one_name_are_told_together(node: Broker) -> None:
    services = by("fullName", await ask(node, "services"))

    assert {"$node", "v2.users", "far"} == set(services)
    assert {
        "name": "users",
        "version": 2,
        "fullName": "v2.users",
        "settings": {"page": 10},
        "metadata": {"team": "a"},
        "local": True,
        "available": True,
        "nodes": ["a", "f"],
    } == services["v2.users"]
    assert {
        "name": "far",
        "fullName": "far",
        "settings": {},
        "metadata": {},
        "local": False,
        "available": True,
        "nodes": ["f"],
    } == services["far"]


async def test_services_are_told_one_by_one_on_request(node: Broker) -> None:
    services = await ask(node, "services", grouping=False, skipInternal=True)

    assert [("v2.users", "a"), ("v2.users", "f"), ("far", "f")] == [(s["fullName"], s["nodeID"]) for s in services]
    assert not any("nodes" in service for service in services)


async def test_services_have_actions_and_events_on_request(node: Broker) -> None:
    services = by("fullName", await ask(node, "services", withActions=True, withEvents=True))

    users, far = services["v2.users"], services["far"]
    assert {"v2.users.get", "v2.users.inner"} == set(users["actions"])
    assert {
        "name": "v2.users.get",
        "rawName": "get",
        "params": {"id": "number"},
        "rest": "GET /:id",
        "cache": False,
    } == users["actions"]["v2.users.get"]
    assert {"user.*": {"name": "user.*", "group": "audit"}} == users["events"]
    assert {"far.do"} == set(far["actions"])
    assert {"user.made": {"name": "user.made"}} == far["events"]


@pytest.mark.parametrize("flag", [True, "true", "1", 1, "on"])
async def test_flags_are_converted(node: Broker, flag: Any) -> None:
    services = await ask(node, "services", onlyLocal=flag, skipInternal=flag)

    assert ["v2.users"] == [service["fullName"] for service in services]


async def test_flags_that_are_none_are_refused(node: Broker) -> None:
    with pytest.raises(errors.ValidationError):
        await node.call("$node.services", {"onlyLocal": "perhaps"})


# --- actions and events ---


async def test_actions_tell_how_many_offer_each(node: Broker) -> None:
    actions = by("name", await ask(node, "actions"))

    assert {"v2.users.get", "v2.users.inner", "far.do", *(f"$node.{name}" for name in NODE_ACTIONS)} == set(actions)
    get, do = actions["v2.users.get"], actions["far.do"]
    assert (2, True, True) == (get["count"], get["hasLocal"], get["available"])
    assert (1, False, True) == (do["count"], do["hasLocal"], do["available"])
    assert {"name": "far.do", "rawName": "do"} == do["action"]
    assert "endpoints" not in get


async def test_actions_have_endpoints_on_request(node: Broker) -> None:
    actions = by("name", await ask(node, "actions", withEndpoints=True))

    assert [
        {"nodeID": "a", "state": True, "available": True},
        {"nodeID": "f", "state": True, "available": True},
    ] == actions["v2.users.get"]["endpoints"]


async def test_actions_can_be_narrowed_down(node: Broker) -> None:
    local = await ask(node, "actions", onlyLocal=True, skipInternal=True)

    assert {"v2.users.get": 2, "v2.users.inner": 1} == {one["name"]: one["count"] for one in local}


async def test_actions_that_nobody_offers_any_more_are_told_as_not_available(node: Broker, peer: Foreign) -> None:
    """As Node does: whoever calls one hears "not available", not "not found"."""
    peer.say("DISCONNECT")
    await until(lambda: not node.registry.nodes["f"].available)

    assert {"name": "far.do", "count": 0, "hasLocal": False, "available": False} == by(
        "name", await ask(node, "actions", withEndpoints=True)
    )["far.do"]
    assert "far.do" not in by("name", await ask(node, "actions", onlyAvailable=True))


async def test_events_tell_of_every_subscription(node: Broker) -> None:
    events = by("name", await ask(node, "events", withEndpoints=True))

    assert {
        "user.*": {
            "name": "user.*",
            "group": "audit",
            "count": 1,
            "hasLocal": True,
            "available": True,
            "event": {"name": "user.*", "group": "audit"},
            "endpoints": [{"nodeID": "a", "state": True, "available": True}],
        },
        "user.made": {
            "name": "user.made",
            "group": "far",
            "count": 1,
            "hasLocal": False,
            "available": True,
            "event": {"name": "user.made"},
            "endpoints": [{"nodeID": "f", "state": True, "available": True}],
        },
    } == events
    assert ["user.*"] == [one["name"] for one in await ask(node, "events", onlyLocal=True)]


# --- health, options, metrics ---


async def test_health_has_every_part(mesh: Mesh) -> None:
    host = Host(
        hostname="box", ip_list=("192.0.2.1",), cpu_percent=lambda: 12, wall_ms=lambda: 1_700_000_000_123, pid=7
    )
    node = await mesh.node("a", host=host)

    health = await ask(node, "health")

    assert {"cpu", "mem", "os", "process", "client", "net", "time"} == set(health)
    assert {"load1", "load5", "load15", "cores", "utilization"} == set(health["cpu"])
    assert {"free", "total", "percent"} == set(health["mem"])
    assert {"uptime", "type", "release", "hostname", "arch", "platform", "user"} == set(health["os"])
    assert {"pid", "memory", "uptime", "argv"} == set(health["process"])
    assert (12, "box", 7) == (health["cpu"]["utilization"], health["os"]["hostname"], health["process"]["pid"])
    assert {"ip": ["192.0.2.1"]} == health["net"]
    assert "python" == health["client"]["type"]
    assert 1_700_000_000_123 == health["time"]["now"]
    assert "2023-11-14T22:13:20.123Z" == health["time"]["iso"]
    assert 0 <= health["process"]["uptime"] < 60


async def test_health_tells_the_share_of_memory_that_is_free(mesh: Mesh) -> None:
    memory = (await ask(await mesh.node("a"), "health"))["mem"]

    if memory["total"] is None:
        pytest.skip("this system does not tell")
    assert 0 < memory["free"] < memory["total"]
    assert memory["percent"] == pytest.approx(100 * memory["free"] / memory["total"], abs=0.01)


async def test_options_tell_how_the_node_is_set_up(mesh: Mesh) -> None:
    node = await mesh.node("a", namespace="dev", request_timeout=2.5, max_call_level=7, metadata={"zone": 1})

    options = await ask(node, "options")

    assert ("a", "dev", "memory", 2_500, 7, {"zone": 1}) == tuple(
        options[key] for key in ("nodeID", "namespace", "transporter", "requestTimeout", "maxCallLevel", "metadata")
    )
    assert {"preferLocal": True, "strategy": "RoundRobin", "stopDelay": 0} == options["registry"]
    assert (False, True, None) == tuple(options[key] for key in ("disableBalancer", "internalServices", "logLevel"))


async def test_options_of_a_node_that_is_alone() -> None:
    async with Broker("a", Settings()) as node:
        options = await ask(node, "options")

    assert options["transporter"] is None
    assert options["requestTimeout"] is None


async def test_metrics_that_are_off_say_so(node: Broker) -> None:
    with pytest.raises(errors.MoleculerClientError) as caught:
        await node.call("$node.metrics", {"types": "counter", "includes": ["x"]})

    assert (400, "METRICS_DISABLED") == (caught.value.code, caught.value.type)


# --- promise S5 ---


async def test_no_secret_is_told(mesh: Mesh, peer: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    class Vault(Service):
        name = "vault"
        settings = {
            "$secureSettings": ["key", "db.password", "hosts.0"],
            "key": "s3cret-key",
            "db": {"password": "s3cret-password", "host": "shown-host"},
            "hosts": ["s3cret-host"],
        }

    monkeypatch.setattr(sys, "argv", ["program", "--token=s3cret-argument"])
    url = f"{mesh.url}-user:s3cret-url@host"
    node = await mesh.node("a", Vault, transporter=url)
    listener = await Foreign(url, "f", "5").join()
    listener.say("DISCOVER")
    told = [await listener.hears("INFO")]
    flags = {"withServices": True, "withActions": True, "withEvents": True, "withEndpoints": True, "grouping": False}

    told += [await listener.ask("a", f"$node.{name}", flags) for name in NODE_ACTIONS - {"metrics"}]
    told.append(await listener.ask("a", "$node.metrics"))
    await listener.close()

    text = json.dumps(told)
    assert "shown-host" in text
    assert [] == re.findall(r"s3cret[\w-]*|secureSettings", text)
    assert "s3cret" not in repr(node)
