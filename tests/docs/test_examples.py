"""Every Python block of the documentation is run, in order, in a folder of its document's own.

A comment before a block says more about it, its parts parted by commas:

    <!-- test: file NAME -->              the block is written to this file before it is run
    <!-- test: until "TEXT" -->           it runs on; once a line holds this text it is stopped, and must end with 0
    <!-- test: output -->                 the text block that follows is what the last program printed
    <!-- test: nats -->                   from here on $NATS_URL names a NATS server
    <!-- test: start COMMAND, until "TEXT" -->    a command that runs beside the rest of the document
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.programs import Program
from tests.servers import NatsServer

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PART = re.compile(r"<!-- test: (?P<marks>.*?) -->|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.server]


@dataclass
class Reading:
    """A document while it is worked through."""

    folder: Path
    stack: ExitStack
    printed: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    blocks: int = 0

    def run(self, text: str, marks: dict[str, str]) -> None:
        self.blocks += 1
        file = self.folder / marks.get("file", f"block_{self.blocks}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        with Program(sys.executable, "-W", "error", file, env=self.environment, cwd=self.folder) as program:
            if "until" in marks:
                program.wait_for(marks["until"])
                code = program.end()
            else:
                code = program.wait()
        assert 0 == code, program.output
        self.printed = program.lines

    def obey(self, marks: dict[str, str]) -> None:
        if "nats" in marks:
            self.environment["NATS_URL"] = self.stack.enter_context(NatsServer()).url
        if "start" in marks:
            command = [sys.executable, "-m", *marks["start"].split()]
            beside = self.stack.enter_context(Program(*command, env=self.environment, cwd=self.folder))
            beside.wait_for(marks["until"], 40.0)
            self.stack.callback(beside.end)


def parts(document: Path) -> Iterator[re.Match[str]]:
    return PART.finditer(document.read_text("utf-8"))


def marks_in(text: str) -> dict[str, str]:
    """``file NAME, until "TEXT"`` as a dict."""
    found = {}
    for mark in re.split(r",\s*(?=\w+(?:\s|$))", text):
        name, _, value = mark.strip().partition(" ")
        assert name in ("file", "until", "output", "nats", "start"), f"unknown mark {name!r}"
        found[name] = value.strip('"')
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_the_python_in_it_runs(document: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        reading = Reading(tmp_path, stack)
        marks: dict[str, str] = {}
        for part in parts(document):
            if part["marks"] is not None:
                marks = marks_in(part["marks"])
                reading.obey(marks)
            elif part["language"] == "python":
                reading.run(part["text"], marks)
                marks = {}
            elif "output" in marks:
                assert part["text"].splitlines() == reading.printed
                marks = {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_its_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))

    assert [] == [target for target in targets if not os.path.exists(document.parent / target)]


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text("utf-8")))

    assert {str(document.relative_to(ROOT)) for document in DOCUMENTS if document.name != "README.md"} == linked
