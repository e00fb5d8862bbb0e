"""A mesh without a broker: TCP lines, gossip and UDP discovery, with Node.js nodes of both lines."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tautomer import Context, Service, event
from tautomer.middlewares import Compression, Encryption

from .mesh import SHORT, Mesh, hears, knows_listeners, sees
from .peers import NodePeer, Peer, PythonPeer, until
from .probe import Calculator

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROUND = 1.0
"""Seconds between Node's rounds: the least that it takes."""

WATCH = {"watch": {"$node.disconnected": None}}


class TcpMesh(Mesh):
    """Nodes that find each other by TCP and UDP on 127.0.0.1.

    Args:
        node: Path of Node.js.
        named: Ids of nodes whose addresses stand in everybody's configuration; None uses UDP multicast.
    """

    def __init__(self, node: str, named: Sequence[str] | None = None) -> None:
        super().__init__("", node)
        self.options: dict[str, Any] = {"gossipPeriod": ROUND, "useHostname": False}
        ports = free_ports(len(named) if named else 1)
        if named:
            peers = ",".join(f"127.0.0.1:{port}/{id}" for id, port in zip(named, ports, strict=True))
            self.options |= {"urls": peers, "udpDiscovery": False}
            self.url = f"tcp://{peers}?udp_discovery=false&host=127.0.0.1&gossip_period={ROUND}"
        else:
            udp: dict[str, Any] = {"udpPort": ports[0], "udpBindAddress": "127.0.0.1", "udpPeriod": 1}
            self.options |= udp
            more = "&".join(f"{name}={value}" for name, value in udp.items())
            self.url = f"tcp://?host=127.0.0.1&gossip_period={ROUND}&{more}"

    async def add_node(self, line: str, id: str | None = None, *args: Any, **more: Any) -> NodePeer:
        broker = {"transporter": {"type": "TCP", "options": self.options}}
        return await super().add_node(line, id, *args, broker={**broker, **more.pop("broker", {})}, **more)


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


@pytest.fixture(scope="module", params=["named", "multicast"])
def ways(request: pytest.FixtureRequest) -> str:
    """How nodes find each other."""
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(node: str, ways: str) -> AsyncIterator[TcpMesh]:
    """One node of each line of Node.js and one in Python, all in one mesh."""
    async with TcpMesh(node, ["n14", "n15", "py"] if ways == "named" else None) as mesh:
        await asyncio.gather(
            mesh.add_node("0.14", listeners={"ears-14": {"late": None, "shared.*": "ears"}}),
            mesh.add_node("0.15", listeners={"ears-15": {"late": None}}),
            mesh.add_python(listeners={"ears-py": {"late": None, "shared.*": "ears"}}),
        )
        for line in ("n14", "n15"):
            await sees(mesh["py"], f"{line}.echo", line, timeout=10.0)
            await sees(mesh[line], "py.echo", "py", timeout=10.0)
        yield mesh


# --- one mesh of three kinds ---


async def test_calls_go_both_ways_with_both_lines(both: TcpMesh) -> None:
    for line in ("n14", "n15"):
        assert {"n": 1} == (await both["py"].call(f"{line}.echo", {"n": 1})).value
        assert {"n": 2} == (await both[line].call("py.echo", {"n": 2})).value


async def test_errors_and_meta_come_back(both: TcpMesh) -> None:
    for caller, callee in (("py", "n14"), ("py", "n15"), ("n14", "py"), ("n15", "py")):
        answer = await both[caller].call(f"{callee}.meta", {"fail": True}, meta={"a": 1})

        assert answer.error is not None
        assert "MoleculerClientError" == answer.error["name"]
        assert answer.meta is not None
        assert callee == answer.meta["back"]


async def test_an_answer_of_many_reads_arrives_whole(both: TcpMesh) -> None:
    for caller, callee in (("py", "n14"), ("py", "n15"), ("n14", "py"), ("n15", "py")):
        answer = await both[caller].call(f"{callee}.text", {"length": 900_000})

        assert 900_000 == len(answer.value)


async def test_each_is_known_by_its_own_data(both: TcpMesh) -> None:
    seen = await both["py"].nodes()
    assert {"nodejs", "python"} == {node["client"]["type"] for node in seen.values()}
    for id in ("n14", "n15"):
        mine = (await both[id].nodes())["py"]
        assert mine["port"] == seen["py"]["port"]
        assert mine["instanceID"] == seen["py"]["instanceID"]
        assert seen[id]["port"] == (await both[id].nodes())[id]["port"]


async def test_node_lines_know_each_other_by_gossip_but_do_not_answer_each_other(both: TcpMesh) -> None:
    """Node checks no version in gossip, and drops the request. So a name must not be offered by both lines."""
    await sees(both["n14"], "n15.echo", "n15")

    answer = await both["n14"].call("n15.echo", {}, timeout=0.5)

    assert answer.error is not None
    assert "RequestTimeoutError" == answer.error["name"]


