"""Where we answer otherwise than moleculer-web on purpose: every case, with the reason and our exact answer.

One file for each gateway: ``{reason: {case: [answer, ...]}}``. ``python -m tests.gateway.accept`` writes into them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.gateway.answer import Answer, rendered
from tests.gateway.case import Gateway
from tests.gateway.deviations.reasons import REASONS

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Deviation:
    """What we answer to one case, and why (a key of `REASONS`)."""

    reason: str
    answers: list[Answer]


def deviations(gateway: Gateway) -> dict[str, Deviation]:
    """By the names of the cases."""
    found: dict[str, Deviation] = {}
    for reason, cases in _kept(gateway).items():
        for name, answers in cases.items():
            assert name not in found, f"{gateway.name}: '{name}' stands under two reasons"
            found[name] = Deviation(reason, answers)
    return found


def add(gateway: Gateway, reason: str, answers: Mapping[str, list[Answer]]) -> None:
    """Write our answers to these cases down, in the place of what is there."""
    kept = _kept(gateway)
    for cases in kept.values():
        for name in answers:
            cases.pop(name, None)
    kept.setdefault(reason, {}).update(answers)
    order = [case.name for case in gateway.cases]
    shown = []
    for known in REASONS:
        cases = kept.get(known)
        if cases:
            ordered = dict(sorted(cases.items(), key=lambda item: order.index(item[0])))
            shown.append(f"{json.dumps(known)}: {rendered(ordered)}")
    if shown:
        _file(gateway).write_text("{\n" + ",\n".join(shown) + "\n}\n", "utf-8")


def _kept(gateway: Gateway) -> dict[str, dict[str, list[Answer]]]:
    file = _file(gateway)
    if not file.exists():
        return {}
    return {
        reason: {name: [Answer.from_json(one) for one in answers] for name, answers in cases.items()}
        for reason, cases in json.loads(file.read_text("utf-8")).items()
    }


def _file(gateway: Gateway) -> Path:
    return HERE / f"{gateway.name}.json"
