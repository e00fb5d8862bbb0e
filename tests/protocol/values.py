"""Values and packets that several tests of the protocol are about."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

INTEGERS = st.integers(min_value=-(1 << 63), max_value=(1 << 64) - 1)
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def json_values(text: st.SearchStrategy[str] = TEXT) -> st.SearchStrategy[Any]:
    """Anything that JSON can say, its texts drawn from `text`."""
    leaves = st.none() | st.booleans() | NUMBERS | text
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=6,
    )


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(TEXT, json_values(), max_size=4)


_GOOD: dict[str, dict[str, Any]] = {
    "REQ": {
        "id": "id-1",
        "action": "math.add",
        "params": {"a": 5},
        "meta": {"user": 1},
        "headers": {"x-h": "1"},
        "timeout": 3000,
        "level": 2,
        "tracing": True,
        "parentID": "p-1",
        "requestID": "r-1",
        "caller": "client",
        "stream": False,
        "seq": 0,
    },
    "RES": {
        "id": "id-1",
        "meta": {},
        "headers": {},
        "success": True,
        "data": 8,
        "error": None,
        "stream": False,
        "seq": 0,
    },
    "EVENT": {
        "id": "id-1",
        "event": "user.created",
        "data": {"id": 1},
        "groups": ["grp"],
        "broadcast": False,
        "meta": {},
        "headers": {},
        "level": 2,
        "tracing": True,
        "parentID": "p-1",
        "requestID": "r-1",
        "caller": "client",
        "needAck": None,
    },
    "INFO": {
        "services": [{"name": "math", "actions": {"math.add": {"name": "math.add"}}, "events": {}}],
        "ipList": ["192.0.2.2"],
        "hostname": "vm",
        "client": {"type": "nodejs"},
        "config": {},
        "instanceID": "i-1",
        "metadata": {},
        "seq": 2,
    },
    "DISCOVER": {},
    "DISCONNECT": {},
    "HEARTBEAT": {"cpu": 12, "seq": 2, "instanceID": "i-1"},
    "PING": {"time": 1795244764681, "id": "id-1"},
    "PONG": {"time": 1795244764681, "id": "id-1", "arrived": 1795244764681},
}

COMMANDS = tuple(_GOOD)


def good(command: str, version: str = "5") -> dict[str, Any]:
    """A packet of this command with every field that the protocol knows, as a plain object."""
    return {**copy.deepcopy(_GOOD[command]), "ver": version, "sender": "node-2"}
