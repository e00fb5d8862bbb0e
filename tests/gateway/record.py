"""Record what a real moleculer-web answers: ``python -m tests.gateway.record [gateway ...]``.

Needs npm: the packages and the Node.js are those of tests/interop. Run again, it writes the same files.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.gateway.answer import CUT, Answer, exchange, rendered, tagged
from tests.gateway.case import Case, Gateway
from tests.gateway.cases import GATEWAYS
from tests.gateway.static_files import set_times
from tests.interop import npm
from tests.interop.program import Program

HERE: Final = Path(__file__).parent
RECORDED: Final = HERE / "recorded"


def recording(gateway: Gateway) -> Path:
    return RECORDED / f"{gateway.name}.json"


@cache
def recorded(gateway: Gateway) -> Mapping[str, list[Answer]]:
    """Answers of moleculer-web by the names of the cases."""
    kept = json.loads(recording(gateway).read_text("utf-8"))
    return {name: [Answer.from_json(one) for one in answers] for name, answers in kept.items()}


class NodeGateway:
    """A gateway in a Node.js process; started anew whenever a request has ended it."""

    def __init__(self, node: str, gateway: Gateway) -> None:
        wanted = json.dumps(gateway.for_node())
        self._command = [node, str(HERE / "node" / "gateway.js"), str(npm.HERE / "package.json"), wanted]
        self._label = gateway.name
        self._program: Program | None = None

    async def ask(self, case: Case) -> list[Answer]:
        """The answers to all requests of the case."""
        answers: list[Answer] = []
        for request in case.requests:
            if self._program is None:
                self._program = await Program.start(self._label, self._command)
            came = await exchange("127.0.0.1", self._program.ready["port"], tagged(request, answers))
            answers += [Answer(CUT, ended=True)] if await self._has_ended(came[-1]) else came
        return answers

    async def _has_ended(self, answer: Answer) -> bool:
        """Whether the request has ended the process; a moment is left for it to do so where no answer came."""
        assert self._program is not None
        for _ in range(10 if answer.status < 0 or answer.cut else 1):
            if not self._program.running:
                await self.close()
                return True
            await asyncio.sleep(0.02)
        return False

    async def close(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            await program.close()


async def answers_of(node: str, gateway: Gateway) -> dict[str, list[Answer]]:
    """What a real moleculer-web answers now, by the names of the cases.

    Args:
        node: Path of Node.js.
    """
    door = NodeGateway(node, gateway)
    try:
        return {case.name: await door.ask(case) for case in gateway.cases}
    finally:
        await door.close()


async def record(node: str, gateway: Gateway) -> None:
    answers = await answers_of(node, gateway)
    recording(gateway).write_text(rendered(answers) + "\n", "utf-8")
    print(f"{gateway.name}: {len(answers)}")


async def main(names: list[str]) -> None:
    node = npm.outcome()
    if isinstance(node, npm.NodeMissing):
        raise SystemExit(str(node))
    set_times()
    for gateway in GATEWAYS:
        if not names or gateway.name in names:
            await record(node, gateway)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
