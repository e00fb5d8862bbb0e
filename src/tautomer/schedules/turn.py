"""Turn: which of some nodes does what one of them is to do."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

__all__ = ["whose_turn"]


def whose_turn(task: str, nodes: Iterable[str]) -> str | None:
    """The node that does a task; None where there is no node.

    All who know of the same nodes say the same, without a vote (rendezvous hashing). Tasks spread evenly over the nodes, and
    where a node comes or goes, only its own tasks move. `Ring` moves nearly all of them then.
    """
    return max(nodes, key=lambda node: (_weight(task, node), node), default=None)


def _weight(task: str, node: str) -> bytes:
    # The length keeps apart where one name ends and the other begins. Ids may hold what is half a character.
    data = f"{len(task)}:{task}{node}".encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=8).digest()