async def test_broadcasts_reach_all_that_speak_the_version(both: TcpMesh) -> None:
    for id in ("n14", "n15"):
        await knows_listeners(both["py"], "late", "n14", "n15", "py")
        await knows_listeners(both[id], "late", "n14", "n15", "py")

    await both["py"].tell("broadcast", "late", {"from": "py"})
    for id in ("py", "n14", "n15"):
        assert {"from": "py"} in [one["data"] for one in await hears(both[id], "late")]
    await both["n14"].tell("broadcast", "late", {"from": "n14"})

    await hears(both["py"], "late", 2)


async def test_an_emit_reaches_one_of_a_group(both: TcpMesh) -> None:
    await knows_listeners(both["n14"], "shared.a", "n14", "py")

    for _ in range(6):
        await both["py"].tell("emit", "shared.a", 1)

    async def all_there() -> bool:
        return 6 == len(both["py"].heard("shared.a")) + len(both["n14"].heard("shared.a"))

    await until(all_there)


async def test_pings_come_back(both: TcpMesh) -> None:
    for asker, asked in (("py", "n14"), ("py", "n15"), ("n14", "py"), ("n15", "py")):
        assert asked == (await both[asker].ping(asked))["nodeID"]


async def test_a_new_service_is_told_at_once_and_its_end_too(both: TcpMesh) -> None:
    await both["py"].offer("fresh")
    for id in ("n14", "n15"):
        # Sooner than the next round: it is pushed.
        assert await sees(both[id], "fresh.double", "py", timeout=5.0) < ROUND
    await both["py"].withdraw("fresh")
    for id in ("n14", "n15"):
        await sees(both[id], "fresh.double", timeout=5.0)


async def test_a_new_service_of_node_is_heard_of_in_the_rounds(both: TcpMesh) -> None:
    for id in ("n14", "n15"):
        await both[id].offer(f"made-{id}")
        await sees(both["py"], f"made-{id}.double", id, timeout=10.0)


# --- coming and going ---


@pytest.mark.parametrize("first", ["python", "node"])
async def test_they_meet_whoever_is_first(node: str, line: str, first: str, ways: str) -> None:
    id = SHORT[line]
    async with TcpMesh(node, [id, "py"] if ways == "named" else None) as mesh:
        if first == "python":
            await mesh.add_python()
            await mesh.add_node(line)
        else:
            await mesh.add_node(line)
            await mesh.add_python()

        await sees(mesh["py"], f"{id}.echo", id, timeout=10.0)
        await sees(mesh[id], "py.echo", "py", timeout=10.0)


async def test_a_killed_node_is_noticed_at_once_and_its_calls_are_rejected(node: str, line: str) -> None:
    id = SHORT[line]
    async with TcpMesh(node, [id, "py"]) as mesh:
        victim = await mesh.add_node(line)
        python = await mesh.add_python(listeners=WATCH)
        await sees(python, f"{id}.echo", id, timeout=10.0)
        call = asyncio.create_task(python.call(f"{id}.sleep", {"ms": 60_000}, timeout=30.0))
        await python.call(f"{id}.echo", 1)

        begin = time.monotonic()
        await victim.program.kill()
        answer = await call

        assert time.monotonic() - begin < 3.0
        assert answer.error is not None
        assert ("RequestRejectedError", 503) == (answer.error["name"], answer.error["code"])
        assert [] == await python.endpoints(f"{id}.echo")
        assert id in [one["about"]["node"] for one in await hears(python, "$node.disconnected")]

        # It comes back under its name, on its port, with a lower `seq` and another instance.
        before = (await python.nodes())[id]["instanceID"]
        await victim.close()
        await mesh.add_node(line)
        await sees(python, f"{id}.echo", id, timeout=10.0)
        await sees(mesh[id], "py.echo", "py", timeout=10.0)
        assert before != (await python.nodes())[id]["instanceID"]
        assert 7 == (await python.call(f"{id}.echo", 7)).value


async def test_node_notices_a_killed_python_node_and_takes_it_back(node: str, line: str) -> None:
    id = SHORT[line]
    async with TcpMesh(node, [id, "victim"]) as mesh:
        asker = await mesh.add_node(line, listeners=WATCH)
        program = await mesh.add_program("victim")
        await sees(asker, "victim.echo", "victim", timeout=10.0)
        call = asyncio.create_task(asker.call("victim.sleep", {"ms": 60_000}, timeout=15.0))
        assert 1 == (await asker.call("victim.echo", 1)).value

        await program.kill()
        answer = await call

        assert answer.error is not None
        assert "RequestRejectedError" == answer.error["name"]
        await sees(asker, "victim.echo")
        await program.close()
        await mesh.add_program("victim")
        await sees(asker, "victim.echo", "victim", timeout=10.0)
        assert 2 == (await asker.call("victim.echo", 2)).value


async def test_a_node_that_stands_still_is_lost_and_back_when_it_goes_on(node: str, line: str) -> None:
    """Its lines stand, and it answers nothing."""
    id = SHORT[line]
    async with TcpMesh(node, [id, "py"]) as mesh:
        victim = await mesh.add_node(line)
        python = await mesh.add_python(listeners=WATCH, heartbeat_interval=0.5, heartbeat_timeout=2.0)
        await sees(python, f"{id}.echo", id, timeout=10.0)

        victim.program.send(signal.SIGSTOP)
        await sees(python, f"{id}.echo", timeout=10.0)
        told = await hears(python, "$node.disconnected")
        assert {"node": id, "unexpected": True} in [one["about"] for one in told]

        victim.program.send(signal.SIGCONT)
        await sees(python, f"{id}.echo", id, timeout=10.0)
        assert 1 == (await python.call(f"{id}.echo", 1)).value


