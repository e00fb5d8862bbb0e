"""What ran, written down by those who ran it, so that nothing is lost with a killed process."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple


class Run(NamedTuple):
    """One run of a handler: number of the call, id of the attempt, and where."""

    number: int | None
    attempt: str
    node_id: str


class Ledger:
    """A file to which many processes append a line for each run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, number: Any, attempt: str | None, node_id: str) -> None:
        os.write(self._file, json.dumps([number, attempt, node_id]).encode() + b"\n")

    def runs(self) -> list[Run]:
        return [Run(*json.loads(line)) for line in self.path.read_text().splitlines()]

    def twice(self) -> list[int]:
        """Numbers of the calls that ran more than once, whatever the attempt."""
        counted = Counter(run.number for run in self.runs() if run.number is not None)
        return [number for number, times in counted.items() if times > 1]

    def close(self) -> None:
        os.close(self._file)
