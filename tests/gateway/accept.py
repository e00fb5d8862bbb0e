"""Take our answers for right: ``python -m tests.gateway.accept REASON GATEWAY [CASE ...]``.

Writes what we answer now into deviations/, for the cases that differ from moleculer-web, are listed nowhere and match
one of the names (with ``*`` for any text); for all of them if none is named. Without arguments it tells what is
neither equal nor listed.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import sys

from tautomer.errors import ServiceSchemaError
from tests.gateway.answer import Answer, ask_all
from tests.gateway.case import Gateway
from tests.gateway.cases import GATEWAYS
from tests.gateway.deviations import add, deviations
from tests.gateway.deviations.reasons import REASONS
from tests.gateway.doors import DOORS
from tests.gateway.faults import FAULTS, REFUSED
from tests.gateway.normal import normal, theirs
from tests.gateway.record import recorded


async def unlisted(gateway: Gateway) -> dict[str, list[Answer]]:
    """Our answers to the cases that are neither equal nor listed."""
    door = DOORS[0]()
    known, listed = recorded(gateway), deviations(gateway)
    found = {}
    try:
        host, port = await door.start(gateway)
        for case in gateway.cases:
            ours = await ask_all(host, port, case.requests)
            wanted = map(normal, listed[case.name].answers) if case.name in listed else map(theirs, known[case.name])
            if f"{gateway.name}: {case.name}" not in FAULTS and [*map(normal, ours)] != [*wanted]:
                found[case.name] = ours
    finally:
        await door.stop()
    return found


async def tell() -> None:
    for gateway in GATEWAYS:
        if gateway.name in REFUSED:
            continue
        try:
            found = await unlisted(gateway)
        except ServiceSchemaError as error:
            print(f"{gateway.name}: {error}"[:200])
            continue
        for name, ours in found.items():
            print(f"{gateway.name}: {name}")
            for answer in map(theirs, recorded(gateway)[name]):
                print(f"  theirs {json.dumps(answer.as_json(), ensure_ascii=False)[:600]}")
            for answer in map(normal, ours):
                print(f"  ours   {json.dumps(answer.as_json(), ensure_ascii=False)[:600]}")


async def accept(reason: str, name: str, patterns: list[str]) -> None:
    if reason not in REASONS:
        raise SystemExit(f"no reason '{reason}'; known: {', '.join(REASONS)}")
    gateway = next((one for one in GATEWAYS if one.name == name), None)
    if gateway is None:
        raise SystemExit(f"no gateway '{name}'")
    found = await unlisted(gateway)
    taken = {
        case: ours
        for case, ours in found.items()
        if not patterns or any(case == one or fnmatch.fnmatchcase(case, one) for one in patterns)
    }
    add(gateway, reason, taken)
    print(f"{name}: {len(taken)} {reason}")


if __name__ == "__main__":
    asyncio.run(accept(sys.argv[1], sys.argv[2], sys.argv[3:]) if len(sys.argv) > 2 else tell())
