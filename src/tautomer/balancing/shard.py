"""Shard: the same key goes to the same node, the one that Node would choose (protocol section 5.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

from tautomer.balancing.turns import Chance
from tautomer.ports import E

if TYPE_CHECKING:
    from tautomer.context import Context

HASHES: Final = 2**32
_PARTS: Final = re.compile(r"[^.\[\]]+")

ShardKey = str | Callable[[Any], Any]


class Ring:
    """Which of some nodes owns a hash.

    Node lays `vnodes` points for each node around a ring, evenly and in turn, so the owner can be computed:
    nothing is laid out here.

    Args:
        nodes: Their ids, in any order; one that stands there twice has twice the share.
        vnodes: Points of each.
        ring_size: Hashes are from 0 up to this.
    """

    __slots__ = ("_nodes", "_points", "_size", "_slice")

    def __init__(self, nodes: Sequence[str], vnodes: int = 10, ring_size: int | None = None) -> None:
        # JavaScript sorts by UTF-16 units.
        self._nodes = sorted(nodes, key=lambda node_id: node_id.encode("utf-16-be", "surrogatepass"))
        self._points = len(nodes) * vnodes
        self._size = ring_size
        self._slice = (ring_size or HASHES) / self._points

    def hash(self, key: str) -> int:
        """The first 32 bits of the key's MD5, within the size of the ring."""
        try:
            data = key.encode()
        except UnicodeEncodeError:
            # What is half a character is U+FFFD to Node.
            data = key.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        number = int.from_bytes(md5(data, usedforsecurity=False).digest()[:4])
        return number % self._size if self._size else number

    def owner(self, key: str) -> str:
        """The id of the node at the first point that is not before the key's hash."""
        number, last = self.hash(key), self._points - 1
        # The points are rounded down, so the first guess may be one off.
        point = min(last, int(number / self._slice))
        while point > 0 and int(self._slice * point) >= number:
            point -= 1
        while point < last and int(self._slice * (point + 1)) < number:
            point += 1
        return self._nodes[point % len(self._nodes)]


class Shard:
    """By a key of the call. Where a call has none: any.

    Args:
        chance: Source of chance.
        shard_key: Path into the params, such as ``"user.id"``; into the meta with ``#`` before it; or a function
            of the context.
        vnodes: Points of each node on the ring.
        ring_size: None for 2**32.
        cache_size: Keys whose owner is remembered.
        to_text: Makes a text of a key that is none, as JavaScript does.
    """

    __slots__ = (
        "_cache",
        "_cache_size",
        "_chance",
        "_key",
        "_members",
        "_owners",
        "_ring",
        "_size",
        "_text",
        "_vnodes",
    )

    def __init__(
        self,
        chance: Chance,
        shard_key: ShardKey | None = None,
        vnodes: int = 10,
        ring_size: int | None = None,
        cache_size: int = 1000,
        to_text: Callable[[object], str] = str,
    ) -> None:
        self._chance = chance
        self._key = shard_key
        self._vnodes = vnodes
        self._size = ring_size
        self._cache_size = cache_size
        self._text = to_text
        self._members: Sequence[Any] = ()
        self._owners: dict[str, Any] = {}
        self._ring: Ring | None = None
        self._cache: dict[str, Any] = {}

    def select(self, endpoints: Sequence[E], ctx: Context[Any] | None) -> E:
        key = None if ctx is None else self._key_of(ctx)
        if key is None:
            return endpoints[self._chance.randrange(len(endpoints))]
        # A list that did not change is handed in as the very same tuple.
        ring = self._ring
        if ring is None or endpoints is not self._members:
            ring = self._rebuild(endpoints)
        text = key if isinstance(key, str) else self._text(key)
        found: E | None = self._cache.get(text)
        if found is None:
            found = self._owners[ring.owner(text)]
            if len(self._cache) >= self._cache_size:
                self._cache.clear()
            self._cache[text] = found
        return found

    def _rebuild(self, endpoints: Sequence[E]) -> Ring:
        self._members = endpoints
        self._cache.clear()
        # Of two at one node it is the first.
        self._owners = {endpoint.node_id: endpoint for endpoint in reversed(endpoints)}
        ring = self._ring = Ring([endpoint.node_id for endpoint in endpoints], self._vnodes, self._size)
        return ring

    def _key_of(self, ctx: Context[Any]) -> Any:
        key = self._key
        if not key:
            return None
        if not isinstance(key, str):
            return key(ctx)
        return value_at(ctx._meta, key[1:]) if key.startswith("#") else value_at(ctx.params, key)


def value_at(place: Any, path: str) -> Any:
    """What stands at a path such as ``"user.ids[0]"``, or None. A key of that very name comes first, as in lodash."""
    if isinstance(place, Mapping) and path in place:
        return place[path]
    parts = _PARTS.findall(path)
    for part in parts:
        if isinstance(place, Mapping):
            place = place.get(part)
        elif isinstance(place, list | tuple) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
        else:
            return None
    return place if parts else None
