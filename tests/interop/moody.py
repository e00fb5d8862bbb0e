"""A service that fails when it is asked to, with and without a circuit of its own. Twin of node/moody.js."""

from __future__ import annotations

from typing import Any

from tautomer.context import Context
from tautomer.decorators import action
from tautomer.errors import MoleculerError
from tautomer.service import Service


class Moody(Service):
    """Named after its node."""

    def __init__(self, node: str) -> None:
        super().__init__(f"{node}-moody")
        self._asked = 0

    @action(circuit_breaker={"threshold": 0.5, "min_request_count": 3, "half_open_time": 0.5})
    async def guarded(self, ctx: Context[Any]) -> str:
        return self._answer(ctx)

    @action
    async def plain(self, ctx: Context[Any]) -> str:
        return self._answer(ctx)

    @action
    async def asked(self, ctx: Context[Any]) -> int:
        return self._asked

    def _answer(self, ctx: Context[Any]) -> str:
        self._asked += 1
        if ctx.params.get("fail"):
            raise MoleculerError("not in the mood", 500, "MOOD", {"a": 1})
        return "well"