async def test_quiet_nodes_that_live_are_not_lost(node: str) -> None:
    """Longer than the time allowed to be silent, in which nobody calls anybody."""
    async with TcpMesh(node, ["n14", "n15", "py"]) as mesh:
        await asyncio.gather(mesh.add_node("0.14"), mesh.add_node("0.15"))
        pongs: list[str] = []

        class Pongs(Service):
            name = "pongs"

            @event("$node.pong")
            def heard(self, ctx: Context[Any]) -> None:
                pongs.append(ctx.params["nodeID"])

        python = await mesh.add_python(
            services=[Pongs()], listeners=WATCH, heartbeat_interval=0.5, heartbeat_timeout=1.0
        )
        for id in ("n14", "n15"):
            await sees(python, f"{id}.echo", id, timeout=10.0)

        async def all_answered() -> bool:
            return min(pongs.count("n14"), pongs.count("n15")) >= 2

        await until(all_answered, timeout=20.0)

        assert [] == python.heard("$node.disconnected")


async def test_who_leaves_in_good_order_is_taken_so(node: str, line: str) -> None:
    id = SHORT[line]
    async with TcpMesh(node, [id, "py", "stays"]) as mesh:
        peer = await mesh.add_node(line, listeners=WATCH)
        leaver = await mesh.add_python()
        stays = await mesh.add_python("stays", listeners=WATCH)
        for one in (peer, stays):
            await sees(one, "py.echo", "py", timeout=10.0)
        await sees(stays, f"{id}.echo", id, timeout=10.0)

        await leaver.leave()

        for one in (peer, stays):
            assert await sees(one, "py.echo") < ROUND
            told = await hears(one, "$node.disconnected")
            assert {"node": "py", "unexpected": False} in [one["about"] for one in told]
        await peer.leave()
        assert {"node": id, "unexpected": False} in [
            one["about"] for one in await hears(stays, "$node.disconnected", 2)
        ]


async def test_no_call_fails_while_python_nodes_leave_under_load(node: str, line: str) -> None:
    ids = ["n2", "py2", "leaver", "stays"]
    async with TcpMesh(node, ids) as mesh:
        await asyncio.gather(
            mesh.add_node(line, "n2"),
            mesh.add_python("py2"),
            mesh.add_python("leaver", services=[Calculator("shared")]),
            mesh.add_python("stays", services=[Calculator("shared")]),
        )
        for id in ("n2", "py2"):
            await sees(mesh[id], "shared.double", "leaver", "stays", timeout=10.0)
        answers: list[Any] = []
        stopped = asyncio.Event()

        async def load(peer: Peer) -> None:
            while not stopped.is_set():
                answers.append(await peer.call("shared.double", {"n": 4}, timeout=5.0))

        loads = [asyncio.create_task(load(mesh[id])) for id in ("n2", "py2") for _ in range(3)]
        await mesh["leaver"].leave()
        for id in ("n2", "py2"):
            await sees(mesh[id], "shared.double", "stays")
        stopped.set()
        await asyncio.gather(*loads)

        assert [] == [answer for answer in answers if 8 != answer.value]
        assert len(answers) > 50


async def test_what_is_known_travels_past_nodes_that_do_not_know_each_other(node: str) -> None:
    """Only the middle one is named: the others hear of each other from it."""
    async with TcpMesh(node, ["middle"]) as mesh:
        await mesh.add_node("0.15", "middle")
        a, b = await asyncio.gather(mesh.add_python("a"), mesh.add_python("b"))

        await sees(a, "b.echo", "b", timeout=10.0)
        await sees(b, "a.echo", "a", timeout=10.0)
        assert 5 == (await a.call("b.echo", 5)).value
        assert isinstance(a, PythonPeer)


async def test_an_encrypted_and_compressed_mesh_without_a_broker(node: str) -> None:
    """Gossip goes through the middlewares, too."""
    key, iv = "k" * 32, "i" * 16
    theirs = {"transmit": [["Encryption", key, "aes-256-cbc", iv], ["Compression", {"threshold": 0}]]}
    async with TcpMesh(node, ["n14", "n15", "py"]) as mesh:
        await mesh.add_node("0.14", broker=theirs)
        await mesh.add_node("0.15", broker=theirs)
        await mesh.add_python(middlewares=[Compression(threshold=0), Encryption(key, iv=iv)])
        for line in ("n14", "n15"):
            await sees(mesh["py"], f"{line}.echo", line, timeout=10.0)
            await sees(mesh[line], "py.echo", "py", timeout=10.0)

            assert 300_000 == len((await mesh["py"].call(f"{line}.text", {"length": 300_000})).value)
            assert 300_000 == len((await mesh[line].call("py.text", {"length": 300_000})).value)
