"""Programs run as processes of their own, their output read line by line, every wait with a deadline."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SECONDS = 20.0

# What a node, or asyncio in its debug mode, says of a machine that is busy with other things, and not of the program.
REMARK = re.compile(r"the event loop stood still|^Executing <.*> took \d+\.\d+ seconds$")


class Program:
    """A process. Standard error is read together with standard output.

    Args:
        *command: Program and arguments; a Python file is run with this Python.
        env: On top of this process's environment, from which the variables of the command line are taken out.
    """

    def __init__(self, *command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        words = [str(word) for word in command]
        if words[0].endswith(".py"):
            words.insert(0, sys.executable)
        self._said: list[str] = []
        self._unread: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=clean_environment(env),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._unread.put(line.rstrip("\n"))
        self._unread.put(None)

    @property
    def lines(self) -> list[str]:
        """What was read so far, without remarks on a busy machine."""
        return without_remarks(self._said)

    @property
    def output(self) -> str:
        return "\n".join(self._said)

    def wait_for(self, text: str, seconds: float = SECONDS) -> str:
        """The first unread line that holds the text."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._unread.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {text!r} in {seconds:g} s, only:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"it ended without a line with {text!r}:\n{self.output}")
            self._said.append(line)
            if text in line:
                return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> int:
        """The exit code, with all output read."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        while (line := self._unread.get(timeout=1)) is not None:
            self._said.append(line)
        return code

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = SECONDS) -> int:
        """Send a signal and wait for the exit code."""
        self.send(number)
        return self.wait(seconds)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def without_remarks(lines: list[str]) -> list[str]:
    """What a program printed, without remarks on a busy machine."""
    return [line for line in lines if not REMARK.search(line)]


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what would change the command line's defaults."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TRANSPORTER", "NATS_URL", "PORT")}
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}
