"""Events between four nodes, two of Node.js and two of Python: balanced by group, broadcast, wildcards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from .mesh import Mesh, hears, knows_listeners
from .peers import Peer, until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MATCHES: dict[tuple[str, str], bool] = {
    ("user.*", "user.created"): True,
    ("user.*", "user."): True,
    ("user.*", "user.a.b"): False,
    ("user.**", "user.a.b"): True,
    ("user.**", "user"): False,
    ("user**", "userx.y"): True,
    ("user**", "user"): True,
    ("user*", "user.x"): True,
    ("user*", "userx.y"): False,
    ("**.c", "c"): False,
    ("*", "$x"): True,
    ("a.c?", "axcd"): True,
}
"""The table of protocol section 5.3, quirks included."""

PATTERNS = [*{pattern for pattern, _ in MATCHES}, "**", "a.*.c", "a.**.c", "*.created", "order.?", "x.y", "[a].(b)*"]
TEXTS = [
    *{text for _, text in MATCHES},
    *("userx", "user.x", "a.c", "a.cd", "a.b.c", "a.b.d.c", "x.y", "xzy", "order.1", "order.12", "order.", "[a].(b)c"),
]

_numbers = count(1)


def ears(id: str) -> dict[str, dict[str, str | None]]:
    """The listeners of one node. Of the groups, `n` and `py` are members; `n2` and `py2` only speak."""
    member = not id.endswith("2")
    return {
        f"{id}-fence": {"fence": None},
        f"{id}-news": {"news.*": None},
        **({"jobs": {"job.*": "workers"}, "audit": {"job.**": None}} if member else {}),
        **({"twin-a": {"twin": "twins"}, "twin-b": {"twin": "twins"}} if member else {}),
        **({f"{id}-both": {"both.done": None, "both.*": None}} if member else {}),
        **({f"{id}-wild": {pattern: f"{id} {pattern}" for pattern in PATTERNS}} if member else {}),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    async with Mesh(nats_url, node) as mesh:
        await asyncio.gather(*(mesh.add_node(line, id, listeners=ears(id)) for id in ("n", "n2")))
        for id in ("py", "py2"):
            await mesh.add_python(id, listeners=ears(id))
        await mesh.meet()
        for peer in mesh.peers.values():
            await knows_listeners(peer, "fence", *mesh.peers)
        yield mesh


@pytest.fixture(params=["n2", "py2"])
def speaker(request: pytest.FixtureRequest, crowd: Mesh) -> Peer:
    """A node that listens to nothing of what it emits."""
    peer: Peer = crowd[request.param]
    return peer


async def settle(crowd: Mesh, speaker: Peer) -> None:
    """Wait until all has arrived that the speaker sent: one message behind the others, and everyone hears it."""
    number = next(_numbers)
    await speaker.tell("broadcast", "fence", number)

    for peer in crowd.peers.values():

        async def passed(peer: Peer = peer) -> bool:
            return number in [one["data"] for one in peer.heard("fence", f"{peer.id}-fence")]

        await until(passed)


def heard_by(crowd: Mesh, event: str, listener: str) -> list[tuple[str, Any]]:
    """Who of all nodes heard it: node and data."""
    return [(peer.id, one["data"]) for peer in crowd.peers.values() for one in peer.heard(event, listener)]


async def test_each_group_hears_each_event_once_whoever_its_members_are(crowd: Mesh, speaker: Peer) -> None:
    event = f"job.{next(_numbers)}"

    for number in range(20):
        await speaker.tell("emit", event, number)
    await settle(crowd, speaker)

    for listener in ("jobs", "audit"):
        told = heard_by(crowd, event, listener)
        assert list(range(20)) == sorted(data for _, data in told)
        assert {"n": 10, "py": 10} == {id: [node for node, _ in told].count(id) for id in ("n", "py")}


async def test_only_the_named_groups_hear(crowd: Mesh, speaker: Peer) -> None:
    event = f"job.{next(_numbers)}"

    await speaker.tell("emit", event, 1, groups=["audit"])
    await settle(crowd, speaker)

    assert 1 == len(heard_by(crowd, event, "audit"))
    assert [] == heard_by(crowd, event, "jobs")


async def test_a_broadcast_reaches_every_handler_of_every_node_once(crowd: Mesh, speaker: Peer) -> None:
    event = f"news.{next(_numbers)}"

    await speaker.tell("broadcast", event, {"a": [1, None]})
    await settle(crowd, speaker)

    for peer in crowd.peers.values():
        assert [{"a": [1, None]}] == [one["data"] for one in peer.heard(event, f"{peer.id}-news")]
        # Node.js tells its own handlers "broadcastLocal" there.
        assert peer is speaker or ["broadcast"] == [one["type"] for one in peer.heard(event, f"{peer.id}-news")]


async def test_a_broadcast_to_groups_reaches_only_them(crowd: Mesh, speaker: Peer) -> None:
    event = f"job.{next(_numbers)}"

    await speaker.tell("broadcast", event, 1, groups=["workers"])
    await settle(crowd, speaker)

    assert ["n", "py"] == sorted(id for id, _ in heard_by(crowd, event, "jobs"))
    assert [] == heard_by(crowd, event, "audit")


async def test_a_local_broadcast_stays_on_its_node(crowd: Mesh, speaker: Peer) -> None:
    event = f"news.{next(_numbers)}"

    await speaker.tell("broadcast_local", event, 1)
    await settle(crowd, speaker)

    assert [speaker.id] == [peer.id for peer in crowd.peers.values() if peer.heard(event, f"{peer.id}-news")]


async def test_two_services_of_one_group_on_one_node_share_an_event(crowd: Mesh, speaker: Peer) -> None:
    before = sum(len(heard_by(crowd, "twin", name)) for name in ("twin-a", "twin-b"))

    for number in range(4):
        await speaker.tell("emit", "twin", number)
    await settle(crowd, speaker)

    assert before + 4 == sum(len(heard_by(crowd, "twin", name)) for name in ("twin-a", "twin-b"))


async def test_two_patterns_of_one_service_both_hear(crowd: Mesh, speaker: Peer) -> None:
    before = {id: len(crowd[id].heard("both.done", f"{id}-both")) for id in ("n", "py")}

    await speaker.tell("emit", "both.done", 1)
    await settle(crowd, speaker)

    for id, count_before in before.items():
        new = crowd[id].heard("both.done", f"{id}-both")[count_before:]
        assert ["both.*", "both.done"] == sorted(one["pattern"] for one in new)


async def test_python_and_node_match_the_same_wildcards(crowd: Mesh, speaker: Peer) -> None:
    before = {id: len(crowd[id].heard(listener=f"{id}-wild")) for id in ("n", "py")}

    for text in TEXTS:
        await speaker.tell("emit", text)
    await settle(crowd, speaker)

    matched = {
        id: {
            (one["pattern"], one["event"])
            for one in crowd[id].heard(listener=f"{id}-wild")[before[id] :]
            if one["event"] in TEXTS  # Others may still come from what was sent before.
        }
        for id in ("n", "py")
    }
    assert MATCHES == {pair: pair in matched["n"] for pair in MATCHES}
    assert matched["n"] == matched["py"]


@pytest.mark.parametrize("data", [0, False, "", [], {}, "text", [1, {"a": None}]])
async def test_a_payload_arrives_as_it_was_sent(crowd: Mesh, speaker: Peer, data: Any) -> None:
    event = f"news.{next(_numbers)}"

    await speaker.tell("broadcast", event, data)

    for peer in crowd.peers.values():
        assert [data] == [one.get("data") for one in await hears(peer, event)][:1]


async def test_a_null_payload_of_node_stays_null(crowd: Mesh) -> None:
    event = f"news.{next(_numbers)}"

    await crowd["n2"].tell("broadcast", event, None)

    for peer in crowd.peers.values():
        assert (await hears(peer, event))[0]["data"] is None


async def test_an_event_without_listeners_is_nobodys_fault(crowd: Mesh, speaker: Peer) -> None:
    await speaker.tell("emit", "job", 1, groups=["nobody"])
    await speaker.tell("broadcast", "job", 1, groups=["nobody"])


async def test_an_event_from_a_handler_knows_where_it_comes_from(crowd: Mesh, speaker: Peer) -> None:
    event = f"news.{next(_numbers)}"
    wanted = {"type": "broadcast", "event": event, "data": 1, "headers": {"x-h": "1"}}

    call = (await speaker.call(f"{speaker.id}.publish", wanted, meta={"user": 5}, request_id=f"chain-{event}")).value
    await settle(crowd, speaker)

    for peer in crowd.peers.values():
        if peer is speaker:
            continue
        (told,) = peer.heard(event, f"{peer.id}-news")
        ctx = told["context"]
        assert (speaker.id, speaker.id) == (ctx["nodeID"], ctx["caller"])
        assert {"user": 5} == ctx["meta"]
        assert (call["requestID"], call["id"], call["level"] + 1) == (ctx["requestID"], ctx["parentID"], ctx["level"])
        assert f"chain-{event}" == ctx["requestID"]
        # Python nodes speak the fifth protocol with each other, whoever else is there.
        fourth = "0.14" in (speaker.line, peer.line)
        assert ({} if fourth else {"x-h": "1"}) == (ctx.get("headers") or {})
