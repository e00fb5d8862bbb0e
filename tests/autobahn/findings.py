"""Findings: what Autobahn's fuzzing client says of a server, by sections, and what of it is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECTIONS = {
    "1": "frames",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragments",
    "6": "UTF-8",
    "7": "closing",
    "9": "limits and speed",
    "10": "fragments by the client's library",
    "12": "compression, by content",
    "13": "compression, by parameters",
}

UNDEFINED = frozenset({"7.1.6", "7.13.1", "7.13.2"})
"""Cases of which the RFC says nothing: the suite reports what it saw, and judges nobody by it."""


class Findings:
    """
    Args:
        cases: The suite's records, by case id.
    """

    def __init__(self, cases: Mapping[str, Mapping[str, Any]]) -> None:
        self.cases = cases

    def counts(self) -> dict[str, int]:
        """How many cases of each section were run."""
        counts: dict[str, int] = {}
        for case in self.cases:
            section = case.partition(".")[0]
            counts[section] = counts.get(section, 0) + 1
        return counts

    def faults(self) -> list[str]:
        """What is less than OK, in the case itself or in how it was closed; one line for each."""
        return [
            f"{case}: {one['behavior']}, closing {one['behaviorClose']}: {one['result']} {one['resultClose']}"
            for case, one in self.cases.items()
            if not self._is_good(case)
        ]

    def report(self) -> str:
        """A table of the sections."""
        lines = [f"{'section':<40} {'cases':>6} {'OK':>6} {'info':>6} {'other':>6} {'seconds':>8}"]
        for section, count in sorted(self.counts().items(), key=lambda entry: int(entry[0])):
            cases = {case: one for case, one in self.cases.items() if case.partition(".")[0] == section}
            good = sum(one["behavior"] == "OK" == one["behaviorClose"] for one in cases.values())
            told = sum(one["behavior"] == "INFORMATIONAL" for one in cases.values())
            seconds = sum(one["duration"] for one in cases.values()) / 1000
            title = f"{section:>2}  {SECTIONS[section]}"
            lines.append(f"{title:<40} {count:>6} {good:>6} {told:>6} {count - good - told:>6} {seconds:>8.1f}")
        return "\n".join(lines)

    def _is_good(self, case: str) -> bool:
        seen = self.cases[case]["behavior"], self.cases[case]["behaviorClose"]
        return seen == (("INFORMATIONAL",) * 2 if case in UNDEFINED else ("OK", "OK"))
