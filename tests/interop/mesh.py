"""A namespace of its own on the shared server, and the nodes in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, Self

import nats
from tautomer.service import Service

from .peers import Listeners, NodePeer, Peer, PythonPeer, start_python_program, until
from .program import Program

SHORT = {"0.14": "n14", "0.15": "n15"}
"""What the first Node.js node of each line is called in these tests."""

_numbers = count(1)


class Pair(NamedTuple):
    """Two nodes of a mesh: one asks, one answers."""

    caller: Peer
    callee: Peer


class Mesh:
    """Nodes that see each other and nobody else. Use as an async context manager.

    Args:
        url: Of the NATS server.
        node: Path of Node.js.

    Attributes:
        namespace: Its own.
        peers: The nodes by id, in the order in which they were started.
        programs: The Python nodes in processes of their own, by id; of one id the last.
    """

    def __init__(self, url: str, node: str, namespace: str | None = None) -> None:
        self.url = url
        self.node = node
        self.namespace = namespace or f"interop-{next(_numbers)}"
        self.peers: dict[str, Peer] = {}
        self.programs: dict[str, Program] = {}

    def __getitem__(self, id: str) -> Any:
        """The peer of this id: a `NodePeer` or a `PythonPeer`."""
        return self.peers[id]

    async def add_node(
        self,
        line: str,
        id: str | None = None,
        services: Sequence[Mapping[str, Any]] = (),
        listeners: Listeners | None = None,
        broker: Mapping[str, Any] | None = None,
    ) -> NodePeer:
        """Start a Node.js node; it is called n14 or n15 unless told otherwise. See `NodePeer.start`."""
        id = id or SHORT[line]
        peer = await NodePeer.start(self.node, line, id, self.namespace, self.url, services, listeners, broker)
        self.peers[id] = peer
        return peer

    async def kill(self, id: str) -> None:
        """SIGKILL a Node.js node, and wait until the NATS server has noticed: for a moment it takes messages for the dead."""
        await self[id].program.kill()
        client = await nats.connect(self.url)
        topic = f"MOL-{self.namespace}.PING.{id}"
        try:
            async with asyncio.timeout(5):
                while True:
                    try:
                        await client.request(topic, b"{}", timeout=0.05)
                    except nats.errors.NoRespondersError:
                        break
                    except nats.errors.TimeoutError:
                        continue
        finally:
            await client.close()

    async def add_python(
        self, id: str = "py", services: Sequence[Service] = (), listeners: Listeners | None = None, **settings: Any
    ) -> PythonPeer:
        """Start a Python node in this process. See `PythonPeer.start`."""
        peer = await PythonPeer.start(id, self.namespace, self.url, services, listeners, **settings)
        self.peers[id] = peer
        return peer

    async def add_program(self, id: str, **settings: Any) -> Program:
        """Start a Python node in a process of its own. It is not among the peers."""
        program = self.programs[id] = await start_python_program(id, self.namespace, self.url, **settings)
        return program

    async def meet(self, timeout: float = 5.0) -> None:
        """Wait until every node that can sees every other's probe.

        Nodes of 0.14 and 0.15 never see each other: neither accepts the other's packets.
        """
        for here in self.peers.values():
            for there in self.peers.values():
                if "python" in (here.line, there.line) or here.line == there.line:
                    await sees(here, f"{there.id}.echo", there.id, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(
            *(peer.close() for peer in self.peers.values()), *(program.close() for program in self.programs.values())
        )


async def sees(peer: Peer, action: str, *nodes: str, timeout: float = 5.0) -> float:
    """Wait until the peer would call this action at exactly these nodes. Returns the seconds it took."""

    async def as_wanted() -> bool:
        return sorted(nodes) == await peer.endpoints(action)

    return await until(as_wanted, timeout)


async def knows_listeners(peer: Peer, event: str, *nodes: str, timeout: float = 5.0) -> None:
    """Wait until the peer knows that exactly these nodes listen to this event."""

    async def as_wanted() -> bool:
        return sorted(nodes) == await peer.listeners(event)

    await until(as_wanted, timeout)


async def hears(peer: Peer, event: str, count: int = 1, timeout: float = 5.0) -> list[dict[str, Any]]:
    """Wait until the peer's listeners heard this event so often; what they heard."""

    async def as_often() -> bool:
        return len(peer.heard(event)) >= count

    await until(as_often, timeout)
    return peer.heard(event)
