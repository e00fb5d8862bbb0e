"""Short ways to endpoints and calls, as strategies see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tautomer.context import Context
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.nodes import Node
from tautomer.registry.registry import ServiceEntry


class Drawn:
    """Chance that draws what it is told, again and again from the begin."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.asked: list[int] = []

    def randrange(self, stop: int, /) -> int:
        number = self._numbers[len(self.asked) % len(self._numbers)]
        self.asked.append(stop)
        assert number < stop
        return number


async def answer(_ctx: Any) -> None:
    """A handler that nobody calls."""


def endpoint(node_id: str, hostname: str | None = None, cpu: float | None = None) -> Endpoint:
    made = Endpoint("math.add", node_id, False, ServiceEntry(node_id, False, "math", None, "math"), {}, answer)
    made.node = Node(node_id, hostname=hostname, cpu=cpu)
    return made


def call(params: Any = None, meta: Mapping[str, Any] | None = None) -> Context[Any]:
    ctx: Context[Any] = Context(None, params)
    ctx._meta = None if meta is None else dict(meta)
    return ctx
