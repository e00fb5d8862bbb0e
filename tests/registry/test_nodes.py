"""What `$node.list` tells of a node (protocol reference, section 5.4)."""

from __future__ import annotations

from tautomer.registry.nodes import Node


def test_a_node_is_told_with_the_fields_that_node_has() -> None:
    node = Node(
        "node-1",
        instance_id="i-1",
        seq=3,
        ip_list=("192.0.2.2",),
        hostname="vm",
        client={"type": "nodejs"},
        metadata={"region": "eu"},
        port=4711,
        cpu=12,
        cpu_seq=7,
        last_heartbeat=5.0,
    )

    assert {
        "id": "node-1",
        "instanceID": "i-1",
        "available": True,
        "local": False,
        "lastHeartbeatTime": 5.0,
        "config": {},
        "client": {"type": "nodejs"},
        "metadata": {"region": "eu"},
        "ipList": ["192.0.2.2"],
        "port": 4711,
        "hostname": "vm",
        "udpAddress": None,
        "cpu": 12,
        "cpuSeq": 7,
        "seq": 3,
        "offlineSince": None,
    } == node.describe()


def test_stamps_are_wall_time_where_that_can_be_told() -> None:
    node = Node("node-1", available=False, last_heartbeat=5.0, offline_since=8.0)

    told = node.describe(lambda at: 1_000_000 + at * 1000)

    assert (1_005_000, 1_008_000) == (told["lastHeartbeatTime"], told["offlineSince"])
    assert (5.0, 8.0) == (node.describe()["lastHeartbeatTime"], node.describe()["offlineSince"])


def test_what_is_told_is_a_copy() -> None:
    node = Node("node-1", metadata={"region": "eu"})
    node.describe()["metadata"]["region"] = "us"

    assert {"region": "eu"} == node.metadata
    assert None is node.describe()["cpuSeq"]
